"""Typed, frozen views of the resources that booking rules read. Rules never dig in dictionaries; a view never changes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hub.booking.clock import begin, end
from hub.booking.conventions import DEPARTMENT, SERVICE_TYPE, codes, extension, identifier, kind_of, points_to
from hub.booking.opening import Closure, Opening
from hub.message import Resource

HORIZON = 14
"""Days ahead that can be booked, counted in local days, where a department says nothing else."""
NOTICE = 120
"""Minutes before its start that a visit can still be booked, moved or cancelled, where a department says nothing else."""


class Status(StrEnum):
    """Where a kept Appointment stands (R4 codes), with what people read."""

    PENDING = "pending"      # sent to the EPJ: «Venter på svar»
    BOOKED = "booked"        # the EPJ confirmed: «Bekreftet»
    ARRIVED = "arrived"      # an employee is under way or there: «Underveis»
    FULFILLED = "fulfilled"  # «Utført»
    NOSHOW = "noshow"        # nobody at home: «Ikke hjemme»
    CANCELLED = "cancelled"  # «Avlyst»


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

    @classmethod
    def of(cls, appointment: Resource) -> Booking:
        """Reads a kept Appointment. KeyError or ValueError here is a bug of ours: what is kept follows the conventions."""
        return cls(
            id=appointment["id"], status=Status(appointment["status"]),
            start=begin(appointment["start"]), end=begin(appointment["end"]),
            patient=f"Patient/{_first(points_to(a, 'Patient') for a in actors(appointment))}",
            department=_first(points_to(a, "HealthcareService") for a in actors(appointment)),
            decision=_first(points_to(r, "ServiceRequest") for r in appointment.get("basedOn") or ()),
            slots=tuple(points_to(r, "Slot") for r in appointment.get("slot") or ()),
            performer=performer(appointment), sequence=int(extension(appointment, "sequence") or 0), version=version(appointment),
        )

    @property
    def active(self) -> bool:
        """It takes the person's time: it is planned, happening or happened."""
        return self.status not in (Status.CANCELLED, Status.NOSHOW)


def is_booking(appointment: Resource) -> bool:
    """It can be read as a Booking: not a wish without a time, nor entered in error."""
    return appointment.get("status") in {s.value for s in Status} and "start" in appointment and "end" in appointment


@dataclass(frozen=True, slots=True)
class Department:
    """A HealthcareService that can be booked."""

    code: str
    active: bool
    name: str
    service: frozenset[str]
    """9151 codes."""
    openings: tuple[Opening, ...]
    closures: tuple[Closure, ...]
    capacity: int
    """How many visits it can make at a time."""
    slot_minutes: int
    horizon_days: int
    notice_minutes: int
    """How long before its start a visit can be booked, moved or cancelled by the person."""

    @classmethod
    def of(cls, service: Resource) -> Department:
        """Reads a HealthcareService by the conventions in docs/flow.md."""
        return cls(
            code=service["id"], active=service.get("active", True) is True, name=service.get("name", ""),
            service=codes(service.get("type"), SERVICE_TYPE),
            openings=tuple(Opening.of(a) for a in service.get("availableTime") or ()),
            closures=tuple(Closure.of(n) for n in service.get("notAvailable") or ()),
            capacity=_number(service, "capacity", 0), slot_minutes=max(_number(service, "slot-minutes", 30), 1),
            horizon_days=_number(service, "horizon-days", HORIZON), notice_minutes=_number(service, "notice-minutes", NOTICE),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """A vedtak: what a person has been granted (ServiceRequest)."""

    id: str
    active: bool
    patient: str
    service: frozenset[str]
    department: str
    """HealthcareService id; empty: any department with that service."""
    starts: datetime | None
    ends: datetime | None
    """The first moment it no longer covers."""
    visits_a_week: int

    @classmethod
    def of(cls, request: Resource) -> Decision:
        """Reads a ServiceRequest; one that tells no number of visits grants none."""
        repeat = (request.get("occurrenceTiming") or {}).get("repeat") or {}
        bounds = repeat.get("boundsPeriod") or {}
        return cls(
            id=request["id"], active=request.get("status") == "active" and request.get("doNotPerform") is not True,
            patient=str((request.get("subject") or {}).get("reference", "")), service=codes(request.get("code"), SERVICE_TYPE),
            department=points_to(extension(request, "department"), "HealthcareService"),
            starts=begin(bounds["start"]) if "start" in bounds else None, ends=end(bounds["end"]) if "end" in bounds else None,
            visits_a_week=_weekly(repeat),
        )

    def covers(self, patient: str, department: Department, start: datetime, until: datetime) -> bool:
        """It is this person's, in force through the visit, and about this department's service."""
        return (
            self.active and self.patient == patient and self.department in ("", department.code) and bool(self.service & department.service)
            and (self.starts is None or self.starts <= start) and (self.ends is None or until <= self.ends)
        )


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
    return _first(str(a.get("display", "")) for a in actors(appointment) if kind_of(a) == "Practitioner")


def stated_department(appointment: Resource) -> str:
    """The HealthcareService id that a stated Appointment names, by literal reference or by department code; empty when it names none."""
    named = [a for a in actors(appointment) if kind_of(a) == "HealthcareService"]
    return _first(points_to(a, "HealthcareService") or identifier({"identifier": [a.get("identifier") or {}]}, DEPARTMENT) for a in named)


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


def _number(resource: Resource, name: str, default: int) -> int:
    value = extension(resource, name)
    return default if value is None else int(value)


def _weekly(repeat: dict[str, Any]) -> int:
    """Whole visits a week from R4 Timing.repeat: frequency per period; parts of a visit are not granted."""
    days = {"d": 1, "wk": 7}.get(repeat.get("periodUnit", ""))
    if days is None or "frequency" not in repeat:
        return 0
    return int(int(repeat["frequency"]) * 7 / (days * float(repeat.get("period", 1))))


def _first(texts: Any) -> str:
    return next((text for text in texts if text), "")
