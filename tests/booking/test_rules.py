"""The rules of an asked visit, one by one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from booking_world import EPJ, NOW, PERSON, World, book, decision, later, oslo, patient, said, service, tomorrow

from hub.booking import Decision, Department, Visit
from hub.booking.clock import write
from hub.booking.conventions import appointment_id
from hub.message import Resource
from hub.problem import Problem, Refused

ID = appointment_id("shop", "b1")


@pytest.fixture
def world() -> World:
    return World.of(service(), patient(), decision())


def refusal(world: World, statement: Resource) -> Refused:
    before = dict(world.resources)
    with pytest.raises(Refused) as caught:
        world.states(statement)
    assert world.resources == before
    return caught.value


def problem(world: World, start: datetime | str, minutes: int = 30, **more: object) -> Problem:
    end = {"end": write(later(start, minutes))} if isinstance(start, datetime) else {}
    return refusal(world, book("b1", start, **{**end, **more})).problem  # type: ignore[arg-type]


# Person and department

def test_a_person_nobody_knows_is_refused_without_naming_them(world: World) -> None:
    refused = refusal(world, book("b1", tomorrow(9), "13812299999"))
    assert refused.problem is Problem.UNKNOWN_PERSON and refused.where == "Appointment.participant.actor"
    assert "13812299999" not in str(refused)


def test_a_person_no_longer_served_is_unknown(world: World) -> None:
    world.resources["Patient", "p1"]["active"] = False
    assert problem(world, tomorrow(9)) is Problem.UNKNOWN_PERSON


def test_a_booking_must_name_a_person_and_a_department(world: World) -> None:
    statement = book("b1", tomorrow(9))
    assert refusal(world, {**statement, "participant": statement["participant"][:1]}).problem is Problem.UNKNOWN_SERVICE
    assert refusal(world, {**statement, "participant": statement["participant"][1:]}).problem is Problem.UNKNOWN_PERSON
    assert refusal(world, {**statement, "participant": []}).problem is Problem.UNKNOWN_PERSON


def test_an_unknown_or_closed_down_department_takes_no_bookings(world: World) -> None:
    assert problem(world, tomorrow(9), department="annen") is Problem.UNKNOWN_SERVICE
    world.resources["HealthcareService", "hjelp"] = service(active=False)
    assert problem(world, tomorrow(9)) is Problem.UNKNOWN_SERVICE


def test_a_booking_can_still_be_cancelled_when_its_department_takes_no_more(world: World) -> None:
    world.states(book("b1", tomorrow(9)))
    world.resources["HealthcareService", "hjelp"] = service(active=False)
    assert refusal(world, said("proposed", shop_id="b1", start=write(tomorrow(10)))).problem is Problem.UNKNOWN_SERVICE
    world.states(said("cancelled", shop_id="b1"))


# Decision

@pytest.mark.parametrize("changes", [
    {"status": "revoked"}, {"status": "completed"}, {"status": "draft"}, {"doNotPerform": True},
    {"code": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9151", "code": "15"}]}},
    {"code": {"coding": [{"system": "urn:another", "code": "1"}]}},
    {"who": "p2"}, {"department": "annen"},
])
def test_a_decision_must_be_in_force_for_this_person_service_and_department(changes: dict[str, object]) -> None:
    world = World.of(service(), patient(), decision(**changes))  # type: ignore[arg-type]
    assert problem(world, tomorrow(9)) is Problem.NO_DECISION


def test_a_decision_is_never_good_for_another_person() -> None:
    theirs = Decision.of(decision(who="p2"))
    department, hours = Department.of(service()), (tomorrow(9), tomorrow(9, 30))
    assert theirs.covers("Patient/p2", department, *hours) and not theirs.covers("Patient/p1", department, *hours)


def bounded(start: str | None, end: str | None) -> World:
    made = decision()
    period = {key: value for key, value in (("start", start), ("end", end)) if value}
    made["occurrenceTiming"]["repeat"]["boundsPeriod"] = period
    return World.of(service(), patient(), made)


def test_a_decision_covers_its_first_and_its_last_day_whole() -> None:
    bounded("2026-10-20", "2026-10-20").states(book("b1", tomorrow(8)))
    bounded("2026-10-20", "2026-10-20").states(book("b1", tomorrow(15), end=write(tomorrow(16))))
    bounded(None, None).states(book("b1", tomorrow(8)))
    bounded("2026-10", "2026-10").states(book("b1", tomorrow(8)))
    assert problem(bounded("2026-10-21", None), tomorrow(9)) is Problem.NO_DECISION
    assert problem(bounded(None, "2026-10-19"), tomorrow(9)) is Problem.NO_DECISION
    assert problem(bounded(None, "2026-10-20T09:15:00+02:00"), tomorrow(9)) is Problem.NO_DECISION


def test_as_many_visits_a_week_as_the_decision_grants_and_no_more() -> None:
    world = World.of(service(), patient(), decision(visits=2))
    world.states(book("b2", tomorrow(9)))
    world.states(book("b3", tomorrow(10)))
    assert problem(world, tomorrow(11)) is Problem.DECISION_USED_UP
    world.states(book("b4", oslo(2026, 10, 26, 8)))
    world.states(said("cancelled", shop_id="b2"))
    world.states(book("b1", tomorrow(11)))


def test_a_visit_to_somebody_not_at_home_is_used() -> None:
    world = World.of(service(), patient(), decision(visits=1))
    world.states(book("b2", tomorrow(9)))
    world.states(said("noshow", id_=appointment_id("shop", "b2")), may=EPJ, origin="epj")
    assert problem(world, tomorrow(11)) is Problem.DECISION_USED_UP


def test_moving_within_the_week_uses_no_second_visit_but_moving_into_a_full_week_does() -> None:
    world = World.of(service(), patient(), decision(visits=1))
    world.states(book("b1", tomorrow(9)))
    world.states(said("proposed", shop_id="b1", start=write(tomorrow(9, 30))))
    world.states(book("b2", oslo(2026, 10, 27, 9)))
    assert refusal(world, said("proposed", shop_id="b1", start=write(oslo(2026, 10, 28, 9)))).problem is Problem.DECISION_USED_UP


def test_a_second_decision_serves_when_the_first_is_used() -> None:
    world = World.of(service(), patient(), decision("d1", visits=1), decision("d2", visits=1))
    world.states(book("b1", tomorrow(9)))
    world.states(book("b2", tomorrow(10)))
    assert {world.booking(appointment_id("shop", b)).decision for b in ("b1", "b2")} == {"d1", "d2"}


@pytest.mark.parametrize(("repeat", "amount"), [
    ({"frequency": 3, "period": 1, "periodUnit": "wk"}, 3), ({"frequency": 2, "period": 1, "periodUnit": "d"}, 14),
    ({"frequency": 1, "period": 2, "periodUnit": "wk"}, 1), ({"frequency": 3, "period": 2, "periodUnit": "wk"}, 3),
    ({"frequency": 2, "period": 1, "periodUnit": "mo"}, 2), ({"count": 12}, 12), ({"period": 1, "periodUnit": "wk"}, 0), ({}, 0),
])
def test_what_is_granted_from_r4_timing(repeat: dict[str, object], amount: int) -> None:
    assert Decision.of(decision(occurrenceTiming={"repeat": repeat})).grant.amount == amount


# Opening hours

def test_a_visit_may_touch_opening_and_closing_but_not_pass_them(world: World) -> None:
    world.states(book("b2", tomorrow(8)))
    world.states(book("b3", tomorrow(15), end=write(tomorrow(16))))
    assert problem(world, tomorrow(7, 30), 60) is Problem.OUTSIDE_OPENING_HOURS
    assert problem(world, tomorrow(15, 30), 31) is Problem.OUTSIDE_OPENING_HOURS
    assert problem(world, tomorrow(15, 30), 60 * 17) is Problem.OUTSIDE_OPENING_HOURS, "closed at night in between"
    assert problem(world, oslo(2026, 10, 24, 9)) is Problem.OUTSIDE_OPENING_HOURS, "Saturday opens at ten"
    assert problem(world, oslo(2026, 10, 25, 12)) is Problem.OUTSIDE_OPENING_HOURS, "closed on Sunday"


@pytest.mark.parametrize(("during", "open_"), [
    ({"start": "2026-10-20", "end": "2026-10-20"}, False), ({"start": "2026-10-19", "end": "2026-10-21"}, False),
    ({"start": "2026-10-20T12:00:00+02:00", "end": "2026-10-20T14:00:00+02:00"}, True),
    ({"start": "2026-10-20T09:10:00+02:00", "end": "2026-10-20T09:20:00+02:00"}, False),
    ({"start": "2026-10-21"}, True), ({"start": "2026-10-20"}, False), ({"end": "2026-10-19"}, True), ({"end": "2026"}, False),
    ({"start": "2026-11", "end": "2026-12"}, True), (None, False),
])
def test_closed_periods_close(during: dict[str, str] | None, open_: bool) -> None:
    closed: Resource = {"description": "stengt", **({"during": during} if during else {})}
    world = World.of(service(notAvailable=[closed]), patient(), decision())
    if open_:
        world.states(book("b1", tomorrow(9)))
    else:
        assert problem(world, tomorrow(9)) is Problem.OUTSIDE_OPENING_HOURS


def test_opening_hours_that_follow_each_other_are_one_opening() -> None:
    halves = [{"availableStartTime": f"{a}:00:00", "availableEndTime": f"{b}:00:00"} for a, b in (("08", "12"), ("12", "16"))]
    world = World.of(service(availableTime=halves), patient(), decision())
    assert len(world.states(book("b1", tomorrow(11, 30), end=write(tomorrow(12, 30)))).takes) == 2


def test_a_department_without_opening_hours_is_closed() -> None:
    world = World.of(service(availableTime=[]), patient(), decision())
    assert problem(world, tomorrow(9)) is Problem.OUTSIDE_OPENING_HOURS


# Grid

def test_a_visit_starts_where_a_slot_starts(world: World) -> None:
    assert problem(world, tomorrow(9, 10)) is Problem.OFF_GRID


def test_what_no_slot_covers_cannot_be_booked() -> None:
    """Open to 15.40 with half-hour slots: the last ten minutes belong to no slot, so nobody would count who is there."""
    hours = [{"availableStartTime": "08:00:00", "availableEndTime": "15:40:00"}]
    world = World.of(service(availableTime=hours), patient(), decision())
    assert problem(world, tomorrow(15), 40) is Problem.OUTSIDE_OPENING_HOURS
    assert problem(world, tomorrow(15, 30), 10) is Problem.OFF_GRID
    world.states(book("b1", tomorrow(15)))


# Capacity

def test_the_last_seat_is_taken_once() -> None:
    world = World.of(service(capacity=1), patient(), decision(), patient("p2", "13812212342"), decision("d2", "p2"))
    world.states(book("b2", tomorrow(9), "13812212342", end=write(tomorrow(10))))
    assert problem(world, tomorrow(9, 30)) is Problem.FULL
    world.states(book("b3", tomorrow(10)))


def test_a_move_does_not_stand_in_its_own_way() -> None:
    world = World.of(service(capacity=1), patient(), decision())
    world.states(book("b1", tomorrow(9), end=write(tomorrow(10))))
    world.states(said("proposed", shop_id="b1", start=write(tomorrow(9, 30))))
    assert world.booking(ID).slots == ("hjelp-20261020T0730Z", "hjelp-20261020T0800Z")


def test_a_department_without_capacity_takes_nobody() -> None:
    assert problem(World.of(service(capacity=0), patient(), decision()), tomorrow(9)) is Problem.FULL


# When

@pytest.mark.spec("facts/planning", "4.5")
def test_the_fourteenth_day_can_be_booked_from_midnight_and_not_the_fifteenth(world: World) -> None:
    """Local days, over the night in which the clock goes back."""
    world.states(book("b2", oslo(2026, 11, 2, 15)))
    assert problem(world, oslo(2026, 11, 3, 8)) is Problem.BEYOND_HORIZON
    world.now = oslo(2026, 10, 19, 23, 59)
    assert problem(world, oslo(2026, 11, 3, 8)) is Problem.BEYOND_HORIZON
    world.now = oslo(2026, 10, 20, 0)
    world.states(book("b1", oslo(2026, 11, 3, 8)))


def test_the_shortest_notice_is_kept_to_the_minute(world: World) -> None:
    world.now = tomorrow(9) - timedelta(hours=2)
    world.states(book("b2", tomorrow(9)))
    world.now += timedelta(seconds=1)
    assert problem(world, tomorrow(9)) is Problem.TOO_LATE
    assert refusal(world, said("cancelled", shop_id="b2")).problem is Problem.TOO_LATE
    assert refusal(world, said("proposed", shop_id="b2", start=write(tomorrow(14)))).problem is Problem.TOO_LATE
    world.states(said("cancelled", id_=appointment_id("shop", "b2")), may=EPJ, origin="epj")


def test_nothing_is_booked_in_the_past_even_where_no_notice_is_asked() -> None:
    world = World.of(service(notice_minutes=0), patient(), decision())
    world.now = tomorrow(9) + timedelta(seconds=1)
    assert problem(world, tomorrow(9)) is Problem.PAST


# The person's own visits

def test_nobody_has_two_visits_at_a_time_whatever_the_department() -> None:
    world = World.of(service(), service("annen"), patient(), decision(), decision("d2", department="annen"))
    world.states(book("b2", tomorrow(9), end=write(tomorrow(10))))
    assert problem(world, tomorrow(9, 30), department="annen") is Problem.OVERLAPS_OWN
    world.states(book("b1", tomorrow(10), department="annen"))
    assert refusal(world, said("proposed", shop_id="b1", start=write(tomorrow(9, 30)))).problem is Problem.OVERLAPS_OWN


def test_whoever_may_not_know_of_the_other_visit_is_only_told_that_the_time_is_not_to_be_had() -> None:
    """That somebody is visited by another department then is that department's and the person's to know."""
    world = World.of(service(), service("annen"), patient(), decision(), decision("d2", department="annen"))
    world.states(book("b2", tomorrow(9), end=write(tomorrow(10))))
    for departments, told in ((("annen",), Problem.FULL), (("annen", "hjelp"), Problem.OVERLAPS_OWN), ((), Problem.OVERLAPS_OWN)):
        with pytest.raises(Refused) as refused:
            world.states(book("b1", tomorrow(9, 30), department="annen"), departments=frozenset(departments))
        full = Refused(Problem.FULL, "no seat left in a slot that it covers", "Appointment.slot")
        assert refused.value.problem is told
        assert told is Problem.OVERLAPS_OWN or str(refused.value) == str(full), "word for word what a taken seat is told"


def test_a_long_visit_that_began_the_day_before_the_week_is_seen() -> None:
    always = [{"allDay": True}]
    world = World.of(service(availableTime=always), patient(), decision())
    world.now = oslo(2026, 10, 24, 8)
    world.states(book("b2", oslo(2026, 10, 25, 22), end=write(oslo(2026, 10, 26, 8))))
    assert problem(world, oslo(2026, 10, 26, 7, 30)) is Problem.OVERLAPS_OWN


def test_a_long_visit_sees_what_begins_in_the_week_after() -> None:
    world = World.of(service(availableTime=[{"allDay": True}]), patient(), decision())
    world.states(book("b2", oslo(2026, 10, 26, 2)))
    assert problem(world, oslo(2026, 10, 25, 22), 60 * 10) is Problem.OVERLAPS_OWN


# Clock changes and week 53

@pytest.mark.spec("facts/planning", "4.5")
@pytest.mark.parametrize("start", ["2027-03-28T02:30:00", "2027-03-28T02:30:00+01:00", "2027-03-28T02:00:00+02:00", "2027-03-28T02:59:59"])
def test_a_time_that_the_march_night_skips_does_not_exist(start: str) -> None:
    world = World.of(service(availableTime=[{"allDay": True}]), patient(), decision())
    world.now = oslo(2027, 3, 27, 8)
    assert problem(world, start) is Problem.NO_SUCH_TIME


@pytest.mark.spec("facts/planning", "4.5")
def test_the_hour_that_the_october_night_shows_twice_can_be_booked_twice() -> None:
    world = World.of(service(availableTime=[{"allDay": True}], capacity=1), patient(), decision(visits=9))
    first = world.states(book("b1", "2026-10-25T02:30:00+02:00"))
    second = world.states(book("b2", "2026-10-25T02:30:00+01:00"))
    assert [[s.slot for s in o.takes] for o in (first, second)] == [["hjelp-20261025T0030Z"], ["hjelp-20261025T0130Z"]]
    assert world.booking(ID).end - world.booking(ID).start == timedelta(minutes=30)


def test_a_wall_time_without_offset_is_norwegian(world: World) -> None:
    world.states(book("b1", "2026-10-20T09:00:00"))
    world.states(book("b2", "2026-10-27T09:00:00"))
    assert world.booking(ID).start == tomorrow(9)
    assert world.resources["Appointment", appointment_id("shop", "b2")]["start"] == "2026-10-27T08:00:00Z"


@pytest.mark.spec("facts/planning", "4.5")
def test_the_week_of_new_year_is_week_53_and_is_one_week() -> None:
    """Friday 1 January 2027 is in ISO week 53 of 2026: a decision's visits are counted over the turn of the year."""
    world = World.of(service(), patient(), decision(visits=1))
    world.now = oslo(2026, 12, 27, 8)
    world.states(book("b1", oslo(2026, 12, 28, 9)))
    assert refusal(world, book("b2", oslo(2027, 1, 1, 9))).problem is Problem.DECISION_USED_UP
    world.states(book("b2", oslo(2027, 1, 4, 9)))


