"""The worker: claims what is due and delivers it, collects what lies waiting, keeps the house. Threads, no queue of its own."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from hub.adapter import Adapter
from hub.delivering import deliver
from hub.delivery import Delivery
from hub.flow import Flow
from hub.message import Parcel
from hub.problem import Refused, Unavailable
from hub.store import Presence

LEASE = timedelta(minutes=2)
"""How long a claim holds. Longer than a batch of letters and the last of its sends may take."""
BATCH = 16
"""Letters to one partner that are tried together, and share commits."""
BESIDE = 0.25
"""Seconds that a batch is under way before a second one begins beside it: a partner that is quick gets all that is due from one thread."""
SOAP_FAULT = 500
PROBES = 2
"""Receipts in a row that may fail to leave before a visit to a mailbox ends."""
PROBE = timedelta(minutes=1)
"""How long nothing is tried at a partner that is down. A letter's own pause may be the twelve hours of a CPA; the others do not wait for that."""
LOOK = timedelta(seconds=5)
"""How often it is asked whether other workers live, and what those that do not had claimed is taken back."""
IDLE = 0.05
"""Seconds between two looks when nothing was due; a commit that owes something wakes the worker at once."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something that keeps the house, done again and again between deliveries."""

    every: timedelta
    work: Callable[[datetime], object]
    apart: bool = False
    """In a thread of its own: it waits for others, and no letter is to wait for that."""


log = logging.getLogger(__name__)


