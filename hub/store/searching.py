"""A Query as SQL. One condition drives (a reference or a token kept beside the main time), so that «this patient, this week» is one range
scan in one index; the others are looked up per row. Rows come in the order of (main time, key) or (last change, key): keyset paging.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hub.fhir.query import (
    AnyOf,
    Chained,
    Condition,
    DateIs,
    Has,
    IdIs,
    Include,
    Missing,
    Query,
    ReferenceIs,
    StringIs,
    TokenIs,
    UpdatedIs,
)
from hub.fhir.text import plain
from hub.store.db import Connection
from hub.store.resources import COLUMNS, stored
from hub.store.values import Page, Stored

_TABLES = {"token": "index_token", "reference": "index_reference", "date": "index_date", "string": "index_string"}
HIGHEST = "\U0010ffff"
MOST_ROUNDS = 8
"""How far `:iterate` goes."""


@dataclass(slots=True)
class Sql:
    """A statement under way."""

    source: str
    wheres: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    key: str = "r.key"
    """The resource's key where it costs least: in the index that drives, rows stand in its order already."""
    few: bool = False
    """The resources are named by id: what else must hold is looked up per resource, not listed for the whole store."""

    def add(self, where: str, *values: Any) -> None:
        self.wheres.append(where)
        self.values.extend(values)

    def text(self, what: str, tail: str = "") -> str:
        return f"select {what} from {self.source} where {' and '.join(self.wheres)}{tail}"


def search(connection: Connection, query: Query) -> Page:
    """The page a query asks for."""
    sql, at = conditions(query)
    total = None
    if query.total:
        row = connection.row(sql.text("count(distinct r.key)"), sql.values)
        total = int(row[0]) if row else 0
    order = at if query.sort == "at" else "r.last_updated"
    descending = query.descending != query.back
    if query.cursor is not None:
        sign = "<" if descending else ">"
        sql.add(f"({order} {sign} ? or ({order} = ? and {sql.key} {sign} ?))", query.cursor[0], query.cursor[0], query.cursor[1])
        sql.add(f"{order} {sign}= ?", query.cursor[0])  # alone, so that the index is entered at the cursor
    if query.count == 0:
        return Page([], total)
    direction = " desc" if descending else ""
    tail = f" order by {order}{direction}, {sql.key}{direction} limit ?"
    rows = connection.rows(sql.text(f"{COLUMNS}, r.key, {order}", tail), [*sql.values, query.count + 1])
    more = len(rows) > query.count
    rows = rows[query.count - 1::-1] if query.back else rows[:query.count]
    unique = list({row[8]: row for row in rows}.values())
    first, last = ((rows[0][9], rows[0][8]), (rows[-1][9], rows[-1][8])) if rows else (None, None)
    included = _included(connection, query, [row[8] for row in unique]) if query.includes else []
    return Page(
        [stored(row) for row in unique], total, last if more or query.back else None, included,
        first if (more if query.back else query.cursor is not None) else None,
    )


def conditions(query: Query) -> tuple[Sql, str]:
    """The statement's FROM and WHERE, and the column of the main time."""
    few = any(isinstance(c, IdIs) for c in query.conditions)
    driver = None if few else next((c for c in query.conditions if isinstance(c, ReferenceIs) and _drives(c)), None) or next(
        (c for c in query.conditions if isinstance(c, TokenIs) and _drives(c)), None,
    )
    if driver is None:
        sql, at = Sql("resource r", ["r.type = ?", "r.deleted = 0"], [query.type], few=few), "r.at"
    elif isinstance(driver, ReferenceIs):
        kind, target = driver.any_of[0]
        sql, at = Sql("index_reference x join resource r on r.key = x.resource", key="x.resource"), "x.at"
        sql.add("x.param = ? and x.target = ?", f"{query.type}.{driver.param}", target)
        if kind:
            sql.add("x.kind = ?", kind)
    else:
        system, value = driver.any_of[0]
        sql, at = Sql("index_token x join resource r on r.key = x.resource", key="x.resource"), "x.at"
        sql.add("x.param = ? and x.value = ?", f"{query.type}.{driver.param}", value)
        if system is not None:
            sql.add("x.system = ?", system)
    if driver is not None:
        sql.add("r.deleted = 0")
    for condition in query.conditions:
        if condition is not driver:
            _add(sql, query.type, condition, at)
    return sql, at


def _drives(condition: ReferenceIs | TokenIs) -> bool:
    if len(condition.any_of) != 1:
        return False
    return isinstance(condition, ReferenceIs) or (not condition.negated and condition.any_of[0][1] is not None)


