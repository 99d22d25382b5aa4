"""An employee books, moves and cancels for somebody who called: by the rules, past a soft one with a reason, never past a seat."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from customers import CODE, booking, customers, first_free, order, set_number, shop_of
from hubs import World
from pages import application, context, served
from starlette.testclient import TestClient
from visiting import csrf, text

from hub.booking import Status
from hub.booking.clock import local
from hub.booking.conventions import FNR, identifier
from hub.faces.context import Operator
from hub.faces.sessions import digest
from hub.rolling import roll_slots

REASON = "Ringte, pårørende bortreist"


@pytest.fixture
def staff(client: TestClient) -> TestClient:
    assert client.post("/drift/logg-inn").headers["location"] == "/drift"
    return client


def number_of(world: World, person: str) -> str:
    kept = world.store.get("Patient", person.partition("/")[2])
    assert kept is not None
    return identifier(kept.resource, FNR)


def hidden(page: str) -> dict[str, str]:
    return {k: unescape(v) for k, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)}


def fields(page: str, start: datetime, **more: str) -> dict[str, str]:
    wall = local(start)
    found = re.search(r'<form method="post" action="/drift/bestill/.*?</form>', page, re.DOTALL)
    assert found is not None
    return hidden(found[0]) | {"avdeling": CODE, "dag": f"{wall:%Y-%m-%d}", "klokke": f"{wall:%H:%M}"} | more


def open_page(world: World, staff: TestClient, person: str) -> tuple[str, str]:
    """The page's path and text, found by the national id as an employee does."""
    answer = staff.post("/drift/bestill", data=hidden(staff.get("/drift/bestill").text) | {"nummer": number_of(world, person)})
    path = answer.headers["location"]
    assert path == f"/drift/bestill/{person.partition('/')[2]}"
    return path, staff.get(path).text


def made(world: World, person: str) -> str:
    """The id of the only booking."""
    (id_,) = [s.id for s in world.store.write(lambda tx: tx.find("Appointment", patient=person)) if s.resource["status"] != "cancelled"]
    return id_


