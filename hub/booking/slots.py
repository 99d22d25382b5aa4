"""A department's grid of slots, made from local wall time day by day, so that both clock changes come out right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from hub.booking.clock import MIDNIGHT, at, local, moments, write
from hub.booking.conventions import extension, with_extension
from hub.booking.department import Department
from hub.message import Resource

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cell:
    """One slot of the grid."""

    start: datetime
    end: datetime


@lru_cache(maxsize=4096)
def is_open(department: Department, start: datetime, until: datetime) -> bool:
    """True when the department is open through the whole of [start, until): neither start nor end outside, no gap, no closing day.

    An extra opening holds on a closing day too: whoever makes one means it.
    """
    days = _days(start, until)
    closed = any(c.first < until and start < c.until for c in department.closures) or any(
        department.rests(day) and at(day, MIDNIGHT) < until and start < at(day + _DAY, MIDNIGHT) for day in days
    )
    openings = [o for o in department.openings if o.only or not closed]
    spans = sorted(span for day in days for o in openings if (span := o.on(day, department.weekday(day))))
    reached = start
    for opens, closes in spans:
        if opens <= reached < closes:
            reached = closes
    return reached >= until


@lru_cache(maxsize=4096)
def grid(department: Department, day: date) -> tuple[Cell, ...]:
    """The cells that begin in this day's opening hours, in order; each lasts exactly `slot_minutes`, none overlaps another.

    Wall times that a March night skips have no cell; those an October night shows twice have two.
    """
    step = timedelta(minutes=department.slot_minutes)
    cells = []
    for opening in department.openings:
        wall, last = opening.walls(day, department.weekday(day)) or (datetime.min, datetime.min)
        while wall < last:
            cells += [Cell(m, m + step) for m in moments(wall) if is_open(department, m, m + step)]
            wall += step
    kept: list[Cell] = []
    for cell in sorted(set(cells), key=lambda c: c.start):
        if not kept or cell.start >= kept[-1].end:
            kept.append(cell)
    return tuple(kept)


def slot_id(department: str, start: datetime) -> str:
    """`<department>-<yyyymmddThhmmZ>`: the same whoever makes it, and different in both hours of an October night."""
    return f"{department}-{start.astimezone(UTC):%Y%m%dT%H%MZ}"


@lru_cache(maxsize=4096)
def cells_over(department: Department, start: datetime, until: datetime) -> tuple[Cell, ...]:
    """The cells that share time with [start, until), in order."""
    found = {c for day in _days(start, until) for c in grid(department, day) if c.start < until and start < c.end}
    return tuple(sorted(found, key=lambda c: c.start))


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat in a slot, and how many of them that slot has for this taker."""

    slot: str
    capacity: int


@lru_cache(maxsize=4096)
def seats_over(department: Department, start: datetime, until: datetime) -> tuple[Seat, ...]:
    """A seat in each slot that shares time with [start, until), in order."""
    return tuple(Seat(slot_id(department.code, c.start), department.capacity_at(c.start)) for c in cells_over(department, start, until))


def covering(department: Department, start: datetime, until: datetime) -> tuple[str, ...]:
    """Ids of the slots that a visit uses. Empty, or too few, when it lies wholly or partly off the grid (see `fills`)."""
    return tuple(seat.slot for seat in seats_over(department, start, until))


def fills(department: Department, start: datetime, until: datetime) -> bool:
    """True when the cells over [start, until) leave no moment of it without a slot, so that capacity is counted for all of it."""
    reached = start
    for cell in cells_over(department, start, until):
        if cell.start > reached:
            return False
        reached = cell.end
    return reached >= until


def slots_of(department: Department, first: date, days: int) -> list[Resource]:
    """The Slot resources of `days` local days from `first`, all free: what the hub makes ahead, day by day."""
    made = []
    for number in range(days):
        for cell in grid(department, first + number * _DAY):
            slot: Resource = {
                "resourceType": "Slot", "id": slot_id(department.code, cell.start), "status": "free",
                "schedule": {"reference": f"Schedule/{department.code}"}, "start": write(cell.start), "end": write(cell.end),
            }
            made.append(with_taken(with_extension(slot, "capacity", "Integer", department.capacity_at(cell.start)), 0))
    return made


def with_taken(slot: Resource, taken: int, held: int = 0) -> Resource:
    """The slot with so many seats taken, `held` of them only for a while.

    Busy when none is left, tentatively when a hold may give one back, unavailable when there is no staff at all.
    """
    capacity = int(extension(slot, "capacity") or 0)
    full = "busy-unavailable" if not taken else "busy-tentative" if taken - held < capacity else "busy"
    status = "free" if taken < capacity else full
    return with_extension({**slot, "status": status}, "taken", "Integer", taken)


def _days(start: datetime, until: datetime) -> list[date]:
    """The local days whose opening hours can touch [start, until): from the day before, since a night belongs to the day it begins."""
    first, last = local(start).date() - _DAY, local(until).date()
    return [first + n * _DAY for n in range((last - first).days + 1)]
