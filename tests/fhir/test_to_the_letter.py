"""What a vendor's tester would try R4's own words on: each was once answered otherwise. Over HTTP on both databases, and pure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN

from hub.fhir import definitions, strict_json
from hub.fhir.validate import check
from hub.fhir.xml import from_xml, to_xml
from hub.problem import Problem, Refused

D = definitions.load()
JSON = {"content-type": "application/fhir+json"}
XML = {"content-type": "application/fhir+xml", "accept": "application/fhir+json"}
NS, XHTML = 'xmlns="http://hl7.org/fhir"', 'xmlns="http://www.w3.org/1999/xhtml"'
DEVICE: dict[str, Any] = {"resourceType": "Device", "status": "active"}
BASIC: dict[str, Any] = {"resourceType": "Basic", "code": {"text": "x"}}
PATIENT = TOWN.persons[0].reference


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def put(api: httpx.Client, resource: dict[str, Any]) -> str:
    answer = api.put(f"/{resource['resourceType']}/{resource['id']}", json=resource, headers=JSON)
    assert answer.status_code in (200, 201), answer.text
    return str(resource["id"])


def found(api: httpx.Client, address: str, **params: str) -> set[str]:
    answer = api.get(address, params=params)
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", ()) if e["search"]["mode"] == "match"}


@pytest.mark.spec("facts/fhir", "1.4.status")
def test_what_goes_to_another_address_is_400(api: httpx.Client) -> None:
    """R4 3.1.0.7: no id, or another than in the address, is 400; so is another type, and the id of another than the condition finds (3.1.0.7.1)."""
    put(api, {**DEVICE, "id": "one", "identifier": [{"system": "urn:x", "value": "1"}]})
    for body in (DEVICE, {**DEVICE, "id": "two"}, {**BASIC, "id": "one"}):
        assert number(api.put("/Device/one", json=body, headers=JSON)) == (400, "BB-431")
    assert number(api.put("/Device?identifier=urn:x|1", json={**DEVICE, "id": "two"}, headers=JSON)) == (400, "BB-431")
    assert number(api.post("/Device", json=BASIC, headers=JSON)) == (400, "BB-431")


def test_a_put_makes_no_booking(api: httpx.Client) -> None:
    """R4 3.1.0.7: 405 where there was none and ids are not the client's to choose, as `updateCreate` says."""
    booking = {"resourceType": "Appointment", "id": "mine", "status": "booked", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z",
               "participant": [{"actor": {"reference": PATIENT}, "status": "accepted"}]}
    assert number(api.put("/Appointment/mine", json=booking, headers=JSON)) == (405, "BB-408")
    assert number(api.put("/Appointment?identifier=urn:x|1", json=booking, headers=JSON)) == (405, "BB-408")
    statement = {row["type"]: row for row in api.get("/metadata").json()["rest"][0]["resource"]}
    assert not statement["Appointment"]["updateCreate"] and statement["Device"]["updateCreate"]


@pytest.mark.spec("facts/fhir", "1.4.unknown")
def test_what_a_search_ignored_is_no_error(api: httpx.Client) -> None:
    """R4 3.1.1.5.12: an OperationOutcome in a searchset holds neither errors nor fatal ones."""
    for address in ("/Device?bogus=1", f"/{PATIENT}/$everything?bogus=1", "/ValueSet?bogus=1"):
        issues = [i for e in api.get(address).json()["entry"] if e["search"]["mode"] == "outcome" for i in e["resource"]["issue"]]
        assert [issue["severity"] for issue in issues] == ["warning"], address


def test_an_entry_of_a_batch_is_read_when_it_changed(api: httpx.Client) -> None:
    """`ifModifiedSince` is an instant, not a header's date; and a fullUrl names no version (bdl-8)."""
    put(api, {**DEVICE, "id": "one"})

    def read(**request: str) -> str:
        entry = {"request": {"method": "GET", "url": "Device/one", **request}}
        answer = api.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]}, headers=JSON).json()
        return str(answer["entry"][0]["response"]["status"][:3])

    assert [read(ifModifiedSince=at) for at in ("2030-01-01T00:00:00Z", "2020-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z")] == ["304", "200", "200"]
    assert [read(ifNoneMatch=tag) for tag in ('W/"1"', 'W/"2"')] == ["304", "200"]
    entry = {"fullUrl": "http://x.example/Device/1/_history/2", "request": {"method": "POST", "url": "Device"}, "resource": DEVICE}
    assert number(api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, headers=JSON)) == (422, "BB-201")


