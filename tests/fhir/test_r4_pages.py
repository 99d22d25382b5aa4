"""R4's pages read to the end (http.html, references.html, datatypes): each was once answered otherwise. Over HTTP on both databases, and pure."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines

from hub.faces.formats import JSON, XML, acceptable
from hub.faces.interaction import Asked
from hub.fhir import definitions
from hub.fhir.validate import check
from hub.fhir.xml import to_xml

D = definitions.load()
BODY = {"content-type": "application/fhir+json"}
DEVICE: dict[str, Any] = {"resourceType": "Device", "status": "active"}
BASIC: dict[str, Any] = {"resourceType": "Basic", "code": {"text": "x"}}
PARTICIPANT = {"status": "accepted", "actor": {"reference": "#a"}}
NAMED = {"reference": "#a"}
PERSON: dict[str, Any] = {"resourceType": "Patient", "id": "a"}


def made(api: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = api.post("/Device", json={**DEVICE, **more}, headers=BODY)
    assert answer.status_code == 201, answer.text
    kept: dict[str, Any] = answer.json()
    return kept


@pytest.mark.spec("facts/fhir", "1.4.headers")
def test_a_header_in_several_lines_is_one_list(api: httpx.Client) -> None:
    """RFC 9110 5.3: the last line was taken for all of it, so that of two lines of Prefer one was overlooked."""
    asked = [("prefer", "respond-async"), ("prefer", "handling=lenient")]
    assert api.get("/$export?foo=1", headers=asked).status_code == api.get("/$export?foo=1", headers=asked[::-1]).status_code == 202
    answer = api.post("/Device", json=DEVICE, headers=[*BODY.items(), ("prefer", "return=minimal"), ("prefer", "handling=strict")])
    assert (answer.status_code, answer.content) == (201, b"")
    kept = made(api)
    tags = [("if-none-match", 'W/"1"'), ("if-none-match", 'W/"7"')]
    assert api.get(f"/Device/{kept['id']}", headers=tags).status_code == 304
    assert api.put(f"/Device/{kept['id']}", json=kept, headers=[*BODY.items(), ("if-match", 'W/"1"'), ("if-match", 'W/"7"')]).status_code == 200


@pytest.mark.spec("facts/fhir", "1.4.history")
def test_at_gives_what_was_current_at_some_time_of_it(api: httpx.Client, hub: Machines) -> None:
    """What had been replaced before that time came, too, so that who asked for a moment got all that ever was until then."""
    kept = made(api, lotNumber="1")
    other = made(api, lotNumber="other")
    begun = hub.clock.now
    for number in "23":
        hub.clock.forward(hours=1)
        api.put(f"/Device/{kept['id']}", json={**kept, "lotNumber": number}, headers=BODY).raise_for_status()
    hub.clock.forward(hours=1)
    assert api.delete(f"/Device/{kept['id']}").status_code == 204

    def versions(at: str, path: str, **more: str) -> list[tuple[str, str]]:
        entries = api.get(f"{path}/_history", params={"_at": at, **more}).json().get("entry", [])
        return [(e["fullUrl"].rpartition("/")[2], e["response"]["etag"][3:-1]) for e in entries]

    def hour(after: float) -> str:
        return (begun + timedelta(hours=after)).isoformat()

    one = kept["id"]
    assert versions(hour(0.5), f"/Device/{one}") == [(one, "1")]
    assert versions(hour(1.5), f"/Device/{one}") == [(one, "2")]
    assert versions(hour(3.5), f"/Device/{one}") == [(one, "4")], "it was gone then, and is told to be"
    assert versions(hour(1.5), "/Device") == [(one, "2"), (other["id"], "1")]
    assert versions(hour(1.5), "")[:2] == versions(hour(1.5), "/Device"), "of everything, too"
    assert versions(begun.date().isoformat(), f"/Device/{one}") == [(one, v) for v in "4321"], "all were current at some time of the day"
    assert versions(hour(2.5), "/Device", _since=hour(0.5)) == [(one, "3")]
    page = api.get("/Device/_history", params={"_at": hour(1.5), "_count": "1"}).json()
    following = api.get(next(link["url"] for link in page["link"] if link["relation"] == "next")).json()
    assert [e["fullUrl"].rpartition("/")[2] for e in following["entry"]] == [other["id"]]


@pytest.mark.spec("facts/fhir", "1.4.update")
def test_a_condition_that_nothing_meets_does_not_change_what_does_not_meet_it(api: httpx.Client) -> None:
    """http.html#cond-update: no match and an id is a create; under the id of what is there it changed that, whose condition did not hold."""
    kept = made(api, identifier=[{"system": "urn:x", "value": "kept"}])
    body = {**DEVICE, "id": kept["id"], "identifier": [{"system": "urn:x", "value": "new"}]}
    answer = api.put("/Device", params={"identifier": "urn:x|new"}, json=body, headers=BODY)
    assert answer.status_code == 400 and answer.json()["issue"][0]["expression"] == ["Device.id"]
    assert api.get(f"/Device/{kept['id']}").json() == kept
    assert api.put("/Device", params={"identifier": "urn:x|new"}, json={**body, "id": f"{kept['id'][:30]}-2"}, headers=BODY).status_code == 201
    assert api.delete(f"/Device/{kept['id']}").status_code == 204
    assert api.put("/Device", params={"identifier": "urn:x|kept"}, json=kept, headers=BODY).status_code == 201, "what is gone may come back"


