"""An EPJ that owns its calendar, over real HTTP: who stands in for it answers what it is told to, and can be told to fail."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Calendar(Protocol):
    def calendar(self, asked: Any, /) -> Any: ...


class Partner:
    """A server that answers `$find` from an EPJ in a box, or as one would, and can be told to fail."""

    def __init__(self, box: Calendar) -> None:
        self.box, self.slow, self.heard = box, threading.Event(), threading.Semaphore(0)
        self.asked: list[Any] = []
        self.status, self.body = 200, b""
        self.slow.set()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                partner.asked.append(sent)
                partner.heard.release()
                partner.slow.wait(20)
                body = partner.body or json.dumps(partner.box.calendar(sent)).encode()
                try:
                    self.send_response(partner.status)
                    self.send_header("content-type", "application/fhir+json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/fhir/Appointment/$find"

    def close(self) -> None:
        self.slow.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


ADAPTER = """
title = "EPJ"
party = "8100101"
carrier = {{ kind = "memory" }}
seal = {{ kind = "plain" }}
format = {{ kind = "fhir" }}
departments = ["hjemmesykepleie"]
may = ["confirm"]
owner = "epj"
[ask]
carrier = {{ kind = "http", url = "{url}" }}
seal = {{ kind = "plain" }}
format = {{ kind = "fhir" }}
within = "{within}"
fresh = "10s"
"""
