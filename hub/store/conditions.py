"""A Query's conditions as SQL. One of them drives (a reference or a token kept beside the main time), so that «this patient, this week» is
one range scan in one index; the others are looked up per row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hub.fhir.query import (
    AllOf,
    AnyOf,
    Chained,
    CodeIn,
    Condition,
    DateIs,
    Has,
    IdIs,
    Missing,
    Near,
    PartOf,
    Query,
    ReferenceIs,
    SpanIs,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriBelow,
)
from hub.fhir.text import LONGEST, plain
from hub.store.places import HIGHEST, Alternative, beneath, placed

TABLES = {"token": "index_token", "reference": "index_reference", "date": "index_date", "string": "index_string"}
"""Kind of a search parameter → where its entries are."""


@dataclass(slots=True)
class Sql:
    """A statement under way."""

    source: str
    wheres: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    key: str = "r.key"
    """The resource's key where it costs least: in the index that drives, rows stand in its order already."""
    probe: bool = False
    """Few resources are walked, or only the first of many: what else must hold is looked up per resource, not listed for the whole store."""

    def add(self, where: str, *values: Any) -> None:
        self.wheres.append(where)
        self.values.extend(values)

    def text(self, what: str, tail: str = "") -> str:
        return f"select {what} from {self.source} where {' and '.join(self.wheres)}{tail}"


def conditions(query: Query) -> tuple[Sql, str]:
    """The statement's FROM and WHERE, and the column of the main time: of what the narrowest condition finds, or of the whole type."""
    few = bool([c for c in query.conditions if isinstance(c, IdIs)])
    drivers = [c for c in query.conditions if isinstance(c, (ReferenceIs, TokenIs)) and _drives(c)] if not few else []
    driver = min(drivers, key=_breadth, default=None)
    if driver is None:
        sql, at = Sql("resource r", ["r.type = ?", "r.deleted = 0"], [query.type], probe=few), "r.at"
    elif isinstance(driver, ReferenceIs):
        kind, target = driver.any_of[0]
        sql, at = Sql("index_reference x join resource r on r.key = x.resource", key="x.resource", probe=True), "x.at"
        sql.add("x.param = ? and x.target = ?", f"{query.type}.{driver.param}", target)
        if kind:
            sql.add("x.kind = ?", kind)
    else:
        system, value = driver.any_of[0]
        sql, at = Sql("index_token x join resource r on r.key = x.resource", key="x.resource", probe=_breadth(driver) == 0), "x.at"
        sql.add("x.param = ? and x.value = ?", f"{query.type}.{driver.param}", value)
        if system is not None:
            sql.add("x.system = ?", system)
    if driver is not None:
        sql.add("r.deleted = 0")
    for condition in query.conditions:
        if condition is not driver:
            add(sql, query.type, condition, at)
    return sql, at


def _breadth(condition: ReferenceIs | TokenIs) -> int:
    """How much of the store meets it, as a rule: one thing or one person, what points somewhere else, a code, a department's limit."""
    if condition.wide:
        return 3
    if isinstance(condition, TokenIs):
        return 0 if condition.param.endswith("identifier") else 2
    return 0 if condition.any_of[0][0] == "Patient" or condition.param == "patient" else 1


def _drives(condition: ReferenceIs | TokenIs) -> bool:
    if len(condition.any_of) != 1:
        return False
    return isinstance(condition, ReferenceIs) or (not condition.negated and condition.any_of[0][1] is not None)


def add(sql: Sql, type_: str, condition: Condition, at: str) -> None:
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
            _exists(sql, "index_reference", f"{type_}.{condition.param}", [_reference(*each) for each in condition.any_of], probe=condition.wide)
        case TokenIs() | CodeIn() | UriBelow():
            _tokens(sql, f"{type_}.{condition.param}", condition)
        case StringIs():
            _exists(sql, "index_string", f"{type_}.{condition.param}", [_string(*each) for each in condition.any_of])
        case AnyOf():
            _either(sql, [_all(type_, each, at, sql.probe) for each in condition.conditions])
        case AllOf():
            for each in condition.conditions:
                add(sql, type_, each, at)
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
        case SpanIs():
            _either(sql, [_span(f"{type_}.{condition.param}", at, sql.probe, *each) for each in condition.any_of])
        case PartOf() | Near():
            _either(sql, placed(type_, condition))
        case Missing():
            _missing(sql, f"{type_}.{condition.param}", condition)


_WORDS = (("string", ":text"),)
BESIDE = {"token": _WORDS, "reference": (("token", ":identifier"), *_WORDS), "date": _WORDS, "string": _WORDS}
"""Kind of a parameter → where else something says that it has a value: a code in words, a reference by its identifier."""


