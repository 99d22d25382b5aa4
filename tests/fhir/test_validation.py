"""Validation at the border: what R4 asks of an Appointment and its neighbours, each fault with its code and place."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.demo.municipality import resources
from hub.fhir import definitions, validate

D = definitions.load()
GOOD: dict[str, Any] = {
    "resourceType": "Appointment", "id": "a1", "status": "booked", "start": "2026-12-01T09:00:00+01:00", "end": "2026-12-01T09:30:00+01:00",
    "minutesDuration": 30, "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
}


def but(**changes: Any) -> dict[str, Any]:
    made = {**copy.deepcopy(GOOD), **changes}
    return {key: value for key, value in made.items() if value is not ...}


PARTICIPANT = GOOD["participant"][0]
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "no status": (but(status=...), "required", "Appointment.status"),
    "an unknown status": (but(status="bogus"), "code-invalid", "Appointment.status"),
    "status as a list": (but(status=["booked"]), "structure", "Appointment.status"),
    "no participant": (but(participant=...), "required", "Appointment.participant"),
    "an empty list": (but(participant=[]), "structure", "Appointment.participant"),
    "a participant that is no object": (but(participant=["x"]), "structure", "Appointment.participant[0]"),
    "an empty participant": (but(participant=[{}]), "structure", "Appointment.participant[0]"),
    "a participant without status": (but(participant=[{"actor": {"reference": "Patient/p1"}}]), "required", "Appointment.participant[0].status"),
    "a participant without actor and type": (but(participant=[{"status": "accepted"}]), "invariant", "Appointment.participant[0]"),
    "an actor of the wrong type": (but(participant=[{**PARTICIPANT, "actor": {"reference": "Slot/1"}}]), "structure", "Appointment.participant[0].actor"),
    "an actor's type that may not act": (but(participant=[{**PARTICIPANT, "actor": {"type": "Slot", "display": "x"}}]), "structure",
                                         "Appointment.participant[0].actor"),
    "an unknown participant status": (but(participant=[{**PARTICIPANT, "status": "completed"}]), "code-invalid", "Appointment.participant[0].status"),
    "a start without a zone": (but(start="2026-12-01T09:00:00"), "value", "Appointment.start"),
    "a start without seconds": (but(start="2026-12-01T09:00+01:00"), "value", "Appointment.start"),
    "the year 0": (but(requestedPeriod=[{"start": "0000"}]), "value", "Appointment.requestedPeriod[0].start"),
    "30 February": (but(start="2026-02-30T09:00:00Z", end="2026-02-30T10:00:00Z"), "value", "Appointment.start"),
    "a start alone": (but(end=...), "invariant", "Appointment"),
    "booked without times": (but(start=..., end=...), "invariant", "Appointment"),
    "an end before the start": (but(end="2026-12-01T08:00:00+01:00"), "invariant", "Appointment"),
    "a reason to cancel what is booked": (but(cancelationReason={"text": "x"}), "invariant", "Appointment"),
    "an element R4 does not have": (but(cancellationReason={"text": "x"}), "structure", "Appointment.cancellationReason"),
    "a duration of 0": (but(minutesDuration=0), "value", "Appointment.minutesDuration"),
    "a duration as text": (but(minutesDuration="30"), "value", "Appointment.minutesDuration"),
    "a duration as a boolean": (but(minutesDuration=True), "value", "Appointment.minutesDuration"),
    "a fraction of a minute": (but(minutesDuration=30.0), "value", "Appointment.minutesDuration"),
    "a negative priority": (but(priority=-1), "value", "Appointment.priority"),
    "an empty text": (but(description=" "), "value", "Appointment.description"),
    "null": (but(description=None), "value", "Appointment.description"),
    "an id with a space": (but(id="a 1"), "value", "Appointment.id"),
    "an id of 65 characters": (but(id="a" * 65), "value", "Appointment.id"),
    "an identifier that is no list": (but(identifier={"value": "1"}), "structure", "Appointment.identifier"),
    "an unknown identifier use": (but(identifier=[{"use": "mine", "value": "1"}]), "code-invalid", "Appointment.identifier[0].use"),
    "a period that ends first": (but(requestedPeriod=[{"start": "2026-12-02", "end": "2026-12-01"}]), "invariant", "Appointment.requestedPeriod[0]"),
    "an extension without a url": (but(extension=[{"valueString": "x"}]), "required", "Appointment.extension[0].url"),
    "an extension with two values": (but(extension=[{"url": "http://x", "valueString": "x", "valueInteger": 1}]), "structure",
                                     "Appointment.extension[0].valueInteger"),
    "an extension with nothing": (but(extension=[{"url": "http://x"}]), "invariant", "Appointment.extension[0]"),
    "an unknown contained type": (but(contained=[{"resourceType": "Bogus", "id": "x"}]), "structure", "Appointment.contained[0].resourceType"),
    "contained and referred to by nobody": (but(contained=[{"resourceType": "Patient", "id": "x"}]), "invariant", "Appointment.contained[0]"),
    "a reference to nothing contained": (but(participant=[{**PARTICIPANT, "actor": {"reference": "#x"}}]), "invariant", "Appointment"),
    "a script in the narrative": (but(text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'}),
                                  "value", "Appointment.text.div"),
    "a handler in the narrative": (but(text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml" onclick="x">x</div>'}),
                                   "value", "Appointment.text.div"),
    "a document type in the narrative": (but(text={"status": "generated", "div": '<!DOCTYPE d [<!ENTITY e "x">]><div xmlns="http://www.w3.org/1999/xhtml">&e;</div>'}),
                                         "value", "Appointment.text.div"),
    "a declaration in the narrative": (but(text={"status": "generated", "div": '<?xml version="1.0" encoding="ISO-8859-1"?>'
                                                 '<div xmlns="http://www.w3.org/1999/xhtml">\u00e6</div>'}), "value", "Appointment.text.div"),
    "a video in the narrative": (but(text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x<video src="x"/></div>'}),
                                 "value", "Appointment.text.div"),
    "a status that is only an extension": (but(status=..., _status={"extension": [{"url": "http://x", "valueCode": "unknown"}]}), "required",
                                           "Appointment.status"),
    "a reference that is a number": (but(participant=[{**PARTICIPANT, "actor": {"reference": 5}}]), "value", "Appointment.participant[0].actor.reference"),
    "an id and nothing more": (but(identifier=[{"id": "x"}]), "invariant", "Appointment.identifier[0]"),
    "an id for a text that is not there": (but(_description={"id": "x"}), "invariant", "Appointment.description"),
    "null as a twin": (but(description="x", _description=None), "structure", "Appointment.description"),
    "a list as the twin of what stands once": (but(_description=[None]), "structure", "Appointment.description"),
    "no list as the twin of a list": (but(contained=[{
        "resourceType": "Patient", "id": "p", "name": [{"given": ["a"], "_given": {"id": "x"}}]}]), "structure",
        "Appointment.contained[0].name[0].given"),
    "null in a list that no twin explains": (but(contained=[{"resourceType": "Patient", "id": "p", "name": [{"given": ["a", None]}]}]), "structure",
                                             "Appointment.contained[0].name[0].given[1]"),
    **{f"the reference {text}": (but(participant=[{**PARTICIPANT, "actor": {"reference": text}}]), "invariant", "Appointment.participant[0].actor")
       for text in ("Patient", "Patient/", "/Patient/1", "Patient/a b", "Patient?identifier=1", "fhir/Patient/1", "Patient/1/2", "Patient/1/_history/", "http:")},
    "another resource type": ({"resourceType": "Bogus"}, "structure", "resourceType"),
}


@pytest.mark.spec("facts/fhir", "1.1")
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.spec("facts/fhir", "5.9")
def test_a_broken_resource_is_told_what_and_where(name: str) -> None:
    resource, code, expression = BROKEN[name]
    assert (code, expression) in [(issue.code, issue.expression) for issue in validate.check(resource, D)]


@pytest.mark.spec("facts/fhir", "1.1")
def test_right_resources_have_no_issue() -> None:
    assert validate.check(GOOD, D) == []
    proposed = but(status="proposed", start=..., end=..., requestedPeriod=[{"start": "2026-12-01", "end": "2026-12-02"}])
    assert validate.check(proposed, D) == []
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    assert validate.check({"resourceType": "Flag", "_status": absent, "code": {"text": "x"}, "subject": {"reference": "Patient/1"}}, D) == []
    twin = but(_description={"extension": [{"url": "http://x", "valueBoolean": True}]})
    assert validate.check(twin, D) == []
    for text in ("Patient/p1", "Patient/p1/_history/2", "http://x.example/fhir/Patient/1", "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01", "urn:oid:1.2.3"):
        assert validate.check(but(participant=[{**PARTICIPANT, "actor": {"reference": text}}]), D) == [], text
    div = '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="nb"><p style="color: red">x</p><table border="1"><tr><td>1</td></tr></table></div>'
    assert validate.check(but(text={"status": "generated", "div": div}, description="x", _description={"id": "a"}), D) == []
    given = {"given": ["a", None], "_given": [{"id": "x"}, {"extension": [{"url": "http://x", "valueString": "b"}]}]}
    assert validate.check({"resourceType": "Patient", "name": [given, {"given": ["a", "b"], "_given": [None, {"id": "x"}]}]}, D) == []


def test_the_demo_municipality_is_valid() -> None:
    found = {r["id"]: list(validate.issues_text(validate.check(r, D))) for r in resources(3, date(2026, 11, 26)).resources}
    assert {id_: issues for id_, issues in found.items() if issues} == {}


def test_the_norwegian_examples_are_valid(shared: Path) -> None:
    examples = sorted((shared / "standards/fhir-no/no-basis-2.2.2/examples").glob("*.json"))
    assert len(examples) > 8
    for path in examples:
        found = [issue.expression for issue in validate.check(json.loads(path.read_text()), D)]
        assert found == KNOWN.get(path.name, []), path.name


KNOWN = {"no-basis-HealthcareService-example.json": ["HealthcareService.id"]}
"""Its id holds a space: a fault of the example, told in the fact sheet."""
