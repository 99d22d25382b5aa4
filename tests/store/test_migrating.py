"""A database of an older release comes to what this one needs, with what was in it. Both databases."""

from __future__ import annotations

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


def test_the_migrations_make_the_tables_that_the_code_has(store_url: str) -> None:
    """No column, table or index is in one and not in the other."""
    assert hub.store.feeds.FeedEventRow.__table__.metadata is metadata  # type: ignore[attr-defined]
    migrating.upgrade(store_url)
    engine = _engine(store_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert [each for each in found if each[0] in ("add_table", "remove_table", "add_column", "remove_column")] == []
