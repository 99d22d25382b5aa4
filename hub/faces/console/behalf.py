"""«Bestill for»: an employee books, moves and cancels for a person who called; against a soft rule only with a reason, which stands on the
timeline. A full time is full for staff too.

The national id is sent once, in a form, to find the person; no address ever holds it. Each look-up stands in the person's own log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from hub.access import AuditLine, Ground, Person, Reader, Scope, may_see
from hub.booking import Asker, Booking, Department
from hub.booking.clock import FIRST_DAY, LAST_DAY, at, moments
from hub.booking.conventions import DNR, FNR
from hub.booking.national_id import is_d_number, valid
from hub.booking.rules import SOFT
from hub.booking.views import Status, is_booking
from hub.customer import Customer, Order
from hub.faces import words
from hub.faces.console.login import books
from hub.faces.console.names import masked
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.portal.viewer import name_of
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.fhir.query import DateIs, Query, ReferenceIs
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import micros

log = logging.getLogger(__name__)
PURPOSE = "bestille på vegne av"
LEAST_REASON, MOST_REASON = 5, 200
DONE = {"ny": "Besøket er bestilt.", "flytt": "Besøket har fått ny tid.", "avbestill": "Besøket er avlyst."}
AHEAD = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit ahead, ready to print."""

    id: str
    when: str
    department: str
    status: str


def ask(context: Context, asked: Asked) -> Answer:
    """GET /drift/bestill."""
    return _missing(asked) if _staff(context, asked) is None else Page("console/behalf_find.html", shown(asked, "behalf", told=""))


def find(context: Context, asked: Asked) -> Answer:
    """POST /drift/bestill: the person with this national id; the answer's address has the person's id here."""
    staff = _staff(context, asked)
    if staff is None:
        return _missing(asked)
    number = "".join(asked.form.get("nummer", "").split())
    found = context.store.identified("Patient", DNR if is_d_number(number) else FNR, number) if valid(number) else None
    if found is None or _patient(context, asked, staff, found.id) is None:
        return Page("console/behalf_find.html", shown(asked, "behalf", told="Fant ingen som kan vises her. Kontroller nummeret."), 404, audit=tuple(
            AuditLine(asked.now, kept.reference, staff.reference, Ground.STAFF.value, "on-behalf", "", "console", given=False)
            for kept in (found,) if kept is not None
        ))
    return Redirect(f"/drift/bestill/{found.id}")


def person(context: Context, asked: Asked) -> Answer:
    """GET /drift/bestill/<person>: the visits ahead, and a form to book; `flytt` and `avbestill` name the visit that is changed instead."""
    return _page(context, asked)


def act(context: Context, asked: Asked) -> Answer:
    """POST /drift/bestill/<person>: first under every rule; with `fravik` and a reason past the soft ones."""
    staff = _staff(context, asked)
    patient = _patient(context, asked, staff, asked.params["person"]) if staff else None
    if staff is None or patient is None:
        return _missing(asked)
    what = asked.form.get("handling", "")
    try:
        customer = _customer(staff, patient, _reason(asked.form) if asked.form.get("fravik") else "")
        match what:
            case "avbestill":
                context.shop.cancel(customer, asked.form.get("besok", ""), masked(asked.form.get("begrunnelse", "").strip()[:MOST_REASON]))
            case "ny" | "flytt":
                context.shop.book(customer, _order(context, asked, what))
            case _:
                raise Refused(Problem.INVALID, "no such action", "handling")
    except Refused as refused:
        return _page(context, asked, refused)
    log.info("%s for a person by %s%s", what, staff.reference, ", past a rule" if customer.overrules else "")
    return Redirect(f"/drift/bestill/{patient['id']}?gjort={what}")


def _customer(staff: Reader, patient: Resource, reason: str) -> Customer:
    return Customer(f"Patient/{patient['id']}", staff.reference, Ground.STAFF, Asker.STAFF, "console", reason)


def _reason(form: Any) -> str:
    """Why a rule is passed. Raises Refused REASON_MISSING."""
    reason = masked(" ".join(form.get("begrunnelse", "").split())[:MOST_REASON])
    if len(reason) < LEAST_REASON:
        raise Refused(Problem.REASON_MISSING, "a rule is passed without a reason", "begrunnelse")
    return reason


def _order(context: Context, asked: Asked, what: str) -> Order:
    """The order of the form. Raises Refused INVALID, NO_SUCH_TIME, UNKNOWN_SERVICE."""
    form, moved = asked.form, _booking(context, asked.form.get("besok", "")) if what == "flytt" else None
    try:
        wall = datetime.combine(date.fromisoformat(form.get("dag", "").strip()), time.fromisoformat(form.get("klokke", "").strip()))
        if not FIRST_DAY <= wall.date() <= LAST_DAY:
            raise ValueError("a day out of our days")
    except ValueError as wrong:
        raise Refused(Problem.INVALID, "a day like 2026-12-24 and a time like 09:15", "dag") from wrong
    if not moments(wall.replace(tzinfo=None)):
        raise Refused(Problem.NO_SUCH_TIME, "clocks in Norway skip this time that night", "klokke")
    start = at(wall.date(), wall.time().replace(tzinfo=None))
    if moved is not None:
        minutes = round((moved.end - moved.start).total_seconds() / 60)
        return Order(form.get("nokkel", "")[:40], moved.department, start, minutes, moved.id)
    code = form.get("avdeling", "")
    stored = context.store.get("HealthcareService", code) if ID.fullmatch(code) else None
    if stored is None:
        raise Refused(Problem.UNKNOWN_SERVICE, "no such department", "avdeling")
    return Order(form.get("nokkel", "")[:40], code, start, Department.of(stored.resource).visit_minutes)


