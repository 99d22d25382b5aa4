"""A person's visits, read from the store and made ready to show: next, coming and past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.access import Information
from hub.delivery import BLOCKING, Delivery, State
from hub.faces import words
from hub.faces.portal.status import Facts, Status, fresh, status
from hub.faces.portal.viewer import Viewer
from hub.fhir.query import DateIs, Query, ReferenceIs
from hub.message import Resource
from hub.store import Store

CONFIRMED_AT = "https://besoksbro.example/fhir/StructureDefinition/confirmed-at"
REASONS = "urn:oid:2.16.578.1.12.4.1.1.7621"
LONGEST = timedelta(hours=24)
"""No visit lasts longer: one that began before now minus this is over."""
COMING_MAX = 60
PAST_FIRST, PAST_PAGE = 5, 20
HIDDEN = frozenset({"entered-in-error", "waitlist"})
NOT_TAKEN = frozenset({State.REJECTED, State.FAILED, State.EXPIRED})
FINAL = frozenset({"fulfilled", "noshow", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Card:
    """One visit as a page shows it. Every field is ready to print."""

    id: str
    day: str
    time: str
    start: datetime
    what: str
    who: str
    """First name of who comes; empty while not assigned, or not to be shown."""
    status: Status
    fresh: str
    actual: str
    """`kl. 09:20–09:50`: when the visit took place; empty while unknown."""
    minutes: int
    over: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The front page: the next visit that stands, the others to come, and the latest past ones."""

    next: Card | None
    coming: tuple[Card, ...]
    past: tuple[Card, ...]
    more: str
    """Where the earlier past visits go on: `<time>-<key>`; empty when there are none."""


def overview(store: Store, viewer: Viewer, now: datetime) -> Overview:
    """Everything the front page shows. A visit that was done before its time counts as past."""
    ahead = _search(store, viewer, "ge", now - LONGEST, count=COMING_MAX)
    cards = _cards(store, viewer, ahead.entries, now)
    coming = [c for c in cards if not c.over]
    next_one = next((c for c in coming if c.status.stands), None)
    past, more = earlier(store, viewer, now, "", PAST_FIRST)
    early = tuple(c for c in reversed(cards) if c.over and c.start >= now)
    return Overview(next_one, tuple(c for c in coming if c is not next_one), early + past, more)


def earlier(store: Store, viewer: Viewer, now: datetime, cursor: str, count: int = PAST_PAGE) -> tuple[tuple[Card, ...], str]:
    """One page of past visits, newest first, and where the next page begins."""
    page = _search(store, viewer, "lt", now, count=count, cursor=_cursor(cursor), descending=True)
    cards = tuple(c for c in _cards(store, viewer, page.entries, now) if c.over)
    return cards, "-".join(map(str, page.next)) if page.next else ""


def one(store: Store, viewer: Viewer, id: str, now: datetime) -> Card | None:
    """The visit with this id, if it is the viewer's person's."""
    stored = store.get("Appointment", id)
    if stored is None or stored.deleted or viewer.person.reference not in actors(stored.resource):
        return None
    return next(iter(_cards(store, viewer, [stored], now)), None)


def actors(appointment: Resource) -> set[str]:
    """References of everyone who takes part."""
    return {p.get("actor", {}).get("reference", "") for p in appointment.get("participant") or []}


def _search(store: Store, viewer: Viewer, prefix: str, at: datetime, *, count: int, cursor: tuple[int, int] | None = None,
            descending: bool = False) -> Any:
    micros = int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    type, _, id = viewer.person.reference.partition("/")
    conditions = (ReferenceIs("patient", ((type, id),)), DateIs("date", ((prefix, micros, micros + 1),), main=True))
    return store.search(Query("Appointment", conditions, count=count, cursor=cursor, descending=descending))


def _cursor(text: str) -> tuple[int, int] | None:
    first, _, second = text.rpartition("-")
    return (int(first), int(second)) if first.lstrip("-").isdigit() and second.isdigit() else None


def _cards(store: Store, viewer: Viewer, entries: Iterable[Any], now: datetime) -> list[Card]:
    appointments = [s.resource for s in entries if s.resource.get("status") not in HIDDEN and "start" in s.resource]
    encounters = _encounters(store, appointments)
    departments = _departments(store, appointments)
    made = []
    for appointment in appointments:
        owed = store.deliveries_about(f"Appointment/{appointment['id']}") if appointment["status"] not in FINAL else []
        made.append(_card(viewer, appointment, encounters.get(appointment["id"]), departments, owed, now))
    return made


