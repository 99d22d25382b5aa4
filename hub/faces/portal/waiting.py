"""«Venteliste»: stand on it for the hours one wants, see what is offered and until when, say yes or no. Plain links and forms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any

from hub.booking import Department
from hub.booking.clock import local
from hub.booking.waiting import Waiting, Window
from hub.faces import words
from hub.faces.context import Context
from hub.faces.portal import choosing
from hub.faces.portal.ordering import Target, customer, target_of
from hub.faces.portal.page import missing, shown
from hub.faces.portal.viewer import Viewer
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.problem import Problem, Refused

CHOICES = 21
"""Days to choose among at most."""
BEYOND = 7
"""So many of them lie behind the horizon: who waits for those is offered them the moment they come within it."""
_DAY = timedelta(days=1)
_DAY_FIELD = re.compile(r"dag\.(\d{4}-\d{2}-\d{2})", re.ASCII)
HOURS = tuple(f"{hour:02}:00" for hour in range(25))
RECEIPTS = {
    "ny": "Du står på venteliste. Vi sier fra når en tid blir ledig.",
    "nei": "Du har takket nei til tiden. Du står fortsatt på venteliste.",
    "slettet": "Du står ikke lenger på venteliste.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One wait, ready to print."""

    id: str
    what: str
    wanted: tuple[str, ...]
    """`Fredag 27. november kl. 09:00–12:00`."""
    offered: str
    """`I morgen, fredag 27. november kl. 09:15–09:45`; empty: nothing yet."""
    until: str
    since: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A day to tick."""

    name: str
    said: str
    chosen: bool


def waiting(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /venteliste: what is waited for, and what is offered."""
    return _list(context, asked, seen)


def _list(context: Context, asked: Asked, seen: Viewer, sorry: Refused | None = None) -> Page:
    lines = [_line(context, entry, asked.now) for entry in context.waiting.of(seen.person.reference)]
    receipt = next((said for word, said in RECEIPTS.items() if word in asked.query), "")
    return Page("portal/waiting.html", shown(
        asked, seen, lines=lines, receipt=receipt, sorry=sorry.problem.text if sorry else "",
    ), 409 if sorry else 200, audit=(seen.line("waiting", asked.now),))


def ask(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /bestill/<service>/venteliste: which days and hours."""
    found = target_of(context, asked, seen)
    return missing(asked, seen) if found is None else _form(context, asked, seen, found)


def join(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /bestill/<service>/venteliste."""
    found = target_of(context, asked, seen)
    if found is None:
        return missing(asked, seen)
    try:
        first, last = (_clock(asked.form.get(name, ""), name) for name in ("fra", "til"))
        context.waiting.join(customer(seen), found.department.code, _days(asked.form), first, last, asked.form.get("bestilling", "")[:40])
    except Refused as refused:
        return _form(context, asked, seen, found, refused)
    return Redirect("/venteliste?ny=1")


def accept(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /venteliste/<id>/ja: the receipt is the visit's own page."""
    try:
        return Redirect(f"/besok/{context.waiting.accept(customer(seen), asked.params['id'])}?ny=1")
    except Refused as refused:
        return _list(context, asked, seen, refused)


def decline(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /venteliste/<id>/nei."""
    context.waiting.decline(customer(seen), asked.params["id"])
    return Redirect("/venteliste?nei=1")


def leave(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /venteliste/<id>/slett."""
    context.waiting.leave(customer(seen), asked.params["id"])
    return Redirect("/venteliste?slettet=1")


def offers(context: Context, person: str, now: datetime) -> int:
    """How many offers wait for an answer: what the front page tells of."""
    return sum(e.offer is not None and now < e.offer.until for e in context.waiting.of(person))


def _form(context: Context, asked: Asked, seen: Viewer, found: Target, refused: Refused | None = None) -> Page:
    chosen = {day.isoformat() for day in _days(asked.form)}
    wrong = refused is not None and refused.problem is Problem.INVALID
    return Page("portal/wait.html", shown(
        asked, seen, target=found, days=_choices(found.department, asked.now, chosen), first=asked.form.get("fra", "08:00"),
        last=asked.form.get("til", "16:00"), hours=HOURS,
        minutes=found.department.offer_minutes, key=asked.form.get("bestilling") or context.token(9),
        sorry="" if refused is None else "Velg minst én dag, og et tidsrom som er langt nok til et besøk." if wrong else refused.problem.text,
        free=refused is not None and refused.problem is Problem.TIME_IS_FREE,
    ), 409 if refused else 200)


def _choices(department: Department, now: datetime, chosen: set[str]) -> list[Choice]:
    first = local(now).date()
    days = [first + n * _DAY for n in range(min(department.horizon_days + BEYOND, CHOICES))]
    said = [words.day_of(day, first) for day in days]
    return [Choice(day.isoformat(), text, day.isoformat() in chosen) for day, text in zip(days, said, strict=True)]


def _days(form: Any) -> list[date]:
    """The ticked days. Raises Refused INVALID for one that is none."""
    try:
        return [date.fromisoformat(match[1]) for name in form if (match := _DAY_FIELD.fullmatch(name))]
    except ValueError as wrong:
        raise Refused(Problem.INVALID, "no date", "dag") from wrong


def _clock(text: str, where: str) -> time:
    try:
        return time.fromisoformat("00:00" if text == HOURS[-1] else text).replace(tzinfo=None, microsecond=0)
    except ValueError as wrong:
        raise Refused(Problem.INVALID, "no time of day", where) from wrong


def _line(context: Context, entry: Waiting, now: datetime) -> Line:
    stored = context.store.get("HealthcareService", entry.department)
    live = entry.offer if entry.offer is not None and now < entry.offer.until else None
    end = live.start + timedelta(minutes=entry.minutes) if live else None
    return Line(
        entry.id, str(stored.resource.get("name", "")) if stored else "", tuple(_said(entry.windows, now)),
        f"{words.day(live.start, now)} {words.span(live.start, end)}" if live else "", words.when(live.until, now) if live else "",
        words.when(entry.since, now),
    )


def _said(windows: Iterable[Window], now: datetime) -> Iterable[str]:
    """The hours, and the days that have them."""
    for hours, group in groupby(windows, key=lambda w: f"kl. {local(w[0]):%H:%M}–{local(w[1]):%H:%M}"):
        yield f"{', '.join(choosing.short_day(first) for first, _ in group)}, {hours}"
