"""Puts the parts together: the only place that reads settings. Importing does nothing."""

from __future__ import annotations

import importlib.metadata
import logging
from collections import ChainMap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from hub import rolling, sandbox
from hub.adapter import Adapter, Surroundings
from hub.asking import Asking
from hub.availability import Availability
from hub.booking.clock import local
from hub.config import Hub, Misconfigured, read_hub
from hub.customer import ORIGIN
from hub.dialogue import Hearing, Messaging, let_go, read_limits
from hub.elsewhen import Elsewhen
from hub.faces import console, guide, portal
from hub.faces.beside import Beside
from hub.faces.binaries import Binaries
from hub.faces.booking import PROBLEM_JSON, BookingFace, needed, problem
from hub.faces.booking.verbs import Verbs
from hub.faces.context import AdapterCard, Context, Municipality, assets_in
from hub.faces.dispatch import dispatch, joined
from hub.faces.export import Exports
from hub.faces.health import Health
from hub.faces.inbox import Inbox
from hub.faces.metrics import Expiry, Metrics, read_metrics
from hub.faces.oauth import Admission, OAuth
from hub.faces.operations import Operations
from hub.faces.rest import Rest
from hub.faces.sandbox import Sandbox
from hub.faces.subscriptions import Subscriptions
from hub.faces.tracing import Tracing, own_adapters
from hub.feeds import Feeds, Reading, Subscribers, Writer, topic_of
from hub.feeds import load as topics
from hub.fhir import definitions, index, validate
from hub.flow import Flow
from hub.keeping import Keeping
from hub.making import ROOT, certified, command, factory, seals
from hub.noticing import Noticing
from hub.oauth.dpop import Nonce
from hub.oauth.gate import Gate
from hub.oauth.issuing import Issuing
from hub.oauth.known import by_name, by_token
from hub.oauth.settings import read_access
from hub.oauth.signin import Provider, read_signin
from hub.oauth.tokens import Signing, trust
from hub.offering import Offering
from hub.partners import Partners
from hub.repeating import Repeating
from hub.replaying import replay
from hub.scheduling.desk import Desk
from hub.settling import Settling
from hub.shop import Shop
from hub.store import Secrets, Store, live
from hub.waiting import WaitingList
from hub.worker import Chore, Worker, Workers

log = logging.getLogger(__name__)
WAITING = 8
"""Threads for each of hub.toml's `workers`: they mostly wait, for partners or for the disk."""
HEARD_BY = 16
"""Threads that send to subscribers: they mostly wait."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """A municipality's hub, put together and not started."""

    hub: Hub
    store: Store
    flow: Flow
    shop: Shop
    repeating: Repeating
    waiting: WaitingList
    asking: Asking
    availability: Availability
    adapters: Partners
    clock: Callable[[], datetime]
    feeds: Feeds
    subscribers: Subscribers
    noticing: Noticing
    messaging: Messaging

    def close(self) -> None:
        self.adapters.close()
        self.asking.close()
        self.store.close()


def open_store(hub: Hub, clock: Callable[[], datetime] = utc_now) -> Store:
    """The municipality's store, with its keys and the FHIR index."""
    secrets = open_secrets(hub)
    store = Store.open(hub.database, secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))
    for follow in (*([sandbox.watch] if sandbox.switched_on(hub) else ()), rolling.follow):
        store.on_changed(follow)
    return store


def open_secrets(hub: Hub) -> Secrets:
    """The keys; in a sandbox no national id but synthetic ones passes them."""
    return Secrets.open(hub.home, sandbox.admits if sandbox.switched_on(hub) else None)


def put_together(home: Path, clock: Callable[[], datetime] = utc_now) -> Parts:
    """Reads the home folder and makes every part.

    Raises:
        Misconfigured: a file in the home folder must be changed.
    """
    hub = read_hub(home)
    adapters = Partners(hub)
    store = open_store(hub, clock)
    noticing = Noticing(adapters, hub.municipality, hub.phone)
    check = partial(validate.require, definitions=definitions.load())
    asking = Asking(adapters, clock, store.audit_later)
    offering = Offering(check, noticing.waiting, asking.known)
    limits = read_limits(hub)
    keeping = Keeping(adapters, check, noticing, offering, asking.known, Hearing(check, noticing.written, limits).state)
    messaging = Messaging(store, adapters, check, noticing.written, limits)
    feeds, subscribers = make_feeds(hub, store)
    known = ChainMap[str, Adapter](adapters, subscribers)  # type: ignore[arg-type]
    settling = Settling(store, known, keeping.rejected, (feeds.moved, messaging.settled), noticing.leaves)
    flow = Flow(store, adapters, keeping, settling, clock, Elsewhen(Shop(store, keeping, asking.known)))
    availability = Availability(adapters)
    for follow in (messaging.follow, noticing.follow, availability.follow, let_go):
        store.on_changed(follow)
    shop = Shop(store, keeping, asking.free)
    return Parts(hub, store, flow, shop, Repeating(shop, noticing.missed), WaitingList(shop, offering), asking, availability, adapters,
                 clock, feeds, subscribers, noticing, messaging)


