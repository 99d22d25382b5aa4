"""What an administrator decides of a department: hours, staff, lengths, deadlines, and who may book. Read from a HealthcareService."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from hub.booking.clock import MIDNIGHT, local
from hub.booking.conventions import SERVICE_TYPE, Remembered, codes, every, extension, parts
from hub.booking.holidays import Holidays, holiday
from hub.booking.opening import DAYS, SUNDAY, Closure, Opening
from hub.message import Resource

HORIZON = 14
"""Days ahead that can be booked, counted in local days, where a department says nothing else."""
NOTICE = 120
"""Minutes before its start that a visit can still be booked, moved or cancelled, where a department says nothing else."""
ANSWER_HOURS = 24
"""Within how many hours the service answers, where a department says nothing else: what people are told, not a rule."""
OFFER_MINUTES = 120
"""For how long a time is kept for somebody on the waiting list, where a department says nothing else."""
MESSAGE_DAYS = 2
"""Within how many working days a message is answered, where a department says nothing else: what people are told, not a rule."""
ALL_DAYS = frozenset(range(7))
_DAY = timedelta(days=1)


class Asker(StrEnum):
    """In what capacity somebody books. The codes of the extension `who-may-book`."""

    PERSON = "person"
    RELATIVE = "relative"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Staffing:
    """How many visits can be made at a time in some hours, where that is not the department's usual number.

    The extension `staffing`, with the parts `days` (`mon tue …`; none: every day), `from` and `to` (time; none: the whole day),
    `first` and `last` (date, both included; none: always) and `capacity`.
    """

    capacity: int
    days: frozenset[int] = ALL_DAYS
    opens: time = MIDNIGHT
    closes: time = MIDNIGHT
    """00:00 is the end of the day; at or before `opens` it is on the next day, and `days`, `first` and `last` are about the day it begins."""
    first: date | None = None
    last: date | None = None

    @classmethod
    def of(cls, part: dict[str, Any]) -> Staffing:
        days = frozenset(DAYS.index(d) for d in str(part.get("days") or " ".join(DAYS)).split())
        first, last = (date.fromisoformat(part[k]) if part.get(k) else None for k in ("first", "last"))
        return cls(int(part["capacity"]), days, _time(part.get("from")), _time(part.get("to")), first, last)

    def holds(self, wall: datetime, weekday: Callable[[date], int]) -> bool:
        """It is what counts at this wall time. `weekday`: which weekday's hours a day has."""
        day, clock = wall.date(), wall.time()
        if self.opens < self.closes or self.closes == MIDNIGHT:
            return self.opens <= clock and (self.closes == MIDNIGHT or clock < self.closes) and self._begins(day, weekday)
        return (self.opens <= clock and self._begins(day, weekday)) or (clock < self.closes and self._begins(day - _DAY, weekday))

    def _begins(self, day: date, weekday: Callable[[date], int]) -> bool:
        return weekday(day) in self.days and (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def edges(self, start: datetime, until: datetime) -> Iterator[datetime]:
        """The wall times after `start` and before `until` at which it may begin or end to count."""
        for day in (start.date(), until.date()):
            yield from (at for clock in (self.opens, self.closes) if start < (at := datetime.combine(day, clock)) < until)


@dataclass(frozen=True, slots=True)
class Department:
    """A HealthcareService that can be booked."""

    code: str
    active: bool
    name: str
    service: frozenset[str]
    """9151 codes."""
    openings: tuple[Opening, ...]
    """Weekly ones, and extra ones on a day of their own."""
    closures: tuple[Closure, ...]
    capacity: int
    """How many visits it can make at a time, where no `staffing` says otherwise."""
    slot_minutes: int
    horizon_days: int
    notice_minutes: int
    """How long before its start a visit can still be booked."""
    move_minutes: int
    cancel_minutes: int
    """The same for moving it and for cancelling it."""
    visit_minutes: int
    """How long a visit lasts when nobody says; whole slots are taken."""
    buffer_minutes: int
    """For travel after a visit: the staff is taken until then, the person is not."""
    staffing: tuple[Staffing, ...] = ()
    askers: frozenset[Asker] = frozenset(Asker)
    answer_hours: int = ANSWER_HOURS
    offer_minutes: int = OFFER_MINUTES
    lengths: tuple[int, ...] = ()
    """How many minutes a visit may last, in order, where people choose; empty: any length is taken, and nobody is asked."""
    topics: tuple[str, ...] = ()
    """What people may write to it about, in order; empty: it takes no messages."""
    message_days: int = MESSAGE_DAYS
    holidays: Holidays = Holidays.AS_USUAL

    @classmethod
    def of(cls, service: Resource) -> Department:
        """Reads a HealthcareService by the conventions in docs/booking.md."""
        return _department(service)

    def __hash__(self) -> int:
        """Cheap, since grids are looked up by department for every booking."""
        return hash((self.code, self.slot_minutes, self.capacity))

    def offers(self, minutes: int) -> bool:
        """A visit may last so long."""
        return not self.lengths or minutes in (*self.lengths, self.visit_minutes)

    def busy_until(self, end: datetime) -> datetime:
        """When whoever comes is free again after a visit that ends then: after the way to the next."""
        return end + timedelta(minutes=self.buffer_minutes)

    def capacity_at(self, start: datetime) -> int:
        """How many visits can be made in the slot that begins at `start`: of the last staffing that holds, else the usual number. Where that
        changes within the slot it is the least: whoever leaves in the middle of a visit cannot make it."""
        wall = local(start).replace(tzinfo=None)
        until = wall + timedelta(minutes=self.slot_minutes)
        return min(map(self._staff_at, {wall, *(edge for s in self.staffing for edge in s.edges(wall, until))}))

    def _staff_at(self, wall: datetime) -> int:
        return next((s.capacity for s in reversed(self.staffing) if s.holds(wall, self.weekday)), self.capacity)

    def weekday(self, day: date) -> int:
        """Which weekday's hours and staff a day has: its own, or on a holiday a Sunday's."""
        return SUNDAY if self.holidays is Holidays.AS_SUNDAY and holiday(day) else day.weekday()

    def rests(self, day: date) -> bool:
        """It is closed because the day is a holiday."""
        return self.holidays is Holidays.CLOSED and holiday(day) != ""


def _read(service: Resource) -> Department:
    extra = tuple(_extra(part) for part in parts(service, "extra-opening"))
    slot = max(_number(service, "slot-minutes", 30), 1)
    notice = _number(service, "notice-minutes", NOTICE)
    may = extension(service, "who-may-book")
    return Department(
        code=service["id"], active=service.get("active", True) is True, name=service.get("name", ""),
        service=codes(service.get("type"), SERVICE_TYPE),
        openings=(*(Opening.of(a) for a in service.get("availableTime") or ()), *extra),
        closures=tuple(Closure.of(n) for n in service.get("notAvailable") or ()),
        capacity=_number(service, "capacity", 0), slot_minutes=slot, horizon_days=_number(service, "horizon-days", HORIZON),
        notice_minutes=notice, move_minutes=_number(service, "move-minutes", notice),
        cancel_minutes=_number(service, "cancel-minutes", notice), visit_minutes=max(_number(service, "visit-minutes", slot), 1),
        buffer_minutes=max(_number(service, "buffer-minutes", 0), 0),
        staffing=tuple(Staffing.of(part) for part in parts(service, "staffing")),
        askers=frozenset(Asker) if may is None else frozenset(a for a in Asker if a.value in str(may).split()),
        answer_hours=_number(service, "answer-hours", ANSWER_HOURS), offer_minutes=_number(service, "offer-minutes", OFFER_MINUTES),
        lengths=tuple(sorted({int(n) for n in str(extension(service, "visit-lengths") or "").split()})),
        topics=tuple(map(str, every(service, "message-topic"))), message_days=_number(service, "message-days", MESSAGE_DAYS),
        holidays=next((h for h in Holidays if h == extension(service, "holidays")), Holidays.AS_USUAL),
    )


_department = Remembered(_read)


def _extra(part: dict[str, Any]) -> Opening:
    """The extension `extra-opening`: `date`, `from`, `to`."""
    return Opening(ALL_DAYS, _time(part.get("from")), _time(part.get("to")), date.fromisoformat(part["date"]))


def _time(text: Any) -> time:
    return time.fromisoformat(str(text)) if text else MIDNIGHT


def _number(resource: Resource, name: str, default: int) -> int:
    value = extension(resource, name)
    return default if value is None else int(value)
