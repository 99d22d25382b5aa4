"""Typed, frozen views of the resources that booking rules read. Rules never dig in dictionaries; a view never changes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.booking.clock import begin
from hub.booking.conventions import DEPARTMENT, Remembered, extension, first, identifier, kind_of, points_to
from hub.message import Resource


class Status(StrEnum):
    """Where a kept Appointment stands (R4 codes), with what people read."""

    PENDING = "pending"      # sent to the EPJ: «Venter på svar»
    BOOKED = "booked"        # the EPJ confirmed: «Bekreftet»
    ARRIVED = "arrived"      # an employee is under way or there: «Underveis»
    FULFILLED = "fulfilled"  # «Utført»
    NOSHOW = "noshow"        # nobody at home: «Ikke hjemme»
    CANCELLED = "cancelled"  # «Avlyst»


MOVED_FROM = "moved-from"
"""Extension: the confirmed time (Period) that stands until the service has answered to the one asked for instead."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A kept Appointment."""

    id: str
    status: Status
    start: datetime
    end: datetime
    patient: str
    """`Patient/…`."""
    department: str
    """HealthcareService id."""
    decision: str
    """ServiceRequest id; empty when none."""
    slots: tuple[str, ...]
    performer: str
    """First name of who comes; empty until assigned."""
    sequence: int
    version: int
    stated_at: str
    """When the service said what it said last, by its own clock; empty when it does not tell."""
    before: tuple[datetime, datetime] | None = None
    """The confirmed time that stands until the service has answered to the one asked for instead."""

    @classmethod
    def of(cls, appointment: Resource) -> Booking:
        """Reads a kept Appointment. KeyError or ValueError here is a bug of ours: what is kept follows the conventions."""
        return _booking(appointment)

    @property
    def active(self) -> bool:
        """It takes the person's time: it is planned, happening or happened."""
        return self.status not in (Status.CANCELLED, Status.NOSHOW)

    @property
    def planned(self) -> bool:
        """The service planned it and nobody booked it: it draws on no decision."""
        return not self.decision

    @property
    def times(self) -> tuple[tuple[datetime, datetime], ...]:
        """The times it takes: its own, and the confirmed one from before."""
        return ((self.start, self.end), *((self.before,) if self.before else ()))


def _read(appointment: Resource) -> Booking:
    old = extension(appointment, MOVED_FROM)
    return Booking(
        id=appointment["id"], status=Status(appointment["status"]),
        start=begin(appointment["start"]), end=begin(appointment["end"]),
        patient=f"Patient/{first(points_to(a, 'Patient') for a in actors(appointment))}",
        department=first(points_to(a, "HealthcareService") for a in actors(appointment)),
        decision=first(points_to(r, "ServiceRequest") for r in appointment.get("basedOn") or ()),
        slots=tuple(points_to(r, "Slot") for r in appointment.get("slot") or ()),
        performer=performer(appointment), sequence=int(extension(appointment, "sequence") or 0), version=version(appointment),
        stated_at=str(extension(appointment, "stated-at") or ""), before=(begin(old["start"]), begin(old["end"])) if old else None,
    )


_booking = Remembered(_read)


def is_booking(appointment: Resource) -> bool:
    """It can be read as a Booking: not a wish without a time, nor entered in error."""
    return appointment.get("status") in {s.value for s in Status} and "start" in appointment and "end" in appointment


@dataclass(frozen=True, slots=True)
class Visit:
    """A booking with what is known of the visit as it happened."""

    booking: Booking
    arrived: datetime | None = None
    left: datetime | None = None

    @classmethod
    def of(cls, appointment: Resource, encounter: Resource | None = None) -> Visit:
        """Joins an Appointment and its Encounter, when there is one."""
        period = (encounter or {}).get("period") or {}
        arrived, left = (begin(period[key]) if key in period else None for key in ("start", "end"))
        return cls(Booking.of(appointment), arrived, left)


def actors(appointment: Resource) -> list[Resource]:
    """Who takes part, as references."""
    return [p["actor"] for p in appointment.get("participant") or () if p.get("actor")]


def performer(appointment: Resource) -> str:
    """The first name of the employee that is stated; empty when none is."""
    return first(str(a.get("display", "")) for a in actors(appointment) if kind_of(a) == "Practitioner")


def stated_department(appointment: Resource) -> str:
    """The HealthcareService id that a stated Appointment names, by literal reference or by department code; empty when it names none."""
    named = [a for a in actors(appointment) if kind_of(a) == "HealthcareService"]
    return first(points_to(a, "HealthcareService") or identifier({"identifier": [a.get("identifier") or {}]}, DEPARTMENT) for a in named)


def stated_person(appointment: Resource) -> tuple[str, str]:
    """How a stated Appointment names the person: (`Patient/…`, "") or ("", "system|value") or two empty texts."""
    for actor in actors(appointment):
        if kind_of(actor) == "Patient":
            if literal := points_to(actor, "Patient"):
                return f"Patient/{literal}", ""
            named = actor.get("identifier") or {}
            return "", f"{named.get('system', '')}|{named['value']}" if named.get("value") else ""
    return "", ""


def version(resource: Resource) -> int:
    """meta.versionId as a number; 0 when there is none."""
    text = str((resource.get("meta") or {}).get("versionId", ""))
    return int(text) if text.isdecimal() else 0
