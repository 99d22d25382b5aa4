"""The test login of the demo: a list of invented persons to be. Outside the demo it does not exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.access import Mandate, Protection, Scope, protection
from hub.faces.context import Context
from hub.faces.portal.entering import entered
from hub.faces.portal.viewer import name_of
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.fhir.query import Query
from hub.message import Resource
from hub.store import Store

AT_FIRST = 8
"""So many of each are shown at once; the others unfold."""
ALL = 1000
"""Entries per page while looking for relatives; the demo is small."""


@dataclass(frozen=True, slots=True)
class Someone:
    """One invented person to log in as."""

    key: str
    """`Patient/…` or `RelatedPerson/…`."""
    name: str
    about: str
    who: tuple[str, ...]
    """Every reference that is this same person."""


def chooser(context: Context, asked: Asked) -> Answer:
    """GET /logg-inn: whom to be."""
    persons, relatives = everyone(context.store, context.shown_first)
    return Page("portal/login.html", {
        "persons": persons, "relatives": relatives, "first": AT_FIRST, "session": asked.session, "here": "login",
        "ended": "utlopt" in asked.query,
    })


def enter(context: Context, asked: Asked) -> Answer:
    """POST /logg-inn: a new session as the chosen one; straight to the visits when there is only one person to see."""
    persons, relatives = everyone(context.store, context.shown_first)
    chosen = next((s for s in persons + relatives if s.key == asked.form.get("hvem")), None)
    if chosen is None:
        return Redirect("/logg-inn")
    return entered(context, asked, chosen.who)


def everyone(store: Store, first: Sequence[str] = ()) -> tuple[list[Someone], list[Someone]]:
    """Persons, and relatives: one entry per national id, with those they stand near to; those in `first`, then the ones with most to see.

    A protected person is nobody's.
    """
    patients = {r["id"]: r for r in _all(store, "Patient")}
    open_ones = {f"Patient/{id}" for id, p in patients.items() if protection(p) is Protection.OPEN}
    mandates = [m for m in map(Mandate.of, _all(store, "Consent")) if m.active and Scope.SEE in m.scopes]
    mandated = {holder for m in mandates for holder in m.holders}
    relatives: dict[str, list[Resource]] = {}
    for relative in _all(store, "RelatedPerson"):
        if relative.get("patient", {}).get("reference") in open_ones:
            relatives.setdefault(_national_id(relative) or relative["id"], []).append(relative)
    own = [_person(p, relatives.get(_national_id(p) or "", [])) for p in patients.values()]
    ids = {_national_id(p) for p in patients.values()}
    others = [_relative(group, patients) for key, group in relatives.items()
              if key not in ids and any(f"RelatedPerson/{r['id']}" in mandated for r in group)]
    represented = {f"Patient/{p['id']}" for p in patients.values()} & {m.person for m in mandates}
    return (
        sorted(own, key=lambda s: (not set(s.who) & set(first), s.key not in represented, s.name)),
        sorted(others, key=lambda s: (not set(s.who) & set(first), -len(s.who), s.name)),
    )


def _person(patient: Resource, also: list[Resource]) -> Someone:
    key = f"Patient/{patient['id']}"
    return Someone(key, name_of(patient), f"født {patient.get('birthDate', '')[:4]}", (key, *(f"RelatedPerson/{r['id']}" for r in also)))


def _relative(group: list[Resource], patients: dict[str, Resource]) -> Someone:
    whom = [patients[id] for r in group if (id := r.get("patient", {}).get("reference", "").partition("/")[2]) in patients]
    who = tuple(f"RelatedPerson/{r['id']}" for r in group)
    return Someone(who[0], name_of(group[0]), "pårørende til " + " og ".join(sorted(name_of(p) for p in whom)), who)


def _national_id(resource: Resource) -> str | None:
    return next((i.get("value") for i in resource.get("identifier") or [] if i.get("system", "").startswith("urn:oid:2.16.578.1.12.4.1.4.")), None)


def _all(store: Store, type: str) -> Iterator[Resource]:
    cursor = None
    while True:
        page = store.search(Query(type, count=ALL, cursor=cursor))
        yield from (s.resource for s in page.entries)
        if (cursor := page.next) is None:
            return


