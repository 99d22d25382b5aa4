"""What people choose and are told in the portal: how long a visit lasts, which notices they get and how, and which visits of a series were skipped."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from customers import CODE, booking, customers, order, shop_of
from hubs import World
from starlette.testclient import TestClient
from test_notices import Town, kind_of
from test_ordering_pages import PATH, fields, log_in, times
from visiting import csrf, text

from hub.booking import Department
from hub.booking.clock import at, local
from hub.booking.notices import Channel, Kind, Level, addresses, contact, level_of
from hub.booking.settings import changed, form_of
from hub.problem import Problem, Refused
from hub.repeating import Repeating
from hub.rolling import roll_slots


def lengths(world: World, told: str) -> Department:
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None
    made = changed(kept.resource, {**form_of(kept.resource), "lengder": told, "hvem": "person relative staff"})
    world.store.write(lambda tx: tx.keep(made, origin="hub"))
    return Department.of(made)


@pytest.mark.parametrize("wrong", ["tretti", "2", "30;60", "-30", "30, 9999"])
def test_lengths_are_minutes(world: World, wrong: str) -> None:
    with pytest.raises(Refused) as refused:
        lengths(world, wrong)
    assert refused.value.where == "lengder"


def test_a_length_that_is_not_offered_is_refused_and_never_shown(world: World) -> None:
    department = lengths(world, "60, 30")
    assert department.lengths == (30, 60) and form_of(world.store.get("HealthcareService", CODE).resource)["lengder"] == "30, 60"  # type: ignore[union-attr]
    shop, who = shop_of(world), customers(world)[0]
    assert not any(day.times for day in shop.free(who, CODE, world.clock.now, 45))
    start = next(t.start for day in shop.free(who, CODE, world.clock.now, 60) for t in day.times)
    for verb in (shop.hold, shop.book):
        with pytest.raises(Refused) as refused:
            verb(who, order("odd", start, minutes=45))
        assert refused.value.problem is Problem.LENGTH_NOT_OFFERED
    id_ = shop.book(who, order("hour", start, minutes=60))
    lengths(world, "30")
    later = next(t.start for day in shop.free(who, CODE, world.clock.now, moves=id_)[2:] for t in day.times)
    shop.book(who, order("m", later, minutes=60, moves=id_))
    assert booking(world, id_).end - booking(world, id_).start == timedelta(minutes=60), "a visit may keep its length"
    lengths(world, "")
    assert any(day.times for day in shop.free(who, CODE, world.clock.now, 45)), "where nothing is set, any length is taken"


def test_the_portal_asks_how_long_where_there_is_a_choice(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    log_in(client, kari.person)
    assert "Hvor lenge?" not in client.get(PATH).text
    lengths(world, "30, 60")
    page = client.get(f"{PATH}?minutter=60").text
    assert "Hvor lenge?" in page and "1 time" in page and "30 minutter" in page and "minutter=60" in page
    assert fields(page, PATH)["minutter"] == "60"
    held = client.post(PATH, data=fields(page, PATH) | {"tid": times(page)[3]})
    answer = client.post(f"{PATH}/bekreft", data=fields(held.text, f"{PATH}/bekreft"))
    id_ = answer.headers["location"].removeprefix("/besok/").partition("?")[0]
    assert booking(world, id_).end - booking(world, id_).start == timedelta(hours=1)
    assert fields(client.get(f"{PATH}?minutter=47").text, PATH)["minutter"] == "15", "a length that is not offered is not taken"
    assert client.get(f"{PATH}?minutter=²").status_code == 200


def test_a_person_chooses_what_to_hear_of_and_how(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    kept = world.store.get("Patient", kari.person.partition("/")[2])
    assert kept is not None
    both = {**kept.resource, "telecom": [{"system": "phone", "value": "900 00 123"}, {"system": "email", "value": "kari@example.no"}]}
    world.store.write(lambda tx: tx.keep(both, origin="hub"))
    log_in(client, kari.person)
    page = client.get("/varsler").text
    assert "900 00 123" not in page and "kari@" not in page and "•••• 123" in page and "k•••@example.no" in page
    assert 'value="normal" checked' in page and 'value="sms" checked' in page and 'href="/varsler"' in client.get("/").text
    saved = client.post("/varsler", data={"niva": "begrenset", "kanal": "email"} | csrf(client, "/varsler"))
    assert saved.headers["location"] == "/varsler?lagret=1"
    page = client.get("/varsler?lagret=1").text
    assert "Valget er lagret" in page and 'value="begrenset" checked' in page and 'value="email" checked' in page
    now = world.store.get("Patient", kept.id)
    assert now is not None and level_of(now.resource) is Level.LITTLE
    told = contact(now.resource)
    assert told is not None and told.channel is Channel.EMAIL and list(addresses(now.resource)) == [Channel.EMAIL, Channel.SMS]
    assert {k: v for k, v in now.resource.items() if k not in ("meta", "extension")} == {k: v for k, v in both.items() if k not in ("meta", "extension")}
    assert any(line.kind == "notices-changed" for line in world.store.audit_of(kari.person, 20))
    for wrong in ({"niva": "mye"}, {"niva": "full", "kanal": "brev"}):
        assert client.post("/varsler", data=wrong | csrf(client, "/varsler")).status_code == 409
    assert client.post("/varsler", data={"niva": "ingen", "kanal": "sms"} | csrf(client, "/varsler")).status_code == 303
    silent = world.store.get("Patient", kept.id)
    assert silent is not None and contact(silent.resource) is None
    world.store.write(lambda tx: tx.keep({k: v for k, v in silent.resource.items() if k != "telecom"}, origin="hub"))
    assert "verken mobilnummer eller e-postadresse" in client.get("/varsler").text


def test_the_skipped_visits_of_a_series_are_told_in_the_portal_and_by_a_notice(world: World, client: TestClient) -> None:
    town = Town(world)
    kari, repeating = town.kari, Repeating(town.shop, town.keeping.notify.missed)
    first = at(local(world.clock.now).date() + timedelta(days=1), time(10))
    third = first + timedelta(days=14)
    repeating.start(kari, order("s", first))
    town.sent()
    world.clock.now += timedelta(days=2)
    roll_slots(world.store)
    town.shop.book(kari, order("own", third))
    town.sent()
    repeating.roll()
    (notice,) = town.sent()
    assert kind_of(notice) is Kind.MISSED and not any(ch in notice["text"] for ch in ("10:00", "sykepleie"))
    (series,) = repeating.of(kari.person)
    assert series.missed == ((third, Problem.OVERLAPS_OWN),)
    repeating.roll()
    assert town.sent() == [], "told once"
    log_in(client, kari.person)
    page = text(client.get("/serier").text)
    assert "Disse besøkene kunne ikke bestilles" in page and "kl. 10:00" in page and Problem.OVERLAPS_OWN.text in page
    world.clock.now = third + timedelta(hours=1)
    assert "kunne ikke bestilles" not in text(client.get("/serier").text), "what is past is not told any more"
