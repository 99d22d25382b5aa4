"""Away and home again, in whatever order the letters come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from booking_world import NOW, World, book, decision, patient, service, tomorrow
from hypothesis import given
from hypothesis import strategies as st

from hub.booking.clock import write
from hub.booking.stays import AWAY, after, paused
from hub.problem import Problem, Refused

DAY = datetime(2026, 12, 1, tzinfo=UTC)


def away(hour: int, until: int | None = None) -> dict[str, Any]:
    end = {"end": write(DAY + timedelta(hours=until))} if until is not None else {}
    return {"resourceType": "Flag", "status": "active", "period": {"start": write(DAY + timedelta(hours=hour)), **end}}


def home(hour: int) -> dict[str, Any]:
    return {"resourceType": "Flag", "status": "inactive", "period": {"end": write(DAY + timedelta(hours=hour))}}


def told(*stated: dict[str, Any]) -> dict[str, Any] | None:
    kept: dict[str, Any] | None = None
    for one in stated:
        kept = after(kept, one, "Patient/p1") or kept
    return kept


@given(st.permutations([away(1), away(2), home(5)]))
def test_the_order_of_letters_does_not_matter_to_where_somebody_is(letters: list[dict[str, Any]]) -> None:
    kept = told(*letters)
    assert kept is not None and kept["status"] == "inactive" and kept["code"] == AWAY
    assert not paused([kept], DAY + timedelta(hours=6), DAY + timedelta(hours=7))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=1, max_size=8, unique_by=lambda t: t[1]))
def test_in_order_the_last_word_counts(events: list[tuple[bool, int]]) -> None:
    kept = told(*(away(hour) if leaves else home(hour) for leaves, hour in sorted(events, key=lambda e: e[1])))
    leaves, hour = max(events, key=lambda e: e[1])
    assert kept is not None and (kept["status"] == "active") is leaves
    assert paused([kept], DAY + timedelta(hours=hour + 1), DAY + timedelta(hours=hour + 2)) is leaves


def test_said_twice_is_nothing_new() -> None:
    for letters in ([away(1)], [away(1), home(5)], [away(1, 9)], [home(3)]):
        kept = told(*letters)
        assert after(kept, letters[-1], "Patient/p1") is None


def test_an_absence_with_an_end_ends_by_itself() -> None:
    kept = told(away(2, 10))
    assert kept is not None
    assert [paused([kept], DAY + timedelta(hours=h), DAY + timedelta(hours=h + 1)) for h in (0, 1, 2, 9, 10)] == [False, False, True, True, False]


def test_another_flag_pauses_nothing_and_no_booking_is_made_while_away() -> None:
    flag = {**(told(away(0)) or {}), "period": {"start": write(NOW)}}
    other = {**flag, "id": "other", "code": {"text": "something else"}}
    assert not paused([other], tomorrow(9), tomorrow(10))
    world = World.of(service(), patient(), decision(), flag)
    try:
        world.states(book("b1", tomorrow(9)))
    except Refused as refused:
        assert refused.problem is Problem.PAUSED
    else:
        raise AssertionError("it was booked")
