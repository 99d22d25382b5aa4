"""One connection to either database, speaking the same SQL.

SQLModel declares the schema and alembic makes it; statements are plain SQL on the driver's own connection, because a row read through
SQLAlchemy Core costs twenty times as much (facts/performance.md, l09) and every one of them runs unchanged on both databases.
"""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from hub.problem import Refused, Unavailable
from hub.store.putting import PutOff, insert_all, percent, tables

T = TypeVar("T")
BROKEN = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError)
"""What a database that does not answer raises."""
UNIQUE = (sqlite3.IntegrityError, psycopg.errors.IntegrityError)
"""What a database refuses to keep."""
WRITER_LOCK = 0x42_45_53_4F
"""The advisory lock on PostgreSQL: one writer at a time per municipality (its database), as SQLite has by nature."""
READ_TIMEOUT = "5s"
READERS = 24
"""Reads at a time, and so connections, of one process: PostgreSQL gives 100 to all of them unless it is told otherwise."""
TURN = 30.0
"""Seconds that a read waits for its turn."""
CACHE, READS, SPARING = 65_536, 8192, 4096
"""KiB of pages that SQLite keeps for the writer, for each of READERS, and for the writer while it writes something large."""
POURING = 16_384
"""Pages of SQLite's journal, 64 MiB of them, while much is loaded."""


class Connection:
    """A driver connection in autocommit mode: transactions begin and end by `begin`, `commit` and `rollback`."""

    def __init__(self, raw: Any, sqlite: bool) -> None:
        self.raw = raw
        self.sqlite = sqlite
        self.spoiled = False
        """Something failed after it had written, where no savepoint was: the transaction must be rolled back and run again with `careful`."""
        self._careful = False
        self._written = 0
        self._off = PutOff()
        self._numbers: dict[str, int] = {}
        self.memory: dict[str, Any] = {}
        """What was read or made in this transaction, for who would read it again. Empty again when anything is undone."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs one statement and reads every row."""
        found = cast(list[tuple[Any, ...]], self._execute(sql, parameters).fetchall())
        if found and not sql.startswith("select"):
            self._written += 1
        return found

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        found = cast("tuple[Any, ...] | None", self._execute(sql, parameters).fetchone())
        if found and not sql.startswith("select"):
            self._written += 1
        return found

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs one statement; how many rows it touched."""
        touched = cast(int, self._execute(sql, parameters).rowcount)
        self._written += touched > 0
        return touched

    def _execute(self, sql: str, parameters: Sequence[Any]) -> Any:
        self._ready(sql)
        return self.raw.execute(sql if self.sqlite else percent(sql), parameters)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs one statement for each row."""
        self._ready(sql)
        self._written += 1
        insert_all(self.raw, self.sqlite, {sql: list(rows)})

    def later(self, insert: str, rows: Iterable[Sequence[Any]]) -> None:
        """Inserts rows that nothing refuses, when the transaction ends or before a statement speaks of their table: many in one statement."""
        self._off.add(insert, rows)

    def number(self, table: str, column: str, many: int = 1) -> int:
        """The first of the next numbers of a table of which nothing is ever deleted. Only this writer gives any now, so a row can wait (`later`)
        though its number is told."""
        if table not in self._numbers:
            (self._numbers[table],) = self.row(f"select coalesce(max({column}), 0) from {table}")  # type: ignore[misc]
        self._numbers[table] += many
        return self._numbers[table] - many + 1

    def _ready(self, sql: str) -> None:
        """What was put off is there before a statement speaks of its table."""
        if self._off.tables and not self._off.tables.isdisjoint(tables(sql)):
            self._put_in(tables(sql))

    def _put_in(self, wanted: frozenset[str] | set[str]) -> None:
        for depth, due in self._off.take(wanted):
            insert_all(self.raw, self.sqlite, due)
            self._written += depth  # those of nobody's attempt stay in any case

    def attempt(self, work: Callable[[], T]) -> T:
        """What `work` gives. When it raises, nothing of what it wrote stays; without a savepoint the transaction is `spoiled` by that, unless
        it had written nothing yet."""
        if self._careful:
            return self._saved(work)
        before = self._written
        self._off.begin()
        try:
            result = work()
        except BaseException as trouble:
            if self._off.drop() or self._written != before:
                self.memory.clear()
            self.spoiled |= self._written != before or not isinstance(trouble, (Refused, Unavailable))
            raise
        self._off.end()
        return result

    def _saved(self, work: Callable[[], T]) -> T:
        self._put_in(self._off.tables)
        self.raw.execute("savepoint attempt")
        try:
            result = work()
            self._put_in(self._off.tables)
        except BROKEN:
            raise
        except BaseException:
            self._forget()
            self.raw.execute("rollback to savepoint attempt")
            self.raw.execute("release savepoint attempt")
            raise
        self.raw.execute("release savepoint attempt")
        return result

    def begin(self, *, careful: bool = False) -> None:
        """Begins a transaction as the only writer; waits for the one before. `careful`: each attempt has a savepoint."""
        self._forget()
        self.spoiled, self._careful = False, careful
        self.raw.execute("begin immediate" if self.sqlite else f"begin; select pg_advisory_xact_lock({WRITER_LOCK})")

    def settle(self) -> None:
        """Before `commit`: puts in what was put off. A row that the database refuses after all spoils the transaction."""
        try:
            self._put_in(self._off.tables)
        except UNIQUE:
            self.spoiled = True

    def commit(self) -> None:
        self.raw.execute("commit")

    def rollback(self) -> None:
        self._forget()
        self.raw.execute("rollback")

    def _forget(self) -> None:
        self._off, self._numbers, self.memory = PutOff(), {}, {}

    def pour(self) -> None:
        """Much comes, from now on: SQLite moves its journal into the file seldom, since the same pages are written again and again."""
        if self.sqlite:
            self.raw.execute(f"pragma wal_autocheckpoint = {POURING}")

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """While much is written at once: what SQLite keeps of a transaction in memory is little, and the rest lies in its journal."""
        if self.sqlite:
            self.raw.execute(f"pragma cache_size = -{SPARING}")
        try:
            yield
        finally:
            if self.sqlite:
                self.raw.execute(f"pragma cache_size = -{CACHE}")

    def close(self) -> None:
        self.raw.close()


