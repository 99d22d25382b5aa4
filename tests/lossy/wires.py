"""What lies between two hubs and is not to be relied on: a proxy for HTTP, a post office for mail. Everything it does wrong is drawn from a seed."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "mail"))

from postoffice import Counter, Office

HOST = "127.0.0.1"


class Fate(StrEnum):
    """What becomes of one letter on its way."""

    CARRIED = "carried"
    LOST = "lost"                # never arrives; over HTTP the connection breaks, by mail the server has said yes
    UNANSWERED = "unanswered"    # arrives, and the sender's connection breaks before it hears so
    TWICE = "twice"
    BUSY = "busy"                # the wire says: later
    DELAYED = "delayed"          # the sender waits, others overtake it
    LATE = "late"                # the sender is told nothing (HTTP) or yes (mail); it arrives later, after others, perhaps after its own resend


class Fates:
    """Draws them, and counts."""

    def __init__(self, seed: int, share: float, hold: float) -> None:
        """`share` of the letters meets each fate but the first; `hold` seconds at most lies what is held back."""
        self._random, self._share, self._hold = Random(seed), share, hold
        self._lock = threading.Lock()
        self._under_way = 0
        self.met: Tally[Fate] = Tally()

    def draw(self) -> tuple[Fate, float]:
        """A fate, and the seconds it holds a letter back if it does."""
        with self._lock:
            wrong = list(Fate)[1:]
            number = int(self._random.random() / self._share) if self._share else len(wrong)
            fate = wrong[number] if number < len(wrong) else Fate.CARRIED
            self.met[fate] += 1
            return fate, self._random.random() * self._hold

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """While something is under way."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        """Does it after a while; until then it is under way."""
        waiting = self.carrying()
        waiting.__enter__()

        def run() -> None:
            try:
                with suppress(httpx.HTTPError):  # a kept connection that its other end just closed: one more letter lost
                    work()
            finally:
                waiting.__exit__(None, None, None)

        threading.Timer(seconds, run).start()

    @property
    def idle(self) -> bool:
        return self._under_way == 0


class Proxy:
    """An HTTP proxy in front of one inbox. `url` is what the sender is told; leaving the `with` closes it."""

    def __init__(self, port: int, target: str, fates: Fates) -> None:
        self.url = f"http://{HOST}:{port}/"
        client = httpx.Client(timeout=60, trust_env=False)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                kept = {name: self.headers[name] for name in ("content-type", "soapaction") if self.headers[name]}

                def forward() -> httpx.Response:
                    return client.post(target, content=body, headers=kept)

                fate, seconds = fates.draw()
                self.close_connection = True
                with fates.carrying(), suppress(httpx.HTTPError):
                    self.meet(fate, seconds, forward)

            def meet(self, fate: Fate, seconds: float, forward: Callable[[], httpx.Response]) -> None:
                if fate is Fate.BUSY:
                    return self.tell(503, {}, b"")
                if fate is Fate.LATE:
                    fates.later(seconds, forward)
                elif fate is Fate.DELAYED:
                    threading.Event().wait(seconds)
                if fate in (Fate.UNANSWERED, Fate.TWICE):
                    forward()
                if fate in (Fate.LOST, Fate.LATE, Fate.UNANSWERED):
                    return None
                answer = forward()
                self.tell(answer.status_code, {"content-type": answer.headers.get("content-type", "text/plain")}, answer.content)

            def tell(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.close_connection = False
                self.send_response(status)
                for name, value in {**headers, **({} if status == 204 else {"content-length": str(len(body))})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class LossyCounter(Counter):
    """A post office's counter that says yes to everything and does not always mean it."""

    def __init__(self, office: Office, fates: Fates) -> None:
        super().__init__(office)
        self._fates = fates

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        fate, seconds = self._fates.draw()
        mail = f"Return-Path: <{envelope.mail_from}>\r\n".encode() + envelope.content
        users = [address.partition("@")[0] for address in envelope.rcpt_tos]

        def put() -> None:
            for user in users:
                self.office.put(user, mail)

        if fate is Fate.BUSY:
            return "451 try again"
        if fate is Fate.LATE:
            self._fates.later(seconds, put)
        elif fate is not Fate.LOST:
            with self._fates.carrying():
                await asyncio.sleep(seconds if fate is Fate.DELAYED else 0)
                for _ in range(2 if fate is Fate.TWICE else 1):
                    await asyncio.to_thread(put)
        if fate is Fate.UNANSWERED:
            server.transport.close()
        return "250 OK"
