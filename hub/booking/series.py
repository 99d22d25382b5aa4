"""A booking that comes again every week, with exceptions: «hver tirsdag kl. 10, ikke uke 52». Kept as a CarePlan; pure.

The occurrences are ordinary bookings, made as they come within the horizon; what cannot be booked is skipped, not the series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from hub.booking.clock import begin, local, moments, write
from hub.booking.conventions import every, extension, parts, points_to, url, without_extension
from hub.booking.department import Asker
from hub.booking.opening import DAYS
from hub.message import Resource
from hub.problem import Problem

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Series:
    """A kept CarePlan, read."""

    id: str
    active: bool
    patient: str
    department: str
    weekday: int
    """0 Monday … 6 Sunday."""
    at: time
    """Norwegian wall time."""
    minutes: int
    first: date
    last: date | None
    skipped: frozenset[str]
    """ISO weeks, `2026-W52`."""
    done_until: date | None
    """The last day that was tried."""
    missed: tuple[tuple[datetime, Problem], ...] = ()
    """The visits that could not be booked, and why; in order."""
    asker: Asker = Asker.PERSON
    """In what capacity whoever began it did so: its visits are booked in the same."""

    @classmethod
    def of(cls, plan: Resource) -> Series:
        """KeyError or ValueError here is a bug of ours: what is kept was made by `made`."""
        repeat = plan["activity"][0]["detail"]["scheduledTiming"]["repeat"]
        last, done = plan["period"].get("end"), extension(plan, "tried-until")
        return cls(
            plan["id"], plan["status"] == "active", plan["subject"]["reference"], points_to(extension(plan, "department"), "HealthcareService"),
            DAYS.index(repeat["dayOfWeek"][0]), time.fromisoformat(repeat["timeOfDay"][0]), int(repeat["duration"]),
            date.fromisoformat(plan["period"]["start"]), date.fromisoformat(last) if last else None,
            frozenset(map(str, every(plan, "skip-week"))), date.fromisoformat(done) if done else None,
            tuple(sorted((begin(p["start"]), Problem(p["problem"])) for p in parts(plan, "missed-visit"))),
            Asker(extension(plan, "asked-by") or Asker.PERSON),
        )

    def occurrences(self, until: date) -> Iterator[tuple[date, datetime]]:
        """(day, start) of each that is still to be tried, up to and with `until`. A time that a spring night skips does not occur."""
        day = self.first + timedelta(days=(self.weekday - self.first.weekday()) % 7)
        while day <= min(until, self.last or until):
            found = moments(datetime.combine(day, self.at))
            if (self.done_until is None or day > self.done_until) and week_code(day) not in self.skipped and found:
                yield day, found[0]
            day += _WEEK


def with_missed(plan: Resource, missed: Iterable[tuple[datetime, Problem]], now: datetime) -> Resource:
    """The series with these visits, too, told as not booked; those that are past are let go of."""
    every_ = sorted({*Series.of(plan).missed, *missed}, key=lambda m: m[0])
    told = [
        {"url": url("missed-visit"), "extension": [{"url": "start", "valueInstant": write(at)}, {"url": "problem", "valueCode": why.value}]}
        for at, why in every_ if at >= now
    ]
    bare = without_extension(plan, "missed-visit")
    return {**bare, "extension": [*(bare.get("extension") or ()), *told]}


def week_code(day: date) -> str:
    """`2026-W52`."""
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02}"


def made(
    id_: str, patient: str, department: str, start: datetime, minutes: int, skipped: frozenset[str], last: date | None, asker: Asker = Asker.PERSON,
) -> Resource:
    """A series that begins with a booking at `start`."""
    wall = local(start)
    repeat: Resource = {
        "frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": [DAYS[wall.weekday()]], "timeOfDay": [f"{wall:%H:%M}:00"],
        "duration": minutes, "durationUnit": "min",
    }
    return {
        "resourceType": "CarePlan", "id": id_, "status": "active", "intent": "plan", "title": "Gjentatt bestilling",
        "subject": {"reference": patient, "type": "Patient"}, "created": write(start),
        "period": {"start": wall.date().isoformat(), **({"end": last.isoformat()} if last else {})},
        "extension": [
            {"url": url("department"), "valueReference": {"reference": f"HealthcareService/{department}"}},
            {"url": url("asked-by"), "valueCode": asker.value},
            *({"url": url("skip-week"), "valueString": week} for week in sorted(skipped)),
        ],
        "activity": [{"detail": {"kind": "Appointment", "status": "scheduled", "scheduledTiming": {"repeat": repeat}}}],
    }
