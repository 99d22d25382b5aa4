"""How answers leave. uvicorn writes the head of an answer and its body by themselves: two system calls, and two packets of which the first
wakes a client that can do nothing with it. Here what one turn of the loop writes to a connection goes out as one.
"""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 64 * 1024
"""Bytes that are held at most: more goes out at once, so that the transport's own limits tell a stream when to wait."""


class Held:
    """A transport that holds what is written until the turn ends; for the rest the one it stands before."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._let_go)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._let_go()

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._transport.writelines(pieces)
