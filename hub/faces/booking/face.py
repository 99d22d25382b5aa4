"""The booking API over HTTP: which address is which verb, which scope it needs, and how answers and access log leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect

from hub.access import AuditLine
from hub.faces.booking.problems import failed
from hub.faces.booking.verbs import CHANNEL, JSON, Call, Verbs
from hub.faces.interaction import READS, Answer, allow, below, headers_of, read_body, respond
from hub.faces.web import ID
from hub.problem import Problem, Refused
from hub.store import Store

LARGEST = 64 * 1024
SERVICES, TIMES = ("HealthcareService", "s"), ("Slot", "s")
ONE, FINDS, MAKES, CHANGES = (("Appointment", letter) for letter in "rscu")
Verb = Callable[[Verbs, Call], Answer]
ROUTES: dict[tuple[str, ...], tuple[str, tuple[str, str], Verb]] = {
    ("services",): ("POST", SERVICES, Verbs.services),
    ("times",): ("POST", TIMES, Verbs.times),
    ("holds",): ("POST", MAKES, Verbs.hold),
    ("holds", "release"): ("POST", MAKES, Verbs.release),
    ("bookings",): ("POST", MAKES, Verbs.book),
    ("bookings", "search"): ("POST", FINDS, Verbs.bookings),
    ("bookings", "{id}"): ("GET", ONE, Verbs.one),
    ("bookings", "{id}", "move"): ("POST", CHANGES, Verbs.move),
    ("bookings", "{id}", "cancel"): ("POST", CHANGES, Verbs.cancel),
    ("series",): ("POST", MAKES, Verbs.start_series),
    ("series", "search"): ("POST", FINDS, Verbs.series),
    ("series", "{id}", "end"): ("POST", CHANGES, Verbs.end_series),
    ("waiting",): ("POST", MAKES, Verbs.wait),
    ("waiting", "search"): ("POST", FINDS, Verbs.waiting),
    ("waiting", "{id}", "accept"): ("POST", CHANGES, Verbs.accept),
    ("waiting", "{id}", "decline"): ("POST", CHANGES, Verbs.decline),
    ("waiting", "{id}", "leave"): ("POST", CHANGES, Verbs.stop_waiting),
}
"""Address below the base → method, the scope it needs (type and letter), and what it does."""


def needed(method: str, path: tuple[str, ...]) -> tuple[str, str] | None:
    """The scope that a request needs; None for an address that is not there."""
    found = _route(path)
    return ROUTES[found[0]][1] if found else None


def _route(path: tuple[str, ...]) -> tuple[tuple[str, ...], str] | None:
    """(address, id) of a path below the base; None: there is none such."""
    if path in ROUTES and "{id}" not in path:
        return path, ""
    if len(path) < 2 or not ID.fullmatch(path[1]):
        return None
    address = (path[0], "{id}", *path[2:])
    return (address, path[1]) if address in ROUTES else None


class BookingFace:
    """ASGI: stands behind the gate (`scope["reader"]`)."""

    def __init__(self, store: Store, verbs: Verbs, pool: Executor, clock: Callable[[], datetime]) -> None:
        self._store, self._verbs, self._pool, self._clock = store, verbs, pool, clock

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The methods that an address has; none: there is no such address."""
        found = _route(path)
        return () if found is None else READS if ROUTES[found[0]][0] == "GET" else ("POST",)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = below(scope)
        headers = headers_of(scope)
        try:
            found = _route(path)
            if found is None:
                raise Refused(Problem.UNKNOWN_RESOURCE, "no such address")
            verb = ROUTES[found[0]][2]
            if scope["method"] not in self.methods(path):
                raise Refused(Problem.NO_SUCH_INTERACTION, f"this address takes {', '.join(self.methods(path))}")
            call = Call(scope["reader"], await _body(scope, receive, headers), found[1], headers, self._clock())
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._do, verb, call)
        except ClientDisconnect:
            raise
        except Exception as trouble:
            answer = failed(trouble)
            if isinstance(trouble, Refused) and trouble.problem is Problem.NO_SUCH_INTERACTION:
                answer = answer.with_headers(allow(self.methods(path)))
        await respond(send, scope["method"], headers, answer)

    def _do(self, verb: Verb, call: Call) -> Answer:
        answer = verb(self._verbs, call)
        reader = call.reader
        self._store.audit_later(
            AuditLine(call.now, person, reader.reference, reader.ground.value, answer.kind, "", CHANNEL) for person in answer.persons
        )
        return answer


async def _body(scope: Any, receive: Any, headers: dict[bytes, bytes]) -> bytes:
    """Raises Refused TOO_LARGE, WRONG_MEDIA_TYPE."""
    body = await read_body(receive, LARGEST)
    if body is None:
        raise Refused(Problem.TOO_LARGE, f"a body of more than {LARGEST} bytes")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if scope["method"] == "POST" and (kind != JSON.encode() or headers.get(b"content-encoding", b"identity") != b"identity"):
        raise Refused(Problem.WRONG_MEDIA_TYPE, f"a body is {JSON}, uncompressed")
    return body
