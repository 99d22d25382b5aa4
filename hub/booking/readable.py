"""What systems outside may write of what the rules read: it must be readable as docs/booking.md says, and within what an administrator could set.

Kept all the same it would stop more than itself: the pages of everybody who looks for a time, or every order of that person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hub.booking.conventions import extension
from hub.booking.decision import Decision
from hub.booking.department import Department
from hub.booking.series import Series
from hub.booking.settings import NUMBERS
from hub.booking.views import Booking, is_booking
from hub.booking.waiting import Waiting, is_waiting
from hub.message import Resource
from hub.problem import Problem, Refused


def demand(resource: Resource) -> None:
    """Raises Refused INVALID for what the rules could not read."""
    type_ = str(resource["resourceType"])
    read = READ.get(type_)
    try:
        if read is not None:
            _understood(resource)
            read(resource)
    except (LookupError, ValueError, TypeError, ArithmeticError) as wrong:
        detail = "our extensions, the times, or a modifier extension cannot be read as docs/booking.md says"
        raise Refused(Problem.INVALID, detail, f"{type_}.extension") from wrong


def _understood(node: object) -> None:
    """Raises ValueError for what would change the meaning of the rest: we understand no modifier extension."""
    if isinstance(node, Mapping) and not {"modifierExtension", "implicitRules"}.isdisjoint(node):
        raise ValueError("modifier")
    for each in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        _understood(each)


def _department(service: Resource) -> None:
    Department.of(service)
    for name, (least, most) in NUMBERS.items():
        told = extension(service, name)
        if told is not None and not least <= int(told) <= most:
            raise ValueError(name)


def _decision(request: Resource) -> None:
    repeat = (request.get("occurrenceTiming") or {}).get("repeat") or {}
    if "boundsDuration" in repeat or "boundsRange" in repeat:
        raise ValueError("bounds")  # from when is not told: it would be in force for ever
    Decision.of(request)


def _appointment(appointment: Resource) -> None:
    if is_waiting(appointment):
        Waiting.of(appointment)
    elif is_booking(appointment):
        Booking.of(appointment)


def _series(plan: Resource) -> None:
    if extension(plan, "tried-until"):  # another CarePlan is somebody's visit plan
        Series.of(plan)


READ: Mapping[str, Callable[[Resource], object]] = {
    "HealthcareService": _department, "ServiceRequest": _decision, "Appointment": _appointment, "CarePlan": _series,
}
