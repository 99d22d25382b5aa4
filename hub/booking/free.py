"""Which times a person can choose: the rules of booking turned round, over all days up to the horizon, from four facts read once.

A time is offered exactly when `rules.check` would accept it (a property test holds the two together).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from hub.booking.clock import local
from hub.booking.decision import Decision
from hub.booking.department import Asker, Department
from hub.booking.slots import Seat, covering, fills, grid, seats_over, slot_id
from hub.booking.stays import paused
from hub.booking.views import Booking
from hub.message import Resource

_DAY = timedelta(days=1)


Span = tuple[datetime, datetime]
"""[from, until)."""


class Beginning(NamedTuple):
    """A visit of some length that the grid has room for, whoever else comes."""

    start: datetime
    end: datetime
    day: date
    """The local day that it begins on."""
    seats: tuple[Seat, ...]
    """What it needs, with the way to the next."""


class Time(NamedTuple):
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


@lru_cache(maxsize=2048)
def beginnings(department: Department, minutes: int, day: date) -> tuple[Beginning, ...]:
    """Where visits of this length can begin in a day's opening hours, in order."""
    length = timedelta(minutes=minutes)
    return tuple(
        Beginning(c.start, c.start + length, local(c.start).date(), seats_over(department, c.start, department.busy_until(c.start + length)))
        for c in grid(department, day) if fills(department, c.start, c.start + length)
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
    department, today = wish.department, local(now).date()
    days = [day for n in range(department.horizon_days + 1) if (day := today + n * _DAY) and (only is None or day in only)]
    found: dict[date, dict[datetime, Time]] = {day: {} for day in days}
    if _welcome(wish):
        chooser = _Chooser.of(wish, decisions, bookings, taken)
        earliest = now + timedelta(minutes=max(department.notice_minutes, 0))
        for day in sorted({*days, *(d - _DAY for d in days)}):  # a night belongs to the day that it began on
            for beginning in beginnings(department, wish.minutes, day):
                if beginning.start >= earliest and beginning.day in found and (left := chooser.left(beginning)) > 0:
                    found[beginning.day][beginning.start] = Time(beginning.start, beginning.end, left)
    return tuple(Day(day, bool(grid(department, day)), tuple(sorted(times.values()))) for day, times in found.items())


def _slots_of(moved: Booking, department: Department) -> set[str]:
    """What it has seats in: its own time, and the confirmed one that stands while this one is asked for."""
    return {*moved.slots, *(s for first, last in moved.times[1:] for s in covering(department, first, department.busy_until(last)))}


def _welcome(wish: Wish) -> bool:
    """The department takes bookings of this length from whoever asks; a visit may be moved as long as it is."""
    same = wish.moved is not None and wish.moved.end - wish.moved.start == timedelta(minutes=wish.minutes)
    return wish.department.active and wish.asker in wish.department.askers and (same or wish.department.offers(wish.minutes))


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
    cells = [cell for day in days for cell in grid(department, day) if not covered(spans, cell.start, cell.end)]
    return {**taken, **{slot_id(department.code, c.start): department.capacity_at(c.start) for c in cells}}


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Answers for one beginning at a time whether it can be chosen: what is asked of each of them costs a microsecond or two."""

    stays: tuple[Resource, ...]
    decisions: list[Decision] | None
    """Those that are about this person and service."""
    own: list[Booking]
    busy: list[Span]
    taken: Mapping[str, int]
    balances: dict[tuple[str, date], int]
    """What is left of a decision for a visit on a day: periods are whole days."""

    @classmethod
    def of(cls, wish: Wish, decisions: Iterable[Decision] | None, bookings: Iterable[Booking], taken: Mapping[str, int]) -> _Chooser:
        own = [b for b in bookings if wish.moved is None or b.id != wish.moved.id]
        free = decisions is None or (wish.moved is not None and wish.moved.planned)
        mine = None if free else [d for d in decisions or () if d.about(wish.patient, wish.department)]
        if wish.moved:
            taken = {**taken, **{slot: taken.get(slot, 0) - 1 for slot in _slots_of(wish.moved, wish.department)}}
        return cls(wish.stays, mine, own, [span for b in own if b.active for span in b.times], taken, {})

    def left(self, at: Beginning) -> int:
        """How many can still choose it; 0: it cannot be chosen."""
        start, until, day, seats = at
        for first, last in self.busy:
            if first < until and start < last:
                return 0
        if self.stays and paused(self.stays, start, until):
            return 0
        taken = self.taken
        left = min([seat.capacity - taken.get(seat.slot, 0) for seat in seats])
        return left if left > 0 and (self.decisions is None or self._granted(start, until, day)) else 0

    def _granted(self, start: datetime, until: datetime, day: date) -> bool:
        for decision in self.decisions or ():
            if decision.lasts(start, until) and decision.costs(start, until) <= self._balance(decision, start, day):
                return True
        return False

    def _balance(self, decision: Decision, start: datetime, day: date) -> int:
        key = (decision.id, day)
        if key not in self.balances:
            self.balances[key] = decision.balance(self.own, start).left
        return self.balances[key]
