"""Create, update, patch, delete, conditional forms, Bundles, history, chains, XML: over HTTP, on both databases, nothing replaced."""

from __future__ import annotations

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

from adapters.demo.shop import planner

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
DEVICE = {"resourceType": "Device", "identifier": [{"system": "urn:x", "value": "nr-1"}], "status": "active", "deviceName": [
    {"name": "Trygghetsalarm", "type": "user-friendly-name"}]}


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def booking(hub: Machines, **more: Any) -> dict[str, Any]:
    order = next(planner(TOWN, "rest", hub.clock.now).orders("R"))
    return {
        "resourceType": "Appointment", "status": "proposed", "start": order.start.isoformat(timespec="seconds"),
        "end": (order.start + timedelta(minutes=30)).isoformat(timespec="seconds"),
        "participant": [
            {"actor": {"reference": order.person.reference}, "status": "accepted"},
            {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action"},
        ], **more,
    }


@pytest.mark.spec("facts/fhir", "1.4.create")
def test_a_record_is_created_updated_and_deleted_with_every_version_kept(api: httpx.Client) -> None:
    first = api.post("/Device", json={**DEVICE, "id": "mine", "meta": {"versionId": "77"}})
    kept = made(first)
    assert kept["id"] != "mine" and kept["meta"]["versionId"] == "1"
    assert first.headers["location"].endswith(f"/fhir/Device/{kept['id']}/_history/1") and first.headers["etag"] == 'W/"1"'
    changed = api.put(f"/Device/{kept['id']}", json={**kept, "status": "inactive"}, headers={"if-match": 'W/"1"'})
    assert changed.status_code == 200 and changed.headers["etag"] == 'W/"2"'
    assert number(api.put(f"/Device/{kept['id']}", json=kept, headers={"if-match": 'W/"1"'})) == (412, "BB-207")
    assert api.put(f"/Device/{kept['id']}", json={**kept, "status": "inactive"}).headers["etag"] == 'W/"2"', "the same again is no new version"
    assert number(api.put("/Device/other", json=kept)) == (400, "BB-431")
    assert api.delete(f"/Device/{kept['id']}").status_code == 204 and api.delete(f"/Device/{kept['id']}").status_code == 204
    assert number(api.get(f"/Device/{kept['id']}")) == (410, "BB-402")
    assert api.get("/Device", params={"identifier": "urn:x|nr-1"}).json().get("entry") is None
    history = api.get(f"/Device/{kept['id']}/_history").json()
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "PUT", "POST"] and "resource" not in history["entry"][0]
    assert made(api.put(f"/Device/{kept['id']}", json=kept))["meta"]["versionId"] == "4", "a PUT revives"
    assert api.delete("/Device/never-was").status_code == 204


@pytest.mark.spec("facts/fhir", "1.4.history")
def test_the_history_tells_what_happened(api: httpx.Client, hub: Machines) -> None:
    """R4 3.1.0.10: `request` is what was asked, also where a PUT made the resource, or brought it back; alone, by a condition, in a Bundle."""
    kept = made(api.put("/Device/of-ours", json={**DEVICE, "id": "of-ours"}))
    assert api.put("/Device/of-ours", json={**kept, "status": "inactive"}).status_code == 200
    assert api.delete("/Device/of-ours").status_code == 204
    made(api.put("/Device/of-ours", json=kept))
    by_condition = made(api.put("/Device", params={"identifier": "urn:x|nr-2"}, json={**DEVICE, "identifier": [{"system": "urn:x", "value": "nr-2"}]}))["id"]
    entry = [{"request": {"method": "PUT", "url": "Device/bundled"}, "resource": {**DEVICE, "id": "bundled"}},
             {"request": {"method": "POST", "url": "Device"}, "resource": DEVICE}]
    told = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entry}).json()["entry"]
    booked = made(api.put("/Appointment", params={"identifier": "urn:x|B"}, json=booking(hub, identifier=[{"system": "urn:x", "value": "B"}])))["id"]

    def happened(reference: str) -> list[tuple[str, str, str]]:
        entries = api.get(f"/{reference}/_history").json()["entry"]
        return [(e["request"]["method"], e["request"]["url"], e["response"]["status"][:3]) for e in reversed(entries)]

    put = ("PUT", "Device/of-ours", "201")
    assert happened("Device/of-ours") == [put, ("PUT", "Device/of-ours", "200"), ("DELETE", "Device/of-ours", "204"), put]
    assert happened(f"Device/{by_condition}") == [("PUT", f"Device/{by_condition}", "201")]
    assert happened("Device/bundled") == [("PUT", "Device/bundled", "201")]
    assert happened("/".join(told[1]["response"]["location"].split("/")[:2])) == [("POST", "Device", "201")]
    assert happened(f"Appointment/{booked}")[0] == ("PUT", f"Appointment/{booked}", "201")
    of_type = api.get("/Device/_history").json()["entry"]
    assert [e["request"] for e in of_type if e["fullUrl"].endswith("of-ours")][-1] == {"method": "PUT", "url": "Device/of-ours"}


