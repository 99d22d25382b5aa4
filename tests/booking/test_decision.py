"""What is granted, used and left: visits or time, per week, month or in all, with pauses and what is carried over."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from booking_world import EPJ, World, book, decision, oslo, patient, said, service, tomorrow
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Booking, Decision, Department, Grant, Per, Unit
from hub.booking.clock import write
from hub.booking.conventions import appointment_id, url
from hub.message import Resource
from hub.problem import Problem, Refused


def granted(repeat: dict[str, Any], hours: float | None = None, **more: Any) -> Resource:
    bounds = {"boundsPeriod": {"start": "2026-01-01", "end": "2027-12-31"}}
    made = decision(occurrenceTiming={"repeat": {**bounds, **repeat}}, **more)
    return made if hours is None else {**made, "quantityQuantity": {"value": hours, "code": "h", "system": "http://unitsofmeasure.org"}}


WEEK, MONTH = {"period": 1, "periodUnit": "wk"}, {"period": 1, "periodUnit": "mo"}


def tell(world: World, shop_id: str, *args: Any, **more: Any) -> Problem | None:
    try:
        world.states(book(shop_id, *args, **more))
    except Refused as refused:
        return refused.problem
    return None


@pytest.mark.parametrize(("repeat", "hours", "grant"), [
    (WEEK, 3, Grant(180, Unit.MINUTES, Per.WEEK)), (MONTH, 10.5, Grant(630, Unit.MINUTES, Per.MONTH)),
    ({"period": 2, "periodUnit": "wk"}, 3, Grant(180, Unit.MINUTES, Per.WEEK, 2)), ({}, 40, Grant(2400, Unit.MINUTES, Per.ALL)),
    ({"frequency": 4, **MONTH}, None, Grant(4, Unit.VISITS, Per.MONTH)), ({"count": 20}, None, Grant(20, Unit.VISITS, Per.ALL)),
    ({"frequency": 1, "period": 4, "periodUnit": "wk"}, None, Grant(1, Unit.VISITS, Per.WEEK, 4)),
    ({"frequency": 1, "period": 14, "periodUnit": "d"}, None, Grant(1, Unit.VISITS, Per.WEEK, 2)),
    ({"frequency": 1, "period": 10, "periodUnit": "d"}, None, Grant(1, Unit.VISITS, Per.DAY, 10)),
    ({"frequency": 1, "period": 3, "periodUnit": "mo"}, None, Grant(1, Unit.VISITS, Per.MONTH, 3)),
    ({"frequency": 6, "period": 1, "periodUnit": "a"}, None, Grant(6, Unit.VISITS, Per.YEAR)),
    ({"frequency": 2, "period": 0.5, "periodUnit": "wk"}, None, Grant(4, Unit.VISITS, Per.WEEK)),
    ({"frequency": 2, "period": 0, "periodUnit": "wk"}, None, Grant(0, Unit.VISITS, Per.WEEK)),
])
def test_what_a_service_request_grants(repeat: dict[str, Any], hours: float | None, grant: Grant) -> None:
    assert Decision.of(granted(repeat, hours)).grant == grant


def test_hours_are_drawn_by_the_length_of_the_visit_and_given_back() -> None:
    world = World.of(service(), patient(), granted(WEEK, 2))
    assert tell(world, "b1", tomorrow(9), end=write(tomorrow(10, 30))) is None
    assert tell(world, "b2", tomorrow(11), end=write(tomorrow(12))) is Problem.DECISION_USED_UP
    assert tell(world, "b3", tomorrow(11), end=write(tomorrow(11, 30))) is None
    mine = [world.booking(appointment_id("shop", b)) for b in ("b1", "b3")]
    balance = Decision.of(granted(WEEK, 2)).balance(mine, tomorrow(9))
    assert (balance.used, balance.granted, balance.left) == (120, 120, 0)
    world.states(said("cancelled", shop_id="b1"))
    assert tell(world, "b4", tomorrow(12), end=write(tomorrow(13, 30))) is None


def test_a_month_is_counted_from_its_first_to_its_last_day() -> None:
    world = World.of(service(horizon_days=40), patient(), granted({"frequency": 1, **MONTH}))
    assert tell(world, "b1", oslo(2026, 10, 30, 9)) is None
    assert tell(world, "b2", oslo(2026, 10, 20, 9)) is Problem.DECISION_USED_UP
    assert tell(world, "b3", oslo(2026, 11, 2, 9)) is None
    assert tell(world, "b4", oslo(2026, 11, 25, 9)) is Problem.DECISION_USED_UP


def test_so_many_in_all() -> None:
    world = World.of(service(horizon_days=200), patient(), granted({"count": 2}))
    assert [tell(world, f"b{n}", oslo(2026, month, 20, 9)) for n, month in enumerate((10, 11))] == [None, None]
    assert tell(world, "b9", oslo(2027, 1, 20, 9)) is Problem.DECISION_USED_UP


def test_a_paused_decision_grants_nothing_meanwhile() -> None:
    pause = {"url": url("pause"), "valuePeriod": {"start": "2026-10-20", "end": "2026-10-21"}}
    made = granted({"frequency": 5, **WEEK})
    world = World.of(service(), patient(), {**made, "extension": [*made["extension"], pause]})
    assert tell(world, "b1", tomorrow(9)) is Problem.NO_DECISION
    assert tell(world, "b2", oslo(2026, 10, 22, 9)) is None
    endless = {"url": url("pause"), "valuePeriod": {"start": "2026-10-23"}}
    world = World.of(service(), patient(), {**made, "extension": [*made["extension"], pause, endless]})
    assert [tell(world, f"c{day}", oslo(2026, 10, day, 9)) for day in (22, 23, 30)] == [None, Problem.NO_DECISION, Problem.NO_DECISION]


def test_what_a_week_leaves_is_lost_or_carried_over_as_the_municipality_says() -> None:
    carried = granted({"frequency": 2, **WEEK})
    carried = {**carried, "extension": [*carried["extension"], {"url": url("unused"), "valueCode": "carried-over"}]}
    for made, most in ((granted({"frequency": 2, **WEEK}), 2), (carried, 3)):
        world = World.of(service(), patient(), made)
        assert tell(world, "b0", oslo(2026, 10, 21, 9)) is None  # one of two used this week
        found = [tell(world, f"n{n}", oslo(2026, 10, 26 + n, 9)) for n in range(5)]
        assert found == [None] * most + [Problem.DECISION_USED_UP] * (5 - most)


def test_what_the_next_week_took_of_this_ones_rest_is_not_left_here_too() -> None:
    carried = granted({"frequency": 2, **WEEK})
    carried = {**carried, "extension": [*carried["extension"], {"url": url("unused"), "valueCode": "carried-over"}]}
    world = World.of(service(), patient(), carried)
    assert [tell(world, f"n{n}", oslo(2026, 10, 26 + n, 9)) for n in range(4)] == [None, None, None, Problem.DECISION_USED_UP][:3] + [None]
    mine = [world.booking(appointment_id("shop", f"n{n}")) for n in range(4)]
    now = Decision.of(carried).balance(mine, tomorrow(9))
    assert (now.granted, now.used, now.left) == (0, 0, 0), "two of the next week's four are this week's"
    assert tell(world, "t1", oslo(2026, 10, 21, 9)) is Problem.DECISION_USED_UP
    world.states(said("cancelled", shop_id="n3"))
    assert [tell(world, f"t{n}", oslo(2026, 10, 21, 9 + n)) for n in (2, 3)] == [None, Problem.DECISION_USED_UP]


@given(st.lists(st.tuples(st.integers(20, 39), st.integers(9, 14)), max_size=14, unique=True))
def test_however_it_is_ordered_no_week_exceeds_what_is_granted_and_carried_over(wanted: list[tuple[int, int]]) -> None:
    carried = granted({"frequency": 2, **WEEK})
    carried = {**carried, "extension": [*carried["extension"], {"url": url("unused"), "valueCode": "carried-over"}]}
    world = World.of(service(horizon_days=40), patient(), carried)
    used: dict[int, int] = {}
    for n, (day, hour) in enumerate(wanted):
        start = oslo(2026, 10, 1, hour) + timedelta(days=day)
        if tell(world, f"b{n}", start) is None:
            used[start.isocalendar().week] = used.get(start.isocalendar().week, 0) + 1
    for week, many in used.items():
        assert many <= 2 + max(2 - used.get(week - 1, 0), 0)


def test_a_visit_every_fourth_week_is_one_in_four_weeks_and_not_none_in_each() -> None:
    """Larvik's own decision on cleaning (facts/helsenorge.md 17). Counted from the week in which the decision begins: 2026-W01."""
    world = World.of(service(horizon_days=60), patient(), granted({"frequency": 1, "period": 4, "periodUnit": "wk"}))
    assert tell(world, "b1", oslo(2026, 10, 30, 9)) is None              # W44 is the last of W41 to W44
    assert tell(world, "b2", oslo(2026, 10, 21, 9)) is Problem.DECISION_USED_UP
    assert tell(world, "b3", oslo(2026, 11, 2, 9)) is None
    assert tell(world, "b4", oslo(2026, 11, 27, 9)) is Problem.DECISION_USED_UP
    hour = World.of(service(), patient(), granted({"period": 4, "periodUnit": "wk"}, 1))
    assert tell(hour, "h1", tomorrow(9), end=write(tomorrow(10))) is None
    quarter = World.of(service(horizon_days=120), patient(), granted({"frequency": 1, "period": 3, "periodUnit": "mo"}))
    assert [tell(quarter, f"q{n}", oslo(2026, *day, 9)) for n, day in enumerate(((10, 30), (12, 30)))] == [None, Problem.DECISION_USED_UP]
    assert tell(quarter, "q3", oslo(2027, 1, 4, 9)) is None