def make_feeds(hub: Hub, store: Store) -> tuple[Feeds, Subscribers]:
    """Subscriptions of clients: what they hear in each transaction, and the adapters that it goes out by. Raises Misconfigured."""
    base = f"{hub.base_url}/fhir"
    reading = Reading(definitions.load(), {topic.url(base): topic for topic in topics().values()}, open_secrets(hub).hash_id, base)
    feeds = Feeds(reading, Writer(base), hub.allowed, by_name(hub.vendors, read_access(hub).clients.values()))
    store.on_changed(feeds.follow)
    around = Surroundings(hub.home, "subscriptions", "", hub.her_id, hub.municipality)
    return feeds, Subscribers(store, feeds, factory("carriers", "http", around.name), around)


def faces(parts: Parts) -> Any:
    """Every face on one port: inbox, FHIR, booking API, console, portal, health. Those of machines go past the pages' router and middleware."""
    hub, pool = parts.hub, ThreadPoolExecutor(parts.hub.workers * WAITING, thread_name_prefix="inbox")
    context = Context(
        store=parts.store, clock=parts.clock, environment=hub.environment, base_url=hub.base_url,
        municipality=Municipality(hub.municipality, hub.phone, hub.opening_hours),
        assets=assets_in(ROOT / ".assets" / "web"), operators=hub.operators,
        shown_first=tuple(hub.tables.get("demo", {}).get("logins", ())), adapters=partial(_cards, parts), customers=partial(_customers, parts),
        shop=parts.shop, repeating=parts.repeating, waiting=parts.waiting, messaging=parts.messaging, resend=parts.flow.settling.resend,
        replay=partial(replay, parts.flow), turn=partial(parts.feeds.turn, parts.store),
        channels=parts.noticing.channels, test_notice=partial(parts.noticing.test, parts.store), warnings=partial(_warnings, parts),
        provider=Provider(signin, hub.base_url, open_secrets(hub), parts.clock) if (signin := read_signin(hub)) else None,
    )
    gate, oauth = access(parts, pool)
    verbs = BookingFace(parts.store, Verbs(parts.shop, parts.repeating, parts.waiting), pool, parts.clock)
    shops = Admission(gate, verbs, pool, needed, problem, PROBLEM_JSON.encode())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        yield
        pool.shutdown(wait=True)

    pages = Starlette(
        routes=joined([
            Route("/health", Health(parts.store, parts.clock), methods=["GET"]),
            Route("/metrics", Metrics(parts.store, parts.clock, read_metrics(hub.tables), partial(_expiries, parts)), methods=["GET"]),
            *console.routes(context),
            *guide.routes(context, definitions.load().profiles),
            *portal.routes(context),
        ]),
        exception_handlers=dict.fromkeys((404, 405), portal.missing(context)),
        lifespan=lifespan,
    )
    pages.router.redirect_slashes = False  # it would lead to whatever host the request names
    return dispatch(Inbox(parts.flow, parts.adapters, pool), Admission(gate, fhir(parts, pool), pool), shops, oauth, pages)


def fhir(parts: Parts, pool: ThreadPoolExecutor) -> Any:
    """The FHIR face behind the gate."""
    known, base, desk = definitions.load(), f"{parts.hub.base_url}/fhir", Desk(parts.flow.keeping, Elsewhen(parts.shop))
    hash_id = open_secrets(parts.hub).hash_id
    others = (
        Operations(parts.store, desk, base, parts.clock, parts.asking.free), Exports(parts.store, known, base, parts.clock, hash_id),
        Subscriptions(parts.store, parts.feeds, parts.clock), Binaries(parts.store, known),
        Tracing(parts.store, own_adapters(parts.hub.tables, parts.adapters)),
    )
    rest = Rest(parts.store, known, by_token(parts.hub.vendors), base, parts.clock, hash_id, desk, pool, parts.feeds, others, parts.messaging.limits)
    beside = Beside(rest, others, pool, known)
    return Sandbox(beside, partial(reset_sandbox, parts), pool) if sandbox.switched_on(parts.hub) else beside


