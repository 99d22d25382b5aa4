"""What the FHIR face serves beside plain interactions: operations, exports, what subscriptions are asked, a message's trace. One door for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

from hub.access import Reader
from hub.faces.formats import acceptable, in_json, said_in, worded
from hub.faces.interaction import JSON, Answer, Asked, allow, below, failed, headers_of, read_body, respond
from hub.faces.packing import PACKED, VARIES, packed, unpacked, wants
from hub.fhir.definitions import Definitions
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
    worded: bool
    """Its answers are resources, in either format."""

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The methods of this address below the base, where it is its own; else none."""

    def answer(self, asked: Asked, reader: Reader) -> Answer | File:
        """Runs in the pool. Raises Refused, Unavailable."""


class Beside:
    """ASGI: stands between the gate (`scope["reader"]`) and `rest`, which gets what no part serves."""

    def __init__(self, rest: Any, parts: Sequence[Part], pool: Executor, definitions: Definitions) -> None:
        self._rest, self._parts, self._pool, self._definitions = rest, parts, pool, definitions

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """As `Rest.methods`, of both."""
        found: tuple[str, ...] = next((methods for part in self._parts if (methods := part.methods(path))), ()) or self._rest.methods(path)
        return found

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method, path = scope["method"], below(scope)
        part = next((part for part in self._parts if part.methods(path)), None)
        if part is None:
            await self._rest(scope, receive, send)
            return
        body = await read_body(receive, part.largest) if method == "POST" else b""
        headers = headers_of(scope)
        asked = Asked(method, path, scope["query_string"].decode("latin-1"), headers, body or b"")
        answer, format_ = await self._aside(self._guarded, part, asked, scope["reader"], body is None)
        if isinstance(answer, File):
            await self._stream(send, answer, method, wants(asked.header(b"accept-encoding")))
        else:
            await respond(send, method, headers, answer, format_)

    async def _aside(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    def _guarded(self, part: Part, asked: Asked, reader: Reader, too_large: bool) -> tuple[Answer | File, str]:
        format_, methods = JSON, part.methods(asked.path)
        try:
            format_ = acceptable(asked) if part.worded else JSON
            if asked.method not in methods:
                raise Refused(Problem.NO_SUCH_INTERACTION, "this method does not go with this address")
            if too_large:
                raise Refused(Problem.TOO_LARGE, f"a body of more than {part.largest} bytes")
            asked = unpacked(asked, part.largest)
            answer = part.answer(in_json(asked, self._definitions) if asked.body else asked, reader)
        except Exception as trouble:
            answer, format_ = failed(trouble), said_in(asked)
            if isinstance(trouble, Refused) and trouble.problem is Problem.NO_SUCH_INTERACTION:
                answer = answer.with_headers(allow(methods))
        return answer if isinstance(answer, File) else worded(answer, format_, self._definitions), format_

    async def _stream(self, send: Any, file: File, method: str, pack: bool) -> None:
        """A piece is made when the one before was taken: a slow client costs no memory."""
        headers = [(b"content-type", file.media_type.encode()), (b"cache-control", b"no-store"), *(PACKED if pack else VARIES)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = packed(file.pieces) if pack else file.pieces
        while method != "HEAD" and (piece := await self._aside(next, pieces, None)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
