"""An EPJ that owns its calendar is asked while somebody waits: over real HTTP, from an EPJ in a box, in the portal's shop and by the hub's rules."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from dataclasses import replace

from calendars import ADAPTER, Partner
from customers import CODE, booking, customers, first_free, order
from hubs import World
from machines import TOWN, hub_on

from adapters.demo.least import least
from adapters.demo.shop import planner
from hub import app, making
from hub.adapter import Owner
from hub.asking import Asking
from hub.booking.clock import local
from hub.booking.views import Status
from hub.config import Misconfigured, read_adapter
from hub.message import Parcel
from hub.offering import Offering
from hub.problem import Problem, Refused, Unavailable
from hub.shop import Shop
from hub.waiting import WaitingList


@pytest.fixture
def partner(world: World) -> Iterator[Partner]:
    made = Partner(world.box)
    yield made
    made.close()


def made(world: World, partner: Partner, within: str = "5s") -> tuple[Shop, Asking]:
    """The shop of a hub whose home care is in a calendar of the EPJ's own."""
    path = world.home / "epj-owned.toml"
    path.write_text(ADAPTER.format(url=partner.url, within=within))
    hub = replace_hub(world)
    adapter = making.make_adapter(hub, read_adapter(path))
    assert adapter.owner is Owner.EPJ and adapter.line is not None
    asking = Asking({adapter.name: adapter}, world.clock, world.store.audit_later)
    keeping = replace(world.keeping, adapters={**world.adapters, adapter.name: adapter}, calendar=asking.known)
    return Shop(world.store, keeping, asking.free), asking


def replace_hub(world: World) -> Any:
    (world.home / "hub" / "hub.toml").write_text(least())
    return app.read_hub(world.home / "hub")


def test_free_times_are_what_the_calendar_and_the_rules_both_allow(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner)
    who = customers(world)[0]
    world.box.settings = replace(world.box.settings, busy=0.5)
    plain = {t.start for day in Shop(world.store, world.keeping).free(who, CODE, world.clock.now) for t in day.times}
    asked = {t.start for day in shop.free(who, CODE, world.clock.now) for t in day.times}
    assert asked < plain and asked
    (question,) = partner.asked
    assert {p["name"] for p in question["parameter"]} == {"start", "end", "healthcare-service"} and who.person not in json.dumps(question)
    end = next(p["valueInstant"] for p in question["parameter"] if p["name"] == "end")
    slots = {s["resource"]["start"] for s in world.box.calendar(question)["entry"]}
    assert end and asked == {t for t in plain if t.strftime("%Y-%m-%dT%H:%M:%SZ") in {s[:19] + "Z" for s in slots}}
    shop.free(customers(world)[1], CODE, world.clock.now)
    assert len(partner.asked) == 1, "an answer is good for some seconds"
    world.clock.now += timedelta(seconds=11)
    shop.free(who, CODE, world.clock.now)
    assert len(partner.asked) == 2
    assert [line.kind for line in world.store.audit_of(who.person, 10)] in ([], ["free-times"], ["free-times"] * 2)
    asking.close()


def test_a_time_that_the_calendar_has_not_free_can_be_neither_held_nor_booked(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner)
    who = customers(world)[0]
    world.box.settings = replace(world.box.settings, busy=0.5)
    plain = [t.start for day in Shop(world.store, world.keeping).free(who, CODE, world.clock.now) for t in day.times]
    free = {t.start for day in shop.free(who, CODE, world.clock.now) for t in day.times}
    taken = next(t for t in plain if t not in free)
    for verb in (shop.hold, shop.book):
        with pytest.raises(Refused) as refused:
            verb(who, order("taken", taken))
        assert refused.value.problem is Problem.FULL
    assert all(t.start in free for t in shop.nearest(who, order("taken", taken), world.clock.now))
    start = sorted(free)[0]
    id_ = shop.book(who, order("mine", start))
    assert booking(world, id_).status is Status.PENDING, "the service must confirm"
    assert shop.book(who, order("mine", start)) == id_
    world.box.settings = replace(world.box.settings, busy=1.0)
    world.clock.now += timedelta(seconds=11)
    assert [t.start for day in shop.free(who, CODE, world.clock.now, moves=id_) for t in day.times] == []
    with pytest.raises(Refused):
        shop.book(who, order("other", sorted(free)[-1]))
    assert shop.book(who, order("mine", start)) == id_, "the same order again is the same booking, whatever the calendar says now"
    asking.close()


