"""What the FHIR face serves beside plain interactions: operations, exports, what subscriptions are asked, a message's trace. One door for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

from hub.access import Reader
from hub.faces.interaction import Answer, Asked, below, failed, read_body, respond
from hub.problem import Problem, Refused


@dataclass(frozen=True, slots=True)
class File:
    """An answer that goes out piece by piece."""

    media_type: str
    pieces: Iterator[bytes]


class Part(Protocol):
    """One of them."""

    largest: int
    """Bytes of a body."""

    def serves(self, method: str, path: tuple[str, ...]) -> bool:
        """This address below the base is its own."""

    def answer(self, asked: Asked, reader: Reader) -> Answer | File:
        """Runs in the pool. Raises Refused, Unavailable."""


class Beside:
    """ASGI: stands between the gate (`scope["reader"]`) and `rest`, which gets what no part serves."""

    def __init__(self, rest: Any, parts: Sequence[Part], pool: Executor) -> None:
        self._rest, self._parts, self._pool = rest, parts, pool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method, path = scope["method"], below(scope)
        part = next((part for part in self._parts if part.serves(method, path)), None)
        if part is None:
            await self._rest(scope, receive, send)
            return
        body = await read_body(receive, part.largest) if method == "POST" else b""
        headers = dict(scope["headers"])
        asked = Asked(method, path, scope["query_string"].decode("latin-1"), headers, body or b"")
        answer = await self._aside(_guarded, part, asked, scope["reader"], body is None)
        if isinstance(answer, File):
            await self._stream(send, answer)
        else:
            await respond(send, method, headers, answer)

    async def _aside(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    async def _stream(self, send: Any, file: File) -> None:
        """A piece is made when the one before was taken: a slow client costs no memory."""
        headers = [(b"content-type", file.media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while (piece := await self._aside(next, file.pieces, None)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _guarded(part: Part, asked: Asked, reader: Reader, too_large: bool) -> Answer | File:
    try:
        if too_large:
            raise Refused(Problem.TOO_LARGE, f"a body of more than {part.largest} bytes")
        return part.answer(asked, reader)
    except Exception as trouble:
        return failed(trouble)