@pytest.mark.spec("facts/fhir", "1.4.delete")
def test_what_belongs_to_a_record_or_is_pointed_to_is_not_deleted(api: httpx.Client) -> None:
    person = TOWN.persons[0].reference
    assert number(api.delete(f"/{person}")) == (405, "BB-408"), "the CapabilityStatement has no delete of a Patient"
    device = made(api.post("/Device", json=DEVICE))
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": person},
            "author": {"reference": f"Device/{device['id']}"}}
    made(api.post("/Flag", json=flag))
    assert number(api.delete(f"/Device/{device['id']}")) == (409, "BB-406")
    assert number(api.post("/Slot", json={"resourceType": "Slot"})) == (405, "BB-408")
    assert "GET" in api.post("/Slot", json={"resourceType": "Slot"}).headers["allow"]


@pytest.mark.spec("facts/fhir", "1.4.conditional")
@pytest.mark.spec("facts/fhir", "5.2")
def test_eight_parallel_conditional_creates_store_one(api: httpx.Client) -> None:
    def create(_: int) -> httpx.Response:
        return api.post("/Device", json=DEVICE, headers={"if-none-exist": "identifier=urn:x|nr-1"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    made(api.post("/Device", json=DEVICE))
    assert number(create(0)) == (412, "BB-405")
    assert number(api.post("/Device", json=DEVICE, headers={"if-none-exist": "bogus=1"})) == (400, "BB-403")


@pytest.mark.spec("facts/fhir", "1.4.ifmatch")
def test_two_puts_with_one_etag_change_once(api: httpx.Client) -> None:
    kept = made(api.post("/Device", json=DEVICE))

    def put(status: str) -> int:
        return api.put(f"/Device/{kept['id']}", json={**kept, "status": status}, headers={"if-match": 'W/"1"'}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(put, ("inactive", "entered-in-error"))) == [200, 412]


@pytest.mark.spec("facts/fhir", "1.4.conditional")
def test_conditional_update_patch_and_delete(api: httpx.Client) -> None:
    where = {"identifier": "urn:x|nr-1"}
    kept = made(api.put("/Device", params=where, json=DEVICE))
    again = api.put("/Device", params=where, json={**DEVICE, "status": "inactive"})
    assert (again.status_code, again.json()["id"], again.json()["meta"]["versionId"]) == (200, kept["id"], "2")
    patched = api.patch("/Device", params=where, content=b'[{"op":"replace","path":"/status","value":"active"}]',
                        headers={"content-type": "application/json-patch+json"})
    assert patched.json()["status"] == "active"
    assert number(api.put("/Device", params={"identifier": "urn:x|nr-2"}, json={**DEVICE, "id": kept["id"]}, headers={"if-match": 'W/"9"'}))[0] == 412
    assert number(api.put("/Patient", params={"identifier": f"{FNR}|01810099999"}, json={"resourceType": "Patient"})) == (400, "BB-403")
    assert api.delete("/Device", params=where).status_code == 204 and api.get(f"/Device/{kept['id']}").status_code == 410


@pytest.mark.parametrize(("kind", "patch"), [
    ("application/json-patch+json", [{"op": "test", "path": "/status", "value": "active"}, {"op": "replace", "path": "/status", "value": "inactive"},
                                     {"op": "add", "path": "/identifier/-", "value": {"value": "nr-2"}}]),
    ("application/merge-patch+json", {"status": "inactive", "identifier": [{"system": "urn:x", "value": "nr-1"}, {"value": "nr-2"}]}),
    ("application/json", {"status": "inactive", "identifier": [{"system": "urn:x", "value": "nr-1"}, {"value": "nr-2"}]}),
    ("application/fhir+json", {"resourceType": "Parameters", "parameter": [
        {"name": "operation", "part": [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Device.status"},
                                       {"name": "value", "valueCode": "inactive"}]},
        {"name": "operation", "part": [{"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Device"},
                                       {"name": "name", "valueString": "identifier"}, {"name": "value", "valueIdentifier": {"value": "nr-2"}}]},
        {"name": "operation", "part": [{"name": "type", "valueCode": "move"}, {"name": "path", "valueString": "Device.identifier"},
                                       {"name": "source", "valueInteger": 1}, {"name": "destination", "valueInteger": 0}]},
        {"name": "operation", "part": [{"name": "type", "valueCode": "move"}, {"name": "path", "valueString": "Device.identifier"},
                                       {"name": "source", "valueInteger": 0}, {"name": "destination", "valueInteger": 1}]},
        {"name": "operation", "part": [{"name": "type", "valueCode": "delete"},
                                       {"name": "path", "valueString": "Device.deviceName.where(name='Trygghetsalarm').where(name='x')"}]}]}),
])
@pytest.mark.spec("facts/fhir", "1.4.patch")
def test_every_kind_of_patch_gives_the_same(api: httpx.Client, kind: str, patch: Any) -> None:
    kept = made(api.post("/Device", json=DEVICE))
    answer = api.patch(f"/Device/{kept['id']}", content=json.dumps(patch), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], [i["value"] for i in answer.json()["identifier"]]) == ("inactive", ["nr-1", "nr-2"])


@pytest.mark.parametrize(("kind", "patch", "told"), [
    ("application/json-patch+json", b'[{"op":"test","path":"/status","value":"inactive"}]', (422, "BB-409")),
    ("application/json-patch+json", b'[{"op":"replace","path":"/nothing/5","value":1}]', (422, "BB-409")),
    ("application/json-patch+json", b'[{"op":"replace","path":"/status","value":"bogus"}]', (422, "BB-202")),
    ("application/json-patch+json", b'[{"op":"replace","path":"/id","value":"other"}]', (422, "BB-409")),
    ("application/json-patch+json", b'{"op":', (400, "BB-101")),
    ("application/json-patch+json", b'[' + b'{"op":"copy","from":"/deviceName","path":"/deviceName/-"},' * 40 + b'{"op":"test","path":"/id","value":1}]',
     (413, "BB-102")),
    ("application/merge-patch+json", b'[1]', (400, "BB-101")),
    ("application/fhir+json", b'{"resourceType":"Parameters","parameter":[{"name":"operation","valueCode":"x"}]}', (422, "BB-409")),
    ("text/plain", b"x", (415, "BB-407")),
])
@pytest.mark.spec("facts/fhir", "1.4.patch")
def test_a_patch_that_does_not_fit_changes_nothing(api: httpx.Client, kind: str, patch: bytes, told: tuple[int, str]) -> None:
    kept = made(api.post("/Device", json=DEVICE))
    assert number(api.patch(f"/Device/{kept['id']}", content=patch, headers={"content-type": kind})) == told
    assert api.get(f"/Device/{kept['id']}").headers["etag"] == 'W/"1"'


@pytest.mark.spec("facts/fhir", "1.4.prefer")
def test_prefer_says_what_comes_back(api: httpx.Client) -> None:
    assert api.post("/Device", json=DEVICE, headers={"prefer": "return=minimal"}).content == b""
    assert api.post("/Device", json=DEVICE, headers={"prefer": "return=OperationOutcome"}).json()["resourceType"] == "OperationOutcome"
    assert api.post("/Device", json=DEVICE, headers={"prefer": "return=presentation"}).json()["resourceType"] == "Device"


@pytest.mark.parametrize(("body", "told"), [
    (b'{"resourceType":"Device","status":"active","status":"inactive"}', (400, "BB-101")),
    (b'{"resourceType":"Device","status":NaN}', (400, "BB-101")),
    (b'{"resourceType":"Device","extension":[{"url":"urn:x","valueDecimal":1e999}]}', (400, "BB-101")),
    (b'{"resourceType":"Device","a":' * 1 + b"[" * 5000 + b"]" * 5000 + b"}", (400, "BB-101")),
    (b'{"resourceType":"Device","status":"\xff"}', (400, "BB-101")),
    (b'{"resourceType":"Device","status":"bogus"}', (422, "BB-202")),
    (b'{"resourceType":"Device","contained":[{"resourceType":"Bogus","id":"1"}]}', (422, "BB-201")),
    (b'{"resourceType":"Patient"}', (400, "BB-431")), (b"[]", (400, "BB-101")), (b"", (400, "BB-101")),
    (b'{"resourceType":"Device","identifier":[]}', (422, "BB-201")), (b'{"resourceType":"Device","note":[{}]}', (422, "BB-201")),
    (b'{"resourceType":"Device","x":"' + b"x" * (4 << 20) + b'"}', (413, "BB-102")),
])
@pytest.mark.spec("facts/fhir", "1.4.status")
def test_bad_bodies_are_refused_and_nothing_is_stored(api: httpx.Client, body: bytes, told: tuple[int, str]) -> None:
    assert number(api.post("/Device", content=body, headers={"content-type": "application/fhir+json"})) == told
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


@pytest.mark.spec("facts/fhir", "1.4.status")
def test_a_refused_write_tells_every_issue_with_its_place_code_and_rule(api: httpx.Client) -> None:
    appointment = {"resourceType": "Appointment", "status": "bogus", "start": "2026-12-01T09:00:00+01:00", "participant": [{"status": "accepted"}], "x": 1}
    told = api.post("/Appointment", json=appointment)
    assert told.status_code == 422
    assert {(i["code"], i["expression"][0], *(c["code"] for c in i["details"]["coding"])) for i in told.json()["issue"]} == {
        ("code-invalid", "Appointment.status", "BB-202"), ("structure", "Appointment.x", "BB-201"),
        ("invariant", "Appointment.participant[0]", "BB-201", "app-1"), ("invariant", "Appointment", "BB-201", "app-2"),
    }
    many = api.post("/Device", json={**DEVICE, "note": [{}] * 5000})
    assert many.status_code == 422 and len(many.json()["issue"]) == 100
    patched = api.patch(f"/Device/{made(api.post('/Device', json=DEVICE))['id']}", json={"status": "bogus", "note": [{}]},
                        headers={"content-type": "application/merge-patch+json"})
    assert patched.status_code == 422 and len(patched.json()["issue"]) == 2


@pytest.mark.spec("facts/fhir", "1.4.create")
def test_a_decimal_an_offset_and_a_fraction_come_back_as_they_were_sent(api: httpx.Client) -> None:
    text = ('{"resourceType":"Basic","code":{"text":"x"},"created":"2026-12-01","_created":{"id":"c1"},"extension":['
            '{"url":"urn:a","valueDecimal":72.50},{"url":"urn:b","valueInstant":"2026-12-01T09:00:00.120+01:00"},{"url":"urn:c","valueDecimal":1E2}]}')
    kept = made(api.post("/Basic", content=text, headers={"content-type": "application/fhir+json"}))
    back = api.get(f"/Basic/{kept['id']}").text
    assert '"valueDecimal":72.50' in back and "09:00:00.120+01:00" in back and '"valueDecimal":1E2' in back and '"_created":{"id":"c1"}' in back
    xml = api.get(f"/Basic/{kept['id']}", headers={"accept": "application/fhir+xml"})
    assert xml.headers["content-type"].startswith("application/fhir+xml")
    root = etree.fromstring(xml.content)
    assert [d.get("value") for d in root.iter("{http://hl7.org/fhir}valueDecimal")] == ["72.50", "1E2"]
    again = made(api.post("/Basic", content=xml.content, headers={"content-type": "application/fhir+xml"}))
    same = {k: v for k, v in again.items() if k not in ("id", "meta")}
    assert same == {k: v for k, v in kept.items() if k not in ("id", "meta")}
    assert '"valueDecimal":72.50' in api.get(f"/Basic/{again['id']}").text


def test_the_capability_statement_comes_in_xml_too(api: httpx.Client) -> None:
    answer = api.get("/metadata", headers={"accept": "application/fhir+xml"})
    assert answer.status_code == 200 and etree.fromstring(answer.content).find("{http://hl7.org/fhir}fhirVersion").get("value") == "4.0.1"


def test_xml_errors_are_refused_in_xml(api: httpx.Client) -> None:
    headers = {"content-type": "application/fhir+xml", "accept": "application/fhir+xml"}
    for body, status in (
        (b"<Device", 400), (b'<!DOCTYPE x [<!ENTITY a "b">]><Device xmlns="http://hl7.org/fhir"><status value="&a;"/></Device>', 400),
        (b'<Device xmlns="urn:wrong"/>', 400), (b'<Device xmlns="http://hl7.org/fhir"><bogus value="1"/></Device>', 422),
        (b'<Device xmlns="http://hl7.org/fhir"><patient/><status value="active"/></Device>', 422),
        (b'<Device xmlns="http://hl7.org/fhir"><status value="active"/><status value="active"/></Device>', 422),
    ):
        answer = api.post("/Device", content=body, headers=headers)
        assert answer.status_code == status and etree.fromstring(answer.content).tag == "{http://hl7.org/fhir}OperationOutcome", body


@pytest.mark.spec("facts/fhir", "1.2")
def test_a_booking_is_made_moved_and_cancelled_by_plain_rest_under_the_rules(api: httpx.Client, hub: Machines) -> None:
    asked = booking(hub, identifier=[{"system": "urn:epj", "value": "77"}], comment="Ring på")
    first = api.post("/Appointment", json=asked)
    kept = made(first)
    assert kept["status"] in ("pending", "booked") and kept["slot"] and kept["comment"] == "Ring på"
    assert api.post("/Appointment", json=asked).status_code == 200, "the same again is the same booking"
    assert number(api.put(f"/Appointment/{kept['id']}", json={**kept, "priority": 3})) == (422, "BB-307")
    assert number(api.put(f"/Appointment/{kept['id']}", json={**kept, "start": "2026-12-24T02:00:00+01:00", "end": "2026-12-24T02:30:00+01:00"}))[0] == 422
    bare = {key: kept[key] for key in ("resourceType", "id", "status", "start", "end", "participant")}
    assert api.put(f"/Appointment/{kept['id']}", json=bare).json() == kept, "what a PUT leaves out stays"
    removed = api.patch(f"/Appointment/{kept['id']}", content=b'{"comment":null}', headers={"content-type": "application/merge-patch+json"})
    assert number(removed) == (422, "BB-307"), "what a patch takes away is not ignored"
    assert number(api.delete(f"/Appointment/{kept['id']}")) == (405, "BB-408")
    cancelled = api.patch(f"/Appointment/{kept['id']}", content=b'{"status":"cancelled"}', headers={"content-type": "application/merge-patch+json"})
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled", cancelled.text
    free = api.get(f"/{kept['slot'][0]['reference']}").json()
    assert free["status"] == "free"
    assert number(api.post("/Appointment", json=booking(hub, status="fulfilled")))[0] == 422
    assert api.get(f"/Appointment/{kept['id']}/_history").json()["total"] == 2


def test_twenty_parallel_bookings_of_one_name_make_one(api: httpx.Client, hub: Machines) -> None:
    asked = booking(hub, identifier=[{"system": "urn:epj", "value": "one"}])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/Appointment", json=asked), range(20)))
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201] and len({a.json()["id"] for a in answers}) == 1


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **more: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    return made | ({"resource": resource} if resource else {}) | ({"fullUrl": full_url} if full_url else {})


