"""What the hub itself makes is R4 in the eyes of another library (`fhir.resources`): statements, Bundles, outcomes, logs, offers, notifications."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, hub_on

from hub.fhir import definitions

JSON = {"content-type": "application/fhir+json"}
PATIENT = TOWN.persons[0].reference
DEVICE = {"resourceType": "Device", "status": "active"}
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
READ = (
    "/metadata", "/_history?_count=50", "/Patient/_history", f"/{PATIENT}/_history", f"/{PATIENT}/$everything", "/Slot?_elements=status&_count=3",
    "/Patient?_summary=text&_count=3", "/Patient?_summary=true&_count=3", "/Slot?_summary=count", "/Appointment?bogus=1&_total=accurate", "/Device/none", "/Device?_sort=x",
    "/Bogus", "/Appointment/$find?start=2026-12-01T08:00:00Z&end=2026-12-02T12:00:00Z&_count=5&bogus=1", "/SubscriptionTopic/appointment-lifecycle",
    "/SubscriptionTopic/slot-availability", "/SubscriptionTopic/encounter-lifecycle", "/StructureDefinition", "/ValueSet",
)


@pytest.fixture
def api(tmp_path: Path, town_url: str) -> Iterator[httpx.Client]:
    with (
        hub_on(tmp_path / "home", town_url, per_minute=100_000) as hub,
        httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30) as client,
    ):
        yield client


def held(node: dict[str, Any]) -> int:
    """How many resources it holds, each of which another library reads."""
    get_fhir_model_class(node["resourceType"]).model_validate(node)
    inside = [e["resource"] for e in node.get("entry", ()) if "resource" in e]
    outcomes = [e["response"]["outcome"] for e in node.get("entry", ()) if "outcome" in e.get("response", {})]
    return 1 + sum(held(each) for each in inside + outcomes)


def test_what_is_read_is_r4(api: httpx.Client) -> None:
    found = {path: held(api.get(path).json()) for path in (*READ, *(f"/{type_}?_count=5" for type_ in definitions.load().served if type_ not in (
        "Bundle", "OperationOutcome", "Parameters")))}
    assert found["/StructureDefinition"] > 5 and found["/ValueSet"] > 2 and found["/AuditEvent?_count=5"] >= 1
    assert sum(found.values()) > 200


def test_what_answers_a_write_is_r4(api: httpx.Client) -> None:
    appointment = {
        "resourceType": "Appointment", "status": "proposed", "start": "2026-12-01T09:00:00+01:00", "end": "2026-12-01T09:30:00+01:00",
        "participant": [{"actor": {"reference": PATIENT}, "status": "accepted"},
                        {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "needs-action"}],
    }
    booked = api.post("/Appointment", json=appointment, headers=JSON)
    assert booked.status_code == 201 and held(booked.json()) == 1
    answer = {"resourceType": "AppointmentResponse", "appointment": {"reference": f"Appointment/{booked.json()['id']}"},
              "actor": {"reference": PATIENT}, "participantStatus": "accepted"}
    assert held(api.post("/AppointmentResponse", json=answer, headers=JSON).json()) == 1
    assert held(api.get(f"/Appointment?_id={booked.json()['id']}&_include=*&_revinclude=AppointmentResponse:appointment").json()) > 4
    assert held(api.post(f"/Appointment/{booked.json()['id']}/$cancel", headers=JSON).json()) == 2
    entries = [{"request": {"method": "POST", "url": "Device"}, "resource": DEVICE}, {"request": {"method": "GET", "url": "Device"}},
               {"request": {"method": "DELETE", "url": "Device/none"}}, {"request": {"method": "GET", "url": "Device/none"}}]
    for kind, some in (("batch", entries), ("transaction", entries[:3])):
        assert held(api.post("/", json={"resourceType": "Bundle", "type": kind, "entry": some}, headers=JSON).json()) > 3
    for wrong in (api.post("/Device", json={"resourceType": "Device", "x": 1}, headers=JSON), api.post("/Device", content=b"x"), api.put("/Device", json={})):
        assert wrong.status_code >= 400 and held(wrong.json()) == 1
    assert held(api.put("/Device/own", json={**DEVICE, "id": "own"}, headers={**JSON, "prefer": "return=OperationOutcome"}).json()) == 1
    for body in (DEVICE, {**DEVICE, "status": "x"}, {**DEVICE, "meta": {"profile": ["http://example.org/unknown"]}}):
        assert held(api.post("/Device/$validate", json=body, headers=JSON).json()) == 1


def test_what_a_subscriber_gets_is_r4(api: httpx.Client) -> None:
    content = {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "full-resource"}]}
    made = api.post("/Subscription", headers=JSON, content=json.dumps({
        "resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": f"{api.base_url}SubscriptionTopic/appointment-lifecycle",
        "channel": {"type": "rest-hook", "endpoint": "https://epj.example.no/b", "payload": "application/fhir+json", "_payload": content}}))
    assert made.status_code == 201 and held(made.json()) == 1, made.text
    assert held(api.get(f"/Subscription/{made.json()['id']}/$status").json()) == 2
    assert held(api.get(f"/Subscription/{made.json()['id']}/$events").json()) == 2
