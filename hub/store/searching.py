"""A Query as a page of resources. Rows come in the order of (main time, key), or in another one (`ordering`): keyset paging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.fhir.query import Entries, Include, Query
from hub.message import Resource
from hub.store import ordering, resources, trail
from hub.store.conditions import Sql, conditions
from hub.store.db import Connection
from hub.store.resources import COLUMNS, stored
from hub.store.values import Page, Stored

MOST_ROUNDS = 8
"""How far `:iterate` goes."""


def found(connection: Connection, type_: str, id_: str) -> Stored | None:
    """The current version of a resource, or a line of the access log as an AuditEvent."""
    return trail.get(connection, id_) if type_ == trail.TYPE else resources.get(connection, type_, id_)


def searched(connection: Connection, query: Query, entries: Callable[[Resource], Entries]) -> Page:
    """The page a query asks for, of resources or of the access log."""
    return trail.search(connection, query) if query.type == trail.TYPE else search(connection, query, entries)


def search(connection: Connection, query: Query, entries: Callable[[Resource], Entries] | None = None) -> Page:
    """The page a query asks for. `entries` may be left out where no cursor comes.

    Raises:
        Refused: BAD_SEARCH: the cursor stands at nothing that is kept.
    """
    sql, at = conditions(query)
    total = None
    if query.total:
        row = connection.row(sql.text("count(distinct r.key)"), sql.values)
        total = int(row[0]) if row else 0
    if query.count == 0:
        return Page([], total)
    rows = _by_time(connection, query, sql, at) if query.by_time else ordering.rows(connection, query, sql, entries)
    more = len(rows) > query.count
    rows = rows[query.count - 1::-1] if query.back else rows[:query.count]
    unique = list({row[8]: row for row in rows}.values())
    first, last = ((rows[0][9], rows[0][8]), (rows[-1][9], rows[-1][8])) if rows else (None, None)
    included = _included(connection, query, [row[8] for row in unique]) if query.includes else []
    return Page(
        [stored(row) for row in unique], total, last if more or query.back else None, included,
        first if (more if query.back else query.cursor is not None) else None,
    )


def _by_time(connection: Connection, query: Query, sql: Sql, at: str) -> list[tuple[Any, ...]]:
    """COLUMNS, key and main time of one more than the page has; a page back from its end."""
    descending = query.descending != query.back
    if query.cursor is not None:
        sign = "<" if descending else ">"
        sql.add(f"({at} {sign} ? or ({at} = ? and {sql.key} {sign} ?))", query.cursor[0], query.cursor[0], query.cursor[1])
        sql.add(f"{at} {sign}= ?", query.cursor[0])  # alone, so that the index is entered at the cursor
    direction = " desc" if descending else ""
    tail = f" order by {at}{direction}, {sql.key}{direction} limit ?"
    return connection.rows(sql.text(f"{COLUMNS}, r.key, {at}", tail), [*sql.values, query.count + 1])


def _included(connection: Connection, query: Query, keys: list[int]) -> list[Stored]:
    found: dict[int, Stored] = {}
    fresh, includes = keys, query.includes
    for _ in range(MOST_ROUNDS):
        if not fresh or not includes:
            break
        marks = ", ".join("?" * len(fresh))
        rows = [row for include in includes for row in connection.rows(*_include(include, query.type, fresh, marks))]
        fresh = list(dict.fromkeys(row[8] for row in rows if row[8] not in found and row[8] not in keys))
        found |= {row[8]: stored(row) for row in rows if row[8] in fresh}
        includes = tuple(include for include in includes if include.iterate)
    return list(found.values())


def _include(include: Include, type_: str, keys: list[int], marks: str) -> tuple[str, list[Any]]:
    param = f"{include.source}.{include.param}"
    if include.reverse:
        return (
            f"select {COLUMNS}, r.key from resource m join index_reference i on i.param = ? and i.target = m.id and i.kind = m.type"
            f" join resource r on r.key = i.resource and r.deleted = 0 where m.key in ({marks})",
            [param, *keys],
        )
    target = " and i.kind = ?" if include.target else ""
    return (
        f"select {COLUMNS}, r.key from index_reference i join resource r on r.type = i.kind and r.id = i.target and r.deleted = 0"
        f" where i.resource in ({marks}) and i.param = ?{target}",
        [*keys, param, *([include.target] if include.target else [])],
    )
