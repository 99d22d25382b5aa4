"""Many new resources at once: what moves in from elsewhere. What costs time (parsing, checking, index entries) is done beforehand, in any
process (`prepare`); what is left is numbers and rows, one statement per table for a whole batch (`load`). What is kept is the same to the
byte as what `resources.keep` keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

from hub.fhir.query import Entries
from hub.message import Resource
from hub.store.db import Connection, Database
from hub.store.resources import INDEXES, RESOURCE, VERSION, as_kept, entry_rows, instant, keep_entries, place
from hub.store.values import Stored, moment

AT_ONCE = 1_000
"""Ids in a statement: databases bound how many values one may bind."""
_BEFORE = datetime(1, 1, 1, tzinfo=UTC)
_TIME = f'"lastUpdated":"{instant(_BEFORE)}"'
"""Stands where the time of the commit will."""


class Prepared(NamedTuple):
    """A resource that waits for its number and its time; plain values, so that it costs little to hand from process to process."""

    type: str
    id: str
    head: str
    """Its text before `meta.lastUpdated`, and after it."""
    tail: str
    at: int
    entries: list[list[tuple[Any, ...]]]
    """Rows of each index, without the key (`entry_rows`)."""


class Loaded(NamedTuple):
    """What became of a batch."""

    kept: list[Stored]
    same: int
    """There already, as they came."""
    other: tuple[int, ...]
    """Places in the batch of those that are there already with another content; nothing of theirs was kept."""


def prepare(resource: Resource, entries: Callable[[Resource], Entries]) -> Prepared:
    """All that can be done without a database."""
    full, text = as_kept(resource, 1, _BEFORE)
    head, _, tail = text.partition(_TIME)
    found = entries(full)
    return Prepared(full["resourceType"], full["id"], head, tail, found.at, entry_rows(full["resourceType"], found))


def load(connection: Connection, batch: Sequence[Prepared], origin: str, now: datetime) -> Loaded:
    """First versions of those that never were here, in the order of the batch."""
    connection.pour()
    there = _there(connection, batch)
    new: list[Prepared] = []
    same, other = 0, []
    for number, each in enumerate(batch):
        before = there.get((each.type, each.id))
        if before is None:
            there[each.type, each.id] = _text(each, now)
            new.append(each)
        elif before.startswith(each.head) and before.endswith(each.tail) and len(before) == len(_text(each, now)):
            same += 1
        else:
            other.append(number)
    return Loaded(_insert(connection, new, origin, now), same, tuple(other))


def _text(each: Prepared, now: datetime) -> str:
    return f'{each.head}"lastUpdated":"{instant(now)}"{each.tail}'


def _there(connection: Connection, batch: Sequence[Prepared]) -> dict[tuple[str, str], str]:
    """The first versions of those that are there already, or were."""
    found: dict[tuple[str, str], str] = {}
    for type_ in {each.type for each in batch}:
        ids = [each.id for each in batch if each.type == type_]
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first:first + AT_ONCE]
            if connection.sqlite:
                marks = ", ".join("?" * len(some))
                rows = connection.rows(f"select id, body from version where type = ? and version = 1 and id in ({marks})", [type_, *some])
            else:  # each by the index, whatever is thought of a table that grows faster than it is analysed
                rows = connection.rows(
                    "select wanted.id, first.body from unnest(cast(? as text[])) as wanted (id), "
                    "lateral (select body from version where type = ? and id = wanted.id and version = 1 limit 1) as first", [some, type_])
            found |= {(type_, id_): body for id_, body in rows}
    return found


def _insert(connection: Connection, new: Sequence[Prepared], origin: str, now: datetime) -> list[Stored]:
    seq, updated = place(connection, now, len(new))
    key = connection.number("resource", "key", len(new))
    at = moment(updated)
    kept = [Stored(each.type, each.id, 1, number, updated, _text(each, at), False, origin) for number, each in enumerate(new, seq)]
    for each in kept:
        each.method = "create"
    connection.many(
        VERSION,
        [(k.seq, k.type, k.id, 1, "create", updated, origin, k.text) for k in kept],
    )
    connection.many(
        RESOURCE,
        [(key, k.type, k.id, 1, k.seq, updated, 0, each.at, origin, k.text) for key, k, each in zip(count(key), kept, new, strict=False)],
    )
    keep_entries(connection, [(key, each.entries) for key, each in enumerate(new, key)])
    return kept


def look_over_once(database: Database) -> None:
    """As `look_over`, where PostgreSQL never did: of what was restored, or copied, it knows nothing until much of it has changed. By a connection
    of its own: in a large database it takes a while, and nobody's write waits for it."""
    connection = database.connect()
    try:
        never = "select 1 from pg_class where oid = 'resource'::regclass and reltuples < 0"
        if not connection.sqlite and connection.row(never) and connection.row("select 1 from resource limit 1"):
            look_over(connection)
    finally:
        connection.close()


def look_over(connection: Connection) -> None:
    """PostgreSQL looks at what there is now, and not when it next comes by: its plans are by that."""
    if not connection.sqlite:
        connection.run(f"analyze resource, version, {', '.join(INDEXES)}")