def test_when_a_decision_is_in_force_next() -> None:
    pauses = [{"url": url("pause"), "valuePeriod": p} for p in ({"start": "2026-10-18", "end": "2026-10-22"}, {"start": "2026-10-23", "end": "2026-10-24"})]
    made = granted({"frequency": 5, **WEEK})
    paused = Decision.of({**made, "extension": [*made["extension"], *pauses]})
    assert paused.in_force_from(tomorrow(9), tomorrow(9) + timedelta(days=14)) == oslo(2026, 10, 25, 0)
    assert paused.in_force_from(tomorrow(9), oslo(2026, 10, 22, 0)) is None
    ended = Decision.of(granted({"frequency": 5, **WEEK, "boundsPeriod": {"start": "2026-01-01", "end": "2026-10-01"}}))
    assert ended.in_force_from(tomorrow(9), tomorrow(9) + timedelta(days=14)) is None


def test_a_visit_to_nobody_at_home_is_used_also_in_hours() -> None:
    world = World.of(service(), patient(), granted(WEEK, 1))
    assert tell(world, "b1", tomorrow(9), end=write(tomorrow(10))) is None
    world.states(said("noshow", id_=appointment_id("shop", "b1")), may=EPJ, origin="epj")
    assert tell(world, "b2", tomorrow(11)) is Problem.DECISION_USED_UP


