"""Resources: current rows, versions (the change log) and index entries. Functions on a connection; `store` and `transaction` call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from hub.fhir import strict_json
from hub.fhir.query import NEVER, Entries
from hub.message import Resource
from hub.store.db import Connection
from hub.store.values import Bounds, Stored, micros, moment

COLUMNS = "r.type, r.id, r.version, r.seq, r.last_updated, r.body, r.deleted, r.origin"
_CURRENT = f"select {COLUMNS}, r.key from resource r where r.type = ? and r.id = ?"
_BY_TOKEN = f"select {COLUMNS}, r.key from index_token x join resource r on r.key = x.resource"
_BY_REFERENCE = f"select {COLUMNS}, r.key from index_reference x join resource r on r.key = x.resource"
VERSION = "insert into version (seq, type, id, version, method, last_updated, origin, body) values (?, ?, ?, ?, ?, ?, ?, ?)"
RESOURCE = (
    "insert into resource (key, type, id, version, seq, last_updated, deleted, at, origin, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_VERSION = "select type, id, version, seq, last_updated, body, method = 'delete', origin, method from version"
_NOT_REPLACED = (
    "not exists (select 1 from version n where n.type = version.type and n.id = version.id and n.version = version.version + 1"
    " and n.last_updated <= ?)"
)
EXPORTED = "exported"
"""The note of when the last export was asked for."""
_NEWEST = f"select seq, last_updated, (select at from house_note where name = '{EXPORTED}') from version order by seq desc limit 1"
_LAST = "last version"
"""In the memory of a connection: place and time of the last version that this transaction has made, or knows of."""
Current = tuple[Stored, int]
"""A resource as it is now, and the key of its row."""
ENTRIES = (
    "index_token (param, value, at, system, resource)", "index_reference (param, target, at, kind, resource)",
    "index_date (param, low, high, resource)", "index_string (param, value, resource)",
)
INDEXES = tuple(table.partition(" ")[0] for table in ENTRIES)


def stored(row: tuple[Any, ...]) -> Stored:
    """A row that begins with COLUMNS as a value: they stand in its order."""
    return tuple.__new__(Stored, row[:8])


def _version(row: tuple[Any, ...]) -> Stored:
    """A row of _VERSION as a value."""
    made = stored(row)
    made.method = row[8]
    return made


def current(connection: Connection, type_: str, id_: str) -> Current | None:
    """The current version, and the row it is kept in."""
    row = connection.row(_CURRENT, (type_, id_))
    return (stored(row), row[8]) if row else None


def get(connection: Connection, type_: str, id_: str) -> Stored | None:
    found = current(connection, type_, id_)
    return found[0] if found else None


def named(connection: Connection, type_: str, system: str, value: str) -> list[Current]:
    """Those that bear this identifier, its value as it is indexed."""
    sql = f"{_BY_TOKEN} where x.param = ? and x.value = ? and x.system = ? and r.deleted = 0 order by x.at, x.resource"
    return [(stored(row), row[8]) for row in connection.rows(sql, (f"{type_}.identifier", value, system))]


def of_patient(connection: Connection, types: Sequence[str], patient: str, between: tuple[int, int]) -> list[Current]:
    """Those of these types about a patient (an id) whose main time, if any, lies within [from, until) in microseconds; in its order."""
    sql = (
        f"{_BY_REFERENCE} where x.param in ({', '.join('?' * len(types))}) and x.target = ? and x.at >= ? and x.at < ?"
        " and x.kind = 'Patient' and r.deleted = 0 order by x.at, x.resource"
    )
    return [(stored(row), row[8]) for row in connection.rows(sql, [*(f"{type_}.patient" for type_ in types), patient, *between])]


def version(connection: Connection, type_: str, id_: str, number: int) -> Stored | None:
    row = connection.row(f"{_VERSION} where type = ? and id = ? and version = ?", (type_, id_, number))
    return _version(row) if row else None


def at(connection: Connection, type_: str, id_: str, upto: int) -> Stored | None:
    """The version that was current at this place in the change log; None: there was none yet."""
    row = connection.row(f"{_VERSION} where type = ? and id = ? and seq <= ? order by version desc limit 1", (type_, id_, upto))
    return stored(row) if row else None


def history(connection: Connection, type_: str, id_: str) -> list[Stored]:
    """Newest first."""
    return [_version(r) for r in connection.rows(f"{_VERSION} where type = ? and id = ? order by version desc", (type_, id_))]


def changes(connection: Connection, after: int, limit: int) -> list[Stored]:
    """The change log behind `after`, oldest first."""
    return [stored(r) for r in connection.rows(f"{_VERSION} where seq > ? order by seq limit ?", (after, limit))]


def place(connection: Connection, now: datetime, many: int = 1) -> tuple[int, int]:
    """The first of the next `many` places in the change log, and the time that versions there bear, in microseconds.

    That is `now` in whole milliseconds, but later than whatever was committed before and than the time of every export: clocks of several
    hubs disagree, and one alone is set back, yet who asks from the last time it saw (`_since`, `_lastUpdated=gt`) must miss nothing.
    """
    last = connection.memory.get(_LAST)
    if last is None:
        row = connection.row(_NEWEST)
        last = (row[0], (max(row[1], row[2] or 0) // 1000 + 1) * 1000) if row else (0, 0)
    updated = max(micros(now) // 1000 * 1000, last[1])
    connection.memory[_LAST] = last[0] + many, updated
    return last[0] + 1, updated


def newest(connection: Connection) -> int:
    """The time that the last change bears, in microseconds; 0: there is none."""
    row = connection.row("select last_updated from version order by seq desc limit 1")
    return int(row[0]) if row else 0


def keep(
    connection: Connection, resource: Resource, origin: str, before: Current | None, now: datetime, entries: Callable[[Resource], Entries],
    by_put: bool = False,
) -> Current:
    """A new version; or what was there `before` when nothing but meta.versionId and meta.lastUpdated differs. `by_put`: as VersionRow.method."""
    type_, id_ = resource["resourceType"], resource["id"]
    if before is not None and not before[0].deleted and _plain(before[0].resource) == _plain(resource):
        return before
    number = before[0].version + 1 if before else 1
    method = "update" if before is not None and not before[0].deleted else "put" if by_put or before is not None else "create"
    seq, updated = place(connection, now)
    full, body = as_kept(resource, number, moment(updated))
    found = entries(full)
    connection.later(VERSION, [(seq, type_, id_, number, method, updated, origin, body)])
    if before is None:
        key = connection.number("resource", "key")
        connection.later(RESOURCE, [(key, type_, id_, number, seq, updated, 0, found.at, origin, body)])
        index(connection, [(type_, key, found)])
    else:
        key = before[1]
        connection.run(
            "update resource set version = ?, seq = ?, last_updated = ?, deleted = 0, at = ?, origin = ?, body = ? where key = ?",
            (number, seq, updated, found.at, origin, body, key),
        )
        if before[0].deleted or entries(before[0].resource) != found:  # most changes touch nothing that is searched by
            _unindex(connection, key)
            index(connection, [(type_, key, found)])
    kept = Stored(type_, id_, number, seq, updated, body, False, origin)
    kept.method, kept.resource = method, full  # so that nobody parses what was just written
    return kept, key


def remove(connection: Connection, before: Stored, origin: str, now: datetime) -> Stored:
    """A deletion as a version of its own: the history stays, and a later update may bring the resource back."""
    number = before.version + 1
    seq, updated = place(connection, now)
    connection.later(VERSION, [(seq, before.type, before.id, number, "delete", updated, origin, before.text)])
    (key,) = connection.row(  # type: ignore[misc]
        "update resource set version = ?, seq = ?, last_updated = ?, deleted = 1, origin = ? where type = ? and id = ? returning key",
        (number, seq, updated, origin, before.type, before.id),
    )
    _unindex(connection, key)
    return Stored(before.type, before.id, number, seq, updated, before.text, True, origin)


def _unindex(connection: Connection, key: int) -> None:
    for table in INDEXES:
        connection.run(f"delete from {table} where resource = ?", (key,))


def referred(connection: Connection, type_: str, id_: str) -> bool:
    """Something that is kept points to it."""
    return connection.row("select 1 from index_reference where target = ? and kind = ? limit 1", (id_, type_)) is not None


def log(connection: Connection, type_: str, bounds: Bounds, before: int, limit: int) -> list[Stored]:
    """Versions newest first, of one type or (empty) of all, below the sequence number `before`, within these bounds."""
    of_type = "type = ? and " if type_ else ""
    *made, still = bounds
    current = f"{_NOT_REPLACED} and " if still > NEVER else ""
    return [
        _version(r) for r in connection.rows(
            f"{_VERSION} where {of_type}{current}seq < ? and last_updated >= ? and last_updated < ? order by seq desc limit ?",
            [*([type_] if type_ else []), *([still] if current else []), before, *made, limit],
        )
    ]


def _plain(resource: Resource) -> Resource:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in resource.items() if k != "meta"}
    return {**rest, "meta": meta} if meta else rest


def instant(at: datetime) -> str:
    """A time of the store as FHIR writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_kept(resource: Resource, number: int, now: datetime) -> tuple[Resource, str]:
    """The resource with its version and time, and the text of it that is kept: resourceType, id and meta first, as FHIR's examples have it; the
    rest as it came."""
    meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": instant(now)}
    full = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta, **resource}
    full["meta"] = meta
    return full, strict_json.dump(full).decode()