def _page(context: Context, asked: Asked, refused: Refused | None = None) -> Page:
    staff = _staff(context, asked)
    patient = _patient(context, asked, staff, asked.params["person"]) if staff else None
    if staff is None or patient is None:
        return _missing(asked)
    who, form = f"Patient/{patient['id']}", asked.form
    what = form.get("handling") or next((w for w in ("flytt", "avbestill") if asked.query.get(w)), "ny")
    what = what if what in DONE else "ny"
    changed = next((v for v in _visits(context, who, asked.now) if v.id == (form.get("besok") or asked.query.get(what))), None)
    if what != "ny" and changed is None and refused is None:
        return _missing(asked)
    near = _near(context, asked, staff, patient, what) if refused and what != "avbestill" else []
    return Page("console/behalf.html", shown(
        asked, "behalf", person=patient["id"], name=name_of(patient), born=patient.get("birthDate", "")[:4], what=what, changed=changed, form=form,
        visits=_visits(context, who, asked.now), services=_services(context), key=form.get("nokkel") or context.token(9), near=near,
        told=_told(refused), soft=refused is not None and refused.problem in SOFT | {Problem.REASON_MISSING},
        wrong=refused.where if refused else "", done=DONE.get(asked.query.get("gjort", ""), ""),
    ), 409 if refused else 200, audit=(AuditLine(asked.now, who, staff.reference, Ground.STAFF.value, "on-behalf", "", "console"),))


def _near(context: Context, asked: Asked, staff: Reader, patient: Resource, what: str) -> list[str]:
    """The nearest times that break no rule."""
    try:
        found = context.shop.nearest(_customer(staff, patient, ""), _order(context, asked, what), asked.now)
    except Refused:
        return []
    return [f"{words.day(t.start, asked.now)} {words.span(t.start, t.end)}" for t in found]


def _told(refused: Refused | None) -> str:
    if refused is None:
        return ""
    if refused.problem is Problem.INVALID:
        return "Skriv dag som 2026-12-24 og klokkeslett som 09:15. Tiden må passe med starttidene til avdelingen."
    return refused.problem.text


def _visits(context: Context, who: str, now: datetime) -> list[Visit]:
    kind, _, id_ = who.partition("/")
    ahead = DateIs("date", (("eq", micros(now), micros(now + AHEAD)),), main=True)
    found = [s.resource for s in context.store.search(Query("Appointment", (ReferenceIs("patient", ((kind, id_),)), ahead), count=200)).entries]
    names = {s["id"]: s["name"] for s in _services(context)}
    said = {Status.PENDING: "Venter på svar", Status.BOOKED: "Bekreftet"}
    booked = sorted((Booking.of(r) for r in found if is_booking(r)), key=lambda b: b.start)
    return [
        Visit(b.id, f"{words.day(b.start, now)} {words.span(b.start, b.end)}", names.get(b.department, b.department), said[b.status])
        for b in booked if b.status in said
    ]


def _services(context: Context) -> list[dict[str, str]]:
    found = [s.resource for s in context.store.search(Query("HealthcareService", count=1000)).entries]
    return sorted(({"id": s["id"], "name": str(s.get("name", s["id"]))} for s in found if s.get("active", True)), key=lambda s: s["name"])


def _booking(context: Context, id_: str) -> Booking:
    """Whose it is, is the shop's to say. Raises Refused UNKNOWN_BOOKING."""
    stored = context.store.get("Appointment", id_) if ID.fullmatch(id_) else None
    if stored is None or not is_booking(stored.resource):
        raise Refused(Problem.UNKNOWN_BOOKING, "no such booking", "besok")
    return Booking.of(stored.resource)


def _staff(context: Context, asked: Asked) -> Reader | None:
    """Who acts, when they may: asked anew each time, so that a right taken away is gone at once."""
    name = next((who.partition(":")[2] for who in asked.who.who if who.startswith("staff:")), "")
    return Reader(f"staff:{name}", Ground.STAFF, purpose=PURPOSE) if name and books(context, name) else None


def _patient(context: Context, asked: Asked, staff: Reader, id_: str) -> Resource | None:
    """The person, unless their address is protected: then nobody finds them here."""
    stored = context.store.get("Patient", id_) if ID.fullmatch(id_) else None
    if stored is None or stored.deleted or not may_see(staff, Person.of(stored.resource), Scope.BOOK, asked.now):
        return None
    return stored.resource


def _missing(asked: Asked) -> Page:
    return Page("console/error.html", shown(asked, "behalf", error=404, reference="", text="Siden finnes ikke, eller du har ikke tilgang."), 404)
