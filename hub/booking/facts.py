"""What the rules must know of what is kept: `gather` reads exactly that, `Facts` holds it, and weighing itself reads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from hub.booking.conventions import encounter_id
from hub.booking.decision import Decision
from hub.booking.department import Department
from hub.booking.slots import covering
from hub.booking.statement import LONGEST_VISIT, REPORTS, Statement, times
from hub.booking.views import Booking, is_booking, stated_department, stated_person
from hub.message import Resource


class Kept(Protocol):
    """A kept resource (a `Stored` of the store)."""

    @property
    def resource(self) -> Resource: ...


class Shelf(Protocol):
    """Where kept resources are read: a store's Transaction."""

    @property
    def now(self) -> datetime: ...

    def get(self, type_: str, id_: str, /) -> Kept | None: ...

    def find(
        self, type_: str, /, *, identifier: str = "", patient: str = "", date: tuple[datetime, datetime] | None = None,
    ) -> Sequence[Kept]: ...

    def seats_taken(self, slot: str, /) -> int: ...


@dataclass(frozen=True)
class Facts:
    """What is kept that concerns one statement. Empty where it does not matter."""

    patient: Resource | None = None
    """Whom the statement names."""
    service: Resource | None = None
    """The HealthcareService of the booking."""
    decisions: tuple[Resource, ...] = ()
    """The person's ServiceRequests."""
    appointments: tuple[Resource, ...] = ()
    """The person's Appointments in the periods that the decisions count the asked time in, and a day around it, and those up to the
    horizon: balance and overlap need no more."""
    taken: Mapping[str, int] = field(default_factory=dict)
    """Seats taken per slot that the asked time covers."""
    encounter: Resource | None = None
    stays: tuple[Resource, ...] = ()
    """The person's Flags: when they are away."""


def gather(statement: Statement, stored: Resource | None, shelf: Shelf) -> Facts:
    """Reads what `weigh` needs, and no more: a report reads two resources, an asked time those of one person's week.

    Raises:
        Refused: as `statement.times` does.
    """
    booking = Booking.of(stored) if stored and is_booking(stored) else None
    patient = _patient(statement, shelf)
    code = booking.department if booking else stated_department(statement.appointment)
    service = _resource(shelf, "HealthcareService", code)
    if booking and statement.appointment.get("status") in REPORTS:
        return Facts(patient, service, encounter=_resource(shelf, "Encounter", encounter_id(booking.id)))
    department = Department.of(service) if service else None
    asked = times(statement, booking, department.visit_minutes) if department else None
    person = booking.patient if booking else f"Patient/{patient['id']}" if patient else ""
    if not (department and asked and person) or (booking and asked == (booking.start, booking.end)):
        return Facts(patient, service)
    decisions = tuple(k.resource for k in shelf.find("ServiceRequest", patient=person))
    first, last = window(asked[0], map(Decision.of, decisions))
    horizon = shelf.now + timedelta(days=department.horizon_days + 1)  # what is moved from the asked time may have been moved so far
    near = shelf.find("Appointment", patient=person, date=(min(first, shelf.now), max(last, horizon)))
    return Facts(
        patient, service, decisions, appointments=tuple(k.resource for k in near),
        stays=tuple(k.resource for k in shelf.find("Flag", patient=person)),
        taken={slot: shelf.seats_taken(slot) for slot in covering(department, asked[0], department.busy_until(asked[1]))},
    )


def window(start: datetime, decisions: Iterable[Decision]) -> tuple[datetime, datetime]:
    """From when, until when a person's appointments matter to a visit that begins at `start`: it bounds their own starts."""
    known = [d for d in decisions if d.active]
    return (
        min([start, *(d.counted_from(start) for d in known)]) - LONGEST_VISIT,
        max([start, *(d.counted_until(start) for d in known)]) + LONGEST_VISIT,
    )


def _patient(statement: Statement, shelf: Shelf) -> Resource | None:
    literal, named = stated_person(statement.appointment)
    if literal:
        return _resource(shelf, "Patient", literal.removeprefix("Patient/"))
    return next((k.resource for k in shelf.find("Patient", identifier=named)), None) if named else None


def _resource(shelf: Shelf, type_: str, id_: str) -> Resource | None:
    kept = shelf.get(type_, id_) if id_ else None
    return kept.resource if kept else None