@pytest.mark.spec("facts/fhir", "1.1.references")
def test_a_contained_resource_may_refer_to_the_one_it_is_in() -> None:
    """dom-3 of 4.0.1: it is referred to (by a reference, canonical, uri or url), or refers to its container by `#`; else nobody needs it."""
    inner = {"resourceType": "Task", "id": "in", "status": "requested", "intent": "order"}
    outer = {**BASIC, "id": "b"}
    for right in (
        {**outer, "contained": [{**inner, "focus": {"reference": "#"}}]}, {**outer, "contained": [inner], "subject": {"reference": "#in"}},
        {**outer, "contained": [inner], "extension": [{"url": "http://x.example", "valueCanonical": "#in"}]},
    ):
        assert check(right, D) == [], right
    assert [issue.rule for issue in check({**outer, "contained": [inner]}, D)] == ["dom-3"]
    assert [issue.rule for issue in check({**outer, "subject": {"reference": "#gone"}}, D)] == ["ref-1"]


@pytest.mark.parametrize("text", [r"\ufffe", r"\uFFFF", "\ufffe", "a\uffffb"])
def test_what_no_xml_can_hold_is_no_text(text: str) -> None:
    """It was kept, and reading it as XML was then an error of the hub's own."""
    with pytest.raises(Refused) as refused:
        strict_json.load(b'{"resourceType": "Basic", "code": {"text": "%s"}}' % text.encode())
    assert refused.value.problem is Problem.UNREADABLE


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=50).filter(lambda t: t.strip()))
def test_every_text_that_is_kept_comes_back_from_xml(text: str) -> None:
    sent = json.dumps({"resourceType": "Basic", "id": "b", "code": {"text": text}}).encode()
    try:
        kept = strict_json.load(sent)
    except Refused:
        assert any(c < " " and c not in "\t\n\r" for c in text), "nothing but a control character is refused"
        return
    assert from_xml(to_xml(kept, D), D) == kept


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).filter(lambda digits: digits != "-0"))
def test_every_decimal_that_is_kept_comes_back_from_xml_with_its_digits(digits: str) -> None:
    """By its text: 1.00 is not 1.0, nor is 1e3 1000."""
    start = b'{"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "extension": [{"url": "http://x.example", "valueDecimal": '
    sent = start + digits.encode() + b"}]}"
    try:
        kept = strict_json.load(sent)
    except Refused:
        return
    if check(kept, D):
        return
    assert f'"valueDecimal":{digits}' in strict_json.dump(from_xml(to_xml(kept, D), D)).decode()


def test_a_decimal_in_xml_is_too_large_in_words(api: httpx.Client) -> None:
    """It was an error of the hub's own."""
    body = f'<Basic {NS}><extension url="http://x.example"><valueDecimal value="1e400"/></extension><code><text value="x"/></code></Basic>'
    assert number(api.post("/Basic", content=body.encode(), headers=XML)) == (422, "BB-201")


@pytest.mark.parametrize(("head", "div"), [
    ('f:Basic xmlns:f="http://hl7.org/fhir"', f"<div {XHTML}>a <b>c</b></div>"), (f'Basic {NS} xmlns:z="urn:z"', f"<div {XHTML}>a <b>c</b></div>"),
])
@pytest.mark.spec("facts/fhir", "1.1.narrative")
def test_a_narrative_is_itself_whatever_is_declared_around_it(head: str, div: str) -> None:
    """The prefixes of the document are not the narrative's: it came back with them."""
    p = "f:" if head.startswith("f:") else ""
    body = f'<{head}><{p}text><{p}status value="generated"/>{div}</{p}text><{p}code><{p}text value="x"/></{p}code></{head.partition(" ")[0]}>'
    assert from_xml(body.encode(), D)["text"]["div"] == div


