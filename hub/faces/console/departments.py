"""Departments as an administrator sets them: the settings, whom a change would hit before it is applied, and who changed what when."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from hub.booking import Booking
from hub.booking.clock import local
from hub.booking.conventions import SERVICE_TYPE, codes
from hub.booking.holidays import Holidays, holiday
from hub.booking.settings import NUMBERS, SERVICES, SHORT, changed, form_of, named, new
from hub.faces import words
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.fhir.query import Query
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.rolling import change, hit_by

log = logging.getLogger(__name__)
LABELS = {
    "capacity": "Besøk samtidig (antall ansatte)", "slot-minutes": "Minutter mellom starttidene", "visit-minutes": "Et besøk varer, minutter",
    "buffer-minutes": "Reisetid etter hvert besøk, minutter", "horizon-days": "Kan bestilles så mange dager fram",
    "notice-minutes": "Korteste varsel for bestilling, minutter", "move-minutes": "Frist for flytting, minutter før",
    "cancel-minutes": "Frist for avbestilling, minutter før", "answer-hours": "Svarer innen, timer",
    "offer-minutes": "Tilbud til den som venter holdes av, minutter",
    "message-days": "Meldinger besvares vanligvis innen, virkedager",
}
WHO = {"person": "Personen selv", "relative": "Pårørende med fullmakt", "staff": "Ansatte"}
HOLIDAYS = {Holidays.AS_USUAL: "Åpent som ellers", Holidays.CLOSED: "Stengt", Holidays.AS_SUNDAY: "Som søndag"}
HIT_SHOWN = 50


def departments(context: Context, asked: Asked) -> Answer:
    """GET /drift/avdelinger."""
    found = [s.resource for s in context.store.search(Query("HealthcareService", count=1000)).entries]
    rows = [{"id": s["id"], "name": s.get("name", s["id"]), "form": form_of(s)} for s in sorted(found, key=lambda s: str(s.get("name")))]
    return Page("console/departments.html", shown(asked, "departments", rows=rows))


def begin(context: Context, asked: Asked) -> Answer:
    """GET /drift/avdelinger/ny."""
    return _new(asked)


def make(context: Context, asked: Asked) -> Answer:
    """POST /drift/avdelinger/ny: a department that takes no bookings yet; its settings come next."""
    try:
        made = new(asked.form.get("kode", "").strip(), asked.form.get("navn", ""), _services(asked))
        context.store.write(lambda tx: tx.keep(made, origin=asked.who.who[0], expect=0))
    except Refused as refused:
        return _new(asked, refused)
    log.info("department made by %s", asked.who.who[0])
    return Redirect(f"/drift/avdelinger/{made['id']}")


def _new(asked: Asked, refused: Refused | None = None) -> Page:
    taken = refused is not None and refused.problem is Problem.OUT_OF_DATE
    return Page("console/new_department.html", shown(
        asked, "departments", services=SERVICES, chosen=_services(asked), form=asked.form,
        wrong="kode" if taken else refused.where if refused else "",
        told="Det finnes en avdeling med denne koden." if taken else _told(refused)), 422 if refused else 200)


def _services(asked: Asked) -> list[str]:
    return [code for code in SERVICES if asked.form.get(f"tjeneste.{code}")]


def department(context: Context, asked: Asked) -> Answer:
    """GET /drift/avdelinger/<id>: the settings, and their history."""
    service = _service(context, asked)
    return _missing(asked) if service is None else _page(context, asked, service, form_of(service))


def preview(context: Context, asked: Asked) -> Answer:
    """POST /drift/avdelinger/<id>: whom the change would hit; nothing is changed yet."""
    return _with(context, asked, apply=False)


def apply(context: Context, asked: Asked) -> Answer:
    """POST /drift/avdelinger/<id>/lagre: applies it. Who did it stands in the history."""
    return _with(context, asked, apply=True)


def _with(context: Context, asked: Asked, *, apply: bool) -> Answer:
    service = _service(context, asked)
    if service is None:
        return _missing(asked)
    form = {**asked.form, "hvem": " ".join(w for w in WHO if asked.form.get(f"hvem.{w}"))}
    try:
        wanted = named(changed(service, form), form.get("navn", ""), _services(asked))
        if asked.form.get("versjon") != service["meta"]["versionId"]:
            raise Refused(Problem.OUT_OF_DATE, "somebody else changed the department meanwhile", "versjon")
        if apply:
            change(context.store, wanted, asked.who.who[0])
            log.info("department changed by %s", asked.who.who[0])
            return Redirect(f"/drift/avdelinger/{service['id']}?lagret=1")
        return _page(context, asked, service, form, hit=context.store.write(lambda tx: hit_by(tx, wanted)), previewed=True)
    except Refused as refused:
        return _page(context, asked, service, form, refused=refused)


def _page(
    context: Context, asked: Asked, service: Resource, form: Mapping[str, str], *, hit: list[Booking] | None = None, previewed: bool = False,
    refused: Refused | None = None,
) -> Page:
    days = {"mon": "Mandag", "tue": "Tirsdag", "wed": "Onsdag", "thu": "Torsdag", "fri": "Fredag", "sat": "Lørdag", "sun": "Søndag"}
    history = [
        {"version": s.version, "at": words.stamp(s.last_updated), "by": s.origin} for s in context.store.history("HealthcareService", service["id"])
    ]
    return Page("console/department.html", shown(
        asked, "departments", service=service, form={"navn": service.get("name", ""), **form}, services=SERVICES,
        chosen=_services(asked) if asked.form else sorted(codes(service.get("type"), SERVICE_TYPE)),
        labels=LABELS, limits=NUMBERS, days=days, who=WHO, history=history, short=" ".join(SHORT),
        holidays=HOLIDAYS, next_holidays=_next_holidays(asked.now),
        previewed=previewed, saved="lagret" in asked.query, wrong=refused.where if refused else "", told=_told(refused),
        hit=[{"id": b.id, "when": f"{words.day(b.start, asked.now)} {words.span(b.start, b.end)}"} for b in (hit or ())[:HIT_SHOWN]],
        hits=len(hit or ())), 422 if refused else 200)


def _next_holidays(now: datetime) -> str:
    """`1. januar Første nyttårsdag, …`: the next few, so that whoever chooses sees what is chosen."""
    today = local(now).date()
    named = [(day, name) for n in range(120) if (name := holiday(day := today + timedelta(days=n)))]
    return ", ".join(f"{words.day_of(day, today)}: {name}" for day, name in named[:3])


def _told(refused: Refused | None) -> str:
    if refused is None:
        return ""
    return refused.problem.text if refused.problem is not Problem.INVALID else f"Feltet er ikke riktig fylt ut: {refused.detail}"


def _service(context: Context, asked: Asked) -> Resource | None:
    id = asked.params["id"]
    stored = context.store.get("HealthcareService", id) if ID.fullmatch(id) else None
    return None if stored is None or stored.deleted else stored.resource


def _missing(asked: Asked) -> Page:
    return Page("console/error.html", shown(asked, "departments", error=404, reference="", text="Avdelingen finnes ikke."), 404)
