"""Puts the parts together: the only place that reads settings and finds carriers, seals and formats. Importing does nothing."""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import logging
import tomllib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from hub import sandbox
from hub.access import Ground, Reader
from hub.adapter import Adapter, Surroundings
from hub.booking.clock import local
from hub.config import AdapterText, Hub, Misconfigured, Part, VendorToken, read_adapters, read_hub
from hub.faces import console, guide, portal
from hub.faces.context import AdapterCard, Context, Municipality, Operator, assets_in
from hub.faces.health import Health
from hub.faces.inbox import Inbox
from hub.faces.oauth import Admission, OAuth
from hub.faces.operations import Operations
from hub.faces.rest import Rest
from hub.faces.sandbox import Sandbox
from hub.faces.tracing import Tracing, own_adapters
from hub.fhir import definitions, index, validate
from hub.flow import Flow
from hub.keeping import Keeping
from hub.noticing import Noticing
from hub.oauth.dpop import Nonce
from hub.oauth.gate import Gate
from hub.oauth.issuing import Issuing
from hub.oauth.settings import read_access
from hub.oauth.tokens import Signing, trust
from hub.offering import Offering
from hub.repeating import Repeating
from hub.replaying import replay
from hub.rolling import roll_slots
from hub.scheduling.desk import Desk
from hub.settling import Settling
from hub.shop import ORIGIN, Shop
from hub.store import Secrets, Store
from hub.waiting import WaitingList
from hub.worker import Chore, Worker

log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[1]
FUNCTIONS = "mappings/functions.toml"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """A municipality's hub, put together and not started."""

    hub: Hub
    store: Store
    flow: Flow
    shop: Shop
    waiting: WaitingList
    adapters: Mapping[str, Adapter]
    texts: Mapping[str, AdapterText]
    clock: Callable[[], datetime]

    def close(self) -> None:
        for adapter in self.adapters.values():
            adapter.carrier.close()
        self.store.close()


def open_store(hub: Hub, clock: Callable[[], datetime] = utc_now) -> Store:
    """The municipality's store, with its keys and the FHIR index."""
    secrets = Secrets.open(hub.home)
    return Store.open(hub.database, secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))


def put_together(home: Path, clock: Callable[[], datetime] = utc_now) -> Parts:
    """Reads the home folder and makes every part.

    Raises:
        Misconfigured: a file in the home folder must be changed.
    """
    hub = read_hub(home)
    texts = {text.name: text for text in read_adapters(home)}
    adapters = {name: make_adapter(hub, text) for name, text in texts.items()}
    store = open_store(hub, clock)
    noticing = Noticing(adapters, hub.municipality, hub.phone)
    check = partial(validate.require, definitions=definitions.load())
    offering = Offering(check, noticing.waiting)
    keeping = Keeping(adapters, check, noticing, offering)
    flow = Flow(store, adapters, keeping, Settling(store, adapters, keeping.rejected), clock)
    shop = Shop(store, keeping)
    return Parts(hub, store, flow, shop, WaitingList(shop, offering), adapters, texts, clock)


def make_adapter(hub: Hub, text: AdapterText) -> Adapter:
    """One adapter from its text: its carrier, seal and format are found by entry point. Raises Misconfigured."""
    functions = read_functions(hub.home)

    def make(group: str, part: Part) -> Any:
        return _factory(group, part.kind, text.name)(surroundings(hub, text, part, functions))

    return Adapter(
        name=text.name, party=text.party, carrier=make("carriers", text.carrier), seal=make("seals", text.seal),
        format=make("formats", text.format), wants=text.wants, departments=text.departments, may_state=text.may, answers=text.answers,
        patience=text.patience, patience_of=text.patience_of, answer_due=text.answer_due, only_own=text.only_own, concurrency=text.concurrency,
        token_digest=text.token_digest,
    )


