"""Files of messages by the FHIR API: read by whoever may read the message, as R4 says of Binary, and by nobody else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from files import HOSTILE, PDF, PNG, large
from test_messages_by_fhir import CLIENTS, KARI, Machines, answer, api, hub_on

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
MORE = (("avtaler", "hjemmesykepleie", "message", "system/Appointment.rs"), ("soker", "hjemmesykepleie", "message", "system/Communication.s"))


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    every = [*((*client, SCOPES) for client in CLIENTS), *MORE]
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


def enclosed(body: bytes, **more: object) -> dict[str, object]:
    return {"contentAttachment": {"contentType": "application/pdf", "title": "Svar.pdf", "data": base64.b64encode(body).decode(), **more}}


def rows(hub: Machines) -> int:
    return int(hub.parts.store.write(lambda tx: tx.connection.row("select count(*) from attachment"))[0])  # type: ignore[index]


def test_a_vendor_answers_with_files_which_come_back_by_their_address_and_to_the_person(hub: Machines) -> None:
    first, scan = asked(hub), large(9_000_000)
    with api(hub, "epj-fhir") as epj:
        made = epj.post("/Communication", json=answer(first, payload=[{"contentString": "Her er svaret."}, enclosed(scan), enclosed(PNG, title="../kart.exe")]))
        assert made.status_code == 201, made.text[:2000]
        told = made.json()["payload"]
        assert told[0] == {"contentString": "Her er svaret."} and "data" not in made.text and len(made.content) < 5000
        assert [(p["contentAttachment"]["contentType"], p["contentAttachment"]["title"]) for p in told[1:]] == [
            ("application/pdf", "Svar.pdf"), ("image/png", "kart.exe.png")]
        assert [epj.get(f"/{p['contentAttachment']['url']}").content for p in told[1:]] == [scan, PNG]
    (thread,) = hub.parts.messaging.of(KARI.reference)
    assert [f.title for f in thread.newest.files] == ["Svar.pdf", "kart.exe.png"] and thread.newest.text == "Her er svaret."


def test_files_of_xml_and_of_a_batch_are_kept_apart_all_the_same(hub: Machines) -> None:
    first = asked(hub)
    with api(hub, "epj-fhir") as epj:
        body = answer(first, payload=[{"contentString": "x"}, enclosed(PDF)])
        for kind in ("batch", "transaction"):
            made = epj.post("", json={"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "POST", "url": "Communication"}, "resource": body}]})
            assert made.status_code == 200 and made.json()["entry"][0]["response"]["status"].startswith("201") and base64.b64encode(PDF).decode() not in made.text
        xml = epj.get(f"/Communication/{first}", headers={"accept": "application/fhir+xml"}).text
        assert "<Communication" in xml
    assert rows(hub) == 2 and [len(m.files) for m in hub.parts.messaging.of(KARI.reference)[0].messages] == [0, 1, 1]


@pytest.mark.parametrize(("payload", "status", "number"), [
    *(([{"contentString": "x"}, enclosed(body)], 422, "BB-326") for name, body in HOSTILE.items() if body),
    ([{"contentString": "x"}, enclosed(large(10_000_001))], 422, "BB-327"), ([{"contentString": "x"}, *[enclosed(PDF)] * 6], 422, "BB-327"),
    ([enclosed(PDF, size=1)], 422, "BB-201"), ([enclosed(PDF, hash="AAAA")], 422, "BB-201"), ([enclosed(PDF, data="%%%")], 422, "BB-201"),
    ([{"contentAttachment": {"contentType": "application/pdf", "url": "https://example.org/a.pdf"}}], 422, "BB-201"),
], ids=[*(name for name, body in HOSTILE.items() if body), "too large", "too many", "another size", "another hash", "no base64", "elsewhere"])
def test_what_is_not_taken_is_refused_and_nothing_of_it_is_kept(hub: Machines, payload: list[object], status: int, number: str) -> None:
    first = asked(hub)
    with api(hub, "epj-fhir") as epj:
        refused = epj.post("/Communication", json=answer(first, payload=payload))
        assert (refused.status_code, refused.json()["resourceType"]) == (status, "OperationOutcome") and number in refused.text
    assert rows(hub) == 0 and len(hub.parts.messaging.of(KARI.reference)[0].messages) == 1


def test_another_clients_files_are_not_kept_either_and_no_large_body_gets_in_otherwise(hub: Machines) -> None:
    first = asked(hub)
    with api(hub, "leser") as reader, api(hub, "andre") as other, api(hub, "epj-fhir") as epj:
        for client in (reader, other):
            assert client.post("/Communication", json=answer(first, payload=[enclosed(PDF)])).status_code == 403
        large_one = {**answer(first, payload=[enclosed(large(5_000_000))]), "category": [{"text": "noe annet"}]}
        assert epj.post("/Communication", json=large_one).status_code == 413
        assert epj.post("/Communication", content=b"{" + b" " * 40_000_000, headers={"content-type": "application/fhir+json"}).status_code == 413
        assert epj.put("/Communication/x", content=b" " * 5_000_000, headers={"content-type": "application/fhir+json"}).status_code == 413
    assert rows(hub) == 0
