"""The access log: lines that nobody can change, a chain of seals over them, and a journal for the lines of reads.

A write's line is in the write's transaction. A read's line must not wait for the disk, so it is appended to a journal file (the operating
system has it at once: a killed process loses none, a power cut at most the last second) and taken into the table by the writer.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from hub.access import AuditLine
from hub.problem import Unavailable
from hub.store.db import Connection
from hub.store.secrets import Secrets
from hub.store.values import AuditCheck, micros, moment

_COLUMNS = "at, person, reader, ground, kind, on_behalf_of, channel, given"
_INSERT = f"insert into audit ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"
SEALED_AT_ONCE = 100_000


def insert(connection: Connection, lines: Iterable[AuditLine]) -> None:
    connection.later(_INSERT, [_row(line) for line in lines])


def of(connection: Connection, person: str, limit: int) -> list[AuditLine]:
    """The newest lines about a person, newest first."""
    rows = connection.rows(f"select {_COLUMNS} from audit where person = ? order by key desc limit ?", (person, limit))
    return [
        AuditLine(moment(at), person, reader, ground, kind, whom, channel, bool(given))
        for at, person, reader, ground, kind, whom, channel, given in rows
    ]


def _row(line: AuditLine) -> tuple[Any, ...]:
    return (micros(line.at), line.person, line.reader, line.ground, line.kind, line.on_behalf_of, line.channel, int(line.given))


class Journal:
    """The lines of reads that are not in the table yet. One file per process, locked while it lives."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._name = f"{uuid.uuid4().hex}.journal"
        self._file = os.open(folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._lines: list[tuple[int, tuple[Any, ...]]] = []
        """With where each line's call ends in the file."""
        self._written = 0
        self._lock = threading.Lock()

    def append(self, lines: Iterable[AuditLine]) -> None:
        """The operating system has them when this returns. Raises Unavailable, such as where the disk is full: who cannot be told of sees nothing."""
        rows = [_row(line) for line in lines]
        data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        with self._lock:
            try:
                if os.write(self._file, data) < len(data):
                    raise OSError("the disk is full")
            except OSError as full:
                os.ftruncate(self._file, self._written)  # half a line would be taken for one with the next
                raise Unavailable("the access log cannot be written", 5) from full
            self._written += len(data)
            self._lines += [(self._written, row) for row in rows]

    def work(self) -> tuple[Callable[[Connection], None], Callable[[], None]] | None:
        """What the writer does with the lines that came, and what it calls once that is committed; None: nothing came."""
        with self._lock:
            lines, upto = list(self._lines), self._written
        if not lines:
            return None

        def take(connection: Connection) -> None:
            there = _marked(connection, self._name)  # a commit of which nobody knows may have taken some of them in
            connection.many(_INSERT, [row for end, row in lines if end > there])
            _mark(connection, self._name, upto)

        def done() -> None:
            with self._lock:
                del self._lines[:len(lines)]

        return take, done

    def adopt(self, connection: Connection, now: datetime) -> int:
        """Takes in what dead processes left behind. Returns how many lines; run inside a transaction."""
        taken = 0
        for path in sorted(self._folder.glob("*.journal")):
            if path.name != self._name and (lines := _left_behind(connection, path)) is not None:
                connection.many(_INSERT, lines)
                _mark(connection, path.name, path.stat().st_size)
                taken += len(lines)
        return taken

    def close(self) -> None:
        os.close(self._file)


def _mark(connection: Connection, name: str, upto: int) -> None:
    connection.run(
        "insert into house_note (name, value, at) values (?, ?, 0) on conflict (name) do update set value = excluded.value",
        (f"journal:{name}", str(upto)),
    )


def _marked(connection: Connection, name: str) -> int:
    """How many bytes of a journal are in the table."""
    row = connection.row("select value from house_note where name = ?", (f"journal:{name}",))
    return int(row[0]) if row else 0


def _left_behind(connection: Connection, path: Path) -> list[list[Any]] | None:
    """The lines of a journal whose process is gone and that are not in the table; None while it lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        file.seek(_marked(connection, path.name))
        return [orjson.loads(line) for line in file if line.endswith(b"\n")]


def sweep(folder: Path, connection: Connection) -> None:
    """Removes journals that are wholly in the table and whose process is gone."""
    for path in folder.glob("*.journal"):
        lines = _left_behind(connection, path)
        if lines == []:
            path.unlink(missing_ok=True)


def seal(connection: Connection, secrets: Secrets, now: datetime) -> int:
    """One more link of the chain over the lines since the last; how many lines it covers (0: no new link)."""
    last = connection.row("select number, upto, digest from audit_seal order by number desc limit 1")
    upto, before = (last[1], last[2]) if last else (0, "")
    rows = connection.rows(f"select key, {_COLUMNS} from audit where key > ? order by key limit ?", (upto, SEALED_AT_ONCE))
    if not rows:
        return 0
    connection.run(
        "insert into audit_seal (upto, lines, digest, at) values (?, ?, ?, ?)",
        (rows[-1][0], len(rows), _digest(secrets, before, rows), micros(now)),
    )
    return len(rows)


def verify(connection: Connection, secrets: Secrets) -> AuditCheck:
    """Walks the chain from its first link."""
    broken: list[int] = []
    before, start, lines, head, seals = "", 0, 0, "", 0
    for number, upto, count, digest in connection.rows("select number, upto, lines, digest from audit_seal order by number"):
        rows = connection.rows(f"select key, {_COLUMNS} from audit where key > ? and key <= ? order by key", (start, upto))
        if len(rows) != count or not hmac.compare_digest(_digest(secrets, before, rows), digest):
            broken.append(number)
        before, start, head = digest, upto, digest
        lines += len(rows)
        seals += 1
    row = connection.row("select count(*) from audit where key > ?", (start,))
    return AuditCheck(seals, lines, int(row[0]) if row else 0, tuple(broken), head)


def _digest(secrets: Secrets, before: str, rows: list[tuple[Any, ...]]) -> str:
    mac = hmac.new(secrets.seal_key, before.encode(), "sha256")
    for row in rows:
        mac.update(orjson.dumps(row))
    return mac.hexdigest()
