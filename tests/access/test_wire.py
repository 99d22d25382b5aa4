"""Connections as an attacker uses them: heads that never end, bodies that break off, senders that say nothing, hosts that are not ours."""

from __future__ import annotations

import logging
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, free_port, hub_on

from hub import commands
from hub.faces import careful
from hub.logs import Discreet


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", "sqlite:///hub.db", per_minute=100_000) as made:
        yield made


@contextmanager
def listening(hub: Machines, asgi: Any) -> Iterator[tuple[str, int]]:
    """A server as `besoksbro run` makes it."""
    told = {**commands.listening(hub.parts.hub), "host": "127.0.0.1", "port": free_port(), "lifespan": "off"}
    running = uvicorn.Server(uvicorn.Config(asgi, **told))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive()
    try:
        yield told["host"], told["port"]
    finally:
        running.should_exit = True
        thread.join()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


def answer(place: tuple[str, int], *pieces: bytes) -> bytes:
    """What comes back until the other side ends it."""
    with socket.create_connection(place, timeout=20) as connection:
        found = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass
        try:
            while chunk := connection.recv(65536):
                found += chunk
        except ConnectionError:
            pass
        return found


def test_a_head_is_no_larger_than_any_that_is_meant(hub: Machines) -> None:
    with listening(hub, echo) as place:
        fits = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: " + b"a" * 50_000 + b"\r\n\r\n"
        assert answer(place, fits).startswith(b"HTTP/1.1 200")
        assert b"431" in answer(place, b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ", *[b"a" * 65_536] * 40)[:20]
        many = [b"x-%d: a\r\n" % n * 1000 for n in range(40)]
        assert b"431" in answer(place, b"GET / HTTP/1.1\r\nhost: x\r\n", *many)[:20]
        body = b"b" * 1_000_000
        sent = answer(place, b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n", body)
        assert sent.endswith(body), "a body is no head"
        twice = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab"
        assert answer(place, twice, twice, fits).count(b"HTTP/1.1 200") == 3, "nor is what one connection brings in all"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab",
                                  b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT"])
def test_who_says_nothing_is_let_go_of(hub: Machines, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Also in the middle of a head or a body, and after a request that was whole."""
    monkeypatch.setattr(careful, "HEAD_WITHIN", 1.0)
    monkeypatch.setattr(careful, "SILENCE", 1.0)
    with listening(hub, echo) as place:
        assert answer(place, *[sent] if sent else []).count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n") * sent.startswith(b"GET")


FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"


@pytest.mark.parametrize(("path", "kind", "body"), [
    ("/fhir/Device", b"application/fhir+json", b'{"resourceType":"Device","status":"active"}'),
    ("/fhir/$export", b"application/fhir+json", b'{"resourceType":"Parameters"}'),
    ("/oauth/test/token", FORM, b"grant_type=client_credentials&client_id=nybegynner"), ("/booking/v1/services", JSON, b"{}"),
    ("/fhir/Slot/_search", FORM, b"_count=1"), ("/logg-inn", FORM, b"hvem=x"),
])
def test_a_body_that_breaks_off_does_nothing_though_it_looks_whole(hub: Machines, path: str, kind: bytes, body: bytes) -> None:
    place = hub.url.removeprefix("http://").split(":")
    before = hub.parts.store.write(lambda tx: tx.newest())
    with socket.create_connection((place[0], int(place[1])), timeout=20) as connection:
        connection.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer simple-token\r\nprefer: respond-async\r\ncontent-type: "
                           + kind + b"\r\ncontent-length: 500\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b"", "nobody is answered"
    with hub.http(authorization="Bearer simple-token") as client:
        assert client.get("/fhir/Device?_summary=count").json()["total"] == 0
    assert hub.parts.store.write(lambda tx: tx.newest()) == before


def test_no_address_leads_to_the_host_that_the_request_names(hub: Machines) -> None:
    with hub.http(host="evil.example", **{"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example"}) as client:
        for path in ("/docs/", "/drift/", "/bestill/", "/", "/drift", "/fhir/metadata", "/.well-known/oauth-authorization-server", "/logg-inn", "/health",
                     "//evil.example/", "///evil.example//", "/\\evil.example/", "/%5cevil.example/", "/fhir/.well-known/smart-configuration"):
            found = client.get(path)
            assert "evil.example/d" not in found.text and "//evil.example" not in found.headers.get("location", "")
            assert not found.headers.get("location", "").startswith(("//", "/\\", "http"))
            if path in ("/docs/", "/drift/", "/bestill/"):
                assert (found.status_code, found.headers["location"]) == (303, path.rstrip("/"))


def test_the_log_tells_what_failed_and_where_and_not_what_it_said() -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Discreet("%(message)s"))
    log = logging.Logger("made for this")
    log.addHandler(handler)
    name, number = "secret_of_somebody", "23874512345"
    try:
        try:
            sqlite3.connect(":memory:").execute(f"select {name}")
        except sqlite3.Error as wrong:
            raise KeyError(number) from wrong
    except KeyError:
        log.exception("a delivery failed")
    told = stream.getvalue()
    assert number not in told and "no such column" not in told and name not in told
    assert "sqlite3.OperationalError" in told and "builtins.KeyError" in told and "test_wire.py" in told
