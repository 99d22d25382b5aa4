"""How alembic runs our migrations: online only, one transaction for all, batch mode so that SQLite can alter tables."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from hub.store.db import WRITER_LOCK
from hub.store.failpoint import reach
from hub.store.tables import metadata


def run() -> None:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=NullPool)
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        event.listen(engine, "connect", _plain)
        event.listen(engine, "begin", _begin)
    event.listen(engine, "after_cursor_execute", lambda *_: reach("inside-migration"))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
        with context.begin_transaction():
            if not sqlite:
                connection.exec_driver_sql(f"select pg_advisory_xact_lock({WRITER_LOCK})")  # who migrates at the same time finds it done
            context.run_migrations()


def _plain(raw: Any, _: object) -> None:
    """Python's sqlite3 commits what it likes before it makes or alters a table: half a migration would stay of one that was killed."""
    raw.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("begin immediate")


run()
