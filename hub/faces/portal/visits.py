"""A person's visits, read from the store and made ready to show: next, coming and past."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.access import Information
from hub.booking import ANSWER
from hub.booking.clock import begin
from hub.booking.conventions import CANCELATION, codes, extension, points_to
from hub.booking.stays import paused
from hub.booking.views import Status, Visit, actors
from hub.delivery import BLOCKING, Delivery, State
from hub.faces import words
from hub.faces.portal.status import Facts, fresh, status
from hub.faces.portal.status import Status as Said
from hub.faces.portal.viewer import Viewer
from hub.faces.web import ID
from hub.fhir.query import DateIs, Query, ReferenceIs, SortKey
from hub.message import Resource
from hub.store import Page, Store, Stored, micros

LONGEST = timedelta(hours=24)
"""No visit lasts longer: one that began before now minus this is over."""
COMING_MAX = 60
PAST_FIRST, PAST_PAGE = 5, 20
SHOWN = frozenset(s.value for s in Status)
"""Anything else (a wait list, an entry made in error) is nobody's visit."""
NOT_TAKEN = frozenset({State.REJECTED, State.FAILED, State.EXPIRED})


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
    status: Said
    fresh: str
    actual: str
    """`kl. 09:20–09:50`: when the visit took place; empty while unknown."""
    minutes: int
    over: bool
    stands: str
    """The confirmed time from before, `Mandag 30. november kl. 07:30–07:45`, that stands until the service has answered; empty for none."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The front page: the next visit that stands, the others to come, and the latest past ones."""

    next: Card | None
    coming: tuple[Card, ...]
    past: tuple[Card, ...]
    more: str
    """Where the earlier past visits go on: `<time>-<key>`; empty when there are none."""
    further: bool = False
    """There are more to come than are shown."""


def overview(store: Store, viewer: Viewer, now: datetime) -> Overview:
    """Everything the front page shows. A visit that was done before its time counts as past."""
    ahead = _search(store, viewer, "ge", now - LONGEST, count=COMING_MAX)
    cards = _cards(store, viewer, ahead.entries, now)
    coming = [c for c in cards if not c.over]
    next_one = next((c for c in coming if c.status.stands), None)
    past, more = earlier(store, viewer, now, "", PAST_FIRST)
    early = tuple(c for c in reversed(cards) if c.over and c.start >= now)
    return Overview(next_one, tuple(c for c in coming if c is not next_one), early + past, more, ahead.next is not None)


def earlier(store: Store, viewer: Viewer, now: datetime, cursor: str, count: int = PAST_PAGE) -> tuple[tuple[Card, ...], str]:
    """One page of past visits, newest first, and where the next page begins."""
    page = _search(store, viewer, "lt", now, count=count, cursor=_cursor(cursor), descending=True)
    cards = tuple(c for c in _cards(store, viewer, page.entries, now) if c.over)
    return cards, "-".join(map(str, page.next)) if page.next else ""


def one(store: Store, viewer: Viewer, id: str, now: datetime) -> Card | None:
    """The visit with this id, if it is the viewer's person's."""
    stored = kept(store, id)
    if stored is None or viewer.person.reference not in persons(stored.resource):
        return None
    return next(iter(_cards(store, viewer, [stored], now)), None)


def kept(store: Store, id: str) -> Stored | None:
    """The Appointment of this id; None for what cannot be an id."""
    stored = store.get("Appointment", id) if ID.fullmatch(id) else None
    return None if stored is None or stored.deleted else stored


def persons(appointment: Resource) -> list[str]:
    """`Patient/…` of everyone it is for."""
    return [f"Patient/{id}" for a in actors(appointment) if (id := points_to(a, "Patient"))]


def _search(store: Store, viewer: Viewer, prefix: str, at: datetime, *, count: int, cursor: tuple[int, int] | None = None,
            descending: bool = False) -> Page:
    type, _, id = viewer.person.reference.partition("/")
    conditions = (ReferenceIs("patient", ((type, id),)), DateIs("date", ((prefix, micros(at), micros(at) + 1),), main=True))
    return store.search(Query("Appointment", conditions, count=count, cursor=cursor, sort=(SortKey("at", descending=descending),)))


