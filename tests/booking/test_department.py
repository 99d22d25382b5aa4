"""What an administrator sets: staff over the day and week, extra and closed days, lengths, travel, deadlines, who may book."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from booking_world import World, book, decision, later, oslo, patient, said, service, tomorrow
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Asker, Department, slots_of
from hub.booking.clock import local, write
from hub.booking.conventions import extension, url
from hub.booking.slots import grid, is_open
from hub.message import Resource
from hub.problem import Problem, Refused


def with_parts(resource: Resource, name: str, **parts: Any) -> Resource:
    """The resource with one more nested extension of ours."""
    kinds = {str: "valueString", int: "valueInteger"}
    kinds_by_name = {"from": "valueTime", "to": "valueTime", "first": "valueDate", "last": "valueDate", "date": "valueDate"}
    made = [{"url": key, kinds_by_name.get(key, kinds[type(value)]): value} for key, value in parts.items()]
    return {**resource, "extension": [*resource["extension"], {"url": url(name), "extension": made}]}


def number(resource: Resource, name: str, value: int) -> Resource:
    return {**resource, "extension": [*resource["extension"], {"url": url(name), "valueInteger": value}]}


def town(made: Resource, persons: int = 4) -> World:
    people = [(patient(f"p{n}", f"1381221234{n}"), decision(f"d{n}", f"p{n}", 9)) for n in range(persons)]
    return World.of(made, *(r for pair in people for r in pair))


def asked(world: World, who: int, start: datetime, **more: Any) -> Problem | None:
    try:
        world.states(book(f"b{who}-{start:%d%H%M}", start, f"1381221234{who}"), **more)
    except Refused as refused:
        return refused.problem
    return None


def test_staff_varies_over_the_day_and_the_last_rule_that_holds_counts() -> None:
    made = with_parts(with_parts(service(capacity=2), "staffing", days="tue", to="10:00:00", capacity=1), "staffing", first="2026-10-27",
                      last="2026-10-27", capacity=3)
    department = Department.of(made)
    at = department.capacity_at
    assert [at(tomorrow(9)), at(tomorrow(10)), at(oslo(2026, 10, 21, 9)), at(oslo(2026, 10, 27, 9))] == [1, 2, 2, 3]
    world = town(made)
    assert asked(world, 0, tomorrow(9)) is None and asked(world, 1, tomorrow(9)) is Problem.FULL
    assert [asked(world, n, tomorrow(10)) for n in (0, 1, 2)] == [None, None, Problem.FULL]


def test_slots_tell_the_staff_of_their_own_time_and_none_is_unavailable() -> None:
    made = with_parts(service(capacity=2), "staffing", **{"from": "12:00:00", "to": "13:00:00"}, capacity=0)
    slots = {s["start"]: s for s in slots_of(Department.of(made), date(2026, 10, 20), 1)}
    lunch, after = slots[write(tomorrow(12))], slots[write(tomorrow(13))]
    assert (lunch["status"], extension(lunch, "capacity")) == ("busy-unavailable", 0) and (after["status"], extension(after, "capacity")) == ("free", 2)
    assert asked(town(made), 0, tomorrow(12)) is Problem.FULL


def test_an_extra_day_is_open_though_its_weekday_and_a_closure_say_no() -> None:
    sunday = oslo(2026, 10, 25, 10)
    closed = service(notAvailable=[{"description": "Helligdag", "during": {"start": "2026-10-25", "end": "2026-10-25"}}])
    assert asked(town(closed), 0, sunday) is Problem.OUTSIDE_OPENING_HOURS
    world = town(with_parts(closed, "extra-opening", date="2026-10-25", **{"from": "10:00:00", "to": "12:00:00"}))
    assert asked(world, 0, sunday) is None
    assert asked(world, 1, later(sunday, 120)) is Problem.OUTSIDE_OPENING_HOURS
    assert asked(world, 2, oslo(2026, 11, 1, 10)) is Problem.OUTSIDE_OPENING_HOURS, "that Sunday only"


def test_a_visit_lasts_as_the_service_says_where_nobody_says_how_long() -> None:
    world = town(number(service(), "visit-minutes", 90))
    outcome = world.states(book("b1", tomorrow(9), "13812212340"))
    assert [s.slot for s in outcome.takes] == [f"hjelp-20261020T{hour}Z" for hour in ("0700", "0730", "0800")]
    assert outcome.appointment is not None and outcome.appointment["minutesDuration"] == 90


def test_the_way_to_the_next_takes_the_staff_and_not_the_person() -> None:
    world = town(number(service(capacity=1), "buffer-minutes", 20))
    outcome = world.states(book("b1", tomorrow(9), "13812212340"))
    assert [s.slot for s in outcome.takes] == ["hjelp-20261020T0700Z", "hjelp-20261020T0730Z"]
    assert outcome.appointment is not None and outcome.appointment["end"] == write(tomorrow(9, 30))
    assert asked(world, 1, tomorrow(9, 30)) is Problem.FULL and asked(world, 1, tomorrow(10)) is None
    assert asked(world, 2, tomorrow(8, 30)) is Problem.FULL, "its own way would reach into the visit"
    assert asked(world, 3, tomorrow(15, 30)) is None, "after the last one nobody is waited for"


def test_moving_and_cancelling_have_deadlines_of_their_own() -> None:
    world = town(number(number(service(), "cancel-minutes", 24 * 60), "move-minutes", 48 * 60))
    assert asked(world, 0, tomorrow(9)) is None
    with pytest.raises(Refused) as late:
        world.states(said("proposed", shop_id="b0-200700", start=write(tomorrow(10))))
    assert late.value.problem is Problem.TOO_LATE
    world.states(said("cancelled", shop_id="b0-200700"))
    assert asked(world, 1, tomorrow(11)) is None
    world.now += timedelta(hours=4)
    with pytest.raises(Refused) as later_:
        world.states(said("cancelled", shop_id="b1-200900"))
    assert later_.value.problem is Problem.TOO_LATE


@pytest.mark.parametrize(("may", "asker", "problem"), [
    (None, Asker.RELATIVE, None), ("person staff", Asker.RELATIVE, Problem.NOT_ALLOWED), ("person staff", Asker.PERSON, None),
    ("", Asker.PERSON, Problem.NOT_ALLOWED), ("relative", Asker.RELATIVE, None),
])
def test_a_department_says_who_may_book(may: str | None, asker: Asker, problem: Problem | None) -> None:
    made = service()
    if may is not None:
        made = {**made, "extension": [*made["extension"], {"url": url("who-may-book"), "valueString": may}]}
    assert asked(town(made), 0, tomorrow(9), asker=asker) is problem


@given(
    rules=st.lists(st.tuples(st.sets(st.sampled_from(("mon", "tue", "sat")), min_size=1), st.integers(0, 23), st.integers(0, 5)), max_size=4),
    minutes=st.integers(0, 7 * 24 * 60 - 1),
)
def test_capacity_is_what_a_plain_reading_of_the_rules_says(rules: list[tuple[set[str], int, int]], minutes: int) -> None:
    made = service(capacity=7)
    for days, hour, capacity in rules:
        made = with_parts(made, "staffing", days=" ".join(sorted(days)), **{"from": f"{hour:02}:00:00"}, capacity=capacity)
    start = later(oslo(2026, 11, 2, 0), minutes)  # a week without a clock change
    expected = 7
    for days, hour, capacity in rules:
        wall = datetime(2026, 11, 2) + timedelta(minutes=minutes)
        if ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[wall.weekday()] in days and wall.hour >= hour:
            expected = capacity
    assert Department.of(made).capacity_at(start) == expected


def test_seats_of_a_closing_department_stay_with_those_who_have_them() -> None:
    """What is booked is not lost when the hours change; the time is no longer offered."""
    world = town(service())
    assert asked(world, 0, tomorrow(9)) is None
    world.resources["HealthcareService", "hjelp"] = service(notAvailable=[{"during": {"start": "2026-10-20", "end": "2026-10-20"}}])
    assert asked(world, 1, tomorrow(9)) is Problem.OUTSIDE_OPENING_HOURS
    assert world.booking(world.states(said("booked", id_=next(i for t, i in world.resources if t == "Appointment")),
                                      may=frozenset({"confirm", "assign", "move"}), origin="epj").appointment["id"]).slots  # type: ignore[index]
    assert not is_open(Department.of(world.resources["HealthcareService", "hjelp"]), tomorrow(9), tomorrow(10))


def test_staff_over_midnight_counts_until_the_next_morning() -> None:
    made = with_parts(service(capacity=9, availableTime=[{"allDay": True}]), "staffing", days="fri", **{"from": "22:00:00", "to": "06:00:00"}, capacity=2)
    at = Department.of(made).capacity_at
    evening = [at(oslo(2026, 10, 23, hour)) for hour in (21, 22, 23)]
    morning = [at(oslo(2026, 10, day, hour)) for day, hour in ((24, 0), (24, 5), (24, 6), (24, 22), (23, 5), (25, 5))]
    assert (evening, morning) == ([9, 2, 2], [2, 2, 9, 9, 9, 9])


def test_staff_that_leaves_in_the_middle_of_a_slot_cannot_make_its_visit() -> None:
    made = with_parts(service(capacity=3), "staffing", **{"from": "10:15:00", "to": "10:45:00"}, capacity=1)
    at = Department.of(made).capacity_at
    assert [at(oslo(2026, 10, 21, hour, minute)) for hour, minute in ((9, 30), (10, 0), (10, 30), (11, 0))] == [3, 1, 1, 3]


@pytest.mark.spec("facts/planning", "4.5")
def test_holidays_are_closed_or_like_a_sunday_whichever_day_easter_is() -> None:
    weekdays = [{"daysOfWeek": ["mon", "tue", "wed", "thu", "fri"], "availableStartTime": "08:00:00", "availableEndTime": "16:00:00"}]
    sunday = {"daysOfWeek": ["sun"], "availableStartTime": "10:00:00", "availableEndTime": "12:00:00"}
    plain = {**service(), "availableTime": [*weekdays, sunday]}

    def hours(on: str, day: date) -> tuple[int, int]:
        made = Department.of({**plain, "extension": [*plain["extension"], {"url": url("holidays"), "valueCode": on}]} if on else plain)
        cells = grid(made, day)
        return (local(cells[0].start).hour, local(cells[-1].end).hour) if cells else (0, 0)

    for day in (date(2027, 3, 25), date(2027, 3, 26), date(2027, 3, 29), date(2027, 5, 6), date(2027, 5, 17), date(2028, 4, 14), date(2026, 12, 25)):
        assert [hours(on, day) for on in ("", "as-usual", "closed", "as-sunday")] == [(8, 16), (8, 16), (0, 0), (10, 12)], day
    easter = date(2027, 3, 28)
    assert [hours(on, easter) for on in ("", "closed", "as-sunday")] == [(10, 12), (0, 0), (10, 12)]
    assert hours("closed", date(2027, 3, 24)) == (8, 16) == hours("as-sunday", date(2026, 12, 24)), "eves are ordinary days"


def test_an_extra_opening_beats_a_holiday_and_a_night_ends_where_it_begins() -> None:
    night = service(availableTime=[{"daysOfWeek": ["thu"], "availableStartTime": "22:00:00", "availableEndTime": "06:00:00"}])
    closed = {**night, "extension": [*night["extension"], {"url": url("holidays"), "valueCode": "closed"}]}
    assert is_open(Department.of(closed), oslo(2026, 12, 24, 23), oslo(2026, 12, 25, 0))
    assert not is_open(Department.of(closed), oslo(2026, 12, 24, 23), oslo(2026, 12, 25, 0, 30))
    extra = with_parts(closed, "extra-opening", date="2026-12-25", **{"from": "10:00:00", "to": "12:00:00"})
    assert is_open(Department.of(extra), oslo(2026, 12, 25, 10), oslo(2026, 12, 25, 12))


@pytest.mark.parametrize(("first", "last"), [("2026-12-24", "9999-12-31"), ("0001-01-01", "2026-10-20"), ("0001", "9999")])
def test_for_ever_is_written_in_many_ways(first: str, last: str) -> None:
    department = Department.of({**service(), "notAvailable": [{"description": "Lagt ned", "during": {"start": first, "end": last}}]})
    assert is_open(department, oslo(2026, 10, 21, 9), oslo(2026, 10, 21, 10)) is (first == "2026-12-24" or last == "2026-10-20")
    assert not is_open(department, oslo(2026, 12, 28, 9), oslo(2026, 12, 28, 10)) or last == "2026-10-20"
