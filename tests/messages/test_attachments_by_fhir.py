"""Files of messages by the FHIR API: read by whoever may read the message, as R4 says of Binary, and by nobody else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from files import PDF, PNG
from test_messages_by_fhir import CLIENTS, KARI, Machines, api, hub_on

from hub.access import Ground, Reader
from hub.booking.attachments import File
from hub.dialogue import Draft

CLIENT = """
[[clients]]
id = "{id}"
issuer = "own"
departments = ["{department}"]
scopes = "{scopes}"
jwks_file = "visma.jwks"
may = ["{may}"]
"""
SCOPES = "system/Communication.crus"
MORE = (("avtaler", "hjemmesykepleie", "message", "system/Appointment.rs"), ("søker", "hjemmesykepleie", "message", "system/Communication.s"))


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    every = [(*client, SCOPES) for client in CLIENTS] + [("avtaler", *MORE[0][1:]), ("soker", *MORE[1][1:])]
    more = "".join(CLIENT.format(id=id_, department=department, may=may, scopes=scopes) for id_, department, may, scopes in every)
    with hub_on(tmp_path / "home", town_url, per_minute=100_000, more=more) as made:
        yield made


def scoped(hub: Machines, name: str, scope: str) -> httpx.Client:
    answer = hub.ask(hub.assertion(iss=name, sub=name), scope=scope)
    assert answer.status_code == 200, answer.text
    return httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {answer.json()['access_token']}"}, trust_env=False, timeout=30)


def asked(hub: Machines, *files: File) -> str:
    """A message of Kari's with these files; its id."""
    draft = Draft("k", "Hei!", "", "hjemmesykepleie", "Noe annet", files=files)
    return hub.parts.messaging.write(Reader(KARI.reference, Ground.SELF), KARI.reference, draft)


def addresses(client: httpx.Client, message: str) -> list[str]:
    return [p["contentAttachment"]["url"] for p in client.get(f"/Communication/{message}").json()["payload"] if "contentAttachment" in p]


def test_a_file_is_read_as_it_is_or_as_a_binary_by_what_is_asked_for(hub: Machines) -> None:
    with api(hub, "epj-fhir") as epj:
        message = asked(hub, File("Epikrise æ.pdf", PDF), File("b.png", PNG))
        pdf, png = addresses(epj, message)
        for accept in ("*/*", "application/pdf", "application/*;q=0.1, application/pdf", "text/html, application/pdf, */*", ""):
            got = epj.get(f"/{pdf}", headers={"accept": accept})
            assert (got.status_code, got.content, got.headers["content-type"]) == (200, PDF, "application/pdf"), accept
        assert got.headers["content-disposition"] == "attachment; filename=\"Epikrise _.pdf\"; filename*=UTF-8''Epikrise%20%C3%A6.pdf"
        assert got.headers["x-content-type-options"] == "nosniff" and got.headers["content-security-policy"].endswith("sandbox")
        assert got.headers["x-security-context"] == f"Communication/{message}" and got.headers["cache-control"] == "no-store"
        assert epj.get(f"/{png}", headers={"accept": "image/*"}).content == PNG
        told = epj.get(f"/{pdf}", headers={"accept": "application/fhir+json"})
        assert told.headers["content-type"].startswith("application/fhir+json") and told.json() == {
            "resourceType": "Binary", "id": pdf.removeprefix("Binary/"), "contentType": "application/pdf",
            "securityContext": {"reference": f"Communication/{message}"}, "data": base64.b64encode(PDF).decode(),
        }
        assert epj.get(f"/{pdf}?_format=json", headers={"accept": "*/*"}).json() == told.json()
        xml = epj.get(f"/{pdf}", headers={"accept": "application/fhir+xml"})
        root = ElementTree.fromstring(xml.content)
        assert xml.headers["content-type"].startswith("application/fhir+xml") and root.tag == "{http://hl7.org/fhir}Binary"
        assert root.find("{http://hl7.org/fhir}data").attrib["value"] == base64.b64encode(PDF).decode()  # type: ignore[union-attr]
        assert epj.get(f"/{pdf}", headers={"accept": "text/html"}).status_code == 406
        head = epj.head(f"/{pdf}")
        assert head.status_code == 200 and head.content == b"" and head.headers["content-length"] == str(len(PDF))


