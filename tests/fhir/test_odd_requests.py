"""Odd but legal requests as other FHIR clients send them, and what only looks legal: right answers, never a 5xx, on both databases."""

from __future__ import annotations

import json
import random
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

JSON = {"content-type": "application/fhir+json"}
PATIENT = TOWN.persons[0].reference
APPOINTMENT = {
    "resourceType": "Appointment", "id": "odd", "status": "booked", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z",
    "participant": [{"actor": {"reference": PATIENT}, "status": "accepted"}, {"actor": {"reference": "HealthcareService/dagsenter"}, "status": "accepted"}],
}
DEVICE = {"resourceType": "Device", "status": "active"}


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000) as made:
        made.parts.store.write(lambda tx: tx.keep(APPOINTMENT, origin="test"))
        yield made


def found(answer: httpx.Response, mode: str = "match") -> list[str]:
    assert answer.status_code == 200, answer.text
    return [f"{e['resource']['resourceType']}/{e['resource'].get('id', '')}" for e in answer.json().get("entry", ()) if e["search"]["mode"] == mode]


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def test_a_reference_is_ours_by_our_own_address_and_nobody_elses(api: httpx.Client, hub: Machines) -> None:
    id_ = PATIENT.partition("/")[2]
    for value in (PATIENT, id_, f"{hub.url}/fhir/{PATIENT}", f"{PATIENT}/_history/1"):
        assert found(api.get("/Appointment", params={"patient": value})) == ["Appointment/odd"], value
        assert found(api.post("/Appointment/_search", data={"patient": value})) == ["Appointment/odd"], value
    for value in (f"http://other.example/fhir/{PATIENT}", f"{hub.url}/other/{PATIENT}", "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01"):
        assert found(api.get("/Appointment", params={"patient": value})) == [], value
    assert found(api.get("/Appointment", params={"patient": f"http://other.example/fhir/Patient/x,{hub.url}/fhir/{PATIENT}"})) == ["Appointment/odd"]
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": PATIENT}}
    same = {**JSON, "if-none-exist": f"patient={hub.url}/fhir/{PATIENT}"}
    assert [api.post("/Task", json=task, headers=same).status_code for _ in range(2)] == [201, 200], "in a condition too"


@pytest.mark.spec("facts/fhir", "1.4.entries")
def test_a_star_includes_every_reference(api: httpx.Client) -> None:
    for star in ("*", "Appointment:*"):
        assert set(found(api.get("/Appointment", params={"_include": star}), "include")) == {PATIENT, "HealthcareService/dagsenter"}, star
    assert found(api.get("/Appointment", params={"_include": "Appointment:*:Patient"}), "include") == [PATIENT]
    assert "Slot/" in str(found(api.get("/Schedule", params={"_revinclude": "Slot:*", "_count": "1"}), "include"))
    for wrong in ({"_revinclude": "*"}, {"_include": "Bogus:*"}, {"_include": "Appointment:status"}):
        assert number(api.get("/Appointment", params=wrong)) == (400, "BB-403")


def test_what_no_database_reads_is_refused(api: httpx.Client) -> None:
    for params in ([("status", "booked")] * 51, [("status", ",".join(["booked"] * 501))], [("status", "a\0b")], [("patient.family", "a\0")],
                   [("identifier", "a|\0")], [("_id", "\0")]):
        assert number(api.get("/Appointment", params=params)) == (400, "BB-403"), params
    form = "&".join(["status=booked"] * 4000).encode()
    assert number(api.post("/Appointment/_search", content=form, headers={"content-type": "application/x-www-form-urlencoded"})) == (400, "BB-403")
    assert found(api.get("/Appointment", params=[("status", ",".join(["booked"] * 400))])) == ["Appointment/odd"]
    assert found(api.get("/Appointment", params=[("status", "booked")] * 40)) == ["Appointment/odd"]