def post(api: httpx.Client, kind: str, *entries: dict[str, Any]) -> httpx.Response:
    return api.post("/", json={"resourceType": "Bundle", "type": kind, "entry": list(entries)})


@pytest.mark.spec("facts/fhir", "1.4.transaction")
def test_a_transaction_links_its_entries_and_answers_in_their_order(api: httpx.Client, hub: Machines) -> None:
    a, b = "urn:uuid:0b1dc5c8-8d4e-4a8e-9d39-000000000001", "urn:uuid:0b1dc5c8-8d4e-4a8e-9d39-000000000002"
    person = TOWN.persons[0]
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "author": {"reference": a},
            "subject": {"reference": f"Patient?identifier={FNR}|{person.national_id}"},
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{a}">se</a></div>'}}
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": b}, "for": {"reference": person.reference}}
    answer = post(api, "transaction", entry("GET", "Device?identifier=urn:x|nr-1"), entry("POST", "Task", task, b.replace("2", "3")),
                  entry("POST", "Flag", flag, b), entry("POST", "Device", DEVICE, a, ifNoneExist="identifier=urn:x|nr-1"),
                  entry("POST", "Appointment", booking(hub), "urn:uuid:0b1dc5c8-8d4e-4a8e-9d39-000000000009"))
    assert answer.status_code == 200, answer.text
    told = answer.json()["entry"]
    assert [e["response"]["status"][:3] for e in told] == ["200", "201", "201", "201", "201"]
    device, kept = told[3]["resource"]["id"], told[2]["resource"]
    assert kept["author"]["reference"] == f"Device/{device}" and f'href="Device/{device}"' in kept["text"]["div"]
    assert kept["subject"]["reference"] == person.reference and told[1]["resource"]["focus"]["reference"] == f"Flag/{kept['id']}"
    assert told[0]["resource"]["entry"][0]["resource"]["id"] == device, "reads come last and see what was written"
    assert told[3]["response"]["location"] == f"Device/{device}/_history/1" and told[3]["response"]["etag"] == 'W/"1"'
    again = post(api, "transaction", entry("POST", "Device", DEVICE, a, ifNoneExist="identifier=urn:x|nr-1"))
    assert again.json()["entry"][0]["response"]["status"][:3] == "200"


