"""Where partners leave their parcels: POST /inbox/<adapter>. Bytes in, the flow's answer out; the protocol's own error if it is refused.

A plain ASGI application: the work (crypto, commit) runs in a small pool of threads, so that reads on the same loop go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import logging
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import orjson
from starlette.requests import ClientDisconnect

from hub.adapter import Adapter
from hub.faces.turn import Turn
from hub.flow import Flow
from hub.message import Answer, Parcel
from hub.problem import Problem, Refused, Unavailable

log = logging.getLogger(__name__)

STATUS: dict[Problem, int] = {
    Problem.UNKNOWN_PARTNER: 404,
    Problem.NOT_AUTHENTICATED: 401,
    Problem.TOO_LARGE: 413,
    Problem.UNAVAILABLE: 503,
}
"""HTTP status of what the inbox itself answers; everything else is the partner's own protocol."""

Header = tuple[bytes, bytes]
PATH = "/inbox/"
RECEIPT_SENDERS = 4


class Inbox:
    """The ASGI application."""

    def __init__(self, flow: Flow, adapters: Mapping[str, Adapter], pool: Executor) -> None:
        self._adapters = adapters
        self._received: Turn[tuple[Adapter, Parcel], Answer] = Turn(pool, flow.receive_all, lambda arrived: flow.receive(*arrived))
        self._receipts = ThreadPoolExecutor(RECEIPT_SENDERS, thread_name_prefix="receipts")
        """Apart from what takes in: a partner that is slow to take receipts must not keep others' letters waiting."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].removeprefix(PATH).strip("/")
        adapter = self._adapters.get(name)
        if adapter is None:
            return await _problem(send, Problem.UNKNOWN_PARTNER)
        if scope["method"] != "POST":
            return await _respond(send, 405, [(b"allow", b"POST")], b"")
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if not authentic(adapter, headers.get("authorization", "")):
            return await _problem(send, Problem.NOT_AUTHENTICATED)
        body = await _body(receive, adapter.max_bytes, headers.get("content-length"))
        if body is None:
            return await _problem(send, Problem.TOO_LARGE)
        try:
            answer = await self._received((adapter, Parcel(headers, body)))
        except Unavailable as later:
            log.warning("nothing was kept: %s", later.detail)
            return await _problem(send, Problem.UNAVAILABLE, retry_after=later.retry_after or 5)
        if answer.later and answer.parcel is not None:
            asyncio.get_running_loop().run_in_executor(self._receipts, _send_later, adapter, answer.parcel)
            return await _respond(send, 202, [], b"")
        await _answer(send, answer)


def _send_later(adapter: Adapter, receipt: Parcel) -> None:
    """A receipt on a connection of its own. When it does not arrive, the sender's next try brings the stored one again."""
    try:
        adapter.carrier.send(receipt)
    except (Refused, Unavailable) as trouble:
        log.warning("a receipt to %s was not taken: %s", adapter.name, type(trouble).__name__)


def authentic(adapter: Adapter, authorization: str) -> bool:
    """True when the partner showed its bearer token, or signs its parcels and has none. Who neither signs nor has a token posts nothing: a shop that
    is polled, a carrier of notices."""
    if not adapter.token_digest:
        return adapter.seal.proves
    scheme, _, token = authorization.partition(" ")
    shown = hashlib.sha256(token.strip().encode()).hexdigest()
    return scheme.lower() == "bearer" and hmac.compare_digest(shown, adapter.token_digest)


async def _body(receive: Any, limit: int, length: str | None) -> bytes | None:
    """The whole body, or None when it is larger than the adapter allows."""
    if length is not None and length.isdigit() and int(length) > limit:
        return None
    body, more = io.BytesIO(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body.write(message.get("body", b""))
        if body.tell() > limit:
            return None
        more = message.get("more_body", False)
    return body.getvalue()  # without a copy


async def _answer(send: Any, answer: Answer) -> None:
    parcel = answer.parcel
    if parcel is None:
        return await _respond(send, 204, [], b"")
    headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in parcel.headers.items() if key != "content-length"]
    await _respond(send, parcel.status, headers, parcel.body)


async def _problem(send: Any, problem: Problem, retry_after: float | None = None) -> None:
    body = orjson.dumps({"problem": {"nummer": problem.value, "navn": problem.name, "tekst": problem.text}})
    headers: list[Header] = [(b"content-type", b"application/json")]
    if retry_after is not None:
        headers.append((b"retry-after", str(int(retry_after)).encode()))
    if problem is Problem.NOT_AUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    await _respond(send, STATUS[problem], headers, body)


async def _respond(send: Any, status: int, headers: list[Header], body: bytes) -> None:
    if status != 204:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
