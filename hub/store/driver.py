"""The drivers' own connections to either database, set up as the store needs them."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import sqlalchemy as sa

BROKEN = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
"""What a database that does not answer raises, or one that took over and is not the first one yet."""
NOTICED = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""How soon it is noticed that PostgreSQL's machine is gone and has not said so, in seconds and (the last) milliseconds, unless the address says it
otherwise: as the system is set up, a write, and all that wait behind it, would wait for a quarter of an hour."""
READ_TIMEOUT = "5s"
CACHE, READS, SPARING = 65_536, 8192, 4096
"""KiB of pages that SQLite keeps for the writer, for each of READERS, and for the writer while it writes something large."""


def sqlite(url: sa.URL, reader: bool) -> sqlite3.Connection:
    """Raises one of BROKEN."""
    raw = sqlite3.connect(url.database or "", isolation_level=None, check_same_thread=False, timeout=30)
    for setting in (
        "journal_mode = wal", "synchronous = full", "busy_timeout = 30000", "foreign_keys = on", f"cache_size = -{READS if reader else CACHE}",
        "mmap_size = 1073741824", *(["query_only = on"] if reader else []),
    ):
        raw.execute(f"pragma {setting}")
    return raw


def postgres(url: sa.URL, reader: bool) -> psycopg.Connection[Any]:
    """Raises one of BROKEN."""
    named: dict[str, Any] = {name: value for name, value in NOTICED.items() if name not in url.query}
    raw = psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True, **named)
    raw.execute("set timezone to 'UTC'")
    if reader:
        raw.execute(f"set statement_timeout to '{READ_TIMEOUT}'")
    return raw


def told(trouble: BaseException | None) -> str:
    """What a database said, by its own code, such as SQLITE_FULL or 53100 (a full disk): its text may repeat what somebody wrote."""
    code = getattr(trouble, "sqlite_errorname", None) or getattr(trouble, "sqlstate", None)
    return f"{type(trouble).__name__} {code}" if code else type(trouble).__name__
