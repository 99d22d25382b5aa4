"""Bulk exports: what was asked for, and the resources as they were then. Nothing is copied: versions are kept for good, so an export is a
place in the change log, and every file of it is read from the store when it is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from hub.fhir.meeting import meets
from hub.fhir.query import Condition, Entries, IdIs, Query
from hub.message import Resource
from hub.store import resources, searching
from hub.store.db import Connection, Database
from hub.store.resources import COLUMNS, EXPORTED, stored
from hub.store.tables import BIG, TEXT
from hub.store.values import Stored, micros, moment

_ELEMENTS = "?_elements="
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
    filters: tuple[str, ...] = ()
    """`Type?criteria`, without a space; of several for one type any may be met, and of a type without one everything is exported."""
    elements: tuple[str, ...] = ()
    """Only these elements, and what is mandatory; empty: resources come whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file: the resources of a type with ids in [first, until), as they were at the export's place in the change log."""

    export: Export
    type: str
    first: str
    until: str
    """Empty: to the end."""
    bound: tuple[Condition, ...] = ()
    """Must be met now: what the reader sees."""
    wanted: Condition | None = None
    """Must be met by the version of then; what it asks about other resources is judged as they are now."""


class Exports:
    """What is read of exports."""

    def __init__(self, database: Database, clock: Callable[[], datetime], entries: Callable[[Resource], Entries]) -> None:
        self._database, self._clock, self._entries = database, clock, entries

    def get(self, id_: str, owner: str) -> Export | None:
        """An export of this owner that is not past its time."""
        return self._database.read(lambda c: get(c, id_, owner, self._clock()))

    def parts(self, type_: str, size: int) -> list[str]:
        """As `parts`."""
        return self._database.read(lambda c: parts(c, type_, size))

    def gone(self, export: Export, type_: str) -> list[str]:
        """As `gone`."""
        return self._database.read(lambda c: gone(c, export, type_))

    def page(self, part: Part, many: int) -> tuple[list[Stored], str]:
        """As `page`."""
        return self._database.read(lambda c: page(c, part, many, self._entries))


def add(connection: Connection, export: Export) -> None:
    connection.run(
        f"insert into export ({_FIELDS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (export.id, export.owner, export.request, _asked(export), int(export.of_patients), export.since, export.upto,
         micros(export.at), micros(export.expires)),
    )
    connection.run(
        "insert into house_note (name, value, at) values (?, '', ?) on conflict (name) do update set at = excluded.at", (EXPORTED, micros(export.at)),
    )


def get(connection: Connection, id_: str, owner: str, now: datetime) -> Export | None:
    """An export of this owner that is not past its time."""
    row = connection.row(f"select {_FIELDS} from export where id = ? and owner = ? and expires > ?", (id_, owner, micros(now)))
    if row is None:
        return None
    words = row[3].split()
    elements = next((word.removeprefix(_ELEMENTS) for word in words if word.startswith(_ELEMENTS)), "")
    return Export(
        row[0], row[1], row[2], tuple([word for word in words if "?" not in word]), bool(row[4]), row[5], row[6], moment(row[7]), moment(row[8]),
        tuple([word for word in words if "?" in word and not word.startswith("?")]), tuple(elements.split(",")) if elements else (),
    )


def _asked(export: Export) -> str:
    """Types, filters and elements as a row has them: `Slot Task Task?status=requested ?_elements=status,for`."""
    return " ".join([*export.types, *export.filters, *([_ELEMENTS + ",".join(export.elements)] if export.elements else [])])


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


def page(connection: Connection, part: Part, many: int, entries: Callable[[Resource], Entries]) -> tuple[list[Stored], str]:
    """The next resources of a part, and the id to go on from (empty: that was all)."""
    end = " and r.id < ?" if part.until else ""
    rows = connection.rows(
        f"select {COLUMNS}, r.key from resource r where r.type = ? and r.id >= ?{end} order by r.id limit ?",
        [part.type, part.first, *([part.until] if part.until else []), many + 1],
    )
    of_persons = part.export.of_patients and part.type != "Patient"
    about = _about_a_person(connection, part.type, [row[8] for row in rows]) if of_persons else None
    now = {row[1]: stored(row) for row in rows[:many] if about is None or row[8] in about}
    then = [_then(connection, each, part.export.upto) for each in now.values()]
    kept = [each for each in then if each is not None and not each.deleted and each.updated >= part.export.since]
    seen = _meeting(connection, part.type, part.bound, kept)
    kept = [each for each in kept if each.id in seen]
    if part.wanted is not None:
        asked = (part.wanted,)
        met = _meeting(connection, part.type, asked, [each for each in kept if each.seq == now[each.id].seq])
        elsewhere = partial(_some, connection)
        met |= {each.id for each in kept if each.seq != now[each.id].seq and meets(each, entries(each.resource), asked, elsewhere)}
        kept = [each for each in kept if each.id in met]
    return kept, rows[many][1] if len(rows) > many else ""


def _meeting(connection: Connection, type_: str, conditions: tuple[Condition, ...], among: list[Stored]) -> set[str]:
    """Ids of those whose resource meets the conditions as it is now."""
    if not conditions or not among:
        return {each.id for each in among}
    query = Query(type_, (IdIs(tuple(each.id for each in among)), *conditions), count=len(among))
    return {each.id for each in searching.search(connection, query).entries}


def _some(connection: Connection, type_: str, ids: tuple[str, ...], conditions: tuple[Condition, ...]) -> bool:
    """As `meeting.Elsewhere`."""
    return bool(searching.search(connection, Query(type_, (IdIs(ids), *conditions), count=1)).entries)


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
