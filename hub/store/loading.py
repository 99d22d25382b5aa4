"""Many new resources at once: what moves in from elsewhere. One statement per table for a whole batch, where `resources.keep` has one per
resource; what is kept is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from hub.fhir.query import Entries
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store.db import Connection
from hub.store.resources import as_kept, index
from hub.store.values import Stored, micros

AT_ONCE = 1_000
"""Rows in a statement: databases bound how many values one may bind."""


def load(
    connection: Connection, batch: Sequence[Resource], origin: str, now: datetime, entries: Callable[[Resource], Entries],
) -> list[Stored]:
    """First versions of all of them.

    Raises:
        Refused: OUT_OF_DATE: one of them is there already.
    """
    return [kept for first in range(0, len(batch), AT_ONCE) for kept in _part(connection, batch[first:first + AT_ONCE], origin, now, entries)]


def _part(
    connection: Connection, batch: Sequence[Resource], origin: str, now: datetime, entries: Callable[[Resource], Entries],
) -> list[Stored]:
    for type_ in {each["resourceType"] for each in batch}:
        ids = [each["id"] for each in batch if each["resourceType"] == type_]
        if connection.row(f"select 1 from resource where type = ? and id in ({', '.join('?' * len(ids))}) limit 1", [type_, *ids]):
            raise Refused(Problem.OUT_OF_DATE, f"a {type_} of these is there already")
    made = [as_kept(each, 1, now) for each in batch]
    updated = micros(now) // 1000 * 1000
    rows = [(full["resourceType"], full["id"], body) for full, body in made]
    seqs = dict(connection.rows(
        "insert into version (type, id, version, method, last_updated, origin, body) values "
        + ", ".join(["(?, ?, 1, 'create', ?, ?, ?)"] * len(rows)) + " returning type || '/' || id, seq",
        [value for type_, id_, body in rows for value in (type_, id_, updated, origin, body)],
    ))
    found = [entries(full) for full, _ in made]
    kept = [Stored(type_, id_, 1, seqs[f"{type_}/{id_}"], updated, body, False, origin) for type_, id_, body in rows]
    keys = dict(connection.rows(
        "insert into resource (type, id, version, seq, last_updated, deleted, at, origin, body) values "
        + ", ".join(["(?, ?, 1, ?, ?, 0, ?, ?, ?)"] * len(rows)) + " returning type || '/' || id, key",
        [value for k, f, (_, _, body) in zip(kept, found, rows, strict=True) for value in (k.type, k.id, k.seq, updated, f.at, origin, body)],
    ))
    index(connection, [(k.type, keys[k.reference], f) for k, f in zip(kept, found, strict=True)])
    return kept
