"""A shop that is polled: every event is kept once and in order, whatever dies on the way, and the cursor never passes what was not kept."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hubs import HUB, World

from adapters.carriers.poll import PollCarrier, poll
from adapters.formats.mapped import mapped_format
from adapters.seals.plain import plain
from hub.adapter import Adapter, Surroundings
from hub.config import Misconfigured
from hub.flow import Flow
from hub.problem import Unavailable
from hub.settling import Settling
from hub.worker import Worker

PAGE = 4
TEMPLATE = tomllib.loads((Path(__file__).parents[2] / "adapters/vendors/tjenesteshop-polling.toml").read_text(encoding="utf-8"))


class ShopServer:
    """Hands out events behind a cursor, a few at a time, and takes verdicts."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.asked: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.status, self.body = 200, b""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.headers["authorization"] == "Bearer hemmelig"
                behind = parse_qs(urlsplit(self.path).query).get("etter", ["0"])[0]
                server.asked.append(behind)
                page = [e for e in server.events if not isinstance(e, dict) or e.get("lopenummer", 10**9) > int(behind)][:PAGE]
                self._answer(server.body or json.dumps({"hendelser": page}).encode())

            def do_POST(self) -> None:
                server.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(server.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def shop() -> Iterator[ShopServer]:
    made = ShopServer()
    yield made
    made.close()


def around(world: World, shop: ShopServer, **more: Any) -> Surroundings:
    """The template with its blanks filled in."""
    address = f"http://127.0.0.1:{shop.http.server_port}"
    (world.home / "hub" / "secrets").mkdir(exist_ok=True)
    (world.home / "hub" / "secrets" / "tjenesteshop.token").write_text("hemmelig\n")
    settings = {k: v for k, v in TEMPLATE["carrier"].items() if k != "kind"} | {"url": f"{address}/events", "send": f"{address}/told", "every": "0s"}
    return Surroundings(world.home / "hub", "tjenesteshop", "tjenesteshop", HUB, "Solbakken kommune", {**settings, **more})


def polled(world: World, shop: ShopServer) -> tuple[Adapter, Worker]:
    """The adapter anew, as after a restart."""
    where = around(world, shop)
    format_ = mapped_format(Surroundings(where.home, where.name, where.party, HUB, "", {"mapping": TEMPLATE["format"]["mapping"]}))
    adapter = Adapter("tjenesteshop", "tjenesteshop", poll(where), plain(where), format_, frozenset(), may_state=frozenset(TEMPLATE["may"]),
                      answers=TEMPLATE["answers"], answer_due=False, only_own=True)
    adapters = {**world.adapters, "tjenesteshop": adapter}
    flow = Flow(world.store, adapters, world.keeping, Settling(world.store, adapters, world.keeping.rejected), world.clock)
    return adapter, Worker(flow, 1)


def look(worker: Worker, adapter: Adapter) -> None:
    """One look, as the worker's thread does it."""
    for parcel, done in adapter.carrier.collect():
        worker._take(adapter, parcel, done)


def events(world: World, many: int) -> list[dict[str, Any]]:
    made = []
    orders = world.plan.orders("P")
    for number in range(1, many + 1):
        made.append({**next(orders).message("OPPRETT"), "lopenummer": number})
    return made


def kept(world: World) -> list[str]:
    found = world.store.write(lambda tx: tx.find("Appointment"))
    return sorted(i["value"] for s in found for i in s.resource["identifier"])


def test_every_event_is_kept_once_and_its_verdict_told(world: World, shop: ShopServer) -> None:
    shop.events = events(world, 10)
    shop.events[3] = {**shop.events[3], "avdeling": "finnes-ikke"}
    adapter, worker = polled(world, shop)
    look(worker, adapter)
    right = sorted(e["bestillingsId"] for e in shop.events if e["avdeling"] != "finnes-ikke")
    assert kept(world) == right
    assert [v["meldingsId"] for v in shop.told] == [e["meldingsId"] for e in shop.events]
    assert [v["problem"]["nummer"] for v in shop.told if v["status"] == "AVVIST"] == ["BB-205"]
    assert shop.asked == ["0", "4", "8", "10"], "page by page, until nothing is new"
    look(worker, adapter)
    assert shop.asked[-1] == "10" and len(shop.told) == 10

    shop.events.append({"meldingsId": "off", "handling": "AVBESTILL", "bestillingsId": right[0], "lopenummer": 11})
    again, worker = polled(world, shop)
    look(worker, again)
    assert shop.asked[-2:] == ["10", "11"], "a restart goes on where it was"
    assert world.store.write(lambda tx: sum(s.resource["status"] == "cancelled" for s in tx.find("Appointment"))) == 1


def test_what_dies_before_the_cursor_moves_comes_again_and_is_one_booking(world: World, shop: ShopServer) -> None:
    shop.events = events(world, 9)
    for number in range(9):
        adapter, worker = polled(world, shop)
        for parcel, _ in adapter.carrier.collect():
            worker._take(adapter, parcel, lambda: None)  # kept, and dead before the cursor moved
            break
        assert len(kept(world)) == number + 1
        adapter, worker = polled(world, shop)
        parcel, done = next(iter(adapter.carrier.collect()))
        worker._take(adapter, parcel, done)
        assert len(kept(world)) == number + 1, "the same event is the same booking"
    look(worker, adapter)
    assert kept(world) == sorted(e["bestillingsId"] for e in shop.events)


def test_the_cursor_never_passes_what_was_not_kept(world: World, shop: ShopServer, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.events = events(world, 6)
    adapter, worker = polled(world, shop)
    receive, broken = Flow.receive, [True]

    def failing(flow: Flow, from_: Adapter, parcel: Any) -> Any:
        if broken[0] and shop.events[2]["meldingsId"].encode() in parcel.body:
            raise RuntimeError("a bug of ours")
        return receive(flow, from_, parcel)

    monkeypatch.setattr(Flow, "receive", failing)
    look(worker, adapter)
    assert kept(world) == sorted(e["bestillingsId"] for e in shop.events[:2])
    look(worker, adapter)
    assert shop.asked[-1] == "2", "the one that failed is asked for again"
    broken[0] = False
    look(worker, adapter)
    assert len(kept(world)) == 6


def test_a_shop_that_answers_something_else_moves_nothing(world: World, shop: ShopServer) -> None:
    shop.events = events(world, 2)
    adapter, worker = polled(world, shop)
    look(worker, adapter)
    for status, body, more in (
        (500, b"", None), (200, b"<html>", None), (200, b"[]", None), (200, b"", {"meldingsId": "no-cursor"}), (401, b"", None),
    ):
        shop.status, shop.body = status, body
        shop.events = [*shop.events[:2], *([more] if more else [])]
        with pytest.raises(Unavailable):
            look(worker, adapter)
    shop.status, shop.body, shop.events = 200, b"", [*shop.events[:2], *[{**e, "lopenummer": 3} for e in events(world, 3)[2:]]]
    look(worker, adapter)
    assert len(kept(world)) == 3


def test_the_settings_are_checked_and_a_look_has_its_interval(world: World, shop: ShopServer) -> None:
    for missing in ("items", "cursor", "url", "parameter", "id"):
        where = around(world, shop)
        with pytest.raises(Misconfigured):
            PollCarrier(Surroundings(where.home, "x", "x", HUB, "", {k: v for k, v in where.settings.items() if k != missing}))
    carrier = poll(around(world, shop, every="1h"))
    assert list(carrier.collect()) == [] and list(carrier.collect()) == []
    assert len(shop.asked) == 1
    carrier.close()
