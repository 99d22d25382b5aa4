"""A receiver of notifications on a port: keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def bundle(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def status(self) -> dict[str, Any]:
        """The Parameters as name → value; of the (only) event as event-number, timestamp, focus."""
        return parameters(self.bundle["entry"][0]["resource"])

    @property
    def kind(self) -> str:
        return str(self.status["type"])

    @property
    def number(self) -> int:
        return int(self.status["event-number"])

    @property
    def numbers(self) -> list[int]:
        """Of all events in it, in their order."""
        parts = [p["part"] for p in self.bundle["entry"][0]["resource"]["parameter"] if p["name"] == "notification-event"]
        return [int(part[0]["valueString"]) for part in parts]

    def signed_by(self, secret: str) -> bool:
        """Independent of the hub: what docs/fhir-api.md tells a receiver to do."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(wanted, self.headers["webhook-signature"])


def parameters(resource: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in resource["parameter"]:
        found |= parameters({"parameter": part["part"]}) if "part" in part else {
            part["name"]: next(v["reference"] if isinstance(v, dict) else v for k, v in part.items() if k.startswith("value"))}
    return found


@dataclass
class Receiver:
    url: str
    answers: int = 200
    """The status it answers with."""
    retry_after: str = ""
    """The header of that name, in every answer."""
    got: list[Got] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """While cleared, nobody is answered."""
    came: list[str] = field(default_factory=list)
    """Paths of every request, answered or not."""

    def events(self) -> list[Got]:
        return [g for g in self.got if g.body and g.bundle["resourceType"] == "Bundle" and g.kind == "event-notification"]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    made = Receiver("")
    made.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            made.came.append(self.path)
            made.hold.wait(30)
            if 200 <= made.answers < 300:
                made.got.append(Got(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(made.answers)
            self.send_header("content-length", "0")
            if made.retry_after:
                self.send_header("retry-after", made.retry_after)
            self.end_headers()

        do_PUT = do_POST

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
