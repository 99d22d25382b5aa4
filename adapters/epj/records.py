"""The EPJ's own records: letters it got, visits it knows, letters it owes. SQLite, durable, and still there after a kill."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists letter (id text primary key, digest text, reply text, reply_headers text, times integer, answered integer);
create table if not exists visit (uid text primary key, status text, start text, finish text, sequence integer, steps text, next_at real,
  seen integer);
create table if not exists outbox (number integer primary key, id text unique, uid text, kind text, parcel blob, headers text,
  state text, tries integer, due real, answer text);
create index if not exists outbox_open on outbox (due) where state = 'due';
create table if not exists counter (name text primary key, n integer);
"""


@dataclass(slots=True)
class Visit:
    """One booking, as the EPJ has it. Times are ISO texts in UTC; `steps` are still to be told."""

    uid: str
    status: str
    start: str
    finish: str
    sequence: int | None
    steps: list[str]
    next_at: float = 0.0
    seen: int = 0
    """How many different letters about it came."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One letter that waits to be sent."""

    number: int
    id: str
    uid: str
    kind: str
    parcel: bytes
    headers: dict[str, str]
    tries: int


class Records:
    """One connection, one lock: an EPJ in a box has few letters at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.RLock()
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + _SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside, or nothing."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def letter(self, id_: str) -> tuple[str, bytes, dict[str, str], int] | None:
        """(digest, reply, its headers, how often it came) of a letter that came before."""
        with self._lock:
            row = self._db.execute("select digest, reply, reply_headers, times from letter where id = ?", (id_,)).fetchone()
        return (row[0], row[1].encode("latin-1"), json.loads(row[2]), row[3]) if row else None

    def keep_letter(self, id_: str, digest: str, reply: bytes, headers: dict[str, str]) -> None:
        self._db.execute("insert into letter values (?, ?, ?, ?, 1, 0)", (id_, digest, reply.decode("latin-1"), json.dumps(headers)))

    def again(self, id_: str) -> None:
        with self._lock:
            self._db.execute("update letter set times = times + 1 where id = ?", (id_,))

    def visit(self, uid: str) -> Visit | None:
        with self._lock:
            row = self._db.execute("select * from visit where uid = ?", (uid,)).fetchone()
        return Visit(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6], row[7]) if row else None

    def keep_visit(self, v: Visit) -> None:
        self._db.execute(
            "insert or replace into visit values (?, ?, ?, ?, ?, ?, ?, ?)",
            (v.uid, v.status, v.start, v.finish, v.sequence, json.dumps(v.steps), v.next_at, v.seen),
        )

    def planned(self) -> list[tuple[str, str]]:
        """(start, end) of every visit that is planned."""
        with self._lock:
            return self._db.execute("select start, finish from visit where status in ('pending', 'booked') and start <> ''").fetchall()

    def ready(self, now: float) -> list[str]:
        """Visits with something to tell, and nothing on its way to the hub."""
        with self._lock:
            rows = self._db.execute(
                "select uid from visit v where steps <> '[]' and next_at <= ? and not exists (select 1 from outbox o where o.uid = v.uid"
                " and o.kind = 'visit' and o.state = 'due') order by next_at limit 50", (now,),
            ).fetchall()
        return [uid for (uid,) in rows]

    def owe(self, id_: str, uid: str, kind: str, parcel: bytes, headers: dict[str, str], due: float) -> None:
        self._db.execute(
            "insert into outbox (id, uid, kind, parcel, headers, state, tries, due) values (?, ?, ?, ?, ?, 'due', 0, ?)",
            (id_, uid, kind, parcel, json.dumps(headers), due),
        )

    def due(self, now: float) -> list[Owed]:
        """Letters to send: the oldest of each visit, so that order is kept."""
        with self._lock:
            rows = self._db.execute(
                "select number, id, uid, kind, parcel, headers, tries from outbox o where state = 'due' and due <= ? and not exists"
                " (select 1 from outbox e where e.uid = o.uid and e.kind = o.kind and e.state = 'due' and e.number < o.number)"
                " order by number limit 50", (now,),
            ).fetchall()
        return [Owed(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6]) for row in rows]

    def later(self, number: int, due: float) -> None:
        with self._lock:
            self._db.execute("update outbox set tries = tries + 1, due = ? where number = ? and state = 'due'", (due, number))

    def arrived(self, id_: str) -> None:
        with self._lock:
            self._db.execute("update outbox set state = 'arrived', tries = tries + 1 where id = ? and state = 'due'", (id_,))

    def answered(self, id_: str, answer: str) -> None:
        with self._lock:
            self._db.execute("update outbox set answer = ?, state = 'arrived' where id = ?", (answer, id_))

    def count(self, name: str) -> None:
        with self._lock:
            self._db.execute("insert into counter values (?, 1) on conflict (name) do update set n = n + 1", (name,))

    def report(self) -> dict[str, Any]:
        """Everything, for whoever checks from outside: no person, only ids and numbers."""
        with self._lock:
            visits = self._db.execute("select uid, status, start, finish, steps, seen from visit").fetchall()
            letters = self._db.execute("select count(*), coalesce(sum(times - 1), 0) from letter").fetchone()
            owed = self._db.execute("select kind, state, coalesce(answer, ''), count(*) from outbox group by 1, 2, 3").fetchall()
            counters = dict(self._db.execute("select name, n from counter").fetchall())
        return {
            "visits": {uid: {"status": s, "start": a, "end": b, "left": json.loads(steps), "letters": n} for uid, s, a, b, steps, n in visits},
            "letters": letters[0], "duplicates_dropped": letters[1],
            "outbox": [{"kind": k, "state": s, "answer": a, "n": n} for k, s, a, n in owed], "counters": counters,
        }

    def close(self) -> None:
        self._db.close()
