"""Every message in and out, newest first; one message out; and sending it again."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from urllib.parse import urlencode

from hub.delivery import NEXT, Delivery, State, Step
from hub.faces.console.names import DIRECTIONS, NEEDS_YOU, STATES, WAITING, Named, function, masked
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.problem import Problem
from hub.store import Filed

log = logging.getLogger(__name__)
ROWS = 50
SIMPLE = re.compile(r"[\w.-]{0,80}", re.ASCII)
"""What a filter may be; anything else filters nothing."""
GROUPS: dict[str, tuple[State, ...]] = {"venter": WAITING, "trenger-deg": NEEDS_YOU}
"""Words for several states at once, in the status filter."""
TAKEN, REFUSED = Named("Mottatt", "success", "check"), Named("Avvist av oss", "warning", "warning")
FILTERS = ("retning", "partner", "status", "feil")
IN_STATUSES = ("mottatt", "avvist")


@dataclass(frozen=True, slots=True)
class Line:
    """One message in the list. `status` has word, colour and icon."""

    at: datetime
    number: int
    """Place in its own direction; falls down the list."""
    direction: str
    function: str
    partner: str
    status: Named
    note: str
    appointment: str
    url: str


def messages(context: Context, asked: Asked) -> Answer:
    """GET /drift/meldinger: filters and place are in the address; keyset paging, so that page 1000 costs what page 1 does."""
    chosen = {name: value if SIMPLE.fullmatch(value := asked.query.get(name, "")) else "" for name in FILTERS}
    before = _place(asked.query.get("fra", ""))
    out = [_out(d) for d in _deliveries(context, chosen, before[0])]
    into = [_in(e) for e in _envelopes(context, chosen, before[1])]
    lines = list(islice(merge(out, into, key=lambda line: line.at, reverse=True), ROWS))  # each way keeps its order: no line is ever skipped
    more = "" if len(out) + len(into) <= ROWS else "/drift/meldinger?" + urlencode(
        {k: v for k, v in chosen.items() if v} | {"fra": _next(lines, before)})
    statuses = [("venter", "Venter"), ("trenger-deg", "Trenger deg"), *((s.value, STATES[s].word) for s in State),
                ("mottatt", "Mottatt"), ("avvist", "Avvist av oss")]
    return Page("console/messages.html", shown(
        asked, "messages", rows=lines, more=more, chosen=chosen, statuses=statuses,
        partners=[(c.name, c.title) for c in context.adapters()], problems=[(p.value, f"{p.value} {p.text}") for p in Problem]))


def _deliveries(context: Context, chosen: Mapping[str, str], before: int | None) -> list[Delivery]:
    if chosen["retning"] == "inn" or chosen["status"] in IN_STATUSES or chosen["feil"]:
        return []
    states = GROUPS.get(chosen["status"]) or tuple(s for s in State if s.value == chosen["status"])
    return context.store.deliveries(states, chosen["partner"], before, ROWS + 1)


def _envelopes(context: Context, chosen: Mapping[str, str], before: int | None) -> list[Filed]:
    if chosen["retning"] == "ut" or (chosen["status"] and chosen["status"] not in IN_STATUSES):
        return []
    problem = next((p for p in Problem if p.value == chosen["feil"]), None)
    refused = {"avvist": True, "mottatt": False}.get(chosen["status"])
    return context.store.envelopes(chosen["partner"], problem, refused, before, ROWS + 1)


def _place(text: str) -> tuple[int | None, int | None]:
    """`<delivery number>-<envelope key>`, both exclusive; a missing one begins at the newest."""
    found = re.fullmatch(r"(\d{0,18})-(\d{0,18})", text, re.ASCII)
    return (int(found[1]) if found[1] else None, int(found[2]) if found[2] else None) if found else (None, None)


def _next(lines: list[Line], before: tuple[int | None, int | None]) -> str:
    lowest = [min((line.number for line in lines if line.direction == way), default=place)
              for way, place in zip(DIRECTIONS.values(), before, strict=True)]
    return "-".join("" if place is None else str(place) for place in lowest)


def _out(d: Delivery) -> Line:
    return Line(d.created, d.number, DIRECTIONS["ut"], function(d.function), d.adapter, STATES[d.state], masked(d.note),
                appointment(d.subject), f"/drift/melding/{d.id}")


def _in(e: Filed) -> Line:
    problem = e.verdict.problem
    about = next((id for ref in e.verdict.about if (id := appointment(ref))), "")
    return Line(e.received, e.key, DIRECTIONS["inn"], function(e.function), e.adapter, REFUSED if problem else TAKEN,
                problem.value if problem else "", about, f"/drift/mottatt/{e.key}")


def appointment(reference: str) -> str:
    """The id in `Appointment/…`; empty for anything else."""
    kind, _, id = reference.partition("/")
    return id if kind == "Appointment" else ""


def delivery(context: Context, asked: Asked) -> Answer:
    """GET /drift/melding/<id>: one message out, payload hidden."""
    found = _found(context, asked)
    if found is None:
        return Page("console/error.html", shown(asked, "messages", error=404, reference="", text=""), 404)
    return _delivery(asked, found)


def _found(context: Context, asked: Asked) -> Delivery | None:
    id = asked.params["id"]
    return context.store.delivery(id) if ID.fullmatch(id) else None


def _delivery(asked: Asked, found: Delivery, *, missing_reason: bool = False) -> Page:
    return Page("console/delivery.html", shown(
        asked, "messages", d=found, note=masked(found.note), status=STATES[found.state], appointment=appointment(found.subject),
        can_resend=(found.state, Step.RESEND) in NEXT, missing_reason=missing_reason), 422 if missing_reason else 200)


def resend(context: Context, asked: Asked) -> Answer:
    """POST /drift/melding/<id>/send: the same letter under the same id again. Needs a reason; who and why are logged."""
    found = _found(context, asked)
    if found is None or (found.state, Step.RESEND) not in NEXT:
        return Page("console/error.html", shown(asked, "messages", error=409, reference="", text="Meldingen kan ikke sendes på nytt nå."), 409)
    reason = asked.form.get("grunn", "").strip()[:200]
    if not reason:
        return _delivery(asked, found, missing_reason=True)
    operator = asked.who.who[0]
    context.resend(found.id, operator, reason)
    log.info("delivery %s sent again by %s", found.id, operator)
    return Redirect(f"/drift/melding/{found.id}")
