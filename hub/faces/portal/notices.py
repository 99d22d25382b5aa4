"""«Varsler»: what whoever is logged in wants to hear of, and by SMS or e-mail. Of oneself, or as a relative of the person that is shown."""

from __future__ import annotations

from dataclasses import dataclass

from hub.access import AuditLine, Scope
from hub.booking.conventions import with_extension
from hub.booking.notices import Channel, Level, addresses, level_of
from hub.faces.context import Context
from hub.faces.portal.page import missing, shown
from hub.faces.portal.viewer import Viewer
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Transaction

LEVELS = {
    Level.FULL: ("Alt", "Kvitteringer, svar, endringer, meldinger, påminnelser og når besøket er utført."),
    Level.NORMAL: ("Vanlig", "Kvitteringer, svar, endringer, meldinger og påminnelse dagen før."),
    Level.LITTLE: ("Bare endringer", "Når et besøk får ny tid eller avlyses, når vi ikke fikk kontakt, og når du får en ledig tid eller en melding."),
    Level.NONE: ("Ingen", "Vi sender ingen varsler. Du ser alt her på siden."),
}
CHANNELS = {Channel.SMS: "SMS til {}", Channel.EMAIL: "E-post til {}"}
ORIGIN = "portal"


@dataclass(frozen=True, slots=True)
class Choice:
    """One radio button."""

    value: str
    name: str
    text: str
    chosen: bool


def notices(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /varsler."""
    kept = _reader(context, asked, seen)
    if kept is None:
        return missing(asked, seen)
    level, where = level_of(kept), addresses(kept)
    return Page("portal/notices.html", shown(
        asked, seen, "notices", saved="lagret" in asked.query,
        levels=[Choice(one.value, *LEVELS[one], one is level) for one in LEVELS],
        channels=[Choice(c.value, CHANNELS[c].format(_masked(where[c])), "", c is next(iter(where))) for c in Channel if c in where],
    ), audit=(seen.line("notices", asked.now),))


def save(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /varsler."""
    kept = _reader(context, asked, seen)
    if kept is None:
        return missing(asked, seen)
    level, channel = asked.form.get("niva", ""), asked.form.get("kanal", "")
    if level not in list(Level) or (channel and channel not in addresses(kept)):
        raise Refused(Problem.INVALID, "no such level, or nothing to reach by that channel", "niva")

    def work(tx: Transaction) -> None:
        now = tx.get(kept["resourceType"], kept["id"])
        made = with_extension(now.resource if now else kept, "notice-level", "Code", level)
        tx.keep(with_extension(made, "notice-channel", "Code", channel) if channel else made, origin=ORIGIN)
        tx.audit(AuditLine(tx.now, seen.person.reference, seen.reader.reference, seen.reader.ground.value, "notices-changed",
                           seen.reader.on_behalf_of, "portal"))

    context.store.write(work)
    return Redirect("/varsler?lagret=1")


def _reader(context: Context, asked: Asked, seen: Viewer) -> Resource | None:
    """Whoever is logged in; None for a relative whose mandate gives no notices."""
    if not seen.own and not seen.may(Scope.NOTICES, asked.now):
        return None
    type_, _, id_ = seen.reader.reference.partition("/")
    kept = context.store.get(type_, id_)
    return None if kept is None or kept.deleted else kept.resource


def _masked(address: str) -> str:
    """`•••• 345`, `t•••@example.no`: known again by its owner, and by nobody over the shoulder."""
    name, at, domain = address.partition("@")
    return f"{name[:1]}•••@{domain}" if at else f"•••• {address[-3:]}"
