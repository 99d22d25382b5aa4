"""A vedtak: what a person has been granted, what is used of it, and what is left. Read from a ServiceRequest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
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
    """Over which time it is counted; local weeks begin on Monday, months on the first."""

    WEEK = "week"
    MONTH = "month"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Grant:
    """So much, of what, per what."""

    amount: int
    unit: Unit = Unit.VISITS
    per: Per = Per.WEEK


@dataclass(frozen=True, slots=True)
class Balance:
    """What is used of a grant in one of its periods. Never below nothing left."""

    grant: Grant
    granted: int
    """With what was carried over from the period before."""
    used: int
    first: datetime
    until: datetime

    @property
    def left(self) -> int:
        return max(self.granted - self.used, 0)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on a service.

    `occurrenceTiming.repeat`: `frequency` per `period` and `periodUnit` (d, wk, mo), or `count` over the whole; `boundsPeriod` is from when
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
        """The period of the grant in which a visit that begins at `moment` is counted: [from, until)."""
        if self.grant.per is Per.WEEK:
            return week_bounds(moment)
        if self.grant.per is Per.MONTH:
            first = local(moment).date().replace(day=1)
            return at(first, MIDNIGHT), at((first + 31 * _DAY).replace(day=1), MIDNIGHT)
        return self.starts or moment - 3650 * _DAY, self.ends or moment + 3650 * _DAY

    def counted_from(self, moment: datetime) -> datetime:
        """How far back bookings matter to the balance at `moment`."""
        first, _ = self.period(moment)
        return self.period(first - _DAY)[0] if self.carries_over and self.grant.per is not Per.ALL else first

    def balance(self, bookings: Iterable[Booking], moment: datetime) -> Balance:
        """What is used of it in the period of `moment`, of these bookings of the person.

        A cancelled visit gives back; one to somebody not at home does not: the service came.
        """
        mine = [b for b in bookings if b.decision == self.id and b.status != "cancelled"]
        first, until = self.period(moment)
        granted = self.grant.amount
        if self.carries_over and self.grant.per is not Per.ALL and (self.starts is None or self.starts < first):
            earlier, _ = self.period(first - _DAY)
            granted += max(self.grant.amount - self._used(mine, earlier, first), 0)
        return Balance(self.grant, granted, self._used(mine, first, until), first, until)

    def costs(self, start: datetime, until: datetime) -> int:
        """What a visit draws."""
        return 1 if self.grant.unit is Unit.VISITS else round((until - start).total_seconds() / 60)

    def _used(self, mine: list[Booking], first: datetime, until: datetime) -> int:
        return sum(self.costs(b.start, b.end) for b in mine if first <= b.start < until)


def _read(request: Resource) -> Decision:
    repeat = (request.get("occurrenceTiming") or {}).get("repeat") or {}
    bounds = repeat.get("boundsPeriod") or {}
    return Decision(
        id=request["id"], active=request.get("status") == "active" and request.get("doNotPerform") is not True,
        patient=str((request.get("subject") or {}).get("reference", "")), service=codes(request.get("code"), SERVICE_TYPE),
        department=points_to(extension(request, "department"), "HealthcareService"),
        starts=begin(bounds["start"]) if "start" in bounds else None, ends=end(bounds["end"]) if "end" in bounds else None,
        grant=_grant(repeat, request.get("quantityQuantity") or {}),
        pauses=tuple(Closure.of({"during": period}) for period in every(request, "pause")),
        carries_over=extension(request, "unused") == "carried-over",
    )


_decision = Remembered(_read)


def _grant(repeat: dict[str, Any], quantity: dict[str, Any]) -> Grant:
    """Whole visits or minutes; parts are not granted."""
    unit, per_unit = str(repeat.get("periodUnit", "")), {"d": Per.WEEK, "wk": Per.WEEK, "mo": Per.MONTH}
    per = per_unit.get(unit, Per.ALL)
    span = Fraction(str(repeat.get("period", 1)))
    each = (Fraction(7) if unit == "d" else Fraction(1)) / span if unit in per_unit else Fraction(1)
    if quantity:
        minutes = Fraction(str(quantity.get("value", 0))) * {"h": 60, "min": 1}.get(str(quantity.get("code") or quantity.get("unit")), 0)
        return Grant(int(minutes * each), Unit.MINUTES, per)
    told = repeat.get("frequency") if unit in per_unit else repeat.get("count")
    return Grant(int(int(told or 0) * each), Unit.VISITS, per)
