"""FHIR R4 JSON as it is: an Appointment (and its Encounter), alone or in a Bundle of type collection; a question as Parameters, and the
Slots that answer it as a searchset."""

from __future__ import annotations

import orjson

from hub.adapter import Surroundings
from hub.fhir import strict_json
from hub.message import Content, Envelope, Letter, Message, Question, Resource, Resources, Verdict
from hub.problem import Problem, Refused

MEDIA_TYPE = "application/fhir+json"
STATED = ("Appointment", "Encounter")


class FhirFormat:
    """hub.adapter.Format."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._name = surroundings.name

    def read(self, envelope: Envelope) -> Message:
        """Raises Refused UNREADABLE, UNKNOWN_FUNCTION (another resource type)."""
        root = strict_json.load(envelope.content.body)
        if root.get("resourceType") == "OperationOutcome":
            raise Refused(Problem.NOT_SUPPORTED, "the partner answered with an OperationOutcome")
        items = [e.get("resource", {}) for e in root.get("entry", [])] if root.get("resourceType") == "Bundle" else [root]
        if root.get("type") == "searchset" and all(item.get("resourceType") == "Slot" for item in items):
            return Resources(tuple(items))
        for item in items:
            if item.get("resourceType") not in STATED:
                raise Refused(Problem.UNKNOWN_FUNCTION, f"states {' or '.join(STATED)} only", "resourceType")
        return Resources(tuple(items))

    def write(self, message: Message, letter: Letter) -> Content:
        """The Appointment alone; with more, a collection; of a department, its Slots; of a question, what it is about."""
        if isinstance(message, Question):
            return Content(orjson.dumps(message.about), MEDIA_TYPE)
        if not isinstance(message, Resources) or not message.items:
            raise Refused(Problem.NOT_SUPPORTED, "this format writes resources")
        told = ("Slot",) if message.items[0]["resourceType"] == "HealthcareService" else STATED
        stated = [item for item in message.items if item["resourceType"] in told]
        if len(stated) == 1 and told is STATED:
            return Content(orjson.dumps(stated[0]), MEDIA_TYPE)
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in stated]}
        return Content(orjson.dumps(bundle), MEDIA_TYPE)

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        """An OperationOutcome with our number."""
        issue: Resource = {"severity": "information", "code": "informational"}
        if verdict.problem is not None:
            coding = {"system": "https://besoksbro.example/fhir/CodeSystem/problem", "code": verdict.problem.value}
            issue = {
                "severity": "error", "code": "processing", "diagnostics": verdict.detail,
                "details": {"coding": [coding], "text": verdict.problem.text},
            } | ({"expression": [verdict.where]} if verdict.where else {})
        return Content(orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]}), MEDIA_TYPE)


def fhir_format(surroundings: Surroundings) -> FhirFormat:
    """The entry point `fhir`."""
    return FhirFormat(surroundings)
