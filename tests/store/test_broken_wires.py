"""A connection to the database that breaks under a write: what was kept is not done twice, what was not is done, and nobody waits for ever."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from made import appointment, owed
from severing import Wire
from store_clock import Clock, opened

from adapters.demo.processes import wait_for
from hub.access import AuditLine
from hub.fhir.query import Query
from hub.problem import Unavailable
from hub.store import Store, Transaction
from hub.store.db import Database
from hub.store.driver import NOTICED
from hub.store.presence import LOCKS


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    made = Wire(postgres_url)
    yield made
    made.close()


@pytest.fixture
def over_the_wire(wire: Wire, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = opened(wire.url, tmp_path, clock)
    made.migrate()
    made.ready()
    yield made
    made.close()


def one_more(tx: Transaction) -> None:
    """Under an id of its own each time, as a POST makes it."""
    tx.keep(appointment(str(uuid.uuid4())), origin="shop")


def how_many(store: Store) -> int:
    return len(store.search(Query("Appointment", count=100)).entries)


@pytest.mark.parametrize("arrives", [True, False], ids=["the answer is lost", "the commit is lost"])
@pytest.mark.parametrize("together", [1, 3])
def test_a_commit_whose_answer_is_lost_is_asked_for_and_not_done_again(over_the_wire: Store, wire: Wire, arrives: bool, together: int) -> None:
    store = over_the_wire
    store.write(one_more)
    wire.break_at(b"commit\0", arrives=arrives)
    troubles = [done.exception() for done in store.write_all([one_more] * together)]
    assert wire.broken.acquire(timeout=10)
    if together == 1 and not arrives:
        assert isinstance(troubles[0], Unavailable) and how_many(store) == 1
        return
    assert troubles == [None] * together and how_many(store) == 1 + together
    assert how_many(store) == len(store.changes(0, 100))


def test_lines_of_a_commit_of_which_nobody_knows_are_in_the_access_log_once(
    over_the_wire: Store, wire: Wire, clock: Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = over_the_wire
    monkeypatch.setattr("hub.store.db.LOST", 0.0)
    line = AuditLine(clock.now, "Patient/p1", "Patient/p1", "self", "read")
    store.write(one_more)
    store.audit_later([line])
    wire.break_at(b"commit\0", arrives=True, stays=True)
    with pytest.raises(Unavailable):
        store.write(one_more)
    store.audit_later([line])
    wire.down = False
    store.write(one_more)
    assert len(store.audit_of("Patient/p1", 10)) == 2 and how_many(store) == 3


def test_what_a_database_does_not_take_of_one_work_undoes_no_other(store: Store, clock: Clock) -> None:
    """A number that is too large for a column is noticed when the rows are put in, at the end of the transaction."""
    def too_large(tx: Transaction) -> None:
        tx.owe(owed("d", clock.now, version=2**70))

    good, bad, also = store.write_all([one_more, too_large, one_more])
    assert good.exception() is None and also.exception() is None and how_many(store) == 2
    assert bad.exception() is not None


def test_a_server_that_is_not_there_yet_when_the_hub_starts_is_unavailable(wire: Wire, tmp_path: Path, clock: Clock) -> None:
    """One line, and whoever started it starts it again: no traceback."""
    wire.down = True
    store = opened(wire.url, tmp_path, clock)
    with pytest.raises(Unavailable):
        store.ready()
    store.close()


def test_a_server_whose_machine_is_gone_is_noticed_before_anybody_gives_up(postgres_url: str) -> None:
    database = Database(postgres_url)
    told = database.connect().raw.info.get_parameters()
    assert {name: told[name] for name in NOTICED} == {name: str(value) for name, value in NOTICED.items()}
    other = Database(f"{postgres_url}?connect_timeout=3").connect().raw.info.get_parameters()
    assert other["connect_timeout"] == "3" and other["tcp_user_timeout"] == told["tcp_user_timeout"]


def _cut_off(url: str) -> None:
    """Every session that proves that a worker lives."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory' and classid::bigint = %s"
            " and database = (select oid from pg_database where datname = current_database())", (LOCKS,))


def test_a_worker_whose_session_broke_is_noted_again_and_what_it_holds_is_taken_back_when_it_dies(
    over_the_wire: Store, postgres_url: str, clock: Clock,
) -> None:
    """Others took it for dead meanwhile, and crossed it out."""
    store = over_the_wire
    one, other = store.attend("one"), store.attend("other")
    _cut_off(postgres_url)
    assert other.take_back() == 0 and one.take_back() == 0
    store.write(lambda tx: tx.owe(owed("d", clock.now)))
    assert store.claim({"visma-profil": 1}, clock.now, timedelta(hours=1), "one")
    assert other.take_back() == 0, "it lives"
    _cut_off(postgres_url)
    assert other.take_back() == 1


def test_a_worker_does_not_wait_for_its_own_session_that_the_server_still_takes_for_alive(over_the_wire: Store, postgres_url: str) -> None:
    """When the wire to the server broke, the server may not know that for hours."""
    one = over_the_wire.attend("one")
    _cut_off(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as ghost:
        ghost.execute("select pg_advisory_lock(%s, hashtext('one'))", (LOCKS,))
        looking = threading.Thread(target=one.take_back, daemon=True)
        looking.start()
        looking.join(timeout=10)
        assert not looking.is_alive()
        assert over_the_wire.attend("other").take_back() == 0, "as long as that session is there nobody takes it for dead"
    one.take_back()
    assert over_the_wire.attend("third").take_back() == 0


def test_a_session_is_not_closed_under_whoever_is_at_it(over_the_wire: Store, postgres_url: str) -> None:
    """A worker that stops while its look at the others hangs: the driver's connection is no two threads' at once, and nothing of it stays."""
    one = over_the_wire.attend("one")
    session = one._session
    assert session is not None
    row = session.row
    with psycopg.connect(postgres_url, autocommit=True) as gate, ThreadPoolExecutor(2) as pool:
        gate.execute("select pg_advisory_lock(42)")
        session.row = lambda *given: (row("select pg_advisory_lock(42)"), row(*given))[1]  # type: ignore[method-assign]
        looked = pool.submit(one.take_back)
        wait_for(lambda: gate.execute("select 1 from pg_locks where objid = 42 and not granted").fetchone() is not None, "the look hanging", 10)
        ended = pool.submit(one.end)
        wait_for(lambda: gate.execute("select 1 from house_note where name = 'worker:one'").fetchone() is None, "the worker crossing itself out", 10)
        gate.execute("select pg_advisory_unlock(42)")
        assert looked.result(20) == 0 and ended.result(20) is None
        assert gate.execute("select 1 from house_note where name = 'worker:one'").fetchone() is None
        assert gate.execute("select 1 from pg_locks where locktype = 'advisory' and classid::bigint = %s", (LOCKS,)).fetchone() is None
