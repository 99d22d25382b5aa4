"""Eight clients at once do all that clients do, on both databases: no version is skipped, no update lost, no page repeats, and histories are what was
answered (many_at_once.py, which also runs for minutes)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines
from many_at_once import Judge, judged


@pytest.mark.spec("facts/fhir", "1.4.concurrency")
@pytest.mark.spec("facts/fhir", "5.5")
def test_whatever_their_turns_clients_are_told_what_is_kept(hub: Machines) -> None:
    result = judged(f"{hub.url}/fhir", "simple-token", clients=8, operations=40, seed=1)
    assert not result.wrong, "\n".join(result.wrong[:20])
    assert sum(result.done.values()) == 320 and len(result.done) == 12 and sum(map(len, result.answered.values())) > 80


def test_the_judge_sees_what_is_wrong() -> None:
    """A judge that finds nothing tells nothing: each of these is what a faulty hub would show."""
    def entry(number: int, lot: str, at: str = "2026-11-26T09:00:00Z") -> dict[str, object]:
        return {"response": {"etag": f'W/"{number}"', "lastModified": at}, "request": {"method": "PUT"}, "resource": {"serialNumber": "1", "lotNumber": lot}}

    for entries in ([entry(3, "a"), entry(1, "a")], [entry(2, "b"), entry(1, "a")], [entry(2, "a"), entry(1, "a", "2026-11-26T10:00:00Z")], [entry(1, "a")]):
        judge = Judge()
        judge.history("x", entries, {1: ("w", "1", "a"), 2: ("w", "1", "a")})
        assert judge.wrong, entries
    judge = Judge()
    judge.told("x", 1, ("w", "1", "a"))
    judge.told("x", 1, ("w", "1", "b"))
    assert judge.wrong