@pytest.mark.spec("facts/fhir", "1.4.content")
@pytest.mark.parametrize(("accept", "given"), [
    ("application/fhir+json;q=0, */*", XML), ("*/*, application/fhir+xml;q=0", JSON), ("application/*;q=0.5, text/html", JSON),
    ("application/fhir+json, application/fhir+xml", JSON), ("application/fhir+xml, */*", XML),
])
def test_a_star_is_not_what_is_refused_by_its_name(accept: str, given: str) -> None:
    assert acceptable(Asked("GET", ("Device",), "", {b"accept": accept.encode()})) == given


@pytest.mark.spec("facts/fhir", "1.1.references")
@pytest.mark.parametrize(("resource", "wrong"), [
    ({**BASIC, "subject": {"reference": "Patient/1", "type": "Device"}}, "Basic.subject"),
    ({**BASIC, "subject": {"reference": "Patient/1", "type": "http://hl7.org/fhir/StructureDefinition/Patient"}}, ""),
    ({**BASIC, "subject": {"reference": "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01", "type": "Patient"}}, ""),
    ({"resourceType": "Appointment", "status": "proposed", "participant": [PARTICIPANT],
      "contained": [{"resourceType": "Organization", "id": "a", "name": "x"}]}, "Appointment.participant[0].actor"),
    ({"resourceType": "Appointment", "status": "proposed", "participant": [PARTICIPANT], "contained": [PERSON]}, ""),
    ({"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": "#"}}, "Flag.subject"),
])
def test_a_reference_and_its_type_and_what_is_contained_agree(resource: dict[str, Any], wrong: str) -> None:
    """`Reference.type`: «the reference SHALL resolve to a resource of the same type». A target that is contained was not looked at."""
    assert [issue.expression for issue in check(resource, D)] == ([wrong] if wrong else [])


@pytest.mark.spec("facts/fhir", "1.1.ids")
@pytest.mark.parametrize(("resource", "wrong"), [
    ({**BASIC, "contained": [PERSON, PERSON], "subject": NAMED}, "Basic.contained[1].id"),
    ({**BASIC, "contained": [PERSON, {**PERSON, "id": "b"}], "subject": NAMED, "author": {"reference": "#b"}}, ""),
    ({**BASIC, "subject": {"id": "a b", "display": "x"}}, "Basic.subject.id"),
    ({"resourceType": "Patient", "birthDate": "1950-01-01", "_birthDate": {"id": "a\tb"}}, "Patient.birthDate.id"),
    ({"resourceType": "Patient", "birthDate": "1950-01-01", "_birthDate": {"id": "a#b"}}, ""),
])
def test_ids_within_a_resource_name_one_thing_and_have_no_spaces(resource: dict[str, Any], wrong: str) -> None:
    """Of two contained under one id nobody can tell which is meant. Element.id: «any string value that does not contain spaces»."""
    assert [issue.expression for issue in check(resource, D)] == ([wrong] if wrong else [])


@pytest.mark.spec("facts/fhir", "1.1.narrative")
def test_a_narrative_that_misnames_its_encoding_is_refused_and_one_that_was_kept_is_read() -> None:
    """In JSON it is UTF-8 whatever it declares; in XML its letters came out as others («Ã¦»)."""
    div = '<?xml version="1.0" encoding="ISO-8859-1"?><div xmlns="http://www.w3.org/1999/xhtml">æ</div>'
    resource = {**BASIC, "text": {"status": "generated", "div": div}}
    assert [issue.expression for issue in check(resource, D)] == ["Basic.text.div"]
    assert ">æ</div>" in to_xml(resource, D).decode()


@pytest.mark.spec("facts/fhir", "1.4.batch")
def test_an_entry_of_a_batch_does_not_point_to_another(api: httpx.Client) -> None:
    """R4 3.1.0.11.1: such links are not followed, so what was kept pointed to nothing for ever, and the sender heard that all was well."""
    one = "urn:uuid:6a0d3c3e-3b6c-4a66-9c40-2f6b3c8b1f01"
    entries = [{"fullUrl": one, "resource": DEVICE, "request": {"method": "POST", "url": "Device"}},
               {"resource": {**BASIC, "subject": {"reference": one}}, "request": {"method": "POST", "url": "Basic"}}]
    told = [e["response"] for e in api.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": entries}, headers=BODY).json()["entry"]]
    assert [each["status"][:3] for each in told] == ["201", "422"] and "transaction" in told[1]["outcome"]["issue"][0]["diagnostics"]
    whole = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}, headers=BODY)
    assert whole.json()["entry"][1]["resource"]["subject"]["reference"].startswith("Device/")


@pytest.mark.spec("facts/fhir", "1.4.capabilities")
def test_the_statement_tells_where_tokens_are_asked_for(api: httpx.Client, hub: Machines) -> None:
    security = api.get("/metadata").json()["rest"][0]["security"]
    uris = {e["url"]: e["valueUri"] for e in security["extension"][0]["extension"]}
    told = httpx.get(f"{hub.url}/fhir/.well-known/smart-configuration", trust_env=False).json()
    assert uris == {"token": told["token_endpoint"]} == {"token": f"{hub.url}/oauth/token"}
    assert {c["code"] for s in security["service"] for c in s["coding"]} == {"OAuth", "SMART-on-FHIR"}
