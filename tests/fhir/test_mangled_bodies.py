"""Bodies that are nearly right: parts of them lost, doubled, or put where another kind belongs. Each is answered in words, none by a fault of ours."""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, hub_on

PATIENT = TOWN.persons[0].reference
START, END = "2026-12-01T09:00:00+01:00", "2026-12-01T09:30:00+01:00"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
APPOINTMENT: dict[str, Any] = {
    "resourceType": "Appointment", "status": "proposed", "start": START, "end": END, "identifier": [{"system": "urn:f", "value": "x"}],
    "participant": [{"actor": {"reference": PATIENT}, "status": "accepted"},
                    {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "needs-action"}],
    "slot": [{"reference": "Slot/x"}], "requestedPeriod": [{"start": START, "end": END}], "serviceType": [{"coding": [{"system": "urn:x", "code": "1"}]}],
    "meta": {"tag": [{"code": "x"}], "profile": ["http://hl7.no/fhir/StructureDefinition/no-basis-Appointment"]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Patient", "id": "p", "name": [{"family": "x"}]}],
}
SUBSCRIPTION = {
    "resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": "Appointment?status=booked", "end": "2027-01-01T00:00:00Z",
    "_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Appointment?status=booked"}]},
    "channel": {"type": "rest-hook", "endpoint": "https://epj.example.no/b", "payload": "application/fhir+json", "header": ["Authorization: Bearer x"],
                "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}]},
                "extension": [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 300}]},
}


def parameters(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parts)}


PATCH = parameters({"name": "operation", "part": [
    {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Device"}, {"name": "name", "valueString": "note"},
    {"name": "value", "part": [{"name": "text", "valueMarkdown": "x"}]}]})
FULL_URL = "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01"
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/", {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": FULL_URL, "resource": {"resourceType": "Device", "status": "active"},
         "request": {"method": "POST", "url": "Device", "ifNoneExist": "identifier=a|b"}},
        {"resource": {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": "Patient?_id=x"}, "focus": {"reference": FULL_URL}},
         "request": {"method": "PUT", "url": "Task?identifier=x|y", "ifMatch": 'W/"1"'}},
        {"resource": PATCH, "request": {"method": "PATCH", "url": "Device/x"}}]}),
    ("POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Appointment?date=2026"}}, {"resource": APPOINTMENT, "request": {"method": "POST", "url": "Appointment"}},
        {"request": {"method": "DELETE", "url": "Device?identifier=a"}}]}),
    ("POST", "/Appointment", APPOINTMENT), ("PUT", "/Appointment/none", {**APPOINTMENT, "id": "none"}),
    ("POST", "/Appointment/$book", parameters({"name": "appt-resource", "resource": APPOINTMENT},
                                              {"name": "patient-reference", "valueReference": {"reference": PATIENT}})),
    ("POST", "/Appointment/$hold", parameters({"name": "appt-resource", "resource": APPOINTMENT})),
    ("POST", "/Appointment/$cancel", parameters({"name": "appt-reference", "valueReference": {"reference": "Appointment/x"}},
                                                {"name": "reason", "valueCodeableConcept": {"text": "x"}})),
    ("POST", "/Appointment/$find", parameters(
        {"name": "start", "valueDateTime": START}, {"name": "end", "valueDateTime": "2026-12-03T09:00:00Z"}, {"name": "_count", "valueInteger": 5},
        {"name": "specialty", "valueCoding": {"system": "a", "code": "b"}}, {"name": "patient-reference", "valueReference": {"reference": PATIENT}})),
    ("POST", "/Subscription", SUBSCRIPTION), ("POST", "/Subscription/$status", parameters({"name": "id", "valueId": "x"})),
    ("POST", "/Patient/$export", parameters({"name": "_typeFilter", "valueString": "Patient?active=true"}, {"name": "_elements", "valueString": "id"})),
    ("POST", "/Appointment/$validate", parameters({"name": "resource", "resource": APPOINTMENT})), ("PATCH", "/Device/own", PATCH),
    ("POST", "/AppointmentResponse", {"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/x"}, "actor": {"reference": PATIENT},
                                      "participantStatus": "accepted", "start": START, "end": END}),
    ("POST", "/CarePlan", {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": PATIENT}, "period": {"start": "2026"},
                           "activity": [{"detail": {"status": "scheduled", "scheduledTiming": {"repeat": {"frequency": 1, "period": 1.5, "periodUnit": "wk"}}}}]}),
    ("POST", "/Patient", {"resourceType": "Patient", "name": [{"given": ["y"], "_given": [{"extension": [{"url": "http://x", "valueString": "z"}]}]}],
                          "birthDate": "1980", "address": [{"line": ["a"], "period": {"start": "2026"}}]}),
]
JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", " ", "a b", "\0", "😀", "http://", "urn:", "Patient/1", "#x", "|", "a|b", ",", "2026-99-99", "0000", "9999-12-31T23:59:59Z",
    [], {}, [[]], [{}], [None], {"reference": 5}, {"resourceType": "Patient"}, {"resourceType": 5}, {"extension": [{}]}, {"coding": 5}, {"coding": [5]},
    {"value": 5}, {"id": "x"}, "x" * 2000, {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": 5},
]
EACH = 60


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every way down."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def mangled(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    made = copy.deepcopy(body)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        *way, last = chance.choice(list(places(made)) or [("resourceType",)])
        home: Any = made
        for key in way:
            home = home[key]
        match chance.randrange(6):
            case 0:
                del home[last]
            case 1 if isinstance(home, dict):
                home[chance.choice([*home, "x", f"_{last}", "extension", "id", "resourceType"])] = copy.deepcopy(chance.choice(JUNK))
            case 2:
                home[last] = [home[last]]
            case 3 if isinstance(home, list):
                home.append(copy.deepcopy(home[last]))
            case _:
                home[last] = copy.deepcopy(chance.choice(JUNK))
    return made


@pytest.fixture
def api(tmp_path: Path, town_url: str) -> Iterator[httpx.Client]:
    with (
        hub_on(tmp_path / "home", town_url, per_minute=100_000) as hub,
        httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.mark.spec("facts/fhir", "1.1")
def test_a_mangled_body_is_never_a_fault_of_ours(api: httpx.Client) -> None:
    api.put("/Device/own", json={"resourceType": "Device", "id": "own"}, headers={"content-type": "application/fhir+json"})
    chance, refused = random.Random(4), 0
    for method, path, body in BODIES:
        for _ in range(EACH):
            sent = mangled(body, chance)
            kind = chance.choice(["application/fhir+json"] * 9 + ["application/fhir+xml"])
            headers = {"content-type": "application/fhir+json", "prefer": "respond-async", "accept": kind}
            answer = api.request(method, path, content=json.dumps(sent), headers=headers)
            assert answer.status_code < 500, (method, path, json.dumps(sent), answer.text)
            if answer.status_code >= 400:
                told = "<OperationOutcome" in answer.text if "xml" in answer.headers["content-type"] else answer.json()["issue"][0]["details"]["coding"][0]["code"][:3] == "BB-"
                assert told, (method, path, json.dumps(sent), answer.text)
                refused += 1
    assert refused > len(BODIES) * EACH // 2