class Database:
    """Where a municipality's rows are: makes connections, and lends READERS of them to whoever reads."""

    def __init__(self, url: str) -> None:
        self.url = url if "://" in url and not url.startswith("postgresql://") else url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine = sa.create_engine(self.url, poolclass=NullPool)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(READERS):
            self._turns.put(None)
        self._idle: list[Connection] = []
        """The last that came back goes out first: its pages are warm."""
        self._closed = False

    def connect(self, *, reader: bool = False) -> Connection:
        """A new connection.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            raw: Any = self._sqlite() if self.sqlite else self._postgres()
        except BROKEN as down:
            raise Unavailable("the database does not answer", 5) from down
        connection = Connection(raw, self.sqlite)
        for setting in self._settings(reader):
            connection.raw.execute(setting)
        return connection

    def _sqlite(self) -> sqlite3.Connection:
        return sqlite3.connect(self.engine.url.database or "", isolation_level=None, check_same_thread=False, timeout=30)

    def _postgres(self) -> Any:
        return psycopg.connect(self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)

    def _settings(self, reader: bool) -> list[str]:
        if not self.sqlite:
            return ["set timezone to 'UTC'", *([f"set statement_timeout to '{READ_TIMEOUT}'"] if reader else [])]
        return [
            "pragma journal_mode = wal", "pragma synchronous = full", "pragma busy_timeout = 30000", "pragma foreign_keys = on",
            f"pragma cache_size = -{READS if reader else CACHE}", "pragma mmap_size = 1073741824", *(["pragma query_only = on"] if reader else []),
        ]

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs a read on a connection that nobody else has meanwhile; one that broke is not lent again.

        Raises:
            Unavailable: the database does not answer, or too many read.
        """
        try:
            self._turns.get(timeout=TURN)
        except queue.Empty as waited:
            raise Unavailable("too many reads are waiting", 5) from waited
        try:
            return self._read(work)
        finally:
            self._turns.put(None)

    def _read(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connect(reader=True)
        try:
            found = work(connection)
        except BROKEN as down:
            connection.close()
            self._let_go()  # a server that was restarted broke them all
            raise Unavailable("the database does not answer", 5) from down
        except BaseException:
            self._idle.append(connection)
            raise
        self._idle.append(connection)
        return found

    def close(self) -> None:
        """Lets reads that run come to their end; later ones find it closed."""
        self._closed = True
        for _ in range(READERS):
            self._turns.get()
        self._let_go()
        for _ in range(READERS):
            self._turns.put(None)
        self.engine.dispose()

    def _let_go(self) -> None:
        """Closes what nobody reads by just now: a connection that is closed under a read takes the whole process with it (SQLite)."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