def test_the_message_tells_of_its_files_and_no_page_or_version_loads_them(hub: Machines) -> None:
    with api(hub, "epj-fhir") as epj:
        message = asked(hub, File("a.pdf", PDF))
        for address in (f"/Communication/{message}", "/Communication", f"/Communication/{message}/_history", "/Communication?_count=1"):
            answer = epj.get(address)
            assert answer.status_code == 200 and "data" not in answer.text and '"url":"Binary/' in answer.text and len(answer.content) < 4000
        (attachment,) = [p["contentAttachment"] for p in epj.get(f"/Communication/{message}").json()["payload"][1:]]
        assert attachment.keys() == {"contentType", "url", "size", "hash", "title"} and attachment["size"] == len(PDF)


def test_nobody_else_gets_it_and_all_are_told_the_same_as_of_what_never_was(hub: Machines) -> None:
    with api(hub, "epj-fhir") as epj, api(hub, "andre") as other, scoped(hub, "avtaler", "system/Appointment.rs") as visits:
        (file,) = addresses(epj, asked(hub, File("a.pdf", PDF)))
        nothing = "Binary/00000000-0000-0000-0000-000000000000"
        answers = [other.get(f"/{address}") for address in (file, nothing)] + [epj.get(f"/{nothing}")]
        assert {a.status_code for a in answers} == {404} and len({a.text for a in answers}) == 1
        assert "<OperationOutcome" in other.get(f"/{file}", headers={"accept": "application/fhir+xml"}).text
        assert {visits.get(f"/{address}").status_code for address in (file, nothing)} == {403}
        with scoped(hub, "soker", "system/Communication.s") as searches:
            assert searches.get(f"/{file}").status_code == 403
        assert httpx.get(f"{hub.url}/fhir/{file}", trust_env=False).status_code == 401


def test_reading_stands_in_the_access_log_under_the_person(hub: Machines) -> None:
    with api(hub, "epj-fhir") as epj:
        (file,) = addresses(epj, asked(hub, File("a.pdf", PDF)))
        epj.get(f"/{file}")
        hub.parts.store.audit_later(())
    for _ in range(400):
        lines = hub.parts.store.audit_of(KARI.reference, 50)
        if found := [line for line in lines if line.kind == "read Binary"]:
            break
        hub.parts.store.seal_audit()
    assert [(line.reader, line.channel) for line in found] == [("vendor:epj-fhir", "fhir")]


def test_the_statement_says_that_it_is_read_and_nothing_more_and_that_is_true(hub: Machines) -> None:
    statement = httpx.get(f"{hub.url}/fhir/metadata", trust_env=False).json()
    (row,) = [r for r in statement["rest"][0]["resource"] if r["type"] == "Binary"]
    assert row["interaction"] == [{"code": "read"}]
    with api(hub, "epj-fhir") as epj:
        (file,) = addresses(epj, asked(hub, File("a.pdf", PDF)))
        assert epj.get(f"/{file}").status_code == 200 and epj.options(f"/{file}").headers["allow"] == "GET, HEAD, OPTIONS"
        body = {"resourceType": "Binary", "contentType": "application/pdf", "data": "YQ=="}
        others = [
            epj.put(f"/{file}", json={**body, "id": file.removeprefix("Binary/")}), epj.delete(f"/{file}"), epj.post("/Binary", json=body), epj.get("/Binary"),
            epj.get(f"/{file}/_history"), epj.get(f"/{file}/_history/1"), epj.post("/Binary/_search"), epj.get("/Binary/_history"),
            epj.post("/Binary/$validate", json=body), epj.post(f"/{file}/$validate", json=body),
        ]
        assert {answer.status_code for answer in others} <= {403, 404, 405}, [a.status_code for a in others]
        entry = {"request": {"method": "GET", "url": file}}
        for kind in ("batch", "transaction"):
            answer = epj.post("", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
            assert PDF not in answer.content and answer.status_code < 500 and base64.b64encode(PDF) not in answer.content
        assert epj.get(f"/{file}").content == PDF
