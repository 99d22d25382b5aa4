"""The sandbox's own door before the FHIR face: `POST /fhir/$reset`, and `X-Sandbox-Fail`, which makes a call go wrong on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from hub.access import ALL_DEPARTMENTS, Reader
from hub.config import Misconfigured
from hub.faces.interaction import Answer, failed, headers_of, read_body, respond
from hub.fhir.outcome import informed
from hub.problem import Problem, Refused, Unavailable

HEADER = b"x-sandbox-fail"
SLOW = 10.0
"""Seconds that a slow answer takes."""
FAILURES: dict[str, Callable[[], Exception]] = {
    "409": lambda: Refused(Problem.FULL, "the sandbox was asked for this", "Appointment.start"),
    "412": lambda: Refused(Problem.OUT_OF_DATE, "the sandbox was asked for this"),
    "422": lambda: Refused(Problem.NO_DECISION, "the sandbox was asked for this"),
    "429": lambda: Refused(Problem.TOO_MANY, "the sandbox was asked for this"),
    "503": lambda: Unavailable("the sandbox was asked for this", 2),
}
"""What the header may say → what is answered, with nothing done. Besides: `slow`, and `lost-answer`, with everything done."""
_LARGEST = 4 * 1024 * 1024


class Sandbox:
    """ASGI, behind the gate and before the FHIR face."""

    def __init__(self, inner: Any, reset: Callable[[], int], pool: Executor) -> None:
        self._inner, self._reset, self._pool = inner, reset, pool

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """As `Beside.methods`."""
        methods: tuple[str, ...] = ("POST",) if path == ("$reset",) else self._inner.methods(path)
        return methods

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: Any) -> None:
            """Every answer says where it came from."""
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-sandbox", b"invented persons only")]}
            await send(message)

        headers = headers_of(scope)
        wanted = headers.get(HEADER, b"").decode("latin-1").strip().lower()
        if scope["method"] == "POST" and scope["path"][len(scope.get("root_path", "")):].strip("/") == "$reset":
            await read_body(receive, _LARGEST)
            await respond(marked, scope["method"], headers, await self._set_back(scope.get("reader")))
        elif wanted == "lost-answer":
            await self._lost(scope, receive, marked)
        elif wanted in ("", "slow"):
            await asyncio.sleep(SLOW if wanted else 0)
            await self._inner(scope, receive, marked)
        else:
            await read_body(receive, _LARGEST)
            unknown = Refused(Problem.INVALID, f"X-Sandbox-Fail is {', '.join(FAILURES)}, slow or lost-answer")
            answer = failed(FAILURES[wanted]() if wanted in FAILURES else unknown)
            await respond(marked, scope["method"], headers, answer.with_headers((b"retry-after", b"2")) if answer.status == 429 else answer)

    async def _lost(self, scope: Any, receive: Any, send: Any) -> None:
        """All is done, and the connection breaks within the answer."""

        async def dropped(_: Any) -> None:
            """Nobody hears it."""

        await self._inner(scope, receive, dropped)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})

    async def _set_back(self, reader: Reader | None) -> Answer:
        try:
            if reader is None or reader.departments != ALL_DEPARTMENTS or not reader.may("*", "d"):
                raise Refused(Problem.NOT_ALLOWED, "setting the sandbox back needs a token for every department and type")
            changed = await asyncio.get_running_loop().run_in_executor(self._pool, self._reset)
            return Answer(200, informed(f"set back: {changed} changes"))
        except Misconfigured as wrong:
            return failed(Refused(Problem.NOT_ALLOWED, str(wrong)))
        except Exception as trouble:
            return failed(trouble)
