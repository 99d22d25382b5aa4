"""Works that share a commit: who fails late is undone alone, who is refused early costs the others nothing, and what was put off can be read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made import appointment, owed
from store_clock import Clock, opened

from hub.message import Content
from hub.problem import Problem, Refused
from hub.store import Store, Transaction

Work = Callable[[Transaction], None]


def in_one_group(store: Store, *works: Work) -> list[bool]:
    """Runs the works in one commit; which of them were not refused."""
    begun, go = threading.Event(), threading.Event()

    def hold_up(tx: Transaction) -> None:
        begun.set()
        assert go.wait(30)

    def one(work: Work) -> bool:
        try:
            store.write(work)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(len(works) + 1) as pool:
        first = pool.submit(store.write, hold_up)
        assert begun.wait(30)
        rest = []
        for number, work in enumerate(works, 1):
            rest.append(pool.submit(one, work))
            while store._writer._queue.qsize() < number:
                threading.Event().wait(0.001)
        go.set()
        first.result()
        return [each.result() for each in rest]


@pytest.mark.parametrize("late", [False, True])
def test_a_refusal_undoes_its_own_work_and_only_a_late_one_makes_the_group_run_again(store: Store, clock: Clock, late: bool) -> None:
    runs = {"good": 0}

    def good(tx: Transaction) -> None:
        runs["good"] += 1
        tx.take_seat("slot", "a1", 2)
        tx.keep(appointment("a1"), origin="shop")
        tx.owe(owed("d1", clock.now), Content(b"good", "text/plain"))

    def bad(tx: Transaction) -> None:
        tx.note("Appointment/a2", "book", "asked")
        tx.owe(owed("d2", clock.now, key="Appointment/a2"), Content(b"bad", "text/plain"))
        if late:
            tx.take_seat("slot", "a2", 2)
        raise Refused(Problem.FULL, "no")

    assert in_one_group(store, good, bad) == [True, False]
    assert runs["good"] == (2 if late else 1)
    assert store.write(lambda tx: tx.seats_taken("slot")) == 1
    assert [d.id for d in store.deliveries((), "", None, 10)] == ["d1"]
    assert not store.timeline("Appointment/a2")
    assert [line.kind for line in store.timeline("Appointment/a1")].count("owed") == 1
    content = store.deliveries((), "", None, 10)[0].content
    assert content and store.content(content) == Content(b"good", "text/plain")


def test_what_was_put_off_is_read_in_its_own_transaction_and_by_the_next_of_the_group(store: Store, clock: Clock) -> None:
    found: list[object] = []

    def owes(tx: Transaction) -> None:
        tx.keep(appointment("a1", patient="p1"), origin="shop")
        tx.owe(owed("d1", clock.now))
        found.append(tx.delivery("d1"))

    def looks(tx: Transaction) -> None:
        found.append(tx.delivery("d1"))
        found.append([kept.id for kept in tx.find("Appointment", patient="Patient/p1")])

    assert in_one_group(store, owes, looks) == [True, True]
    assert found[0] is not None and found[1] == found[0] and found[2] == ["a1"]


def test_an_attempt_that_fails_takes_back_what_it_put_off(store: Store, clock: Clock) -> None:
    def work(tx: Transaction) -> None:
        tx.note("Appointment/a1", "kept", "before")

        def attempt() -> None:
            tx.note("Appointment/a1", "lost", "within")
            raise Refused(Problem.FULL, "no")

        with pytest.raises(Refused):
            tx.attempt(attempt)
        tx.note("Appointment/a1", "kept", "after")

    store.write(work)
    assert [line.kind for line in store.timeline("Appointment/a1")] == ["kept", "kept"]


@pytest.mark.parametrize("written", [False, True], ids=["put off only", "written"])
def test_what_a_refused_work_made_is_known_to_nobody_behind_it(store: Store, written: bool) -> None:
    """A commit remembers what it read and made: not what was undone."""
    seen: list[object] = []

    def bad(tx: Transaction) -> None:
        tx.keep(appointment("a1"), origin="shop")
        if written:
            assert tx.history("Appointment", "a1")
        raise Refused(Problem.FULL, "no")

    def looks(tx: Transaction) -> None:
        seen[:] = [tx.get("Appointment", "a1"), tx.find("Appointment", identifier="https://example.org/shop|B-a1")]

    assert in_one_group(store, lambda tx: tx.keep(appointment("a0"), origin="shop") and None, bad, looks) == [True, False, True]
    assert seen == [None, []] and store.get("Appointment", "a1") is None
    made = store.write(lambda tx: [tx.keep(appointment(f"a{n}"), origin="shop") for n in (1, 2)])
    kept = [change.seq for change in store.changes(0, 10)]
    assert len(kept) == 3 and kept == sorted(kept) and [change.seq for change in made] == kept[1:], "numbers rise in the order of commits"


def test_two_processes_give_each_number_once(store: Store, store_url: str, tmp_path: Path, clock: Clock) -> None:
    """The writer numbers by what is there: another one's rows are there when it begins."""
    other = opened(store_url, tmp_path, clock)
    try:
        with ThreadPoolExecutor(8) as pool:
            for n in range(40):
                pool.submit((store, other)[n % 2].write, lambda tx, n=n: tx.keep(appointment(f"a{n}"), origin="shop"))  # type: ignore[misc]
    finally:
        other.close()
    changes = store.changes(0, 100)
    assert len({change.id for change in changes}) == 40 and len({change.seq for change in changes}) == 40


def test_rows_of_many_tables_and_more_than_one_statement_holds_are_all_there(store: Store, clock: Clock) -> None:
    """PostgreSQL is sent few rows as one statement, and many by COPY."""
    def work(tx: Transaction) -> None:
        for n in range(100):
            tx.note(f"Appointment/a{n}", "kept", "a\\t\t%s\n")
        for n in range(3):
            tx.keep(appointment(f"a{n}"), origin="100 % ?")
            tx.owe(owed(f"d{n}", clock.now, key=f"Appointment/a{n}"))

    store.write(work)
    assert [store.timeline(f"Appointment/a{n}")[0].text for n in range(100)] == ["a\\t\t%s\n"] * 100
    assert [change.origin for change in store.changes(0, 10)] == ["100 % ?"] * 3
    assert [d.id for d in store.deliveries((), "", None, 10)] == ["d2", "d1", "d0"]