def test_who_waits_is_not_kept_waiting_and_nothing_is_stored(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner, within="200ms")
    who = customers(world)[0]
    start = first_free(world, who)
    before = world.store.counts(), len(world.store.changes(0, 100_000))
    for fault in ("slow", "broken", "no-json", "outcome"):
        world.clock.now += timedelta(seconds=11)
        partner.slow.clear() if fault == "slow" else partner.slow.set()
        partner.status = 500 if fault == "broken" else 200
        partner.body = {"no-json": b"<html>", "outcome": b'{"resourceType": "OperationOutcome", "issue": []}'}.get(fault, b"")
        for ask in (lambda: shop.free(who, CODE, world.clock.now), lambda: shop.hold(who, order("x", start))):
            with pytest.raises(Unavailable):
                ask()
    asked = len(partner.asked)
    with pytest.raises(Unavailable):
        shop.book(who, order("x", start))
    assert len(partner.asked) == asked, "that nobody answered is remembered too"
    assert (world.store.counts(), len(world.store.changes(0, 100_000))) == before
    assert shop.free(customers(world, "dagsenter")[0], "dagsenter", world.clock.now), "other departments go on"
    asking.close()


def test_many_who_look_at_once_are_one_question(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner)
    department = shop.department(CODE)
    partner.slow.clear()
    started = threading.Barrier(8)

    def look() -> object:
        started.wait(10)
        return asking.free(department, world.clock.now)

    with ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(look) for _ in range(8)]
        partner.heard.acquire(timeout=10)
        partner.slow.set()
        found = [one.result(10) for one in looks]
    assert len(partner.asked) == 1 and all(one == found[0] for one in found) and found[0]
    asking.close()


def test_who_looks_second_waits_no_longer_than_their_own_time_limit(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner, within="300ms")
    department = shop.department(CODE)
    partner.slow.clear()
    with ThreadPoolExecutor(2) as pool:
        for look in [pool.submit(asking.free, department, world.clock.now) for _ in range(2)]:
            with pytest.raises(Unavailable):
                look.result(10)
    assert len(partner.asked) == 1
    partner.slow.set()
    asking.close()


def test_the_waiting_list_offers_only_what_the_calendar_has_free(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner)
    offering = Offering(world.keeping.check, calendar=asking.known)
    waits = WaitingList(replace(shop, keeping=replace(shop.keeping, freed=offering)), offering)
    who, day = customers(world)[0], local(world.clock.now).date() + timedelta(days=2)
    world.box.settings = replace(world.box.settings, busy=1.0)
    id_ = waits.join(who, CODE, [day], time(10), time(11), "k")
    assert offering.everywhere(world.store) == 0 and waits.of(who.person)[0].offer is None, "the hub's seats are free, the calendar is not"
    partner.status = 500
    world.clock.now += timedelta(seconds=11)
    assert offering.everywhere(world.store) == 0, "nobody can say: nobody is offered anything"
    partner.status, world.box.settings = 200, replace(world.box.settings, busy=0.0)
    world.clock.now += timedelta(seconds=11)
    asked = len(partner.asked)
    assert world.store.write(lambda tx: offering(tx, CODE)) == 0 and len(partner.asked) == asked, "whoever cancels does not wait for the EPJ"
    assert offering.everywhere(world.store) == 1
    world.box.settings = replace(world.box.settings, busy=1.0)
    world.clock.now += timedelta(seconds=11)
    with pytest.raises(Refused) as refused:
        waits.accept(who, id_)
    assert refused.value.problem is Problem.FULL
    world.box.settings = replace(world.box.settings, busy=0.0)
    world.clock.now += timedelta(seconds=11)
    assert waits.accept(who, id_) == id_ and booking(world, id_).status is Status.PENDING
    asking.close()


