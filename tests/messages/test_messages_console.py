"""«Meldinger fra brukere»: an employee reads and answers what people wrote to a department whose messages no other system takes."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from hubs import World
from pages import application
from starlette.testclient import TestClient
from stores import audited
from visiting import csrf, text
from writing import HELLO, HELP, NURSING, RELIEF, faces, fields, log_in, messages, send, somebody

from hub.access import CONFIDENTIALITY
from hub.booking.messages import RECEIVED, SENDING
from hub.config import Operator
from hub.faces.sessions import digest

LIST = "/drift/brukermeldinger"


@pytest.fixture
def staff(world: World, client: TestClient) -> TestClient:
    """An employee, in a browser of their own."""
    made = TestClient(client.app, follow_redirects=False)
    assert made.post("/drift/logg-inn").headers["location"] == "/drift"
    return made


def opened(staff: TestClient, number: int = 0) -> str:
    """The address of a thread in the list."""
    return re.findall(rf'href="({LIST}/[0-9a-f-]+)"', staff.get(LIST).text)[number]


def answer(staff: TestClient, path: str, said: str) -> int:
    page = staff.get(path).text
    hidden = {k: unescape(v) for k, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page[page.index("<form method=\"post\" action=\"/drift/bruker"):])}
    return staff.post(path, data=hidden | {"tekst": said}).status_code


def test_an_employee_reads_and_answers_and_the_person_is_told_of_both(world: World, client: TestClient, staff: TestClient) -> None:
    """The whole of it without an EPJ: received when somebody opened it, answered in the thread, new to the person."""
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    thread = send(client)
    assert messages(world, kari.reference)[0].status == SENDING and world.store.deliveries_about(f"Communication/{thread.rpartition('/')[2]}") == []
    assert "1 Nytt fra brukere Meldinger som ingen har åpnet ennå." in text(staff.get("/drift").text)
    shown = staff.get(LIST).text
    assert "1 samtale venter på svar" in text(shown) and "Ny" in text(shown) and kari.name not in shown and HELLO not in shown
    path = opened(staff)
    page = staff.get(path).text
    assert HELLO in page and kari.name in page
    assert messages(world, kari.reference)[0].status == RECEIVED and "Mottatt av hjemmetjenesten" in text(client.get(thread).text)
    assert "Nytt fra brukere" not in text(staff.get("/drift").text) and f'href="{LIST}"' in staff.get("/drift").text
    world.clock.now += timedelta(minutes=5)
    assert answer(staff, path, "Hei! Det ordner vi.") == 303 and "Alle er besvart." in text(staff.get(LIST).text)
    last = messages(world, kari.reference)[-1]
    assert last.from_service and last.text == "Hei! Det ordner vi." and last.department == HELP
    assert "Du har én ny melding" in text(client.get("/").text) and "Hei! Det ordner vi." in client.get(thread).text
    log = audited(world.store, kari.reference)
    assert {(a.kind, a.reader, a.ground, a.channel) for a in log if a.channel == "console"} == {
        ("message", "staff:demo", "service", "console"), ("message-sent", "staff:demo", "service", "console")}
    assert "En ansatt i kommunen" in text(client.get("/hvem-har-sett").text) and "Svarer på meldinger" in text(client.get("/hvem-har-sett").text)


def test_answering_twice_by_accident_is_one_answer_and_an_empty_one_is_told(world: World, client: TestClient, staff: TestClient) -> None:
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    send(client)
    path = opened(staff)
    page = staff.get(path).text
    form = fields(page, path) | {"tekst": "Hei!"}
    assert [staff.post(path, data=form).status_code for _ in range(2)] == [303, 303] and len(messages(world, kari.reference)) == 2
    wrong = staff.post(path, data=form | {"tekst": " ", "nokkel": "ny"})
    assert wrong.status_code == 409 and "Svaret er tomt eller for langt" in text(wrong.text) and len(messages(world, kari.reference)) == 2
    assert staff.post(path, data={k: v for k, v in form.items() if k != "csrf"}).status_code == 403


def test_what_an_epj_takes_is_not_in_the_console(world: World, client: TestClient, staff: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    assert "Ingen meldinger" in text(staff.get(LIST).text)
    assert staff.get(f"{LIST}/{thread.rpartition('/')[2]}").status_code == 404


def test_who_became_protected_is_shown_to_nobody_and_the_list_says_that_somebody_waits(world: World, client: TestClient, staff: TestClient) -> None:
    """Fails closed, and is not forgotten."""
    kari = somebody(world, HELP)
    log_in(client, kari.reference)
    send(client)
    path = opened(staff)
    kept = world.store.get(*kari.reference.split("/"))
    assert kept is not None
    hidden = {**kept.resource, "meta": {"security": [{"system": CONFIDENTIALITY, "code": "fortrolig"}]}}
    world.store.write(lambda tx: tx.keep(hidden, origin="test"))
    shown = staff.get(LIST).text
    assert path not in shown and "1 samtale som venter på svar, gjelder noen med fortrolig adresse" in text(shown)
    assert staff.get(path).status_code == 404 and staff.post(path, data=csrf(staff, LIST) | {"tekst": "Hei"}).status_code == 404


@pytest.mark.parametrize(("departments", "sees"), [((), False), ((RELIEF,), False), ((HELP,), True), (("*",), True)])
def test_the_right_is_its_own_and_for_departments(world: World, departments: tuple[str, ...], sees: bool) -> None:
    """`messages` of an operator: booking for people gives no messages, and one department's gives no other's."""
    kari = somebody(world, HELP)
    with TestClient(application(faces(world)), follow_redirects=False) as client:
        log_in(client, kari.reference)
        thread = send(client)
    operators = (Operator("vakt", digest("en-nokkel"), True, frozenset(departments)),)
    with TestClient(application(faces(world, "production", operators=operators)), follow_redirects=False, base_url="https://testserver") as staff:
        answered = staff.post("/drift/logg-inn", data={"nokkel": "en-nokkel"}, headers={"origin": "https://testserver"})
        assert answered.status_code == 303
        path = f"{LIST}/{thread.rpartition('/')[2]}"
        assert (staff.get(LIST).status_code == 200) is bool(departments) and (staff.get(path).status_code == 200) is sees
        assert (f'href="{LIST}"' in staff.get("/drift").text) is bool(departments) and 'href="/drift/bestill"' in staff.get("/drift").text
    assert ("message" in {a.kind for a in audited(world.store, kari.reference) if a.reader == "staff:vakt"}) is sees