@pytest.mark.spec("facts/fhir", "1.4.transaction")
def test_half_a_transaction_is_never_kept(api: httpx.Client) -> None:
    for bad, told in (
        (entry("POST", "Device", {**DEVICE, "status": "bogus"}), (422, "BB-202")), (entry("PUT", "Device/x", DEVICE), (400, "BB-431")),
        (entry("POST", "Flag", {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": "Patient?identifier=urn:n|0"}}),
         (404, "BB-401")), (entry("GET", "Device/none"), (404, "BB-401")), (entry("POST", "Slot", {"resourceType": "Slot"}), (405, "BB-408")),
        (entry("BREW", "Device"), (422, "BB-202")),
    ):
        refused = post(api, "transaction", entry("POST", "Device", DEVICE), bad)
        assert number(refused) == told and refused.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]"), bad
        assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0
    wrong = post(api, "transaction", entry("POST", "Device", DEVICE), entry("POST", "Device", {**DEVICE, "status": "bogus", "note": [{}]}))
    assert [i["expression"] for i in wrong.json()["issue"]] == [["Bundle.entry[1].resource.status"], ["Bundle.entry[1].resource.note[0]"]]
    twice = post(api, "transaction", entry("PUT", "Device/d", {**DEVICE, "id": "d"}), entry("DELETE", "Device/d"))
    assert number(twice) == (422, "BB-201")


@pytest.mark.spec("facts/fhir", "1.4.batch")
def test_a_batch_keeps_what_is_right_and_tells_what_is_not(api: httpx.Client) -> None:
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json",
             "data": base64.b64encode(b'[{"op":"replace","path":"/status","value":"inactive"}]').decode()}
    told = post(api, "batch", entry("PUT", "Device/d", {**DEVICE, "id": "d"}), entry("POST", "Device", {**DEVICE, "status": "bogus"}),
                entry("PATCH", "Device/d", patch), entry("GET", "Device/d"), entry("GET", "metadata")).json()
    assert told["type"] == "batch-response"
    assert [e["response"]["status"][:3] for e in told["entry"]] == ["201", "422", "200", "200", "200"]
    assert told["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome" and told["entry"][3]["resource"]["status"] == "inactive"
    assert number(post(api, "message")) == (422, "BB-201")


@pytest.mark.spec("facts/fhir", "1.4.entries")
def test_chains_has_iterate_and_pages_in_both_directions(api: httpx.Client, hub: Machines) -> None:
    kept = made(api.post("/Appointment", json=booking(hub)))
    person = next(p for p in TOWN.persons if any(x["actor"].get("reference") == p.reference for x in kept["participant"]))
    ids = lambda answer: [e["resource"]["id"] for e in answer.json().get("entry", ())]
    family = api.get(f"/{person.reference}").json()["name"][0]["family"]
    assert kept["id"] in ids(api.get("/Appointment", params={"patient.family": family}))
    assert kept["id"] in ids(api.get("/Appointment", params={"actor:Patient.name": family}))
    assert ids(api.get("/Appointment", params={"patient.family": "Finnesikke"})) == []
    assert ids(api.post("/Appointment/_search", data={"patient.identifier": f"{FNR}|{person.national_id}"})) == [kept["id"]]
    service = api.get(next(f"/{x['actor']['reference']}" for x in kept["participant"] if "HealthcareService" in x["actor"]["reference"])).json()
    assert kept["id"] in ids(api.get("/Appointment", params={"slot.schedule.actor:HealthcareService.name": service["name"]}))
    assert ids(api.get("/Appointment", params={"slot.schedule.actor:HealthcareService.name": "Finnesikke"})) == []
    assert ids(api.get("/Patient", params={"_has:Appointment:patient:status": kept["status"]})) == [person.reference.partition("/")[2]]
    assert number(api.get("/Patient", params={"_has:Appointment:bogus:status": "x"})) == (400, "BB-403")
    page = api.get("/Appointment", params={"_id": kept["id"], "_include": "Appointment:slot", "_include:iterate": "Slot:schedule"}).json()
    assert {e["resource"]["resourceType"] for e in page["entry"]} == {"Appointment", "Slot", "Schedule"}
    first = api.get("/Slot", params={"_count": "3"}).json()
    links = {link["relation"]: link["url"] for link in first["link"]}
    assert "previous" not in links
    second = api.get(links["next"]).json()
    back = {link["relation"]: link["url"] for link in second["link"]}["previous"]
    before = api.get(back).json()
    assert [e["fullUrl"] for e in before["entry"]] == [e["fullUrl"] for e in first["entry"]]
    assert "previous" not in {link["relation"] for link in before["link"]}
    compartment = api.get(f"/{person.reference}/Appointment")
    assert ids(compartment) == [kept["id"]]
    everything = api.get(f"/{person.reference}/$everything").json()
    assert {"Patient", "Appointment"} <= {e["resource"]["resourceType"] for e in everything["entry"]}


def test_who_has_one_department_learns_nothing_of_others_by_chains(hub: Machines, api: httpx.Client) -> None:
    made(api.post("/Appointment", json=booking(hub)))
    token = hub.ask(scope="system/Appointment.cruds system/Slot.rs").json()["access_token"]
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {token}"}, trust_env=False) as visma:
        assert visma.get("/Appointment", params={"patient.family": "a"}).status_code == 403
        assert visma.get("/Slot", params={"_has:Appointment:slot:patient.family": "a"}).status_code == 403
        assert visma.post("/Device", json=DEVICE).status_code == 403
        answer = visma.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": [entry("POST", "Device", DEVICE), entry("GET", "Patient")]})
        assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["403", "403"]
        assert "entry" not in visma.get("/_history", params={"_count": "5", "_since": "2026-11-27"}).json()
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


@pytest.mark.spec("facts/fhir", "5.4")
def test_what_overlaps_a_time_is_found_also_when_it_began_before(api: httpx.Client, hub: Machines) -> None:
    """R4's `date` is the start alone (medplum#5310): GP Connect's suppliers misread just this."""
    kept = made(api.post("/Appointment", json=booking(hub)))
    inside = datetime.fromisoformat(kept["start"]) + timedelta(minutes=10)
    until = inside + timedelta(minutes=5)
    total = lambda **asked: api.get("/Appointment", params={**asked, "_summary": "count"}).json()["total"]
    assert total(date=[f"ge{inside.isoformat()}", f"lt{until.isoformat()}"]) == 0
    assert total(period=[f"gt{inside.isoformat()}", f"lt{until.isoformat()}"]) == 1
    after = datetime.fromisoformat(kept["end"])
    assert total(period=[f"gt{after.isoformat()}", f"lt{(after + timedelta(minutes=5)).isoformat()}"]) == 0, "it ends where the next begins"
    assert total(**{"requested-period": "ge2026-01-01"}) == 0


@pytest.mark.spec("facts/fhir", "3.publish")
def test_slots_are_published_for_who_polls(api: httpx.Client, hub: Machines) -> None:
    first = api.get("/Slot/$publish")
    slots = [json.loads(line) for line in first.text.splitlines()]
    assert first.headers["content-type"] == "application/fhir+ndjson" and {s["resourceType"] for s in slots} == {"Slot"}
    assert len(slots) == api.get("/Slot", params={"start": f"ge{hub.clock.now.isoformat()}", "_summary": "count"}).json()["total"] > 100
    again = {"if-none-match": first.headers["etag"]}
    assert api.get("/Slot/$publish", headers=again).status_code == 304
    made(api.post("/Appointment", json=booking(hub)))
    assert api.get("/Slot/$publish", headers=again).status_code == 200, "a booking is a change"
    token = hub.ask(scope="system/Slot.rs").json()["access_token"]
    one = httpx.get(f"{hub.url}/fhir/Slot/$publish", headers={"authorization": f"Bearer {token}"}, trust_env=False)
    assert {json.loads(line)["schedule"]["reference"] for line in one.text.splitlines()} == {"Schedule/hjemmesykepleie"}


@pytest.mark.spec("facts/fhir", "1.4.history")
def test_histories_of_a_type_and_of_everything_page_and_begin_where_asked(api: httpx.Client, hub: Machines) -> None:
    kept = [made(api.post("/Device", json=DEVICE)) for _ in range(3)]
    hub.clock.forward(hours=1)
    api.put(f"/Device/{kept[0]['id']}", json={**kept[0], "status": "inactive"})
    every = api.get("/Device/_history", params={"_count": "2"}).json()
    assert [e["resource"]["meta"]["versionId"] for e in every["entry"]] == ["2", "1"]
    following = api.get(next(link["url"] for link in every["link"] if link["relation"] == "next")).json()
    assert len(following["entry"]) == 2 and "next" not in {link["relation"] for link in following["link"]}
    since = hub.clock.now.isoformat()
    assert len(api.get("/_history", params={"_since": since}).json()["entry"]) == 1
    for number_of, device in enumerate(kept, 1):
        assert len(api.get("/Device/_history", params={"_at": device["meta"]["lastUpdated"]}).json()["entry"]) == number_of
    assert number(api.get("/_history", params={"_since": "yesterday"})) == (400, "BB-403")


@pytest.mark.spec("facts/fhir", "1.4.parts")
def test_parts_are_marked_and_keep_what_is_mandatory(api: httpx.Client, hub: Machines) -> None:
    kept = made(api.post("/Appointment", json=booking(hub, comment="Ring på")))
    part = api.get("/Appointment", params={"_id": kept["id"], "_elements": "start"}).json()["entry"][0]["resource"]
    assert {"resourceType", "id", "meta", "status", "participant", "start"} == set(part)
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    summary = api.get(f"/Appointment/{kept['id']}", params={"_summary": "true"}).json()
    assert "status" in summary and "comment" not in summary
    assert number(api.get("/Appointment", params={"_summary": "some"})) == (400, "BB-403")


@pytest.mark.spec("facts/fhir", "1.4.validate")
def test_validate_tells_every_issue_and_stores_nothing(api: httpx.Client) -> None:
    told = api.post("/Device/$validate", json={"resourceType": "Device", "status": "bogus", "x": 1, "identifier": []})
    assert told.status_code == 200 and {i["expression"][0] for i in told.json()["issue"]} == {"Device.status", "Device.x", "Device.identifier"}
    assert number(api.post("/Device/$validate", json={"resourceType": "Parameters", "parameter": 1})) == (422, "BB-201")
    fine = api.post("/Device/$validate", json={"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": DEVICE}]})
    assert fine.json()["issue"][0]["severity"] == "information"
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