def surroundings(hub: Hub, text: AdapterText, part: Part, functions: Mapping[str, Any]) -> Surroundings:
    """What a part of an adapter is told; the municipality's `[certificates]` lies under the part's own."""
    return Surroundings(
        home=hub.home, name=text.name, party=text.party, own_party=hub.her_id, own_name=hub.municipality,
        settings={
            **part.settings, "functions": functions,
            "certificates": {**hub.tables.get("certificates", {}), **part.settings.get("certificates", {})},
        },
    )


def seals(hub: Hub, texts: Iterable[AdapterText]) -> tuple[Surroundings, ...]:
    """Where each seal lives, for what looks after certificates."""
    functions = read_functions(hub.home)
    return tuple(surroundings(hub, text, text.seal, functions) for text in texts)


def command(name: str) -> Callable[..., Any]:
    """What is ebxml's or an adapter's to do, which the hub does not know: found by entry point, as carriers are."""
    found: Callable[..., Any] = next(iter(importlib.metadata.entry_points(group="besoksbro.commands", name=name))).load()
    return found


def read_functions(home: Path) -> dict[str, Any]:
    """The rows of mappings/functions.toml; the home's own file comes before the one we ship."""
    path = home / FUNCTIONS if (home / FUNCTIONS).exists() else ROOT / FUNCTIONS
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _factory(group: str, kind: str, adapter: str) -> Callable[[Surroundings], Any]:
    found = list(importlib.metadata.entry_points(group=f"besoksbro.{group}", name=kind))
    if not found:
        known = ", ".join(sorted(e.name for e in importlib.metadata.entry_points(group=f"besoksbro.{group}")))
        raise Misconfigured(f"adapters/{adapter}.toml: no {group} of kind {kind!r}; there are {known}")
    made: Callable[[Surroundings], Any] = found[0].load()
    return made


def faces(parts: Parts) -> Any:
    """Every face on one port: inbox, FHIR, console, portal, health. The two that machines use go past the pages' router and middleware."""
    hub = parts.hub
    pool = ThreadPoolExecutor(hub.workers * 8, thread_name_prefix="inbox")
    context = Context(
        store=parts.store, clock=parts.clock, environment=hub.environment, base_url=hub.base_url,
        municipality=Municipality(hub.municipality, hub.phone, hub.opening_hours),
        assets=assets_in(ROOT / ".assets" / "web"),
        operators=tuple(Operator(o.name, o.token_digest, o.books) for o in hub.operators),
        shown_first=tuple(hub.tables.get("demo", {}).get("logins", ())), adapters=partial(_cards, parts), customers=partial(_customers, parts),
        shop=parts.shop, repeating=Repeating(parts.shop), waiting=parts.waiting, resend=parts.flow.settling.resend,
        replay=partial(replay, parts.flow), warnings=partial(_warnings, parts),
    )
    desk = Desk(parts.flow.keeping)
    rest = Rest(
        parts.store, definitions.load(), partial(vendor, hub.vendors), f"{hub.base_url}/fhir", parts.clock, Secrets.open(hub.home).hash_id,
        desk, pool,
    )

    operations = Tracing(
        Operations(parts.store, desk, rest, pool, f"{hub.base_url}/fhir", parts.clock), parts.store, own_adapters(hub.tables, parts.texts), pool,
    )
    played = Sandbox(operations, partial(reset_sandbox, parts), pool) if sandbox.switched_on(hub) else operations
    guarded, oauth = access(parts, played, pool)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        yield
        pool.shutdown(wait=True)

    pages = Starlette(
        routes=[
            Route("/health", Health(parts.store, parts.clock)),
            *console.routes(context),
            *guide.routes(context, definitions.load().profiles),
            *portal.routes(context),
        ],
        exception_handlers={404: portal.missing(context)},
        lifespan=lifespan,
    )
    return _dispatch(Inbox(parts.flow, parts.adapters, pool), guarded, oauth, pages)