def access(parts: Parts, pool: ThreadPoolExecutor) -> tuple[Gate, OAuth]:
    """The gate before the faces that machines use, and our own token endpoint beside it."""
    hub, store = parts.hub, parts.store
    settings, signing = read_access(hub), Signing.open(hub.home)
    nonce = Nonce(Secrets.open(hub.home).seal_key) if settings.nonce else None

    def first_time(key: str, until: datetime) -> bool:
        return store.write(lambda tx: tx.first_time(key, until))

    trusted = trust(settings, hub.base_url, signing, hub.home, parts.clock, hub.environment)
    gate = Gate(trusted, by_token(hub.vendors), first_time, hub.base_url, parts.clock, nonce)
    issuing = Issuing(settings, hub.base_url, signing, hub.home, hub.environment, first_time, parts.clock, nonce)
    return gate, OAuth(issuing, signing, hub.base_url, pool)


def guard_sandbox(parts: Parts) -> None:
    """Before a sandbox serves: says so in the log. Raises Misconfigured where real persons could be."""
    if sandbox.switched_on(parts.hub):
        sandbox.guard(parts.store)
        log.warning("THIS IS A SANDBOX: it holds invented persons only, can be set back by who has a token, and fails on demand")


def reset_sandbox(parts: Parts) -> int:
    """The sandbox as on its first day; how much changed. Raises Misconfigured where there is none, or where real persons could be."""
    if not sandbox.switched_on(parts.hub):
        raise Misconfigured("hub.toml: denne huben er ingen sandkasse ([sandbox] on = true)")
    town = command("sandbox-town")(int(parts.hub.tables["sandbox"].get("seed", 1)), local(parts.clock()).date())
    return sandbox.reset(parts.store, definitions.load().served, town.resources)


def worker(parts: Parts) -> Workers:
    """The workers of one process: for partners, with what keeps the house, and for subscribers."""
    def lived() -> tuple[Surroundings, ...]:
        return seals(parts.hub, parts.adapters.texts.values())

    parts.feeds.reconsider(parts.store)
    subscribers = Worker(replace(parts.flow, adapters=parts.subscribers), HEARD_BY, [
        Chore(timedelta(seconds=5), lambda _: parts.feeds.beat(parts.store)),
    ], parts.subscribers.due)
    return Workers(subscribers, Worker(parts.flow, parts.hub.workers * WAITING, [
        *(Chore(timedelta(minutes=10), found.load()(lived), apart=True) for found in importlib.metadata.entry_points(group="besoksbro.chores")),
        Chore(timedelta(minutes=10), partial(keep_house, parts.store)),
        Chore(timedelta(minutes=10), lambda _: parts.availability.introduce(parts.store)),
        Chore(timedelta(hours=1), lambda _: parts.repeating.roll()),
        Chore(timedelta(hours=1), lambda _: parts.store.reindex(index.digest(definitions.load())), apart=True),
        Chore(timedelta(seconds=5), lambda _: parts.shop.sweep()),
        Chore(timedelta(seconds=5), lambda _: rolling.name_slots(parts.store), apart=True),
        Chore(timedelta(seconds=30), lambda _: parts.store.write(live)),
        Chore(timedelta(seconds=10), lambda _: parts.waiting.offering.everywhere(parts.store)),
    ]))


def keep_house(store: Store, now: datetime) -> None:
    """Seals the access log, lets go of what is past its time, and makes the slots of the days that came within the horizon."""
    store.seal_audit()
    store.prune(now)
    rolling.roll_slots(store)


def _customers(parts: Parts) -> frozenset[str]:
    """The hub's own shop, and every adapter whose word books and does not confirm."""
    return frozenset({ORIGIN, *(a.name for a in parts.adapters.values() if "book" in a.may_state and "confirm" not in a.may_state)})


def _warnings(parts: Parts) -> list[str]:
    """What the console says of partners' files, and of certificates."""
    told = command("cert-warnings")(*certified(parts.hub, parts.adapters.texts.values()), parts.clock(), parts.hub.environment == "production")
    return [*parts.adapters.troubles.values(), *told]


def _expiries(parts: Parts) -> list[Expiry]:
    """When certificates expire, for the metrics."""
    lines = command("cert-list")(*certified(parts.hub, parts.adapters.texts.values()), parts.clock())
    return [({"whose": one.whose, "use": one.use, "file": one.file, "serial": one.serial}, one.valid_to) for one in lines if not one.replaced]


def _cards(parts: Parts) -> tuple[AdapterCard, ...]:
    return tuple(
        AdapterCard(
            t.name, t.title, t.party, f"{t.carrier.kind} · {t.seal.kind} · {t.format.kind}", tuple(sorted(t.departments)),
            parts.adapters[t.name].version,
        )
        for t in parts.adapters.texts.values()
    ) + tuple(AdapterCard(f.adapter, f"Abonnement: {f.client} · {topic_of(f)}", "", "http") for f in parts.store.feeds(lambda feeds: feeds.all()))
