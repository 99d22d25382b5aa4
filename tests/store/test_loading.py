"""What moves in at once is kept as if it had been kept one by one."""

from __future__ import annotations

from made import appointment
from store_clock import Clock

from hub.fhir.query import Query, ReferenceIs
from hub.store import Store
from hub.store.db import Connection
from hub.store.loading import Loaded, prepare
from hub.store.resources import instant

TABLES = ("index_token", "index_reference", "index_date", "index_string")


def test_it_is_the_same_as_one_by_one(store: Store, clock: Clock) -> None:
    batch = [appointment(f"a{n}", f"p{n % 7}") for n in range(1200)] + [{"resourceType": "Patient", "id": "p1", "name": [{"family": "Ås"}]}]
    loaded = store.write(lambda tx: tx.load([prepare(each, store.entries) for each in batch], origin="moved"))
    assert len(loaded.kept) == 1201 and loaded.same == 0 and loaded.other == ()
    one = store.write(lambda tx: tx.keep(appointment("b0", "p1"), origin="moved"))
    kept = store.get("Appointment", "a1")
    assert kept is not None and kept.origin == "moved" and kept.updated < one.updated
    assert kept.body == one.body.replace(b"b0", b"a1").replace(instant(one.last_updated).encode(), instant(kept.last_updated).encode())
    assert [s.version for s in store.history("Appointment", "a1")] == [1]
    rows = store._database.read(lambda c: {table: c.rows(f"select * from {table}") for table in TABLES})
    keys = dict(store._database.read(lambda c: c.rows("select id, key from resource where id in ('a1', 'b0')")))
    for table, found in rows.items():
        bare = {id_: {tuple("x" if v in (key, f"B-{id_}") else v for v in row) for row in found if key in row} for id_, key in keys.items()}
        assert bare["a1"] == bare["b0"], table
    page = store.search(Query("Appointment", (ReferenceIs("patient", (("Patient", "p1"),)),), count=1000))
    assert len(page.entries) == 173 and [s.seq for s in store.changes(0, 5)] == sorted(s.seq for s in store.changes(0, 5))


def test_what_is_there_already_stays_as_it_is(store: Store) -> None:
    """The same again is no news, also when it has changed since; another content is told, and nothing of it is kept."""
    batch = [appointment(f"a{n}") for n in range(10)]

    def load() -> Loaded:
        return store.write(lambda tx: tx.load([prepare(each, store.entries) for each in batch], origin="x"))

    store.write(lambda tx: tx.keep({**batch[5], "description": "an earlier one"}, origin="x"))
    first = load()
    assert [k.id for k in first.kept] == [f"a{n}" for n in range(10) if n != 5] and first.other == (5,)
    store.write(lambda tx: tx.keep({**batch[3], "description": "changed since"}, origin="x"))
    again = load()
    assert again.kept == [] and again.same == 9 and again.other == (5,)
    changed = store.get("Appointment", "a3")
    assert changed is not None and changed.version == 2


def test_of_two_in_one_batch_the_first_counts(store: Store) -> None:
    batch = [appointment("a1"), appointment("a1"), {**appointment("a1"), "description": "another"}]
    loaded = store.write(lambda tx: tx.load([prepare(each, store.entries) for each in batch], origin="x"))
    assert (len(loaded.kept), loaded.same, loaded.other) == (1, 1, (2,))


def test_a_database_that_was_never_analysed_is_before_traffic(store: Store) -> None:
    """As one that was restored or copied: PostgreSQL planned chains through it so badly that they were answered 503."""
    store.write(lambda tx: tx.keep(appointment("a1", "p1"), origin="test"))
    store.ready()

    def known(connection: Connection) -> bool:
        return connection.sqlite or connection.row("select 1 from pg_class where oid = 'resource'::regclass and reltuples >= 1") is not None

    assert store._database.read(known)