def test_a_text_that_is_no_text_is_refused_and_not_kept(api: httpx.Client) -> None:
    for text in (r"a\u0000b", r"\u001f", r"\b", r"\f", r"\ud800", r"\udc00\ud800", r"\u000B"):
        device = b'{"resourceType": "Device", "status": "active", "lotNumber": "%s"}' % text.encode()
        assert number(api.post("/Device", content=device, headers=JSON)) == (400, "BB-101"), text
        entry = b'{"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "POST", "url": "Device"}, "resource": %s}]}' % device
        assert number(api.post("/", content=entry, headers=JSON)) == (400, "BB-101"), text
    for sent, kept in ((r"\ud83d\ude00", "\U0001f600"), (r"C:\\bin\\u0000", "C:\\bin\\u0000"), (r"a\tb\r\nc", "a\tb\r\nc"), (r"\u00e6", "æ")):
        body = b'\xef\xbb\xbf{"resourceType": "Device", "status": "active", "lotNumber": "%s"}' % sent.encode()
        answer = api.post("/Device", content=body, headers=JSON)
        assert answer.status_code == 201 and answer.json()["lotNumber"] == kept, "it only looks so"


@pytest.mark.spec("facts/fhir", "1.4.ifmatch")
def test_conditions_of_http_hold_on_writes(api: httpx.Client) -> None:
    def put(**headers: str) -> int:
        return api.put("/Device/own", json={**DEVICE, "id": "own", "lotNumber": str(len(headers))}, headers={**JSON, **headers}).status_code

    assert put(**{"if-match": "*"}) == 412, "there is none to match"
    assert [put(**{"if-none-match": "*"}) for _ in range(2)] == [201, 412], "made once, and not overwritten"
    assert put(**{"if-match": "*"}) == put(**{"if-match": 'W/"1"'}) == 200
    assert api.delete("/Device/own").status_code == 204
    assert put(**{"if-match": "*"}) == 412 and put(**{"if-none-match": "*"}) == 201


@pytest.mark.spec("facts/fhir", "1.4.ifmatch")
def test_tags_come_in_lists_weak_and_strong(api: httpx.Client) -> None:
    """RFC 9110 13.1: any of a list; who calls our weak tags strong means the same version; what is no tag of ours matches none."""
    def put(name: str, tags: str) -> int:
        body = {**DEVICE, "id": "own", "lotNumber": tags[:200]}
        return api.put("/Device/own", json=body, headers={**JSON, name: tags}).status_code

    assert put("if-none-match", 'W/"1", "2"') == 201, "there is none"
    for wrong in ('W/"2"', '"2", W/"3"', '"abc"', "1", 'W/"11"', '""', 'W/"0001"'):
        assert put("if-match", wrong) == 412, wrong
    assert [put("if-match", tags) for tags in ('W/"7", W/"1"', '"2"', '"x" ,"3","9"', "*")] == [200] * 4
    assert put("if-none-match", 'W/"9", "5"') == 412 and put("if-none-match", '"4"') == 200
    for tags, status in (('W/"6"', 304), ('"6"', 304), ('"1", W/"6"', 304), ("*", 304), ('"5"', 200), ("6", 200)):
        assert api.get("/Device/own", headers={"if-none-match": tags}).status_code == status, tags
    patch = {"content-type": "application/merge-patch+json"}
    assert api.patch("/Device/own", content=b'{"lotNumber": "p"}', headers={**patch, "if-match": '"1", "5"'}).status_code == 412
    assert api.patch("/Device/own", content=b'{"lotNumber": "p"}', headers={**patch, "if-match": '"6", "5"'}).status_code == 200
    assert api.put("/Appointment/odd", json=APPOINTMENT, headers={**JSON, "if-match": '"8", "9"'}).status_code == 412
    for tags, status in (('W/"99"', 412), ('"2", "3"', 412), ("*", 200)):
        assert api.post("/Appointment/odd/$cancel", headers={"if-match": tags}).status_code == status, tags
    assert api.delete("/Device/own", headers={"if-match": '"1", "6"'}).status_code == 412
    assert api.delete("/Device/own", headers={"if-match": '"1", "7"'}).status_code == 204
    etag = api.get("/metadata").headers["etag"]
    assert api.get("/metadata", headers={"if-none-match": f'"x", {etag.removeprefix("W/")}'}).status_code == 304