def test_the_week_changes_at_norwegian_midnight() -> None:
    """Sunday 23.30 in UTC is Monday in Norway: another week."""
    world = World.of(service(availableTime=[{"allDay": True}]), patient(), decision(visits=1))
    world.states(book("b1", oslo(2026, 10, 25, 23)))
    world.states(book("b2", oslo(2026, 10, 26, 0)))


# Views

def test_a_visit_joins_plan_and_what_happened(world: World) -> None:
    world.states(book("b1", tomorrow(9)))
    report = {"resourceType": "Encounter", "status": "finished", "period": {"start": write(tomorrow(9, 3)), "end": write(tomorrow(9, 20))}}
    out = world.states(said("fulfilled", id_=ID), report, may=EPJ, origin="epj")
    visit = Visit.of(world.resources["Appointment", ID], out.encounter)
    assert (visit.booking.start, visit.arrived, visit.left) == (tomorrow(9), tomorrow(9, 3), tomorrow(9, 20))
    assert Visit.of(world.resources["Appointment", ID]).arrived is None


def test_a_department_that_says_nothing_of_its_own_has_defaults() -> None:
    bare = service()
    del bare["extension"]
    department = Department.of(bare)
    assert (department.capacity, department.horizon_days, department.notice_minutes) == (0, 14, 120)


def test_refusals_never_tell_who(world: World) -> None:
    for statement in (book("b1", tomorrow(7)), book("b1", NOW), book("b1", tomorrow(9), department="annen")):
        assert PERSON not in str(refusal(world, statement))
