"""The floor to compare with: plain ASGI on SQLite, one table, no rules. `python -m bench.floor PORT FILE`.

POST /booking keeps a body durably (waiting requests share a commit); GET /search?patient=… gives one patient's week, stitched.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sqlite3
import sys
import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import psycopg
import uvicorn

WEEK = "select body from a where patient = ? and start >= ? and start < ? order by start limit 50"
Job = tuple[tuple[str, ...], "asyncio.Future[None]", asyncio.AbstractEventLoop]


class Floor:
    """The application."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reads = self._connect()
        self._reads.execute("create table if not exists a (id text primary key, patient text, start text, body text)")
        self._reads.execute("create index if not exists a_patient on a (patient, start)")
        self._jobs: queue.Queue[Job] = queue.Queue()
        threading.Thread(target=self._write, daemon=True).start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        return connection

    def fill(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Puts rows (id, patient, start, body) in."""
        self._reads.execute("begin")
        self._reads.executemany("insert into a values (?, ?, ?, ?)", rows)
        self._reads.execute("commit")

    def week(self, patient: str, first: str, until: str) -> list[tuple[str]]:
        """The bodies of one patient's appointments in [first, until)."""
        return self._reads.execute(WEEK, (patient, first, until)).fetchall()

    def _write(self) -> None:
        connection = self._connect()
        while True:
            batch = [self._jobs.get()]
            while not self._jobs.empty() and len(batch) < 128:
                batch.append(self._jobs.get())
            connection.execute("begin immediate")
            connection.executemany("insert or replace into a values (?, ?, ?, ?)", [row for row, _, _ in batch])
            connection.execute("commit")
            for _, future, loop in batch:
                loop.call_soon_threadsafe(future.set_result, None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            body = (await receive())["body"]
            value = json.loads(body)
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()
            self._jobs.put(((value["bestillingsId"], value["person"]["id"], value["fra"], body.decode()), done, loop))
            await done
            out = b'{"status":"GODTATT"}'
        else:
            asked = parse_qs(scope["query_string"].decode())
            rows = self.week(asked["patient"][0], asked["from"][0], asked["to"][0])
            out = ('{"resourceType":"Bundle","type":"searchset","entry":[' + ",".join(f'{{"resource":{r[0]}}}' for r in rows) + "]}").encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(out)).encode())]})
        await send({"type": "http.response.body", "body": out})


class PostgresFloor(Floor):
    """The same search on PostgreSQL, in a database that may hold other tables."""

    def __init__(self, url: str) -> None:
        self._database = psycopg.connect(url, autocommit=True)
        self._database.execute("create table a (id text primary key, patient text, start text, body text)")
        self._database.execute("create index a_patient on a (patient, start)")

    def fill(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        with self._database.cursor() as cursor, cursor.copy("copy a from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        self._database.execute("analyze a")

    def week(self, patient: str, first: str, until: str) -> list[tuple[str]]:
        return self._database.execute(WEEK.replace("?", "%s"), (patient, first, until)).fetchall()


if __name__ == "__main__":
    uvicorn.run(Floor(sys.argv[2]), port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
