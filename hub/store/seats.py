"""Seats in slots: taken for good, or held until a moment. One rule of capacity for both, and a constraint that no race can pass.

A hold that has run out counts as free at once, also before anybody tidies it away: whoever takes a seat first lets go of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.problem import Problem, Refused
from hub.store.db import Connection
from hub.store.values import micros

FOR_GOOD = 0
AT_ONCE = 500
"""Slots per statement: SQLite takes at most 32,766 parameters, and a plan is made for each."""


def take(connection: Connection, slot: str, holder: str, capacity: int, now: datetime, until: datetime | None = None) -> None:
    """A seat for `holder`, for good or `until`; the one it has is kept, and a hold becomes what is asked now.

    Raises:
        Refused: FULL when all `capacity` seats are taken or held by others.
    """
    ends = FOR_GOOD if until is None else micros(until)
    connection.run("delete from seat where slot = ? and until > 0 and until <= ?", (slot, micros(now)))
    rows = connection.rows("select number, holder, until from seat where slot = ?", (slot,))
    own = next((was for _, who, was in rows if who == holder), None)
    if own is not None:
        if own != FOR_GOOD:
            connection.run("update seat set until = ? where slot = ? and holder = ?", (ends, slot, holder))
        return
    used = {number for number, _, _ in rows}
    if len(used) >= capacity:
        raise Refused(Problem.FULL, "every place at this time is taken", "Appointment.start")
    free_number = next(n for n in range(1, len(used) + 2) if n not in used)
    connection.run("insert into seat (slot, number, holder, until) values (?, ?, ?, ?)", (slot, free_number, holder, ends))


def free(connection: Connection, holder: str) -> list[str]:
    """Gives back every seat of a holder; the slots they were in."""
    return [slot for (slot,) in connection.rows("delete from seat where holder = ? returning slot", (holder,))]


def held(connection: Connection, holder: str, now: datetime) -> list[str]:
    """The slots of a holder's seats that are taken, or held and not run out."""
    rows = connection.rows("select slot from seat where holder = ? and (until = 0 or until > ?) order by slot", (holder, micros(now)))
    return [slot for (slot,) in rows]


def end_holds(connection: Connection, now: datetime) -> list[str]:
    """Gives back the seats whose hold has run out; the slots they were in."""
    rows = connection.rows("delete from seat where until > 0 and until <= ? returning slot", (micros(now),))
    return list(dict.fromkeys(slot for (slot,) in rows))


def taken(connection: Connection, slot: str, now: datetime) -> int:
    """How many seats of a slot nobody else can have now."""
    row = connection.row("select count(*) from seat where slot = ? and (until = 0 or until > ?)", (slot, micros(now)))
    return int(row[0]) if row else 0


def taken_in(connection: Connection, slots: Sequence[str], now: datetime) -> dict[str, int]:
    """Slot → how many seats nobody else can have now; slots without any are left out."""
    found: dict[str, int] = {}
    for first in range(0, len(slots), AT_ONCE):
        some = list(slots[first:first + AT_ONCE])
        found |= dict(connection.rows(
            f"select slot, count(*) from seat where slot in ({', '.join('?' * len(some))}) and (until = 0 or until > ?) group by slot",
            [*some, micros(now)],
        ))
    return found
