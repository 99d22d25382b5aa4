"""The search index made anew, when what is searched by has changed: in batches, each its own commit, from where the last one stopped."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from hub.fhir.query import Entries
from hub.message import Resource
from hub.store.db import Connection
from hub.store.resources import INDEXES, index

NOTE = "index"
BATCH = 200
"""Resources per commit: other writes wait no longer than this takes (some 50 ms)."""


def due(connection: Connection, digest: str) -> bool:
    """The index was not made, or not wholly, by what `digest` stands for."""
    row = connection.row("select value from house_note where name = ?", (NOTE,))
    return row is None or row[0] != f"{digest} whole"


def step(connection: Connection, entries: Callable[[Resource], Entries], digest: str) -> int:
    """The next batch; how many resources it had (0: the index is whole)."""
    row = connection.row("select value from house_note where name = ?", (NOTE,))
    done, _, upto = (row[0] if row else "").partition(" ")
    last = int(upto) if done == digest and upto.isdigit() else 0
    rows = connection.rows("select key, type, body from resource where key > ? and deleted = 0 order by key limit ?", (last, BATCH))
    found = [(type_, key, entries(orjson.loads(body))) for key, type_, body in rows]
    for table in INDEXES:
        connection.many(f"delete from {table} where resource = ?", [(key,) for key, _, _ in rows])
    connection.many("update resource set at = ? where key = ?", [(each.at, key) for _, key, each in found])
    index(connection, found)
    connection.run(
        "insert into house_note (name, value, at) values (?, ?, 0) on conflict (name) do update set value = excluded.value",
        (NOTE, f"{digest} {rows[-1][0] if rows else 'whole'}"),
    )
    return len(rows)