@pytest.mark.spec("facts/fhir", "1.4.capabilities")
def test_the_capability_statement_claims_what_the_server_does(api: httpx.Client) -> None:
    """Each type: what is claimed is a method of its address, what is not claimed is none, and is answered 405 (404 where nothing is there)."""
    statement = api.get("/metadata").json()
    assert {i["code"] for i in statement["rest"][0]["interaction"]} == {"transaction", "batch", "history-system"}
    for row in statement["rest"][0]["resource"]:
        type_, codes = row["type"], {i["code"] for i in row["interaction"]}
        tried = {
            "read": api.get(f"/{type_}/none"), "vread": api.get(f"/{type_}/none/_history/1"), "history-instance": api.get(f"/{type_}/none/_history"),
            "history-type": api.get(f"/{type_}/_history?_count=1"), "search-type": api.get(f"/{type_}?_count=1"),
            "create": api.post(f"/{type_}", json={}), "update": api.put(f"/{type_}/none", json={}),
            "patch": api.patch(f"/{type_}/none", json={}), "delete": api.delete(f"/{type_}/none"),
        }
        for code, answer in tried.items():
            methods = api.options(answer.request.url).headers.get("allow", "").split(", ")
            assert (answer.request.method in methods) is (code in codes), (type_, code, methods)
            assert answer.status_code < 500 and (code in codes or answer.status_code in (404, 405)) and (code not in codes or answer.status_code != 405)
        instance = ("everything", "events")  # operations of one resource, here of one that is not there
        for operation in row["operation"]:
            path = f"/{type_}/none/${operation['name']}" if operation["name"] in instance else f"/{type_}/${operation['name']}"
            answer = api.get(path) if operation["name"] in ("everything", "publish") else api.post(path, json={})
            assert answer.status_code not in (405, 500) and (answer.status_code != 404 or operation["name"] in (*instance, "cancel")), path
        for code in row.get("searchRevInclude", ()):
            assert api.get(f"/{type_}", params={"_revinclude": code, "_count": "1"}).status_code == 200


