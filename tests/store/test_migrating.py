"""A database of an older release comes to what this one needs, with what was in it. Both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import hub.store.feeds
from hub.store import migrating
from hub.store.tables import metadata

_DELIVERY = {
    "id": "d1", "adapter": "subscription-s", "function": "event", "subject": "Appointment/a", "state": "accepted", "due_at": 5, "expires": 9, "created": 7,
    "conversation": "", "version": 3, "tries": 1, "answer_due": 0, "note": "", "lease_until": 0,
}


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def test_events_of_before_say_what_they_are_about(store_url: str) -> None:
    """0007: what stood in the delivery of each event alone stands in the event, so that `$events` goes on answering."""
    command.upgrade(migrating.config(store_url), "0006")
    engine = _engine(store_url)
    with engine.begin() as connection:
        names = ", ".join(_DELIVERY)
        connection.execute(sa.text(f"insert into delivery ({names}) values ({', '.join(f':{name}' for name in _DELIVERY)})"), _DELIVERY)
        connection.execute(sa.text("insert into feed_event (feed, number, delivery) values ('s', 1, 'd1')"))
    migrating.upgrade(store_url)
    with engine.connect() as connection:
        assert list(connection.execute(sa.text("select feed, number, delivery, subject, version, at from feed_event"))) == [("s", 1, "d1", "Appointment/a", 3, 7)]
    engine.dispose()


def _one_row_in_each(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """As the tables are just now."""
    found = sa.MetaData()
    found.reflect(connection)
    rows: dict[str, dict[str, Any]] = {}
    for table in found.sorted_tables:
        if table.name != "alembic_version":
            values = {c.name: b"7" if isinstance(c.type, sa.LargeBinary) else "7" if isinstance(c.type, sa.Text) else 7 for c in table.columns}
            connection.execute(table.insert(), values)
            rows[table.name] = values
    return rows


@pytest.mark.parametrize("since", ["0001", "0006"])
def test_a_migration_that_is_killed_after_any_of_its_statements_can_be_run_again(store_url: str, since: str) -> None:
    """All or nothing of it stays, of every table's rows and of what was made; on SQLite, half of one stayed, and no later one came past that."""
    command.upgrade(migrating.config(store_url), since)
    engine = _engine(store_url)
    with engine.begin() as connection:
        rows = _one_row_in_each(connection)
    script = Path(__file__).with_name("migrating_killed.py")
    killed = subprocess.run([sys.executable, str(script), store_url], check=True, stdout=subprocess.PIPE).stdout
    assert int(killed) > 3 and migrating.current(engine) == migrating.head()
    with engine.connect() as connection:
        for table, values in rows.items():
            kept = [dict(row) for row in connection.execute(sa.text(f"select {', '.join(values)} from {table}")).mappings()]
            assert kept == [values], table
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_has(store_url: str) -> None:
    """No column, table or index is in one and not in the other."""
    assert hub.store.feeds.FeedEventRow.__table__.metadata is metadata  # type: ignore[attr-defined]
    migrating.upgrade(store_url)
    engine = _engine(store_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert [each for each in found if each[0] in ("add_table", "remove_table", "add_column", "remove_column")] == []
