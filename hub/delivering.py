"""The second verb: `deliver` what is owed. Letters to one partner that are due together are tried one after the other, and share commits."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from hub import resuming
from hub.adapter import Adapter
from hub.delivery import NOTICE, Delivery, State, Step
from hub.flow import Flow
from hub.message import Answer, Letter, Parcel
from hub.problem import Problem, Refused, Unavailable
from hub.store import Lacking, Transaction
from hub.store.failpoint import reach

SHARED = 1.0
"""Seconds that what became of a letter may wait for that of the next, to be kept in one commit."""
LET_GO = 10.0
"""Seconds after which what was claimed and is not tried yet is left to whoever is free."""
AT_ONCE = 2_000_000
"""Bytes of letters that may be sealed before the first of them leaves."""

log = logging.getLogger(__name__)


def deliver(flow: Flow, adapter: Adapter, claimed: Sequence[Delivery], go_on: Callable[[], bool] = lambda: True) -> datetime | None:
    """One try for each letter, as long as the partner answers and `go_on` says so; the rest are let go of as they are.

    Returns:
        None, or when a letter that could not leave is due again: the partner is down.
    """
    batch = _Batch(flow, adapter, go_on)
    batch.run(claimed)
    return batch.down_until


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one letter, to be kept."""

    delivery: Delivery
    step: Step
    note: str = ""
    reply: Callable[[Transaction], Answer] | None = None
    """What the partner said at once: opened, to be weighed and kept."""
    wait: float | None = None
    """Seconds that it asks to be left alone for."""


