"""Which employee answers what people write, and to which departments: those whose messages no other system takes."""

from __future__ import annotations

from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.booking import Department
from hub.faces.console.login import answers
from hub.faces.context import Context
from hub.faces.web import Asked
from hub.fhir.query import Query


def staff_of(context: Context, asked: Asked) -> Reader | None:
    """Who reads, when they may: asked anew each time, so that a right taken away is gone at once."""
    name = next((who.partition(":")[2] for who in asked.who.who if who.startswith("service:")), "")
    departments = answers(context, name) if name else frozenset[str]()
    return Reader(f"staff:{name}", Ground.SERVICE, departments=departments) if departments else None


def departments_of(context: Context, staff: Reader) -> dict[str, str]:
    """Id → name of those whose messages this employee answers here."""
    found = [s.resource for s in context.store.search(Query("HealthcareService", count=1000)).entries]
    theirs = [s for s in found if staff.departments == ALL_DEPARTMENTS or s["id"] in staff.departments]
    return {s["id"]: str(s.get("name", s["id"])) for s in theirs if context.messaging.receiver(s["id"]) is None and Department.of(s).topics}


def unopened(context: Context, asked: Asked) -> int:
    """How many messages nobody at this employee's departments has opened."""
    staff = staff_of(context, asked)
    return context.messaging.unopened(departments_of(context, staff)) if staff else 0
