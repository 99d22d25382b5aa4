"""A stated Appointment (and Encounter) as a calendar event, both directions, by the table in mappings/visit-status.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ebxml.kith import OSLO
from ebxml.xcal import Event
from hub.booking.conventions import (
    BY_CITIZEN,
    BY_SERVICE,
    DEPARTMENT,
    HOME_HEALTH,
    SERVICE_TYPE,
    VISIT,
    codes,
    extension,
    identifier,
    with_extension,
)
from hub.booking.views import performer
from hub.message import Resource
from hub.problem import Problem, Refused

ROOT = Path(__file__).parents[2]
TABLE = "mappings/visit-status.toml"
STATUS, PERFORMER, SERVICE, ACTUAL_START, ACTUAL_END = "x-visit-status", "x-performer", "x-servicetype", "x-actual-start", "x-actual-end"
SERVICE_LIST = "9151"
_FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DAYS = ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag")


@dataclass(frozen=True, slots=True)
class Statuses:
    """The table."""

    words: Mapping[str, Mapping[str, str]]
    writes: Mapping[str, str]

    @classmethod
    def load(cls, home: Path) -> Statuses:
        """The home's own table, else ours."""
        path = home / TABLE if (home / TABLE).exists() else ROOT / TABLE
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls({k: v for k, v in table.items() if k != "write"}, table["write"])

    def word(self, appointment: Resource) -> str:
        """The word for what an Appointment says. Raises Refused UNKNOWN_CODE when the table has none."""
        status = str(appointment.get("status", ""))
        keys = [f"{status}-again"] if status == "pending" and int(extension(appointment, "sequence") or 1) > 1 else []
        keys += [f"{status}-performer"] if performer(appointment) else []
        word = next((self.writes[key] for key in (*keys, status) if key in self.writes), None)
        if word is None:
            raise Refused(Problem.UNKNOWN_CODE, "visit-status.toml has no word for this status", "Appointment.status")
        return word


def event(
    appointment: Resource, encounter: Resource | None, word: str, row: Mapping[str, str], contact: str, summary: str, department: str,
) -> Event:
    """The calendar event that states it; `categories` names the department.

    SEQUENCE is our extension `sequence`: what an answer must bear to be about this state.
    """
    period = (encounter or {}).get("period") or {}
    sequence = extension(appointment, "sequence")
    service = next(iter(sorted(codes(appointment.get("serviceType"), SERVICE_TYPE))), "")
    extra = (
        (SERVICE, f"{SERVICE_LIST}:{service}" if service else ""), (STATUS, word), (PERFORMER, performer(appointment)),
        (ACTUAL_START, str(period.get("start", ""))), (ACTUAL_END, str(period.get("end", ""))),
    )
    return Event(
        uid=identifier(appointment, VISIT) or str(appointment["id"]), start=_instant(appointment.get("start")),
        end=_instant(appointment.get("end")), contact=contact,
        status=row["ical"], sequence=int(sequence) if sequence is not None else None, summary=summary, categories=department,
        extra=tuple((name, value) for name, value in extra if value),
    )


def stated(found: Event, statuses: Statuses, whom: Resource | None, department: str, at: str = "") -> tuple[Resource, ...]:
    """What an event states: an Appointment, and an Encounter where the word says so.

    Args:
        whom: the identifier of the person it is for, which a booking needs.
        at: when the sender said it, an instant in UTC; empty when that is not told.

    Raises:
        Refused: INVALID (no uid), UNKNOWN_CODE (no or an unknown x-visit-status).
    """
    if not found.uid:
        raise Refused(Problem.INVALID, "a vevent without a uid", "vevent/properties/uid")
    word = found.x(STATUS) or {"CANCELLED": "cancelled", "CONFIRMED": "confirmed", "TENTATIVE": "requested"}.get(found.status, "")
    row = statuses.words.get(word)
    if row is None:
        raise Refused(Problem.UNKNOWN_CODE, "x-visit-status is not in the table", f"vevent/properties/{STATUS}")
    if row["appointment"] in ("proposed", "booked") and word != "assigned" and found.start is None:
        raise Refused(Problem.INVALID, "a vevent without a dtstart", "vevent/properties/dtstart")
    made: Resource = {"resourceType": "Appointment", "id": _id(found), "status": row["appointment"]}
    if found.start is not None and row["appointment"] in ("proposed", "booked", "cancelled"):
        made["start"] = _text(found.start)
        if found.end is not None:
            made["end"] = _text(found.end)
    if row["appointment"] == "cancelled":
        made["cancelationReason"] = BY_SERVICE if not department else BY_CITIZEN
    if found.sequence is not None:
        made = with_extension(made, "sequence", "Integer", found.sequence)
    if at:
        made = with_extension(made, "stated-at", "Instant", at)
    comes = [{"actor": {"type": "Practitioner", "display": found.x(PERFORMER)}, "status": "accepted"}] if found.x(PERFORMER) else []
    for_whom = department and whom and (not comes or row["appointment"] == "booked")
    if for_whom:
        comes = [_who("Patient", whom or {}), _who("HealthcareService", {"system": DEPARTMENT, "value": department}), *comes]
        if row["appointment"] == "booked":  # it may be one that the service planned itself, and calls so
            made["identifier"] = [{"system": VISIT, "value": found.uid}]
    if comes:
        made["participant"] = comes
    if "encounter" not in row:
        return (made,)
    return (made, _encounter(found, row["encounter"]))


def _encounter(found: Event, status: str) -> Resource:
    made: Resource = {
        "resourceType": "Encounter", "status": status, "class": HOME_HEALTH, "appointment": [{"reference": f"Appointment/{_id(found)}"}],
    }
    period = {key: found.x(name) for key, name in (("start", ACTUAL_START), ("end", ACTUAL_END)) if found.x(name)}
    return {**made, "period": period} if period else made


def _id(found: Event) -> str:
    """The uid, where a FHIR id can say it; else one that is the same each time."""
    return found.uid if _FHIR_ID.fullmatch(found.uid) else str(uuid5(NAMESPACE_URL, f"uid|{found.uid}"))


def _who(type_: str, named: Resource) -> Resource:
    return {"actor": {"type": type_, "identifier": named}, "status": "accepted"}


def sentence(row: Mapping[str, str], service: str, appointment: Resource) -> str:
    """The Norwegian sentence for people."""
    return " ".join(row["text"].format(service=service, when=when(appointment), performer=performer(appointment)).split())


def when(appointment: Resource) -> str:
    """`mandag 30.11.2026 kl. 09:15–09:45`; empty when it has no start."""
    start, end = _instant(appointment.get("start")), _instant(appointment.get("end"))
    if start is None:
        return ""
    begins = start.astimezone(OSLO)
    until = f"–{end.astimezone(OSLO):%H:%M}" if end else ""
    return f"{_DAYS[begins.weekday()]} {begins.day}.{begins.month}.{begins.year} kl. {begins:%H:%M}{until}"


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(str(value)) if value else None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["Statuses", "event", "performer", "sentence", "stated", "when"]
