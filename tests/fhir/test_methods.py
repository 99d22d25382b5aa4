"""Every address with every method: never a 500, and `Allow` is true (RFC 9110 9.1, 15.5.6). Formats, charsets and media types of R4 3.1.0.1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on

from hub import app
from hub.faces.booking.face import ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
XML = "application/fhir+xml"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with hub_on(Path(tmp_path_factory.mktemp("methods")) / "home", "sqlite:///hub.db", per_minute=1_000_000) as made:
        yield made


@pytest.fixture(scope="module")
def api(hub: Machines) -> Iterator[httpx.Client]:
    with hub.http(authorization="Bearer simple-token") as client:
        yield client


def allow(answer: httpx.Response) -> set[str]:
    return set(answer.headers["allow"].replace(" ", "").split(","))


def addresses(api: httpx.Client) -> list[str]:
    """What is told of in the OpenAPI document, and what is told of nowhere."""
    paths = [path.format(id="none", version="1") for path in api.get("/fhir/openapi.json").json()["paths"]]
    assert len(paths) > 100
    beside = ["/$export/none", "/$export-file/none/Slot", "/SubscriptionTopic/slot-availability", "/Subscription/none/$events", "/StructureDefinition/x",
              "/ValueSet/_search", "/Patient/none/Appointment", "/Appointment/none/$validate"]
    booking = ["/booking/v1/" + "/".join(parts).format(id="none") for parts in ROUTES]
    return [f"/fhir{path.rstrip('/')}" for path in [*paths, *beside]] + booking


def test_every_address_of_machines_tells_its_methods_truly(api: httpx.Client) -> None:
    for address in addresses(api):
        answers = {method: api.request(method, address, json={} if method in ("POST", "PUT", "PATCH") else None) for method in METHODS}
        assert all(answer.status_code < 500 for answer in answers.values()), (address, answers)
        told = answers["OPTIONS"]
        assert told.status_code == 204 and not any(name.startswith("access-control") for name in told.headers), address
        refused = {method for method, answer in answers.items() if answer.status_code == 405}
        assert set(METHODS) - refused == allow(told), (address, answers, told.headers)
        for method in refused:
            assert allow(answers[method]) == allow(told), (method, address)
        if answers["GET"].status_code != 405 and not address.endswith("$export"):  # whose GET begins something
            head, get = answers["HEAD"], answers["GET"]
            assert (head.status_code, head.content, head.headers["content-type"]) == (get.status_code, b"", get.headers["content-type"]), address


def test_an_address_that_is_not_there_has_no_methods(api: httpx.Client) -> None:
    for address in ("/fhir/Nothing", "/fhir/Appointment/a/b/c/d", "/fhir/$nothing", "/fhir/Appointment/$nothing", "/booking/v1/nothing"):
        for method in METHODS:
            assert api.request(method, address).status_code in (403, 404), (method, address)


def test_options_needs_no_token(hub: Machines) -> None:
    with hub.http() as anybody:
        assert allow(anybody.options("/fhir/Appointment")) == {"GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS"}
        assert anybody.options("/fhir/Slot/x").headers["allow"] == "GET, HEAD, OPTIONS"
        assert anybody.post("/fhir/metadata").status_code == 405 and anybody.put("/fhir/Appointment/x").status_code == 401


def test_pages_tell_their_methods_truly_too(hub: Machines) -> None:
    pages = {route.path for route in _routes(app.faces(hub.parts))}
    assert len(pages) > 40
    with hub.http() as browser:
        for path in sorted(pages):
            address = path.replace("{key:int}", "1").replace("{path:path}", "x")
            address = "/".join("x" if part.startswith("{") else part for part in address.split("/"))
            answers = {method: browser.request(method, address) for method in METHODS}
            assert all(answer.status_code < 500 for answer in answers.values()), (address, answers)
            refused = {method for method, answer in answers.items() if answer.status_code == 405}
            assert refused, address
            for method in refused:
                assert allow(answers[method]) == set(METHODS) - refused, (method, address, answers[method].headers)


def _routes(faces: object) -> list[Route]:
    pages = next(cell.cell_contents for cell in faces.__closure__ if type(cell.cell_contents).__name__ == "Starlette")  # type: ignore[attr-defined]
    return [route for route in pages.routes if isinstance(route, Route)]


@pytest.mark.parametrize(("accept", "given"), [
    ("*/*", "json"), ("application/*", "json"), ("application/fhir+json;q=0.5, application/fhir+xml", "xml"), ("application/fhir+xml;q=0, */*", "json"),
    ("application/json+fhir", "json"), ("application/xml+fhir", "xml"), ("text/html, application/xml;q=0.9, */*;q=0.8", "xml"),
    ("application/fhir+json; fhirVersion=4.0", "json"), ("application/fhir+json; fhirVersion=3.0", ""), ("text/turtle", ""), ("text/html", ""),
    ("application/fhir+json;q=high", ""), ("application/fhir+xml; fhirVersion=1.0, application/fhir+json", "json"),
])
@pytest.mark.parametrize("address", ["/fhir/Slot?_count=1", "/fhir/Subscription/$status", "/fhir/Appointment/none"])
@pytest.mark.spec("facts/fhir", "1.4.content")
def test_accept_is_weighed(api: httpx.Client, accept: str, given: str, address: str) -> None:
    answer = api.get(address, headers={"accept": accept})
    assert (answer.status_code == 406) == (given == "")
    assert answer.headers["content-type"].startswith(f"application/fhir+{given or 'json'}; fhirVersion=4.0")
    assert answer.content.startswith(b"<" if given == "xml" else b"{")


@pytest.mark.parametrize(("format_", "given"), [
    ("json", "json"), ("xml", "xml"), ("application/fhir+xml", "xml"), ("application/fhir%2Bxml", "xml"), ("text/xml", "xml"), ("ttl", ""), ("html", ""),
    ("", "json"),
])
@pytest.mark.spec("facts/fhir", "1.4.content")
def test_format_comes_before_accept(api: httpx.Client, format_: str, given: str) -> None:
    for accept in ("application/fhir+json", "text/turtle"):
        answer = api.get(f"/fhir/Slot?_count=1&_format={format_}", headers={"accept": accept})
        expected = 406 if given == "" or (accept == "text/turtle" and format_ == "") else 200
        assert answer.status_code == expected, answer.text
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith(f"application/fhir+{given};")


@pytest.mark.parametrize(("kind", "more", "status"), [
    ("application/fhir+json", {}, 201), ("application/json; charset=UTF-8", {}, 201), ('application/fhir+json; charset="utf-8"; fhirVersion=4.0', {}, 201),
    ("application/json+fhir", {}, 201), ("text/json", {}, 201), ("json", {}, 415), ("text/plain", {}, 415), ("", {}, 415), ("application/fhir+xml", {}, 400),
    ("application/fhir+json; charset=iso-8859-1", {}, 415), ("application/fhir+json; fhirVersion=3.0", {}, 415),
    ("application/fhir+json", {"content-encoding": "br"}, 415), ("application/fhir+json", {"content-encoding": "identity"}, 201),
])
@pytest.mark.spec("facts/fhir", "1.4.content")
def test_a_body_says_what_it_is(api: httpx.Client, kind: str, more: dict[str, str], status: int) -> None:
    answer = api.post("/fhir/Device", content=b'{"resourceType": "Device", "status": "active"}', headers={"content-type": kind, **more})
    assert answer.status_code == status and (status == 201 or answer.json()["resourceType"] == "OperationOutcome"), answer.text
    find = api.post("/fhir/Appointment/$find", content=b'{"resourceType": "Parameters"}', headers={"content-type": kind, **more})
    assert (find.status_code == 415) == (status == 415)


def test_operations_speak_xml_too(api: httpx.Client) -> None:
    topic = api.get("/fhir/SubscriptionTopic/slot-availability", headers={"accept": XML})
    assert "<Basic" in topic.text and topic.headers["content-type"].startswith(XML)
    asked = b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="start"/><valueInstant value="2026-11-27T06:00:00Z"/></parameter>' \
        b'<parameter><name value="end"/><valueInstant value="2026-11-27T09:00:00Z"/></parameter></Parameters>'
    found = api.post("/fhir/Appointment/$find", content=asked, headers={"content-type": XML, "accept": XML})
    assert found.status_code == 200 and "<Bundle" in found.text and "<Appointment" in found.text
    refused = api.post("/fhir/Appointment/$hold", content=asked, headers={"content-type": XML, "accept": XML})
    assert refused.status_code == 422 and "<OperationOutcome" in refused.text
