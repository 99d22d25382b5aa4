"""The rules of R4's datatypes, each by one value that keeps it and one that breaks it; and what R4 is where its package says more. Pure, and over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from hub.fhir import definitions
from hub.fhir.validate import check
from hub.fhir.xml import from_xml, to_xml

D = definitions.load()
BASIC: dict[str, Any] = {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}
UCUM = {"system": "http://unitsofmeasure.org", "code": "min"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'


def rules(resource: Any) -> list[str]:
    return [issue.rule or issue.code for issue in check(resource, D)]


@pytest.mark.parametrize(("rule", "name", "right", "wrong"), [
    ("qty-3", "Quantity", {"value": 1, **UCUM}, {"value": 1, "code": "min"}),
    ("drt-1", "Duration", {"value": 1, "unit": "min"}, {"value": 1, "system": "urn:x", "code": "min"}),
    ("age-1", "Age", {"value": 1, **UCUM}, {"value": 1}), ("age-1", "Age", {"value": 1, **UCUM}, {"value": 0, **UCUM}),
    ("cnt-3", "Count", {"value": 2, "code": "1", "system": UCUM["system"]}, {"value": 1.5, "code": "1", "system": UCUM["system"]}),
    ("dis-1", "Distance", {"value": 1, "system": UCUM["system"], "code": "m"}, {"value": 1, "system": "urn:x", "code": "m"}),
    ("rng-2", "Range", {"low": {"value": 1}, "high": {"value": 1}}, {"low": {"value": 2}, "high": {"value": 1}}),
    ("rat-1", "Ratio", {"numerator": {"value": 1}, "denominator": {"value": 1}}, {"numerator": {"value": 1}}),
    ("tim-1", "Timing", {"repeat": {"duration": 1, "durationUnit": "h"}}, {"repeat": {"duration": 1}}),
    ("tim-2", "Timing", {"repeat": {"period": 1, "periodUnit": "d"}}, {"repeat": {"period": 1}}),
    ("tim-4", "Timing", {"repeat": {"duration": 0, "durationUnit": "h"}}, {"repeat": {"duration": -1, "durationUnit": "h"}}),
    ("tim-5", "Timing", {"repeat": {"period": 0, "periodUnit": "d"}}, {"repeat": {"period": -1, "periodUnit": "d"}}),
    ("tim-6", "Timing", {"repeat": {"frequency": 1}}, {"repeat": {"periodMax": 1}}),
    ("tim-7", "Timing", {"repeat": {"frequency": 1}}, {"repeat": {"durationMax": 1}}),
    ("tim-8", "Timing", {"repeat": {"count": 1, "countMax": 2}}, {"repeat": {"countMax": 2}}),
    ("tim-9", "Timing", {"repeat": {"offset": 1, "when": ["MORN"]}}, {"repeat": {"offset": 1}}),
    ("tim-9", "Timing", {"repeat": {"offset": 1, "when": ["AC"]}}, {"repeat": {"offset": 1, "when": ["CM"]}}),
    ("tim-10", "Timing", {"repeat": {"when": ["MORN"]}}, {"repeat": {"when": ["MORN"], "timeOfDay": ["10:00:00"]}}),
    ("exp-1", "Expression", {"language": "text/fhirpath", "expression": "x"}, {"language": "text/fhirpath"}),
    ("drq-1", "DataRequirement", {"type": "Patient", "codeFilter": [{"path": "x"}]}, {"type": "Patient", "codeFilter": [{"path": "x", "searchParam": "y"}]}),
    ("drq-2", "DataRequirement", {"type": "Patient", "dateFilter": [{"path": "x"}]}, {"type": "Patient", "dateFilter": [{"valueDateTime": "2026"}]}),
    ("trd-1", "TriggerDefinition", {"type": "periodic", "timingDate": "2026-01-01"},
     {"type": "periodic", "timingDate": "2026-01-01", "data": [{"type": "Patient"}]}),
    ("trd-2", "TriggerDefinition", {"type": "named-event", "name": "x"},
     {"type": "named-event", "name": "x", "condition": {"language": "text/fhirpath", "expression": "x"}}),
    ("trd-3", "TriggerDefinition", {"type": "data-added", "data": [{"type": "Patient"}]}, {"type": "data-added"}),
    ("cpt-2", "ContactPoint", {"value": "1", "_system": {"extension": [{"url": "urn:x", "valueString": "none"}]}}, {"value": "1"}),
    ("att-1", "Attachment", {"data": "YQ==", "contentType": "text/plain"}, {"data": "YQ=="}),
])
@pytest.mark.spec("facts/fhir", "1.1")
def test_a_rule_of_a_datatype_is_kept_and_broken(rule: str, name: str, right: Any, wrong: Any) -> None:
    def said(value: Any) -> list[str]:
        return rules({**BASIC, "extension": [{"url": "http://x.example", f"value{name}": value}]})

    assert said(right) == [] and set(said(wrong)) == {rule}


ENTRY: dict[str, Any] = {"resource": BASIC}
GET = {"method": "GET", "url": "Basic"}
DOCUMENT = {"type": "document", "timestamp": "2026-01-01T00:00:00Z", "identifier": {"system": "urn:x", "value": "1"}}
COMPOSITION = {"resource": {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2026", "author": [{"display": "x"}], "title": "x"}}


@pytest.mark.parametrize(("broken", "bundle"), [
    ([], {"type": "collection", "entry": [ENTRY]}), ([], {"type": "searchset", "total": 1, "entry": [{**ENTRY, "search": {"mode": "match"}}]}),
    ([], {"type": "history", "entry": [{"fullUrl": "urn:x", "request": GET, "response": {"status": "200"}}] * 2}), ([], {**DOCUMENT, "entry": [COMPOSITION]}),
    (["bdl-1"], {"type": "collection", "total": 1}), (["bdl-2"], {"type": "collection", "entry": [{**ENTRY, "search": {"mode": "match"}}]}),
    (["bdl-3"], {"type": "batch", "entry": [ENTRY]}), (["bdl-3"], {"type": "collection", "entry": [{**ENTRY, "request": GET}]}),
    (["bdl-4"], {"type": "batch-response", "entry": [ENTRY]}), (["bdl-5"], {"type": "collection", "entry": [{"fullUrl": "urn:x"}]}),
    (["bdl-7"], {"type": "collection", "entry": [{**ENTRY, "fullUrl": "urn:x"}] * 2}),
    (["bdl-8"], {"type": "collection", "entry": [{**ENTRY, "fullUrl": "http://x.example/Basic/1/_history/1"}]}),
    (["bdl-9"], {**DOCUMENT, "identifier": {"value": "1"}, "entry": [COMPOSITION]}), (["bdl-11"], {**DOCUMENT, "entry": [ENTRY]}),
    (["bdl-10"], {key: value for key, value in {**DOCUMENT, "entry": [COMPOSITION]}.items() if key != "timestamp"}),
    (["bdl-12"], {"type": "message", "entry": [ENTRY]}),
])
@pytest.mark.spec("facts/fhir", "1.1.bundle")
def test_the_rules_of_a_bundle(broken: list[str], bundle: Any) -> None:
    assert rules({"resourceType": "Bundle", **bundle}) == broken


@pytest.mark.parametrize(("rule", "resource"), [
    ("inv-1", {"resourceType": "Parameters", "parameter": [{"name": "x"}]}),
    ("inv-1", {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y", "resource": BASIC}]}),
    ("cpl-3", {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": "Patient/1"},
               "activity": [{"reference": {"reference": "Task/1"}, "detail": {"status": "scheduled"}}]}),
    ("structure", {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/1"},
                   "quantityRange": {"low": {"value": 1, "comparator": "<"}}}),
    *[("structure", {**BASIC, "meta": {name: value}}) for name, value in (("author", {"display": "x"}), ("project", "urn:x"), ("accounts", [{"display": "x"}]))],
    ("structure", {**BASIC, "_id": {"extension": [{"url": "http://x.example", "valueString": "y"}]}}),
    ("structure", {**BASIC, "extension": [{"url": "http://x.example", "valueString": "y", "_url": {"id": "a"}}]}),
    ("structure", {**BASIC, "code": {"text": "x", "id": "a", "_id": {"id": "a"}}}),
    ("structure", {**BASIC, "text": {"status": "generated", "div": DIV, "_div": {"id": "a"}}}),
    ("structure", {"resourceType": "Organization", "alias": ["x"], "name": "y", "_alias": []}),
    ("structure", {"resourceType": "Organization", "name": "y", "telecom": 5}), ("structure", {"resourceType": "Organization", "name": "y", "address": 5}),
])
@pytest.mark.spec("facts/fhir", "1.1")
def test_what_r4_has_not_is_refused(rule: str, resource: Any) -> None:
    """Each was kept once, or ended as an error of the hub's own."""
    assert rule in rules(resource)


