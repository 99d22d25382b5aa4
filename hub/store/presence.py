"""Which workers live. What one that died had claimed goes to the others at once; the lease is for one that lives and hangs.

A worker's name is noted in the database, and what proves that its process lives is a lock that its death ends: on a file beside the database
file (SQLite: one machine), or of a session (PostgreSQL). As the journals of the access log, which outlive their processes likewise.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hub.problem import Unavailable
from hub.store.db import Connection, Database
from hub.store.driver import BROKEN
from hub.store.tables import OPEN

LOCKS = 0x42_45_53_57
"""The advisory locks on PostgreSQL that are workers'."""
_NOTED = "worker:"


class Presence:
    """One worker's. The lock is held before the name is noted, and the name is noted before anything is claimed under it."""

    def __init__(self, database: Database, write: Callable[[Callable[[Connection], Any]], Any], folder: Path, name: str) -> None:
        """Raises Unavailable."""
        self.name = name
        self._database, self._write, self._folder = database, write, folder
        self._file: int | None = None
        self._session: Connection | None = None
        self._at_it = threading.Lock()
        """The session is for one thread at a time: one that is closed while the driver waits in it takes the whole process with it."""
        self._hold()

    def take_back(self) -> int:
        """Lets go of what workers had claimed that are gone; how many letters that were. Raises Unavailable."""
        with self._at_it:
            if not self._hold():
                return 0
            gone = [name for name in self._database.read(_noted) if name != self.name and self._gone(name)]
        return sum(self._write(partial(_let_go, name=name)) for name in gone)

    def end(self) -> None:
        """The process may live on; this worker does not, and lets go of what it had claimed. Raises Unavailable."""
        self._write(partial(_let_go, name=self.name))
        with self._at_it:
            if self._session is not None:
                self._session.close()
        if self._file is not None:
            (self._folder / self.name).unlink(missing_ok=True)
            os.close(self._file)

    def _hold(self) -> bool:
        """Held and noted from now on, also after a session that broke: others may have thought us gone meanwhile. False: what the server still takes
        for that session holds it, and says as well that we live. Raises Unavailable."""
        if self._database.sqlite:
            if self._file is None:
                self._file = self._locked()
                self._note()
            return True
        try:
            if self._session is not None:
                self._session.row("select 1")
                return True
        except BROKEN:
            self._session = None
        session = self._database.connect()
        try:
            row = session.row("select pg_try_advisory_lock(?, hashtext(?))", (LOCKS, self.name))
        except BROKEN as down:
            raise Unavailable("the database does not answer", 5) from down
        if not row or not row[0]:
            session.close()
            return False
        self._session = session
        self._note()
        return True

    def _note(self) -> None:
        insert = "insert into house_note (name, value, at) values (?, '', 0) on conflict (name) do nothing"
        self._write(lambda c: c.run(insert, (_NOTED + self.name,)))

    def _locked(self) -> int:
        """The file gets its name when it is locked: one that is not is nobody's."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unnamed = self._folder / f".{self.name}"
        file = os.open(unnamed, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        unnamed.rename(self._folder / self.name)
        return file

    def _gone(self, name: str) -> bool:
        """Whether the worker of that name lives no more. Raises Unavailable."""
        if self._session is not None:
            try:
                row = self._session.row("select pg_try_advisory_xact_lock(?, hashtext(?))", (LOCKS, name))
            except BROKEN as down:
                raise Unavailable("the database does not answer", 5) from down
            return row is not None and bool(row[0])
        try:
            with (self._folder / name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        (self._folder / name).unlink(missing_ok=True)
        return True


def _noted(connection: Connection) -> list[str]:
    """Every worker that began and did not end."""
    rows = connection.rows("select name from house_note where name >= ? and name < ?", (_NOTED, _NOTED + "~"))
    return [name.removeprefix(_NOTED) for (name,) in rows]


def _let_go(connection: Connection, name: str) -> int:
    """Of all that this worker had claimed; it is noted no more. How many letters that were."""
    connection.run("delete from house_note where name = ?", (_NOTED + name,))
    return connection.run(f"update delivery set owner = null, lease_until = 0 where owner = ? and {OPEN} and lease_until > 0", (name,))
