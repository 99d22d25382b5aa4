"""A line of the access log as an AuditEvent: a view, made when it is asked for. Nobody writes one, and nobody changes one. Pure."""

from __future__ import annotations

import re

from hub.access import AuditLine
from hub.message import Resource

_OURS = "https://besoksbro.example/fhir"
TYPE = ("http://dicom.nema.org/resources/ontology/DCM", "110110")
"""Patient Record: a person's data were read or changed. Every line of the access log is that."""
KIND = f"{_OURS}/CodeSystem/access-kind"
"""What kind of information: `search Appointment`, `visits`, `book`."""
GROUND = f"{_OURS}/CodeSystem/access-ground"
OUTCOMES = {True: "0", False: "4"}
"""Given, or asked for and refused: AuditEvent.outcome 0 (success) and 4 (minor failure)."""
_LITERAL = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}", re.ASCII)


def audit_event(line: AuditLine, key: int) -> Resource:
    """The AuditEvent of one line; `key` is its place in the log and becomes its id."""
    at = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    agent: Resource = {"altId": line.reader, "requestor": True}
    if _LITERAL.fullmatch(line.reader):
        agent["who"] = {"reference": line.reader}
    if line.on_behalf_of:
        agent["extension"] = [
            {"url": f"{_OURS}/StructureDefinition/on-behalf-of", "valueReference": {"reference": line.on_behalf_of}},
        ]
    made: Resource = {
        "resourceType": "AuditEvent", "id": str(key), "meta": {"versionId": "1", "lastUpdated": at},
        "type": {"system": TYPE[0], "code": TYPE[1], "display": "Patient Record"},
        "subtype": [{"system": KIND, "code": line.kind}], "recorded": at, "outcome": OUTCOMES[line.given],
        "purposeOfEvent": [{"coding": [{"system": GROUND, "code": line.ground}]}],
        "agent": [agent], "source": {"observer": {"display": "Besøksbro"}},
    }
    if line.channel:
        made["source"]["site"] = line.channel
    if line.person:
        made["entity"] = [{"what": {"reference": line.person}}]
    return made
