"""The world of tests/flow with EDI 2.0 between the hub and the EPJ: a Meldingstjener in a box on a real port, HelseID and all.

The hub's adapter is made of the template that we ship, by its entry points: what a municipality would fill in is filled in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hubs import EPJ, FUNCTIONS, HUB, ROOT, World
from joserfc.jwk import ECKey
from test_flow import booked

from adapters.demo.processes import free_ports
from adapters.epj.box import Box
from adapters.epj.meldingstjener import Fault, Request, Service, serving
from adapters.epj.settings import Faults, Settings
from adapters.epj.sts import Client, Sts
from hub import making
from hub.adapter import Adapter
from hub.config import Hub, read_adapter
from hub.delivery import Delivery, State
from hub.problem import Unavailable
from hub.worker import Worker

NAME = "visma-profil"
"""The adapter that the world's department belongs to; how it is reached is what its file says."""
STRANGER = "8199999"
BLANKS = {
    "<the EPJ's HER-id>": EPJ, "<the client's id in HelseID>": "hub", '"15s"': '"0s"', '"<HealthcareService ids that live in this EPJ>"': '"hjemmesykepleie"',
}


class EdiWorld(World):
    """`hub_looks()` is one visit of the hub's worker to the service, `epj_looks()` one of the EPJ's."""

    service: Service
    port: int

    @classmethod
    @contextmanager
    def opened(cls, url: str, home: Path, faults: Faults = Faults()) -> Iterator[EdiWorld]:
        world = cls(url, home)
        (world.port,) = free_ports(1)
        issuer = f"http://127.0.0.1:{world.port}"
        keys = {"hub": _key(home / "hub" / "secrets" / "helseid.jwk"), "epj": _key(home / "epj" / "helseid.jwk")}
        hers = {"hub": frozenset({int(HUB)}), "epj": frozenset({int(EPJ)})}
        world.service = Service(Sts(issuer, {name: Client(name, key, hers[name]) for name, key in keys.items()}))
        world.adapters[NAME] = world.made()
        world.box.records.close()
        helseid = {"issuer": issuer, "client_id": "epj", "key_file": "helseid.jwk", "scope": "nhn:msh/api"}
        world.box = Box(Settings(
            home / "epj", NAME, "EPJ i boks", EPJ, HUB, "", 0, functions=FUNCTIONS, faults=faults, edi={"url": issuer, "helseid": helseid, "every": "0s"},
        ), world.clock)
        with serving(world.service, world.port):
            yield world
            world.adapters[NAME].carrier.close()
            world.close()

    def made(self, **more: str) -> Adapter:
        """The hub's adapter, by the template and its entry points; `more` are further texts to replace."""
        text = (ROOT / "adapters" / "vendors" / "nhn-meldingstjener.toml").read_text(encoding="utf-8")
        at = f"http://127.0.0.1:{self.port}"
        for blank, value in {**BLANKS, "https://api.hn-tjener.prod.melding.nhn.no": at, "https://helseid-sts.nhn.no": at, **more}.items():
            assert blank in text, blank
            text = text.replace(blank, value)
        path = self.home / "hub" / "adapters" / f"{NAME}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        hub = Hub(self.home / "hub", "Solbakken", "test", HUB, "http://h", "127.0.0.1", 0, "", "1", "1")
        return replace(making.make_adapter(hub, read_adapter(path)), pause=timedelta(milliseconds=20))

    @property
    def carrier_(self) -> Any:
        return self.adapters[NAME].carrier

    def booked(self) -> tuple[str, Delivery]:
        """A booking, and the letter that is owed for it."""
        id_, _ = booked(self)
        (owed,) = [d for d in self.store.deliveries_about(f"Appointment/{id_}") if d.state is State.DUE]
        return id_, owed

    def hub_looks(self) -> bool:
        """What lies for the hub is taken, as its worker does. Whether it got to the end."""
        try:
            Worker(self.flow, 1)._visit(self.adapters[NAME])
        except Unavailable:
            return False
        return True

    def epj_looks(self) -> None:
        """Nothing of the EPJ's waits for its own clock."""
        self.box.records._db.execute("update outbox set due = 0 where state = 'due'")
        self.box._collect()
        self.box._tell()
        self.box._send()

    def goes_on(self, rounds: int = 100) -> None:
        """Everybody talks until nobody has anything to say."""
        for _ in range(rounds):
            before = len(self.service.messages)
            self.deliver()
            self.epj_looks()
            self.hub_looks()
            unread = any(not kept.read for kept in self.service.messages if kept.receiver != int(STRANGER) and kept.state != "Rejected")
            owed = self.store.deliveries((State.DUE, State.SENT), NAME, None, 9)
            if len(self.service.messages) == before and not unread and not owed and not self.box.records.due(10**12):
                return
            self.clock.now += timedelta(minutes=1)
        raise AssertionError("they never stop talking")

    def state(self, delivery: Delivery) -> State:
        kept = self.store.delivery(delivery.id)
        assert kept is not None
        return kept.state

    def asked(self, method: str, part: str = "") -> list[Request]:
        """Requests to the API that were made, of one method and with a part of a path."""
        return [r for r, _ in self.service.seen if r.method == method and r.path.startswith("/Messages") and part in r.path]


def once(fault: Fault, method: str, part: str = "/Messages", skip: int = 0) -> Any:
    """This fault for one request of this kind, after `skip` of them."""
    left = [None] * skip + [fault]

    def decides(request: Request) -> Fault | None:
        return left.pop(0) if left and request.method == method and part in request.path else None

    return decides


def _key(path: Path) -> ECKey:
    """A client's private key in a file, and its public one."""
    key = ECKey.generate_key("P-256", {"kid": os.urandom(4).hex()}, private=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    return ECKey.import_key(key.as_dict(private=False))


__all__ = ["EPJ", "HUB", "NAME", "STRANGER", "EdiWorld", "once"]
