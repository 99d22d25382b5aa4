"""When a department receives bookings: opening hours in wall time and closed periods, read from a HealthcareService."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from hub.booking.clock import MIDNIGHT, at, begin, end
from hub.message import Resource

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SUNDAY = 6
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Opening:
    """One line of opening hours in wall time. `closes` at or before `opens` is on the next day; 00:00 to 00:00 is all day."""

    days: frozenset[int]
    """0 Monday … 6 Sunday: the days it begins."""
    opens: time
    closes: time
    only: date | None = None
    """The one day that it is open, whatever the weekday: an extra opening, which also beats a closure."""

    @classmethod
    def of(cls, available: Resource) -> Opening:
        """Reads one HealthcareService.availableTime; no days means every day, no times (or allDay) the whole day."""
        days = frozenset(DAYS.index(d) for d in available.get("daysOfWeek") or DAYS)
        if available.get("allDay"):
            return cls(days, MIDNIGHT, MIDNIGHT)
        first, last = available.get("availableStartTime", "00:00:00"), available.get("availableEndTime", "00:00:00")
        return cls(days, time.fromisoformat(first), time.fromisoformat(last))

    def walls(self, day: date, weekday: int) -> tuple[datetime, datetime] | None:
        """From and to as naive wall times, when it begins that day, whose hours are those of `weekday`."""
        if weekday not in self.days or self.only not in (None, day):
            return None
        return datetime.combine(day, self.opens), datetime.combine(day + _DAY if self.closes <= self.opens else day, self.closes)

    def on(self, day: date, weekday: int) -> tuple[datetime, datetime] | None:
        """From and to as instants, when it begins that day."""
        walls = self.walls(day, weekday)
        return walls and (at(day, self.opens), at(walls[1].date(), self.closes))


@dataclass(frozen=True, slots=True)
class Closure:
    """A period in which the department is closed (HealthcareService.notAvailable)."""

    first: datetime
    until: datetime

    @classmethod
    def of(cls, not_available: Resource) -> Closure:
        """Reads one notAvailable; dates are whole local days, an open end is for ever, no period at all is always."""
        during = not_available.get("during") or {}
        first = begin(during["start"]) if "start" in during else datetime.min.replace(tzinfo=UTC)
        return cls(first, end(during["end"]) if "end" in during else datetime.max.replace(tzinfo=UTC))
