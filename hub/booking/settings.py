"""A department's settings as an administrator reads and writes them: a few fields of plain text, to and from a HealthcareService. Pure.

    aapent.mon … aapent.sun   `08:00–12:00, 13:00–15:30`, `hele dagen`, or empty: closed
    stengt                    a line each: `2026-12-24 – 2026-12-26 Julestengt`, or from and to a time: `2026-12-31 12:00 – 2026-12-31 16:00 Kort dag`
    ekstra                    a line each: `2026-12-27 10:00–14:00`
    lengder                   how long a visit may last, where people choose: `30, 60, 90`; empty: nobody is asked
    emner                     what people may write about, a line each; empty: the department takes no messages
    helligdager               what is done on public holidays: `as-usual`, `closed`, `as-sunday`
    bemanning                 a line each: `4: man tir 08:00–10:00 2026-12-01 – 2026-12-31`; all but the number may be left out
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from typing import Any

from hub.booking.clock import FIRST_DAY, LAST_DAY, MIDNIGHT, at, local
from hub.booking.conventions import DEPARTMENT, HOME_SERVICES, SERVICE_TYPE, codes, parts, url, without_extension
from hub.booking.department import Asker, Department
from hub.booking.holidays import Holidays
from hub.booking.opening import DAYS, Closure, Opening
from hub.message import Resource
from hub.problem import Problem, Refused

SERVICES = {
    "1": "Praktisk bistand, daglige gjøremål", "2": "Praktisk bistand, opplæring", "3": "Brukerstyrt personlig assistanse",
    "4": "Dagaktivitetstilbud", "5": "Matombringing", "6": "Trygghetsalarm", "7": "Avlastning utenfor institusjon",
    "8": "Avlastning i institusjon", "9": "Støttekontakt",
    "15": "Helsetjenester i hjemmet", "26": "Lokaliseringsteknologi", "27": "Elektronisk medisineringsstøtte", "28": "Digitalt tilsyn",
}
"""Codes of 9151 (Volven) that a department may offer, with what they are called: a decision covers a department by such a code."""
CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,39}", re.ASCII)
LONGEST_NAME = 80
NUMBERS = {
    "capacity": (0, 500), "slot-minutes": (5, 1440), "visit-minutes": (5, 1440), "buffer-minutes": (0, 240), "horizon-days": (1, 365),
    "notice-minutes": (0, 43_200), "move-minutes": (0, 43_200), "cancel-minutes": (0, 43_200), "answer-hours": (1, 720),
    "offer-minutes": (10, 1440), "message-days": (1, 30),
}
"""Extension → least and most."""
TOPICS, LONGEST_TOPIC = 12, 60
"""How many topics a department has at most, and characters of one."""
SHORT = dict(zip(("man", "tir", "ons", "tor", "fre", "lør", "søn"), DAYS, strict=True))
_SPAN = re.compile(r"(\d{2}:\d{2})\s*[–-]\s*(\d{2}:\d{2})")
_DATES = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\s*[–-]\s*(\d{4}-\d{2}-\d{2}))?")
_FROM_TO = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2})\s*[–-]\s*(?:(\d{4}-\d{2}-\d{2}) )?(\d{2}:\d{2})")
ALL_DAY = "hele dagen"


def new(code: str, name: str, services: Iterable[str]) -> Resource:
    """A department that takes no bookings yet: its hours, staff and deadlines are set next.

    Raises:
        Refused: INVALID, with the field in `where` and what it should look like in `detail`.
    """
    if not CODE.fullmatch(code) or code == "ny":  # the address of the form for a new one
        raise _wrong("kode", "from 2 to 40 of a–z, 0–9 and -, as stua-nord")
    return named({
        "resourceType": "HealthcareService", "id": code, "active": False, "identifier": [{"system": DEPARTMENT, "value": code}],
        "category": [HOME_SERVICES],
    }, name, services)


def named(service: Resource, name: str, services: Iterable[str]) -> Resource:
    """The same with this name and these services; what it offers by other code systems stays. Raises Refused INVALID."""
    told, wanted = " ".join(name.split()), [code for code in SERVICES if code in set(services)]
    if not told or len(told) > LONGEST_NAME:
        raise _wrong("navn", f"from 1 to {LONGEST_NAME} characters")
    if not wanted:
        raise _wrong("tjeneste", "at least one: a decision covers a department by its service")
    others = [t for t in service.get("type") or () if not codes(t, SERVICE_TYPE)]
    return {**service, "name": told, "type": [
        *({"coding": [{"system": SERVICE_TYPE, "code": code, "display": SERVICES[code]}]} for code in wanted), *others,
    ]}


def form_of(service: Resource) -> dict[str, str]:
    """What the form shows of a department."""
    department = Department.of(service)
    shown = {name: str(getattr(department, name.replace("-", "_"))) for name in NUMBERS}
    shown |= {f"aapent.{day}": ", ".join(_hours(service, day)) for day in DAYS}
    shown["stengt"] = "\n".join(_closed(c) for c in service.get("notAvailable") or ())
    shown["ekstra"] = "\n".join(f"{p['date']} {p['from'][:5]}–{p['to'][:5]}" for p in parts(service, "extra-opening"))
    shown["bemanning"] = "\n".join(_staff(p) for p in parts(service, "staffing"))
    shown["lengder"] = ", ".join(map(str, department.lengths))
    shown["emner"] = "\n".join(department.topics)
    shown["hvem"] = " ".join(sorted(department.askers))
    shown["helligdager"] = department.holidays.value
    shown["aktiv"] = "ja" if department.active else ""
    return shown


def changed(service: Resource, form: Mapping[str, str]) -> Resource:
    """The department with what the form says.

    Raises:
        Refused: INVALID, with the field in `where` and what it should look like in `detail`.
    """
    extensions = [*_numbers(form), *_extra(form.get("ekstra", "")), *_staffing(form.get("bemanning", "")), *_who(form.get("hvem", "")),
                  *_lengths(form.get("lengder", "")), *_topics(form.get("emner", "")), *_holidays(form.get("helligdager", ""))]
    made = without_extension(service, *NUMBERS, "extra-opening", "staffing", "who-may-book", "visit-lengths", "message-topic", "holidays")
    made = {**made, "extension": [*extensions, *(made.get("extension") or ())], "active": form.get("aktiv") == "ja"}
    made["availableTime"] = [line for day in DAYS for line in _available(day, form.get(f"aapent.{day}", ""))]
    made["notAvailable"] = [_closure(line) for line in _lines(form.get("stengt", ""))]
    return {key: value for key, value in made.items() if value != []}


def _hours(service: Resource, day: str) -> Iterable[str]:
    for line in service.get("availableTime") or ():
        if day in (line.get("daysOfWeek") or DAYS):
            read = Opening.of(line)
            told = "availableStartTime" in line or "availableEndTime" in line
            yield f"{read.opens:%H:%M}–{read.closes:%H:%M}" if told and not line.get("allDay") else ALL_DAY


def _available(day: str, text: str) -> list[Resource]:
    if text.strip().lower() == ALL_DAY:
        return [{"daysOfWeek": [day], "allDay": True}]
    spans = [_span(part, f"aapent.{day}") for part in text.split(",") if part.strip()]
    return [{"daysOfWeek": [day], "availableStartTime": first, "availableEndTime": last} for first, last in spans]


def _closed(line: Resource) -> str:
    closed = Closure.of(line)
    first, until = local(max(closed.first, at(FIRST_DAY, MIDNIGHT))), local(min(closed.until, at(LAST_DAY, MIDNIGHT)))
    if first.time() == until.time() == MIDNIGHT:
        dates = " – ".join(dict.fromkeys((f"{first:%Y-%m-%d}", f"{until - timedelta(minutes=1):%Y-%m-%d}")))
    else:
        dates = f"{first:%Y-%m-%d %H:%M} – {until:%Y-%m-%d %H:%M}"
    return f"{dates} {line.get('description', '')}".strip()


def _closure(line: str) -> Resource:
    if timed := _FROM_TO.match(line):
        days = [_date(timed[1], "stengt"), _date(timed[3] or timed[1], "stengt")]
        begins, ends = (at(date.fromisoformat(day), _clock(text)) for day, text in zip(days, (timed[2], timed[4]), strict=True))
        if ends <= begins:
            raise _wrong("stengt", "ends before it begins")
        return {"description": line[timed.end():].strip() or "Stengt", "during": {"start": local(begins).isoformat(), "end": local(ends).isoformat()}}
    found = _DATES.match(line)
    if found is None:
        raise _wrong("stengt", "begins with a date: 2026-12-24 – 2026-12-26 Julestengt")
    first, last = _date(found[1], "stengt"), _date(found[2] or found[1], "stengt")
    if last < first:
        raise _wrong("stengt", "ends before it begins")
    return {"description": line[found.end():].strip() or "Stengt", "during": {"start": first, "end": last}}


def _clock(text: str) -> time:
    """Raises Refused INVALID."""
    return time.fromisoformat(_span(f"{text}–{text}", "stengt")[0])


def _extra(text: str) -> Iterable[Resource]:
    for line in _lines(text):
        found = _DATES.match(line)
        if found is None or found[2]:
            raise _wrong("ekstra", "a date and hours: 2026-12-27 10:00–14:00")
        first, last = _span(line[found.end():], "ekstra")
        yield _nested("extra-opening", date=_date(found[1], "ekstra"), **{"from": first, "to": last})


def _staff(part: Mapping[str, Any]) -> str:
    short = {english: norwegian for norwegian, english in SHORT.items()}
    days = " ".join(short[d] for d in str(part.get("days") or "").split())
    hours = f"{str(part.get('from') or '00:00')[:5]}–{str(part.get('to') or '00:00')[:5]}" if part.get("from") or part.get("to") else ""
    dates = " – ".join(str(part[k]) for k in ("first", "last") if part.get(k))
    return f"{part['capacity']}: {' '.join(p for p in (days, hours, dates) if p)}".strip()


def _staffing(text: str) -> Iterable[Resource]:
    for line in _lines(text):
        number, _, rest = line.partition(":")
        if not number.strip().isdecimal() or int(number) > NUMBERS["capacity"][1]:
            raise _wrong("bemanning", "a number and a colon first: 4: man tir 08:00–10:00")
        told: dict[str, Any] = {"capacity": int(number)}
        if dates := _DATES.search(rest):
            told |= {"first": _date(dates[1], "bemanning"), "last": _date(dates[2] or dates[1], "bemanning")}
            rest = rest[:dates.start()] + rest[dates.end():]
        if hours := _SPAN.search(rest):
            told |= dict(zip(("from", "to"), _span(hours[0], "bemanning"), strict=True))
            rest = rest[:hours.start()] + rest[hours.end():]
        unknown = [word for word in rest.lower().split() if word not in SHORT]
        if unknown:
            raise _wrong("bemanning", f"{unknown[0][:20]}: days are {' '.join(SHORT)}")
        if days := [SHORT[word] for word in rest.lower().split()]:
            told["days"] = " ".join(days)
        yield _nested("staffing", **told)


def _who(text: str) -> Iterable[Resource]:
    told = [a.value for a in Asker if a.value in text.split()]
    if len(told) < len(Asker):
        yield {"url": url("who-may-book"), "valueString": " ".join(told) or "none"}


def _lengths(text: str) -> Iterable[Resource]:
    told, (least, most) = text.replace(",", " ").split(), NUMBERS["visit-minutes"]
    if any(not word.isdecimal() or not least <= int(word) <= most for word in told):
        raise _wrong("lengder", f"whole numbers from {least} to {most}: 30, 60, 90")
    if told:
        yield {"url": url("visit-lengths"), "valueString": " ".join(map(str, sorted(map(int, told))))}


def _holidays(text: str) -> Iterable[Resource]:
    if text not in ("", *Holidays):
        raise _wrong("helligdager", f"one of {', '.join(Holidays)}")
    if text and text != Holidays.AS_USUAL:
        yield {"url": url("holidays"), "valueCode": text}


def _topics(text: str) -> Iterable[Resource]:
    told = list(dict.fromkeys(" ".join(line.split()) for line in _lines(text)))
    if len(told) > TOPICS or any(len(topic) > LONGEST_TOPIC for topic in told):
        raise _wrong("emner", f"at most {TOPICS} lines of at most {LONGEST_TOPIC} characters")
    return [{"url": url("message-topic"), "valueString": topic} for topic in told]


def _numbers(form: Mapping[str, str]) -> Iterable[Resource]:
    for name, (least, most) in NUMBERS.items():
        text = form.get(name, "").strip()
        if not text.isdecimal() or not least <= int(text) <= most:
            raise _wrong(name, f"a whole number from {least} to {most}")
        yield {"url": url(name), "valueInteger": int(text)}


def _nested(name: str, **told: Any) -> Resource:
    kinds = {"date": "valueDate", "first": "valueDate", "last": "valueDate", "from": "valueTime", "to": "valueTime", "capacity": "valueInteger"}
    return {"url": url(name), "extension": [{"url": key, kinds.get(key, "valueString"): value} for key, value in told.items()]}


def _span(text: str, where: str) -> tuple[str, str]:
    found = _SPAN.fullmatch(text.strip())
    try:
        first, last = (time.fromisoformat(part) for part in found.groups()) if found else (None, None)
    except ValueError:
        first = last = None
    if first is None or last is None:
        raise _wrong(where, "hours like 08:00–15:30")
    return first.isoformat(), last.isoformat()


def _date(text: str, where: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as wrong:
        raise _wrong(where, "a date like 2026-12-24") from wrong


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _wrong(where: str, how: str) -> Refused:
    return Refused(Problem.INVALID, how, where)
