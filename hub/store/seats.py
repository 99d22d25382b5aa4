"""Seats in slots: one row each, so that the primary key (slot, number) refuses what no race may pass. A hold is a seat with an end."""

from __future__ import annotations

from datetime import datetime

from hub.problem import Problem, Refused
from hub.store.db import Connection
from hub.store.values import micros, moment

_NOW = "(until is null or until > ?)"


def take(connection: Connection, slot: str, holder: str, capacity: int, now: datetime, until: datetime | None) -> None:
    """A seat; one that the holder already has counts, and a held one gets this end (None: it is for good). Raises Refused FULL."""
    connection.run("delete from seat where slot = ? and until is not null and until <= ?", (slot, micros(now)))
    taken = dict(connection.rows("select number, holder from seat where slot = ?", (slot,)))
    ends = micros(until) if until else None
    if holder in taken.values():  # what it has for good stays so
        connection.run("update seat set until = ? where slot = ? and holder = ? and until is not null", (ends, slot, holder))
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


def counts(connection: Connection, slot: str, now: datetime) -> tuple[int, int]:
    """(taken for good, held now)."""
    row = connection.row(f"select count(*), count(until) from seat where slot = ? and {_NOW}", (slot, micros(now)))
    booked_or_held, held_ = row or (0, 0)
    return booked_or_held - held_, held_


def held(connection: Connection, holder: str, now: datetime) -> dict[str, datetime]:
    """Slot → until when, for what is only held."""
    rows = connection.rows("select slot, until from seat where holder = ? and until > ?", (holder, micros(now)))
    return {slot: moment(until) for slot, until in rows}


def taken_between(connection: Connection, first: str, last: str, now: datetime) -> dict[str, int]:
    """Seats taken or held per slot, for slot ids in [first, last]; a slot without any is not there."""
    sql = f"select slot, count(*) from seat where slot >= ? and slot <= ? and {_NOW} group by slot"
    return dict(connection.rows(sql, (first, last, micros(now))))
