"""The round trip that `make lossy` does with a thousand letters, with a few: once each, and every delivery settled, whatever the wires do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from round_trip import run
from wires import Fate


@pytest.mark.spec("facts/ebxml", "7.3")
@pytest.mark.spec("facts/ebxml", "7.4.duplicate")
@pytest.mark.parametrize("over, messages", [("http", 40), ("http-async", 24), ("mail", 12)])
def test_every_letter_arrives_once_and_every_delivery_is_settled(
    over: str, messages: int, tmp_path: Path, request: pytest.FixtureRequest,
) -> None:
    dovecot = request.getfixturevalue("dovecot") if over == "mail" else ""
    outcome = run(tmp_path, over, messages, share=0.07, dovecot=dovecot)
    assert outcome.refused == []
    assert outcome.perfect, outcome
    assert outcome.resent and outcome.duplicates, "wires that do nothing wrong show nothing"
    assert set(outcome.fates) == {fate.value for fate in Fate}
