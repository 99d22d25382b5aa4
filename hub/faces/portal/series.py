"""«Hver tirsdag kl. 10, ikke uke 52»: starting a series from a confirmed time, seeing the ones that go on, and ending one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.booking.clock import local
from hub.booking.series import Series, week_code
from hub.customer import Customer, Order
from hub.faces import words
from hub.faces.context import Context
from hub.faces.portal.page import shown
from hub.faces.portal.viewer import Viewer
from hub.faces.web import Answer, Asked, Page, Redirect

AHEAD = 60
"""Weeks in which an excepted week number is looked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series, ready to print."""

    id: str
    what: str
    said: str
    """`Hver tirsdag kl. 10:00, 30 minutter`."""
    skipped: str
    """`uke 52 og 1`; empty for none."""
    missed: tuple[tuple[str, str], ...] = ()
    """(`Tirsdag 8. desember kl. 10:00`, why): visits ahead that could not be booked."""


def weeks(text: str, order: Order) -> frozenset[str]:
    """The excepted week numbers as ISO weeks, each the next one from the first visit on; what is no week number is left out."""
    wanted = {int(n) for n in re.findall(r"\d{1,2}", text, re.ASCII)}
    first = local(order.start).date()
    found: dict[int, str] = {}
    for n in range(AHEAD):
        day = first + timedelta(weeks=n)
        found.setdefault(day.isocalendar().week, week_code(day))
    return frozenset(found[number] for number in wanted if number in found)


def start(context: Context, who: Customer, order: Order, text: str) -> Redirect:
    """After the first visit is booked: the series, and how many of its visits are booked already."""
    repeated = context.repeating.start(who, order, weeks(text, order))
    return Redirect(f"/serier?bestilt={len(repeated.booked)}")


def series(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /serier."""
    booked = asked.query.get("bestilt", "")
    lines = [_line(context, one, asked.now) for one in context.repeating.of(seen.person.reference)]
    return Page("portal/series.html", shown(
        asked, seen, series=lines, booked=int(booked) if re.fullmatch(r"\d{1,2}", booked, re.ASCII) else 0, ended="avsluttet" in asked.query,
    ), audit=(seen.line("balances", asked.now),))


def end(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /serier/<id>/avslutt."""
    context.repeating.end(Customer.of(seen.reader, seen.person.reference), asked.params["id"])
    return Redirect("/serier?avsluttet=1")


def _line(context: Context, one: Series, now: datetime) -> Line:
    stored = context.store.get("HealthcareService", one.department)
    numbers = sorted(int(week.partition("W")[2]) for week in one.skipped)
    skipped = " og ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1])))) if numbers else ""
    return Line(
        one.id, str(stored.resource.get("name", "")) if stored else "", f"Hver {words.DAYS[one.weekday]} kl. {one.at:%H:%M}, {one.minutes} minutter",
        f"uke {skipped}" if skipped else "",
        tuple((f"{words.day(start, now)} {words.clock(start)}", why.text) for start, why in one.missed if start >= now),
    )