class Worker:
    """One per process; any number of processes on PostgreSQL."""

    def __init__(
        self, flow: Flow, threads: int, chores: Iterable[Chore] = (), due: Callable[[datetime], Iterable[Adapter]] | None = None,
    ) -> None:
        """`due`: the adapters to go round now, where they come and go while it runs; such are not collected from. None: every one of the flow's."""
        self.flow = flow
        self._due = due
        self.name = f"worker-{uuid.uuid4().hex[:8]}"
        self._threads_to = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deliver")
        self._begun: dict[str, list[float]] = defaultdict(list)
        """When each adapter's batches that are under way began."""
        self._party: dict[str, str] = {}
        """Whose each adapter is that something is under way for: a client's subscriptions are all the client's."""
        self._last: dict[str, float] = {}
        """When each adapter's last batch began: who waited longest is next."""
        self._down: dict[str, datetime] = {}
        """Adapters that did not answer: until when one probe at a time is sent."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._collected = set[str]()
        """Adapters that have a thread that collects."""
        self._chores = {chore: flow.clock() for chore in (Chore(LOOK, self._take_back), *chores)}
        """When each is due next."""
        self._presence: Presence | None = None
        self._apart: dict[Chore, threading.Thread] = {}

    def start(self) -> None:
        """Raises Unavailable."""
        self._presence = self.flow.store.attend(self.name)
        self.flow.store.on_owed(self.wake)
        self._begin(threading.Thread(target=self._run, name=self.name, daemon=True))

    def _begin(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()

    def wake(self) -> None:
        """Something is owed: look now."""
        self._wake.set()

    def stop(self) -> None:
        """Lets what is being sent finish, and lets go of what was only claimed."""
        self._stop.set()
        self._wake.set()
        for thread in (*self._threads, *self._apart.values()):
            thread.join(timeout=10)
        self._pool.shutdown(wait=True)
        if self._presence is not None:
            try:
                self._presence.end()
            except Unavailable as later:
                log.warning("stopped while the store did not answer: %s", later.detail)

    def _take_back(self, _: datetime) -> None:
        if self._presence is not None and (back := self._presence.take_back()):
            log.warning("%d letters that a worker held when it died are due again", back)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._round()
            except Unavailable as later:
                log.warning("the store did not answer: %s", later.detail)
                found = False
            except Exception:
                log.exception("a round of the worker failed")
                found = False
            if not found:
                self._wake.wait(IDLE)
            self._wake.clear()

    def _round(self) -> bool:
        """Claims and hands out what there is room for. True if anything was claimed."""
        now = self.flow.clock()
        for chore, due in self._chores.items():
            if now >= due or now < due - chore.every:  # or the clock was set back
                self._chores[chore] = now + chore.every
                self._chore(chore, now)
        if self._due is None:
            adapters = dict(self.flow.adapters)
            for name in adapters.keys() - self._collected:
                self._collected.add(name)
                self._begin(threading.Thread(target=self._collect, args=(name,), name=f"collect-{name}", daemon=True))
            owing = self.flow.store.owing(adapters, now)
        else:
            adapters = {adapter.name: adapter for adapter in self._due(now)}
            owing = list(adapters)
        wanted = self._wanted([adapters[name] for name in owing], now)
        claimed = self.flow.store.claim(wanted, now, LEASE, self.name) if wanted else []
        for name, batch in groupby(claimed, lambda delivery: delivery.adapter):
            began = time.monotonic()
            with self._lock:
                self._begun[name].append(began)
                self._last[name], self._party[name] = began, adapters[name].party
            self._pool.submit(self._deliver, adapters[name], list(batch), began)
        return bool(claimed)

    def _chore(self, chore: Chore, now: datetime) -> None:
        """Does it; what waits for others goes on beside the rounds, one at a time each, and its troubles are only logged."""
        if not chore.apart:
            try:
                chore.work(now)
            except Unavailable:  # the store does not answer: not only when its time comes again
                self._chores[chore] = now + min(chore.every, PROBE)
                raise
        elif chore not in self._apart or not self._apart[chore].is_alive():
            self._apart[chore] = threading.Thread(target=_beside, args=(chore, now), name="chore", daemon=True)
            self._apart[chore].start()

    def _wanted(self, owing: Iterable[Adapter], now: datetime) -> dict[str, int]:
        """How many letters may be claimed for whom: a batch for each free thread, first for whom the last one is longest ago. A quarter of the
        threads is never one party's: who has many subscriptions that are all slow takes nobody else's turn."""
        with self._lock:
            free = self._threads_to - sum(map(len, self._begun.values()))
            busy = Counter[str]()
            for name, begun in self._begun.items():
                busy[self._party.get(name, name)] += len(begun)
            rooms = [(self._last.get(adapter.name, 0.0), adapter.name, adapter.party, self._room_for(adapter, now)) for adapter in owing]
        found: dict[str, int] = {}
        for _, name, party, room in sorted(rooms):
            if room > 0 and len(found) < free and busy[party] < self._threads_to - self._threads_to // 4:
                found[name] = room
                busy[party] += 1
        return found

    def _room_for(self, adapter: Adapter, now: datetime) -> int:
        """How many letters of an adapter's may begin now: one slow partner never takes every thread, one that is down gets a probe."""
        begun, down_until = self._begun[adapter.name], self._down.get(adapter.name)
        if down_until is not None:
            waits = down_until - PROBE <= now < down_until  # not where the clock was set back
            return 0 if begun or waits else 1
        return BATCH if not begun or (len(begun) < adapter.concurrency and time.monotonic() > begun[-1] + BESIDE) else 0

    def _deliver(self, adapter: Adapter, batch: list[Delivery], began: float) -> None:
        down_until = None
        try:
            down_until = deliver(self.flow, adapter, batch, lambda: not self._stop.is_set())
        except Exception:  # a bug of ours, or the store is down: nothing was settled, the lease brings them back
            log.exception("a delivery failed inside the hub")
        with self._lock:
            self._begun[adapter.name].remove(began)
            if down_until is not None:
                self._down[adapter.name] = min(down_until, self.flow.clock() + PROBE)
            else:
                self._down.pop(adapter.name, None)
        self.wake()

    def _collect(self, name: str) -> None:
        """Takes what lies waiting at a carrier that is polled; each parcel is stored before its source lets go of it."""
        while not self._stop.is_set():
            adapter = self.flow.adapters[name]
            try:
                self._visit(adapter)
            except Unavailable as later:
                log.warning("%s could not be emptied: %s", adapter.name, later.detail)
            except Exception:
                log.exception("collecting from %s failed", adapter.name)
            self._stop.wait(adapter.pause.total_seconds())

    def _visit(self, adapter: Adapter) -> None:
        """All that lies there. A receipt that cannot leave keeps its own letter where it lies, and not the next one; after two in a row nothing
        leaves now, and nobody should wait for each of the rest to fail. Raises Unavailable."""
        kept_back = 0
        for parcel, done in adapter.carrier.collect():
            kept_back = 0 if self._take(adapter, parcel, done) else kept_back + 1
            if kept_back == PROBES:
                raise Unavailable("receipts cannot be sent")

    def _take(self, adapter: Adapter, parcel: Parcel, done: Callable[[], None]) -> bool:
        """One parcel: stored, its receipt on the way, and only then let go of. What dies in between comes again, and gets the stored answer.

        Returns:
            Whether the way out is open; if not, the letter stays where it lies.

        Raises:
            Unavailable: nothing could be stored.
        """
        try:
            answer = self.flow.receive(adapter, parcel)
        except Unavailable:
            raise
        except Exception:  # a bug of ours: it stays where it lies, and the next one is not its fault
            log.exception("a parcel from %s could not be taken", adapter.name)
            return True
        try:
            if answer.parcel is not None and answer.parcel.status != SOAP_FAULT:  # a Fault names nothing that it could be matched with
                adapter.carrier.send(answer.parcel)
        except Unavailable as later:
            log.warning("a receipt to %s could not be sent: %s", adapter.name, later.detail)
            return False
        except Refused as never:
            log.warning("%s does not take our receipt: %s", adapter.name, never.problem.value)
        done()
        return True


class Workers:
    """Several as one: each has threads of its own, so that who is slow in one never holds up the other."""

    def __init__(self, *workers: Worker) -> None:
        self._workers = workers

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """As `Worker.stop`."""
        for worker in self._workers:
            worker.stop()


def _beside(chore: Chore, now: datetime) -> None:
    try:
        chore.work(now)
    except Exception:
        log.exception("a chore failed")


def today(now: datetime) -> date:
    """The local day in Norway."""
    from hub.booking.clock import OSLO

    return now.astimezone(OSLO).date()
