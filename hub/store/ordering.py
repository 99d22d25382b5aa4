"""Results in another order than that of the main time (R4 3.1.1.6.1): by every search parameter, in pages that neither lose nor repeat.

Of several values the one counts that comes first in the direction asked for; what has none stands last in both. A page goes on from the
values that stood in a *version* (the cursor is its sequence number, and versions are kept for good): whatever changed meanwhile, what
stood behind that place then is still to come, and what stood before it is not told again.

What few resources meet is found and sorted. Where many do, the index of the first key is walked in its order until the page is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hub.fhir.query import Entries, Query, SortKey
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store.conditions import TABLES, Sql, add
from hub.store.db import Connection
from hub.store.resources import COLUMNS

FEW = 2_000
"""Resources that are rather sorted than walked: some ten milliseconds."""
_COLUMNS = {"at": "r.at", "updated": "r.last_updated", "id": "r.id"}
"""Kinds that every resource has one value of."""
_VALUE = {"token": ("value", "system"), "reference": ("target", "kind"), "date": ("low", "high"), "string": ("value",)}
"""Kind → the column that counts, and what else tells the entries of one resource apart."""
_TIMED = ("token", "reference")
"""Kinds whose index has the main time too."""


@dataclass(frozen=True, slots=True)
class _Term:
    """One column of the order, as the page walks through it."""

    column: str
    descending: bool
    nulls_last: bool | None
    """None: there are none."""

    def order(self) -> str:
        nulls = "" if self.nulls_last is None else f"{self.column} is {'not ' if not self.nulls_last else ''}null, "
        return f"{nulls}{self.column}{' desc' if self.descending else ''}"

    def behind(self, value: Any) -> tuple[str, list[Any]]:
        """What stands behind this value."""
        if value is None:
            return ("1 = 0" if self.nulls_last else f"{self.column} is not null"), []
        null = f" or {self.column} is null" if self.nulls_last else ""
        return f"({self.column} {'<' if self.descending else '>'} ?{null})", [value]

    def same(self, value: Any) -> tuple[str, list[Any]]:
        return (f"{self.column} is null", []) if value is None else (f"{self.column} = ?", [value])


def rows(connection: Connection, query: Query, sql: Sql, entries: Callable[[Resource], Entries] | None) -> list[tuple[Any, ...]]:
    """COLUMNS, key and sequence number of one more than the page has; a page back from its end. `sql` finds what meets the conditions.

    Raises:
        Refused: BAD_SEARCH: the cursor stands at nothing that is kept.
    """
    place = _place(connection, query, entries) if query.cursor and entries else None
    if query.conditions:
        row = connection.row(f"select count(*) from ({sql.text('1', ' limit ?')}) few", [*sql.values, FEW + 1])
        if row and row[0] <= FEW:
            return _page(connection, query, sql, "distinct r.key as key, r.at as at", query.sort, place, 0)
    return _walked(connection, query, place)


def _walked(connection: Connection, query: Query, place: Sequence[Any] | None) -> list[tuple[Any, ...]]:
    """The index of the first key, then what has no entry there; the other way round for a page back."""
    first = query.sort[0]
    if first.kind in _COLUMNS:
        return _page(connection, query, _all(query, "resource r"), "r.key as key, r.at as at", query.sort, place, 0)
    found: list[tuple[Any, ...]] = []
    for with_value in (False, True) if query.back else (True, False):
        if len(found) > query.count or (place is not None and (place[0] is not None) != with_value and with_value != query.back):
            continue
        here = place if place is not None and (place[0] is not None) == with_value else None
        found += _with_value(connection, query, here, len(found)) if with_value else _without_value(connection, query, here, len(found))
    return found


def _with_value(connection: Connection, query: Query, place: Sequence[Any] | None, have: int) -> list[tuple[Any, ...]]:
    first = query.sort[0]
    table, (value, *rest) = TABLES[first.kind], _VALUE[first.kind]
    columns, word = (value, *rest), " desc" if first.descending else ""
    mine, theirs = (", ".join(f"{alias}.{c}" for c in columns) for alias in "xj")
    sql = _all(query, f"{table} x join resource r on r.key = x.resource")
    sql.add("x.param = ?", f"{query.type}.{first.param}")
    sql.add(
        f"({mine}) = (select {theirs} from {table} j where j.resource = x.resource and j.param = x.param"
        f" order by {', '.join(f'j.{c}{word}' for c in columns)} limit 1)",
    )
    at = "x.at" if first.kind in _TIMED else "r.at"
    if place is not None:
        sql.add(f"x.{value} {'<' if first.descending != query.back else '>'}= ?", place[0])  # alone, so that the index is entered there
    return _page(connection, query, sql, f"x.resource as key, {at} as at, x.{value} as s0", query.sort, place, have)


def _without_value(connection: Connection, query: Query, place: Sequence[Any] | None, have: int) -> list[tuple[Any, ...]]:
    first = query.sort[0]
    sql = _all(query, "resource r")
    sql.add(f"not exists (select 1 from {TABLES[first.kind]} i where i.resource = r.key and i.param = ?)", f"{query.type}.{first.param}")
    return _page(connection, query, sql, "r.key as key, r.at as at", query.sort[1:], place[1:] if place else None, have)


def _all(query: Query, source: str) -> Sql:
    """Everything of the type, with the conditions looked up per resource."""
    sql = Sql(source, probe=True)
    sql.add("r.type = ? and r.deleted = 0", query.type)
    for condition in query.conditions:
        add(sql, query.type, condition, "r.at")
    return sql


def _page(
    connection: Connection, query: Query, sql: Sql, columns: str, sort: Sequence[SortKey], place: Sequence[Any] | None, have: int,
) -> list[tuple[Any, ...]]:
    """What `sql` finds, in order, from the place on. `columns` names key, at and, where the source itself has it, the first value."""
    values: list[Any] = []
    terms: list[_Term] = []
    for n, key in enumerate(sort):
        there = key.kind == "at" or (n == 0 and columns.endswith(" as s0"))
        if not there:
            expression, given = _value(query, key)
            columns += f", {expression} as s{n}"
            values += given
        column = "q.at" if key.kind == "at" else f"q.s{n}"
        terms.append(_Term(column, key.descending != query.back, None if there or key.kind in _COLUMNS else not query.back))
    turned = query.sort[-1].descending != query.back
    terms += [_Term("q.at", turned, None), _Term("q.key", turned, None)]
    where, bounds = _behind(terms, place) if place is not None else ("1 = 1", [])
    return connection.rows(
        f"select {COLUMNS}, r.key, r.seq from ({sql.text(columns)}) q join resource r on r.key = q.key where {where}"
        f" order by {', '.join(term.order() for term in terms)} limit ?",
        [*values, *sql.values, *bounds, query.count + 1 - have],
    )


def _value(query: Query, key: SortKey) -> tuple[str, list[Any]]:
    if key.kind in _COLUMNS:
        return _COLUMNS[key.kind], []
    which = "max" if key.descending else "min"
    table, column = TABLES[key.kind], _VALUE[key.kind][0]
    return f"(select {which}(i.{column}) from {table} i where i.resource = r.key and i.param = ?)", [f"{query.type}.{key.param}"]


def _behind(terms: Sequence[_Term], place: Sequence[Any]) -> tuple[str, list[Any]]:
    """The place's values or, where the first ones are the same, what comes behind in the next."""
    where, values = terms[0].behind(place[0])
    if len(terms) == 1:
        return where, values
    same, given = terms[0].same(place[0])
    rest, more = _behind(terms[1:], place[1:])
    return f"({where} or ({same} and {rest}))", [*values, *given, *more]


def _place(connection: Connection, query: Query, entries: Callable[[Resource], Entries]) -> list[Any]:
    """What the version at the cursor is sorted by: a value for each key, its main time, its key."""
    seq, key = query.cursor or (0, 0)
    row = connection.row("select type, id, last_updated, body from version where seq = ?", (seq,))
    if row is None or row[0] != query.type:
        raise Refused(Problem.BAD_SEARCH, "_cursor is not one of ours")
    found = entries(orjson.loads(row[3]))
    values: dict[str, list[tuple[str, Any]]] = {
        "token": [(t.param, t.value) for t in found.tokens], "reference": [(r.param, r.id) for r in found.references],
        "date": [(d.param, d.low) for d in found.dates], "string": [(s.param, s.value) for s in found.strings],
        "at": [("", found.at)], "updated": [("", row[2])], "id": [("", row[1])],
    }
    chosen = [(max if each.descending else min)((v for p, v in values[each.kind] if p == each.param), default=None) for each in query.sort]
    return [*chosen, found.at, key]
