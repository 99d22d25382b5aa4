"""The waiting list: who waits for which hours, and whose turn it is when a time becomes free. Pure (facts/planning.md 5.2,
point 5: a list whose first offer is held for some minutes).

Somebody who waits is an Appointment with the status `waitlist`: requestedPeriod says the wanted hours; there is no start and no seat (R4
app-3). When an offer is accepted the same Appointment becomes `pending`; when nothing came of it, `cancelled`. So all of it has versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hub.booking.clock import MIDNIGHT, at, begin, local, write
from hub.booking.conventions import (
    HOME_SERVICES,
    SHOP_BOOKING,
    every,
    extension,
    identifier,
    parts,
    points_to,
    url,
    with_extension,
    without_extension,
)
from hub.booking.department import Asker, Department
from hub.booking.free import Day, Time
from hub.booking.notices import loud
from hub.booking.views import actors, version
from hub.message import Resource
from hub.problem import Problem, Refused

STATUS = "waitlist"
LEAST_TO_ANSWER = timedelta(minutes=10)
"""Nobody is offered what they would have less time to answer to, counted from when they can be told of it."""
GRACE = timedelta(minutes=2)
"""So long after an offer ran out its seat is still held, for whoever is next: no passer-by takes it in between."""
MOST_UNANSWERED = 3
"""After so many offers without an answer somebody waits no more."""
AHEAD = timedelta(days=60)
"""Hours later than this cannot be waited for."""
DAYS = 31
_DAY = timedelta(days=1)
Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Offer:
    """A time that is held for somebody who waits, and until when they may say yes."""

    start: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A kept Appointment of somebody who waits, read."""

    id: str
    patient: str
    """`Patient/…`."""
    department: str
    minutes: int
    windows: tuple[Window, ...]
    """In order; a visit must lie wholly within one."""
    since: datetime
    asker: Asker
    reference: str
    """The order that accepting becomes."""
    version: int
    offer: Offer | None
    passed: frozenset[datetime]
    """Starts that were said no to, or not answered to: not offered again."""
    unanswered: int

    @classmethod
    def of(cls, appointment: Resource) -> Waiting:
        """KeyError or ValueError here is a bug of ours: what is kept was made by `made`."""
        periods = [(begin(p["start"]), begin(p["end"])) for p in appointment["requestedPeriod"]]
        found = next(iter(parts(appointment, "offer")), None)
        who = [actor for actor in actors(appointment) if points_to(actor, "Patient")]
        where = [code for actor in actors(appointment) if (code := points_to(actor, "HealthcareService"))]
        return cls(
            appointment["id"], f"Patient/{points_to(who[0], 'Patient')}", where[0], int(appointment["minutesDuration"]), tuple(sorted(periods)),
            begin(appointment["created"]), Asker(extension(appointment, "asked-by")), identifier(appointment, SHOP_BOOKING), version(appointment),
            Offer(begin(found["start"]), begin(found["until"])) if found else None,
            frozenset(map(begin, every(appointment, "passed"))), int(extension(appointment, "unanswered") or 0),
        )

    @property
    def holder(self) -> str:
        """Who holds the seat of its offer."""
        return f"offer:{self.id}"

    @property
    def days(self) -> frozenset[date]:
        """The local days that a window touches."""
        return frozenset(
            local(first).date() + n * _DAY for first, last in self.windows for n in range((local(last).date() - local(first).date()).days + 1)
        )

    def wants(self, time: Time) -> bool:
        """It lies within the wanted hours and has not been passed on."""
        return time.start not in self.passed and any(first <= time.start and time.end <= last for first, last in self.windows)

    def over(self, now: datetime) -> bool:
        """Nothing that is wanted lies ahead any more, or nobody answers."""
        return self.windows[-1][1] <= now or self.unanswered >= MOST_UNANSWERED


def is_waiting(appointment: Resource) -> bool:
    """Somebody waits on our own list. A `waitlist` Appointment of somebody else's making is none of ours."""
    return appointment.get("status") == STATUS and extension(appointment, "asked-by") is not None


