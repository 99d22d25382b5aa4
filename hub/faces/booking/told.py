"""What the booking API tells: bookings, balances, times, series and waits as JSON values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from hub.booking import ANSWER, MOVED_FROM, Balance, Booking, Department
from hub.booking.clock import begin, write
from hub.booking.conventions import CANCELATION, codes, extension
from hub.booking.free import Day, Time
from hub.booking.series import Series
from hub.booking.views import Status
from hub.booking.waiting import Waiting
from hub.customer import Service
from hub.faces.portal.choosing import balance_said
from hub.faces.portal.status import Facts, status
from hub.message import Resource
from hub.repeating import Repeated

Told = dict[str, Any]


def span(start: datetime, end: datetime) -> Told:
    return {"start": write(start), "end": write(end)}


def booking(appointment: Resource, version: int, department: Department | None, now: datetime) -> Told:
    """One booking as it stands."""
    read = Booking.of(appointment)
    reason = next(iter(codes(appointment.get("cancelationReason"), CANCELATION)), "")
    answer, before = str(extension(appointment, ANSWER) or ""), extension(appointment, MOVED_FROM)
    facts = Facts(read.status, read.start, read.end, reason, answer=answer, own=False, name="brukeren")
    told: Told = {
        "id": read.id, "version": version, "status": read.status.value, "statusText": status(facts, now).word, "department": read.department,
        **span(read.start, read.end),
    }
    if before:
        told["movedFrom"] = span(begin(before["start"]), begin(before["end"]))
    if answer:
        told["answer"] = answer
    if read.performer:
        told["performer"] = read.performer
    if reason:
        told["cancellation"] = {"code": reason, **({"reason": text} if (text := appointment["cancelationReason"].get("text")) else {})}
    if department and read.status in (Status.PENDING, Status.BOOKED):
        told["moveBefore"] = write(read.start - timedelta(minutes=department.move_minutes))
        told["cancelBefore"] = write(read.start - timedelta(minutes=department.cancel_minutes))
    return told


def service(found: Service, now: datetime) -> Told:
    """A department that can be ordered from, and how much of what is granted is used."""
    department = found.department
    return {
        "department": department.code, "name": department.name, "minutes": department.visit_minutes,
        "lengths": list(department.lengths), "services": sorted(department.service),
        "horizonDays": department.horizon_days, "answerHours": department.answer_hours, "balances": [balance(b, now) for b in found.balances],
    }


def balance(of: Balance, now: datetime) -> Told:
    return {
        "unit": of.grant.unit.value, "per": of.grant.per.value, "every": of.grant.every, "granted": of.granted, "used": of.used, "left": of.left,
        **span(of.first, of.until), "text": balance_said(of, now),
    }


def days(found: Iterable[Day], first: date | None, last: date | None) -> list[Told]:
    """The days from `first` to `last`, both included."""
    return [
        {"day": d.day.isoformat(), "open": d.open, "times": [time(t) for t in d.times]}
        for d in found if (first is None or first <= d.day) and (last is None or d.day <= last)
    ]


def time(free: Time) -> Told:
    return {**span(free.start, free.end), "left": free.left}


def repeated(made: Repeated) -> Told:
    """What became of a series' visits within the horizon."""
    return {
        "id": made.series, "booked": [write(start) for start in made.booked],
        "skipped": [{"start": write(start), "code": why.value, "text": why.text} for start, why in made.refused],
    }


def series(one: Series) -> Told:
    return {
        "id": one.id, "department": one.department, "weekday": one.weekday + 1, "at": f"{one.at:%H:%M}", "minutes": one.minutes,
        "first": one.first.isoformat(), **({"last": one.last.isoformat()} if one.last else {}), "skip": sorted(one.skipped),
        "skipped": [{"start": write(start), "code": why.value, "text": why.text} for start, why in one.missed],
    }


def waiting(entry: Waiting) -> Told:
    """Somebody's wait, with the time that is offered now, if one is."""
    told: Told = {
        "id": entry.id, "department": entry.department, "minutes": entry.minutes, "since": write(entry.since),
        "periods": [span(*window) for window in entry.windows],
    }
    if entry.offer:
        told["offer"] = {**span(entry.offer.start, entry.offer.start + timedelta(minutes=entry.minutes)), "answerBefore": write(entry.offer.until)}
    return told
