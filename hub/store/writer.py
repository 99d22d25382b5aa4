"""Group commit: one thread runs every waiting write and commits once for all of them.

Nearly every work comes to its end, or is refused before it wrote anything: so they run without savepoints, and put off what nobody reads yet.
If one fails after it wrote, all of the group is rolled back and run again, each in a savepoint of its own.

There is one writer at a time per municipality on both databases, so the change log's numbers rise in the order of commits: nothing ever
becomes visible behind what was already read, and the rules of booking need no row locks. What one disk sync costs is shared by all who wait.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from hub.problem import Unavailable
from hub.store.db import Connection, Database
from hub.store.driver import BROKEN, told
from hub.store.failpoint import reach

BATCH = 128
"""Works per commit at most: bounds how long the first of them waits."""
WAITING = 10_000
"""Works that may wait before the next is told to come again later."""
TICK = 1.0
"""Seconds: how long what need not wait for the disk may lie."""

log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[Connection], Any]


@dataclass(slots=True)
class _Job:
    work: Work
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """The thread and its queue."""

    def __init__(self, database: Database, tick: Callable[[], tuple[Work, Callable[[], None]] | None]) -> None:
        """`tick` gives work that lay waiting without anybody waiting for it (audit lines of reads) and what to call once it is
        committed, or None."""
        self._database, self._tick = database, tick
        self._queue: queue.Queue[list[_Job] | None] = queue.Queue(WAITING)
        """What was written at once stays together."""
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._started = threading.Lock()
        self._closed = False

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on the writer's connection; durable when it returns.

        Raises:
            Unavailable: too much waits, or the database does not answer; nothing was written, or the database went away in the middle of a
                commit and did not come back within LOST: then nobody knows.
        """
        result: T = self.write_all([work])[0].result()
        return result

    def write_all(self, works: Sequence[Work]) -> list[Future[Any]]:
        """Runs many works in one commit, each for itself: what one raises undoes only its own. Done when it returns.

        Raises:
            Unavailable: as `write`, of all.
        """
        self._start()
        jobs = [_Job(work) for work in works]
        try:
            self._queue.put_nowait(jobs)
        except queue.Full as full:
            raise Unavailable("too many writes are waiting", 5) from full
        for job in jobs:
            job.future.exception()  # waits
        return [job.future for job in jobs]

    def close(self) -> None:
        """Writes what waits, then stops."""
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _start(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")
        with self._started:
            if self._thread.ident is None:
                self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                first = self._queue.get(timeout=TICK)
            except queue.Empty:
                self._commit([])
                continue
            batch, last = self._drain(first)
            self._commit(batch)
            if last:
                self._commit([])
                return

    def _drain(self, first: list[_Job] | None) -> tuple[list[_Job], bool]:
        batch: list[_Job] = []
        jobs = first
        while jobs is not None and len(batch) < BATCH:
            batch += jobs
            try:
                jobs = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch + (jobs or []), jobs is None

    def _commit(self, batch: list[_Job]) -> None:
        waiting = self._tick()
        if waiting is not None:
            job = _Job(waiting[0])
            job.future.add_done_callback(lambda future: None if future.exception() else waiting[1]())
            batch = [*batch, job]
        if not batch or (trouble := self._committed(batch)) is None:
            return
        for job in batch:
            if len(batch) == 1 or (trouble := self._committed([job])) is not None:
                log.warning("a write was given up: %s", told(trouble))
                job.future.set_exception(Unavailable("the database does not answer", 5))

    def _committed(self, batch: list[_Job]) -> Exception | None:
        """None: everybody has an answer. Else what the database did not answer to, and nothing was kept: it may be tried again."""
        try:
            self._attempt(batch)
        except BROKEN as trouble:
            self._drop()
            return trouble
        except Unavailable as down:
            self._drop()
            log.warning("%d writes were given up: %s", len(batch), down.detail)
            self._give_up(batch, down)
        except Exception as bug:  # never leave anybody waiting
            self._drop()
            log.exception("a commit failed")
            self._give_up(batch, bug)
        return None

    @staticmethod
    def _give_up(batch: list[_Job], why: Exception) -> None:
        for job in batch:
            if not job.future.done():
                job.future.set_exception(why)

    def _attempt(self, batch: list[_Job]) -> None:
        if self._connection is None:
            self._connection = self._database.connect()
        connection = self._connection
        connection.begin()
        outcomes = self._outcomes(connection, batch)
        if not connection.spoiled:
            connection.settle()
        if connection.spoiled:
            connection.rollback()
            connection.begin(careful=True)
            outcomes = self._outcomes(connection, batch)
        reach("before-commit")
        try:
            connection.commit()
        except BROKEN:  # the answer got lost; what it was, the database knows. Work that was kept must not be done once more
            self._drop()
            if not self._database.kept(connection.transaction):
                raise
        reach("after-commit")
        for job, result, trouble in outcomes:
            if trouble is not None:
                job.future.set_exception(trouble)
            else:
                job.future.set_result(result)

    def _outcomes(self, connection: Connection, batch: list[_Job]) -> list[tuple[_Job, Any, BaseException | None]]:
        """What became of each work, until the transaction is spoiled."""
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        for job in batch:
            try:
                outcomes.append((job, connection.attempt(partial(job.work, connection)), None))
                reach("inside-transaction")
            except BROKEN:
                raise
            except BaseException as trouble:  # theirs: their own work is undone, the others' stays
                outcomes.append((job, None, trouble))
            if connection.spoiled:
                break
        return outcomes

    def _drop(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except Exception:
                log.debug("the broken connection did not close")
            self._connection = None
