"""The grid of slots and Norwegian wall time, through both clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from booking_world import oslo, service
from fhir.resources.R4B.slot import Slot
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.booking import Department, covering, slots_of, with_taken
from hub.booking.clock import at, begin, end, local, moments, read, week, week_bounds, write
from hub.booking.conventions import extension
from hub.booking.slots import fills, grid, is_open
from hub.problem import Problem, Refused

ALWAYS = Department.of(service(availableTime=[{"allDay": True}]))
walls = st.times().map(lambda t: t.replace(microsecond=0))
days = st.dates(date(2026, 1, 1), date(2033, 12, 31))
instants = st.datetimes(datetime(2026, 1, 1), datetime(2033, 12, 31), timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0))
clock_changes = st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), date(2027, 3, 28), date(2027, 10, 31)])


@pytest.mark.spec("facts/planning", "4.5")
def test_a_day_of_the_clock_change_has_46_or_50_half_hours() -> None:
    assert [len(grid(ALWAYS, d)) for d in (date(2027, 3, 28), date(2027, 3, 29), date(2026, 10, 25))] == [46, 48, 50]


def test_no_slot_begins_in_the_hour_that_does_not_exist() -> None:
    shown = [local(c.start).time() for c in grid(ALWAYS, date(2027, 3, 28))]
    assert time(1, 30) in shown and time(3) in shown and not any(t.hour == 2 for t in shown)


def test_the_hour_that_exists_twice_has_slots_with_different_ids() -> None:
    twice = [c.start for c in grid(ALWAYS, date(2026, 10, 25)) if local(c.start).hour == 2]
    assert [write(t) for t in twice] == ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]


opening = st.fixed_dictionaries({
    "daysOfWeek": st.lists(st.sampled_from(("mon", "tue", "wed", "thu", "fri", "sat", "sun")), min_size=1, unique=True),
    "availableStartTime": st.times().map(lambda t: f"{t.hour:02}:{t.minute - t.minute % 5:02}:00"),
    "availableEndTime": st.times().map(lambda t: f"{t.hour:02}:{t.minute - t.minute % 5:02}:00"),
})


@settings(max_examples=150, deadline=None)
@given(st.lists(opening, min_size=1, max_size=3), st.sampled_from((5, 15, 20, 30, 45, 60, 180)), st.one_of(days, clock_changes))
def test_slots_never_overlap_and_last_as_long_as_they_should(hours: list[dict[str, object]], minutes: int, day: date) -> None:
    department = Department.of(service(availableTime=hours, slot_minutes=minutes))
    cells = grid(department, day)
    assert all(c.end - c.start == timedelta(minutes=minutes) for c in cells)
    assert all(a.end <= b.start for a, b in pairwise(cells))
    for cell in cells:
        assert is_open(department, cell.start, cell.end) and fills(department, cell.start, cell.end)
        assert local(cell.start).date() - day in (timedelta(0), timedelta(days=1))


@settings(max_examples=60, deadline=None)
@given(st.lists(opening, min_size=1, max_size=2), st.sampled_from((15, 30, 60)), st.one_of(days, clock_changes), st.integers(1, 5))
def test_slots_made_a_day_at_a_time_are_those_made_at_once(hours: list[dict[str, object]], minutes: int, first: date, count: int) -> None:
    department = Department.of(service(availableTime=hours, slot_minutes=minutes))
    at_once = slots_of(department, first, count)
    daily = [slot for n in range(count) for slot in slots_of(department, first + timedelta(days=n), 1)]
    assert at_once == daily


@given(instants, st.integers(1, 600))
def test_a_visit_covers_the_slots_that_share_time_with_it(start: datetime, length: int) -> None:
    until = start + timedelta(minutes=length)
    found = covering(ALWAYS, start, until)
    starts = [datetime.strptime(s, "hjelp-%Y%m%dT%H%MZ").replace(tzinfo=UTC) for s in found]
    assert all(s < until and start < s + timedelta(minutes=30) for s in starts)
    assert starts[0] <= start and until <= starts[-1] + timedelta(minutes=30)
    assert len(set(found)) == len(found) == (starts[-1] - starts[0]) // timedelta(minutes=30) + 1


def test_a_slot_is_r4_and_busy_when_its_last_seat_is_taken() -> None:
    slot = slots_of(Department.of(service()), date(2026, 10, 20), 1)[0]
    assert slot["id"] == "hjelp-20261020T0600Z" and slot["start"] == "2026-10-20T06:00:00Z" and slot["end"] == "2026-10-20T06:30:00Z"
    assert [with_taken(slot, n)["status"] for n in range(4)] == ["free", "free", "busy", "busy"]
    assert extension(with_taken(slot, 2), "taken") == 2 and extension(slot, "taken") == 0
    Slot(**with_taken(slot, 1))


def test_a_night_department_belongs_to_the_day_it_begins() -> None:
    hours = {"daysOfWeek": ["sat"], "availableStartTime": "22:00:00", "availableEndTime": "07:00:00"}
    night = Department.of(service(availableTime=[hours]))
    assert len(grid(night, date(2027, 3, 27))) == 16, "eight hours in the night that loses one"
    assert len(grid(night, date(2026, 10, 24))) == 20
    assert is_open(night, oslo(2026, 10, 24, 23), oslo(2026, 10, 25, 5))
    assert not is_open(night, oslo(2026, 10, 25, 23), oslo(2026, 10, 26, 1))


# Wall time

@given(st.one_of(days, clock_changes), walls)
def test_every_moment_found_shows_the_wall_time(day: date, wall: time) -> None:
    naive = datetime.combine(day, wall)
    found = moments(naive)
    assert len(found) <= 2 and all(local(m).replace(tzinfo=None, fold=0) == naive for m in found)
    if not found:
        with pytest.raises(Refused) as caught:
            read(naive.isoformat(), "Appointment.start")
        assert caught.value.problem is Problem.NO_SUCH_TIME
    else:
        assert read(naive.isoformat(), "Appointment.start") == at(day, wall) == found[0]


@given(instants)
def test_an_instant_read_back_is_the_same(instant: datetime) -> None:
    assert read(write(instant), "x") == instant
    assert read(local(instant).isoformat(), "x") == instant


@given(instants)
def test_a_week_holds_its_instant_and_is_a_whole_week(instant: datetime) -> None:
    monday, following = week_bounds(instant)
    assert monday <= instant < following
    assert (following - monday) / timedelta(hours=1) in (167, 168, 169)
    assert week(monday) == week(instant) == week(following - timedelta(seconds=1)) != week(following)


@pytest.mark.spec("facts/planning", "4.5")
def test_week_53() -> None:
    assert week(oslo(2026, 12, 28, 0)) == week(oslo(2027, 1, 3, 23, 59)) == (2026, 53)
    assert week(oslo(2027, 1, 4, 0)) == (2027, 1)
    assert week(datetime(2027, 1, 3, 23, 30, tzinfo=UTC)) == (2027, 1), "Monday in Norway"


def test_dates_as_bounds_are_whole_norwegian_days_months_and_years() -> None:
    assert (write(begin("2026-10-25")), write(end("2026-10-25"))) == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    assert (write(begin("2026-12")), write(end("2026-12"))) == ("2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z")
    assert (write(begin("2026")), write(end("2026"))) == ("2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z")
    assert begin("2026-10-20T09:00:00+02:00") == end("2026-10-20T09:00:00+02:00") == begin("2026-10-20T09:00:00")