@pytest.mark.spec("facts/fhir", "1.4.prefer")
def test_prefer_is_read_as_rfc_7240_writes_it(api: httpx.Client) -> None:
    for prefer, status in (
        ("handling=strict", 400), ("Handling=Strict", 400), ('handling="strict"', 400), ("return=minimal; handling = strict", 400),
        ("handling=lenient", 200), ("handling=bogus", 200),
    ):
        assert api.get("/Appointment?bogus=1", headers={"prefer": prefer}).status_code == status, prefer
        assert api.get(f"/{PATIENT}/$everything?bogus=1", headers={"prefer": prefer}).status_code == status, prefer


def test_everything_is_narrowed_by_type_and_tells_what_it_ignores(api: httpx.Client) -> None:
    whole, some = api.get(f"/{PATIENT}/$everything"), api.get(f"/{PATIENT}/$everything?_type=Appointment,Task&start=2026-01-01")
    assert PATIENT in found(whole) and "Appointment/odd" in found(whole)
    assert found(some) == ["Appointment/odd"] and found(some, "outcome") and "start" in some.text and "_type=Appointment,Task" in some.text
    assert not found(whole, "outcome")


@pytest.mark.spec("facts/fhir", "1.4.transport")
def test_a_search_by_post_joins_query_and_body(api: httpx.Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}

    def search(query: str, body: bytes) -> dict[str, Any]:
        answer = api.post(f"/Appointment/_search{query}", content=body, headers=form)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    assert len(search("?status=booked", b"_count=1&_total=accurate")["entry"]) == 1
    assert search("?status=booked", b"status=pending&_total=accurate")["total"] == 0, "both must hold"
    assert api.post("/Appointment/_search?status=booked").status_code == 200, "a body is not needed"


def test_an_exotic_client_is_served(api: httpx.Client) -> None:
    """As HAPI's client asks: its own Accept list, _format and _pretty, a gzip answer if there were one, a trailing slash."""
    accept = "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, application/xml+fhir;q=0.9, application/json+fhir;q=0.9"
    hapi = {"accept": accept, "accept-charset": "utf-8", "accept-encoding": "gzip", "user-agent": "HAPI-FHIR/6.0 (FHIR Client; FHIR 4.0.1/R4; apache)"}
    assert api.get("/Appointment/odd?_format=json&_pretty=true", headers=hapi).json()["id"] == "odd"
    assert "<Appointment" in api.get("/Appointment/odd/", headers=hapi).text
    count = api.get("/Appointment?_summary=count&_format=json", headers=hapi).json()
    assert count["type"] == "searchset" and count["total"] == 1 and "entry" not in count
    chunked = api.post("/Device", content=iter([b'{"resourceType": "Device",', b' "status": "active"}']), headers={**hapi, **JSON})
    assert chunked.status_code == 201 and "<Device" in chunked.text
    assert json.loads(api.get("/metadata/?_format=json", headers=hapi).content)["fhirVersion"] == "4.0.1"


def test_who_is_dead_and_who_is_not(api: httpx.Client) -> None:
    """R4: `Patient.deceased.exists() and Patient.deceased != false`, so that who says nothing is not dead."""
    said: dict[str, dict[str, Any]] = {"d-time": {"deceasedDateTime": "2020-01-01"}, "d-yes": {"deceasedBoolean": True}, "d-no": {"deceasedBoolean": False}, "d-not": {}}
    for id_, more in said.items():
        assert api.put(f"/Patient/{id_}", json={"resourceType": "Patient", "id": id_, "active": True, **more}, headers=JSON).status_code == 201
    dead, alive = {"Patient/d-time", "Patient/d-yes"}, {"Patient/d-no", "Patient/d-not"}
    booleans = "http://terminology.hl7.org/CodeSystem/special-values"
    for asked, wanted in (({"deceased": "true"}, dead), ({"deceased": "false"}, alive), ({"deceased:not": "true"}, alive), ({"deceased:not": "false"}, dead),
                          ({"deceased": "true,false"}, dead | alive), ({"deceased": f"{booleans}|false"}, alive), ({"active": f"{booleans}|true"}, dead | alive)):
        assert set(found(api.get("/Patient", params={"_id": ",".join(said), **asked}))) == wanted, asked


