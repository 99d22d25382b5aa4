"""Whose a reference is: under our own address it is ours, under another's it is theirs, wherever it stands or is asked for. Both databases."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

JSON = {"content-type": "application/fhir+json"}
PATIENT = TOWN.persons[0].reference
THEIRS = f"http://other.example/fhir/{PATIENT}"
FLAG: dict[str, Any] = {"resourceType": "Flag", "status": "active", "code": {"text": "key in the box"}}


def made(api: httpx.Client, resource: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"/{resource['resourceType']}", json=resource, headers=JSON)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def found(answer: httpx.Response, mode: str = "match") -> set[str]:
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", ()) if e["search"]["mode"] == mode}


def posted(api: httpx.Client, kind: str, *entries: dict[str, Any]) -> httpx.Response:
    return api.post("/", json={"resourceType": "Bundle", "type": kind, "entry": list(entries)}, headers=JSON)


def write(resource: dict[str, Any], full_url: str = "", method: str = "POST", url: str = "") -> dict[str, Any]:
    asked = {"request": {"method": method, "url": url or resource["resourceType"]}, "resource": resource}
    return {"fullUrl": full_url, **asked} if full_url else asked


def test_what_points_to_another_server_is_found_by_that_address_alone(api: httpx.Client, hub: Machines) -> None:
    theirs, ours = made(api, {**FLAG, "subject": {"reference": THEIRS}})["id"], made(api, {**FLAG, "subject": {"reference": PATIENT}})["id"]
    assert api.get(f"/Flag/{theirs}").json()["subject"]["reference"] == THEIRS
    id_ = PATIENT.partition("/")[2]
    for name in ("subject", "patient"):
        assert found(api.get("/Flag", params={name: THEIRS})) == {theirs}
        for own in (PATIENT, id_, f"{hub.url}/fhir/{PATIENT}"):
            assert found(api.get("/Flag", params={name: own})) == {ours}, own
        assert found(api.get("/Flag", params={name: f"{THEIRS},{PATIENT}"})) == {theirs, ours}
        assert found(api.get("/Flag", params={f"{name}:missing": "false"})) == {theirs, ours}
        assert found(api.get("/Flag", params={f"{name}._id": id_})) == {ours}, "chained"
    assert found(api.get("/Flag", params={"_id": theirs, "_include": "Flag:subject"}), "include") == set()
    assert theirs not in found(api.get("/Patient", params={"_id": id_, "_revinclude": "Flag:patient"}), "include")
    assert found(api.get("/Patient", params={"_id": id_, "_has:Flag:patient:_id": theirs})) == set()
    assert theirs not in found(api.get(f"/Patient/{id_}/Flag")) and theirs not in found(api.get(f"/Patient/{id_}/$everything"))
    assert ours in found(api.get(f"/Patient/{id_}/Flag")) and ours in found(api.get(f"/Patient/{id_}/$everything"))


def test_what_is_written_under_our_own_address_is_kept_relative(api: httpx.Client, hub: Machines) -> None:
    """So it means the same when the hub moves, the access log sees whose it is, and the rules of booking know the person."""
    own = f"{hub.url}/fhir/{PATIENT}"
    flag = made(api, {**FLAG, "subject": {"reference": own}})
    assert flag["subject"]["reference"] == PATIENT
    patch = [{"op": "replace", "path": "/subject/reference", "value": f"{hub.url}/fhir/{TOWN.persons[1].reference}"}]
    patched = api.patch(f"/Flag/{flag['id']}", content=json.dumps(patch), headers={"content-type": "application/json-patch+json"})
    assert patched.json()["subject"]["reference"] == TOWN.persons[1].reference
    appointment = {
        "resourceType": "Appointment", "status": "proposed", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z",
        "participant": [{"actor": {"reference": THEIRS, "type": "Patient"}, "status": "accepted"},
                        {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "accepted"}],
    }
    refused = api.post("/Appointment", json=appointment, headers=JSON)
    assert refused.status_code == 422, "another server's Patient of the same id is nobody we know"
    appointment["participant"][0]["actor"]["reference"] = own  # type: ignore[index]
    assert made(api, appointment)["participant"][0]["actor"]["reference"] == PATIENT


def test_a_canonical_is_found_with_its_version_and_without(api: httpx.Client) -> None:
    plan = "http://example.org/PlanDefinition/wash"
    order = made(api, {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": PATIENT}, "instantiatesCanonical": [f"{plan}|2"],
    })["id"]
    for value, is_there in ((plan, True), (f"{plan}|2", True), (f"{plan}|1", False), ("wash", False), (f"{plan}|1,{plan}|2", True)):
        assert (order in found(api.get("/ServiceRequest", params={"instantiates-canonical": value}))) is is_there, value


def test_an_entry_may_name_our_whole_address_and_nobody_elses(api: httpx.Client, hub: Machines) -> None:
    device = {"resourceType": "Device", "status": "active"}
    done = posted(api, "transaction", write(device, url=f"{hub.url}/fhir/Device"),
                  write({**device, "id": "own"}, method="PUT", url=f"{hub.url}/fhir/Device/own"))
    assert [e["response"]["status"] for e in done.json()["entry"]] == ["201 Created"] * 2
    assert {e["response"]["lastModified"] for e in done.json()["entry"]} == {api.get("/Device/own").json()["meta"]["lastUpdated"]}
    read = {"request": {"method": "GET", "url": f"{hub.url}/fhir/Device?_id=own"}}
    elsewhere = write(device, url="http://other.example/fhir/Device")
    refused = posted(api, "transaction", write(device), elsewhere)
    assert refused.status_code == 422 and refused.json()["issue"][0]["expression"] == ["Bundle.entry[1].request.url"]
    batch = posted(api, "batch", read, elsewhere).json()["entry"]
    assert batch[0]["resource"]["entry"][0]["resource"]["id"] == "own" and batch[1]["response"]["status"].startswith("422")
    assert api.get("/Device?_summary=count").json()["total"] == 2


@pytest.mark.spec("facts/fhir", "1.4.transaction")
def test_links_of_a_transaction_are_followed_where_links_stand_and_nowhere_else(api: httpx.Client, hub: Machines) -> None:
    one, other = "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01", "http://old.example/fhir/Device/7"
    device = {"resourceType": "Device", "status": "active", "url": one, "lotNumber": one, "identifier": [{"system": "urn:ietf:rfc:3986", "value": one}]}
    basic = {
        "resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Device/7"}, "extension": [
            {"url": "http://example.org/a", "valueUri": other}, {"url": "http://example.org/b", "valueString": other},
            {"url": "http://example.org/c", "valueReference": {"reference": one}}],
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{one}">it</a> {one}</div>'},
    }
    answer = posted(api, "transaction", write(device, one), write({**device, "url": "http://x.example"}, other),
                    write(basic, "http://old.example/fhir/Basic/1"))
    assert answer.status_code == 200, answer.text
    first, second, kept = (e["resource"] for e in answer.json()["entry"])
    assert first["url"] == f"Device/{first['id']}" and first["lotNumber"] == one and first["identifier"][0]["value"] == one
    assert kept["subject"]["reference"] == f"Device/{second['id']}", "relative to where its entry comes from"
    assert [list(e.values())[1] for e in kept["extension"]] == [f"Device/{second['id']}", other, {"reference": f"Device/{first['id']}"}]
    assert kept["text"]["div"].count(f"Device/{first['id']}") == 1 and kept["text"]["div"].endswith(f"{one}</div>")
    absolute = posted(api, "transaction", write({**FLAG, "subject": {"reference": f"{hub.url}/fhir/Patient?_id={PATIENT.partition('/')[2]}"}}))
    assert absolute.json()["entry"][0]["resource"]["subject"]["reference"] == PATIENT, "a condition under our address"


@pytest.mark.spec("facts/fhir", "1.4.transaction")
def test_each_is_written_once_in_a_transaction_also_by_conditions(api: httpx.Client) -> None:
    def gone(value: str) -> dict[str, Any]:
        return {"request": {"method": "DELETE", "url": f"Device?identifier=urn:x|{value}"}}

    for value in "ab":
        made(api, {"resourceType": "Device", "status": "active", "identifier": [{"system": "urn:x", "value": value}]})
    device = {"resourceType": "Device", "status": "active", "identifier": [{"system": "urn:x", "value": "a"}]}
    again = write(device, method="PUT", url="Device?identifier=urn:x|a")
    assert posted(api, "transaction", gone("a"), gone("a")).status_code == 200, "the second finds none"
    made(api, device)
    twice = posted(api, "transaction", again, write({**device, "lotNumber": "2"}, method="PUT", url="Device?identifier=urn:x|a"))
    assert twice.status_code == 422 and twice.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert posted(api, "transaction", gone("a"), gone("b")).status_code == 200, "two of one type"
    assert api.get("/Device?_summary=count").json()["total"] == 0
