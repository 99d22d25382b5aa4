"""One connection to either database, speaking the same SQL.

SQLModel declares the schema and alembic makes it; statements are plain SQL on the driver's own connection, because a row read through
SQLAlchemy Core costs twenty times as much (facts/performance.md, l09) and every one of them runs unchanged on both databases.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from hub.problem import Refused, Unavailable
from hub.store import driver
from hub.store.driver import BROKEN, CACHE, SPARING
from hub.store.putting import PutOff, insert_all, percent, tables

T = TypeVar("T")
LOST, AGAIN = 15.0, 0.2
"""Seconds that a server which broke off in the middle of a commit is waited for, and between two looks."""
WRITER_LOCK = 0x42_45_53_4F
"""The advisory lock on PostgreSQL: one writer at a time per municipality (its database), as SQLite has by nature."""
READERS = 24
"""Reads at a time, and so connections, of one process: PostgreSQL gives 100 to all of them unless it is told otherwise."""
TURN = 30.0
"""Seconds that a read waits for its turn."""
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
        self.transaction = ""
        """PostgreSQL's number of the one that began last: what became of it can be asked for after a connection broke."""
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
        if self.sqlite:
            self.raw.execute("begin immediate")
            return
        answers = self.raw.execute(f"begin; select pg_current_xact_id()::text, pg_advisory_xact_lock({WRITER_LOCK})")
        answers.nextset()
        self.transaction = answers.fetchone()[0]

    def settle(self) -> None:
        """Before `commit`: puts in what was put off. A row that the database, or its driver, refuses after all spoils the transaction: whose it
        is shows when it is run again."""
        try:
            self._put_in(self._off.tables)
        except BROKEN:
            raise
        except Exception:
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
            raw: Any = driver.sqlite(self.engine.url, reader) if self.sqlite else driver.postgres(self.engine.url, reader)
        except BROKEN as down:
            raise Unavailable("the database does not answer", 5) from down
        return Connection(raw, self.sqlite)

    def kept(self, transaction: str) -> bool:
        """Whether a transaction was committed whose connection broke meanwhile (`Connection.transaction`); SQLite has none of those, and what it
        could not commit is not there. Waits for a server that comes back, and for what is still under way on it.

        Raises:
            Unavailable: the server did not come back within LOST.
        """
        if self.sqlite:
            return False
        until = time.monotonic() + LOST
        while True:
            try:
                return self._became(transaction) == "committed"
            except (Unavailable, *BROKEN) as down:
                if time.monotonic() > until:
                    raise Unavailable("the database went away in the middle of a commit", 5) from down
            time.sleep(AGAIN)

    def _became(self, transaction: str) -> str:
        """Raises Unavailable, or as the driver does."""
        connection = self.connect()
        try:
            connection.begin()  # when its own lock is free, it has come to its end
            row = connection.row("select pg_xact_status(cast(? as xid8))", (transaction,))
            connection.rollback()
        finally:
            connection.close()
        return str(row[0]) if row else ""

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
