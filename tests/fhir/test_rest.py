"""The FHIR face over HTTP: a real server, a real client. The CapabilityStatement equals what the server does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import uvicorn
from settled import TOWN, settle

from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions, index
from hub.fhir.outcome import OUTCOME
from hub.problem import Problem
from hub.store import Secrets, Store

D = definitions.load()
AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
READERS = {
    "all": Reader("vendor:all", Ground.VENDOR, departments=ALL_DEPARTMENTS),
    "one": Reader("vendor:one", Ground.VENDOR, departments=frozenset({"dagsenter"})),
    "none": Reader("vendor:none", Ground.VENDOR),
}
APPOINTMENT = {
    "resourceType": "Appointment", "id": "a1", "status": "booked", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z",
    "participant": [{"actor": {"reference": f"Patient/{TOWN.persons[0].reference.partition('/')[2]}"}, "status": "accepted"},
                    {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "accepted"}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    home = tmp_path_factory.mktemp("rest")
    settle(f"sqlite:///{home}/hub.db", home, AT)
    secrets = Secrets.open(home)
    store = Store.open(f"sqlite:///{home}/hub.db", secrets, clock=lambda: AT, entries=index.indexer(D, secrets.hash_id))
    store.write(lambda tx: tx.keep(APPOINTMENT, origin="shop"))
    store.write(lambda tx: tx.keep({**APPOINTMENT, "status": "fulfilled"}, origin="epj"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rest = Rest(store, D, READERS.get, f"http://127.0.0.1:{port}", lambda: AT, secrets.hash_id)
    running = uvicorn.Server(uvicorn.Config(rest, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.002)
    yield f"http://127.0.0.1:{port}", store
    running.should_exit = True
    thread.join()
    store.close()


@pytest.fixture
def fhir(server: tuple[str, Store]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server[0], headers={"authorization": "Bearer all"}, trust_env=False) as client:
        yield client


@pytest.mark.spec("facts/fhir", "1.4.read")
def test_read_vread_history_and_their_headers(fhir: httpx.Client) -> None:
    now = fhir.get("/Appointment/a1")
    assert now.status_code == 200 and now.json()["status"] == "fulfilled" and now.headers["etag"] == 'W/"2"'
    assert now.headers["content-type"].startswith("application/fhir+json") and now.headers["last-modified"].endswith("GMT")
    assert fhir.get("/Appointment/a1", headers={"if-none-match": 'W/"2"'}).status_code == 304
    assert fhir.get("/Appointment/a1", headers={"if-none-match": 'W/"1"'}).status_code == 200
    assert fhir.get("/Appointment/a1", headers={"if-modified-since": now.headers["last-modified"]}).status_code == 304
    assert fhir.get("/Appointment/a1/_history/1").json()["status"] == "booked"
    history = fhir.get("/Appointment/a1/_history").json()
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"] and history["type"] == "history"
    head = fhir.head("/Appointment/a1")
    assert head.status_code == 200 and head.content == b"" and head.headers["etag"] == 'W/"2"'


@pytest.mark.spec("facts/fhir", "1.3")
def test_what_the_capability_statement_claims_works(fhir: httpx.Client) -> None:
    statement = fhir.get("/metadata", headers={"authorization": ""}).json()
    assert statement["fhirVersion"] == "4.0.1"
    for row in statement["rest"][0]["resource"]:
        type_ = row["type"]
        page = fhir.get(f"/{type_}?_count=1").json()
        if "search-type" not in {i["code"] for i in row["interaction"]}:  # Binary: tests/messages/test_attachments_by_fhir.py reads one
            assert page["resourceType"] == "OperationOutcome" and row["searchParam"] == []
            continue
        assert page["type"] == "searchset"
        for entry in page.get("entry", ()):
            id_ = entry["resource"]["id"]
            claimed = {i["code"] for i in row["interaction"]}
            forms = {"read": "", "history-instance": "/_history", "vread": "/_history/1"}
            assert {code: fhir.get(f"/{type_}/{id_}{more}").status_code for code, more in forms.items() if code in claimed} == {
                code: 200 for code in forms if code in claimed}
        for parameter in row["searchParam"]:
            value = {"date": "2026-12-01", "token": "x", "reference": "x", "string": "x", "uri": "x", "quantity": "1", "special": "1|2"}[parameter["type"]]
            answer = fhir.get(f"/{type_}", params={parameter["name"]: value}, headers={"prefer": "handling=strict"})
            assert answer.status_code == 200, (type_, parameter["name"], answer.text)
        for include in row.get("searchInclude", ()):
            assert fhir.get(f"/{type_}", params={"_include": include, "_count": "1"}).status_code == 200
        for include in row.get("searchRevInclude", ()):
            assert fhir.get(f"/{type_}", params={"_revinclude": include, "_count": "1"}).status_code == 200


def test_searches_page_with_honest_links(fhir: httpx.Client) -> None:
    first = fhir.get("/Slot", params={"schedule": "Schedule/dagsenter", "_count": "5", "_total": "accurate", "bogus": "1"}).json()
    links = {link["relation"]: link["url"] for link in first["link"]}
    assert "bogus" not in links["self"] and "_count=5" in links["self"] and first["total"] > 5
    assert [e["search"]["mode"] for e in first["entry"]].count("match") == 5 and first["entry"][-1]["search"]["mode"] == "outcome"
    following = fhir.get(links["next"]).json()
    assert not {e["fullUrl"] for e in following["entry"]} & {e.get("fullUrl") for e in first["entry"]}
    assert fhir.get("/Slot", params={"_summary": "count"}).json()["total"] > 100


@pytest.mark.spec("facts/fhir", "1.4.transport")
def test_a_link_says_to_the_letter_what_was_asked(fhir: httpx.Client) -> None:
    """A + in a link would be a space to whoever follows it: a name of two words and an offset from UTC come back as they were."""
    asked = {"date": ["ge2026-12-01T10:00:00+01:00"], "patient.name": ["a+b c&d=e"], "_count": ["1"]}
    address = httpx.URL(fhir.get("/Appointment", params=asked).json()["link"][0]["url"])
    assert parse_qs(address.query.decode()) == asked


@pytest.mark.spec("facts/fhir", "1.4.status")
def test_errors_are_outcomes_with_our_number(fhir: httpx.Client) -> None:
    for path, status, number in (
        ("/Appointment/unknown", 404, "BB-401"), ("/Bogus", 404, "BB-401"), ("/Appointment/a1/_history/9", 404, "BB-401"),
        ("/Slot?start=tomorrow", 400, "BB-403"), ("/Appointment/a1?_format=turtle", 406, "BB-404"), ("/Appointment/a1/x/y", 404, "BB-401"),
    ):
        answer = fhir.get(path)
        assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (status, number), path
    assert fhir.get("/Slot?bogus=1", headers={"prefer": "handling=strict"}).status_code == 400
    assert fhir.get("/Appointment/a1", headers={"accept": "text/html"}).status_code == 406
    assert set(OUTCOME) == set(Problem)


def test_nobody_gets_in_without_a_token_and_a_vendor_sees_its_departments_only(server: tuple[str, Store]) -> None:
    with httpx.Client(base_url=server[0], trust_env=False) as client:
        assert client.get("/Appointment").status_code == 401 and "www-authenticate" in client.get("/Appointment").headers
        assert client.get("/Appointment", headers={"authorization": "Bearer guess"}).status_code == 401
        one = {"authorization": "Bearer one"}
        assert "entry" not in client.get("/Appointment", headers=one).json()
        assert client.get("/Appointment/a1", headers=one).status_code == 404
        assert client.get("/Appointment/a1/_history", headers=one).status_code == 404
        schedules = {e["resource"]["schedule"]["reference"] for e in client.get("/Slot?_count=500", headers=one).json()["entry"]}
        assert schedules == {"Schedule/dagsenter"}
        assert client.get("/Slot?schedule=Schedule/hjemmesykepleie", headers=one).json().get("entry") is None
        assert client.get("/Patient", headers=one).status_code == 403
        assert client.get("/Appointment", headers={"authorization": "Bearer none"}).status_code == 403


@pytest.mark.spec("facts/fhir", "1.3.identifier")
@pytest.mark.spec("facts/fhir", "5.10")
def test_a_national_id_must_come_by_post_in_the_body(fhir: httpx.Client) -> None:
    person = TOWN.persons[0]
    value = f"urn:oid:2.16.578.1.12.4.1.4.1|{person.national_id}"
    refused = fhir.get("/Patient", params={"identifier": value})
    assert refused.status_code == 400 and person.national_id not in refused.text
    refused = fhir.post("/Patient/_search", params={"identifier": value}, data={"_count": "1"})
    assert refused.status_code == 400 and person.national_id not in refused.text, "an address is logged whatever the method"
    for params in ({"identifier": person.national_id}, {"identifier": f"urn:x|{person.national_id}"}, {"identifier": f"x,{person.national_id}"}):
        refused = fhir.get("/Patient", params=params)
        assert refused.status_code == 400 and person.national_id not in refused.text, "also where its system was forgotten"
        assert fhir.post("/Patient/_search", data=params).status_code == 200
    assert fhir.get("/Patient", params={"identifier": "12345678901,x-" + person.national_id}).status_code == 200, "eleven digits are not always one"
    found = fhir.post("/Patient/_search", data={"identifier": value})
    assert [e["resource"]["id"] for e in found.json()["entry"]] == [person.reference.partition("/")[2]]
    assert person.national_id not in str(found.json()["link"])


@pytest.mark.spec("facts/fhir", "3.ids")
def test_ids_of_the_request_are_mirrored_and_the_look_is_logged(fhir: httpx.Client, server: tuple[str, Store]) -> None:
    answer = fhir.get("/Appointment/a1", headers={"x-request-id": "r-1", "x-correlation-id": "c-1"})
    assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == ("r-1", "c-1")
    store = server[1]
    person = TOWN.persons[0].reference
    while not any(line.kind == "read Appointment" for line in store.audit_of(person, 50)):
        store.write(lambda tx: None)  # each commit takes in the waiting lines
    assert {line.reader for line in store.audit_of(person, 50)} == {"vendor:all"}


@pytest.mark.spec("facts/fhir", "1.9")
def test_the_name_fhir_stays_the_librarys() -> None:
    import fhir.resources

    assert fhir.resources.__file__ and not list((Path(__file__).parents[2] / "fhir").rglob("*.py"))


@pytest.mark.spec("facts/fhir", "1.4.transport")
def test_links_lead_to_the_same_in_the_same_shape(api: httpx.Client) -> None:
    """`_format` was lost on the way to the next page, and `self` of each page was the first one."""
    for path in ("/Slot?_count=2&status=free", "/Slot/_history?_count=2", "/StructureDefinition?_count=2"):
        first = api.get(f"{path}&_format=json&_pretty=true", headers={"accept": "application/fhir+xml"})
        following = next(link["url"] for link in first.json()["link"] if link["relation"] == "next")
        second = api.get(following, headers={"accept": "application/fhir+xml"})
        assert second.headers["content-type"].startswith("application/fhir+json") and second.text.startswith("{\n")
        again = api.get(next(link["url"] for link in second.json()["link"] if link["relation"] == "self"))
        if "StructureDefinition" not in path:
            assert again.json()["entry"] == second.json()["entry"] != first.json()["entry"]


@pytest.mark.spec("facts/fhir", "1.4.read")
def test_a_read_holds_to_if_match(api: httpx.Client) -> None:
    """RFC 9110 13.1.1: of any method, and what was not read is not shown."""
    slot = api.get("/Slot?_count=1").json()["entry"][0]["resource"]["id"]
    for tag, status in (('W/"1"', 200), ('"1"', 200), ("*", 200), ('W/"2"', 412), ('W/"2", W/"3"', 412)):
        assert api.get(f"/Slot/{slot}", headers={"if-match": tag}).status_code == status, tag


def test_a_find_by_an_address_with_a_plus_is_understood(api: httpx.Client) -> None:
    """Searches and `_since` understood it; a curl by hand that did not escape it was refused here."""
    found = api.get("/Appointment/$find?start=2026-11-27T07:00:00+01:00&end=2026-11-27T12:00:00+01:00&_count=1")
    assert found.status_code == 200 and found.json()["total"] > 0
