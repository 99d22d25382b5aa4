"""Which times a person can choose: the rules of booking turned round, over all days up to the horizon, from four facts read once.

A time is offered exactly when `rules.check` would accept it (a property test holds the two together).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice

from hub.booking.clock import local
from hub.booking.decision import Decision
from hub.booking.department import Asker, Department
from hub.booking.slots import grid, slot_id
from hub.booking.stays import paused
from hub.booking.views import Booking
from hub.message import Resource

_DAY = timedelta(days=1)


Span = tuple[datetime, datetime]
"""[from, until)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One slot of a department's day, and how many seats it has."""

    start: datetime
    end: datetime
    slot: str
    capacity: int
    day: date
    """The local day that it begins on."""


@dataclass(frozen=True, slots=True)
class Time:
    """A time that can be chosen."""

    start: datetime
    end: datetime
    left: int
    """How many can still choose it."""


@dataclass(frozen=True, slots=True)
class Day:
    """One local day."""

    day: date
    open: bool
    """The department receives bookings that day; without times: all is taken, too near, or not granted."""
    times: tuple[Time, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody looks for."""

    patient: str
    department: Department
    minutes: int
    asker: Asker = Asker.PERSON
    moved: Booking | None = None
    """Its own time counts as free."""
    stays: tuple[Resource, ...] = ()
    """The person's Flags: nothing is offered while they are away."""


@lru_cache(maxsize=4096)
def places(department: Department, day: date) -> tuple[Place, ...]:
    """The department's slots that begin in a day's opening hours, in order."""
    return tuple(
        Place(c.start, c.end, slot_id(department.code, c.start), department.capacity_at(c.start), local(c.start).date())
        for c in grid(department, day)
    )


def free_times(
    wish: Wish, decisions: Iterable[Decision] | None, bookings: Iterable[Booking], taken: Mapping[str, int], now: datetime,
    only: Collection[date] | None = None,
) -> tuple[Day, ...]:
    """Every day from today to the horizon with the times that can be chosen.

    Args:
        decisions: the person's; None: it is not known yet whom the visit is for, and nobody's decision is asked for.
        bookings: the person's, as far back as the decisions count and as far ahead as the horizon.
        taken: seats taken or held per slot of the department; a slot that is not there is empty.
        only: the days that matter; None: all of them.
    """
    today = local(now).date()
    own = [b for b in bookings if wish.moved is None or b.id != wish.moved.id]
    days = [day for n in range(wish.department.horizon_days + 1) if (day := today + n * _DAY) and (only is None or day in only)]
    row = [p for day in sorted({*days, *(d + _DAY for d in days)}) for p in places(wish.department, day)]  # a visit may run past midnight
    active = None if decisions is None else [d for d in decisions if d.active]
    chooser = _Chooser(wish, active, own, row, taken)
    earliest = now + timedelta(minutes=max(wish.department.notice_minutes, 0))
    same = wish.moved is not None and wish.moved.end - wish.moved.start == timedelta(minutes=wish.minutes)
    welcome = wish.department.active and wish.asker in wish.department.askers and (same or wish.department.offers(wish.minutes))
    found: dict[date, list[Time]] = {}
    for number, place in enumerate(row):
        if welcome and place.start >= earliest and place.day in days and (time := chooser.at(number)) is not None:
            found.setdefault(place.day, []).append(time)
    return tuple(Day(day, bool(places(wish.department, day)), tuple(found.get(day, ()))) for day in days)


def covered(spans: Iterable[Span], start: datetime, until: datetime) -> bool:
    """The spans, together and without a gap, cover [start, until)."""
    reached = start
    for first, last in sorted(spans):
        if first > reached:
            break
        reached = max(reached, last)
    return reached >= until


def closed_elsewhere(department: Department, days: Iterable[date], spans: Collection[Span], taken: Mapping[str, int]) -> dict[str, int]:
    """Seats taken when another calendar owns the department's time: where it is not free, every seat is."""
    places_ = [place for day in days for place in places(department, day)]
    return {**taken, **{p.slot: p.capacity for p in places_ if not covered(spans, p.start, p.end)}}


class _Chooser:
    """Answers for one slot at a time whether a visit can begin there."""

    def __init__(
        self, wish: Wish, decisions: list[Decision] | None, own: list[Booking], row: list[Place], taken: Mapping[str, int],
    ) -> None:
        self.wish, self.decisions, self.own, self.row, self.taken = wish, decisions, own, row, taken
        self.busy = [(b.start, b.end) for b in own if b.active]
        self.length = timedelta(minutes=wish.minutes)
        self.held = wish.moved.slots if wish.moved else ()
        self.ends = [place.end for place in row]
        self.left_of: dict[tuple[str, date], int] = {}

    def at(self, number: int) -> Time | None:
        """The time that begins with this slot; None when it cannot be chosen."""
        start, day = self.row[number].start, self.row[number].day
        until = start + self.length
        if not self._filled(number, until) or any(first < until and start < last for first, last in self.busy):
            return None
        if self.wish.stays and paused(self.wish.stays, start, until):
            return None
        left = self._seats(start, self.wish.department.busy_until(until))
        return Time(start, until, left) if left > 0 and self._granted(start, until, day) else None

    def _filled(self, number: int, until: datetime) -> bool:
        """Slots follow each other without a gap until the visit ends: then it is open all the way, since each slot is."""
        reached = self.row[number].start
        for place in islice(self.row, number, None):
            if place.start != reached or reached >= until:
                break
            reached = place.end
        return reached >= until

    def _seats(self, start: datetime, until: datetime) -> int:
        """The fewest seats left in any slot that is used."""
        left = None
        for place in islice(self.row, bisect_right(self.ends, start), None):
            if place.start >= until:
                break
            here = place.capacity - self.taken.get(place.slot, 0) + self.held.count(place.slot)
            left = here if left is None else min(left, here)
        return left or 0

    def _granted(self, start: datetime, until: datetime, day: date) -> bool:
        return self.decisions is None or any(
            d.covers(self.wish.patient, self.wish.department, start, until) and d.costs(start, until) <= self._left(d, start, day)
            for d in self.decisions
        )

    def _left(self, decision: Decision, start: datetime, day: date) -> int:
        """What is left for a visit on this local day: periods are whole ones."""
        key = (decision.id, day)
        if key not in self.left_of:
            self.left_of[key] = decision.balance(self.own, start).left
        return self.left_of[key]
