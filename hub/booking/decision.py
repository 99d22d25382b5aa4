"""A vedtak: what a person has been granted, what is used of it, and what is left. Read from a ServiceRequest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any

from hub.booking.clock import MIDNIGHT, at, begin, end, local, week_bounds
from hub.booking.conventions import SERVICE_TYPE, Remembered, codes, every, extension, points_to
from hub.booking.department import Department
from hub.booking.opening import Closure
from hub.booking.views import Booking
from hub.message import Resource

_DAY = timedelta(days=1)


class Unit(StrEnum):
    """What is counted."""

    VISITS = "visits"
    MINUTES = "minutes"


class Per(StrEnum):
    """Over which time it is counted; local weeks begin on Monday, months on the first, years with January."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Grant:
    """So much, of what, per what."""

    amount: int
    unit: Unit = Unit.VISITS
    per: Per = Per.WEEK
    every: int = 1
    """Of how many such times together: 4 for «hver fjerde uke»."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What is used of a grant in one of its periods. Never below nothing left."""

    grant: Grant
    granted: int
    """With what was carried over from the period before, and without what the next one has already drawn of what this one leaves."""
    used: int
    first: datetime
    until: datetime

    @property
    def left(self) -> int:
        return max(self.granted - self.used, 0)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on a service.

    `occurrenceTiming.repeat`: `frequency` per `period` and `periodUnit` (d, wk, mo, a), or `count` over the whole; `boundsPeriod` is from when
    to when. `quantityQuantity` in hours or minutes grants time instead of visits, per the same period. Extensions: `department`,
    `pause` (Period, repeated), `unused` (`carried-over`: what one period leaves may be used in the next; anything else: lost).
    """

    id: str
    active: bool
    patient: str
    service: frozenset[str]
    department: str
    """HealthcareService id; empty: any department with that service."""
    starts: datetime | None
    ends: datetime | None
    """The first moment it no longer covers."""
    grant: Grant
    pauses: tuple[Closure, ...] = ()
    carries_over: bool = False

    @classmethod
    def of(cls, request: Resource) -> Decision:
        """Reads a ServiceRequest; one that tells no amount grants none."""
        return _decision(request)

    def covers(self, patient: str, department: Department, start: datetime, until: datetime) -> bool:
        """It is about this person and this department's service, and in force through the visit."""
        return self.about(patient, department) and self.lasts(start, until)

    def about(self, patient: str, department: Department) -> bool:
        return (
            self.active and self.patient == patient and self.department in ("", department.code) and bool(self.service & department.service)
        )

    def lasts(self, start: datetime, until: datetime) -> bool:
        """It is in force, and not paused, through [start, until)."""
        return (
            (self.starts is None or self.starts <= start) and (self.ends is None or until <= self.ends)
            and not (self.pauses and any(p.first < until and start < p.until for p in self.pauses))
        )

    def period(self, moment: datetime) -> tuple[datetime, datetime]:
        """The period of the grant in which a visit that begins at `moment` is counted: [from, until).

        Several weeks, months or years together are counted from the one in which the decision begins, days from the day.
        """
        if self.grant.per is Per.ALL:
            return self.starts or moment - 3650 * _DAY, self.ends or moment + 3650 * _DAY
        if self.grant.per is Per.WEEK and self.grant.every == 1:
            return week_bounds(moment)
        return _bounds(self.grant, local(self.starts).date() if self.starts else _ANCHOR, local(moment).date())

    def counted_from(self, moment: datetime) -> datetime:
        """How far back bookings matter to the balance at `moment`."""
        first, _ = self.period(moment)
        return self.period(first - _DAY)[0] if self._carries else first

    def counted_until(self, moment: datetime) -> datetime:
        """How far ahead."""
        _, until = self.period(moment)
        return self.period(until)[1] if self._carries else until

    @property
    def _carries(self) -> bool:
        return self.carries_over and self.grant.per is not Per.ALL

    def in_force_from(self, moment: datetime, until: datetime) -> datetime | None:
        """The first instant from `moment` on, and before `until`, at which it is in force and not paused."""
        at_ = max(moment, self.starts or moment)
        for pause in sorted(self.pauses, key=lambda p: p.first):
            at_ = pause.until if pause.first <= at_ < pause.until else at_
        return at_ if at_ < until and self.lasts(at_, at_) else None

    def balance(self, bookings: Iterable[Booking], moment: datetime) -> Balance:
        """What is used of it in the period of `moment`, of these bookings of the person.

        A cancelled visit gives back; one to somebody not at home does not: the service came. What is carried over is lent once: where the next
        period draws on what this one leaves, it is not left here any more.
        """
        mine = [b for b in bookings if b.decision == self.id and b.status != "cancelled"]
        first, until = self.period(moment)
        granted = self.grant.amount
        used = self._used(mine, first, until)
        if self._carries and (self.starts is None or self.starts < first):
            earlier, _ = self.period(first - _DAY)
            granted += max(self.grant.amount - self._used(mine, earlier, first), 0)
        if self._carries:
            borrowed = self._used(mine, until, self.period(until)[1]) - self.grant.amount
            granted = min(granted, max(self.grant.amount - borrowed, used)) if borrowed > 0 else granted
        return Balance(self.grant, granted, used, first, until)

    def costs(self, start: datetime, until: datetime) -> int:
        """What a visit draws."""
        return 1 if self.grant.unit is Unit.VISITS else round((until - start).total_seconds() / 60)

    def _used(self, mine: list[Booking], first: datetime, until: datetime) -> int:
        """A visit that asks for another time is counted in both periods until the service has answered, in one period once."""
        return sum(self.costs(*span) for b in mine if (span := next((s for s in b.times if first <= s[0] < until), None)))