def _inner(type_: str, wanted: tuple[Condition, ...]) -> Sql:
    """The resources of a type that meet the conditions, as a statement within another.

    A chain within a chain stands in an `or`, so that PostgreSQL lists it once: of chains in a row it would make one join, and where it
    does not know how much there is of each, walk through every combination.
    """
    sql = Sql("resource r", ["r.type = ?", "r.deleted = 0"], [type_])
    for condition in wanted:
        if isinstance(condition, (Chained, Has)):
            _either(sql, [_all(type_, condition, "r.at", False), ("1 = 0", [])])
        else:
            add(sql, type_, condition, "r.at")
    return sql


def _all(type_: str, condition: Condition, at: str, probe: bool) -> Alternative:
    sql = Sql("", probe=probe)
    add(sql, type_, condition, at)
    return " and ".join(sql.wheres), sql.values


def _either(sql: Sql, alternatives: list[Alternative]) -> None:
    text = " or ".join([f"({where})" for where, _ in alternatives])
    sql.add(f"({text})", *[value for _, values in alternatives for value in values])


def _exists(sql: Sql, table: str, param: str, alternatives: list[Alternative], negated: bool = False, probe: bool = False) -> None:
    """Listed from the index, or looked up there per resource."""
    either = f" and ({' or '.join(f'({where})' for where, _ in alternatives)})" if alternatives else ""
    where = f"from {table} i where i.param = ?{either}"
    if sql.probe or probe:
        text = f"{'not ' if negated else ''}exists (select 1 {where} and i.resource = r.key)"
    else:
        text = f"r.key {'not in' if negated else 'in'} (select i.resource {where})"
    sql.add(text, param, *(value for _, values in alternatives for value in values))


def _missing(sql: Sql, param: str, condition: Missing) -> None:
    places = ((condition.kind, ""), *BESIDE.get(condition.kind, ()))
    each = [Sql("", probe=sql.probe) for _ in places]
    for one, (kind, behind) in zip(each, places, strict=True):
        _exists(one, TABLES[kind], param + behind, [], condition.missing)
    sql.add(f"({(' and ' if condition.missing else ' or ').join(one.wheres[0] for one in each)})", *[value for one in each for value in one.values])


def _span(param: str, at: str, probe: bool, prefix: str, low: int, high: int) -> Alternative:
    """A main time that is a range, [i.low, i.high). It begins at `at` (0: before 1970, or nobody knows), which narrows what is walked."""
    where, values = _period(prefix, low, high)
    if prefix in ("ge", "gt", "ap", "ne") and not probe:
        return f"r.key in (select i.resource from index_date i where i.param = ? and {where})", [param, *values]
    bounds: list[tuple[str, int]] = []
    if prefix in ("eq", "sa"):
        bounds.append((f"{at} >= ?", low if prefix == "eq" else high))
    if prefix in ("eq", "lt", "le", "eb"):
        bounds.append((f"{at} < ?", low if prefix in ("lt", "eb") else high))
    sound = [bound for bound in bounds if bound[1] > 0]
    meets = f"exists (select 1 from index_date i where i.param = ? and i.resource = r.key and {where})"
    return " and ".join([*(text for text, _ in sound), meets]), [*(value for _, value in sound), param, *values]


def _tokens(sql: Sql, param: str, condition: TokenIs | CodeIn | UriBelow) -> None:
    match condition:
        case TokenIs():
            _exists(sql, "index_token", param, [_token(*each) for each in condition.any_of], condition.negated, condition.wide)
        case CodeIn():
            _exists(sql, "index_token", param, [_codes(*each) for each in condition.any_of], condition.negated)
        case UriBelow():
            table, column = ("index_token", "value") if condition.kind == "token" else ("index_reference", "target")
            _exists(sql, table, param, [beneath(column, condition)])


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


def _reference(kind: str | None, id_: str) -> Alternative:
    return ("i.target = ? and i.kind = ?", [id_, kind]) if kind else ("i.target = ?", [id_])


def _codes(system: str, codes: tuple[str, ...] | None) -> Alternative:
    if codes is None:
        return "i.system = ?", [system]
    return f"i.system = ? and i.value in ({', '.join('?' * len(codes))})", [system, *codes]


def _string(modifier: str, text: str) -> Alternative:
    wanted = plain(text)[:LONGEST]
    if modifier == "contains":
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return "i.value like ? escape '\\'", [f"%{escaped}%"]
    return "i.value >= ? and i.value < ?", [wanted, wanted + HIGHEST]
