"""`Appointment/$find`: free times as proposed Appointments that a client can send back unchanged to `$hold` and `$book`.

A time is offered when it can be booked now: open, on the grid, within notice and horizon, and a seat is neither taken nor held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.access import ALL_DEPARTMENTS, Reader
from hub.booking import Department
from hub.booking.clock import local, write
from hub.booking.conventions import HOME_SERVICES, HOME_VISIT
from hub.booking.free import Time, closed_elsewhere, free_times
from hub.booking.free import Wish as Visit
from hub.booking.slots import slot_id
from hub.fhir.query import IdIs, Query
from hub.keeping import Calendar
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Store

_DAY = timedelta(days=1)
LONGEST = timedelta(days=31)
"""Between `start` and `end` of a question."""
MOST = 1000
"""Offers in one answer."""
DEPARTMENTS = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for. A time is meant when it *starts* in [start, end)."""

    start: datetime
    end: datetime
    services: frozenset[str] = frozenset()
    """HealthcareService ids; empty: any the caller may see."""
    kinds: frozenset[tuple[str, str]] = frozenset()
    """(system or "", code) of HealthcareService.type; empty: any."""
    patient: str = ""
    """`Patient/…`: is put into the offers."""
    count: int = 100
    after: tuple[str, str] = ("", "")
    """(start, department) of the last offer of the page before."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of offers. `next` is the `after` of the page that follows; None: there is none."""

    offers: tuple[Resource, ...]
    total: int
    next: tuple[str, str] | None


def find(store: Store, reader: Reader, wish: Wish, now: datetime, calendar: Calendar = lambda *_: None) -> Found:
    """The free times a client may be offered, in order of time. `calendar` asks whoever owns a department's (`hub.asking.Asking.free`).

    Raises:
        Refused: INVALID when the range is empty, past or too long; NOT_ALLOWED when the caller has no department.
        Unavailable: the partner that owns a calendar does not answer.
    """
    if not wish.start < wish.end <= wish.start + LONGEST:
        raise Refused(Problem.INVALID, f"end is after start, and at most {LONGEST.days} days later", "end")
    if wish.end <= now:
        raise Refused(Problem.INVALID, "all of it is past", "end")
    free = [
        (write(time.start), department.code, time, service)
        for service, department in _departments(store, reader, wish)
        for time in _free(store, department, max(wish.start, now), wish.end, now, calendar)
    ]
    free.sort(key=lambda f: f[:2])
    left = [f for f in free if f[:2] > wish.after]
    page = left[:wish.count]
    offers = tuple(_offer(service, code, time, wish.patient) for _, code, time, service in page)
    return Found(offers, len(free), page[-1][:2] if len(left) > len(page) and page else None)


def _departments(store: Store, reader: Reader, wish: Wish) -> Iterator[tuple[Resource, Department]]:
    if not reader.departments:
        raise Refused(Problem.NOT_ALLOWED, "no department is opened to this client")
    limit = () if reader.departments == ALL_DEPARTMENTS else (IdIs(tuple(sorted(reader.departments))),)
    for kept in store.search(Query("HealthcareService", limit, count=DEPARTMENTS)).entries:
        service = kept.resource
        if wish.services and kept.id not in wish.services:
            continue
        codings = {(c.get("system", ""), c.get("code", "")) for t in service.get("type") or () for c in t.get("coding") or ()}
        named = codings | {("", code) for _, code in codings}
        department = Department.of(service)
        if department.active and (not wish.kinds or wish.kinds & named):
            yield service, department


def _free(store: Store, department: Department, start: datetime, until: datetime, now: datetime, calendar: Calendar) -> list[Time]:
    """The rules of booking turned round (`hub.booking.free`), for nobody in particular: a visit of the usual length."""
    today, last = local(now).date(), local(now).date() + (department.horizon_days + 2) * _DAY
    taken = store.seats_taken(f"{department.code}-{today - _DAY:%Y%m%d}", f"{department.code}-{last:%Y%m%d}")
    spans = calendar(department, now, None)
    if spans is not None:
        taken = closed_elsewhere(department, (today + n * _DAY for n in range(department.horizon_days + 2)), spans, taken)
    first = local(start).date()
    asked = {first + n * _DAY for n in range((local(until).date() - first).days + 1)}
    found = free_times(Visit("", department, department.visit_minutes), None, (), taken, now, asked)
    return [time for day in found for time in day.times if start <= time.start < until]


def _offer(service: Resource, department: str, time: Time, patient: str) -> Resource:
    whom = [{"actor": {"reference": patient, "type": "Patient"}, "status": "accepted"}] if patient else []
    offer: Resource = {
        "resourceType": "Appointment", "status": "proposed", "serviceCategory": [HOME_SERVICES], "serviceType": service.get("type"),
        "appointmentType": HOME_VISIT, "start": write(time.start), "end": write(time.end),
        "minutesDuration": round((time.end - time.start).total_seconds() / 60),
        "slot": [{"reference": f"Slot/{slot_id(department, time.start)}"}],
        "participant": [
            *whom, {"actor": {"reference": f"HealthcareService/{department}", "type": "HealthcareService"}, "status": "needs-action"},
        ],
    }
    return {key: value for key, value in offer.items() if value}
