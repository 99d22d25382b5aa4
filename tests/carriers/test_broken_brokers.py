"""A real broker over a wire that breaks, and letters that are not taken: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from severing import Wire

from hub.adapter import Surroundings
from hub.message import Parcel
from hub.problem import Problem, Unavailable

WITHIN = 60
"""Seconds; longer means never."""


@pytest.fixture
def wire(rabbitmq_address: str) -> Iterator[Wire]:
    if "rabbitmq" not in os.environ.get("BESOKSBRO_REQUIRE", ""):
        pytest.importorskip("proton", reason="the AMQP extra is not installed: pip install -r requirements-amqp.lock")
    made = Wire(f"amqp://guest:guest@{rabbitmq_address}")
    yield made
    made.close()


@pytest.fixture
def carrier(wire: Wire, tmp_path: Path) -> Iterator[Any]:
    """To and from one queue of its own, over the wire."""
    from adapters.carriers.amqp import amqp

    queue = f"/queue/besoksbro-{uuid.uuid4().hex}"
    made = amqp(Surroundings(tmp_path, "partner", "8100101", "8100000", "Solbakken", {"url": wire.url, "to": queue, "from": queue, "wait": "2s"}))
    assert list(made.collect()) == []  # the queue is made by the first look
    yield made
    made.close()


def letter(name: str) -> Parcel:
    return Parcel({"content-type": "text/xml", "x-message-id": name, "x-function": "f"}, name.encode())


def taken(carrier: Any, takes: Callable[[Parcel], bool] = lambda _: True) -> list[str]:
    """One visit; what it saw. What is not taken stays where it lies."""
    seen = []
    for parcel, done in carrier.collect():
        seen.append(parcel.headers["x-message-id"])
        if takes(parcel):
            done()
    return seen


def test_a_letter_that_was_not_stored_is_not_let_go_of_with_the_next(carrier: Any) -> None:
    """It comes again at the next visit, without a restart."""
    for name in "abc":
        carrier.send(letter(name))
    assert taken(carrier, lambda parcel: parcel.body != b"a") == ["a", "b", "c"]
    assert taken(carrier) == ["a"] and taken(carrier) == []


def test_a_letter_whose_connection_is_cut_before_it_is_let_go_of_comes_again(carrier: Any, wire: Wire) -> None:
    carrier.send(letter("a"))
    for _, done in carrier.collect():
        carrier.close()
        with pytest.raises(Unavailable):
            done()
        break
    assert taken(carrier) == ["a"]


@pytest.mark.parametrize("watch", ["HEARTBEAT", "RENEWED"])
def test_a_connection_on_which_nothing_moves_holds_up_nobody(carrier: Any, wire: Wire, watch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is blocked, or its machine is gone: who sends is told to come again, and what comes in comes by a new connection. Each of the two
    that watch it does for itself."""
    carrier.close()
    for name in ("HEARTBEAT", "RENEWED"):
        monkeypatch.setattr(f"adapters.carriers.amqp.{name}", 2.0 if name == watch else 600.0)
    carrier.send(letter("a"))
    assert taken(carrier) == ["a"]
    wire.deaden()
    troubles: list[Exception] = []

    def send() -> None:
        try:
            carrier.send(letter("b"))
        except Unavailable as later:
            troubles.append(later)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(WITHIN)
    assert not thread.is_alive() and troubles
    carrier.send(letter("b"))
    seen, until = list[str](), time.monotonic() + WITHIN
    while not seen and time.monotonic() < until:
        with suppress(Unavailable):
            seen = taken(carrier)
    assert seen == ["b"]


def test_a_broker_that_takes_the_call_and_says_nothing_holds_up_nobody(tmp_path: Path, wire: Wire) -> None:
    from adapters.carriers.amqp import amqp

    wire.deaden_new = True
    carrier = amqp(Surroundings(tmp_path, "partner", "8100101", "8100000", "Solbakken", {"url": wire.url, "to": "/queue/x", "wait": "1s"}))
    with ThreadPoolExecutor(1) as pool, pytest.raises(Unavailable):
        pool.submit(carrier.send, letter("a")).result(WITHIN)


def test_letters_go_both_ways_at_once_by_several_threads(carrier: Any) -> None:
    """An adapter's batches have a thread each, and what comes in has one."""
    names = [f"{n}" for n in range(200)]
    seen: list[str] = []
    with ThreadPoolExecutor(5) as pool:
        sending = [pool.submit(lambda part=part: [carrier.send(letter(name)) for name in part]) for part in (names[n::4] for n in range(4))]
        while not all(each.done() for each in sending):
            seen += taken(carrier)
        for each in sending:
            each.result()
    seen += taken(carrier)
    assert sorted(seen) == sorted(names)


def test_a_body_that_is_no_bytes_is_no_letter_and_does_not_stop_the_next(carrier: Any, wire: Wire) -> None:
    import proton

    connection = carrier._open()
    sender = connection.create_sender(carrier._to)
    for name, body in (("odd", {"a": 1}), ("text", "tekst"), ("none", None)):
        sender.send(proton.Message(id=name, body=body))
    carrier.send(letter("next"))
    found = {}
    for parcel, done in carrier.collect():
        found[parcel.headers["x-message-id"]] = parcel
        done()
    connection.close()
    trouble = found["odd"].trouble
    assert trouble is not None and trouble.problem is Problem.UNREADABLE
    assert [found[name].body for name in ("text", "none", "next")] == [b"tekst", b"", b"next"] and taken(carrier) == []