@pytest.mark.spec("facts/fhir", "1.4.modifiers")
def test_missing_is_what_has_no_element_at_all(api: httpx.Client) -> None:
    """R4 3.1.1.4.4: a reference by its identifier, to what is contained or in words alone is there, and so is a code in words."""
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}}
    by = {
        "logical": {"identifier": {"system": "urn:x", "value": "1"}, "type": "Patient"}, "literal": {"reference": PATIENT}, "worded": {"display": "Kari"},
    }
    for id_, subject in by.items():
        put(api, {**flag, "id": id_, "subject": subject})
    inner = {"resourceType": "Practitioner", "id": "p"}
    put(api, {**flag, "id": "contained", "subject": {"reference": PATIENT}, "contained": [inner], "author": {"reference": "#p"}})
    assert found(api, "/Flag", **{"subject:missing": "false"}) == {*by, "contained"} and found(api, "/Flag", **{"subject:missing": "true"}) == set()
    assert found(api, "/Flag", **{"author:missing": "false"}) == {"contained"} and found(api, "/Flag", **{"author:missing": "true"}) == set(by)
    for id_, more in (("said", {"type": [{"text": "Trapp"}]}), ("coded", {"type": [{"coding": [{"code": "a"}]}]}), ("nothing", {})):
        put(api, {"resourceType": "Location", "id": id_, "name": "Her", **more})
    assert found(api, "/Location", **{"type:missing": "false", "name": "Her"}) == {"said", "coded"}
    assert found(api, "/Location", **{"type:missing": "true", "name": "Her"}) == {"nothing"}


def test_a_type_that_is_not_served_may_still_be_asked_for(api: httpx.Client) -> None:
    """A Flag's subject may be a Group; that we keep none is no error. An Endpoint it cannot be."""
    assert found(api, "/Flag", **{"subject:Group": "g"}) == set()
    assert api.get("/Flag", params={"subject:Endpoint": "e"}).status_code == 400


@pytest.mark.spec("facts/fhir", "1.1.references")
def test_any_resource_type_may_be_contained() -> None:
    """R4 2.23: also one that is not served, judged by its own definition; in XML as in JSON. On its own it is refused as before."""
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": PATIENT}, "stage": [{"summary": {"text": "II"}}], "onsetAge": {"value": 80, "system": "http://unitsofmeasure.org", "code": "a"}}
    flag = {"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "x"}, "subject": {"reference": PATIENT},
            "extension": [{"url": "http://x.example", "valueReference": {"reference": "#c"}}], "contained": [condition]}
    assert check(flag, D) == [] and from_xml(to_xml(flag, D), D) == flag
    for wrong, where in (
        ({"stage": [{"bogus": 1}]}, "Flag.contained[0].stage[0].bogus"), ({"onsetString": "old"}, "Flag.contained[0].onsetString"),
        ({"resourceType": "DomainResource"}, "Flag.contained[0].resourceType"), ({"resourceType": "HumanName"}, "Flag.contained[0].resourceType"),
        ({"resourceType": "Condition.stage"}, "Flag.contained[0].resourceType"), ({"resourceType": 5}, "Flag.contained[0].resourceType"),
    ):
        assert [issue.expression for issue in check({**flag, "contained": [{**condition, **wrong}]}, D)] == [where], wrong
    assert "Flag.contained[0].subject" in [i.expression for i in check({**flag, "contained": [{"resourceType": "Condition", "id": "c"}]}, D)]
    assert [issue.expression for issue in check(condition, D)] == ["resourceType"]
    with pytest.raises(Refused):
        from_xml(to_xml(flag, D).replace(b"<Flag ", b"<Condition ").replace(b"</Flag>", b"</Condition>"), D)


