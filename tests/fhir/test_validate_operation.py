"""`$validate` (R4 resource-operation-validate.html): at type and instance, by Parameters, bare body and address, with each mode; over HTTP on both databases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

JSON = {"content-type": "application/fhir+json"}
DEVICE: dict[str, Any] = {"resourceType": "Device", "status": "active"}
PATIENT = TOWN.persons[0].reference
NO_BASIS = "http://hl7.no/fhir/StructureDefinition/no-basis-Patient"


def parameters(resource: Any = None, **codes: str) -> dict[str, Any]:
    given = [{"name": name, ("valueUri" if name == "profile" else "valueCode"): value} for name, value in codes.items()]
    return {"resourceType": "Parameters", "parameter": [*([{"name": "resource", "resource": resource}] if resource else []), *given]}


def told(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(issue["severity"], issue["code"]) for issue in answer.json()["issue"]]


FINE = [("information", "informational")]


@pytest.fixture
def device(api: httpx.Client) -> str:
    return str(api.post("/Device", json=DEVICE, headers=JSON).json()["id"])


@pytest.mark.spec("facts/fhir", "1.4.validate")
def test_a_mode_tells_what_such_a_write_would_be_told_and_writes_nothing(api: httpx.Client, device: str) -> None:
    before = api.get("/_history?_count=1").json()["entry"][0]["response"]
    mine = {**DEVICE, "id": device, "status": "inactive"}
    assert told(api.post("/Device/$validate", json=parameters(DEVICE, mode="create"), headers=JSON)) == FINE
    assert told(api.post("/Device/$validate?mode=create", json=DEVICE, headers=JSON)) == FINE
    assert told(api.post(f"/Device/{device}/$validate", json=parameters(mine, mode="update"), headers=JSON)) == FINE
    assert told(api.post("/Device/$validate", json=parameters(mine, mode="update"), headers=JSON)) == FINE
    assert told(api.post(f"/Device/{device}/$validate", json=parameters(mode="delete"), headers=JSON)) == FINE
    assert told(api.get(f"/Device/{device}/$validate?mode=delete")) == FINE
    assert told(api.post("/Device/other/$validate", json=parameters(mine, mode="update"), headers=JSON)) == [("error", "invalid")]
    assert told(api.post("/Device/$validate", json=parameters(DEVICE, mode="update"), headers=JSON)) == [("error", "required")]
    assert told(api.get(f"/{PATIENT}/$validate?mode=delete")) == [("error", "not-supported")]
    assert told(api.post("/Encounter/$validate?mode=create", json={"resourceType": "Encounter", "status": "planned", "class": {"code": "HH"}},
                         headers=JSON)) == [("error", "not-supported")]
    api.post("/Task", json={"resourceType": "Task", "status": "draft", "intent": "order", "focus": {"reference": f"Device/{device}"}}, headers=JSON)
    assert told(api.get(f"/Device/{device}/$validate?mode=delete")) == [("error", "conflict")]
    history = api.get("/_history?_count=2").json()["entry"]
    assert history[0]["request"]["url"] == "Task" and history[1]["response"] == before, "nothing else was written"


def test_a_create_is_tried_by_the_rules_of_booking_too(api: httpx.Client) -> None:
    """A booking in the past, and one for whom nobody knows, are right by R4 and would be refused."""
    who = [{"actor": {"reference": PATIENT}, "status": "accepted"}, {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "needs-action"}]
    late = {"resourceType": "Appointment", "status": "proposed", "start": "2020-01-01T09:00:00Z", "end": "2020-01-01T09:30:00Z", "participant": who}
    assert told(api.post("/Appointment/$validate", json=late, headers=JSON)) == FINE
    assert told(api.post("/Appointment/$validate?mode=create", json=late, headers=JSON))[0][0] == "error"


def test_what_is_kept_can_be_validated_without_sending_it(api: httpx.Client, device: str) -> None:
    assert told(api.get(f"/Device/{device}/$validate")) == FINE
    assert told(api.get(f"/Device/{device}/$validate", params={"profile": NO_BASIS})) == [("error", "invalid")], "a profile of Patient"
    assert api.get("/Device/never/$validate").status_code == 404 and api.get("/Device/$validate").status_code == 405
    assert api.get(f"/{PATIENT}/$validate", params={"profile": NO_BASIS}).status_code == 200


def test_a_profile_that_cannot_be_judged_by_is_an_error(api: httpx.Client, device: str) -> None:
    """R4: if a profile is nominated, and the server cannot validate against it, it SHALL return an error."""
    unknown = "http://x.example/StructureDefinition/y"
    for answer in (
        api.post("/Device/$validate", json=parameters(DEVICE, profile=unknown), headers=JSON), api.get(f"/Device/{device}/$validate", params={"profile": unknown}),
        api.post("/Device/$validate", params={"profile": unknown}, json=DEVICE, headers=JSON), api.post("/Device/$validate?mode=profile", json=DEVICE, headers=JSON),
        api.post("/Device/$validate?mode=bogus", json=DEVICE, headers=JSON), api.post("/Device/$validate?mode=delete", json=DEVICE, headers=JSON),
        api.post("/Device/$validate", json=parameters(mode="create"), headers=JSON),
    ):
        assert answer.status_code == 422 and answer.json()["issue"][0]["severity"] == "error", answer.text
    assert told(api.post("/Device/$validate", json={**DEVICE, "meta": {"profile": [unknown]}}, headers=JSON)) == [("warning", "not-supported")]
    assert told(api.post("/Patient/$validate?mode=profile", params={"profile": NO_BASIS, "mode": "profile"}, json={
        "resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1"}]}, headers=JSON))[0][0] == "error"


def test_who_may_not_write_is_told_that_in_the_answer(hub: Machines) -> None:
    """A token that reads everything may ask, and is told that its create would be refused."""
    token = hub.http().post("/oauth/test/token", data={"grant_type": "client_credentials", "client_id": "nybegynner"}).json()["access_token"]
    with hub.http(authorization=f"Bearer {token}") as client:
        assert told(client.post("/fhir/Device/$validate?mode=create", json=DEVICE, headers=JSON)) == [("error", "forbidden")]
        assert told(client.post("/fhir/Device/$validate", json=DEVICE, headers=JSON)) == FINE


def test_who_is_not_let_in_is_told_in_the_format_that_was_asked_for(hub: Machines) -> None:
    """It was JSON, whatever was asked for."""
    with hub.http() as client:
        for address, accept in (("/fhir/Patient", "application/fhir+xml"), ("/fhir/Patient?_format=xml", "application/json")):
            answer = client.get(address, headers={"accept": accept})
            assert answer.status_code == 401 and answer.headers["content-type"].startswith("application/fhir+xml")
            assert etree.fromstring(answer.content).tag == "{http://hl7.org/fhir}OperationOutcome"
        assert client.get("/fhir/Patient", headers={"accept": "text/html"}).json()["resourceType"] == "OperationOutcome"


def test_profiles_and_value_sets_are_read_as_xml_too(api: httpx.Client) -> None:
    """The CapabilityStatement names both formats, and excepts nothing."""
    for address in ("/StructureDefinition", "/ValueSet", "/metadata"):
        root = etree.fromstring(api.get(address, headers={"accept": "application/fhir+xml"}).content)
        assert root.tag in ("{http://hl7.org/fhir}Bundle", "{http://hl7.org/fhir}CapabilityStatement")


@pytest.mark.spec("facts/fhir", "1.4.parts")
def test_a_summary_leaves_out_what_is_none_within_an_element(hub: Machines, api: httpx.Client) -> None:
    """Encounter.participant is of the summary, its period is not (R4's isSummary); extensions and ids stay."""
    who = {"id": "a", "individual": {"display": "x"}, "period": {"start": "2026-01-01"}, "extension": [{"url": "http://x.example", "valueString": "y"}]}
    visit = {"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "HH"}, "participant": [who]}
    hub.parts.store.write(lambda tx: tx.keep(visit, origin="hub"))
    assert api.get("/Encounter/e?_summary=true").json()["participant"] == [{key: value for key, value in who.items() if key != "period"}]
