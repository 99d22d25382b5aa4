"""The store on both databases: versions, rollbacks, seats, duplicates, order of the change log, the access log."""

from __future__ import annotations

import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from made import appointment, envelope
from store_clock import Clock, opened

from hub.access import AuditLine
from hub.message import Content, Parcel, Verdict
from hub.problem import Problem, Refused, Unavailable
from hub.store import Secrets, Store, Transaction, auditing, letters
from hub.store.db import READERS


def test_each_change_is_a_version_and_saying_the_same_again_is_none(store: Store) -> None:
    first = store.write(lambda tx: tx.keep(appointment("a1"), origin="shop"))
    again = store.write(lambda tx: tx.keep(appointment("a1"), origin="shop"))
    second = store.write(lambda tx: tx.keep(appointment("a1", status="fulfilled"), origin="epj"))
    assert (first.version, again.version, second.version) == (1, 1, 2)
    assert [v.version for v in store.history("Appointment", "a1")] == [2, 1]
    assert store.version("Appointment", "a1", 1).resource["status"] == "booked"  # type: ignore[union-attr]
    kept = store.get("Appointment", "a1")
    assert kept is not None and kept.resource["meta"]["versionId"] == "2" and kept.origin == "epj"


def test_an_outdated_write_is_refused_and_changes_nothing(store: Store) -> None:
    store.write(lambda tx: tx.keep(appointment("a1"), origin="shop"))
    store.write(lambda tx: tx.keep(appointment("a1", status="fulfilled"), origin="epj", expect=1))
    with pytest.raises(Refused) as refused:
        store.write(lambda tx: tx.keep(appointment("a1", status="cancelled"), origin="shop", expect=1))
    assert refused.value.problem is Problem.OUT_OF_DATE
    assert store.get("Appointment", "a1").version == 2  # type: ignore[union-attr]


def test_what_one_work_does_is_undone_alone(store: Store) -> None:
    """Works are committed together; a bug in one must not touch the others."""
    barrier = threading.Barrier(20)

    def one(n: int) -> bool:
        def work(tx: Transaction) -> None:
            tx.keep(appointment(f"b{n}"), origin="shop")
            if n % 2:
                raise ZeroDivisionError

        barrier.wait()
        try:
            store.write(work)
        except ZeroDivisionError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(one, range(20)))
    assert done == [n % 2 == 0 for n in range(20)]
    assert [n for n in range(20) if store.get("Appointment", f"b{n}")] == list(range(0, 20, 2))


def test_an_attempt_that_is_refused_leaves_no_trace_and_the_rest_is_kept(store: Store) -> None:
    def work(tx: Transaction) -> str:
        def attempt() -> None:
            tx.take_seat("slot", "a1", 1)
            tx.keep(appointment("a1"), origin="shop")
            raise Refused(Problem.FULL, "no")

        try:
            tx.attempt(attempt)
        except Refused:
            tx.file(envelope("m1"), "visma-profil", Verdict(Problem.FULL), None, None)
        return str(tx.seats_taken("slot"))

    assert store.write(work) == "0"
    assert store.get("Appointment", "a1") is None
    assert store.envelopes("", Problem.FULL, None, None, 10)[0].id == "m1"


def test_the_last_seats_are_given_exactly_once(store: Store) -> None:
    def take(n: int) -> bool:
        try:
            store.write(lambda tx: tx.take_seat("slot-1", f"holder-{n}", 5))
        except Refused as refused:
            assert refused.problem is Problem.FULL
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(40))) == 5
    store.write(lambda tx: tx.take_seat("slot-2", "holder-1", 1))
    store.write(lambda tx: tx.take_seat("slot-2", "holder-1", 1))  # the seat it already has
    assert store.write(lambda tx: tx.free_seats("holder-1"))[-1:] == ["slot-2"]


def test_the_same_letter_again_gets_the_stored_answer_and_another_under_its_id_is_refused(store: Store) -> None:
    reply = Parcel({"content-type": "text/xml"}, b"<ack/>")
    verdict = Verdict(about=("Appointment/a1",))
    store.write(lambda tx: tx.file(envelope("m1"), "visma-profil", verdict, reply, Parcel({}, b"raw")))
    earlier = store.write(lambda tx: tx.earlier(envelope("m1")))
    assert earlier is not None and earlier.verdict == verdict and earlier.reply == reply
    assert store.write(lambda tx: tx.earlier(envelope("m2"))) is None
    with pytest.raises(Refused) as refused:
        store.write(lambda tx: tx.earlier(envelope("m1", b"<other/>")))
    assert refused.value.problem is Problem.ALTERED_DUPLICATE


