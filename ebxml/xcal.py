"""xCal (RFC 6321): iCalendar as XML, the calendar document of Helsenorge's appointment profile. Both directions, no time zones but UTC out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from lxml import etree

from ebxml.duration import Duration, duration
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import OSLO, child, children, content, instant, local, moment, text
from ebxml.xml import parse

NAMESPACE = "urn:ietf:params:xml:ns:icalendar-2.0"


@dataclass(frozen=True, slots=True)
class Event:
    """One vevent. `extra` holds x- properties by their lower-case name, e.g. `x-servicetype`."""

    uid: str
    start: datetime | None
    end: datetime | None
    contact: str = ""
    """HER-id of who owns the appointment."""
    status: str = ""
    """TENTATIVE, CONFIRMED or CANCELLED; empty when not told."""
    sequence: int | None = None
    summary: str = ""
    description: str = ""
    related_to: str = ""
    categories: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    def x(self, name: str) -> str:
        """An x- property; empty when it is missing."""
        return next((value for key, value in self.extra if key == name), "")


@dataclass(frozen=True, slots=True)
class Calendar:
    """One vcalendar."""

    prodid: str
    events: tuple[Event, ...]
    stamped: datetime | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(calendar: Calendar) -> bytes:
    """The element without an XML declaration, to stand in MsgHead's Content."""
    events = "".join(_event(e, calendar.stamped) for e in calendar.events)
    return (
        f'<icalendar xmlns="{NAMESPACE}"><vcalendar><properties>{_text("version", "2.0")}{_text("prodid", calendar.prodid)}</properties>'
        f"<components>{events}</components></vcalendar></icalendar>"
    ).encode()


def _text(tag: str, value: str) -> str:
    return f"<{tag}><text>{text(value)}</text></{tag}>" if value else ""


def _time(tag: str, value: datetime | None) -> str:
    return f"<{tag}><date-time>{instant(value)}</date-time></{tag}>" if value else ""


def _event(event: Event, stamped: datetime | None) -> str:
    sequence = f"<sequence><integer>{event.sequence}</integer></sequence>" if event.sequence is not None else ""
    return (
        f"<vevent><properties>{_time('dtstamp', stamped)}{_time('dtstart', event.start)}{_time('dtend', event.end)}{_text('uid', event.uid)}"
        f"{_text('contact', event.contact)}{_text('status', event.status)}{sequence}{_text('summary', event.summary)}"
        f"{_text('description', event.description)}{_text('related-to', event.related_to)}{_text('categories', event.categories)}"
        f"{''.join(_text(name, value) for name, value in event.extra)}</properties></vevent>"
    )


def read(data: bytes) -> Calendar:
    """Reads a calendar; what is missing stays empty and is listed.

    Raises:
        Violation: OtherXml, when it is no XML or no icalendar.
    """
    root = parse(data)
    if root.tag != f"{{{NAMESPACE}}}icalendar":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no icalendar (RFC 6321)", "/")
    remarks: list[str] = []
    vcalendar = child(root, "vcalendar")
    for name in ("version", "prodid"):
        if not content(vcalendar, "properties", name):
            remarks.append(f"vcalendar has no {name}")
    events = tuple(_read_event(e, remarks) for e in children(child(vcalendar, "components"), "vevent"))
    return Calendar(content(vcalendar, "properties", "prodid"), events, remarks=tuple(remarks))


def _read_event(element: etree._Element, remarks: list[str]) -> Event:
    properties = child(element, "properties")
    values: dict[str, str] = {}
    for each in properties if properties is not None else ():
        name = local(each).lower()
        values[name] = ",".join(filter(None, (values.get(name, ""), _value(each))))
    sequence = values.get("sequence", "")
    if sequence and not (sequence.isascii() and sequence.isdigit() and len(sequence) < 10):
        remarks.append("sequence is no number")
        sequence = ""
    start, end = (_when(child(properties, name), name, remarks) for name in ("dtstart", "dtend"))
    if end is None and start is not None and (lasts := duration(values.get("duration", ""))) is not None:
        end = _after(lasts, start, remarks)
    held = {**values, "dtstart": "1" if start else "", "dtend": "1" if end else ""}
    remarks += [f"a vevent has no {name}" for name in ("uid", "contact", "dtstart", "dtend") if not held.get(name)]
    return Event(
        uid=values.get("uid", ""), start=start, end=end,
        contact=values.get("contact", ""), status=values.get("status", "").upper(), sequence=int(sequence) if sequence else None,
        summary=values.get("summary", ""), description=values.get("description", ""), related_to=values.get("related-to", ""),
        categories=values.get("categories", ""), extra=tuple((k, v) for k, v in values.items() if k.startswith("x-")),
    )


def _value(found: etree._Element) -> str:
    """A property's values, several joined by commas; its parameters are none of them."""
    inside = ["".join(map(str, e.itertext())).strip() for e in found if local(e) not in ("", "parameters")]
    return ",".join(filter(None, inside)) or (found.text or "").strip()


def _when(found: etree._Element | None, name: str, remarks: list[str]) -> datetime | None:
    """A time. Without an offset of its own it is in the zone that its parameters name, else Norwegian. A whole day has no time: it is told as none,
    for nobody means midnight by it."""
    if found is None:
        return None
    value, zone = _value(found), content(found, "parameters", "tzid")
    if 0 < len(value) <= len("2026-12-01"):
        remarks.append(f"{name} is a day without a time")
        return None
    return moment(value, remarks, name, _zone(zone, remarks)) if zone else moment(value, remarks, name)


def _zone(name: str, remarks: list[str]) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, or no name of a zone at all
        remarks.append("an unknown time zone: read as Norwegian time")
        return OSLO


def _after(lasts: Duration, start: datetime, remarks: list[str]) -> datetime | None:
    try:
        return lasts.after(start)
    except OverflowError:
        remarks.append("a duration that ends beyond the calendar")
        return None
