"""«Meldinger fra brukere»: an employee reads and answers what people wrote to a department whose messages no other system takes.

The list tells nothing of a person. Opening a thread stands in the person's own log, and tells them that it was received.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from hub.access import AuditLine, Ground, Person, Reader, Scope, may_see
from hub.booking.messages import LONGEST, SENDING, Post, Thread
from hub.dialogue import Draft
from hub.faces import enclosing, words
from hub.faces.console.names import Named
from hub.faces.console.service import departments_of, staff_of
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.portal.viewer import name_of
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.message import Resource
from hub.problem import Problem, Refused

log = logging.getLogger(__name__)
NEW, WAITS, ANSWERED = Named("Ny", "warning", "mail"), Named("Venter på svar", "info", "clock"), Named("Besvart", "neutral", "done")


@dataclass(frozen=True, slots=True)
class Line:
    """A thread in the list."""

    id: str
    when: str
    topic: str
    department: str
    status: Named


@dataclass(frozen=True, slots=True)
class Said:
    """A message, ready to print."""

    who: str
    when: str
    text: str
    ours: bool
    visit: str
    """Appointment id; empty: about none."""
    files: tuple[enclosing.Listed, ...] = ()


def threads(context: Context, asked: Asked) -> Answer:
    """GET /drift/brukermeldinger: first what waits for an answer, the oldest first."""
    staff = staff_of(context, asked)
    if staff is None:
        return _missing(asked)
    names = departments_of(context, staff)
    every = context.messaging.to(names)
    found = [one for one in every if _patient(context, asked, staff, one) is not None]
    waiting = sorted((one for one in found if one.waits), key=lambda one: one.newest.sent)
    lines = [_line(one, names[one.department], asked.now) for one in (*waiting, *(one for one in found if not one.waits))]
    hidden = sum(one.waits for one in every) - len(waiting)
    return Page("console/threads.html", shown(asked, "threads", names=sorted(names.values()), waiting=len(waiting), lines=lines, hidden=hidden))


def thread(context: Context, asked: Asked) -> Answer:
    """GET /drift/brukermeldinger/<id>."""
    return _page(context, asked)


def answer(context: Context, asked: Asked) -> Answer:
    """POST /drift/brukermeldinger/<id>."""
    staff = staff_of(context, asked)
    found = _thread(context, asked, staff) if staff else None
    if staff is None or found is None or _patient(context, asked, staff, found) is None:
        return _missing(asked)
    try:
        draft = Draft(asked.form.get("nokkel", "")[:40], asked.form.get("tekst", ""), files=enclosing.chosen(asked))
        context.messaging.answer(staff, found.id, draft)
    except Refused as refused:
        return _page(context, asked, refused)
    log.info("a message was answered by %s", staff.reference)
    return Redirect(f"/drift/brukermeldinger/{found.id}?sendt=1")


def attachment(context: Context, asked: Asked) -> Answer:
    """GET /drift/brukermeldinger/<id>/vedlegg/<file>: for whoever may read the thread."""
    staff = staff_of(context, asked)
    found = _thread(context, asked, staff) if staff else None
    if staff is None or found is None or _patient(context, asked, staff, found) is None:
        return _missing(asked)
    return enclosing.download(context, found, asked.params["file"], _line_of(staff, found, asked.now, "message-file")) or _missing(asked)


def _line_of(staff: Reader, found: Thread, now: datetime, kind: str) -> AuditLine:
    return AuditLine(now, found.newest.patient, staff.reference, Ground.SERVICE.value, kind, "", "console")


def _page(context: Context, asked: Asked, refused: Refused | None = None) -> Answer:
    staff = staff_of(context, asked)
    found = _thread(context, asked, staff) if staff else None
    patient = _patient(context, asked, staff, found) if staff and found else None
    if staff is None or found is None or patient is None:
        return _missing(asked)
    files = enclosing.choice(asked, context.messaging.limits, refused)
    page = Page("console/thread.html", shown(
        asked, "threads", thread=found, department=departments_of(context, staff)[found.department], name=name_of(patient),
        born=patient.get("birthDate", "")[:4], said=[_said(message, name_of(patient), asked.now) for message in found.messages],
        text=asked.form.get("tekst", ""), longest=LONGEST, key=asked.form.get("nokkel") or context.token(9), sent="sendt" in asked.query,
        files=files, told="" if refused is None or (files and files.sorry) else f"Svaret er tomt eller for langt. Skriv fra 1 til {LONGEST} tegn."
        if refused.problem is Problem.MESSAGE_LENGTH else refused.problem.text,
    ), 409 if refused else 200, audit=(_line_of(staff, found, asked.now, "message"),))
    context.messaging.opened(found)
    return page


def _thread(context: Context, asked: Asked, staff: Reader) -> Thread | None:
    id_ = asked.params["id"]
    found = context.messaging.thread(id_) if ID.fullmatch(id_) else None
    return found if found is not None and found.department in departments_of(context, staff) else None


def _patient(context: Context, asked: Asked, staff: Reader, found: Thread) -> Resource | None:
    """The person, unless their address is protected: then nobody sees them here."""
    stored = context.store.get(*found.messages[0].patient.partition("/")[::2])
    if stored is None or stored.deleted:
        return None
    person = Person.of(stored.resource, (found.department,))
    return stored.resource if all(may_see(staff, person, scope, asked.now) for scope in (Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)) else None


def _line(found: Thread, department: str, now: datetime) -> Line:
    status = ANSWERED if not found.waits else NEW if any(m.status == SENDING for m in found.messages) else WAITS
    return Line(found.id, words.when(found.newest.sent, now), found.topic, department, status)


def _said(message: Post, name: str, now: datetime) -> Said:
    who = "Tjenesten" if message.from_service else name if message.author == message.patient else f"{message.signed or 'Pårørende'} (pårørende)"
    return Said(who, words.when(message.sent, now), message.text, message.from_service, message.visit, enclosing.listed(message))


def _missing(asked: Asked) -> Page:
    return Page("console/error.html", shown(asked, "threads", error=404, reference="", text="Siden finnes ikke, eller du har ikke tilgang."), 404)