@cache
def _param(type_: str, name: str) -> str:
    """As indexes have it; always the same text, which thus travels between processes once."""
    return f"{type_}.{name}"


def entry_rows(type_: str, found: Entries) -> list[list[tuple[Any, ...]]]:
    """A resource's entries as rows of ENTRIES, each without the last column."""
    return [
        list({(_param(type_, t.param), t.value, found.at, t.system) for t in found.tokens}),
        list({(_param(type_, r.param), r.id, found.at, r.type) for r in found.references}),
        list({(_param(type_, d.param), d.low, d.high) for d in found.dates}),
        list({(_param(type_, s.param), s.value) for s in found.strings}),
    ]


def keep_entries(connection: Connection, found: Sequence[tuple[int, list[list[tuple[Any, ...]]]]]) -> None:
    """Keeps the entry rows of resources (by key) that have none yet."""
    for number, table in enumerate(ENTRIES):
        rows = [(*row, key) for key, tables in found for row in tables[number]]
        if rows:
            connection.later(f"insert into {table} values ({', '.join('?' * (table.count(',') + 1))})", sorted(rows))


def index(connection: Connection, found: Sequence[tuple[str, int, Entries]]) -> None:
    """Keeps the entries of resources (type, key) that have none yet."""
    keep_entries(connection, [(key, entry_rows(type_, each)) for type_, key, each in found])
