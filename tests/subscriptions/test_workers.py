"""The real workers with their threads: who is slow harms nobody, and a hub that was down goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable

from receivers import Receiver, receiving
from subscribers import Feeding

from hub import app


def until(true: Callable[[], object]) -> None:
    """Waits for a condition; a minute means that it never comes."""
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_receiver_that_never_answers_holds_up_nobody(one: Feeding, receiver: Receiver) -> None:
    with receiving() as slow:
        for url in (receiver.url, slow.url):
            one.subscribe(one.subscription(url))
        slow.hold.clear()
        workers = app.worker(one.hub.parts)
        workers.start()
        try:
            bookings = [one.book(f"W{n}") for n in range(6)]
            until(lambda: len(receiver.events()) == 6)
            assert not slow.events() and not slow.hold.is_set()
            slow.hold.set()
            until(lambda: len(slow.events()) == 6)
        finally:
            workers.stop()
        assert {g.status["focus"].rpartition("/fhir/")[2] for g in slow.events()} == set(bookings)


def test_what_was_owed_when_the_hub_went_down_is_sent_by_the_next(one: Feeding, receiver: Receiver) -> None:
    one.subscribe(one.subscription(receiver.url))
    booking = one.book("A")
    one.cancel(booking)
    parts = app.put_together(one.hub.home, one.hub.clock)  # another process on the same database
    workers = app.worker(parts)
    workers.start()
    try:
        until(lambda: len(receiver.events()) == 2)
    finally:
        workers.stop()
        parts.close()
    assert [g.number for g in receiver.events()] == [1, 2]
