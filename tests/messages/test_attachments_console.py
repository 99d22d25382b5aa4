"""Files in the console: an employee who answers a department's messages fetches and sends them, and nobody else there does."""

from __future__ import annotations

import re

import pytest
from files import HOSTILE, JPEG, PDF, form
from hubs import World
from pages import application
from starlette.testclient import TestClient
from stores import audited
from test_attachments_pages import LINK as PORTAL_LINK
from test_attachments_pages import post
from test_messages_console import LIST, opened
from test_messages_console import staff as staff
from visiting import text
from writing import HELP, NURSING, RELIEF, faces, fields, log_in, messages, somebody

from hub.access import CONFIDENTIALITY
from hub.booking.attachments import File
from hub.config import Operator
from hub.faces.sessions import digest

LINK = re.compile(rf'href="({LIST}/[^"]+/vedlegg/[^"]+)"')


def test_an_employee_fetches_what_came_and_answers_with_a_file(world: World, client: TestClient, staff: TestClient) -> None:
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    thread = post(client, File("Søknad.pdf", PDF)).headers["location"].partition("?")[0]
    assert "Søknad" not in staff.get(LIST).text
    path = opened(staff)
    page = staff.get(path).text
    assert "Søknad.pdf (PDF, 1 kB)" in text(page) and "PDF, JPEG eller PNG. Høyst 5 filer, 10 MB til sammen." in text(page)
    got = staff.get(LINK.findall(page)[0])
    assert got.content == PDF and got.headers["content-security-policy"].endswith("sandbox") and got.headers["content-type"] == "application/pdf"
    answered = staff.post(path, data=fields(page, path) | {"tekst": "Her er kartet."}, files=form(File("kart.jpg", JPEG)))
    assert answered.status_code == 303
    shown = client.get(thread).text
    assert "kart.jpg (JPEG-bilde, 1 kB)" in text(shown) and client.get(PORTAL_LINK.findall(shown)[-1]).content == JPEG
    lines = {(a.kind, a.reader, a.ground, a.channel) for a in audited(world.store, kari.reference) if a.kind == "message-file"}
    assert ("message-file", "staff:demo", "service", "console") in lines


@pytest.mark.parametrize("body", [HOSTILE["a page"], b""], ids=["a page", "nothing"])
def test_what_is_no_such_file_is_told_by_the_field(world: World, client: TestClient, staff: TestClient, body: bytes) -> None:
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    post(client)
    path = opened(staff)
    page = staff.get(path).text
    wrong = staff.post(path, data=fields(page, path) | {"tekst": "Hei!"}, files=form(File("x.pdf", body)))
    assert wrong.status_code == 409 and "Filen «x.pdf» er" in text(wrong.text) and "Hei!" in wrong.text and 'id="vedlegg-feil" role="alert"' in wrong.text
    assert len(messages(world, kari.reference)) == 1


def test_another_departments_or_a_protected_persons_file_does_not_exist(world: World, client: TestClient, staff: TestClient) -> None:
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    post(client, File("a.pdf", PDF))
    path = opened(staff)
    (link,) = LINK.findall(staff.get(path).text)
    assert staff.get(f"{path}/vedlegg/00000000-0000-0000-0000-000000000000").status_code == 404
    nursed = somebody(world, NURSING)
    other = TestClient(client.app, follow_redirects=False)
    log_in(other, nursed.reference)
    theirs = PORTAL_LINK.findall(other.get(post(other, File("b.pdf", PDF)).headers["location"]).text)[0]
    assert staff.get(theirs.replace("/meldinger/", f"{LIST}/")).status_code == 404, "an EPJ takes that department's"
    assert staff.get(f"{path}/vedlegg/{theirs.rpartition('/')[2]}").status_code == 404
    kept = world.store.get(*kari.reference.split("/"))
    assert kept is not None
    hidden = {**kept.resource, "meta": {"security": [{"system": CONFIDENTIALITY, "code": "fortrolig"}]}}
    world.store.write(lambda tx: tx.keep(hidden, origin="test"))
    assert staff.get(link).status_code == 404


@pytest.mark.parametrize(("departments", "gets"), [((), False), ((RELIEF,), False), ((HELP,), True)])
def test_the_right_is_that_of_reading(world: World, client: TestClient, departments: tuple[str, ...], gets: bool) -> None:
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    (link,) = PORTAL_LINK.findall(client.get(post(client, File("a.pdf", PDF)).headers["location"]).text)
    operators = (Operator("vakt", digest("en-nokkel"), True, frozenset(departments)),)
    with TestClient(application(faces(world, "production", operators=operators)), follow_redirects=False, base_url="https://testserver") as browser:
        browser.post("/drift/logg-inn", data={"nokkel": "en-nokkel"}, headers={"origin": "https://testserver"})
        got = browser.get(link.replace("/meldinger/", f"{LIST}/"))
        assert got.status_code == (200 if gets else 404) and (got.content == PDF) is gets
