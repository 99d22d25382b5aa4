"""Notices by SMS and e-mail: a test to an address of the operator's own, which is shown, logged and kept nowhere in the clear."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.problem import Problem, Refused

log = logging.getLogger(__name__)
CHANNELS = {"sms": ("SMS", "Mobilnummer", "tel"), "email": ("E-post", "E-postadresse", "email")}
REFUSED = {
    Problem.INVALID: "Skriv et nummer eller en adresse det kan sendes til.", Problem.TOO_MANY: "Vent et minutt før du sender en ny prøve.",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One channel that is set up."""

    channel: str
    name: str
    label: str
    kind: str
    """Of the input field."""


def notices(context: Context, asked: Asked) -> Answer:
    """GET /drift/varsler."""
    return _page(context, asked)


def send(context: Context, asked: Asked) -> Answer:
    """POST /drift/varsler: one test, and on to what becomes of it. Who sent one, and by what, is logged; to whom never is."""
    operator = asked.who.who[0]
    channel = asked.form.get("kanal", "")
    try:
        made = context.test_notice(channel, asked.form.get("til", "").strip(), operator)
    except Refused as refused:
        return _page(context, asked, REFUSED.get(refused.problem, refused.problem.text), 429 if refused.problem is Problem.TOO_MANY else 422)
    log.info("test notice %s sent by %s", made, operator)
    return Redirect(f"/drift/melding/{made}")


def _page(context: Context, asked: Asked, told: str = "", status: int = 200) -> Page:
    ways = [Way(channel, *CHANNELS[channel]) for channel in context.channels()]
    return Page("console/notices.html", shown(asked, "notices", ways=ways, told=told, chosen=asked.form.get("kanal", "")), status)