def queue(entries: Iterable[Waiting]) -> list[Waiting]:
    """Whose turn it is, longest waiting first; who has an offer is not in line."""
    return sorted((e for e in entries if e.offer is None), key=lambda e: (e.since, e.id))


def offer_for(entry: Waiting, department: Department, days: Iterable[Day], now: datetime) -> Offer | None:
    """The first free time that somebody wants and still has time to answer to."""
    for day in days:
        for free in day.times:
            until = answered_by(department, free.start, now) if entry.wants(free) else None
            if until is not None:
                return Offer(free.start, until)
    return None


def answered_by(department: Department, start: datetime, now: datetime) -> datetime | None:
    """By when an offer must be answered: some minutes from when people may be told, and while it can still be booked. None: too late."""
    told = loud(now)
    until = min(told + timedelta(minutes=department.offer_minutes), start - timedelta(minutes=max(department.notice_minutes, 0)))
    return until if until - told >= LEAST_TO_ANSWER else None


def windows(days: Iterable[date], first: time, last: time, minutes: int, now: datetime) -> tuple[Window, ...]:
    """The hours from `first` to `last` of each day, as far as they lie ahead; 00:00 as the end is midnight.

    Raises:
        Refused: INVALID when there is no day, the hours are shorter than a visit, or a day is past or too far away.
    """
    found = []
    for day in sorted(set(days)):
        ends = at(day + _DAY, MIDNIGHT) if last == MIDNIGHT else at(day, last)
        if ends - at(day, first) < timedelta(minutes=minutes):
            raise Refused(Problem.INVALID, "the wanted hours are shorter than a visit", "Appointment.requestedPeriod")
        if ends > now:
            found.append((at(day, first), ends))
    if not found or len(found) > DAYS or found[-1][1] > now + AHEAD:
        raise Refused(Problem.INVALID, f"from 1 to {DAYS} days, at most {AHEAD.days} days ahead", "Appointment.requestedPeriod")
    return tuple(found)


def made(
    id_: str, reference: str, patient: str, department: Department, service_type: Any, wanted: Iterable[Window], asker: Asker, now: datetime,
) -> Resource:
    """Somebody who begins to wait."""
    resource: Resource = {
        "resourceType": "Appointment", "id": id_, "identifier": [{"system": SHOP_BOOKING, "value": reference}], "status": STATUS,
        "serviceCategory": [HOME_SERVICES], "serviceType": service_type, "created": _exactly(now), "minutesDuration": department.visit_minutes,
        "participant": [
            {"actor": {"reference": patient, "type": "Patient"}, "status": "accepted"},
            {"actor": {"reference": f"HealthcareService/{department.code}", "type": "HealthcareService"}, "status": "needs-action"},
        ],
        "requestedPeriod": [{"start": write(first), "end": write(last)} for first, last in wanted],
        "extension": [{"url": url("asked-by"), "valueCode": asker.value}],
    }
    return {key: value for key, value in resource.items() if value}


def _exactly(now: datetime) -> str:
    """To the millisecond: it decides who came first."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offered(appointment: Resource, offer: Offer) -> Resource:
    """With an offer."""
    nested = [{"url": "start", "valueInstant": write(offer.start)}, {"url": "until", "valueInstant": write(offer.until)}]
    return {**appointment, "extension": [*appointment["extension"], {"url": url("offer"), "extension": nested}]}


def passed(appointment: Resource, *, answered: bool) -> Resource:
    """Without its offer, which is not made again: it was said no to, or (not `answered`) it ran out."""
    entry = Waiting.of(appointment)
    if entry.offer is None:
        return appointment
    bare = without_extension(appointment, "offer")
    made_ = {**bare, "extension": [*bare["extension"], {"url": url("passed"), "valueInstant": write(entry.offer.start)}]}
    return with_extension(made_, "unanswered", "Integer", 0 if answered else entry.unanswered + 1)


def ended(appointment: Resource, reason: Resource) -> Resource:
    """Waits no more."""
    return {**without_extension(appointment, "offer"), "status": "cancelled", "cancelationReason": reason}
