"""«What did you do with my message?»: `POST /fhir/$message`, for a vendor, of its own messages only. In a body, so that no log holds an id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.access import AuditLine, Reader
from hub.config import Misconfigured
from hub.delivery import Delivery
from hub.faces.console.names import masked
from hub.faces.interaction import Answer, Asked
from hub.faces.parameters import parameters_of
from hub.fhir import strict_json
from hub.fhir.outcome import SYSTEM
from hub.problem import Problem, Refused
from hub.store import Filed, Store, TimelineEntry
from hub.store.values import persons

Json = dict[str, Any]
LONGEST_ID = 255
Own = Mapping[str, frozenset[str]]
"""Who calls → the adapters whose messages are its own."""


def own_adapters(tables: Mapping[str, Any], adapters: Iterable[str]) -> Own:
    """`adapters = […]` of each `[[vendors]]` and `[[clients]]` in hub.toml. Raises Misconfigured: there is no such adapter."""
    known, found = frozenset(adapters), {}
    for row in (*tables.get("vendors", ()), *tables.get("clients", ())):
        name, named = row.get("name", row.get("id")), frozenset(row.get("adapters", ()))
        if unknown := sorted(named - known):
            raise Misconfigured(f"hub.toml {name}: ingen partner {', '.join(unknown)} her")
        found[f"vendor:{name}"] = named
    return found


class Tracing:
    """hub.faces.beside.Part."""

    largest = 16 * 1024
    worded = True

    def __init__(self, store: Store, own: Own) -> None:
        self._store, self._own = store, own

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        return ("POST",) if path == ("$message",) else ()

    def answer(self, asked: Asked, reader: Reader) -> Answer:
        id_ = next((v for n, v in parameters_of(strict_json.load(asked.body)) if n == "id"), None)
        if not isinstance(id_, str) or not 0 < len(id_) <= LONGEST_ID:
            raise Refused(Problem.INVALID, "Parameters with the parameter id: the message's id, as valueString", "Parameters.parameter")
        adapters = self._own.get(reader.reference, frozenset())
        if not adapters:
            raise Refused(Problem.NOT_ALLOWED, "no adapter is this client's: the municipality names them in hub.toml (adapters)")
        filed, delivery = self._store.named(id_, adapters), self._store.delivery(id_)
        deliveries = [delivery] if delivery is not None and delivery.adapter in adapters else []
        if not filed and not deliveries:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no message of yours has that id")
        subjects = dict.fromkeys([*(about for one in filed for about in one.verdict.about), *(d.subject for d in deliveries)])
        for subject in subjects:
            deliveries += [d for d in self._store.deliveries_about(subject) if d.adapter in adapters and d not in deliveries]
        self._log(reader, subjects)
        parameters = [*map(_message, filed), *map(_delivery, deliveries), *map(_event, self._events(subjects, filed, deliveries, adapters))]
        return Answer(200, orjson.dumps({"resourceType": "Parameters", "parameter": parameters}))

    def _events(
        self, subjects: Iterable[str], filed: list[Filed], deliveries: list[Delivery], adapters: frozenset[str],
    ) -> list[TimelineEntry]:
        """What happened to what the message is about, as far as it is this vendor's: its messages, its deliveries, what it stated."""
        keys, ids = {one.key for one in filed}, {d.id for d in deliveries}
        return [
            entry for subject in subjects for entry in self._store.timeline(subject)
            if entry.envelope in keys or entry.delivery in ids or entry.origin in adapters
        ]

    def _log(self, reader: Reader, subjects: Iterable[str]) -> None:
        found = [kept for s in subjects if (kept := self._store.get(*s.split("/", 1))) is not None]
        now = self._store.now()
        self._store.audit_later(
            AuditLine(now, person, reader.reference, reader.ground.value, "message", reader.on_behalf_of, "fhir") for person in persons(found)
        )


def _message(one: Filed) -> Json:
    problem = one.verdict.problem
    return _parameter(
        "message", ("id", "String", masked(one.id)), ("adapter", "String", one.adapter), ("received", "Instant", _instant(one.received)),
        ("function", "String", one.function), ("verdict", "Code", "refused" if problem else "accepted"),
        ("problem", "Coding", {"system": SYSTEM, "code": problem.value, "display": problem.name} if problem else None),
        ("text", "String", problem.text if problem else ""), ("detail", "String", masked(one.verdict.detail)),
        ("where", "String", masked(one.verdict.where)), ("answered", "Boolean", one.reply is not None),
        *(("remark", "String", masked(remark)) for remark in one.remarks),
        *(("about", "Reference", {"reference": about}) for about in one.verdict.about),
    )


def _delivery(d: Delivery) -> Json:
    return _parameter(
        "delivery", ("id", "String", d.id), ("adapter", "String", d.adapter), ("function", "String", d.function), ("state", "Code", d.state.value),
        ("tries", "UnsignedInt", d.tries), ("created", "Instant", _instant(d.created)), ("expires", "Instant", _instant(d.expires)),
        ("note", "String", masked(d.note)), ("about", "Reference", {"reference": d.subject}),
    )


def _event(e: TimelineEntry) -> Json:
    return _parameter(
        "event", ("at", "Instant", _instant(e.at)), ("kind", "Code", e.kind), ("text", "String", masked(e.text)), ("origin", "String", e.origin),
        ("delivery", "String", e.delivery or ""), ("version", "UnsignedInt", e.version),
    )


def _parameter(name: str, *parts: tuple[str, str, Any]) -> Json:
    """A parameter with its parts; what is empty is left out, as FHIR wants it."""
    return {"name": name, "part": [{"name": n, f"value{kind}": value} for n, kind, value in parts if value not in ("", None)]}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