@pytest.mark.spec("facts/fhir", "1.2")
def test_an_answer_is_said_of_the_participant_who_gave_it(api: httpx.Client, hub: Machines) -> None:
    """AppointmentResponse drives Appointment.participant.status; who takes no part in it has no answer to give."""
    kept = made(api.post("/Appointment", json=booking(hub)))
    person = kept["participant"][0]["actor"]["reference"]
    answer = {"resourceType": "AppointmentResponse", "appointment": {"reference": f"Appointment/{kept['id']}"}, "actor": {"reference": person}}
    stranger = next(each.reference for each in TOWN.persons if each.reference != person)
    assert number(api.post("/AppointmentResponse", json={**answer, "actor": {"reference": stranger}, "participantStatus": "declined"})) == (422, "BB-201")
    for status, after in (("tentative", kept["status"]), ("accepted", kept["status"]), ("declined", "cancelled")):
        made(api.post("/AppointmentResponse", json={**answer, "participantStatus": status}))
        now = api.get(f"/Appointment/{kept['id']}").json()
        assert (now["status"], now["participant"][0]["status"], now["participant"][1]) == (after, status, kept["participant"][1])


def test_an_answer_names_its_appointment_by_reference_or_identifier_and_one_that_is_not_there_is_422(api: httpx.Client, hub: Machines) -> None:
    """R4 http.html#create: 404 says that there is no such address. What the body names and is not there is told by its place."""
    kept = made(api.post("/Appointment", json=booking(hub)))
    own = kept["identifier"][0]
    answer = {"resourceType": "AppointmentResponse", "actor": kept["participant"][0]["actor"], "participantStatus": "tentative"}
    for appointment in (
        {"reference": "Appointment/none"}, {"reference": "https://elsewhere.example/fhir/Appointment/" + kept["id"]}, {"display": "the one at nine"},
        {"identifier": {**own, "value": "other"}}, {"reference": "Appointment/none", "identifier": own},
    ):
        lost = api.post("/AppointmentResponse", json={**answer, "appointment": appointment})
        assert number(lost) == (422, "BB-206"), appointment
        assert (lost.json()["issue"][0]["code"], lost.json()["issue"][0]["expression"]) == ("not-found", ["AppointmentResponse.appointment"])
    for appointment in ({"reference": f"Appointment/{kept['id']}/_history/1"}, {"identifier": own}):
        made(api.post("/AppointmentResponse", json={**answer, "appointment": appointment}))