def _grants(request: Resource) -> bool:
    """Somebody with the authority to asked for it: R4's proposals, plans and options say that nobody has yet (request-intent)."""
    return request.get("intent") not in ("proposal", "plan", "option")


def _read(request: Resource) -> Decision:
    repeat = (request.get("occurrenceTiming") or {}).get("repeat") or {}
    bounds = repeat.get("boundsPeriod") or {}
    return Decision(
        id=request["id"], active=request.get("status") == "active" and request.get("doNotPerform") is not True and _grants(request),
        patient=str((request.get("subject") or {}).get("reference", "")), service=codes(request.get("code"), SERVICE_TYPE),
        department=points_to(extension(request, "department"), "HealthcareService"),
        starts=begin(bounds["start"]) if "start" in bounds else None, ends=end(bounds["end"]) if "end" in bounds else None,
        grant=_grant(repeat, request.get("quantityQuantity") or {}),
        pauses=tuple(Closure.of({"during": period}) for period in every(request, "pause")),
        carries_over=extension(request, "unused") == "carried-over",
    )


_decision = Remembered(_read)
_ANCHOR = date(1999, 1, 1)
_LONGEST = 1000
"""Days, weeks, months or years that a grant is counted over together, at most."""


@lru_cache(maxsize=1024)
def _bounds(grant: Grant, anchor: date, day: date) -> tuple[datetime, datetime]:
    """The period of so many days, weeks, months or years that the day lies in, of those that are counted from `anchor`."""
    if grant.per in (Per.DAY, Per.WEEK):
        first = anchor if grant.per is Per.DAY else anchor - anchor.weekday() * _DAY
        length = grant.every * (1 if grant.per is Per.DAY else 7)
        begins = first + (day - first).days // length * length * _DAY
        return at(begins, MIDNIGHT), at(begins + length * _DAY, MIDNIGHT)
    length = grant.every * (1 if grant.per is Per.MONTH else 12)
    since = anchor.year * 12 + (anchor.month - 1 if grant.per is Per.MONTH else 0)
    number = since + (day.year * 12 + day.month - 1 - since) // length * length
    return at(_month(number), MIDNIGHT), at(_month(number + length), MIDNIGHT)


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _grant(repeat: dict[str, Any], quantity: dict[str, Any]) -> Grant:
    """Whole visits or minutes; parts are not granted."""
    per, every, each = _per(str(repeat.get("periodUnit", "")), Fraction(str(repeat.get("period", 1))))
    if quantity:
        minutes = Fraction(str(quantity.get("value", 0))) * {"h": 60, "min": 1}.get(str(quantity.get("code") or quantity.get("unit")), 0)
        return Grant(max(int(minutes * each), 0), Unit.MINUTES, per, every)
    told = repeat.get("count") if per is Per.ALL else repeat.get("frequency")
    return Grant(int(int(told or 0) * each), Unit.VISITS, per, every)


def _per(unit: str, span: Fraction) -> tuple[Per, int, Fraction]:
    """(per what, how many of them together, how many times over it is granted in that): days are counted by the week as far as they fit in one,
    and what is granted for several weeks or months over all of them: a visit every fourth week is no quarter of a visit a week."""
    known = {"d": Per.DAY, "wk": Per.WEEK, "mo": Per.MONTH, "a": Per.YEAR}
    if unit not in known:
        return Per.ALL, 1, Fraction(1)
    if not 0 < span <= _LONGEST:
        return known[unit], 1, Fraction(0)  # so much in no time, or in more than there is: nothing that can be counted
    if unit == "d" and span <= 7:
        return Per.WEEK, 1, 7 / span
    if unit == "d" and span % 7 == 0:
        return Per.WEEK, int(span / 7), Fraction(1)
    every = max(math.floor(span), 1)
    return known[unit], every, every / span
