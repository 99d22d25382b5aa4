"""What the scheduling operations are given: Parameters, an Appointment or a query, read into values. Pure; refuses what it cannot read."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hub.booking.clock import read
from hub.booking.conventions import points_to
from hub.faces.web import ID
from hub.fhir import times
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.scheduling.offers import MOST, Wish

UNDERSTOOD = frozenset({
    "start", "end", "healthcare-service", "organization", "visit-type", "specialty", "patient-reference", "_count", "_after", "_format",
})
"""Parameters of `$find`; `organization` names a HealthcareService here, as our departments are."""


def parameters_of(resource: Resource) -> list[tuple[str, Any]]:
    """A Parameters resource as (name, value); any other resource is the parameter `resource`. Raises Refused INVALID."""
    if resource.get("resourceType") != "Parameters":
        return [("resource", resource)]
    found, parts = [], resource.get("parameter", [])
    if not isinstance(parts, list):
        raise Refused(Problem.INVALID, "parameter is a list", "Parameters.parameter")
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("name"), str):
            value = next((v for k, v in part.items() if k == "resource" or k.startswith("value")), None)
            found.append((part["name"], value))
    return found


def appointment_of(parameters: list[tuple[str, Any]]) -> Resource:
    """The Appointment that was sent: `appt-resource`, the body itself, or the one entry of a Bundle. Raises Refused INVALID."""
    sent = next((v for n, v in parameters if n in ("appt-resource", "resource")), None)
    if isinstance(sent, dict) and sent.get("resourceType") == "Bundle":
        entries = [e.get("resource") for e in sent.get("entry") or () if isinstance(e, dict)]
        sent = entries[0] if len(entries) == 1 else None
    if not isinstance(sent, dict) or sent.get("resourceType") != "Appointment":
        raise Refused(Problem.INVALID, "one Appointment is needed, as appt-resource or as the body", "Parameters.parameter")
    return sent


def reference_of(parameters: list[tuple[str, Any]]) -> str:
    """The id in `appt-reference`, or of the Appointment that was sent. Raises Refused INVALID."""
    for name, value in parameters:
        text = value.get("reference", "") if isinstance(value, dict) else value
        if name == "appt-reference" and (named := points_to({"reference": str(text)}, "Appointment")):
            return named
    id_ = appointment_of(parameters).get("id")
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        raise Refused(Problem.INVALID, "appt-reference names no Appointment", "Parameters.parameter")
    return id_


def patient_of(parameters: list[tuple[str, Any]]) -> str:
    """`Patient/…` from `patient-reference`; empty when it is not told. Raises Refused INVALID."""
    for name, value in parameters:
        if name == "patient-reference":
            text = value.get("reference", "") if isinstance(value, dict) else value
            id_ = points_to({"reference": str(text)}, "Patient")
            if not ID.fullmatch(id_):
                raise Refused(Problem.INVALID, "patient-reference is a literal reference to a Patient", "Parameters.parameter")
            return f"Patient/{id_}"
    return ""


def _when(text: str, name: str) -> datetime:
    """An instant; or a date (R4's dateTime may be one), which begins and ends as it does in Norway. Raises Refused INVALID, NO_SUCH_TIME."""
    text = text.replace(" ", "+")  # as it stands in an address
    with suppress(ValueError):
        if len(text) <= len("2026-12-01"):
            return datetime.fromtimestamp(times.span(text)[name == "end"] / 1_000_000, UTC)
    return read(text, name)


def wish_of(parameters: list[tuple[str, Any]]) -> Wish:
    """What is looked for. Raises Refused INVALID, BAD_SEARCH."""
    many: dict[str, list[str]] = {}
    for name, value in parameters:
        text = str(value)
        if isinstance(value, dict):
            text = f"{value.get('system', '')}|{value['code']}" if "code" in value else str(value.get("reference", ""))
        many.setdefault(name, []).extend(text.split(","))
    for name in ("start", "end"):
        if len(many.get(name, [])) != 1:
            raise Refused(Problem.BAD_SEARCH, f"{name} is needed, once", name)
    services = [s.rpartition("/")[2] for n in ("healthcare-service", "organization") for s in many.get(n, [])]
    kinds = [(k.rpartition("|")[0], k.rpartition("|")[2]) for n in ("visit-type", "specialty") for k in many.get(n, [])]
    count = many.get("_count", ["100"])[0]
    if not (count.isascii() and count.isdigit() and 1 <= len(count) <= 6):
        raise Refused(Problem.BAD_SEARCH, "_count is a number", "_count")
    start, _, department = many.get("_after", [""])[0].partition("~")
    return Wish(
        _when(many["start"][0], "start"), _when(many["end"][0], "end"), frozenset(services), frozenset(kinds), patient_of(parameters),
        min(int(count), MOST), (start, department),
    )
