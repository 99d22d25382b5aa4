"""The faces on a store, as an application of their own: what the tests drive over HTTP and in a browser."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from town import NOW

from hub.dialogue import Messaging
from hub.faces import console, portal
from hub.faces.context import AdapterCard, Context, Municipality, Operator, assets_in
from hub.fhir import definitions, validate
from hub.keeping import Keeping
from hub.message import Verdict
from hub.offering import Offering
from hub.repeating import Repeating
from hub.shop import Shop
from hub.waiting import WaitingList

PROJECT = Path(__file__).parents[2]
TOKEN = "en-lang-tilfeldig-nokkel"
HOST = "http://solbakken.example"


@dataclass
class Clock:
    """A clock that only moves when told."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@dataclass
class Resent:
    """Remembers what the console asked to have sent again."""

    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, delivery: str, by: str, reason: str) -> None:
        self.calls.append((delivery, by, reason))


@dataclass
class Replayed:
    """Remembers what the console asked to have received again."""

    verdict: Verdict = field(default_factory=Verdict)
    calls: list[tuple[int, str, str]] = field(default_factory=list)

    def __call__(self, envelope: int, by: str, reason: str) -> Verdict:
        self.calls.append((envelope, by, reason))
        return self.verdict


def context(store: Any, clock: Clock, environment: str = "demo", **changes: Any) -> Context:
    shop = changes.get("shop") or Shop(store, Keeping({}, partial(validate.require, definitions=definitions.load())))
    settings: dict[str, Any] = {
        "shop": shop, "messaging": Messaging(store, {}, shop.keeping.check), "repeating": Repeating(shop), "waiting": WaitingList(shop, Offering(shop.keeping.check)),
        "base_url": HOST, "operators": (Operator("vakt", hashlib.sha256(TOKEN.encode()).hexdigest()),),
        "adapters": lambda: (AdapterCard("visma-profil", "Visma Profil", "8094866", "http · ebms · msghead", ("hjemmesykepleie",)),
                             AdapterCard("tjenesteshop", "Tjenesteshop", "", "http · plain · mapped")),
    }
    return Context(
        store=store, clock=clock, environment=environment, municipality=Municipality("Solbakken kommune", "55 00 00 00", "Hver dag kl. 08:00–20:00"),
        assets=assets_in(PROJECT / ".assets" / "web"), **(settings | changes),
    )


def application(made: Context) -> Starlette:
    return Starlette(routes=[*console.routes(made), *portal.routes(made)], exception_handlers=dict.fromkeys((404, 405), portal.missing(made)))


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The application behind a real uvicorn on a free port; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    started = threading.Event()
    plain = server.startup

    async def startup(*args: Any, **kwargs: Any) -> None:
        await plain(*args, **kwargs)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(20), "uvicorn did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
