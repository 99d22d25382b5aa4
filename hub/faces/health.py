"""GET /health: alive, and what it needs answers. For load balancers and the on-call person; no numbers that tell of persons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from hub.problem import Unavailable
from hub.store import Store


class Health:
    """The ASGI application. 200 when the store answers, else 503."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, body = self._look()
        out = orjson.dumps(body)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"content-length", str(len(out)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else out})

    def _look(self) -> tuple[int, dict[str, Any]]:
        try:
            waiting = self._store.counts()
        except Unavailable as later:
            return 503, {"status": "unavailable", "store": later.detail}
        return 200, {"status": "ok", "store": "ok", "at": self._clock().isoformat(timespec="seconds"), "deliveries": waiting}
