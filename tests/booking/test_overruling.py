"""What staff may pass with a reason and what nobody may: the soft rules one by one, and the hard ones that stand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from booking_world import NOW, World, book, decision, later, oslo, patient, said, service, tomorrow
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Asker, Outcome
from hub.booking.clock import write
from hub.booking.conventions import appointment_id, url
from hub.booking.rules import SOFT
from hub.problem import Problem, Refused

ID = appointment_id("shop", "b1")


def town(**changes: object) -> World:
    return World.of(service(**changes), patient(), decision(visits=1), patient("p2", "13812212346"), decision("d2", "p2"))


def staff(world: World, *items: dict) -> Outcome:  # type: ignore[type-arg]
    return world.states(*items, asker=Asker.STAFF, overrules=True)


def refusal(world: World, *items: dict, overrules: bool = True) -> Problem:  # type: ignore[type-arg]
    with pytest.raises(Refused) as caught:
        world.states(*items, asker=Asker.STAFF, overrules=overrules)
    return caught.value.problem


def test_each_soft_rule_gives_way_and_is_named() -> None:
    for start, problem in ((tomorrow(20), Problem.OUTSIDE_OPENING_HOURS), (oslo(2026, 11, 3, 9), Problem.BEYOND_HORIZON),
                           (NOW + timedelta(minutes=30), Problem.TOO_LATE)):
        world = town()
        assert refusal(world, book("b1", start), overrules=False) is problem
        assert staff(world, book("b1", start)).overruled == (problem,)
    world = town()
    world.states(book("b1", tomorrow(9)))
    assert refusal(world, book("b2", tomorrow(10)), overrules=False) is Problem.DECISION_USED_UP
    outcome = staff(world, book("b2", tomorrow(10)))
    assert outcome.overruled == (Problem.DECISION_USED_UP,) and world.booking(appointment_id("shop", "b2")).decision == "d1"
    both = staff(town(), book("b1", oslo(2026, 11, 3, 20)))
    assert both.overruled == (Problem.BEYOND_HORIZON, Problem.OUTSIDE_OPENING_HOURS)


def test_moving_and_cancelling_late_give_way_too() -> None:
    world = town()
    world.states(book("b1", tomorrow(9)))
    world.now = tomorrow(8)
    assert refusal(world, said("cancelled", id_=ID), overrules=False) is Problem.TOO_LATE
    moved = staff(world, said("proposed", id_=ID, start=write(tomorrow(11))))
    assert moved.overruled == (Problem.TOO_LATE,) and world.booking(ID).start == tomorrow(11)
    world.now = tomorrow(10)
    assert staff(world, said("cancelled", id_=ID)).overruled == (Problem.TOO_LATE,)


def test_hard_rules_stand() -> None:
    world = town(capacity=1)
    world.states(book("o1", tomorrow(9), "13812212346"))
    assert refusal(world, book("b1", tomorrow(9))) is Problem.FULL
    assert refusal(world, book("b1", NOW - timedelta(hours=1))) is Problem.PAST
    assert refusal(world, book("b1", later(tomorrow(9), 7))) is Problem.OFF_GRID
    world.states(book("b1", tomorrow(10)))
    assert refusal(world, book("b2", tomorrow(10))) is Problem.OVERLAPS_OWN
    nobody = World.of(service(), patient())
    assert refusal(nobody, book("b1", tomorrow(9))) is Problem.NO_DECISION
    away = town()
    flag = {"resourceType": "Flag", "id": "f", "status": "active", "code": {"coding": []}, "subject": {"reference": "Patient/p1"}}
    assert refusal(World.of(*away.resources.values(), {**flag, "code": _away(), "period": {"start": write(NOW)}}), book("b1", tomorrow(9))) is Problem.PAUSED
    closed = town(extension=[*service()["extension"], {"url": url("who-may-book"), "valueString": "person"}])
    assert refusal(closed, book("b1", tomorrow(9))) is Problem.NOT_ALLOWED


def _away() -> dict:  # type: ignore[type-arg]
    from hub.booking.stays import AWAY

    return AWAY


@given(ahead=st.integers(-10, 20 * 48), capacity=st.integers(0, 2))
def test_whatever_staff_pass_is_soft_and_no_slot_ever_has_more_than_its_seats(ahead: int, capacity: int) -> None:
    world = town(capacity=capacity)
    for number in ("13812212345", "13812212346", "13812212345"):
        try:
            outcome = staff(world, book(f"x{number}{ahead}{len(world.seats)}", NOW + timedelta(minutes=30 * ahead), number))
        except Refused as refused:
            assert refused.problem not in SOFT or ahead < 0
        else:
            assert set(outcome.overruled) <= SOFT
    for slot, _ in world.seats:
        assert world.seats_taken(slot) <= capacity
