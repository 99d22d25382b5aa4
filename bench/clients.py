"""A load that costs little beside what it measures: kept connections on bare sockets, one thread, one request at a time on each."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def post_all(port: int, path: str, token: str, bodies: Sequence[bytes], clients: int, kind: str = "application/json") -> float:
    """Posts every body once, by `clients` connections that each wait for their answer; wall seconds. Raises on a server error."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\nauthorization: Bearer {token}\r\ncontent-length: "
    return _send_all(port, [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies], clients)


def get_all(port: int, paths: Sequence[str], token: str, clients: int) -> float:
    """Gets every path once, as `post_all`."""
    tail = f" HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: application/fhir+json\r\n\r\n"
    return _send_all(port, [f"GET {path}{tail}".encode() for path in paths], clients)


def _send_all(port: int, requests: Sequence[bytes], clients: int) -> float:
    waiting = iter(requests)
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", port), 60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, bytearray())
            _next(connection, waiting, selector)
        while selector.get_map():
            for key, _ in selector.select(60):
                if _whole(key.fileobj, key.data):  # type: ignore[arg-type]
                    key.data.clear()
                    _next(key.fileobj, waiting, selector)  # type: ignore[arg-type]
        return time.perf_counter() - began


def _next(connection: socket.socket, waiting: Iterator[bytes], selector: selectors.BaseSelector) -> None:
    """Sends the next request, or closes when there is none."""
    request = next(waiting, None)
    if request is None:
        selector.unregister(connection)
        connection.close()
    else:
        connection.sendall(request)


def _whole(connection: socket.socket, got: bytearray) -> bool:
    """Whether the answer is all there."""
    part = connection.recv(65536)
    if not part:
        raise ConnectionError("the server closed the connection")
    got += part
    head, end, body = bytes(got).partition(b"\r\n\r\n")
    length = LENGTH.search(head + b"\r\n")
    if not end or (len(body) < int(length[1]) if length else not body.endswith(b"0\r\n\r\n")):  # or chunked, to its last chunk
        return False
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"refused: {head[:40]!r} {body[:200]!r}")
    return True
