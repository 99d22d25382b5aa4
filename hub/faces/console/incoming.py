"""One message in: who sent it, what we thought of it and why, what was tolerated; and receiving it once more when it could not be opened."""

from __future__ import annotations

import logging

from hub.faces.console.messages import REFUSED, TAKEN, appointment
from hub.faces.console.names import masked
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import Answer, Asked, Page, Redirect
from hub.problem import Refused
from hub.store import Filed

log = logging.getLogger(__name__)
LARGEST = 2**63 - 1
"""What a database can look up."""


def incoming(context: Context, asked: Asked) -> Answer:
    """GET /drift/mottatt/<key>: one message in, its content hidden."""
    found = _found(context, asked)
    return _shown(asked, found) if found else Page("console/error.html", shown(asked, "messages", error=404, reference="", text=""), 404)


def again(context: Context, asked: Asked) -> Answer:
    """POST /drift/mottatt/<key>/behandle: receives it once more. Needs a reason; who and why are logged."""
    found = _found(context, asked)
    if found is None or not found.unopened:
        return Page("console/error.html", shown(asked, "messages", error=409, reference="", text="Meldingen kan ikke behandles på nytt."), 409)
    reason = asked.form.get("grunn", "").strip()[:200]
    if not reason:
        return _shown(asked, found, missing_reason=True)
    operator = asked.who.who[0]
    try:
        verdict = context.replay(found.key, operator, reason)
    except Refused as refused:
        return Page("console/error.html", shown(asked, "messages", error=409, reference=refused.problem.value, text=refused.problem.text), 409)
    log.info("envelope %d received again by %s", found.key, operator)
    about = next((id for ref in verdict.about if (id := appointment(ref))), "")
    if about:
        return Redirect(f"/drift/avtale/{about}")
    return Redirect("/drift/meldinger?retning=inn")


def _found(context: Context, asked: Asked) -> Filed | None:
    key = int(asked.params["key"])
    return context.store.envelope(key) if key <= LARGEST else None


def _shown(asked: Asked, e: Filed, *, missing_reason: bool = False) -> Page:
    return Page("console/incoming.html", shown(
        asked, "messages", e=e, problem=e.verdict.problem, detail=masked(e.verdict.detail), where=masked(e.verdict.where),
        remarks=[masked(r) for r in e.remarks], status=REFUSED if e.verdict.problem else TAKEN,
        about=[id for ref in e.verdict.about if (id := appointment(ref))], missing_reason=missing_reason), 422 if missing_reason else 200)