def test_a_letter_that_failed_its_checks_never_blocks_its_id(store: Store) -> None:
    verdict = Verdict(Problem.BAD_SIGNATURE)
    store.write(lambda tx: tx.file_refused(envelope("m1"), "visma-profil", "8100101", verdict, None, Parcel({}, b"x")))
    assert store.write(lambda tx: tx.earlier(envelope("m1"))) is None
    assert store.envelopes("", Problem.BAD_SIGNATURE, True, None, 5)


def test_stored_letters_are_encrypted(store: Store, store_url: str, tmp_path: Path) -> None:
    secret = b"hemmelig innhold som ingen skal finne"
    store.write(lambda tx: tx.file(envelope("m1"), "visma-profil", Verdict(), None, Parcel({"x": "y"}, secret)))
    filed = store.envelopes("", None, None, None, 1)[0]
    assert filed.content is not None and store.parcel(filed.content) == Parcel({"x": "y"}, secret)
    row = store._database.read(lambda c: c.row("select body from content where id = ?", (filed.content,)))
    assert row is not None and secret[:10] not in bytes(row[0])


def test_the_change_log_is_read_in_the_order_of_commits_with_nothing_behind(store: Store, store_url: str, tmp_path: Path) -> None:
    """Two stores on one database write at the same time; a reader that follows the log never misses a change."""
    other = opened(store_url, tmp_path, Clock())
    seen: list[str] = []
    after, done = 0, threading.Event()

    def write(which: Store, name: str) -> None:
        for n in range(40):
            which.write(lambda tx, n=n: tx.keep(appointment(f"{name}{n}"), origin="x"))  # type: ignore[misc]

    def follow() -> None:
        nonlocal after
        last = False
        while True:
            last = done.is_set()
            changes = store.changes(after, 7)
            seen.extend(c.id for c in changes)
            after = changes[-1].seq if changes else after
            if last and not changes:
                return

    reader = threading.Thread(target=follow)
    reader.start()
    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(write, which, name) for which, name in ((store, "a"), (other, "b"), (store, "c"), (other, "d"))]:
            one.result()
    done.set()
    reader.join()
    other.close()
    assert sorted(seen) == sorted(f"{name}{n}" for name in "abcd" for n in range(40))
    assert len(seen) == len(set(seen))


def test_the_access_log_only_grows_and_a_changed_line_breaks_the_chain(store: Store, clock: Clock) -> None:
    line = AuditLine(clock.now, "Patient/p1", "Patient/p1", "self", "visits", "", "portal")
    store.write(lambda tx: tx.audit(line, line))
    assert store.seal_audit() == 2
    assert store.verify_audit().holds
    for sql in ("update audit set reader = 'x'", "delete from audit"):
        with pytest.raises(Exception, match="only grow"):
            store.write(lambda tx, sql=sql: tx.connection.run(sql))  # type: ignore[misc]
    off, on = (("drop trigger audit_no_update", None) if store._database.sqlite
               else ("alter table audit disable trigger all", "alter table audit enable trigger all"))

    def tamper(tx: Transaction) -> None:
        tx.connection.run(off)
        tx.connection.run("update audit set reader = 'somebody else'")
        if on:
            tx.connection.run(on)

    store.write(tamper)
    check = store.verify_audit()
    assert not check.holds and check.broken == (1,)


def test_lines_of_reads_survive_a_process_that_never_wrote_them(store: Store, store_url: str, tmp_path: Path, clock: Clock) -> None:
    """A killed process leaves its journal; the next one takes it in, once."""
    dead = opened(store_url, tmp_path, clock)
    dead._journal.append([AuditLine(clock.now, "Patient/p9", "Patient/p9", "self", "visits", "", "portal")])
    dead._journal.close()  # as the operating system does when a process dies: lines in the file, none in the table
    fresh = opened(store_url, tmp_path, clock)
    fresh.ready()
    assert len(fresh.audit_of("Patient/p9", 10)) == 1
    fresh.ready()
    assert len(fresh.audit_of("Patient/p9", 10)) == 1
    fresh.close()


