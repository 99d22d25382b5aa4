"""The access log searched as AuditEvents. The table stays what it is: append-only, under its chain of seals (`auditing.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.access import AuditLine
from hub.fhir import strict_json, trail
from hub.fhir.query import Condition, DateIs, IdIs, Query, ReferenceIs, TokenIs, UpdatedIs
from hub.problem import Problem, Refused
from hub.store.conditions import moment_is
from hub.store.db import Connection
from hub.store.places import Alternative
from hub.store.values import Page, Stored, micros, moment

TYPE = "AuditEvent"
_COLUMNS = "key, at, person, reader, ground, kind, on_behalf_of, channel, given"
_REFERENCES = {"entity": ("person",), "agent": ("reader",), "patient": ("person", "reader")}
"""Search parameter → columns that hold such a reference."""
_OUTCOMES = {code: int(given) for given, code in trail.OUTCOMES.items()}
_TOKENS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "subtype": (trail.KIND, "kind", str), "altid": ("", "reader", str), "site": ("", "channel", str),
    "outcome": ("http://hl7.org/fhir/audit-event-outcome", "given", lambda code: _OUTCOMES.get(code, -1)),
}
"""Search parameter → its system, its column, and how a code stands there."""


def get(connection: Connection, id_: str) -> Stored | None:
    """One line by its place in the log."""
    if not id_.isascii() or not id_.isdigit() or len(id_) > 18:
        return None
    row = connection.row(f"select {_COLUMNS} from audit where key = ?", (int(id_),))
    return _stored(row) if row else None


def search(connection: Connection, query: Query) -> Page:
    """The page a query asks for; oldest first, `descending` newest first.

    Raises:
        Refused: BAD_SEARCH: a modifier, a chain or an include that this view does not have.
    """
    if query.includes:
        raise Refused(Problem.BAD_SEARCH, f"{TYPE} has no _include")
    wheres, values = ["1 = 1"], []
    for condition in query.conditions:
        where, given = _where(condition)
        wheres.append(f"({where})")
        values += given
    total = None
    if query.total:
        row = connection.row(f"select count(*) from audit where {' and '.join(wheres)}", values)
        total = int(row[0]) if row else 0
    if query.count == 0:
        return Page([], total)
    descending = query.descending != query.back
    if query.cursor is not None:
        wheres.append(f"at {'<=' if descending else '>='} ? and (at, key) {'<' if descending else '>'} (?, ?)")
        values += [query.cursor[0], *query.cursor]
    word = " desc" if descending else ""
    rows = connection.rows(
        f"select {_COLUMNS} from audit where {' and '.join(wheres)} order by at{word}, key{word} limit ?", [*values, query.count + 1],
    )
    more = len(rows) > query.count
    rows = rows[query.count - 1::-1] if query.back else rows[:query.count]
    first, last = ((rows[0][1], rows[0][0]), (rows[-1][1], rows[-1][0])) if rows else (None, None)
    return Page(
        [_stored(row) for row in rows], total, last if more or query.back else None, [],
        first if (more if query.back else query.cursor is not None) else None,
    )


def _where(condition: Condition) -> Alternative:
    match condition:
        case DateIs() | UpdatedIs():
            return _any([moment_is("at", *each) for each in condition.any_of])
        case IdIs():
            numbers = [int(id_) for id_ in condition.any_of if id_.isascii() and id_.isdigit() and len(id_) <= 18]
            return f"key in ({', '.join('?' * len(numbers))})" if numbers else "1 = 0", numbers
        case ReferenceIs():
            columns = _REFERENCES[condition.param]
            return _any([_reference(column, condition.param, *each) for column in columns for each in condition.any_of])
        case TokenIs(param="type"):
            fits = any(system in (None, trail.TYPE[0]) and code in (None, trail.TYPE[1]) for system, code in condition.any_of)
            return f"1 = {int(fits != condition.negated)}", []
        case TokenIs() if condition.param in _TOKENS:
            where, values = _any([_token(*_TOKENS[condition.param], *each) for each in condition.any_of])
            return (f"not ({where})" if condition.negated else where), values
    raise Refused(Problem.BAD_SEARCH, f"{TYPE} is searched without chains, and without modifiers but :not")


def _any(alternatives: list[Alternative]) -> Alternative:
    return " or ".join(f"({where})" for where, _ in alternatives), [value for _, values in alternatives for value in values]


def _reference(column: str, param: str, kind: str | None, id_: str) -> Alternative:
    """A bare id is of any type; `patient` is always a Patient."""
    if param == "patient" and kind in (None, "Patient"):
        return f"{column} = ?", [f"Patient/{id_}"]
    if kind:
        return f"{column} = ?", [f"{kind}/{id_}"] if param != "patient" else [""]
    return f"{column} in (?, ?, ?)", [f"Patient/{id_}", f"RelatedPerson/{id_}", f"Appointment/{id_}"]


def _token(own: str, column: str, kept: Callable[[str], Any], system: str | None, code: str | None) -> Alternative:
    if system not in (None, own):
        return "1 = 0", []
    return (f"{column} = ?", [kept(code)]) if code is not None else ("1 = 1", [])


def _stored(row: tuple[Any, ...]) -> Stored:
    key, at, person, reader, ground, kind, whom, channel, given = row
    line = AuditLine(moment(at), person, reader, ground, kind, whom, channel, bool(given))
    return Stored(TYPE, str(key), 1, 0, micros(line.at), strict_json.dump(trail.audit_event(line, key)).decode())
