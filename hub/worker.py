"""The worker: claims what is due and delivers it, collects what lies waiting, keeps the house. Threads, no queue of its own."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hub.adapter import Adapter
from hub.delivery import Delivery, Step
from hub.flow import Flow
from hub.message import Parcel
from hub.problem import Refused, Unavailable

LEASE = timedelta(seconds=60)
"""How long a claim holds when its process dies. Longer than any single send may take."""
SOAP_FAULT = 500
PROBES = 2
"""Receipts in a row that may fail to leave before a visit to a mailbox ends."""
PROBE = timedelta(minutes=1)
"""How long nothing is tried at a partner that is down. A letter's own pause may be the twelve hours of a CPA; the others do not wait for that."""
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
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deliver")
        self._room = threads * 4
        self._busy: Counter[str] = Counter()
        self._down: dict[str, datetime] = {}
        """Adapters that did not answer: until when one probe at a time is sent."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._chores = {chore: flow.clock() for chore in chores}
        """When each is due next."""
        self._apart: dict[Chore, threading.Thread] = {}

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._run, name=self.name, daemon=True)]
        self._threads += [
            threading.Thread(target=self._collect, args=(adapter,), name=f"collect-{adapter.name}", daemon=True)
            for adapter in (self.flow.adapters.values() if self._due is None else ())
        ]
        self.flow.store.on_owed(self.wake)
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something is owed: look now."""
        self._wake.set()

    def stop(self) -> None:
        """Lets what is being sent finish; what was only claimed is claimed again after its lease."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._pool.shutdown(wait=True)

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
        """Claims and hands out what there is room for. True if anything was."""
        now = self.flow.clock()
        for chore, due in self._chores.items():
            if now >= due:
                self._chores[chore] = now + chore.every
                self._chore(chore, now)
        found = False
        for adapter in self.flow.adapters.values() if self._due is None else self._due(now):
            room = self._room_for(adapter, now)
            if room <= 0:
                continue
            claimed = self.flow.store.claim(room, now, LEASE, [adapter.name], self.name)
            with self._lock:
                self._busy[adapter.name] += len(claimed)
            for delivery in claimed:
                self._pool.submit(self._deliver, delivery).add_done_callback(self._done)
            found = found or bool(claimed)
        return found

    def _chore(self, chore: Chore, now: datetime) -> None:
        """Does it; what waits for others goes on beside the rounds, one at a time each, and its troubles are only logged."""
        if not chore.apart:
            chore.work(now)
        elif chore not in self._apart or not self._apart[chore].is_alive():
            self._apart[chore] = threading.Thread(target=_beside, args=(chore, now), name="chore", daemon=True)
            self._apart[chore].start()

    def _room_for(self, adapter: Adapter, now: datetime) -> int:
        """How many more of an adapter's letters may be under way: one slow partner never takes every thread, one that is down gets a probe."""
        with self._lock:
            busy = self._busy[adapter.name]
            if sum(self._busy.values()) >= self._room:
                return 0
            down_until = self._down.get(adapter.name)
        if down_until is not None:
            return 1 if busy == 0 and now >= down_until else 0
        return adapter.concurrency * 2 - busy

    def _deliver(self, delivery: Delivery) -> None:
        try:
            after = self.flow.deliver(delivery)
        finally:
            with self._lock:
                self._busy[delivery.adapter] -= 1
        down = after.note.startswith(str(Step.UNAVAILABLE)) or (after.state is delivery.state and after.tries > delivery.tries)
        with self._lock:
            if down:
                self._down[delivery.adapter] = min(after.due_at, self.flow.clock() + PROBE)
            else:
                self._down.pop(delivery.adapter, None)
        self.wake()

    def _done(self, future: Future[None]) -> None:
        trouble = future.exception()
        if trouble is not None:  # a bug of ours: nothing was settled, the lease brings it back
            log.error("a delivery failed inside the hub", exc_info=trouble)

    def _collect(self, adapter: Adapter) -> None:
        """Takes what lies waiting at a carrier that is polled; each parcel is stored before its source lets go of it."""
        while not self._stop.is_set():
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