def test_a_form_names_the_format(api: httpx.Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert "<Bundle" in api.post("/Appointment/_search", content=b"_id=odd&_format=xml", headers=form).text
    assert number(api.post("/Appointment/_search", content=b"_id=odd&_format=html", headers=form)) == (406, "BB-404")


@pytest.mark.parametrize("bundle", [
    {"entry": {}}, {"entry": [None]}, {"entry": [{}]}, {"bogus": 1}, {"entry": [{"request": {"method": ["GET"], "url": "Device"}}]},
    {"entry": [{"request": {"method": "GET", "url": 5}}]}, {"entry": [{"request": {"method": "GET", "url": "Device", "ifMatch": 5}}]},
    {"entry": [{"fullUrl": 5, "request": {"method": "POST", "url": "Device"}, "resource": DEVICE}]},
    {"entry": [{"fullUrl": "a b", "request": {"method": "POST", "url": "Device"}, "resource": DEVICE}]},
    {"entry": [{"request": {"method": "PATCH", "url": "Device/x"}, "resource": {"resourceType": "Binary", "contentType": "text/plain", "data": "!"}}]},
])
@pytest.mark.spec("facts/fhir", "1.1.bundle")
def test_a_bundle_that_is_none_is_refused_whole(api: httpx.Client, bundle: dict[str, Any]) -> None:
    for kind in ("batch", "transaction"):
        refused = api.post("/", json={"resourceType": "Bundle", "type": kind, **bundle}, headers=JSON)
        assert refused.status_code == 422 and refused.json()["issue"][0]["expression"][0].startswith("Bundle."), refused.text
    assert api.get("/Device?_summary=count").json()["total"] == 0


def test_a_condition_is_no_reference_outside_of_a_transaction(api: httpx.Client) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": f"Patient?_id={PATIENT.partition('/')[2]}"}}
    assert number(api.post("/Task", json=task, headers=JSON)) == (422, "BB-201")
    entry = {"request": {"method": "POST", "url": "Task"}, "resource": task}
    done = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, headers=JSON).json()
    assert done["entry"][0]["resource"]["for"]["reference"] == PATIENT
    task["for"] = {"reference": "Patient?"}
    refused = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, headers=JSON)
    assert number(refused) == (400, "BB-403") and refused.json()["issue"][0]["expression"] == ["Bundle.entry[0]"]


