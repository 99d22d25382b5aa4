"""The limits of a connection that uvicorn's fast HTTP lacks: how large what stands before a body may be, and how long a sender may take.

Without them a connection that says a word a minute is kept for ever, and a head grows until the memory is full: anybody can do that, before
any token is asked for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.faces.held import Held

LARGEST_HEAD = 64 * 1024
"""Bytes of request line and headers; a body that comes with them does not count."""
HEAD_WITHIN = 30.0
"""Seconds from when we wait for a head until it is there."""
SILENCE = 60.0
"""Seconds between two pieces of a body."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Careful(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    _timer: asyncio.TimerHandle | None = None
    _head = 0
    """Bytes of a head that is not complete."""
    _in_head = True
    _whole = False
    """The request that came last is complete."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Held(transport, self.loop))  # type: ignore[arg-type]
        self._wait(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._whole:
            self._whole, self._in_head = False, True
        super().data_received(data)
        if self._whole:
            self._stop()
        elif not self._in_head:
            self._wait(SILENCE)
        else:
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            elif self._timer is None:
                self._wait(HEAD_WITHIN)

    def on_message_begin(self) -> None:
        self._whole, self._in_head = False, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._whole = True
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._late, seconds)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self, seconds: float) -> None:
        """Closes, unless it is we who do not read: then the sender cannot go on."""
        self._timer = None
        if self.flow.read_paused:
            self._wait(seconds)
        else:
            self.transport.close()
