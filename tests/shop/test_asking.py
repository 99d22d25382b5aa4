"""An EPJ that owns its calendar is asked while somebody waits: over real HTTP, from an EPJ in a box, in the portal's shop and by the hub's rules."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from dataclasses import replace

from customers import CODE, booking, customers, first_free, order
from hubs import World
from machines import TOWN, hub_on

from adapters.demo.shop import planner
from adapters.epj.box import Box
from hub import app, making
from hub.adapter import Owner
from hub.asking import Asking
from hub.booking.views import Status
from hub.config import Misconfigured, read_adapter
from hub.problem import Problem, Refused, Unavailable
from hub.shop import Shop


class Partner:
    """A server that answers `$find` from an EPJ in a box, and can be told to fail."""

    def __init__(self, box: Box) -> None:
        self.box, self.asked, self.slow, self.status, self.body = box, [], threading.Event(), 200, b""
        self.slow.set()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                partner.asked.append(sent)
                partner.slow.wait(20)
                body = partner.body or json.dumps(partner.box.calendar(sent)).encode()
                try:
                    self.send_response(partner.status)
                    self.send_header("content-type", "application/fhir+json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/fhir/Appointment/$find"

    def close(self) -> None:
        self.slow.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


ADAPTER = """
title = "EPJ"
party = "8100101"
carrier = {{ kind = "memory" }}
seal = {{ kind = "plain" }}
format = {{ kind = "fhir" }}
departments = ["hjemmesykepleie"]
may = ["confirm"]
owner = "epj"
[ask]
carrier = {{ kind = "http", url = "{url}" }}
seal = {{ kind = "plain" }}
format = {{ kind = "fhir" }}
within = "{within}"
fresh = "10s"
"""


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
    return Shop(world.store, world.keeping, asking.free, asking.owned), asking


def replace_hub(world: World) -> Any:
    (world.home / "hub" / "hub.toml").write_text(
        '[hub]\nmunicipality = "S"\nenvironment = "test"\nher_id = "8100000"\nbase_url = "http://x"\nphone = "1"\nopening_hours = "x"\n')
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