def test_what_never_was_has_no_history(api: httpx.Client) -> None:
    """As a read of it: 404. What was deleted has one."""
    assert number(api.get("/Device/never/_history")) == (404, "BB-401")
    put(api, {**DEVICE, "id": "gone"})
    assert api.delete("/Device/gone").status_code == 204 and api.get("/Device/gone/_history").json()["total"] == 2
    assert api.get("/Device/gone/_history?_since=2030-01-01T00:00:00Z").json()["total"] == 0


def test_an_element_that_tells_little_is_not_missing(api: httpx.Client) -> None:
    """A telecom without a number, an address without a place, a code that is not said, a time that tells no times, a reference by its type alone."""
    put(api, {"resourceType": "Practitioner", "id": "little", "telecom": [{"system": "phone"}], "address": [{"use": "work"}], "name": [{"use": "usual"}]})
    put(api, {"resourceType": "Flag", "id": "little", "status": "active", "code": {"coding": [{"system": "urn:little"}]}, "subject": {"type": "Patient"}})
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": PATIENT}}
    put(api, {**order, "id": "little", "code": {"coding": [{"system": "urn:little"}]}, "occurrenceTiming": timing, "performerType": {"id": "a", "text": "x"}})
    put(api, {**order, "id": "none"})
    for address in ("/Practitioner?phone", "/Practitioner?telecom", "/Practitioner?address", "/Practitioner?name", "/Flag?subject", "/ServiceRequest?code",
                    "/ServiceRequest?occurrence"):
        type_, _, name = address.partition("?")
        assert "little" in found(api, type_, **{f"{name}:missing": "false"}) and "little" not in found(api, type_, **{f"{name}:missing": "true"}), address
    assert "little" not in found(api, "/Practitioner", **{"email:missing": "false"}) and "none" in found(api, "/ServiceRequest", **{"occurrence:missing": "true"})
    assert found(api, "/ServiceRequest", code="urn:little|") == {"little"}, "a system is found by itself (R4 3.1.1.4.10)"


def test_what_a_timing_tells_are_its_outer_limits(api: httpx.Client) -> None:
    """R4 3.1.1.4.8: of events as of bounds; only bounds were looked at."""
    order = {"resourceType": "ServiceRequest", "id": "t", "status": "active", "intent": "order", "subject": {"reference": PATIENT}}
    put(api, {**order, "occurrenceTiming": {"event": ["2026-12-10", "2026-12-01T09:00:00Z"], "repeat": {"boundsPeriod": {"start": "2026-12-05", "end": "2026-12-20"}}}})
    for value, met in (("ge2026-12-20", {"t"}), ("le2026-12-01", {"t"}), ("gt2026-12-20", set()), ("lt2026-12-01", set())):
        assert found(api, "/ServiceRequest", occurrence=value, _id="t") == met, value


@pytest.mark.spec("facts/fhir", "1.3.dates")
def test_a_time_that_lasts_is_met_by_all_of_it(api: httpx.Client) -> None:
    """R4 3.1.1.4.8: a day or a month of a Task is that day or month, not its beginning."""
    for id_, at in (("day", "2026-12-01"), ("month", "2026-12"), ("instant", "2026-12-01T09:00:00Z")):
        put(api, {"resourceType": "Task", "id": id_, "status": "draft", "intent": "order", "authoredOn": at})
    assert found(api, "/Task", **{"authored-on": "ge2026-12-01T12:00:00Z"}) == {"day", "month"}
    assert found(api, "/Task", **{"authored-on": "2026-12-01"}) == {"day", "instant"} and found(api, "/Task", **{"authored-on": "ap2026-12-15"}) == {"month"}


def test_false_of_a_system_that_is_none_of_it_finds_nothing(api: httpx.Client) -> None:
    one = PATIENT.removeprefix("Patient/")
    for value, met in (("urn:x|false", set()), ("http://terminology.hl7.org/CodeSystem/special-values|false", {one}), ("false", {one}), ("true", set())):
        assert found(api, "/Patient", deceased=value, _id=one) == met, value


