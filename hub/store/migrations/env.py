"""How alembic runs our migrations: online only, one transaction for all, batch mode so that SQLite can alter tables."""

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from hub.store.tables import metadata


def run() -> None:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()


run()
