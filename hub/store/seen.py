"""What a commit reads of resources: nobody else writes meanwhile, so nothing is read twice."""

from __future__ import annotations

from dataclasses import dataclass

from hub.fhir.query import Condition, DateIs, Query, ReferenceIs, TokenIs
from hub.store import resources
from hub.store.db import Connection
from hub.store.resources import Current
from hub.store.secrets import Secrets
from hub.store.values import Stored

EVERYTHING = 100_000
EVER = (-(2**63), 2**63 - 1)
"""Bounds that bound nothing, in microseconds."""
WEIGHED_BY = ("ServiceRequest", "Flag", "Consent")
"""What of a person decides over a booking, and over whom it is told to: read in one statement."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read or made so far by this work and those before it in the commit."""

    connection: Connection
    secrets: Secrets

    @property
    def _current(self) -> dict[tuple[str, str], Current | None]:
        known: dict[tuple[str, str], Current | None] = self.connection.memory.setdefault("current", {})
        return known

    @property
    def _persons(self) -> dict[str, list[Stored]]:
        """Patient → what is kept of WEIGHED_BY."""
        known: dict[str, list[Stored]] = self.connection.memory.setdefault("persons", {})
        return known

    def current(self, type_: str, id_: str) -> Current | None:
        """A resource as it is now."""
        known = self._current
        if (type_, id_) not in known:
            known[type_, id_] = resources.current(self.connection, type_, id_)
        return known[type_, id_]

    def named(self, type_: str, system: str, value: str) -> list[Stored]:
        """Those that bear this identifier."""
        return self._found(resources.named(self.connection, type_, system, self.secrets.index_value(system, value)))

    def of_patient(self, type_: str, id_: str, bounds: tuple[int, int] | None) -> list[Stored]:
        """Those about a patient whose main time lies within the bounds; None: all."""
        if bounds or type_ not in WEIGHED_BY:
            return self._found(resources.of_patient(self.connection, (type_,), id_, bounds or EVER))
        known = self._persons
        if id_ not in known:
            known[id_] = self._found(resources.of_patient(self.connection, WEIGHED_BY, id_, EVER))
        return [kept for kept in known[id_] if kept.type == type_]

    def _found(self, found: list[Current]) -> list[Stored]:
        for current in found:
            self._current.setdefault((current[0].type, current[0].id), current)
        return [kept for kept, _ in found]

    def made(self, kept: Current) -> None:
        """A new version."""
        self._current[kept[0].type, kept[0].id] = kept
        if kept[0].type in WEIGHED_BY:
            self._persons.clear()

    def forget(self) -> None:
        """Something was written past this."""
        self.connection.memory.clear()


def finding(type_: str, patient: str, status: str, refers: tuple[str, str] | None, bounds: tuple[int, int] | None) -> Query:
    """What `Transaction.find` asks for."""
    wanted: list[Condition] = []
    for name, reference in (refers or ("", ""), ("patient", patient)):
        if reference:
            kind, _, target = reference.partition("/")
            wanted.append(ReferenceIs(name, ((kind, target),)))
    if status:
        wanted.append(TokenIs("status", ((None, status),)))
    if bounds:
        wanted.append(DateIs("date", (("eq", *bounds),), main=True))
    return Query(type_, tuple(wanted), count=EVERYTHING)
