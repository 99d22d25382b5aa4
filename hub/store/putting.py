"""Rows that wait until somebody reads their table, or the transaction ends: then many go in at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

FEW = 64
"""Rows that PostgreSQL is sent as one INSERT."""
_SPOKEN = re.compile(r"\b(?:from|join|into|update) (\w+)")
Row = Sequence[Any]
Inserts = dict[str, list[Row]]
"""Statement → its rows, in the order in which they came."""


@lru_cache(maxsize=1024)
def percent(sql: str) -> str:
    """As psycopg wants it."""
    return sql.replace("%", "%%").replace("?", "%s")


@lru_cache(maxsize=1024)
def tables(sql: str) -> frozenset[str]:
    """Every table that a statement reads or writes."""
    return frozenset(_SPOKEN.findall(sql))


def table(insert: str) -> str:
    """Where an insert puts its rows."""
    return insert.split(" ", 3)[2]


class PutOff:
    """The rows of the transaction, and of each attempt that is under way."""

    def __init__(self) -> None:
        self._levels: list[Inserts] = [{}]
        self.tables: set[str] = set()
        """Where rows wait for, and perhaps some where none do any more."""

    def add(self, insert: str, rows: Iterable[Row]) -> None:
        self._levels[-1].setdefault(insert, []).extend(rows)
        self.tables.add(table(insert))

    def begin(self) -> None:
        """An attempt begins."""
        self._levels.append({})

    def drop(self) -> bool:
        """The attempt failed: its rows are forgotten. True when there were any."""
        return bool(self._levels.pop())

    def end(self) -> None:
        """The attempt came to its end: its rows are those of what it is part of."""
        for insert, rows in self._levels.pop().items():
            self._levels[-1].setdefault(insert, []).extend(rows)

    def take(self, wanted: frozenset[str] | set[str]) -> Iterator[tuple[int, Inserts]]:
        """What waits for these tables, the oldest first: rows are numbered in the order in which they came. With each how many attempts it is
        within."""
        for depth, level in enumerate(self._levels):
            due = {insert: level.pop(insert) for insert in [known for known in level if table(known) in wanted]}
            if due:
                yield depth, due
        self.tables -= wanted


def insert_all(raw: Any, sqlite: bool, inserts: Inserts) -> None:
    """Puts the rows in."""
    inserts = {insert: rows for insert, rows in inserts.items() if rows}
    if sqlite:
        for insert, rows in inserts.items():
            raw.executemany(insert, rows)
        return
    few = {insert: rows for insert, rows in inserts.items() if len(rows) <= FEW and " values " in insert}
    if len({table(insert) for insert in few}) == len(few):  # of several into one table nobody could say which comes first
        _at_once(raw, few)
    else:
        for insert, rows in few.items():
            _at_once(raw, {insert: rows})
    for insert, rows in inserts.items():
        if insert not in few:
            _by_copy(raw, insert, rows)


def _at_once(raw: Any, few: Inserts) -> None:
    """One statement, whatever the number of tables: each way to PostgreSQL and back costs more than the rows."""
    parts = [_with_rows(insert, len(rows)) for insert, rows in few.items()]
    if parts:
        before = "".join([f"{', ' if n else 'with '}w{n} as ({part})" for n, part in enumerate(parts[:-1])])
        raw.execute(percent(f"{before} {parts[-1]}".strip()), [value for rows in few.values() for row in rows for value in row])


def _with_rows(insert: str, many: int) -> str:
    head, _, marks = insert.rpartition(" values ")
    return f"{head} values {', '.join([marks] * many)}"


def _by_copy(raw: Any, insert: str, rows: list[Row]) -> None:
    """What PostgreSQL takes quickest (facts/performance.md, section 2); a statement that is no plain insert runs for each row."""
    head, values, marks = insert.rpartition(" values ")
    with raw.cursor() as cursor:
        if values and set(marks) <= set("(?, )"):
            with cursor.copy(f"copy {head.removeprefix('insert into ')} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(percent(insert), rows)
