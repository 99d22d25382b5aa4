"""How a booking looks after a statement: new Appointment and Encounter resources, made from copies. No rule is decided here."""

from __future__ import annotations

from datetime import datetime

from hub.booking.clock import read, write
from hub.booking.conventions import (
    BASE,
    BY_CITIZEN,
    BY_SERVICE,
    HOME_HEALTH,
    HOME_SERVICES,
    HOME_VISIT,
    NOT_AT_HOME,
    encounter_id,
    kind_of,
)
from hub.booking.life import ENCOUNTER, What
from hub.booking.statement import Statement
from hub.booking.views import Booking, Status, performer
from hub.message import Resource
from hub.problem import Problem, Refused

CARRIED = ("language", "specialty", "reasonCode", "priority", "supportingInformation", "patientInstruction")
"""What a new booking holds as it was stated: no rule reads it, and nothing that happens to the booking makes it untrue."""
TAKING_PART = ("type", "required", "period")
"""The same of a participant."""


def new(id_: str, statement: Statement, patient: str, service: Resource, now: datetime) -> Resource:
    """A booking as it is first kept, but for times, slots and decision."""
    stated = statement.appointment
    made: Resource = {
        "resourceType": "Appointment", "id": id_, "identifier": stated.get("identifier") or [], "status": Status.PENDING.value,
        "serviceCategory": [HOME_SERVICES], "serviceType": service.get("type") or [], "appointmentType": HOME_VISIT,
        "created": write(now), "comment": stated.get("comment", ""), "description": stated.get("description", ""),
        **{key: stated[key] for key in CARRIED if key in stated},
        "participant": [
            _participant(stated, "Patient", patient, "accepted"),
            _participant(stated, "HealthcareService", f"HealthcareService/{service['id']}", "needs-action"),
        ],
        "extension": theirs(stated),
    }
    return {key: value for key, value in made.items() if value}


def theirs(stated: Resource) -> list[Resource]:
    """The extensions that are not ours: ours say how a booking stands, which is not for others to say."""
    return [each for each in stated.get("extension") or () if not str(each.get("url", "")).startswith(f"{BASE}/")]


def _participant(stated: Resource, kind: str, reference: str, status: str) -> Resource:
    told: Resource = next((each for each in stated.get("participant") or () if kind_of(each.get("actor")) == kind), {})
    return {**{key: told[key] for key in TAKING_PART if key in told}, "actor": {"reference": reference, "type": kind}, "status": status}


def changed(appointment: Resource, statement: Statement, what: What, status: Status, owner: bool) -> Resource:
    """The Appointment after one word of a statement."""
    before = Status(appointment["status"])
    made = {**appointment, "status": status.value, "participant": _participants(appointment, statement, what, before, owner)}
    if status not in (Status.CANCELLED, Status.NOSHOW):
        made.pop("cancelationReason", None)          # app-4
    elif before is not status:
        default = NOT_AT_HOME if status is Status.NOSHOW else BY_SERVICE if owner else BY_CITIZEN
        made["cancelationReason"] = statement.appointment.get("cancelationReason") or default
    if status is Status.CANCELLED:
        made.pop("slot", None)                       # a visit that was made, or missed, keeps its seat: nobody else can have that time
    return made


def timed(appointment: Resource, start: datetime, until: datetime) -> Resource:
    """The Appointment at these times."""
    minutes = max(round((until - start).total_seconds() / 60), 1)
    return {**appointment, "start": write(start), "end": write(until), "minutesDuration": minutes}


def _participants(appointment: Resource, statement: Statement, what: What, before: Status, owner: bool) -> list[Resource]:
    """The department's answer, and who comes. A move drops the employee, who was assigned to the old time."""
    answer = {What.MOVE: "needs-action", What.CONFIRM: "accepted", What.ASSIGN: "accepted"}.get(what)
    if what is What.CANCEL and before is Status.PENDING and owner:
        answer = "declined"
    name = performer(statement.appointment)
    made = []
    for participant in appointment["participant"]:
        kind = kind_of(participant.get("actor"))
        if kind == "HealthcareService" and answer:
            made.append({**participant, "status": answer})
        elif kind != "Practitioner" or not (name or what is What.MOVE):
            made.append(participant)
    return [*made, {"actor": {"type": "Practitioner", "display": name}, "status": "accepted"}] if name else made


def visited(
    kept: Resource | None, statement: Statement, what: What, appointment: Resource, service: Resource | None, now: datetime,
) -> Resource | None:
    """The Encounter after a report; the kept one when the report says nothing new of it, None when there is none.

    Raises:
        Refused: INVALID when the visit ends before it starts.
    """
    if what is What.CANCEL and kept and kept["status"] == "in-progress":
        return {**kept, "status": "cancelled"}
    late = what is What.ON_THE_WAY and appointment["status"] != Status.ARRIVED
    if what not in ENCOUNTER or late:
        return kept
    made = {**(kept or _encounter(appointment, service)), "status": ENCOUNTER[what]}
    if period := _period(kept, statement, what, now):
        made["period"] = period
    if name := performer(appointment):
        made["participant"] = [{"individual": {"type": "Practitioner", "display": name}}]
    return made


def _encounter(appointment: Resource, service: Resource | None) -> Resource:
    booking = Booking.of(appointment)
    made: Resource = {
        "resourceType": "Encounter", "id": encounter_id(booking.id), "class": HOME_HEALTH,
        "serviceType": next(iter(appointment.get("serviceType") or ()), None), "subject": {"reference": booking.patient, "type": "Patient"},
        "basedOn": appointment.get("basedOn"), "appointment": [{"reference": f"Appointment/{booking.id}"}],
        "serviceProvider": (service or {}).get("providedBy"),
    }
    return {key: value for key, value in made.items() if value}


def _period(kept: Resource | None, statement: Statement, what: What, now: datetime) -> Resource:
    """Actual times as far as they are told; only a departure that tells none is taken to be now."""
    stated = (statement.encounter or {}).get("period") or {}
    period = dict((kept or {}).get("period") or {})
    for edge in ("start", "end"):
        if edge in stated:
            period[edge] = write(read(stated[edge], f"Encounter.period.{edge}"))
    if what is What.ON_THE_WAY:
        period.setdefault("start", write(now))
    if "start" in period and "end" in period and period["end"] < period["start"]:
        raise Refused(Problem.INVALID, "the visit ends before it starts", "Encounter.period")
    return period