def _dispatch(inbox: Inbox, fhir: Admission, oauth: OAuth, pages: Starlette) -> Any:
    """Which face an address belongs to."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path.startswith("/inbox/"):
            await inbox(scope, receive, send)
        elif oauth.serves(path):
            await oauth(scope, receive, send)
        elif path == "/fhir" or path.startswith("/fhir/"):
            await fhir({**scope, "root_path": "/fhir"}, receive, send)
        else:
            await pages(scope, receive, send)

    return dispatch


def access(parts: Parts, rest: Any, pool: ThreadPoolExecutor) -> tuple[Admission, OAuth]:
    """The gate before the FHIR face, and our own token endpoint beside it."""
    hub, store = parts.hub, parts.store
    settings, signing = read_access(hub), Signing.open(hub.home)
    nonce = Nonce(Secrets.open(hub.home).seal_key) if settings.nonce else None

    def first_time(key: str, until: datetime) -> bool:
        return store.write(lambda tx: tx.first_time(key, until))

    trusted = trust(settings, hub.base_url, signing, hub.home, parts.clock, hub.environment)
    gate = Gate(trusted, partial(vendor, hub.vendors), first_time, hub.base_url, parts.clock, nonce)
    issuing = Issuing(settings, hub.base_url, signing, hub.home, hub.environment, first_time, parts.clock, nonce)
    return Admission(gate, rest, pool), OAuth(issuing, signing, hub.base_url, pool)


def guard_sandbox(parts: Parts) -> None:
    """Before a sandbox serves: says so in the log. Raises Misconfigured where real persons could be."""
    if sandbox.switched_on(parts.hub):
        sandbox.guard(parts.store)
        log.warning("THIS IS A SANDBOX: it holds invented persons only, can be set back by who has a token, and fails on demand")


def reset_sandbox(parts: Parts) -> int:
    """The sandbox as on its first day; how much changed. Raises Misconfigured where there is none, or where real persons could be."""
    if not sandbox.switched_on(parts.hub):
        raise Misconfigured("hub.toml: this hub is no sandbox ([sandbox] on = true)")
    town = command("sandbox-town")(int(parts.hub.tables["sandbox"].get("seed", 1)), local(parts.clock()).date())
    return sandbox.reset(parts.store, definitions.load().served, town.resources)


def worker(parts: Parts) -> Worker:
    """The worker of one process, with what keeps the house."""
    lived = seals(parts.hub, parts.texts.values())
    return Worker(parts.flow, parts.hub.workers, [
        *(Chore(timedelta(minutes=10), found.load()(lived), apart=True) for found in importlib.metadata.entry_points(group="besoksbro.chores")),
        Chore(timedelta(minutes=10), partial(keep_house, parts.store)),
        Chore(timedelta(hours=1), lambda _: Repeating(parts.shop).roll()),
        Chore(timedelta(seconds=5), lambda _: parts.shop.sweep()),
        Chore(timedelta(seconds=10), lambda _: parts.waiting.offering.everywhere(parts.store)),
    ])


def keep_house(store: Store, now: datetime) -> None:
    """Seals the access log, lets go of what is past its time, and makes the slots of the days that came within the horizon."""
    store.seal_audit()
    store.prune(now)
    roll_slots(store)


def vendor(vendors: tuple[VendorToken, ...], token: str) -> Reader | None:
    """Who holds a bearer token of the FHIR API; None: nobody."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    for known in vendors:
        if hmac.compare_digest(known.token_digest, digest):
            return Reader(f"vendor:{known.name}", Ground.VENDOR, departments=known.departments)
    return None


def _customers(parts: Parts) -> frozenset[str]:
    """The hub's own shop, and every adapter whose word books and does not confirm."""
    return frozenset({ORIGIN, *(a.name for a in parts.adapters.values() if "book" in a.may_state and "confirm" not in a.may_state)})


def _warnings(parts: Parts) -> list[str]:
    """What the console says of certificates."""
    found: list[str] = command("cert-warnings")(seals(parts.hub, parts.texts.values()), parts.clock(), parts.hub.environment == "production")
    return found


def _cards(parts: Parts) -> tuple[AdapterCard, ...]:
    return tuple(
        AdapterCard(
            t.name, t.title, t.party, f"{t.carrier.kind} · {t.seal.kind} · {t.format.kind}", tuple(sorted(t.departments)),
            parts.adapters[t.name].version,
        )
        for t in parts.texts.values()
    )
