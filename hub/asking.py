"""`ask`, the third verb: somebody waits for what a partner knows. Within the time limit, or Unavailable; nothing is owed or stored but the
audit line.

What is asked today is the calendar of an EPJ that owns it: which times are free. The answer is the same for everybody who looks, so that it
is kept for some seconds; so is that nobody answered, so that one who waits is one probe.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.access import AuditLine
from hub.adapter import Adapter, Line, Owner, owning
from hub.booking import Department
from hub.booking.clock import MIDNIGHT, at, begin, local, write
from hub.booking.free import Span
from hub.message import Letter, Message, Question, Resource, Resources
from hub.problem import Refused, Unavailable
from hub.store import Lacking

FREE_TIMES = "free-times"
"""The function (a row in mappings/functions.toml) by which a calendar is asked."""
MOST = 1000
"""Answers that are kept at a time."""
SHORTEST = timedelta(seconds=1)
"""How long an answer is good for at least: until the work that lacked it has run again."""
_DAY = timedelta(days=1)
Key = tuple[str, str, datetime, datetime]
"""Adapter, department, and the time that is asked about."""
Said = tuple[Span, ...] | Unavailable
"""The free times, or that nobody told any."""


@dataclass
class Asking:
    """Asks partners, within their time limits."""

    adapters: Mapping[str, Adapter]
    clock: Callable[[], datetime]
    audit: Callable[[Iterable[AuditLine]], None] = lambda _: None
    """`Store.audit_later`."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="ask"), init=False)
    _kept: dict[Key, tuple[datetime, Said]] = field(default_factory=dict, init=False)
    _pending: dict[Key, Future[Said]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def ask(self, adapter: Adapter, question: Question) -> Message:
        """The partner's answer to one question.

        Raises:
            Unavailable: no answer within the line's time limit, none that can be understood, or the partner has no such line.
        """
        line = adapter.line
        if line is None:
            raise Unavailable(f"{adapter.name} has no line for questions")
        waiting = self._pool.submit(self._asked, line, question)
        try:
            return waiting.result(line.within.total_seconds())
        except TooLate as late:
            waiting.cancel()
            raise Unavailable(f"{adapter.name} did not answer in time") from late
        except Refused as refused:
            raise Unavailable(f"{adapter.name}: {refused.problem.value} {refused.detail}") from refused

    def _asked(self, line: Line, question: Question) -> Message:
        now = self.clock()
        letter = Letter(str(uuid.uuid4()), str(uuid.uuid4()), question.name, now, now + line.within)
        reply = line.carrier.send(line.seal.close(line.format.write(question, letter), letter, now))
        if reply is None:
            raise Unavailable("an empty answer")
        return line.format.read(line.seal.open(reply, self.clock()))

    def free(self, department: Department, now: datetime, line: AuditLine | None = None) -> tuple[Span, ...] | None:
        """When the calendar that owns this department is free, from today up to the horizon, in order. None: the hub's own seats decide.

        Whole days, so that what is asked for one person is good for the next. Of those who ask at once one does, and the others wait for
        the same answer.

        Args:
            line: of whoever looks; kept when the partner was really asked.

        Raises:
            Unavailable: nobody can say now.
        """
        adapter = owning(self.adapters, Owner.EPJ, department.code)
        if adapter is None:
            return None
        key, mine = _key(adapter, department, now), Future[Said]()
        with self._lock:
            kept = self._fresh(key)
            first = mine if kept is not None else self._pending.setdefault(key, mine)
        if kept is not None:
            return _said(kept)
        if first is not mine:
            return _said(_awaited(adapter, first))
        if line is not None:
            self.audit([line])
        return _said(self._answered(adapter, key, mine))

    def known(self, department: Department, now: datetime, line: AuditLine | None = None) -> tuple[Span, ...] | None:
        """As `free`, within a transaction: nobody is asked, only what was answered lately is told.

        Raises:
            Lacking: the partner must be asked first; `Store.write` does it and runs the work again.
            Unavailable: nobody can say now.
        """
        adapter = owning(self.adapters, Owner.EPJ, department.code)
        if adapter is None:
            return None
        with self._lock:
            kept = self._fresh(_key(adapter, department, now))
        if kept is None:
            raise Lacking(f"the calendar of {adapter.name} must be asked", lambda: self._fetch(department, now, line))
        return _said(kept)

    def _fetch(self, department: Department, now: datetime, line: AuditLine | None) -> None:
        with contextlib.suppress(Unavailable):  # it is remembered, and told when the work runs again
            self.free(department, now, line)

    def _fresh(self, key: Key) -> Said | None:
        until, said = self._kept.get(key, (None, None))
        return said if until is not None and until > self.clock() else None

    def _answered(self, adapter: Adapter, key: Key, pending: Future[Said]) -> Said:
        """Asks, for everybody who waits."""
        said: Said = Unavailable(f"{adapter.name} could not be asked")
        try:
            said = self._calendar(adapter, key)
        finally:
            with self._lock:
                if len(self._kept) >= MOST:
                    self._kept.clear()
                self._kept[key] = self.clock() + max(SHORTEST, adapter.line.fresh if adapter.line else SHORTEST), said
                del self._pending[key]
            pending.set_result(said)
        return said

    def _calendar(self, adapter: Adapter, key: Key) -> Said:
        _, department, first, until = key
        about: Resource = {"resourceType": "Parameters", "parameter": [
            {"name": "start", "valueInstant": write(first)}, {"name": "end", "valueInstant": write(until)},
            {"name": "healthcare-service", "valueReference": {"reference": f"HealthcareService/{department}"}},
        ]}
        try:
            answer = self.ask(adapter, Question(FREE_TIMES, about))
            return _spans(answer)
        except Unavailable as unavailable:
            return unavailable

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _key(adapter: Adapter, department: Department, now: datetime) -> Key:
    today = local(now).date()
    return adapter.name, department.code, at(today, MIDNIGHT), at(today + (department.horizon_days + 2) * _DAY, MIDNIGHT)


def _awaited(adapter: Adapter, pending: Future[Said]) -> Said:
    """What somebody else was told who asked first."""
    try:
        return pending.result(adapter.line.within.total_seconds() if adapter.line else 0)
    except TooLate:
        return Unavailable(f"{adapter.name} did not answer in time")


def _said(said: Said) -> tuple[Span, ...]:
    if isinstance(said, Unavailable):
        raise Unavailable(said.detail, said.retry_after)
    return said


def _spans(answer: Message) -> tuple[Span, ...]:
    """The free times of an answer. Raises Unavailable for one that tells none that can be read."""
    if not isinstance(answer, Resources):
        raise Unavailable("an answer that is no calendar")
    try:
        return tuple(sorted((begin(slot["start"]), begin(slot["end"])) for slot in answer.items if slot.get("status") == "free"))
    except (KeyError, ValueError, TypeError) as wrong:
        raise Unavailable("a free time that cannot be read") from wrong