@pytest.mark.spec("facts/fhir", "1.4.update")
def test_a_part_of_a_resource_does_not_replace_it(api: httpx.Client) -> None:
    """Who reads with `_elements` and puts it back would lose the rest (R4 search.html#summary); a patch is another thing."""
    put(api, {**DEVICE, "id": "whole", "note": [{"text": "x"}]})
    part = api.get("/Device/whole?_elements=status").json()
    assert number(api.put("/Device/whole", json={**part, "status": "inactive"}, headers=JSON)) == (422, "BB-201")
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "PUT", "url": "Device/whole"}, "resource": part}]}
    assert api.post("/", json=bundle, headers=JSON).status_code == 422 and "note" in api.get("/Device/whole").json()
    assert api.put("/Device/whole", json={**part, "meta": {"tag": [{"code": "SUBSETTED", "system": "urn:x"}]}}, headers=JSON).status_code == 200


@pytest.mark.spec("facts/fhir", "1.4.ifmatch")
def test_what_has_changed_since_is_not_overwritten(api: httpx.Client) -> None:
    """RFC 9110 13.1.4; If-Match goes before it."""
    put(api, {**DEVICE, "id": "since"})
    changed = {**DEVICE, "id": "since", "status": "inactive"}
    old, new = {**JSON, "if-unmodified-since": "Wed, 01 Jan 2020 00:00:00 GMT"}, {**JSON, "if-unmodified-since": "Thu, 26 Nov 2026 09:00:00 GMT"}
    assert number(api.put("/Device/since", json=changed, headers=old)) == (412, "BB-207") and number(api.request("DELETE", "/Device/since", headers=old))[0] == 412
    assert api.put("/Device/since", json=changed, headers=new).status_code == 200
    assert api.put("/Device/since", json={**changed, "status": "active"}, headers={**old, "if-match": 'W/"2"'}).status_code == 200


@pytest.mark.spec("facts/fhir", "1.4.validate")
def test_everything_is_told_by_post_too_and_all_of_it(hub: Any, api: httpx.Client) -> None:
    """R4 operations.html: an operation is invoked by POST; and a person with more than a page of something has all of that."""
    task = {"resourceType": "Task", "status": "draft", "intent": "order", "for": {"reference": PATIENT}}
    hub.parts.store.write(lambda tx: [tx.keep({**task, "id": f"t{n}"}, origin="test") for n in range(1100)])
    asked = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Task"}, {"name": "_since", "valueInstant": "2026-11-01T00:00:00Z"}]}
    posted = api.post(f"/{PATIENT}/$everything", json=asked, headers=JSON).json()
    assert posted["total"] == len(posted["entry"]) == 1100 and api.get(f"/{PATIENT}/$everything?_type=Task").json()["total"] == 1100
    assert api.get(f"/{PATIENT}/$everything?_type=Task&_since=2030-01-01T00:00:00Z").json()["total"] == 0
    assert api.post(f"/{PATIENT}/$everything").json()["total"] > 1100


def test_pretty_is_in_lines_and_the_same(api: httpx.Client) -> None:
    put(api, {**DEVICE, "id": "pretty", "extension": [{"url": "http://x.example", "valueDecimal": 1}], "text": {"status": "generated", "div": f"<div {XHTML}>a <b>c</b></div>"}})
    plain, pretty = api.get("/Device/pretty"), api.get("/Device/pretty?_pretty=true")
    assert pretty.json() == plain.json() and "\n  " in pretty.text and "\n" not in plain.text
    xml = api.get("/Device/pretty?_pretty=true&_format=xml").content
    assert b"\n  <id " in xml and json.loads(strict_json.dump(from_xml(xml, D))) == plain.json()


def test_links_of_a_transaction_become_no_uuid(api: httpx.Client) -> None:
    """An element of type uuid that names an entry cannot hold a reference: it stays, where it was refused once."""
    one = "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01"
    held = [{"url": "http://x.example", "valueUuid": one}, {"url": "http://x.example", "valueUri": one}]
    entries = [{"fullUrl": one, "request": {"method": "POST", "url": "Device"}, "resource": {**DEVICE, "extension": held}}]
    kept = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}, headers=JSON).json()["entry"][0]["resource"]
    assert kept["extension"][0]["valueUuid"] == one and kept["extension"][1]["valueUri"] == f"Device/{kept['id']}"