def test_a_code_that_is_a_list_is_refused_in_words() -> None:
    """It was an error of the hub's own."""
    inner = {"resourceType": "Condition", "id": "c", "subject": {"reference": "#"}, "clinicalStatus": {"coding": [{"code": ["active"]}]}}
    assert "structure" in rules({**BASIC, "contained": [inner]})


@pytest.mark.parametrize("resource", [
    {**BASIC, "code": {"coding": [{"code": "a\u00a0b", "system": "urn:a\u00a0b"}]}},
    {"resourceType": "Organization", "_name": {"extension": [{"url": "http://x.example", "valueCode": "unknown"}]}},
])
def test_what_r4_lets_in_is_kept(resource: Any) -> None:
    """A space that does not break is none of the spaces of R4's patterns; an element may be there by an extension alone."""
    assert rules(resource) == []


def test_the_outcome_of_an_entry_is_a_resource_in_xml_too(api: httpx.Client) -> None:
    """Bundle.entry.response.outcome is of any type in R4, and says which; without that nobody can read it."""
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Device/none"}}]}
    answer = api.post("/", json=bundle, headers={"content-type": "application/fhir+json", "accept": "application/fhir+xml"})
    root = etree.fromstring(answer.content)
    assert root.find("{*}entry/{*}response/{*}outcome/{*}OperationOutcome/{*}issue") is not None
    assert from_xml(answer.content, D)["entry"][0]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert from_xml(to_xml(from_xml(answer.content, D), D), D) == from_xml(answer.content, D)


@pytest.mark.spec("facts/fhir", "1.3")
def test_no_search_parameter_is_served_that_r4_does_not_have() -> None:
    """`order-detail` of ServiceRequest came with the package."""
    assert "order-detail" not in D.parameters["ServiceRequest"]
