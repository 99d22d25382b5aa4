"""How the log is written: what failed, and where; never what an exception says, since a database, a parser or a library repeats values in that."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

TALKATIVE = ("httpx", "alembic")
"""Libraries that tell of every call."""
_Info = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Discreet(logging.Formatter):
    """Exceptions as their kinds and their places in the code, the first cause first."""

    def formatException(self, ei: _Info) -> str:
        parts: list[str] = []
        trouble: BaseException | None = ei[1]
        seen: set[int] = set()
        while trouble is not None and id(trouble) not in seen:
            seen.add(id(trouble))
            number = f" {trouble.errno}" if isinstance(trouble, OSError) and trouble.errno is not None else ""
            parts.insert(0, f"{''.join(traceback.format_tb(trouble.__traceback__))}{type(trouble).__module__}.{type(trouble).__name__}{number}")
            trouble = trouble.__cause__ or (None if trouble.__suppress_context__ else trouble.__context__)
        return "\n-- and then --\n".join(parts)


def begin(stream: Any = None) -> None:
    """Everything that is logged goes to `stream` (stderr)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Discreet("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
