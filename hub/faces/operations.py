"""The scheduling operations over HTTP: `Appointment/$find`, `$hold`, `$book`, `$cancel`; the rest is the inner face's.

A POST body is Parameters (`appt-resource`, `appt-reference`, `patient-reference`, `reason`), or the Appointment itself, or the searchset
that `$find` gave with one entry. Every answer is a searchset of Appointments, or an OperationOutcome with our number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from hub.access import Reader
from hub.booking.conventions import points_to
from hub.faces import interaction
from hub.faces.interaction import READS, Answer
from hub.faces.parameters import UNDERSTOOD, appointment_of, parameters_of, patient_of, reference_of, wish_of
from hub.faces.web import ID
from hub.fhir import bundle, strict_json
from hub.fhir.outcome import ignored
from hub.fhir.references import ours
from hub.keeping import Calendar, Speaker
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.scheduling.desk import HOLD_PREFIX, Desk, Require, client
from hub.scheduling.offers import Found, find
from hub.store import Store

OPERATIONS = ("$find", "$hold", "$book", "$cancel")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of an operation."""

    operation: str
    """One of OPERATIONS."""
    id: str
    """The Appointment it was called on; empty: the type."""
    parameters: list[tuple[str, Any]]
    reader: Reader
    require: Require
    """Refuses a version that is not the one of If-Match."""
    strict: bool
    get: bool


class Operations:
    """hub.faces.beside.Part."""

    largest = 1024 * 1024
    worded = True

    def __init__(
        self, store: Store, desk: Desk, base_url: str, clock: Callable[[], datetime], calendar: Calendar = lambda *_: None,
    ) -> None:
        self._store, self._desk, self._base, self._clock, self._calendar = store, desk, base_url, clock, calendar

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        found = operation(path)
        return found[2] if found else ()

    def answer(self, asked: interaction.Asked, reader: Reader) -> Answer:
        name, id_, _ = operation(asked.path) or ("", "", ())
        try:
            return Answer(200, self._do(_asked(asked, reader, name, id_, self._base)))
        except Refused as refused:
            raise self._desk.elsewhen(refused) from refused.__cause__

    def _do(self, asked: Asked) -> bytes:
        desk, caller = self._desk, client(asked.reader)
        match asked.operation:
            case "$find":
                wish = wish_of(asked.parameters)
                return self._found(asked, find(self._store, asked.reader, wish, self._clock(), self._calendar))
            case "$hold":
                return bundle.made([orjson.dumps(self._store.write(lambda tx: desk.hold(tx, caller, appointment_of(asked.parameters))))], 1)
            case "$book":
                return bundle.made([self._store.write(lambda tx: desk.book(tx, caller, self._to_book(tx, caller, asked), asked.require)).body], 1)
            case "$cancel":
                id_ = asked.id or reference_of(asked.parameters)
                reason = next((v for n, v in asked.parameters if n == "reason" and isinstance(v, dict)), None)
                cancelled = self._store.write(lambda tx: desk.cancel(tx, caller, id_, reason, asked.require))
                return bundle.made([cancelled.body], 1) if cancelled else bundle.made((), 0)
        raise AssertionError(asked.operation)

    def _to_book(self, tx: Any, caller: Speaker, asked: Asked) -> Resource:
        """What shall be booked: the resource that was sent, or what the hold of that id holds; for this patient, where one is told."""
        sent = next((v for n, v in asked.parameters if n in ("appt-resource", "resource")), None)
        id_ = "" if sent is not None else reference_of(asked.parameters)
        if id_ and not id_.startswith(HOLD_PREFIX):
            raise Refused(Problem.INVALID, "appt-reference names a hold; send the Appointment to move a booking", "Parameters.parameter")
        appointment = self._desk.held(tx, caller, id_) if id_ else appointment_of(asked.parameters)
        patient = patient_of(asked.parameters)
        if not patient:
            return appointment
        self._desk.keeping.check(appointment)
        others = [p for p in appointment.get("participant") or () if not points_to(p.get("actor"), "Patient")]
        return {**appointment, "participant": [{"actor": {"reference": patient, "type": "Patient"}, "status": "accepted"}, *others]}

    def _found(self, asked: Asked, found: Found) -> bytes:
        unknown = sorted({name for name, _ in asked.parameters if name not in UNDERSTOOD})
        if unknown and asked.strict:
            raise Refused(Problem.BAD_SEARCH, f"unknown parameters: {', '.join(unknown)}")
        note = ignored(unknown)
        links = []
        if asked.get:
            used = [(n, str(v)) for n, v in asked.parameters if n in UNDERSTOOD]
            links.append(("self", f"{self._base}/Appointment/$find?{urlencode(used)}"))
            if found.next is not None:
                more = [*((n, v) for n, v in used if n != "_after"), ("_after", "~".join(found.next))]
                links.append(("next", f"{self._base}/Appointment/$find?{urlencode(more)}"))
        return bundle.made([orjson.dumps(o) for o in found.offers], found.total, links, note)


def operation(below: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]] | None:
    """(operation, id, methods) that a path below the FHIR base means; None: it is not one of ours."""
    match below:
        case ("Appointment", "$find"):
            return "$find", "", (*READS, "POST")
        case ("Appointment", "$hold" | "$book" | "$cancel" as name):
            return name, "", ("POST",)
        case ("Appointment", id_, "$cancel") if ID.fullmatch(id_):
            return "$cancel", id_, ("POST",)
    return None


def _asked(asked: interaction.Asked, reader: Reader, name: str, id_: str, base: str) -> Asked:
    """Raises Refused UNREADABLE, INVALID."""
    parameters: list[tuple[str, Any]] = [(n, v) for n, v in asked.pairs if v]
    if asked.body:
        parameters += parameters_of(ours(strict_json.load(asked.body), base))
    parameters = [(n, v.removeprefix(f"{base}/") if isinstance(v, str) else v) for n, v in parameters]
    return Asked(name, id_, parameters, reader, asked.require, asked.strict, asked.method != "POST")
