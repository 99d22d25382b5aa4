"""The whole way of one appointment: every letter, receipt, try and version on one line, oldest first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.access import AuditLine, Ground
from hub.delivery import Delivery, Step
from hub.faces import words
from hub.faces.console import names
from hub.faces.console.names import STATES, WAITING
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import ID, Answer, Asked, Page
from hub.message import Resource
from hub.store import TimelineEntry


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that happened, ready to print."""

    at: str
    since: str
    """How long after the one before; empty for the first."""
    said: str
    icon: str
    text: str
    origin: str
    delivery: str
    attempt: int
    """Which try, for a sending; 0 otherwise."""
    envelope: int
    version: int


def timeline(context: Context, asked: Asked) -> Answer:
    """GET /drift/avtale/<id>. Shows no person; still, the look is written in that person's log."""
    id = asked.params["id"]
    stored = context.store.get("Appointment", id) if ID.fullmatch(id) else None
    entries = context.store.timeline(f"Appointment/{id}") if ID.fullmatch(id) else []
    if stored is None and not entries:
        return Page("console/error.html", shown(asked, "messages", error=404, reference="", text="Avtalen finnes ikke."), 404)
    stands = where_it_stands(context.store.deliveries_about(f"Appointment/{id}"))
    audit = tuple(AuditLine(asked.now, person, asked.who.who[0], Ground.OPERATOR.value, "timeline", "", "console")
                  for person in (_persons(stored.resource) if stored is not None else ()))
    return Page("console/timeline.html", shown(asked, "messages", id=id, entries=hops(entries), stands=stands), audit=audit)


def _persons(appointment: Resource) -> list[str]:
    actors = (p.get("actor") or {} for p in appointment.get("participant") or ())
    return [str(a["reference"]) for a in actors if str(a.get("reference", "")).startswith("Patient/")]


def where_it_stands(owed: list[Delivery]) -> str:
    """`Venter på sending til visma-profil siden 10:42, frist 11:12`; empty when nothing waits."""
    waiting = [d for d in owed if d.state in WAITING]
    if not waiting:
        return ""
    last = max(waiting, key=lambda d: d.number)
    return f"{STATES[last.state].word} – {last.adapter}, laget {words.stamp(last.created)}, frist {words.stamp(last.expires)}"


def hops(entries: list[TimelineEntry]) -> list[Hop]:
    """Entries as lines, with the number of each try and the time since the line before."""
    tries: Counter[str] = Counter()
    made: list[Hop] = []
    before: datetime | None = None
    for e in sorted(entries, key=lambda e: (e.at, names.rank(e.kind))):
        if e.delivery and e.kind in (Step.SENT, Step.UNAVAILABLE, Step.REFUSED):
            tries[e.delivery] += 1
        attempt = tries[e.delivery] if e.delivery and e.kind in (Step.SENT, Step.UNAVAILABLE) else 0
        made.append(Hop(f"{words.stamp(e.at)}.{e.at.microsecond // 1000:03d}", _since(e.at, before), names.kind(e.kind), names.icon(e.kind),
                        names.masked(e.text), e.origin, e.delivery or "", attempt, e.envelope or 0, e.version or 0))
        before = e.at
    return made


def _since(at: datetime, before: datetime | None) -> str:
    if before is None:
        return ""
    gap = at - before
    if gap < timedelta(seconds=1):
        return f"{gap // timedelta(milliseconds=1)} ms etter"
    if gap < timedelta(minutes=2):
        return f"{gap // timedelta(seconds=1)} sekunder etter"
    if gap < timedelta(hours=2):
        return f"{gap // timedelta(minutes=1)} minutter etter"
    return f"{gap // timedelta(hours=1)} timer etter"
