"""Carriers against real sockets, files and a real broker: what was handed over, what was not, and what nobody can know."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from adapters.carriers.amqp import CONDITION
from adapters.carriers.folder import folder
from adapters.carriers.http import http
from adapters.carriers.memory import memory
from hub.adapter import Surroundings
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable


def around(home: Path, **settings: object) -> Surroundings:
    return Surroundings(home, "partner", "8100101", "8100000", "Solbakken", settings)


class Partner(BaseHTTPRequestHandler):
    """Answers as its path says: /200/hello, /204, /503 …"""

    got: list[tuple[dict[str, str], bytes]] = []
    sent = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        _, status, *rest = self.path.split("/")
        if status == "hang-up":
            self.connection.close()
            return
        if rest == ["endless"]:
            self.send_response(int(status))
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    type(self).sent += self.wfile.write(b"x" * 65_536)
            return
        answer = rest[0].encode() if rest else b""
        self.send_response(int(status))
        self.send_header("content-type", "text/xml")
        self.send_header("retry-after", "7")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def partner() -> Iterator[str]:
    Partner.got, Partner.sent = [], 0
    server = HTTPServer(("127.0.0.1", 0), Partner)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_http_hands_over_the_bytes_and_brings_back_the_answer(partner: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hemmelig\n")
    carrier = http(around(tmp_path, url=f"{partner}/200/hello", token_file="token"))
    reply = carrier.send(Parcel({"content-type": "text/xml", "soapaction": '"ebXML"'}, b"\x00letter\xff"))
    assert reply == Parcel({"content-type": "text/xml"}, b"hello", 200)
    headers, body = Partner.got[0]
    assert body == b"\x00letter\xff" and headers["soapaction"] == '"ebXML"' and headers["authorization"] == "Bearer hemmelig"
    assert http(around(tmp_path, url=f"{partner}/204")).send(Parcel({}, b"x")) is None


def test_http_reads_an_answer_no_further_than_a_receipt_is_long(partner: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="than any receipt"):
        http(around(tmp_path, url=f"{partner}/200/endless")).send(Parcel({}, b"x"))
    assert Partner.sent < 30_000_000, "of 65 MB; what the sockets hold is lost"


@pytest.mark.parametrize("path", ["503", "500", "429", "302", "hang-up"])
def test_http_tries_again_later_when_nobody_knows(partner: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(Unavailable) as later:
        http(around(tmp_path, url=f"{partner}/{path}")).send(Parcel({}, b"x"))
    assert partner not in str(later.value)
    assert later.value.retry_after == (7 if path in ("503", "500", "429", "302") else None)


def test_http_gives_up_what_will_never_be_taken_and_nobody_listens_is_later(partner: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        http(around(tmp_path, url=f"{partner}/404")).send(Parcel({}, b"x"))
    with pytest.raises(Unavailable):
        http(around(tmp_path, url="http://127.0.0.1:1")).send(Parcel({}, b"x"))


def test_a_folder_is_emptied_only_of_what_was_stored(tmp_path: Path) -> None:
    out = folder(around(tmp_path, out="x", **{"in": "y"}))
    into = folder(around(tmp_path, out="y", **{"in": "x"}))
    for n in range(3):
        out.send(Parcel({"n": str(n)}, bytes([n])))
    seen = []
    for parcel, done in into.collect():
        seen.append(parcel)
        if parcel.body != b"\x01":
            done()
    assert sorted(p.body for p in seen) == [b"\x00", b"\x01", b"\x02"] and all(p.headers["n"] == str(p.body[0]) for p in seen)
    assert [p.body for p, _ in into.collect()] == [b"\x01"]


@pytest.mark.parametrize("headers", [b"{", b"[1]", b"\xff", b"null", b"[" * 100_000])
def test_a_file_whose_headers_say_nothing_is_no_letter_and_does_not_stop_the_next(tmp_path: Path, headers: bytes) -> None:
    into = folder(around(tmp_path, out="y", **{"in": "x"}))
    (tmp_path / "x" / "a").write_bytes(b"first")
    (tmp_path / "x" / "a.headers").write_bytes(headers)
    (tmp_path / "x" / "b").write_bytes(b"second")
    (tmp_path / "x" / "b.headers").write_bytes(b'{"Content-Type": "text/xml"}')
    found = {parcel.body: parcel for parcel, _ in into.collect()}
    assert found[b"first"].trouble is not None and found[b"first"].trouble.problem is Problem.UNREADABLE
    assert found[b"second"].trouble is None


def test_a_file_that_is_gone_before_it_is_read_does_not_stop_the_next(tmp_path: Path) -> None:
    into = folder(around(tmp_path, out="y", **{"in": "x"}))
    for name in "ab":
        (tmp_path / "x" / name).write_bytes(name.encode())
    letters = iter(into.collect())
    first, _ = next(letters)
    (tmp_path / "x" / ("a" if first.body == b"b" else "b")).unlink()
    assert list(letters) == []


def test_memory_keeps_what_is_not_done(tmp_path: Path) -> None:
    carrier = memory(around(tmp_path))
    carrier.waiting = [Parcel({}, b"a"), Parcel({}, b"b")]
    for parcel, done in carrier.collect():
        if parcel.body == b"a":
            done()
    assert [p.body for p in carrier.waiting] == [b"b"]


def test_every_problem_has_an_error_condition() -> None:
    assert set(CONDITION) == set(Problem)


def test_amqp_brings_a_letter_through_a_real_broker_and_keeps_it_until_it_is_stored(rabbitmq_address: str, tmp_path: Path) -> None:
    import os

    if "rabbitmq" not in os.environ.get("BESOKSBRO_REQUIRE", ""):
        pytest.importorskip("proton", reason="the AMQP extra is not installed: pip install -r requirements-amqp.lock")
    from adapters.carriers.amqp import amqp

    queue = f"/queue/besoksbro-{uuid.uuid4().hex}"
    url = f"amqp://guest:guest@{rabbitmq_address}"
    receiver = amqp(around(tmp_path, url=url, to=queue, **{"from": queue}))
    assert list(receiver.collect()) == []  # the queue is made by the first look
    sender = amqp(around(tmp_path, url=url, to=queue))
    letter = Parcel({"content-type": "application/pkcs7-mime", "x-message-id": "m-1", "x-function": "DIALOG_INNBYGGER_TEST"}, b"\x30\x82sealed")
    sender.send(letter)
    for parcel, _ in receiver.collect():
        assert parcel == letter
        break  # not stored: not accepted
    receiver.close()
    again = amqp(around(tmp_path, url=url, to=queue, **{"from": queue}))
    stored = []
    for parcel, done in again.collect():
        stored.append(parcel)
        done()
    assert stored == [letter]
    assert list(again.collect()) == []
    again.close()
    sender.close()
    with pytest.raises(Unavailable):
        amqp(around(tmp_path, url="amqp://127.0.0.1:1", to=queue)).send(letter)
