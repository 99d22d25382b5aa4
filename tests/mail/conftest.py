"""One post office for all that is about mail, and a world to send letters from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))

from postoffice import Office, open_office


@pytest.fixture(scope="session")
def office(dovecot: str) -> Iterator[Office]:
    """Real servers, started here and stopped again."""
    with open_office(dovecot) as opened:
        yield opened