def _add(sql: Sql, type_: str, condition: Condition, at: str) -> None:
    match condition:
        case DateIs(main=True):
            _either(sql, [moment_is(at, *each) for each in condition.any_of])
        case UpdatedIs():
            _either(sql, [moment_is("r.last_updated", *each) for each in condition.any_of])
        case IdIs():
            sql.add(f"r.id in ({', '.join('?' * len(condition.any_of))})", *condition.any_of)
        case DateIs():
            _exists(sql, "index_date", f"{type_}.{condition.param}", [_period(*each) for each in condition.any_of])
        case ReferenceIs():
            alternatives = [("i.target = ?" + (" and i.kind = ?" if kind else ""), [id_, *([kind] if kind else [])])
                            for kind, id_ in condition.any_of]
            _exists(sql, "index_reference", f"{type_}.{condition.param}", alternatives)
        case TokenIs():
            _exists(sql, "index_token", f"{type_}.{condition.param}", [_token(*each) for each in condition.any_of], condition.negated)
        case StringIs():
            _exists(sql, "index_string", f"{type_}.{condition.param}", [_string(*each) for each in condition.any_of])
        case AnyOf():
            _either(sql, [_all(type_, each, at) for each in condition.conditions])
        case Chained():
            inner = _inner(condition.type, condition.conditions)
            sql.add(
                f"r.key in (select i.resource from index_reference i where i.param = ? and i.kind = ? and i.target in ({inner.text('r.id')}))",
                f"{type_}.{condition.param}", condition.type, *inner.values,
            )
        case Has():
            inner = _inner(condition.type, condition.conditions)
            sql.add(
                f"r.id in (select i.target from index_reference i where i.param = ? and i.kind = ? and i.resource in ({inner.text('r.key')}))",
                f"{condition.type}.{condition.param}", type_, *inner.values,
            )
        case Missing():
            _exists(sql, _TABLES[condition.kind], f"{type_}.{condition.param}", [], condition.missing)


Alternative = tuple[str, list[Any]]


def _inner(type_: str, wanted: tuple[Condition, ...]) -> Sql:
    """The resources of a type that meet the conditions, as a statement within another."""
    sql = Sql("resource r", ["r.type = ?", "r.deleted = 0"], [type_])
    for condition in wanted:
        _add(sql, type_, condition, "r.at")
    return sql


def _all(type_: str, condition: Condition, at: str) -> Alternative:
    sql = Sql("")
    _add(sql, type_, condition, at)
    return " and ".join(sql.wheres), sql.values


def _either(sql: Sql, alternatives: list[Alternative]) -> None:
    text = " or ".join(f"({where})" for where, _ in alternatives)
    sql.add(f"({text})", *(value for _, values in alternatives for value in values))


def _exists(sql: Sql, table: str, param: str, alternatives: list[Alternative], negated: bool = False) -> None:
    """Driven by the index entry when it must be there, looked up when it must not."""
    either = f" and ({' or '.join(f'({where})' for where, _ in alternatives)})" if alternatives else ""
    where = f"from {table} i where i.param = ?{either}"
    if sql.few:
        text = f"{'not ' if negated else ''}exists (select 1 {where} and i.resource = r.key)"
    else:
        text = f"r.key {'not in' if negated else 'in'} (select i.resource {where})"
    sql.add(text, param, *(value for _, values in alternatives for value in values))


def moment_is(column: str, prefix: str, low: int, high: int) -> Alternative:
    """Where a column of times meets a date with its prefix. Such a time is a point; the value is [low, high). No main time is 0."""
    some = f"{column} <> 0 and "
    slack = (high - low) // 10
    match prefix:
        case "eq":
            return f"{column} >= ? and {column} < ?", [low, high]
        case "ne":
            return f"{some}({column} < ? or {column} >= ?)", [low, high]
        case "gt" | "sa":
            return f"{column} >= ?", [high]
        case "ge":
            return f"{column} >= ?", [low]
        case "lt" | "eb":
            return f"{some}{column} < ?", [low]
        case "le":
            return f"{some}{column} < ?", [high]
        case _:
            return f"{column} >= ? and {column} < ?", [low - slack, high + slack]


def _period(prefix: str, low: int, high: int) -> Alternative:
    """The element is [i.low, i.high), the value [low, high) (R4 3.1.1.5.2)."""
    slack = (high - low) // 10
    match prefix:
        case "eq":
            return "i.low >= ? and i.high <= ?", [low, high]
        case "ne":
            return "not (i.low >= ? and i.high <= ?)", [low, high]
        case "gt":
            return "i.high > ?", [high]
        case "ge":
            return "i.high > ?", [low]
        case "lt":
            return "i.low < ?", [low]
        case "le":
            return "i.low < ?", [high]
        case "sa":
            return "i.low >= ?", [high]
        case "eb":
            return "i.high <= ?", [low]
        case _:
            return "i.low < ? and i.high > ?", [high + slack, low - slack]


def _token(system: str | None, value: str | None) -> Alternative:
    wheres, values = [], []
    if value is not None:
        wheres.append("i.value = ?")
        values.append(value)
    if system is not None:
        wheres.append("i.system = ?")
        values.append(system)
    return " and ".join(wheres) or "1 = 1", values


def _string(modifier: str, text: str) -> Alternative:
    wanted = plain(text)
    if modifier == "exact":
        return "i.value = ?", [wanted]
    if modifier == "contains":
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return "i.value like ? escape '\\'", [f"%{escaped}%"]
    return "i.value >= ? and i.value < ?", [wanted, wanted + HIGHEST]


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
