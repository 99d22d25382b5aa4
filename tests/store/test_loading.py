"""What moves in at once is kept as if it had been kept one by one."""

from __future__ import annotations

import pytest
from made import appointment
from store_clock import Clock

from hub.fhir.query import Query, ReferenceIs
from hub.problem import Problem, Refused
from hub.store import Store

TABLES = ("index_token", "index_reference", "index_date", "index_string")


def test_it_is_the_same_as_one_by_one(store: Store, clock: Clock) -> None:
    batch = [appointment(f"a{n}", f"p{n % 7}") for n in range(1200)] + [{"resourceType": "Patient", "id": "p1", "name": [{"family": "Ås"}]}]
    store.write(lambda tx: tx.load(batch, origin="moved"))
    one = store.write(lambda tx: tx.keep(appointment("b0", "p1"), origin="moved"))
    loaded = store.get("Appointment", "a1")
    assert loaded is not None and loaded.body == one.body.replace(b"b0", b"a1") and loaded.origin == "moved"
    assert [s.version for s in store.history("Appointment", "a1")] == [1]
    rows = store._database.read(lambda c: {table: c.rows(f"select * from {table}") for table in TABLES})
    keys = dict(store._database.read(lambda c: c.rows("select id, key from resource where id in ('a1', 'b0')")))
    for table, found in rows.items():
        bare = {id_: {tuple("x" if v in (key, f"B-{id_}") else v for v in row) for row in found if key in row} for id_, key in keys.items()}
        assert bare["a1"] == bare["b0"], table
    page = store.search(Query("Appointment", (ReferenceIs("patient", (("Patient", "p1"),)),), count=1000))
    assert len(page.entries) == 173 and [s.seq for s in store.changes(0, 5)] == sorted(s.seq for s in store.changes(0, 5))


def test_what_is_there_already_is_refused_and_nothing_of_the_batch_is_kept(store: Store) -> None:
    store.write(lambda tx: tx.keep(appointment("a5"), origin="x"))
    with pytest.raises(Refused) as refused:
        store.write(lambda tx: tx.load([appointment(f"a{n}") for n in range(10)], origin="x"))
    assert refused.value.problem is Problem.OUT_OF_DATE and store.get("Appointment", "a1") is None