def test_within_the_rules_a_booking_needs_no_reason_and_is_not_self_service(world: World, staff: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kari = customers(world)[0]
    assert 'href="/drift/bestill"' in staff.get("/drift").text
    path, page = open_page(world, staff, kari.person)
    answer = staff.post(path, data=fields(page, first_free(world, kari)))
    assert answer.headers["location"] == f"{path}?gjort=ny" and "Besøket er bestilt." in text(staff.get(answer.headers["location"]).text)
    kept = world.store.get("Appointment", made(world, kari.person))
    assert kept is not None and kept.origin == "tjenesteshop-ansatt"
    lines = world.store.audit_of(kari.person, 10)
    assert {(a.reader, a.ground, a.channel) for a in lines} == {("staff:demo", "staff", "console")} and "book" in {a.kind for a in lines}
    assert number_of(world, kari.person) not in caplog.text + page


def test_past_a_soft_rule_the_rule_is_named_a_reason_is_asked_for_and_stands_on_the_timeline(world: World, staff: TestClient) -> None:
    kari = customers(world)[0]
    path, page = open_page(world, staff, kari.person)
    night = first_free(world, kari).replace(hour=2, minute=0) + timedelta(days=1)
    stopped = staff.post(path, data=fields(page, night))
    assert stopped.status_code == 409 and "utenfor åpningstiden" in text(stopped.text) and "Bestill likevel" in text(stopped.text)
    assert "Nærmeste tider innenfor reglene" in text(stopped.text)
    silent = staff.post(path, data=fields(stopped.text, night, fravik="ja", begrunnelse=" x "))
    assert silent.status_code == 409 and "Skriv en begrunnelse" in text(silent.text) and "Bestill likevel" in text(silent.text)
    done = staff.post(path, data=fields(silent.text, night, fravik="ja", begrunnelse=f"{REASON} {number_of(world, kari.person)}"))
    assert done.status_code == 303
    id_ = made(world, kari.person)
    assert booking(world, id_).start == night and booking(world, id_).decision
    timeline = text(staff.get(f"/drift/avtale/{id_}").text)
    assert f"BB-301: {REASON}" in timeline and number_of(world, kari.person) not in str(world.store.timeline(f"Appointment/{id_}"))


def test_late_moves_and_cancellations(world: World, staff: TestClient) -> None:
    kari = customers(world)[0]
    id_ = shop_of(world).book(kari, order("k", first_free(world, kari, days_ahead=0)))
    world.clock.now = booking(world, id_).start - timedelta(minutes=30)
    staff.post("/drift/logg-inn")
    path, page = open_page(world, staff, kari.person)
    assert f"?flytt={id_}" in page and f"?avbestill={id_}" in page
    new = booking(world, id_).start + timedelta(hours=1)
    stopped = staff.post(path, data=fields(staff.get(f"{path}?flytt={id_}").text, new))
    assert stopped.status_code == 409 and "for sent" in text(stopped.text)
    moved = staff.post(path, data=fields(stopped.text, new, fravik="ja", begrunnelse=REASON))
    assert moved.headers["location"] == f"{path}?gjort=flytt" and booking(world, id_).start == new
    world.clock.now = new - timedelta(minutes=5)
    assert staff.post("/drift/logg-inn").status_code == 303
    asked = staff.get(f"{path}?avbestill={id_}").text
    stopped = staff.post(path, data=fields(asked, new))
    assert stopped.status_code == 409 and "Avlys likevel" in text(stopped.text)
    staff.post(path, data=fields(stopped.text, new, fravik="ja", begrunnelse=REASON))
    assert booking(world, id_).status is Status.CANCELLED
    kept = world.store.get("Appointment", id_)
    assert kept is not None and kept.resource["cancelationReason"]["coding"][0]["code"] == "AAT"
    said = [e.text for e in world.store.timeline(f"Appointment/{id_}") if e.kind in ("move", "cancel")]
    assert said == [f"BB-304: {REASON}"] * 2


def test_a_full_time_is_full_for_staff_too(world: World, staff: TestClient) -> None:
    set_number(world, "capacity", 1)
    roll_slots(world.store)
    kari, ola, *_ = customers(world)
    start = first_free(world, kari)
    shop_of(world).book(ola, order("o", start))
    path, page = open_page(world, staff, kari.person)
    for more in ({}, {"fravik": "ja", "begrunnelse": REASON}):
        stopped = staff.post(path, data=fields(page, start, **more))
        assert stopped.status_code == 409 and "opptatt" in text(stopped.text) and "likevel" not in text(stopped.text)


def test_what_cannot_be_found_or_is_not_allowed_is_told_as_nothing(world: World, staff: TestClient) -> None:
    kari, ola, *_ = customers(world)
    for nonsense in ("", "12345", "11111111111"):
        answer = staff.post("/drift/bestill", data=hidden(staff.get("/drift/bestill").text) | {"nummer": nonsense})
        assert answer.status_code == 404 and "Fant ingen" in text(answer.text)
    kept = world.store.get("Patient", kari.person.partition("/")[2])
    assert kept is not None
    label = {"system": "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality", "code": "fortrolig"}
    world.store.write(lambda tx: tx.keep({**kept.resource, "meta": {"security": [label]}}, origin="test"))
    answer = staff.post("/drift/bestill", data=hidden(staff.get("/drift/bestill").text) | {"nummer": number_of(world, kari.person)})
    assert answer.status_code == 404 and staff.get(f"/drift/bestill/{kari.person.partition('/')[2]}").status_code == 404
    assert staff.get("/drift/bestill/nobody").status_code == 404
    path, page = open_page(world, staff, ola.person)
    other = shop_of(world).book(customers(world)[2], order("k", first_free(world, customers(world)[2])))
    assert staff.get(f"{path}?flytt={other}").status_code == 404
    start = first_free(world, ola)
    for more in ({"handling": "avbestill", "besok": other}, {"handling": "flytt", "besok": other}, {"handling": "tull"}, {"avdeling": "tull"}, {"dag": "i morgen"}):
        assert staff.post(path, data=fields(page, start, **more)).status_code == 409, more
    assert booking(world, other).status is Status.PENDING


def test_an_operator_who_may_not_book_finds_no_such_page(world: World) -> None:
    operators = (Operator("drift", digest("a")), Operator("kontor", digest("b"), books=True))
    app = application(context(world.store, world.clock, environment="test", shop=shop_of(world), operators=operators))
    with TestClient(app, follow_redirects=False) as client:
        client.post("/drift/logg-inn", data={"nokkel": "a"})
        assert client.get("/drift/bestill").status_code == 404 and 'href="/drift/bestill"' not in client.get("/drift").text
        assert client.get(f"/drift/bestill/{customers(world)[0].person.partition('/')[2]}").status_code == 404
        page = client.get("/drift").text
        assert client.post("/drift/bestill", data=hidden(page)).status_code == 404
        client.post("/drift/logg-ut", data=hidden(page))
        client.post("/drift/logg-inn", data={"nokkel": "b"})
        assert client.get("/drift/bestill").status_code == 200
        assert csrf(client, "/drift/bestill")
    assert replace(operators[0], books=True).books


@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_in_chromium(chromium: str, tmp_path: Path, width: int) -> None:
    town = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    kari = customers(town)[0]
    shop_of(town).book(kari, order("k", first_free(town, kari)))
    with served(application(context(town.store, town.clock, shop=shop_of(town)))) as address:
        for browser in browser_in(chromium):
            with Watched(browser, address, viewport={"width": width, "height": 800}) as watched:
                page = watched.page
                page.goto(f"{address}/drift/logg-inn")
                page.get_by_role("button", name="Logg inn som operatør").click()
                page.get_by_role("link", name="Bestill for").click()
                watched.axe(page, TAGS)
                page.locator("#nummer").fill(number_of(town, kari.person))
                page.get_by_role("button", name="Finn personen").click()
                watched.axe(page, TAGS)
                assert clipped(page) == []
                page.locator(f'input[value="{CODE}"]').check()
                page.locator("#dag").fill(f"{local(town.clock.now) + timedelta(days=2):%Y-%m-%d}")
                page.locator("#klokke").fill("03:00")
                page.locator("#utfor").click()
                watched.axe(page, TAGS)
                assert clipped(page) == []
                page.locator("#begrunnelse").fill(REASON)
                page.locator("#fravik").click()
                assert "Besøket er bestilt." in page.get_by_role("status").inner_text()
                assert all(seen for _, seen in watched.tab_through(page, 120))
    town.close()
