"""Errors of the booking API: application/problem+json (RFC 9457) with our number, the sentence for people, and other free times."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import orjson

from hub.booking.clock import write
from hub.booking.free import Time
from hub.faces.interaction import Answer
from hub.fhir.outcome import OUTCOME
from hub.problem import Problem, Refused, Unavailable

log = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"
TYPE = "https://besoksbro.example/problems/"
SAID = {
    Problem.WRONG_MEDIA_TYPE: "Innholdstypen støttes ikke her. Bruk application/json.",
    Problem.NO_SUCH_INTERACTION: "Dette kan ikke gjøres med denne adressen. Se beskrivelsen av API-et.",
    Problem.UNKNOWN_RESOURCE: "Adressen finnes ikke.",
}
"""Where the table's own sentence speaks of FHIR."""
POINTERS = {
    "Appointment.start": "/start", "Appointment.end": "/minutes", "Appointment.identifier": "/request",
    "Appointment.participant.actor": "/department", "Appointment.requestedPeriod": "/days",
}
"""Where the rules point → where that stands in the shop's body."""


class Elsewhen(Refused):
    """Refused, with the free times nearest to what was asked for."""

    def __init__(self, refused: Refused, times: Iterable[Time]) -> None:
        super().__init__(refused.problem, refused.detail, refused.where)
        self.times = tuple(times)


def problem(which: Problem, detail: str, where: str = "", times: Iterable[Time] | None = None) -> bytes:
    """The body of an error."""
    pointer = where if where.startswith("/") else POINTERS.get(where, "")
    made: dict[str, Any] = {
        "type": TYPE + which.value, "title": SAID.get(which, which.text), "status": OUTCOME[which][0], "detail": detail, "code": which.value,
        **({"pointer": pointer} if pointer else {}),
    }
    if times is not None:
        made["alternatives"] = [{"start": write(t.start), "end": write(t.end)} for t in times]
    return orjson.dumps(made)


def failed(trouble: Exception) -> Answer:
    """The answer for what was raised. Anything but Refused and Unavailable is a fault of ours, which the log tells of."""
    match trouble:
        case Refused():
            times = trouble.times if isinstance(trouble, Elsewhen) else None
            body = problem(trouble.problem, trouble.detail, trouble.where, times)
            return Answer(OUTCOME[trouble.problem][0], body, media_type=PROBLEM_JSON)
        case Unavailable():
            headers = ((b"retry-after", str(int(trouble.retry_after or 5)).encode()),)
            return Answer(503, problem(Problem.UNAVAILABLE, trouble.detail), headers, media_type=PROBLEM_JSON)
    log.error("a request to the booking API failed", exc_info=trouble)
    return Answer(500, problem(Problem.UNAVAILABLE, "a fault of ours; it is logged"), media_type=PROBLEM_JSON)
