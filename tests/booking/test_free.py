"""What is offered is what the rules allow, and nothing else: the two are held together over random towns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from booking_world import NOW, PERSON, World, book, decision, later, oslo, patient, said, service, tomorrow
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.booking import Asker, Booking, Decision, Department, covering, gather, statements
from hub.booking.clock import local, write
from hub.booking.conventions import appointment_id, url
from hub.booking.free import Time, Wish, free_times
from hub.booking.rules import Asked, check
from hub.problem import Refused

ID = appointment_id("shop", "b1")


def offered(world: World, minutes: int = 30, moved: Booking | None = None, asker: Asker = Asker.PERSON, who: str = "p1") -> list[Time]:
    department = Department.of(world.resources["HealthcareService", "hjelp"])
    decisions = [Decision.of(r) for (t, _), r in world.resources.items() if t == "ServiceRequest"]
    own = [Booking.of(r) for (t, _), r in world.resources.items() if t == "Appointment" and who in str(r["participant"])]
    taken = {slot: world.seats_taken(slot) for slot, _ in world.seats}
    days = free_times(Wish(f"Patient/{who}", department, minutes, asker, moved), decisions, own, taken, world.now)
    assert [d.day for d in days] == [local(world.now).date() + timedelta(days=n) for n in range(department.horizon_days + 1)]
    return [time for day in days for time in day.times]


def test_an_empty_week_offers_every_slot_from_the_notice_to_the_horizon() -> None:
    times = offered(World.of(service(), patient(), decision(visits=50)))
    assert times[0].start == oslo(2026, 10, 19, 10), "two hours ahead"
    assert times[-1].start == oslo(2026, 11, 2, 15, 30), "the fourteenth day"
    assert {t.left for t in times} == {2}
    assert not [t for t in times if local(t.start).weekday() == 6]


def test_taken_seats_own_visits_and_used_up_weeks_are_not_offered() -> None:
    world = World.of(service(), patient(), decision(visits=2), patient("p2", "13812212346"), decision("d2", "p2"), patient("p3", "13812212347"),
                     decision("d3", "p3"))
    for n, number in ((2, "13812212346"), (3, "13812212347")):
        world.states(book(f"o{n}", tomorrow(9), number))
    starts = {t.start for t in offered(world)}
    assert tomorrow(9) not in starts and tomorrow(9, 30) in starts
    assert {t.start for t in offered(world, 60)} & {tomorrow(8, 30), tomorrow(9)} == set()
    world.states(book("b1", tomorrow(11)))
    assert tomorrow(11) not in {t.start for t in offered(world)}
    world.states(book("b2", tomorrow(12)))
    assert not [t for t in offered(world) if t.start < oslo(2026, 10, 25, 0)], "both visits of the week are used"
    assert [t for t in offered(world) if t.start > oslo(2026, 10, 26, 0)]


def test_moving_counts_the_own_old_time_as_free() -> None:
    world = World.of(service(capacity=1), patient(), decision(visits=1))
    world.states(book("b1", tomorrow(9), end=write(tomorrow(10))))
    assert tomorrow(9, 30) not in {t.start for t in offered(world)}
    assert {tomorrow(9), tomorrow(9, 30), tomorrow(14)} <= {t.start for t in offered(world, 60, world.booking(ID))}


def test_who_may_not_book_is_offered_nothing_and_a_closed_day_is_closed() -> None:
    made = service()
    made = {**made, "extension": [*made["extension"], {"url": url("who-may-book"), "valueString": "person"}]}
    world = World.of(made, patient(), decision(visits=9))
    assert offered(world) and not offered(world, asker=Asker.RELATIVE)
    days = free_times(Wish("Patient/p1", Department.of(made), 30), [Decision.of(decision(visits=9))], [], {}, NOW)
    assert [d.open for d in days[:7]] == [True] * 6 + [False]


def extended(**numbers: int) -> dict[str, Any]:
    made = service(capacity=numbers.pop("capacity"))
    return {**made, "extension": [*made["extension"], *({"url": url(k.replace("_", "-")), "valueInteger": v} for k, v in numbers.items())]}


@settings(max_examples=25, deadline=None)
@given(
    capacity=st.integers(0, 2), buffer=st.sampled_from((0, 20)), visits=st.integers(0, 3), minutes=st.sampled_from((30, 45, 90)),
    others=st.lists(st.tuples(st.integers(0, 4), st.integers(8, 15)), max_size=6), own=st.lists(st.integers(8, 15), max_size=2, unique=True),
    move=st.booleans(), october=st.booleans(),
)
def test_offered_is_exactly_what_the_rules_accept(
    capacity: int, buffer: int, visits: int, minutes: int, others: list[tuple[int, int]], own: list[int], move: bool, october: bool,
) -> None:
    made = extended(capacity=capacity, buffer_minutes=buffer)
    if october:  # open through the night of the clock change
        made = {**made, "availableTime": [{"allDay": True}]}
    people = [(patient(f"q{n}", f"1381221230{n}"), decision(f"e{n}", f"q{n}", 9)) for n in range(5)]
    world = World.of(made, patient(), decision(visits=visits), *(r for pair in people for r in pair))
    for who, hour in others:
        _try(world, book(f"o{who}{hour}", tomorrow(hour), f"1381221230{who}"))
    for n, hour in enumerate(own):
        _try(world, book(f"b{n + 1}", tomorrow(hour)))
    moved = world.booking(ID) if move and ("Appointment", ID) in world.resources else None
    found = {t.start for t in offered(world, minutes, moved)}
    department = Department.of(made)
    start = oslo(2026, 10, 25, 0) if october else tomorrow(0)
    for n in range(49 if october else 48):
        at = later(start, 30 * n)
        assert (at in found) is _accepted(world, department, at, minutes, moved), at


def _try(world: World, statement: dict[str, Any]) -> None:
    try:
        world.states(statement)
    except Refused:
        return


def _accepted(world: World, department: Department, start: Any, minutes: int, moved: Booking | None) -> bool:
    until = later(start, minutes)
    statement = book("new", start, PERSON, end=write(until)) if moved is None else said("proposed", id_=moved.id, start=write(start), end=write(until))
    (stated,) = statements([statement])
    stored = world.resources["Appointment", moved.id] if moved else None
    facts = gather(stated, stored, world)
    if moved is not None and (moved.start, moved.end) == (start, until):
        return True  # nothing new is never refused
    try:
        check(Asked("Patient/p1", department, start, until, moved), facts, world.now)
    except Refused:
        return False
    return True


@pytest.mark.spec("facts/planning", "4.5")
def test_both_hours_of_the_october_night_are_offered_and_the_march_hour_is_not() -> None:
    made = {**service(), "availableTime": [{"allDay": True}]}
    world = World.of(made, patient(), decision(visits=50))
    night = [t.start for t in offered(world) if local(t.start).date().isoformat() == "2026-10-25"]
    assert len(night) == 50 and len(covering(Department.of(made), oslo(2026, 10, 25, 0), oslo(2026, 10, 26, 0))) == 50
    world.now = oslo(2027, 3, 27, 8)
    assert len([t for t in offered(world) if local(t.start).date().isoformat() == "2027-03-28"]) == 46


def test_a_night_that_began_yesterday_is_offered_after_midnight_and_no_time_twice() -> None:
    hours = [("22:00:00", "06:00:00"), ("05:00:00", "08:00:00")]
    made = {**extended(capacity=1), "availableTime": [{"availableStartTime": a, "availableEndTime": b} for a, b in hours]}
    world = World.of(made, patient(), decision(visits=9))
    world.now = oslo(2026, 10, 20, 0, 30)
    today = [t.start for t in offered(world) if local(t.start).day == 20]
    assert today == [later(oslo(2026, 10, 20, 2, 30), 30 * n) for n in range(11)] + [later(oslo(2026, 10, 20, 22), 30 * n) for n in range(4)]
    assert all(_accepted(world, Department.of(made), at, 30, None) for at in today)
