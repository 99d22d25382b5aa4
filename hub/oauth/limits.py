"""How often somebody may come: a token bucket per caller, in this process's memory (N processes let through N times as much)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

CALLERS = 10_000
"""Remembered at most; the one that was silent longest is forgotten first."""


class Limiter:
    """`per_minute` on average, as many at once."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Caller → (how many it has left, at which second)."""
        self._lock = threading.Lock()

    def take(self, caller: str, per_minute: int) -> float:
        """Counts one. 0: it may; else seconds until it may come again."""
        with self._lock:
            left = self._now(caller, per_minute)
            if left < 1:
                return (1 - left) * 60 / per_minute
            self._left[caller] = (left - 1, self._left[caller][1])
            return 0.0

    def wait(self, caller: str, per_minute: int) -> float:
        """Seconds until it may come again; counts nothing."""
        with self._lock:
            return max(0.0, (1 - self._now(caller, per_minute)) * 60 / per_minute)

    def _now(self, caller: str, per_minute: int) -> float:
        now = self._clock().timestamp()
        left, at = self._left.get(caller, (float(per_minute), now))
        left = min(float(per_minute), left + max(now - at, 0.0) * per_minute / 60)
        self._left[caller] = (left, now)
        self._left.move_to_end(caller)
        if len(self._left) > CALLERS:
            self._left.popitem(last=False)
        return left
