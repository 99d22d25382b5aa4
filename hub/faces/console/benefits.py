"""«Gevinst»: what self-booking gives, per department and week, as a page with a plot, as CSV, and as FHIR MeasureReports."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from hub.booking import Booking, Decision, Department
from hub.booking.benefits import (
    CALLS_EACH,
    COUNTS,
    HIDDEN,
    SMALL,
    Figures,
    Said,
    figures,
    granted_told,
    period,
    published,
    shares,
    week_name,
)
from hub.booking.benefits import shown as told
from hub.booking.clock import write
from hub.booking.conventions import BASE, DEPARTMENT
from hub.booking.life import What
from hub.booking.views import is_booking
from hub.faces.console.start import shown
from hub.faces.context import Context
from hub.faces.web import Answer, Asked, Download, Page
from hub.fhir.query import DateIs, Query
from hub.store import micros

WEEKS = (4, 12, 26, 52)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would carry out instead of showing it."""
EVERYTHING = 1_000_000
MEASURE = f"{BASE}/Measure/selvbestilling"
COLUMNS = (
    "Avdeling", "Uke", "Innvilget", "Bestilt", "Selvbestilt", "Flyttet av bruker", "Flyttet av oss", "Avbestilt av bruker", "Herav sent",
    "Avlyst av oss", "Utført", "Bomtur", "Andel selvbestilt", "Andel bomtur", "Svartid (median)", "Telefoner spart (antatt)",
)
TABLES = (
    ("Bestilling", (0, 1, 2, 3, 4, 12, 14, 15)), ("Endringer", (0, 1, 5, 6, 7, 8, 9)), ("Besøkene", (0, 1, 10, 11, 13)),
)
"""The page's tables, by columns: none so wide that it must be scrolled sideways."""
BAR = 160
"""The longest bar, in the plot's own units."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One week in the plot."""

    label: str
    granted: int
    ordered: int
    said: str


def benefits(context: Context, asked: Asked) -> Answer:
    """GET /drift/gevinst?uker=12."""
    weeks = _weeks(asked)
    found = _figures(context, asked.now, weeks)
    names = _names(context)
    rows = [row(f, names) for f in found]
    links = {kind: f"/drift/gevinst.{kind}?" + urlencode({"uker": weeks}) for kind in ("csv", "json")}
    return Page("console/benefits.html", shown(
        asked, "benefits", columns=COLUMNS, tables=TABLES, rows=rows, plots=plots(found, names), weeks=weeks, choices=WEEKS, links=links, small=SMALL,
        calls=CALLS_EACH))


def as_csv(context: Context, asked: Asked) -> Answer:
    """GET /drift/gevinst.csv: semicolons and a byte order mark, as a Norwegian spreadsheet reads it."""
    made = io.StringIO()
    writer = csv.writer(made, delimiter=";")
    writer.writerow(COLUMNS)
    names = _names(context)
    lines = (row(f, names) for f in _figures(context, asked.now, _weeks(asked)))
    writer.writerows([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in line] for line in lines)
    return Download(made.getvalue().encode("utf-8-sig"), "text/csv", "gevinst.csv")


def as_fhir(context: Context, asked: Asked) -> Answer:
    """GET /drift/gevinst.json: a collection of MeasureReports (summary), one per department and week."""
    found = _figures(context, asked.now, _weeks(asked))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": measure_report(f, asked.now)} for f in found]}
    return Download(orjson.dumps(bundle), "application/fhir+json", "gevinst.json")


def row(f: Figures, names: dict[str, str]) -> list[str]:
    """A line of the table, each figure as it may be published."""
    may, exact = published(f), {**f.counts, "calls-avoided": f.calls_avoided}
    counts = [told(may[name], exact.get(name, 0)) for name in COUNTS]
    answer = f"{round(f.answer.total_seconds() / 60)} min" if f.answer is not None else "–"
    granted = granted_told(f)
    given = HIDDEN if granted is None else f"{granted:g}"
    return [names.get(f.department, f.department), week_name(f.week), given, *counts[:-1], *shares(f), answer, counts[-1]]


def plots(found: list[Figures], names: dict[str, str]) -> list[tuple[str, list[Bar]]]:
    """Granted against ordered, a bar pair per week, by department."""
    by: dict[str, list[Figures]] = {}
    for f in found:
        by.setdefault(f.department, []).append(f)
    made = []
    for code, weeks in by.items():
        seen = [(f, granted_told(f), published(f)["ordered"]) for f in weeks]
        most = max([1.0, *(max(granted or 0, ordered or 0) for _, granted, ordered in seen)])
        made.append((names.get(code, code), [
            Bar(f"uke {f.week[1]}", round(BAR * (granted or 0) / most), round(BAR * (ordered or 0) / most),
                f"{week_name(f.week)}: {told(ordered, f.ordered)} bestilt av {HIDDEN if granted is None else f'{granted:g}'} innvilget")
            for f, granted, ordered in seen]))
    return made


def measure_report(f: Figures, now: datetime) -> dict[str, Any]:
    """R4 MeasureReport, type summary: what the table tells, and no more. What may not be told is left out with the reason `masked`."""
    minutes = None if f.answer is None else round(f.answer.total_seconds() / 60)
    counts = {"granted": granted_told(f), **published(f), "answer-median-minutes": minutes}
    year, number = f.week
    first = datetime.fromisocalendar(year, number, 1).date()
    return {
        "resourceType": "MeasureReport", "status": "complete", "type": "summary", "measure": MEASURE, "date": write(now),
        "reporter": {"type": "Organization", "identifier": {"system": DEPARTMENT, "value": f.department}},  # R4 lets no HealthcareService report
        "period": {"start": first.isoformat(), "end": datetime.fromisocalendar(year, number, 7).date().isoformat()},
        "group": [{"code": {"text": name}, **_score(count)} for name, count in counts.items()],
    }


def _score(count: float | None) -> dict[str, Any]:
    if count is None:
        reason = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}
        return {"measureScore": {"extension": [reason]}}
    return {"measureScore": {"value": count}}


def _weeks(asked: Asked) -> int:
    text = asked.query.get("uker", "")
    return int(text) if text in map(str, WEEKS) else WEEKS[1]


def _names(context: Context) -> dict[str, str]:
    return {s.id: str(s.resource.get("name", s.id)) for s in context.store.search(Query("HealthcareService", count=1000)).entries}


def _figures(context: Context, now: datetime, weeks: int) -> list[Figures]:
    first, until = period(now, weeks)
    store = context.store
    found = store.search(Query("Appointment", (DateIs("date", (("eq", micros(first), micros(until)),), main=True),), count=EVERYTHING)).entries
    departments = {s.id: Department.of(s.resource) for s in store.search(Query("HealthcareService", count=1000)).entries}
    decisions = [Decision.of(s.resource) for s in store.search(Query("ServiceRequest", count=EVERYTHING)).entries]
    asked_before = period(first, max(WEEKS))[0]  # a visit may have been booked long before its week
    said = [
        Said(e.at, e.text.partition(" ")[0].removeprefix("Appointment/"), What(e.kind), e.origin in context.customers())
        for e in store.steps([w.value for w in What], asked_before, until) if not e.text.endswith("already so")
    ]
    every = [first + n * timedelta(days=7) + timedelta(days=1) for n in range(weeks + 1)]
    return figures([Booking.of(s.resource) for s in found if is_booking(s.resource)], said, decisions, departments, every)
