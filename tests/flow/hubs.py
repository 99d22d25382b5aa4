"""A whole hub in one process on a real store, with an EPJ in a box at the other end of a memory carrier: no network, everything else real."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from dev_keys import dev_pki
from settled import TOWN, settle

from adapters.carriers.memory import MemoryCarrier
from adapters.demo.shop import Order, Planner, planner
from adapters.epj.box import Box
from adapters.epj.settings import Settings
from adapters.formats.mapped import mapped_format
from adapters.formats.msghead import msghead_format
from adapters.registries import pki
from adapters.seals.ebms import ebms
from adapters.seals.plain import plain
from hub.adapter import Adapter, Surroundings
from hub.delivering import deliver
from hub.delivery import Patience
from hub.dialogue import Hearing, Messaging
from hub.elsewhen import Elsewhen
from hub.fhir import definitions, index, validate
from hub.flow import Flow
from hub.keeping import Keeping
from hub.message import Parcel
from hub.noticing import Noticing
from hub.settling import Settling
from hub.shop import Shop
from hub.store import Secrets, Store

HUB, EPJ = "8100000", "8100101"
ROOT = Path(__file__).parents[2]
FUNCTIONS: dict[str, Any] = tomllib.loads((ROOT / "mappings" / "functions.toml").read_text(encoding="utf-8"))


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class World:
    """`shop(order)` posts, `deliver()` sends everything due, `epj` answers; `epj_says()` brings what the EPJ owes."""

    def __init__(self, url: str, home: Path) -> None:
        self.clock = Clock()
        dev_pki(home / "pki", {HUB: "Solbakken kommune", EPJ: "Visma Profil"}, self.clock.now)
        pki.lay_out(home / "pki", home / "hub" / "certs", HUB, [EPJ])
        pki.lay_out(home / "pki", home / "epj" / "certs", EPJ, [HUB])
        self.home = home
        self.town = TOWN
        self.carrier, self.told = MemoryCarrier(), MemoryCarrier()
        settle(url, home / "hub", self.clock.now)
        secrets = Secrets.open(home / "hub")
        self.store = Store.open(
            url, secrets, clock=self.clock, entries=index.indexer(definitions.load(), secrets.hash_id),
        )
        self.adapters = {"tjenesteshop": self._shop(), "visma-profil": self._epj()}
        check = partial(validate.require, definitions=definitions.load())
        self.noticing = Noticing(self.adapters, "Solbakken kommune", "55 00 00 00")
        self.keeping = Keeping(self.adapters, check, hear=Hearing(check, self.noticing.written).state)
        self.messaging = Messaging(self.store, self.adapters, check, self.noticing.written)
        settling = Settling(self.store, self.adapters, self.keeping.rejected, (self.messaging.settled,), self.noticing.leaves)
        self.flow = Flow(self.store, self.adapters, self.keeping, settling, self.clock, Elsewhen(Shop(self.store, self.keeping)))
        self.box = Box(Settings(home / "epj", "visma-profil", "Visma Profil", EPJ, HUB, "", 0, functions=FUNCTIONS), self.clock)

    def _around(self, name: str, party: str, **settings: Any) -> Surroundings:
        return Surroundings(self.home / "hub", name, party, HUB, "Solbakken kommune", {"functions": FUNCTIONS, **settings})

    def _shop(self) -> Adapter:
        around = self._around("tjenesteshop", "tjenesteshop", mapping="tjenesteshop.toml")
        return Adapter("tjenesteshop", "tjenesteshop", self.told, plain(around), mapped_format(around), frozenset({"booking"}),
                       may_state=frozenset({"book", "move", "cancel"}), answers="reply", answer_due=False, only_own=True)

    def _epj(self) -> Adapter:
        around = self._around("visma-profil", EPJ)
        return Adapter("visma-profil", EPJ, self.carrier, ebms(around), msghead_format(around), frozenset({"booking", "message"}),
                       frozenset({"hjemmesykepleie"}), frozenset({"confirm", "assign", "move", "cancel", "complete", "message"}),
                       patience=Patience(pauses=(timedelta(minutes=1),)))

    @cached_property
    def plan(self) -> Planner:
        return planner(self.town, "flow", self.clock.now)

    def order(self) -> Order:
        """One that every rule allows, with the department of the EPJ."""
        order = next(o for o in self.plan.orders("T") if o.department == "hjemmesykepleie")
        return replace(order, id=f"T-{self.clock.now:%f}-{order.id}")

    def shop(self, body: bytes, message_id: str = "") -> Any:
        headers = {"content-type": "application/json"} | ({"x-message-id": message_id} if message_id else {})
        return self.flow.receive(self.adapters["tjenesteshop"], Parcel(headers, body))

    def deliver(self) -> int:
        """Claims and sends once; how many letters left."""
        claimed = self.store.claim(dict.fromkeys(self.adapters, 50), self.clock.now, timedelta(minutes=1), "test")
        for name, letters in groupby(claimed, lambda delivery: delivery.adapter):
            deliver(self.flow, self.adapters[name], list(letters))
        return len(claimed)

    def to_epj(self) -> None:
        """What lies in the carrier reaches the EPJ; its immediate answers come back."""
        while self.carrier.sent:
            reply = self.box.receive(self.carrier.sent.pop(0))
            if reply is not None:
                self.flow.receive(self.adapters["visma-profil"], reply)

    def epj_says(self, *, twice: bool = False) -> int:
        """What the EPJ owes reaches the hub; how many letters."""
        self.box._tell()
        owed = self.box.records.due(10**12)
        for letter in owed:
            for _ in range(2 if twice else 1):
                answer = self.flow.receive(self.adapters["visma-profil"], Parcel(letter.headers, letter.parcel))
                assert answer.parcel is not None
                self.box.receive(answer.parcel)
        return len(owed)

    def until_quiet(self) -> None:
        """Everybody talks until nobody has anything to say."""
        for _ in range(100):
            busy = self.deliver()
            self.to_epj()
            if not busy + self.epj_says():
                return
        raise AssertionError("they never stop talking")

    def close(self) -> None:
        self.box.records.close()
        self.store.close()
