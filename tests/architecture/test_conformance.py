"""A rule that a test cites is a rule of the sheet: a misspelt one would look tested and be nobody's."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # tools/ is not installed

from tools import docs

RULES = tomllib.loads((docs.ROOT / "tools" / "rules.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", RULES)
def test_every_cited_rule_of_a_listed_sheet_is_in_the_list(document: str) -> None:
    cited = {rule for sheet, rule in docs.marked() if sheet == document}
    assert cited <= set(RULES[document])


@pytest.mark.parametrize("document", RULES)
def test_a_rule_without_a_test_is_printed_as_such(document: str) -> None:
    untested = set(RULES[document]) - {rule for sheet, rule in docs.marked() if sheet == document}
    page = docs.conformance()
    for rule in RULES[document]:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {document} | {rule} |")]
        assert ("**no test**" in row) == (rule in untested)