def test_a_letter_of_a_shop_is_held_to_the_calendar_and_never_waits_for_it(world: World, partner: Partner) -> None:
    shop, asking = made(world, partner)
    flow = replace(world.flow, keeping=shop.keeping)
    receive, shop_adapter = flow.receive, world.adapters["tjenesteshop"]

    def sent(order: Any) -> Any:
        body = json.dumps(order.message("OPPRETT")).encode()
        return receive(shop_adapter, Parcel({"content-type": "application/json"}, body)).verdict.problem

    world.box.settings = replace(world.box.settings, busy=1.0)
    assert sent(world.order()) is Problem.FULL
    world.clock.now += timedelta(seconds=11)
    partner.status = 500
    assert sent(world.order()) is None, "its answer to the booking decides"
    asking.close()


def test_what_owner_and_ask_must_say(tmp_path: Path) -> None:
    text = ADAPTER.format(url="http://x", within="4s")
    for wrong in (text.replace('owner = "epj"', 'owner = "shop"'), text.replace('owner = "epj"', 'owner = "hub"'), text.partition("[ask]")[0],
                  text.replace('"4s"', '"soon"')):
        (tmp_path / "a.toml").write_text(wrong)
        with pytest.raises(Misconfigured):
            read_adapter(tmp_path / "a.toml")


def test_where_the_hub_decides_a_booking_stands_at_once_and_a_move_too(world: World) -> None:
    epj = world.adapters["visma-profil"]
    world.adapters["visma-profil"] = replace(epj, owner=Owner.HUB)
    shop, who = Shop(world.store, world.keeping), customers(world)[0]
    id_ = shop.book(who, order("mine", first_free(world, who)))
    assert booking(world, id_).status is Status.BOOKED
    later = first_free(world, who, days_ahead=2, moves=id_)
    shop.book(who, order("move", later, moves=id_))
    kept = world.store.get("Appointment", id_)
    assert kept is not None and booking(world, id_).status is Status.BOOKED and booking(world, id_).start == later
    assert not any(e["url"].endswith("/moved-from") for e in kept.resource["extension"]) and {p["status"] for p in kept.resource["participant"]} == {"accepted"}
    assert len(world.store.deliveries_about(f"Appointment/{id_}")) >= 1, "the partner is told"


def test_find_and_the_booking_api_say_kindly_that_the_calendar_does_not_answer(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "epj.toml").write_text(ADAPTER.format(url="http://127.0.0.1:9/fhir", within="300ms"))
    with hub_on(home, "sqlite:///hub.db", per_minute=100_000) as hub:
        person = next(o for o in planner(TOWN, "asking", hub.clock.now).orders("A") if o.department == CODE).person
        with hub.http(authorization="Bearer simple-token") as client:
            about = {"person": {"value": person.national_id}, "department": CODE}
            answer = client.post("/booking/v1/times", json=about)
            assert answer.status_code == 503 and answer.headers["retry-after"] and answer.json()["code"] == "BB-901"
            assert "Prøv igjen" in answer.json()["title"] and "127.0.0.1" not in answer.text
            found = client.get("/fhir/Appointment/$find", params={"start": "2026-11-27T06:00:00Z", "end": "2026-11-28T06:00:00Z",
                                                                  "healthcare-service": CODE})
            assert found.status_code == 503 and found.json()["resourceType"] == "OperationOutcome"
            other = client.get("/fhir/Appointment/$find", params={"start": "2026-11-27T06:00:00Z", "end": "2026-11-28T06:00:00Z",
                                                                  "healthcare-service": "dagsenter"})
            assert other.status_code == 200 and other.json()["total"] > 0
