"""What the pages of messages print: threads, who wrote what and when, how far it came, and what there is to choose among."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.access import Information
from hub.booking import Department
from hub.booking.conventions import SERVICE_TYPE, codes
from hub.booking.messages import NOT_RECEIVED, RECEIVED, Post, Thread
from hub.faces import enclosing, words
from hub.faces.context import Context
from hub.faces.portal import visits
from hub.faces.portal.choosing import service_key
from hub.faces.portal.status import Status
from hub.faces.portal.viewer import Viewer

SENT = Status("Sendt", "info", "clock", "Vi venter på at hjemmetjenesten bekrefter at meldingen er mottatt.")
TAKEN = Status("Mottatt av hjemmetjenesten", "success", "check")
LOST = Status("Kom ikke fram", "warning", "warning", "Hjemmetjenesten har ikke fått meldingen. Ring oss, så hjelper vi deg.", stands=False)
NEW = Status("Nytt svar", "success", "mail")
ANSWERED = Status("Besvart", "neutral", "done")
STATES = {RECEIVED: TAKEN, NOT_RECEIVED: LOST}
SERVICE = "Hjemmetjenesten"


@dataclass(frozen=True, slots=True)
class Line:
    """A thread in the list, ready to print."""

    id: str
    topic: str
    what: str
    when: str
    status: Status
    new: bool
    begun: bool
    """The reader has a draft in it."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message, ready to print."""

    who: str
    when: str
    text: str
    theirs: bool
    """The service wrote it."""
    new: bool
    status: Status | None
    visit: str
    """What the link to the visit says; empty: it is about none that can be shown."""
    visit_id: str
    files: tuple[enclosing.Listed, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One department that takes messages, with its topics to choose among."""

    name: str
    topics: tuple[tuple[str, str, bool], ...]
    """Value, text, chosen."""
    answer: str


def line(context: Context, seen: Viewer, found: Thread, now: datetime, *, begun: bool = False) -> Line:
    new = bool(found.unread(seen.reader.reference))
    status = NEW if new else STATES.get(found.newest.status, SENT) if found.waits else ANSWERED
    return Line(found.id, found.topic, what_of(context, seen, found.department, now), _when(found.newest.sent, now), status, new, begun)


def said(context: Context, seen: Viewer, message: Post, now: datetime) -> Said:
    card = visits.one(context.store, seen, message.visit, now) if message.visit else None
    return Said(
        _who(context, seen, message, now), _when(message.sent, now), message.text, message.from_service,
        message.from_service and seen.reader.reference not in message.read_by,
        None if message.from_service else STATES.get(message.status, SENT), f"{card.day} {card.time}" if card else "", message.visit,
        enclosing.listed(message),
    )


def _who(context: Context, seen: Viewer, message: Post, now: datetime) -> str:
    """Who wrote it, as far as this reader may know: nobody learns of other relatives but the person."""
    if message.from_service:
        service = what_of(context, seen, message.department, now)
        return f"{message.signed.split(' ')[0]}, {service}" if message.signed and seen.shows(Information.PERFORMER, now) else service
    if message.author == seen.reader.reference:
        return "Du"
    if message.author == seen.person.reference:
        return seen.name
    return f"{message.signed or 'Pårørende'} (pårørende)" if seen.shows(Information.MANDATES, now) else "En annen pårørende"


def group(context: Context, seen: Viewer, department: Department, chosen: str, now: datetime) -> Group:
    values = [(f"{service_key(department.code)}:{topic}", topic) for topic in department.topics]
    name = what_of(context, seen, department.code, now)
    return Group(name, tuple((value, topic, value == chosen) for value, topic in values), answer_said(department.message_days))


def what_of(context: Context, seen: Viewer, code: str, now: datetime) -> str:
    """The department's name; of a protected person's only what kind of service it is, which tells no place."""
    stored = context.store.get("HealthcareService", code)
    if stored is None:
        return SERVICE
    if seen.shows(Information.DEPARTMENT, now):
        return str(stored.resource.get("name", "")) or SERVICE
    kinds = (c for concept in stored.resource.get("type") or () if codes(concept, SERVICE_TYPE) for c in concept["coding"])
    return next((str(c["display"]) for c in kinds if "display" in c), SERVICE)


def _when(moment: datetime, now: datetime) -> str:
    return f"{words.day(moment, now)} {words.clock(moment)}"


def answer_said(days: int) -> str:
    """`innen én virkedag`, `innen 2 virkedager`."""
    return "innen én virkedag" if days == 1 else f"innen {days} virkedager"
