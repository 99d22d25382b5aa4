"""What comes in one turn of the event loop shares the way to a thread, the commit, and the way back, which cost more than most of the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Generic, TypeVar

from hub.store import Lacking

Item = TypeVar("Item")
Told = TypeVar("Told")
TOGETHER = 16
"""What one thread hands to the writer at once: more would keep the second core from what can be done beside (opening what is sealed)."""


class Turn(Generic[Item, Told]):
    """Called with each that comes, on the event loop; gives what became of it."""

    def __init__(self, pool: Executor, together: Callable[[Sequence[Item]], list[Future[Told]]], alone: Callable[[Item], Told]) -> None:
        """`together` does many in one commit, each for itself; `alone` does one for which a partner must be asked first, who may be slow: the
        others do not wait for that."""
        self._pool, self._together, self._alone = pool, together, alone
        self._come: list[tuple[Item, asyncio.Future[Told]]] = []

    def __call__(self, item: Item) -> asyncio.Future[Told]:
        loop = asyncio.get_running_loop()
        if not self._come:
            loop.call_soon(self._hand_over, loop)
        waits: asyncio.Future[Told] = loop.create_future()
        self._come.append((item, waits))
        return waits

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        come, self._come = self._come, []
        for first in range(0, len(come), TOGETHER):
            self._pool.submit(self._do, come[first:first + TOGETHER], loop)

    def _do(self, come: list[tuple[Item, asyncio.Future[Told]]], loop: asyncio.AbstractEventLoop) -> None:
        try:
            outcomes = self._together([item for item, _ in come])
        except Exception as trouble:  # nothing of it was kept
            outcomes = [Future() for _ in come]
            for outcome in outcomes:
                outcome.set_exception(trouble)
        done: list[tuple[asyncio.Future[Told], Future[Told]]] = []
        for (item, waits), outcome in zip(come, outcomes, strict=True):
            if not outcome.done():  # the others do not wait for it
                outcome.add_done_callback(partial(_tell_one, loop, waits))
            elif isinstance(outcome.exception(), Lacking):
                self._pool.submit(self._alone, item).add_done_callback(partial(_tell_one, loop, waits))
            else:
                done.append((waits, outcome))
        loop.call_soon_threadsafe(_tell, done)


def _tell_one(loop: asyncio.AbstractEventLoop, waits: asyncio.Future[Told], outcome: Future[Told]) -> None:
    loop.call_soon_threadsafe(_tell, [(waits, outcome)])


def _tell(done: list[tuple[asyncio.Future[Told], Future[Told]]]) -> None:
    for waits, outcome in done:
        if waits.done():  # whoever waited went away
            continue
        if (trouble := outcome.exception()) is not None:
            waits.set_exception(trouble)
        else:
            waits.set_result(outcome.result())