def _encounters(store: Store, appointments: Sequence[Resource]) -> dict[str, Resource]:
    """Appointment id → its Encounter."""
    if not appointments:
        return {}
    wanted = tuple(("Appointment", a["id"]) for a in appointments)
    found = store.search(Query("Encounter", (ReferenceIs("appointment", wanted),), count=len(wanted) * 2)).entries
    return {r["reference"].partition("/")[2]: s.resource for s in found for r in s.resource.get("appointment") or []}


def _departments(store: Store, appointments: Sequence[Resource]) -> dict[str, str]:
    """`HealthcareService/…` → its name."""
    wanted = {ref for a in appointments for ref in actors(a) if ref.startswith("HealthcareService/")}
    found = {ref: store.get("HealthcareService", ref.partition("/")[2]) for ref in wanted}
    return {ref: str(stored.resource.get("name", "")) for ref, stored in found.items() if stored is not None}


def _card(viewer: Viewer, appointment: Resource, encounter: Resource | None, departments: Mapping[str, str], owed: Sequence[Delivery],
          now: datetime) -> Card:
    facts = _facts(viewer, appointment, encounter, owed)
    said = status(facts, now)
    confirmed_at = next((_time(e["valueInstant"]) for e in appointment.get("extension") or [] if e.get("url") == CONFIRMED_AT), None)
    waits = any(d.state in BLOCKING or d.state is State.ARRIVED for d in owed)
    department = next((departments[r] for r in actors(appointment) if r in departments), "")
    named = viewer.shows(Information.DEPARTMENT, now)
    return Card(
        id=appointment["id"], day=words.day(facts.start, now), time=words.span(facts.start, facts.end), start=facts.start,
        what=(department if named else "") or _service(appointment), who=_performer(appointment) if viewer.shows(Information.PERFORMER, now) else "",
        status=said, fresh=fresh(facts, confirmed_at, waits, now), actual=_actual(encounter),
        minutes=int((facts.end - facts.start) / timedelta(minutes=1)), over=_over(facts, now),
    )


def _facts(viewer: Viewer, appointment: Resource, encounter: Resource | None, owed: Sequence[Delivery]) -> Facts:
    start = _time(appointment["start"])
    minutes = timedelta(minutes=appointment.get("minutesDuration", 30))
    period = (encounter or {}).get("period") or {}
    reasons = (appointment.get("cancelationReason") or {}).get("coding") or []
    last = max(owed, key=lambda d: d.number, default=None)
    return Facts(
        status=appointment["status"], start=start, end=_time(appointment["end"]) if "end" in appointment else start + minutes,
        reason=next((c.get("code", "") for c in reasons if c.get("system") == REASONS), ""),
        on_the_way=(encounter or {}).get("status") == "in-progress",
        came=_time(period["start"]) if "start" in period else None,
        refused=last is not None and last.state in NOT_TAKEN, own=viewer.own, name=viewer.first_name,
    )


def _over(facts: Facts, now: datetime) -> bool:
    """Belongs among the past ones: done, missed, or its time has gone by and nobody is there."""
    if facts.status in FINAL:
        return True
    return facts.end <= now and not (facts.on_the_way and now < facts.start + LONGEST)


def _service(appointment: Resource) -> str:
    for concept in appointment.get("serviceType") or []:
        said = concept.get("text") or next((c["display"] for c in concept.get("coding") or [] if "display" in c), "")
        if said:
            return str(said)
    return "Besøk"


def _performer(appointment: Resource) -> str:
    """The first name only, whatever was stated."""
    people = (p.get("actor") or {} for p in appointment.get("participant") or [])
    said = next((a["display"] for a in people if a.get("type") == "Practitioner" and a.get("display")), "")
    return str(said).split(" ")[0]


def _actual(encounter: Resource | None) -> str:
    """When it took place; nothing for a visit that did not."""
    if encounter is None or encounter.get("status") not in ("finished", "in-progress"):
        return ""
    period = encounter.get("period") or {}
    if "start" not in period:
        return ""
    return words.span(_time(period["start"]), _time(period["end"]) if "end" in period else None)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