def test_a_fhirpath_patch_deletes_one_element_and_leaves_nothing_empty(api: httpx.Client) -> None:
    identifiers = [{"system": "urn:a", "value": "1"}, {"system": "urn:b", "value": "2"}]

    def patched(path: str, kind: str = "delete", parts: Any = (), **changes: Any) -> httpx.Response:
        made = api.post("/Device", json={**DEVICE, "identifier": identifiers, "note": [{"text": "n"}], **changes}, headers=JSON).json()["id"]
        operation = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}, *parts]
        return api.patch(f"/Device/{made}", json={"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}, headers=JSON)

    assert number(patched("Device.identifier")) == (422, "BB-409"), "two at once"
    assert "note" not in patched("Device.note").json() and "note" not in patched("Device.note[0]").json()
    assert "owner" not in patched("Device.owner.reference", owner={"reference": "Organization/x"}).json()
    assert patched("Device.note", "replace", [{"name": "value", "valueAnnotation": {"text": "m"}}]).json()["note"] == [{"text": "m"}]
    assert number(patched("Device..note")) == (422, "BB-409")
    assert number(patched("Device.note", parts=[{"name": 5}])) == (422, "BB-201"), "Parameters are looked at before they are used"
    for body in (b'{"resourceType": "Parameters", "parameter": 5}', b'{"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [5]}]}'):
        made = api.post("/Device", json=DEVICE, headers=JSON).json()["id"]
        assert number(api.patch(f"/Device/{made}", content=body, headers=JSON)) == (422, "BB-201")
        cut = api.patch(f"/Device/{made}", content=b'[],"x":[]', headers={"content-type": "application/json-patch+json"})
        assert number(cut) == (422, "BB-409"), "two values are no JSON"


def test_a_schema_location_says_nothing(api: httpx.Client) -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../fhir-all.xsd"'
    body = f'<Device xmlns="http://hl7.org/fhir" {xsi}><status value="active"/></Device>'
    assert api.post("/Device", content=body, headers={"content-type": "application/fhir+xml"}).status_code == 201


@pytest.mark.parametrize(("path", "body", "told"), [
    ("/Appointment", '{"resourceType": "Appointment", "status": "proposed", "participant": [{"status": "accepted", "actor": {"reference": 5}}]}', (422, "BB-201")),
    ("/Appointment/$book", """{"resourceType": "Parameters", "parameter": [{"name": "patient-reference", "valueReference": {"reference": "Patient/x"}},
      {"name": "appt-resource", "resource": {"resourceType": "Appointment", "participant": ["x", {"actor": "x"}]}}]}""", (422, "BB-201")),
    ("/", """{"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "POST", "url": "Device"},
      "resource": {"resourceType": "Device", "lotNumber": 1000000000000000000000000000000}}]}""", (422, "BB-201")),
    ("/", """{"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "POST", "url": "Appointment"},
      "resource": {"resourceType": "Appointment", "identifier": ["x"]}}]}""", (422, "BB-201")),
    ("/Subscription", """{"resourceType": "Subscription", "status": "requested", "reason": "x", "_criteria": {"extension": [{"url": "http://x", "valueCode": "y"}]},
      "channel": {"type": "rest-hook"}}""", (422, "BB-201")),
])
def test_what_a_fuzzer_found_is_refused_in_words(api: httpx.Client, path: str, body: str, told: tuple[int, str]) -> None:
    """Each was an error of the hub's own: what was dug in before it was looked at."""
    assert number(api.post(path, content=body.encode(), headers=JSON)) == told


def test_a_long_value_is_kept_and_found_by_all_of_it(api: httpx.Client) -> None:
    """No row of PostgreSQL's indexes holds more than 2,704 bytes: such a resource was refused for good, as if the database were down."""
    for size in (150, 900, 3000, 100_000):
        chance = random.Random(size)
        long = "".join(chance.choice(string.ascii_letters) for _ in range(size))
        person = {"resourceType": "Patient", "name": [{"family": long}], "identifier": [{"system": f"urn:{long}", "value": long}]}
        there = {"reference": f"http://x.example/{long}"}
        flag = {"resourceType": "Flag", "status": "active", "code": {"coding": [{"system": "urn:x", "code": long}]}, "subject": there}
        device = {**DEVICE, "url": f"http://x.example/{long}", "meta": {"tag": [{"system": "urn:x", "code": long}]}}
        made = {r["resourceType"]: api.post(f"/{r['resourceType']}", json=r, headers=JSON) for r in (person, flag, device)}
        assert [answer.status_code for answer in made.values()] == [201] * 3, size
        for type_, name, value in (
            ("Patient", "family", long), ("Patient", "family:exact", long), ("Patient", "identifier", f"urn:{long}|{long}"),
            ("Flag", "subject", f"http://x.example/{long}"), ("Device", "url", f"http://x.example/{long}"), ("Device", "_tag", f"urn:x|{long}"),
        ) if size <= 3000 else ():  # what a form holds
            assert found(api.post(f"/{type_}/_search", data={name: value})) == [f"{type_}/{made[type_].json()['id']}"], (size, name)
            if name != "family":  # a text is compared by its first 200 characters
                assert found(api.post(f"/{type_}/_search", data={name: f"{value}x"})) == [], (size, name)


def test_exact_is_exact(api: httpx.Client) -> None:
    """R4: with case and accents."""
    id_ = api.post("/Patient", json={"resourceType": "Patient", "name": [{"family": "Ås", "given": ["Per", "Åge"]}]}, headers=JSON).json()["id"]
    for name, value, is_there in (("family", "Ås", True), ("family", "ås", False), ("family", "As", False), ("given", "Åge", True), ("given", "Åg", False),
                                  ("name", "Ås", True), ("name", "per", False), ("name", "per,Per", True)):
        assert (found(api.get("/Patient", params={"_id": id_, f"{name}:exact": value})) == [f"Patient/{id_}"]) is is_there, (name, value)