@given(st.lists(st.tuples(st.integers(0, 41), st.integers(8, 15), st.booleans()), max_size=12, unique_by=lambda t: t[:2]))
def test_balances_add_up(made: list[tuple[int, int, bool]]) -> None:
    """Over six weeks: what all weeks use is what was booked and not cancelled, and nothing left is ever below nothing."""
    kept = Decision.of(granted({"frequency": 2, **WEEK}))
    first = oslo(2026, 11, 2, 0)
    bookings = [
        Booking.of({
            "resourceType": "Appointment", "id": f"{day}-{hour}", "status": "cancelled" if gone else "booked",
            "start": write(first + timedelta(days=day, hours=hour)), "end": write(first + timedelta(days=day, hours=hour, minutes=30)),
            "basedOn": [{"reference": "ServiceRequest/d1"}],
            "participant": [{"actor": {"reference": "Patient/p1"}}, {"actor": {"reference": "HealthcareService/hjelp"}}],
        }) for day, hour, gone in made
    ]
    weeks = [kept.balance(bookings, first + timedelta(days=7 * n, hours=12)) for n in range(6)]
    assert sum(week.used for week in weeks) == sum(not gone for _, _, gone in made)
    assert all(week.left == max(2 - week.used, 0) for week in weeks)
    assert all(a.until == b.first for a, b in itertools.pairwise(weeks))


def test_covers_asks_for_the_whole_visit() -> None:
    kept, department = Decision.of(decision()), Department.of(service())
    assert kept.covers("Patient/p1", department, tomorrow(9), tomorrow(10))
    assert not kept.covers("Patient/p2", department, tomorrow(9), tomorrow(10))


@pytest.mark.parametrize(("element", "grants"), [
    ({"intent": "order"}, True), ({"intent": "instance-order"}, True), ({"intent": "directive"}, True), ({"intent": "proposal"}, False),
    ({"intent": "plan"}, False), ({"intent": "option"}, False), ({"doNotPerform": True}, False), ({"doNotPerform": False}, True),
    ({"status": "draft"}, False),
])
def test_what_nobody_has_decided_yet_grants_nothing(element: dict[str, Any], grants: bool) -> None:
    """R4's modifier elements of a request: a proposal or a plan is «without providing an authorization to act»; it was a decision all the same."""
    assert Decision.of(granted(WEEK | {"frequency": 2}, **element)).active is grants
