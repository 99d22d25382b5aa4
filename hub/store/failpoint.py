"""Fail points for the crash tests: places where a process may be told to die as if the power went (SIGKILL, no clean-up).

`BESOKSBRO_FAILPOINT` names one: `before-commit` (dies the first time it is reached), `before-commit:3` (the third time) or
`before-commit:0.2:7` (each time with probability 0.2, from seed 7). Unset, a call costs one comparison.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable

POINTS = frozenset({"after-claim", "inside-migration", "inside-transaction", "before-commit", "after-commit", "after-remote-send"})
VARIABLE = "BESOKSBRO_FAILPOINT"

_name: str | None = None
"""The armed point; "" for none; None until the environment was read."""
_strikes: Callable[[], bool] = lambda: False
_lock = threading.Lock()


def reach(name: str) -> None:
    """Dies here if this point is the armed one and its time has come."""
    if _name == "":
        return
    _reach(name)


def _reach(name: str) -> None:
    global _name, _strikes
    with _lock:
        if _name is None:
            _name, _strikes = parse(os.environ.get(VARIABLE, ""))
        if name == _name and _strikes():
            os.kill(os.getpid(), signal.SIGKILL)


def parse(text: str) -> tuple[str, Callable[[], bool]]:
    """The point's name and a function that says, each time it is reached, whether to die.

    Raises:
        ValueError: the point does not exist.
    """
    if not text:
        return "", lambda: False
    name, _, rest = text.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: no fail point {name!r}; there are {', '.join(sorted(POINTS))}")
    when, _, seed = rest.partition(":")
    if "." in when:
        chance, dice = float(when), random.Random(seed or None)
        return name, lambda: dice.random() < chance
    left = iter(range(int(when or 1) - 1, -1, -1))
    return name, lambda: next(left, 1) == 0
