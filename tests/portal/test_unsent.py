"""Nothing that somebody wrote is lost because they were logged out meanwhile; and nobody else finds it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from pages import TOKEN, Clock
from starlette.testclient import TestClient
from test_mandates import FORM, NEW, holders
from town import NOW, uid
from visiting import Person, choose, csrf, text

from hub.faces import unsent
from hub.store import Store

WISH = FORM | {"nokkel": "n"}


def late(person: Person, clock: Clock) -> TestClient:
    """Kari fills in a form, and sends it when her session is over."""
    client = person("Patient/kari")
    token = csrf(client, "/fullmakt/ny")
    clock.forward(minutes=31)
    assert client.get("/fullmakt").headers["location"] == "/logg-inn?utlopt=1", "another tab found out first"
    assert client.post("/fullmakt/ny", data=WISH | token).headers["location"] == "/logg-inn?utlopt=1"
    return client


def log_in(client: TestClient, who: str) -> str:
    return str(client.post("/logg-inn", data={"hvem": f"{who.partition('/')[0]}/{uid(who.partition('/')[2])}"}).headers["location"])


@pytest.mark.spec("portal.md", "P28")
def test_what_was_sent_too_late_is_sent_after_the_login_when_its_writer_says_so(person: Person, clock: Clock, town_store: Store) -> None:
    client = late(person, clock)
    assert holders(town_store) == [] and log_in(client, "Patient/kari") == "/fortsett"
    page = client.get("/fortsett").text
    hidden = {name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.partition("</form>")[0] + page)}
    hidden.pop("forkast")
    assert "Det du skrev, er ikke sendt ennå" in text(page) and hidden["navn"] == FORM["navn"]
    answer = client.post("/fortsett", data=hidden)
    assert (answer.status_code, answer.headers["location"]) == (307, "/fullmakt/ny")
    assert client.post("/fullmakt/ny", data=hidden).headers["location"] == "/fullmakt?gitt=1" and len(holders(town_store)) == 1
    assert client.get("/fortsett").headers["location"] == "/", "and is not offered again"


def test_it_can_be_thrown_away(person: Person, clock: Clock) -> None:
    client = late(person, clock)
    log_in(client, "Patient/kari")
    assert client.post("/fortsett", data={"forkast": "ja"} | csrf(client, "/fortsett")).headers["location"] == "/"
    client.post("/logg-ut", data=csrf(client, "/velg"))
    assert log_in(client, "Patient/kari") == "/"


def test_nobody_else_finds_it_and_it_is_kept_for_two_hours(person: Person, clock: Clock, town_store: Store) -> None:
    client = late(person, clock)
    assert log_in(client, "Patient/per") == "/" and client.get("/fortsett").headers["location"] == "/"
    stored = town_store.write(lambda tx: [bytes(body) for (body,) in tx.connection.rows("select body from content where kind = 'draft'")])
    assert len(stored) == 1 and NEW.encode() not in stored[0] and b"Sofie" not in stored[0]
    town_store.prune(NOW + unsent.HELD)
    client.post("/logg-ut", data=csrf(client, "/velg"))
    assert log_in(client, "Patient/kari") == "/"


def test_a_page_from_before_the_login_loses_nothing_and_a_page_from_elsewhere_gets_nothing(person: Person, clock: Clock, town_store: Store) -> None:
    """Two tabs: one is open from an earlier login, and the other has logged in again."""
    client = person("Patient/kari")
    old = csrf(client, "/fullmakt/ny")
    client.post("/logg-inn", data={"hvem": f"Patient/{uid('kari')}"} | old)
    answer = client.post("/fullmakt/ny", data=WISH | old, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 403 and f'name="navn" value="{FORM["navn"]}"' in answer.text and holders(town_store) == []
    fresh = re.search(r'name="csrf" value="(\w+)"', answer.text.partition('action="/fullmakt/ny"')[2])
    assert fresh and client.post("/fullmakt/ny", data=WISH | {"csrf": fresh[1]}).status_code == 303
    for site in ({}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "none"}):
        refused = client.post("/fullmakt/ny", data=WISH | old, headers=site)
        assert refused.status_code == 403 and FORM["navn"] not in refused.text
    clock.forward(minutes=31)
    assert client.post("/fullmakt/ny", data=WISH | {"csrf": "x"}).status_code == 303 and log_in(client, "Patient/kari") == "/", "of no session: not kept"


def test_a_page_about_one_person_is_never_sent_about_another(person: Person) -> None:
    """Ola has a page about Kari open, and goes over to Per in another tab: what he wrote must not become Per's."""
    client = person("RelatedPerson/ola-kari")
    choose(client, "m-kari")
    old = csrf(client, "/fullmakt")
    choose(client, "m-per")
    answer = client.post("/meldinger/ny", data={"tekst": "Om Kari"} | old, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 403 and "Om Kari" not in answer.text and "byttet person i en annen fane" in text(answer.text)


def test_an_operator_finds_it_too(client: TestClient, clock: Clock) -> None:
    client.post("/drift/logg-inn", data={"nokkel": TOKEN})
    token = csrf(client, "/drift")
    clock.forward(minutes=31)
    assert client.post("/drift/avdelinger/ny", data={"kode": "ny", "navn": "Natt"} | token).headers["location"] == "/drift/logg-inn?utlopt=1"
    assert client.post("/drift/logg-inn", data={"nokkel": TOKEN}).headers["location"] == "/drift/fortsett"
    assert 'name="navn" value="Natt"' in client.get("/drift/fortsett").text
