"""Seats in slots: one row each, so that the primary key (slot, number) refuses what no race may pass. A hold is a seat with an end."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from hub.problem import Problem, Refused
from hub.store.db import Connection
from hub.store.values import micros, moment

_NOW = "(until is null or until > ?)"


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
    connection.run("insert into seat (slot, number, holder, until) values (?, ?, ?, ?)", (slot, free, holder, ends))


def give_back(connection: Connection, holder: str) -> list[str]:
    """Every seat of a holder; the slots they were in."""
    return [slot for (slot,) in connection.rows("delete from seat where holder = ? returning slot", (holder,))]


def expire(connection: Connection, now: datetime) -> list[str]:
    """Every seat whose hold ran out; the slots they were in."""
    return [slot for (slot,) in connection.rows("delete from seat where until is not null and until <= ? returning slot", (micros(now),))]


def counts(connection: Connection, slots: Collection[str], now: datetime) -> dict[str, tuple[int, int]]:
    """Slot → (taken for good or held now, of which held)."""
    found = dict.fromkeys(slots, (0, 0))
    marks = ", ".join("?" * len(found))
    sql = f"select slot, count(*), count(until) from seat where slot in ({marks}) and {_NOW} group by slot"
    rows = connection.rows(sql, (*found, micros(now))) if found else ()
    return {**found, **{slot: (taken, held_) for slot, taken, held_ in rows}}


def held(connection: Connection, holder: str, now: datetime) -> dict[str, datetime]:
    """Slot → until when, for what is only held."""
    rows = connection.rows("select slot, until from seat where holder = ? and until > ?", (holder, micros(now)))
    return {slot: moment(until) for slot, until in rows}


def taken_between(connection: Connection, first: str, last: str, now: datetime) -> dict[str, int]:
    """Seats taken or held per slot, for slot ids in [first, last]; a slot without any is not there."""
    sql = f"select slot, count(*) from seat where slot >= ? and slot <= ? and {_NOW} group by slot"
    return dict(connection.rows(sql, (first, last, micros(now))))
