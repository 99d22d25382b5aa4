"""How answers travel: a short one in one piece, a long one as it comes, on a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

from serving import served

from adapters.demo.processes import free_ports
from hub.faces.careful import Careful
from hub.faces.held import MOST


def test_head_and_body_come_as_one_and_a_stream_does_not_wait_for_its_end() -> None:
    going = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [] if scope["path"] == "/stream" else [(b"content-length", b"5")]})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await asyncio.get_running_loop().run_in_executor(None, going.wait, 30)
            await send({"type": "http.response.body", "body": b"x" * (3 * MOST), "more_body": True})
        await send({"type": "http.response.body", "body": b"" if scope["path"] == "/stream" else b"short"})

    (port,) = free_ports(1)
    with served(app, port, http=Careful, lifespan="off"), socket.create_connection(("127.0.0.1", port), 30) as client:
        for _ in range(2):
            client.sendall(b"GET /short HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(65536).endswith(b"\r\n\r\nshort"), "in one piece, and the connection is kept"
        client.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert client.recv(65536).endswith(b"5\r\nfirst\r\n"), "the first part comes before there is a second"
        going.set()
        rest = b"".join(iter(lambda: client.recv(65536), b""))
        assert rest.count(b"x") == 3 * MOST and rest.endswith(b"0\r\n\r\n"), "all of it, though the connection is closed behind it"
