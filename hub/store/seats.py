"""Seats in slots: one row each, so that the primary key (slot, number) refuses what no race may pass. A hold is a seat with an end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.problem import Problem, Refused
from hub.store.db import Connection
from hub.store.values import micros, moment

_NOW = "(until is null or until > ?)"
_TAKEN = "insert into seat (slot, number, holder, until) values (?, ?, ?, ?)"
_MANY = 500
"""Values in one statement."""


def take(connection: Connection, slot: str, holder: str, capacity: int, now: datetime, until: datetime | None) -> None:
    """A seat; one that the holder already has counts, and a held one gets this end (None: it is for good). Raises Refused FULL."""
    ends, at = micros(until) if until else None, micros(now)
    taken = {number: (who, end) for number, who, end in connection.rows("select number, holder, until from seat where slot = ?", (slot,))}
    for number in [number for number, (_, end) in taken.items() if end is not None and end <= at]:
        del taken[number]
        connection.run("delete from seat where slot = ? and number = ?", (slot, number))
    own = [end for who, end in taken.values() if who == holder]
    if own:
        if own != [None]:  # what it has for good stays so
            connection.run("update seat set until = ? where slot = ? and holder = ?", (ends, slot, holder))
        return
    if len(taken) >= capacity:
        raise Refused(Problem.FULL, "every place at this time is taken", "Appointment.start")
    free = next(n for n in range(1, len(taken) + 2) if n not in taken)
    connection.run(_TAKEN, (slot, free, holder, ends))


def move(connection: Connection, wanted: Mapping[str, tuple[Sequence[str], datetime | None]]) -> list[str]:
    """Holder → the slots of its seats from now on, however many have one there, and until when; the slots that were touched."""
    left = _each(connection, "delete from seat where holder in ({}) returning slot", list(wanted))
    slots = list(dict.fromkeys(slot for those, _ in wanted.values() for slot in those))
    numbers = dict.fromkeys(slots, 0)
    for slot, number in _each(connection, "select slot, number from seat where slot in ({})", slots):
        numbers[slot] = max(numbers[slot], number)
    rows = []
    for holder, (those, until) in wanted.items():
        for slot in those:
            numbers[slot] += 1
            rows.append((slot, numbers[slot], holder, micros(until) if until else None))
    connection.many(_TAKEN, rows)
    return list(dict.fromkeys((*slots, *(slot for (slot,) in left))))


def _each(connection: Connection, sql: str, values: list[str], *more: int) -> list[tuple[Any, ...]]:
    """The rows of a statement about many values, so many at a time as a database takes, and `more`."""
    parts = [values[n:n + _MANY] for n in range(0, len(values), _MANY)]
    return [row for part in parts for row in connection.rows(sql.format(", ".join("?" * len(part))), (*part, *more))]


def give_back(connection: Connection, holder: str) -> list[str]:
    """Every seat of a holder; the slots they were in."""
    return [slot for (slot,) in connection.rows("delete from seat where holder = ? returning slot", (holder,))]


def expire(connection: Connection, now: datetime) -> list[str]:
    """Every seat whose hold ran out; the slots they were in."""
    return [slot for (slot,) in connection.rows("delete from seat where until is not null and until <= ? returning slot", (micros(now),))]


def counts(connection: Connection, slots: Collection[str], now: datetime) -> dict[str, tuple[int, int]]:
    """Slot → (taken for good or held now, of which held)."""
    found = dict.fromkeys(slots, (0, 0))
    sql = f"select slot, count(*), count(until) from seat where slot in ({{}}) and {_NOW} group by slot"
    return {**found, **{slot: (taken, held_) for slot, taken, held_ in _each(connection, sql, list(found), micros(now))}}


def held(connection: Connection, holder: str, now: datetime) -> dict[str, datetime]:
    """Slot → until when, for what is only held."""
    rows = connection.rows("select slot, until from seat where holder = ? and until > ?", (holder, micros(now)))
    return {slot: moment(until) for slot, until in rows}


def taken_between(connection: Connection, first: str, last: str, now: datetime) -> dict[str, int]:
    """Seats taken or held per slot, for slot ids in [first, last]; a slot without any is not there."""
    sql = f"select slot, count(*) from seat where slot >= ? and slot <= ? and {_NOW} group by slot"
    return dict(connection.rows(sql, (first, last, micros(now))))