def test_slots_that_are_not_of_the_times_are_refused(api: httpx.Client, hub: Machines) -> None:
    """They were dropped in silence, and other ones taken."""
    asked = booking(hub)
    for answer in (
        api.post("/Appointment", json={**asked, "slot": [{"reference": "Slot/none"}]}), api.post("/Appointment/$book", json={**asked, "slot": [{"reference": "Slot/none"}]}),
        api.post("/Appointment/$hold", json={**asked, "slot": [{"reference": "Slot/none"}]}),
    ):
        assert number(answer) == (422, "BB-307") and answer.json()["issue"][0]["expression"] == ["Appointment.slot"]
    kept = made(api.post("/Appointment", json=asked))
    assert kept["slot"], "nothing of what was refused had taken the time"


def test_find_takes_dates(api: httpx.Client) -> None:
    """R4's dateTime may be a date; a day is Norway's."""
    days, hours = ("2026-11-27", "2026-11-27"), ("2026-11-27T00:00:00+01:00", "2026-11-28T00:00:00+01:00")
    found = [api.get("/Appointment/$find", params={"start": start, "end": end, "_count": "100"}).json() for start, end in (days, hours)]
    assert found[0]["entry"] == found[1]["entry"] and found[0]["total"] == found[1]["total"] > 0
    assert api.get("/Appointment/$find", params={"start": "2026-13-01", "end": "2026-12-01"}).status_code == 422


