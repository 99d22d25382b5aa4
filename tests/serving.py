"""A real HTTP server for an ASGI application, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from adapters.demo.processes import wait_for


@contextmanager
def served(asgi: Any, port: int, **options: Any) -> Iterator[None]:
    """On 127.0.0.1. `options`: of uvicorn.Config."""
    server = uvicorn.Server(uvicorn.Config(asgi, "127.0.0.1", port, log_level="error", access_log=False, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the server answering", 30)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
