"""Whose visits a session may show: the person's own, and those of each person a mandate holds for right now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hub.access import REPRESENTS, AuditLine, Ground, Information, Mandate, Person, Reader, Scope, may_see, protection, shows
from hub.faces.sessions import Session
from hub.fhir.query import Query, ReferenceIs
from hub.message import Resource
from hub.store import Store

SELF = "self"
GROUNDS = {
    Ground.SELF: "deg selv",
    Ground.MANDATE: "fullmakt",
    Ground.PARENT: "foreldreansvar",
    Ground.GUARDIAN: "verge",
}


@dataclass(frozen=True, slots=True)
class Viewer:
    """One pair of reader and person: who looks, whose visits, on what ground."""

    key: str
    """`self` or the Consent's id: what a session remembers."""
    reader: Reader
    person: Person
    name: str
    """The person's name; for headings, never for titles or addresses."""

    @property
    def own(self) -> bool:
        return self.reader.ground is Ground.SELF

    @property
    def first_name(self) -> str:
        return self.name.split(" ")[0]

    @property
    def ground(self) -> str:
        """`fullmakt`, `foreldreansvar` …"""
        return GROUNDS[self.reader.ground]

    def may(self, scope: Scope, now: datetime) -> bool:
        return may_see(self.reader, self.person, scope, now)

    def shows(self, information: Information, now: datetime) -> bool:
        return shows(self.reader, self.person, information, now)

    def line(self, kind: str, now: datetime, *, given: bool = True) -> AuditLine:
        """The access log's line for a page about this person."""
        return AuditLine(now, self.person.reference, self.reader.reference, self.reader.ground.value, kind, self.reader.on_behalf_of,
                         "portal", given)


def choices(store: Store, session: Session, now: datetime) -> list[Viewer]:
    """Everyone this session may see visits of at `now`: oneself first, then the represented by name."""
    own = [v for v in (_own(store, ref) for ref in session.who) if v is not None]
    others = [v for ref in session.who for v in represented(store, ref) if v.may(Scope.SEE, now)]
    return own + sorted(others, key=lambda v: v.name)


def viewer(store: Store, session: Session, now: datetime) -> Viewer | None:
    """The one chosen in this session; None when none is, or when the mandate no longer holds."""
    return next((v for v in choices(store, session, now) if v.key == session.acting), None)


def name_of(resource: Resource) -> str:
    """`Kari Nordmann`: the first name that is stated."""
    for name in resource.get("name") or []:
        said = name.get("text") or " ".join([*(name.get("given") or []), name.get("family", "")]).strip()
        if said:
            return str(said)
    return "Uten navn"


def _own(store: Store, reference: str) -> Viewer | None:
    kind, _, id = reference.partition("/")
    patient = _read(store, "Patient", id) if kind == "Patient" else None
    if patient is None:
        return None
    person = Person.of(patient)
    return Viewer(SELF, Reader(reference, Ground.SELF, protection=person.protection), person, name_of(patient))


def represented(store: Store, reference: str) -> Iterator[Viewer]:
    """Everybody that a relative has some mandate for, also one that holds no more."""
    kind, _, id = reference.partition("/")
    relative = _read(store, "RelatedPerson", id) if kind == "RelatedPerson" else None
    if relative is None:
        return
    for stored in store.search(Query("Consent", (ReferenceIs("actor", (("RelatedPerson", id),)),))).entries:
        mandate = Mandate.of(stored.resource)
        patient = _read(store, "Patient", mandate.person.partition("/")[2])
        if patient is not None and mandate.ground in REPRESENTS:
            reader = Reader(reference, mandate.ground, mandate, protection(relative))
            yield Viewer(mandate.id, reader, Person.of(patient), name_of(patient))


def _read(store: Store, type: str, id: str) -> Resource | None:
    stored = store.get(type, id) if id else None
    return None if stored is None or stored.deleted else stored.resource