@pytest.mark.parametrize("modifier", [
    {"modifierExtension": [{"url": "http://x.example/not-really", "valueBoolean": True}]}, {"implicitRules": "http://x.example/rules"},
])
def test_what_would_change_the_meaning_of_a_booking_or_a_decision_is_refused(api: httpx.Client, hub: Machines, modifier: dict[str, Any]) -> None:
    """R4 extensibility.html#modifierExtension: who does not understand it must not act on it. The booking was made, and the EPJ was told without it. A record
    that no rule reads is kept as it came."""
    asked = booking(hub)
    participant = [{**asked["participant"][0], "modifierExtension": [{"url": "http://x.example/not", "valueBoolean": True}]}, *asked["participant"][1:]]
    for body in ({**asked, **modifier}, {**asked, "participant": participant}):
        refused = api.post("/Appointment", json=body)
        assert refused.status_code == 422 and [issue["code"] for issue in refused.json()["issue"]] == ["extension"], refused.text
        assert api.post("/Appointment/$hold", json=body).status_code == api.post("/Appointment/$book", json=body).status_code == 422
    decision = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": asked["participant"][0]["actor"]}
    assert number(api.post("/ServiceRequest", json={**decision, **modifier})) == (422, "BB-201")
    assert number(api.post("/ServiceRequest", json={**decision, "orderDetail": [{"text": "x"}], "code": {"text": "x"}} | modifier)) == (422, "BB-201")
    assert made(api.post("/Device", json={**DEVICE, **modifier})).items() >= modifier.items()
    made(api.post("/Appointment", json=asked))


def test_a_strict_history_refuses_what_it_does_not_know(api: httpx.Client) -> None:
    """`Prefer: handling=strict` was for searches alone: `_sort` was overlooked here, and the order another than the one asked for."""
    for path in ("/_history", "/Slot/_history"):
        assert number(api.get(path, params={"_sort": "_lastUpdated"}, headers={"prefer": "handling=strict"})) == (400, "BB-403")
        assert api.get(path, params={"_count": "1", "_format": "json", "_since": "2026-01-01"}, headers={"prefer": "handling=strict"}).status_code == 200
