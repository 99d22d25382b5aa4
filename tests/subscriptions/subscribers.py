"""A hub that may send to this machine, clients that subscribe, and the worker's rounds one by one: no thread of it runs by itself."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from adapters.demo.shop import planner
from hub.delivering import deliver
from hub.delivery import Delivery
from hub.worker import LEASE

SECRET = "whsec_" + base64.b64encode(b"an invented secret of 32 bytes!!").decode()
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
OURS = "https://besoksbro.example/fhir/StructureDefinition/webhook-secret"
ALLOW = '\n[subscriptions]\nallow = ["127.0.0.1"]\n\n[[vendors]]\nname = "day"\ntoken_digest = "{day}"\ndepartments = ["dagsenter"]\n'


@dataclass
class Feeding:
    """`api` is a client that sees every department, `day` one that sees the day centre only."""

    hub: Machines
    api: httpx.Client
    day: httpx.Client

    @property
    def base(self) -> str:
        return f"{self.hub.url}/fhir"

    def subscription(self, url: str, criteria: str = "", content: str = "id-only", filters: tuple[str, ...] = (), **channel: Any) -> dict[str, Any]:
        made: dict[str, Any] = {
            "resourceType": "Subscription", "status": "requested", "reason": "sync", "criteria": criteria or f"{self.base}/SubscriptionTopic/appointment-lifecycle",
            "channel": {
                "type": "rest-hook", "endpoint": url, "payload": "application/fhir+json",
                "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]},
                "header": ["Authorization: Bearer of-the-receiver"], "extension": [{"url": OURS, "valueString": SECRET}], **channel,
            },
        }
        if filters:
            made["_criteria"] = {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": f} for f in filters]}
        return made

    def subscribe(self, subscription: dict[str, Any], client: httpx.Client | None = None) -> str:
        """Its id, when the handshake was answered."""
        answer = (client or self.api).post("/Subscription", json=subscription)
        assert answer.status_code == 201, answer.text
        id_ = str(answer.json()["id"])
        assert self.deliver() == 1
        assert (client or self.api).get(f"/Subscription/{id_}").json()["status"] == "active"
        return id_

    def deliver(self, most: int = 100) -> int:
        """Sends what is due once, as the worker does but in this thread; how many letters left."""
        parts = self.hub.parts
        flow = replace(parts.flow, adapters=parts.subscribers)
        adapters = {adapter.name: adapter for adapter in parts.subscribers.due(self.hub.clock.now)}
        claimed: list[Delivery] = parts.store.claim(dict.fromkeys(adapters, most), self.hub.clock.now, LEASE, "test")
        for name, letters in groupby(claimed, lambda delivery: delivery.adapter):
            deliver(flow, adapters[name], list(letters))
        return len(claimed)

    def beat(self) -> None:
        self.hub.parts.feeds.beat(self.hub.parts.store)

    def booking(self, name: str = "B", department: str = "") -> dict[str, Any]:
        order = next(o for o in planner(TOWN, name, self.hub.clock.now).orders(name) if not department or o.department == department)
        return {
            "resourceType": "Appointment", "status": "proposed", "start": order.start.isoformat(timespec="seconds"),
            "end": (order.start + timedelta(minutes=30)).isoformat(timespec="seconds"), "identifier": [{"system": "urn:x", "value": name}],
            "participant": [
                {"actor": {"reference": order.person.reference}, "status": "accepted"},
                {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action"},
            ],
        }

    def book(self, name: str = "B", department: str = "") -> str:
        """Its reference."""
        answer = self.api.post("/Appointment", json=self.booking(name, department))
        assert answer.status_code == 201, answer.text
        return f"Appointment/{answer.json()['id']}"

    def cancel(self, reference: str) -> None:
        answer = self.api.patch(f"/{reference}", content=b'{"status": "cancelled"}', headers={"content-type": "application/merge-patch+json"})
        assert answer.status_code == 200, answer.text


@contextmanager
def feeding(home: Path, database: str, more: str = "") -> Iterator[Feeding]:
    """`more`: further tables of hub.toml; `{name}` in them is the digest of `name-token`."""
    more = (ALLOW + more).format(**{name: hashlib.sha256(f"{name}-token".encode()).hexdigest() for name in ("day", "kari")})
    with hub_on(home, database, more=more, per_minute=100_000) as hub:
        clients = [
            httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {name}-token"}, trust_env=False, timeout=30)
            for name in ("simple", "day")
        ]
        yield Feeding(hub, *clients)
        for client in clients:
            client.close()