@dataclass(slots=True)
class _Batch:
    """Letters under way to one partner. A letter is written and sealed once, and kept, before it leaves; every later try sends the same bytes."""

    flow: Flow
    adapter: Adapter
    go_on: Callable[[], bool]
    down_until: datetime | None = None
    waiting: deque[Delivery] = field(default_factory=deque)
    tried: list[Tried] = field(default_factory=list)
    left: list[Delivery] = field(default_factory=list)
    sent: int = 0
    began: float = field(default_factory=time.monotonic)
    kept: float = field(default_factory=time.monotonic)

    def run(self, claimed: Sequence[Delivery]) -> None:
        self._take_up(claimed)
        while self.waiting and self._goes_on():
            for delivery, parcel in self._sealed():
                if self._goes_on():
                    self._send(delivery, parcel)
                else:
                    self.left.append(delivery)
        self.left += self.waiting
        self._keep()

    def _goes_on(self) -> bool:
        """Not when the partner is down; at least one is tried, however slow it is."""
        down = any(one.step is Step.UNAVAILABLE for one in self.tried) or self.down_until is not None
        return not down and (not self.sent or (time.monotonic() < self.began + LET_GO and self.go_on()))

    def _take_up(self, claimed: Sequence[Delivery]) -> None:
        """What is to be sent now; a letter whose receipt is overdue, once more. What ran out of time is kept as that."""
        now, overdue = self.flow.clock(), list[Tried]()
        for delivery in claimed:
            if now >= delivery.expires:
                self.tried.append(Tried(delivery, Step.EXPIRED, Problem.NOT_DELIVERED.value))
            elif delivery.state is State.ARRIVED:
                self.tried.append(Tried(delivery, Step.EXPIRED))
            elif delivery.state is State.SENT:
                overdue.append(Tried(delivery, Step.OVERDUE))
            elif delivery.function.startswith(NOTICE):
                self._take_notice(delivery, now)
            else:
                self.waiting.append(delivery)
        again = [done.result() for done in self.flow.store.write_all([partial(self._settle, one) for one in overdue])]
        self.waiting += [delivery for delivery in again if delivery.state is State.DUE]

    def _take_notice(self, delivery: Delivery, now: datetime) -> None:
        """Whoever it is for may not be told any more, or not at this hour."""
        leaves = self.flow.store.write(lambda tx: self.flow.settling.leaves(tx, delivery))
        if leaves is None:
            self.tried.append(Tried(delivery, Step.SUPERSEDED))
        elif leaves > now:
            self.flow.store.write(lambda tx: tx.let_go([delivery], leaves))
        else:
            self.waiting.append(delivery)

    def _sealed(self) -> list[tuple[Delivery, Parcel]]:
        """The next letters, all kept in one commit."""
        made, size = list[tuple[Delivery, Parcel, bool]](), 0
        now = self.flow.clock()
        while self.waiting and size < AT_ONCE:
            delivery = resuming.known(self.adapter, self.waiting.popleft(), now, self.flow)
            if delivery.state is not State.DUE:
                continue
            try:
                stored = self.flow.store.parcel(delivery.parcel) if delivery.parcel else None
                parcel = stored or self._written(delivery, now)
            except (Unavailable, Refused) as why:
                self._failed(delivery, why)
            except Exception:  # a bug of ours is no other letter's fault; the lease brings this one back
                log.exception("a letter could not be written")
            else:
                made.append((delivery, parcel, stored is None))
                size += len(parcel.body)
        works = [partial(Transaction.keep_parcel, delivery=delivery, parcel=parcel) for delivery, parcel, new in made if new]
        kept = iter(self.flow.store.write_all(works))
        return [(next(kept).result() if new else delivery, parcel) for delivery, parcel, new in made]

    def _written(self, delivery: Delivery, now: datetime) -> Parcel:
        """Written from the state that caused it, or from the content that was owed, and sealed."""
        letter = Letter(delivery.id, delivery.conversation, delivery.function, now, delivery.expires, delivery.refers_to)
        content = self.flow.store.content(delivery.content) if delivery.content else None
        if content is None:
            content = self.adapter.format.write(self.flow.keeping.stated(self.flow.store, delivery.subject, delivery.version), letter)
        return self.adapter.seal.close(content, letter, now)

    def _send(self, delivery: Delivery, parcel: Parcel) -> None:
        self.sent += 1
        try:
            reply = self.adapter.carrier.send(parcel)
        except (Unavailable, Refused) as why:
            return self._failed(delivery, why)
        reach("after-remote-send")
        self.tried.append(Tried(delivery, Step.SENT, reply=self._opened(reply) if reply is not None and self.adapter.seal.acknowledges else None))
        if time.monotonic() > self.kept + SHARED:
            self._keep()

    def _failed(self, delivery: Delivery, why: Unavailable | Refused) -> None:
        if isinstance(why, Unavailable):
            self.tried.append(Tried(delivery, Step.UNAVAILABLE, f"{Problem.UNAVAILABLE.value} {why.detail}", wait=why.retry_after))
        else:
            self.tried.append(Tried(delivery, Step.REFUSED, f"{why.problem.value} {why.detail}"))

    def _opened(self, reply: Parcel) -> Callable[[Transaction], Answer] | None:
        """None: it cannot be opened now. The letter was sent all the same; when no other receipt comes it is sent again."""
        try:
            return self.flow.opened(self.adapter, reply)
        except Exception:
            log.exception("what %s answered could not be opened", self.adapter.name)
            return None

    def _keep(self) -> None:
        """What became of those that were tried, and what they were answered; in one commit, and what fails of one undoes no other."""
        works: list[Callable[[Transaction], object]] = []
        for one in self.tried:
            works += [partial(self._settle, one), *([one.reply] if one.reply else [])]
        if self.left:
            works.append(partial(Transaction.let_go, claimed=self.left))
        for work, done in zip(works, self.flow.store.write_all(works), strict=True):
            trouble = done.exception()
            if isinstance(trouble, Lacking):  # an answer whose rules need to know more first
                self.flow.store.write(work)
            elif trouble is not None:  # the lease brings the letter back
                log.error("what became of a letter could not be kept", exc_info=trouble)
        self.tried, self.kept = [], time.monotonic()

    def _settle(self, one: Tried, tx: Transaction) -> Delivery:
        settling = self.flow.settling
        after = settling.step(tx, self.adapter, one.delivery, one.step, one.note, one.wait)
        if one.step is Step.SENT and not self.adapter.seal.acknowledges:
            after = settling.step(tx, self.adapter, after, Step.ARRIVED)
        if one.step is Step.UNAVAILABLE:
            self.down_until = after.due_at if self.down_until is None else min(self.down_until, after.due_at)
        return after
