"""Bulk exports: what was asked for, and the resources as they were then. Nothing is copied: versions are kept for good, so an export is a
place in the change log, and every file of it is read from the store when it is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from hub.fhir.query import Condition, IdIs, Query
from hub.store import resources, searching
from hub.store.db import Connection, Database
from hub.store.resources import COLUMNS, stored
from hub.store.tables import BIG, TEXT
from hub.store.values import Stored, micros, moment

_FIELDS = "id, owner, request, types, of_patients, since, upto, at, expires"


class ExportRow(SQLModel, table=True):
    """What was asked for, and where in the change log."""

    __tablename__: ClassVar[Any] = "export"
    id: str = Field(sa_type=TEXT, primary_key=True)
    owner: str = Field(sa_type=TEXT)
    request: str = Field(sa_type=TEXT)
    types: str = Field(sa_type=TEXT)
    of_patients: int = Field(sa_type=sa.SmallInteger)
    since: int = Field(sa_type=BIG)
    upto: int = Field(sa_type=BIG)
    at: int = Field(sa_type=BIG)
    expires: int = Field(sa_type=BIG)


@dataclass(frozen=True, slots=True)
class Export:
    """One export."""

    id: str
    owner: str
    """The client that asked; nobody else is told that it is there."""
    request: str
    """The address that was asked for."""
    types: tuple[str, ...]
    of_patients: bool
    """Only what is about a person (`Patient/$export`)."""
    since: int
    """Only what changed at or after this time, in microseconds."""
    upto: int
    """The last place in the change log that belongs to it."""
    at: datetime
    expires: datetime


class Exports:
    """What is read of exports."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def get(self, id_: str, owner: str) -> Export | None:
        """An export of this owner that is not past its time."""
        return self._database.read(lambda c: get(c, id_, owner, self._clock()))

    def parts(self, type_: str, size: int) -> list[str]:
        """As `parts`."""
        return self._database.read(lambda c: parts(c, type_, size))

    def gone(self, export: Export, type_: str) -> list[str]:
        """As `gone`."""
        return self._database.read(lambda c: gone(c, export, type_))

    def page(
        self, export: Export, type_: str, bound: tuple[Condition, ...], first: str, until: str, many: int,
    ) -> tuple[list[Stored], str]:
        """As `page`."""
        return self._database.read(lambda c: page(c, export, type_, bound, first, until, many))


def add(connection: Connection, export: Export) -> None:
    connection.run(
        f"insert into export ({_FIELDS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (export.id, export.owner, export.request, " ".join(export.types), int(export.of_patients), export.since, export.upto,
         micros(export.at), micros(export.expires)),
    )


def get(connection: Connection, id_: str, owner: str, now: datetime) -> Export | None:
    """An export of this owner that is not past its time."""
    row = connection.row(f"select {_FIELDS} from export where id = ? and owner = ? and expires > ?", (id_, owner, micros(now)))
    if row is None:
        return None
    return Export(row[0], row[1], row[2], tuple(row[3].split()), bool(row[4]), row[5], row[6], moment(row[7]), moment(row[8]))


def remove(connection: Connection, id_: str, owner: str) -> bool:
    return connection.run("delete from export where id = ? and owner = ?", (id_, owner)) == 1


def parts(connection: Connection, type_: str, size: int) -> list[str]:
    """Ids that cut a type's resources in parts of `size`: the first id of each part behind the first."""
    found: list[str] = []
    row = connection.row("select id from resource where type = ? order by id limit 1 offset ?", (type_, size))
    while row is not None:
        found.append(row[0])
        row = connection.row("select id from resource where type = ? and id >= ? order by id limit 1 offset ?", (type_, row[0], size))
    return found


def gone(connection: Connection, export: Export, type_: str) -> list[str]:
    """Ids of a type's resources that were deleted within the export's time, and were not there again at its end."""
    rows = connection.rows(
        "select v.id from version v where v.type = ? and v.method = 'delete' and v.last_updated >= ? and v.seq <= ? and not exists"
        " (select 1 from version w where w.type = v.type and w.id = v.id and w.version > v.version and w.seq <= ?) order by v.seq",
        (type_, export.since, export.upto, export.upto),
    )
    return [row[0] for row in rows]


def page(
    connection: Connection, export: Export, type_: str, bound: tuple[Condition, ...], first: str, until: str, many: int,
) -> tuple[list[Stored], str]:
    """The next resources of a type with ids in [first, until), as they were at the export's place in the change log, among those that meet
    `bound` now; and the id to go on from (empty: that was all). An empty `until` is no end.
    """
    end = " and r.id < ?" if until else ""
    rows = connection.rows(
        f"select {COLUMNS}, r.key from resource r where r.type = ? and r.id >= ?{end} order by r.id limit ?",
        [type_, first, *([until] if until else []), many + 1],
    )
    about = _about_a_person(connection, type_, [row[8] for row in rows]) if export.of_patients and type_ != "Patient" else None
    current = [stored(row) for row in rows[:many] if about is None or row[8] in about]
    then = [_then(connection, each, export.upto) for each in current]
    kept = [each for each in then if each is not None and not each.deleted and each.updated >= export.since]
    if bound and kept:
        query = Query(type_, (IdIs(tuple(each.id for each in kept)), *bound), count=many)
        seen = {each.id for each in searching.search(connection, query).entries}
        kept = [each for each in kept if each.id in seen]
    return kept, rows[many][1] if len(rows) > many else ""


def _about_a_person(connection: Connection, type_: str, keys: list[int]) -> set[int]:
    """Those that point to a patient, by reference or by identifier."""
    marks = ", ".join("?" * len(keys))
    tables = (("index_reference", f"{type_}.patient"), ("index_token", f"{type_}.patient:identifier"))
    return {
        key for table, param in tables
        for (key,) in (connection.rows(f"select resource from {table} where resource in ({marks}) and param = ?", [*keys, param]) if keys else ())
    }


def _then(connection: Connection, current: Stored, upto: int) -> Stored | None:
    """The version that was current at `upto`; None: there was none yet."""
    return current if current.seq <= upto else resources.at(connection, current.type, current.id, upto)
