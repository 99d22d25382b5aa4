"""`ask`, the third verb: somebody waits for what a partner knows. Within the time limit, or Unavailable; nothing is owed or stored but the
audit line.

What is asked today is the calendar of an EPJ that owns it: which times are free. The answer is the same for everybody who looks, so that it
is kept for some seconds; so is that nobody answered, so that one who waits is one probe.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.access import AuditLine
from hub.adapter import Adapter, Line, Owner
from hub.booking.clock import begin, write
from hub.booking.free import Span
from hub.message import Letter, Message, Question, Resource, Resources
from hub.problem import Refused, Unavailable

FREE_TIMES = "free-times"
"""The function (a row in mappings/functions.toml) by which a calendar is asked."""
MOST = 1000
"""Answers that are kept at a time."""
Key = tuple[str, str, datetime, datetime]


@dataclass
class Asking:
    """Asks partners, within their time limits."""

    adapters: Mapping[str, Adapter]
    clock: Callable[[], datetime]
    audit: Callable[[Iterable[AuditLine]], None] = lambda _: None
    """`Store.audit_later`."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="ask"), init=False)
    _kept: dict[Key, tuple[datetime, tuple[Span, ...] | Unavailable]] = field(default_factory=dict, init=False)
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

    def free(self, department: str, first: datetime, until: datetime, line: AuditLine | None = None) -> tuple[Span, ...] | None:
        """When the calendar that owns this department is free in [first, until), in order. None: the hub's own seats decide.

        Args:
            line: of whoever looks; kept when the partner was really asked.

        Raises:
            Unavailable: nobody can say now.
        """
        adapter = self._owner(department)
        if adapter is None:
            return None
        key, now = (adapter.name, department, first, until), self.clock()
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept[0] <= now:
            kept = now + (adapter.line.fresh if adapter.line else timedelta(0)), self._calendar(adapter, key)
            with self._lock:
                if len(self._kept) >= MOST:
                    self._kept.clear()
                self._kept[key] = kept
            if line is not None:
                self.audit([line])
        if isinstance(kept[1], Unavailable):
            raise Unavailable(kept[1].detail, kept[1].retry_after)
        return kept[1]

    def owned(self, department: str) -> bool:
        """A partner owns its calendar."""
        return self._owner(department) is not None

    def _owner(self, department: str) -> Adapter | None:
        owned = (a for a in self.adapters.values() if a.owner is Owner.EPJ)
        return next((a for a in owned if not a.departments or department in a.departments), None)

    def _calendar(self, adapter: Adapter, key: Key) -> tuple[Span, ...] | Unavailable:
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


def _spans(answer: Message) -> tuple[Span, ...]:
    """The free times of an answer. Raises Unavailable for one that tells none that can be read."""
    if not isinstance(answer, Resources):
        raise Unavailable("an answer that is no calendar")
    try:
        return tuple(sorted((begin(slot["start"]), begin(slot["end"])) for slot in answer.items if slot.get("status") == "free"))
    except (KeyError, ValueError, TypeError) as wrong:
        raise Unavailable("a free time that cannot be read") from wrong
