"""Seats taken and held, on both databases, also from many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from store_clock import Clock, opened

from hub.problem import Problem, Refused
from hub.store import Store

MINUTES = timedelta(minutes=1)


def test_a_hold_counts_until_it_runs_out_and_then_anybody_may_have_the_seat(store: Store, clock: Clock) -> None:
    until = clock.now + 10 * MINUTES
    store.write(lambda tx: tx.take_seat("s1", "hold-a", 1, until))
    assert store.write(lambda tx: tx.seats_taken("s1")) == 1
    for attempt in (lambda tx: tx.take_seat("s1", "b", 1), lambda tx: tx.take_seat("s1", "b", 1, until)):
        with pytest.raises(Refused) as full:
            store.write(attempt)
        assert full.value.problem is Problem.FULL
    clock.now = until - timedelta(microseconds=1)
    assert store.write(lambda tx: list(tx.held("hold-a"))) == ["s1"]
    clock.now = until
    assert store.write(lambda tx: (tx.seats_taken("s1"), list(tx.held("hold-a")))) == (0, [])
    store.write(lambda tx: tx.take_seat("s1", "b", 1))
    assert store.write(lambda tx: (tx.held("b"), tx.seats_taken("s1"), tx.free_expired())) == ({}, 1, [])


def test_a_hold_may_be_lengthened_and_made_a_booking_but_a_booking_never_becomes_a_hold(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.take_seat("s1", "a", 1, clock.now + MINUTES))
    store.write(lambda tx: tx.take_seat("s1", "a", 1, clock.now + 5 * MINUTES))
    clock.now += 2 * MINUTES
    assert store.write(lambda tx: list(tx.held("a"))) == ["s1"]
    store.write(lambda tx: tx.take_seat("s1", "a", 1))
    store.write(lambda tx: tx.take_seat("s1", "a", 1, clock.now + MINUTES))
    clock.now += 60 * MINUTES
    assert store.write(lambda tx: (tx.free_expired(), tx.held("a"), tx.seats_taken("s1"))) == ([], {}, 1)


def test_tidying_takes_only_what_has_run_out(store: Store, clock: Clock) -> None:
    store.write(lambda tx: [tx.take_seat("s1", f"h{n}", 5, clock.now + MINUTES) for n in range(2)])
    store.write(lambda tx: tx.take_seat("s2", "later", 5, clock.now + 9 * MINUTES))
    store.write(lambda tx: tx.take_seat("s1", "booked", 5))
    clock.now += MINUTES
    assert store.write(lambda tx: tx.free_expired()) == ["s1", "s1"], "a seat each"
    assert store.write(lambda tx: (tx.seats_taken("s1"), tx.seats_taken("s2"))) == (1, 1)


def test_a_hold_survives_a_restart(store_url: str, tmp_path: Path, clock: Clock) -> None:
    first = opened(store_url, tmp_path, clock)
    first.migrate()
    first.write(lambda tx: tx.take_seat("s1", "a", 1, clock.now + MINUTES))
    first.close()
    again = opened(store_url, tmp_path, clock)
    assert again.write(lambda tx: (list(tx.held("a")), tx.seats_taken("s1"))) == (["s1"], 1)
    again.close()


def test_of_twenty_at_once_one_gets_the_last_seat(store: Store, clock: Clock) -> None:
    def one(n: int) -> bool:
        try:
            if n % 2:
                store.write(lambda tx: tx.take_seat("s1", f"h{n}", 1))
            else:
                store.write(lambda tx: tx.take_seat("s1", f"h{n}", 1, clock.now + MINUTES))
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(20))) == 1
    assert store.write(lambda tx: tx.seats_taken("s1")) == 1
