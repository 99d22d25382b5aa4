"""The real workers with their threads: who is slow harms nobody, and a hub that was down goes on where it was."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from receivers import Receiver, receiving
from subscribers import BACKPORT, OURS, SECRET, Feeding

from hub import app
from hub.delivery import Delivery, State
from hub.feeds import feeds
from hub.store import Store, Transaction


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


def _restarted(one: Feeding, old: str, new: str) -> app.Parts:
    """The hub anew, with something else in its settings."""
    settings = one.hub.home / "hub.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))
    return app.put_together(one.hub.home, one.hub.clock)


def test_a_client_that_is_taken_out_of_the_settings_is_sent_nothing_more(one: Feeding, receiver: Receiver) -> None:
    """What it was owed had gone on, and heartbeats with it."""
    period = [{"url": OURS, "valueString": SECRET}, {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 60}]
    gone = one.subscribe(one.subscription(receiver.url, content="full-resource", extension=period), one.day)
    stays = one.subscribe(one.subscription(receiver.url))
    booking = one.book("A", "dagsenter")
    parts = _restarted(one, 'name = "day"', 'name = "another"')
    workers = app.worker(parts)
    workers.start()
    try:
        until(lambda: receiver.events())
        one.hub.clock.forward(minutes=5)
        parts.feeds.beat(parts.store)
        one.cancel(booking)
        until(lambda: len(receiver.events()) == 2)
    finally:
        workers.stop()
        parts.close()
    assert {g.status["subscription"].rpartition("/")[2] for g in receiver.got if g.kind != "handshake"} == {stays}
    assert one.api.get(f"/Subscription/{gone}").status_code == 404
    kept = one.hub.parts.store.get("Subscription", gone)
    assert kept is not None and (kept.resource["status"], kept.resource["error"]) == ("off", "Klienten er ikke satt opp lenger.")


def test_what_a_client_is_owed_of_a_department_that_it_lost_is_not_sent(one: Feeding, receiver: Receiver) -> None:
    id_, stays = one.subscribe(one.subscription(receiver.url, content="full-resource"), one.day), one.subscribe(one.subscription(receiver.url))
    lost = one.book("A", "dagsenter")
    digest = hashlib.sha256(b"day-token").hexdigest()
    parts = _restarted(one, f'"{digest}"\ndepartments = ["dagsenter"]', f'"{digest}"\ndepartments = ["dagsenter-2"]')
    workers = app.worker(parts)
    workers.start()
    try:
        until(lambda: receiver.events())
    finally:
        workers.stop()
    (told,) = parts.store.feeds(lambda feeds: feeds.events(id_, 1, 9, 9))
    delivery = parts.store.delivery(told.delivery)
    parts.close()
    assert (told.number, told.focus) == (1, lost) and delivery is not None and delivery.state is State.SUPERSEDED
    assert [g.status["subscription"].rpartition("/")[2] for g in receiver.events()] == [stays]


def test_a_client_whose_many_receivers_are_all_slow_takes_nobody_elses_turn(one: Feeding, receiver: Receiver) -> None:
    wait = [{"url": OURS, "valueString": SECRET}, {"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 30}]
    with receiving() as slow:
        many = [one.subscribe(one.subscription(slow.url, extension=wait)) for _ in range(20)]
        one.subscribe(one.subscription(receiver.url), one.day)
        slow.hold.clear()
        workers = app.worker(one.hub.parts)
        workers.start()
        try:
            one.book("A", "hjemmesykepleie")
            until(lambda: len(slow.came) >= 20 + app.HEARD_BY - app.HEARD_BY // 4)
            one.book("B", "dagsenter")
            until(lambda: receiver.events())
            tries = [d.tries for d in one.hub.parts.store.deliveries((), "", None, 200) if d.adapter.removeprefix("subscription-") in many and d.function == "event"]
            assert len(tries) == 40 and not any(tries), "and not only after one of them was given up"
            slow.hold.set()
            until(lambda: len(slow.events()) == 40)
        finally:
            slow.hold.set()
            workers.stop()


class Between:
    """A store of which each write is preceded by somebody else's."""

    def __init__(self, store: Store, others: Callable[[], None]) -> None:
        self._store, self._others, self.writes = store, others, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self, work: Callable[[Transaction], Any]) -> Any:
        self._others()
        self.writes += 1
        return self._store.write(work)


def _waiting(one: Feeding, id_: str) -> list[Delivery]:
    return one.hub.parts.store.deliveries((State.DUE,), f"subscription-{id_}", None, 100)


def test_what_is_owed_is_looked_at_in_parts_and_others_write_in_between(one: Feeding, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """With much owed everybody's writes waited for one of it all; where nothing is to be withdrawn there is none at all now."""
    monkeypatch.setattr(feeds, "A_PART", 2)
    gone, stays = one.subscribe(one.subscription(receiver.url), one.day), one.subscribe(one.subscription(receiver.url))
    for number in range(5):
        one.book(f"A{number}", "dagsenter")
    nobody = Between(one.hub.parts.store, lambda: pytest.fail("nothing had changed"))
    one.hub.parts.feeds.reconsider(nobody)  # type: ignore[arg-type]
    assert len(_waiting(one, gone)) == len(_waiting(one, stays)) == 5
    parts = _restarted(one, 'name = "day"', 'name = "another"')

    def others() -> None:
        assert one.api.post("/Device", json={"resourceType": "Device"}).status_code == 201
        left.append(len(_waiting(one, gone)))

    left: list[int] = []
    store = Between(parts.store, others)
    parts.feeds.reconsider(store)  # type: ignore[arg-type]
    parts.close()
    assert store.writes == len(left) == 4 and left == [5, 3, 1, 0]
    assert len(_waiting(one, stays)) == 5 and _waiting(one, gone) == []


@pytest.mark.parametrize("point", ["before-commit:1", "before-commit:2", "after-commit:2", "before-commit:4"])
def test_a_hub_that_is_killed_while_it_looks_at_what_is_owed_loses_nothing(one: Feeding, receiver: Receiver, point: str) -> None:
    gone = one.subscribe(one.subscription(receiver.url), one.day)
    one.subscribe(one.subscription(receiver.url))
    for number in range(5):
        one.book(f"A{number}", "dagsenter")
    settings = one.hub.home / "hub.toml"
    settings.write_text(settings.read_text().replace('name = "day"', 'name = "another"'))
    script = [sys.executable, str(Path(__file__).parent / "reconsidering.py"), str(one.hub.home)]
    died = subprocess.run(script, env={**os.environ, "BESOKSBRO_FAILPOINT": point}, check=False).returncode
    assert died == -signal.SIGKILL
    parts = app.put_together(one.hub.home, one.hub.clock)
    workers = app.worker(parts)
    workers.start()
    try:
        until(lambda: len(receiver.events()) == 5)
    finally:
        workers.stop()
        parts.close()
    assert {g.status["subscription"].rpartition("/")[2] for g in receiver.events()}.isdisjoint({gone}) and _waiting(one, gone) == []
    told = one.hub.parts.store.feeds(lambda stored: stored.events(gone, 1, 9, 9))
    assert [event.number for event in told] == [1, 2, 3, 4, 5], "each keeps its number"