def test_what_is_kept_and_its_copy_are_their_owners_alone(tmp_path: Path, clock: Clock) -> None:
    """Names and visits stand in them, and others may have an account on the machine."""
    store = opened(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path, clock)
    store.migrate()
    store.write(lambda tx: tx.keep(appointment("a1"), origin="shop"))
    store.backup(tmp_path / "copy.db")
    assert {file.name: file.stat().st_mode & 0o077 for file in tmp_path.glob("*.db*")} == dict.fromkeys(("hub.db", "hub.db-wal", "hub.db-shm", "copy.db"), 0)
    with pytest.raises(FileExistsError):
        store.backup(tmp_path / "copy.db")
    store.close()


def test_where_the_disk_is_full_a_read_is_not_answered_and_no_half_line_stays_behind(tmp_path: Path, clock: Clock) -> None:
    """Half a line was taken for one with the next, and the next hub did not start."""
    journal, line = auditing.Journal(tmp_path), AuditLine(clock.now, "Patient/p9", "Patient/p9", "self", "visits", "", "portal")
    (file,) = tmp_path.iterdir()
    journal.append([line])
    whole, (soft, hard) = file.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 10):
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole + room, hard))
        try:
            with pytest.raises(Unavailable):
                journal.append([line, line])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert file.stat().st_size == whole
    journal.append([line])
    journal.close()
    assert [orjson.loads(kept)[1] for kept in file.read_bytes().splitlines()] == ["Patient/p9"] * 2


def test_bytes_past_their_time_go_and_what_is_owed_keeps_its_own(store: Store, clock: Clock) -> None:
    from made import owed

    store.write(lambda tx: tx.owe(owed("d1", clock.now), Content(b"<apprec/>", "application/xml")))
    store.write(lambda tx: tx.file(envelope("m1"), "visma-profil", Verdict(), None, Parcel({}, b"old")))
    assert store.prune(clock.forward(days=29)) == 0
    assert store.prune(clock.forward(days=2)) == 1
    kept = store.delivery("d1")
    assert kept is not None and kept.content is not None and store.content(kept.content) is not None


def test_everything_past_its_time_goes_at_once_however_much_it_is(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in a day must not be more than what a day's rounds let go of."""
    monkeypatch.setattr(letters, "PRUNED_AT_ONCE", 3)
    store.write(lambda tx: [tx.file(envelope(f"m{n}"), "visma-profil", Verdict(), None, Parcel({}, b"old")) for n in range(10)])
    assert store.prune(clock.forward(days=31)) == 10


def test_however_many_threads_read_they_share_a_few_connections_and_none_is_left_behind(store: Store) -> None:
    """A connection for each thread was more than PostgreSQL gives, and threads that end left theirs open."""
    made: list[object] = []
    connect = store._database.connect

    def counted(**options: bool) -> object:
        made.append(None)
        return connect(**options)

    store._database.connect = counted  # type: ignore[method-assign,assignment]
    threads = [threading.Thread(target=lambda: [store.get("Appointment", "a1") for _ in range(20)]) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < len(made) <= READERS
    assert len(store._database._idle) <= READERS


def test_keys_are_for_the_owner_alone_and_made_once(tmp_path: Path) -> None:
    first, second = Secrets.open(tmp_path), Secrets.open(tmp_path)
    assert first.hash_id("urn:x", "1") == second.hash_id("urn:x", "1") != first.hash_id("urn:y", "1")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())


def test_a_backup_of_a_busy_database_opens(store: Store, tmp_path: Path, clock: Clock) -> None:
    store.write(lambda tx: tx.keep(appointment("a1"), origin="shop"))
    if not store._database.sqlite:
        with pytest.raises(Refused):
            store.backup(tmp_path / "copy.db")
        return
    store.backup(tmp_path / "copy.db")
    copy = opened(f"sqlite:///{tmp_path / 'copy.db'}", tmp_path, clock)
    assert copy.get("Appointment", "a1") is not None
    copy.close()


def test_a_read_under_way_outlives_the_closing_and_later_ones_are_told(store: Store) -> None:
    """Closing a SQLite connection under a thread that reads on it takes the whole process with it."""
    reading, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    def look() -> None:
        def slowly(connection: Any) -> object:
            reading.set()
            go_on.wait(30)
            return connection.row("select 1")

        found.append(store._database.read(slowly))
        with pytest.raises(Unavailable):
            store._database.read(lambda connection: connection.row("select 1"))
        found.append("told")

    reader, closer = threading.Thread(target=look), threading.Thread(target=store._database.close)
    reader.start()
    assert reading.wait(30)
    closer.start()
    while not store._database._closed:
        pass
    go_on.set()
    reader.join(30)
    closer.join(30)
    assert found == [(1,), "told"]
