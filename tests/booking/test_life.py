"""The life cycle table: every pair of status and word is either in it or refused, and every status can be reached."""

from __future__ import annotations

import itertools

import pytest

from hub.booking import NEXT, Status, What
from hub.booking.life import NEEDS_RIGHT, after
from hub.problem import Problem, Refused

ALL = [None, *Status]


@pytest.mark.parametrize(("status", "what"), list(itertools.product(ALL, What)))
def test_a_pair_is_in_the_table_or_refused(status: Status | None, what: What) -> None:
    if (status, what) in NEXT:
        assert after(status, what) is NEXT[status, what]
        return
    with pytest.raises(Refused) as caught:
        after(status, what)
    assert caught.value.problem is Problem.IMPOSSIBLE_CHANGE and caught.value.where == "Appointment.status"


def test_every_status_is_reached_from_nothing() -> None:
    reached: set[Status | None] = {None}
    while more := {to for (status, _), to in NEXT.items() if status in reached} - reached:
        reached |= more
    assert reached == set(ALL)


def test_what_is_done_is_never_undone() -> None:
    assert {to for (status, _), to in NEXT.items() if status is Status.FULFILLED} == {Status.FULFILLED}


def test_a_report_said_twice_is_said_once() -> None:
    """Whatever a word leads to, the same word leads to from there: repeated statements are harmless."""
    for (_, what), to in NEXT.items():
        if what in (What.MOVE, What.PLAN):
            continue                # another time each time; the same time is no move, and a plan told again confirms (see test_weigh)
        assert NEXT[to, what] is to


def test_every_word_takes_a_right_of_the_adapter() -> None:
    assert set(NEEDS_RIGHT) == set(What)
    assert set(NEEDS_RIGHT.values()) == {"book", "move", "cancel", "confirm", "assign", "complete", "plan"}
