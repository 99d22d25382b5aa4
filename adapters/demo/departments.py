"""The four departments of the invented Solbakken kommune: organisations, services, books and slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from hub.booking import Department, slots_of
from hub.booking.clock import MIDNIGHT, at, write
from hub.booking.conventions import DEPARTMENT, HER_ID, HOME_SERVICES, ORGNR, SERVICE_TYPE, url
from hub.booking.department import HORIZON, NOTICE
from hub.booking.holidays import Holidays
from hub.message import Resource

KOMMUNENUMMER = "9999"
"""No Norwegian municipality has it."""
NAME = "Solbakken kommune"
OWN_HER_ID = "8100000"
"""HER-ids 8 100 000 to 8 199 999 are invented for the demonstration; none was looked up in the address register."""
OWN_ORGNR = "310000000"
"""Invented, with a right check digit."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")
WEEKEND = ("sat", "sun")


@dataclass(frozen=True, slots=True)
class Plan:
    """One department as it is set up."""

    code: str
    name: str
    epj: str
    """The adapter that owns it."""
    her_id: str
    service: tuple[str, str]
    """9151 code and text."""
    hours: tuple[tuple[tuple[str, ...], str, str], ...]
    """Days, from, to in local wall time; 00:00 to 00:00 is all day."""
    capacity: int
    slot_minutes: int
    closed_on_holidays: bool = True
    lengths: str = ""
    """Minutes that people choose between; empty: nobody is asked."""
    topics: tuple[str, ...] = ("Tidspunkt for besøk", "Beskjed til den som kommer", "Noe annet")
    """What people may write to it about."""


PLANS = (
    Plan("hjemmesykepleie", "Hjemmesykepleie", "visma-profil", "8100101", ("15", "Helsetjenester i hjemmet"),
         ((WEEKDAYS + WEEKEND, "07:30", "22:00"),), 12, 15, closed_on_holidays=False),
    Plan("praktisk-bistand", "Praktisk bistand", "acos-cosdoc", "8100201", ("1", "Praktisk bistand, daglige gjøremål"),
         ((WEEKDAYS, "08:00", "15:30"),), 6, 30, lengths="30 60 90"),
    Plan("avlastning", "Avlastning", "tieto-gerica", "8100301", ("7", "Avlastning utenfor institusjon"),
         ((WEEKDAYS, "15:00", "23:00"), (WEEKEND, "00:00", "00:00")), 3, 60, closed_on_holidays=False),
    Plan("dagsenter", "Dagsenter", "tieto-gerica", "8100302", ("4", "Dagaktivitetstilbud"),
         ((WEEKDAYS, "09:00", "15:00"),), 20, 180),
)


def departments(today: date, new_id: Callable[[str, str], str]) -> list[Resource]:
    """Organizations, HealthcareServices, Schedules and Slots from `today` through the horizon, in the order they refer to each other.

    Args:
        new_id: (resource type, key) → id.
    """
    town = new_id("Organization", KOMMUNENUMMER)
    made = [_municipality(town)]
    for plan in PLANS:
        organization = new_id("Organization", plan.her_id)
        service = _service(plan, organization)
        made += [_organization(plan, organization, town), service, _schedule(plan, today)]
        made += slots_of(Department.of(service), today, HORIZON + 1)
    return made


def service_type(plan: Plan) -> Resource:
    """The CodeableConcept of what a department does."""
    return {"coding": [{"system": SERVICE_TYPE, "code": plan.service[0], "display": plan.service[1]}]}


def _municipality(id_: str) -> Resource:
    return {
        "resourceType": "Organization", "id": id_, "active": True, "name": NAME,
        "identifier": [{"system": HER_ID, "value": OWN_HER_ID}, {"system": ORGNR, "value": OWN_ORGNR}],
        "telecom": [{"system": "phone", "value": "55 00 00 00", "use": "work"}],
    }


def _organization(plan: Plan, id_: str, town: str) -> Resource:
    return {
        "resourceType": "Organization", "id": id_, "active": True, "name": plan.name,
        "identifier": [{"system": HER_ID, "value": plan.her_id}], "partOf": {"reference": f"Organization/{town}"},
    }


def _service(plan: Plan, organization: str) -> Resource:
    numbers = (("capacity", plan.capacity), ("slot-minutes", plan.slot_minutes), ("horizon-days", HORIZON), ("notice-minutes", NOTICE))
    made: Resource = {
        "resourceType": "HealthcareService", "id": plan.code, "active": True, "name": plan.name,
        "identifier": [{"system": DEPARTMENT, "value": plan.code}], "providedBy": {"reference": f"Organization/{organization}"},
        "category": [HOME_SERVICES], "type": [service_type(plan)],
        "availableTime": [_available(*line) for line in plan.hours],
        "extension": [{"url": url(name), "valueInteger": value} for name, value in numbers],
    }
    made["extension"] += [{"url": url("message-topic"), "valueString": topic} for topic in plan.topics]
    if plan.lengths:
        made["extension"].append({"url": url("visit-lengths"), "valueString": plan.lengths})
    if plan.closed_on_holidays:
        made["extension"].append({"url": url("holidays"), "valueCode": Holidays.CLOSED.value})
    return made


def _available(days: tuple[str, ...], opens: str, closes: str) -> Resource:
    if opens == closes:
        return {"daysOfWeek": list(days), "allDay": True}
    return {"daysOfWeek": list(days), "availableStartTime": f"{opens}:00", "availableEndTime": f"{closes}:00"}


def _schedule(plan: Plan, today: date) -> Resource:
    last = today + timedelta(days=HORIZON + 1)
    return {
        "resourceType": "Schedule", "id": plan.code, "active": True, "serviceType": [service_type(plan)],
        "actor": [{"reference": f"HealthcareService/{plan.code}", "display": plan.name}],
        "planningHorizon": {"start": write(at(today, MIDNIGHT)), "end": write(at(last, MIDNIGHT))},
    }
