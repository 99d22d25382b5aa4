"""The waiting list in the portal, as a new user meets it: with plain forms, by relatives, and told by SMS."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from customers import CODE, booking, customers, order, set_number, shop_of
from hubs import World
from pages import application, context
from starlette.testclient import TestClient
from test_notices import PHONE, Town
from test_ordering_pages import PATH, fields, log_in
from test_waiting_list import OFFER, Line
from visiting import text

from hub.booking.notices import Kind
from hub.booking.notices import text as notice_text
from hub.booking.waiting import Waiting
from hub.delivery import State
from hub.noticing import Noticing
from hub.offering import Offering
from hub.shop import Shop
from hub.waiting import WaitingList

WAIT = f"{PATH}/venteliste"


@pytest.fixture
def line(world: World) -> Line:
    return Line(world)


@pytest.fixture
def client(world: World, line: Line) -> TestClient:
    made = application(context(world.store, world.clock, shop=line.shop, waiting=line.list))
    return TestClient(made, follow_redirects=False)


def asked(client: TestClient, line: Line, **more: str) -> dict[str, str]:
    page = client.get(WAIT).text
    assert f'name="dag.{line.day}"' in page
    return fields(page, WAIT) | {f"dag.{line.day}": "ja", "fra": "10:00", "til": "11:00"} | more


def test_from_no_time_that_fits_to_a_booked_visit(world: World, client: TestClient, line: Line) -> None:
    log_in(client, line.kari.person)
    assert WAIT in client.get(PATH).text, "the way there stands where times are chosen"
    answer = client.post(WAIT, data=asked(client, line))
    assert answer.headers["location"] == "/venteliste?ny=1"
    page = text(client.get("/venteliste?ny=1").text)
    assert "Du står på venteliste." in page and "kl. 10:00–11:00" in page and "Ja takk" not in page and CODE not in page
    assert "Vi har en ledig tid" not in text(client.get("/").text)
    line.free(0)
    assert "Vi har en ledig tid" in text(client.get("/").text)
    offered = client.get("/venteliste").text
    assert "Vi har en ledig tid: " in text(offered) and "Tiden holdes av for deg til" in text(offered)
    yes = re.search(r'action="(/venteliste/[^/]+/ja)"', offered)
    assert yes is not None
    receipt = client.post(yes[1], data=fields(offered, yes[1])).headers["location"]
    assert receipt.startswith("/besok/") and "Bestillingen er sendt" in text(client.get(receipt).text)
    assert booking(world, receipt.split("/")[2].partition("?")[0]).start == line.starts[0]
    assert "står ikke på noen venteliste" in text(client.get("/venteliste").text)


def test_no_thanks_leaving_and_an_offer_that_ran_out(world: World, client: TestClient, line: Line) -> None:
    log_in(client, line.kari.person)
    client.post(WAIT, data=asked(client, line))
    id_ = line.entry(line.kari).id
    line.free(0)
    page = client.get("/venteliste").text
    assert client.post(f"/venteliste/{id_}/nei", data=fields(page, f"/venteliste/{id_}/nei")).headers["location"] == "/venteliste?nei=1"
    line.free(1)
    world.clock.now += OFFER
    late = client.post("/logg-inn", data={"hvem": line.kari.person, "csrf": ""})
    assert late.status_code in (303, 403)
    log_in(client, line.kari.person)
    page = client.get("/venteliste").text
    assert "Ja takk" not in page
    gone = client.post(f"/venteliste/{id_}/ja", data=fields(page, f"/venteliste/{id_}/slett"))
    assert gone.status_code == 409 and "Tilbudet gjelder ikke lenger" in text(gone.text)
    assert client.post(f"/venteliste/{id_}/slett", data=fields(page, f"/venteliste/{id_}/slett")).headers["location"] == "/venteliste?slettet=1"
    assert client.post("/venteliste/0/nei", data=fields(page, f"/venteliste/{id_}/slett")).status_code == 409


def test_a_form_that_cannot_be_says_what_to_do_and_keeps_what_was_written(client: TestClient, line: Line) -> None:
    log_in(client, line.kari.person)
    for more, said in (
        ({f"dag.{line.day}": "ja", "fra": "11:00", "til": "10:00"}, "Velg minst én dag"), ({"fra": "tull"}, "Velg minst én dag"),
        ({"til": "12:00"}, "Det er ledig tid i tidsrommet"),
    ):
        answer = client.post(WAIT, data=asked(client, line, **more))
        assert answer.status_code == 409 and said in text(answer.text)
        assert f'name="dag.{line.day}" value="ja" checked' in answer.text
    assert f'href="{PATH}"' in answer.text
    none = {k: v for k, v in asked(client, line).items() if not k.startswith("dag.")}
    assert client.post(WAIT, data=none).status_code == 409
    assert client.get("/bestill/0000000000/venteliste").status_code == 404
    assert client.post("/bestill/0000000000/venteliste", data=asked(client, line)).status_code == 404


def test_an_offer_is_told_by_sms_without_saying_what_and_withdrawn_when_answered_at_night(world: World) -> None:
    town = Town(world)
    noticing = Noticing(world.adapters, "Solbakken kommune", "55 00 00 00")
    offering = Offering(world.keeping.check, noticing.waiting)
    line = Line(world)
    line.shop = Shop(world.store, replace(world.keeping, notify=noticing, freed=offering))
    line.list = WaitingList(line.shop, offering)
    town.tell(line.kari.person, PHONE)
    line.join(line.kari)
    line.free(0)
    (notice,) = hers(town, timedelta(minutes=1))
    assert notice["text"] == notice_text(Kind.OFFERED, "Solbakken kommune", "55 00 00 00")
    assert not re.search(r"\d\d:\d\d|jemme|http", json.dumps(notice))
    world.clock.now = world.clock.now.replace(hour=21, minute=30)  # 22:30 in Norway
    line.later(timedelta(0))
    line.free(1)
    offer = line.entry(line.kari).offer
    assert offer is not None and hers(town, timedelta(0)) == []
    line.list.decline(line.kari, line.entry(line.kari).id)
    told = world.store.deliveries_about(f"Appointment/{line.entry(line.kari).id}")
    assert [d.state for d in told if d.note == Kind.OFFERED] == [State.ACCEPTED if d.tries else State.SUPERSEDED for d in told]
    assert hers(town, timedelta(hours=10)) == []


def hers(town: Town, after: timedelta) -> list[dict[str, str]]:
    """What reaches Kari; whoever gives up a time is told of that."""
    return [notice for notice in town.sent(after) if notice["to"] == PHONE.replace(" ", "")]


def test_the_settings_and_the_console_know_the_waiting_list(world: World, client: TestClient, line: Line) -> None:
    set_number(world, "offer-minutes", 45)
    id_ = line.join(line.kari)
    line.free(0)
    entry = line.entry(line.kari)
    assert entry.offer is not None and entry.offer.until == world.clock.now + timedelta(minutes=45)
    assert client.post("/drift/logg-inn").headers["location"] == "/drift"
    page = text(client.get(f"/drift/avtale/{id_}").text)
    assert "Satt på venteliste" in page and "Tilbudt en ledig tid" in page
    assert 'name="offer-minutes" inputmode="numeric" value="45"' in unescape(client.get(f"/drift/avdelinger/{CODE}").text)
    kept = world.store.get("Appointment", id_)
    assert kept is not None and Waiting.of(kept.resource).department == CODE
    assert shop_of(world).nearest(customers(world)[3], order("n", line.starts[0]), world.clock.now)
