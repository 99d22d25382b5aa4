"""The search index made anew: all of it, once, and from where it stopped."""

from __future__ import annotations

from pathlib import Path

from made import appointment
from store_clock import Clock, opened

from hub.fhir.query import Query, ReferenceIs, TokenIs
from hub.store import Store, reindexing

BOOKED = Query("Appointment", (TokenIs("status", ((None, "booked"),)),), count=1000)
ANNE = Query("Appointment", (ReferenceIs("patient", (("Patient", "anne"),)),), count=1000)
MANY = reindexing.BATCH + 50


def spoil(store: Store) -> None:
    """As if the parameters had not been known when these were written."""
    def work(tx: object) -> None:
        for table in ("index_token", "index_reference", "index_date", "index_string"):
            tx.connection.run(f"delete from {table}")  # type: ignore[attr-defined]
        tx.connection.run("update resource set at = 0")  # type: ignore[attr-defined]

    store.write(work)


def test_what_was_written_before_is_found_afterwards(store: Store) -> None:
    store.write(lambda tx: [tx.keep(appointment(f"a{n}", "anne"), origin="x") for n in range(MANY)])
    spoil(store)
    assert not store.search(BOOKED).entries
    assert store.reindex("new") == MANY
    assert len(store.search(BOOKED).entries) == len(store.search(ANNE).entries) == MANY
    assert store.reindex("new") == 0 and store.reindex("newer") == MANY


def test_it_goes_on_where_it_stopped_and_takes_what_changed_meanwhile(store: Store, store_url: str, tmp_path: Path, clock: Clock) -> None:
    store.write(lambda tx: [tx.keep(appointment(f"a{n}", "anne"), origin="x") for n in range(MANY)])
    spoil(store)
    assert store.write(lambda tx: reindexing.step(tx.connection, tx.entries, "new")) == reindexing.BATCH
    store.write(lambda tx: tx.keep(appointment("a0", "per"), origin="x"))
    again = opened(store_url, tmp_path, clock)
    assert again.reindex("new") == MANY - reindexing.BATCH
    again.close()
    assert len(store.search(BOOKED).entries) == MANY and len(store.search(ANNE).entries) == MANY - 1


def test_it_does_not_bring_back_what_was_deleted(store: Store) -> None:
    kept = store.write(lambda tx: tx.keep({"resourceType": "Device", "id": "d1", "status": "active"}, origin="x"))
    store.write(lambda tx: tx.remove(kept, origin="x"))
    assert store.reindex("new") == 0
    assert not store.search(Query("Device", (TokenIs("status", ((None, "active"),)),))).entries