def _cursor(text: str) -> tuple[int, int] | None:
    """What `more` said; anything else begins at the newest."""
    found = re.fullmatch(r"(-?\d{1,18})-(\d{1,18})", text, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def _cards(store: Store, viewer: Viewer, entries: Iterable[Stored], now: datetime) -> list[Card]:
    appointments = [s.resource for s in entries if s.resource.get("status") in SHOWN and "start" in s.resource and "end" in s.resource]
    encounters = _encounters(store, appointments)
    known = [_Known.of(a, encounters.get(a["id"]), store) for a in appointments]
    type, _, id = viewer.person.reference.partition("/")
    stays = [s.resource for s in store.search(Query("Flag", (ReferenceIs("patient", ((type, id),)),))).entries] if appointments else []
    names = _departments(store, known)
    return [_card(viewer, k, names.get(k.visit.booking.department, ""), stays, now) for k in known]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one visit: planned, happened, and owed to the EPJ."""

    visit: Visit
    appointment: Resource
    encounter: Resource
    owed: tuple[Delivery, ...]
    """Letters about it that somebody must say yes or no to."""

    @classmethod
    def of(cls, appointment: Resource, encounter: Resource | None, store: Store) -> _Known:
        over = appointment["status"] in (Status.FULFILLED, Status.NOSHOW)
        letters = () if over else store.deliveries_about(f"Appointment/{appointment['id']}")
        asked = tuple(d for d in letters if d.answer_due and d.refers_to is None)
        return cls(Visit.of(appointment, encounter), appointment, encounter or {}, asked)

    def facts(self, viewer: Viewer, stays: Sequence[Resource]) -> Facts:
        last = max(self.owed, key=lambda d: d.number, default=None)
        booking = self.visit.booking
        return Facts(
            status=booking.status.value, start=booking.start, end=booking.end,
            reason=next(iter(codes(self.appointment.get("cancelationReason"), CANCELATION)), ""),
            on_the_way=self.encounter.get("status") == "in-progress", came=self.visit.arrived,
            paused=paused(stays, booking.start, booking.end), answer=str(extension(self.appointment, ANSWER) or ""),
            refused=last is not None and last.state in NOT_TAKEN, own=viewer.own, name=viewer.first_name,
        )

    @property
    def confirmed_at(self) -> datetime | None:
        stated = extension(self.appointment, "confirmed-at")
        return begin(stated) if stated else None

    @property
    def waits(self) -> bool:
        """A letter about it is not answered yet."""
        return any(d.state in BLOCKING or d.state is State.ARRIVED for d in self.owed)

    @property
    def actual(self) -> str:
        """`kl. 09:20–09:50`; nothing for a visit that did not take place."""
        if self.visit.arrived is None or self.encounter.get("status") not in ("finished", "in-progress"):
            return ""
        return words.span(self.visit.arrived, self.visit.left)


def _encounters(store: Store, appointments: Sequence[Resource]) -> dict[str, Resource]:
    """Appointment id → its Encounter."""
    if not appointments:
        return {}
    wanted = tuple(("Appointment", a["id"]) for a in appointments)
    found = store.search(Query("Encounter", (ReferenceIs("appointment", wanted),), count=len(wanted) * 2)).entries
    return {points_to(r, "Appointment"): s.resource for s in found for r in s.resource.get("appointment") or []}


def _departments(store: Store, known: Iterable[_Known]) -> dict[str, str]:
    """HealthcareService id → its name."""
    found = {id: store.get("HealthcareService", id) for id in {k.visit.booking.department for k in known} - {""}}
    return {id: str(stored.resource.get("name", "")) for id, stored in found.items() if stored is not None}


def _card(viewer: Viewer, known: _Known, department: str, stays: Sequence[Resource], now: datetime) -> Card:
    facts, booking = known.facts(viewer, stays), known.visit.booking
    named, peopled = viewer.shows(Information.DEPARTMENT, now), viewer.shows(Information.PERFORMER, now)
    return Card(
        id=booking.id, day=words.day(facts.start, now), time=words.span(facts.start, facts.end), start=facts.start,
        what=(department if named else "") or _service(known.appointment),
        who=booking.performer.split(" ")[0] if peopled else "",
        status=status(facts, now), fresh=fresh(facts, known.confirmed_at, known.waits, now), actual=known.actual,
        minutes=int((facts.end - facts.start) / timedelta(minutes=1)), over=_over(facts, now),
        stands=f"{words.day(booking.before[0], now)} {words.span(*booking.before)}" if booking.before else "",
    )


def _over(facts: Facts, now: datetime) -> bool:
    """Belongs among the past ones: done, missed, or its time has gone by and nobody is there."""
    if facts.status in (Status.FULFILLED, Status.NOSHOW):
        return True
    return facts.end <= now and not (facts.on_the_way and now < facts.start + LONGEST)


def _service(appointment: Resource) -> str:
    """The kind of service in words that tell no place."""
    for concept in appointment.get("serviceType") or []:
        said = concept.get("text") or next((c["display"] for c in concept.get("coding") or [] if "display" in c), "")
        if said:
            return str(said)
    return "Besøk"
