"""Alembic without its command line: the migrations beside this file, on either database."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hub.problem import Unavailable

FOLDER = Path(__file__).parent / "migrations"


def config(url: str) -> Config:
    """Alembic's settings for a database."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def upgrade(url: str) -> None:
    """Runs the migrations that are missing. A file that is made is its owner's to read, and so are those that SQLite puts beside it."""
    file = sa.engine.make_url(url).database
    if url.startswith("sqlite") and file and not Path(file).exists():
        Path(file).touch(0o600)
    command.upgrade(config(url), "head")


def head() -> str | None:
    """The revision this version of the program needs."""
    return ScriptDirectory(str(FOLDER)).get_current_head()


def current(engine: sa.Engine) -> str | None:
    """The revision the database has; None: none. Raises Unavailable, such as while PostgreSQL itself starts."""
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except sa.exc.OperationalError as down:
        raise Unavailable("the database does not answer", 5) from down
