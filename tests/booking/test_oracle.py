"""weigh against a brute-force oracle that walks minute by minute through Norwegian wall time and shares no code with the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from booking_world import World, book, decision, patient, service
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.booking.clock import write
from hub.message import Resource
from hub.problem import Problem, Refused

OSLO = ZoneInfo("Europe/Oslo")
MINUTE = timedelta(minutes=1)
NIGHT = service(
    "hjelp", capacity=2, notice_minutes=60,
    availableTime=[
        {"daysOfWeek": ["mon", "tue", "wed", "thu", "fri"], "availableStartTime": "08:00:00", "availableEndTime": "15:00:00"},
        {"daysOfWeek": ["sat", "sun"], "allDay": True},
        {"daysOfWeek": ["wed"], "availableStartTime": "22:00:00", "availableEndTime": "02:00:00"},
    ],
    notAvailable=[{"description": "stengt", "during": {"start": "2026-10-22", "end": "2026-10-22"}}],
)
PEOPLE = {f"p{n}": f"1381221234{n}" for n in range(4)}
BEGIN = datetime(2026, 10, 18, 22, 0, tzinfo=UTC)
"""The Monday of a week whose Sunday has 25 hours."""


def open_at(minute: datetime) -> bool:
    """The opening hours of NIGHT, told in another way."""
    here = minute.astimezone(OSLO)
    clock = here.hour * 60 + here.minute
    if here.date().isoformat() == "2026-10-22":
        return False
    if here.weekday() >= 5:
        return True
    if here.weekday() == 2 and clock >= 22 * 60:
        return True
    return 8 * 60 <= clock < 15 * 60 or (here.weekday() == 3 and clock < 2 * 60)


def minutes(start: datetime, until: datetime) -> list[datetime]:
    return [start + n * MINUTE for n in range(int((until - start) / MINUTE))]


def objections(world: World, who: str, start: datetime, until: datetime) -> set[Problem]:
    """Every reason against the visit."""
    here, today = start.astimezone(OSLO), world.now.astimezone(OSLO)
    kept = [r for (t, _), r in world.resources.items() if t == "Appointment" and r["status"] != "cancelled"]
    spans = [(r, datetime.fromisoformat(r["start"]), datetime.fromisoformat(r["end"])) for r in kept]
    own = [(s, e) for r, s, e in spans if f"Patient/{who}" in str(r["participant"])]
    found = set()
    if not all(open_at(m) for m in minutes(start, until)):
        found.add(Problem.OUTSIDE_OPENING_HOURS)
    if here.minute % 30:
        found.add(Problem.OFF_GRID)
    if start < world.now:
        found.add(Problem.PAST)
    if start < world.now + timedelta(minutes=60):
        found.add(Problem.TOO_LATE)
    if (here.date() - today.date()).days > 14:
        found.add(Problem.BEYOND_HORIZON)
    granted = int(who[1])                                       # p0 has no decision at all, p1 one visit a week, p2 two, p3 three
    if not granted:
        found.add(Problem.NO_DECISION)
    elif sum(s.astimezone(OSLO).isocalendar()[:2] == here.isocalendar()[:2] for s, _ in own) >= granted:
        found.add(Problem.DECISION_USED_UP)
    if any(s < until and start < e for s, e in own):
        found.add(Problem.OVERLAPS_OWN)
    for half_hour in {m - timedelta(minutes=m.minute % 30) for m in minutes(start, until)}:
        if sum(s < half_hour + timedelta(minutes=30) and half_hour < e for _, s, e in spans) >= 2:
            found.add(Problem.FULL)
    return found


asked = st.tuples(
    st.sampled_from(sorted(PEOPLE)),
    st.one_of(                                                  # half hours after BEGIN; crowded so that capacity and overlap are met
        st.integers(0, 16 * 48), st.integers(16, 32), st.integers(6 * 48, 6 * 48 + 12), st.integers(3 * 48 - 6, 3 * 48 + 6),
    ),
    st.sampled_from((0, 0, 0, 0, 10)),                          # minutes off the grid
    st.sampled_from((10, 30, 30, 45, 60, 120)),                 # length
)


@pytest.mark.spec("facts/planning", "4.5")
@settings(max_examples=250, deadline=None)
@given(st.lists(asked, min_size=1, max_size=12), st.integers(0, 7 * 24 * 60))
def test_a_booking_is_accepted_exactly_when_the_oracle_has_no_objection(wishes: list[tuple[str, int, int, int]], clock: int) -> None:
    world = World.of(NIGHT, *(patient(id_, number) for id_, number in PEOPLE.items()), *(decision(f"d{n}", f"p{n}", n) for n in (1, 2, 3)))
    world.now = BEGIN - timedelta(days=1) + timedelta(minutes=clock if clock % 3 == 0 else 0)
    for number, (who, halves, off, length) in enumerate(wishes):
        start = BEGIN + timedelta(minutes=30 * halves + off)
        until = start + timedelta(minutes=length)
        against = objections(world, who, start, until)
        statement: Resource = book(f"b{number}", start, PEOPLE[who], end=write(until))
        try:
            world.states(statement)
        except Refused as refused:
            assert refused.problem in against, f"refused for {refused.problem}, the oracle knows {against}"
        else:
            assert not against
