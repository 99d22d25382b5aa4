"""What is owed, as rows: the queue on the municipality's own database (facts/reliability.md 5.1).

Predicates on states are written out, never bound: a bound one keeps SQLite from using the partial indexes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from hub.delivery import Delivery, State, Step
from hub.store.db import Connection
from hub.store.tables import OPEN
from hub.store.values import micros, moment

FIELDS = (
    "id, adapter, function, subject, state, due_at, expires, created, key, conversation, refers_to, number, version, tries, answer_due,"
    " content, parcel, note"
)
_INSERT = (
    "insert into delivery (id, adapter, function, subject, state, due_at, expires, created, key, conversation, refers_to, version, tries,"
    " answer_due, content, parcel, note, lease_until) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_STEP = "insert into step (at, subject, kind, text, delivery, envelope, origin) values (?, ?, ?, ?, ?, ?, ?)"
_FREE = f"d.{OPEN} and d.adapter = ? and d.due_at <= ? and d.lease_until <= ?"
_FIRST = (
    "(d.key is null or not exists (select 1 from delivery e where e.adapter = d.adapter and e.key = d.key and e.number < d.number"
    " and e.state in ('due', 'sent') and e.key is not null))"
)
DUE = f"select d.number from delivery d where {_FREE} and {_FIRST} order by d.due_at, d.number limit ?"
"""The deliveries to take next: due, nobody at them, and nothing older with the same key under way."""
OWING = (
    "with named(adapter) as (values %s) select n.adapter from named n where (select d.number from delivery d"
    f" where {_FREE.replace('= ?', '= n.adapter', 1)} and {_FIRST} limit 1) > 0"
)
"""One look into the index for each adapter. No `exists`: PostgreSQL would make a join of it, and walk through all that waits for a partner
that is down."""


UNTRIED = (
    f"select {FIELDS} from delivery where adapter = ? and key = ? and state in ('due', 'sent') and function = ? and state <> 'sent'"
    " and tries = 0 and parcel is null and owner is null"
)
"""Worded so that the index of what is open by key serves it: with `state = 'due'` SQLite walks everything that is due to the adapter, and
with `key is not null` everything that has a key, which is every booking since a partner went down."""


def of(row: tuple[Any, ...]) -> Delivery:
    """A row of FIELDS as a value."""
    return Delivery(
        row[0], row[1], row[2], row[3], State(row[4]), moment(row[5]), moment(row[6]), moment(row[7]), row[8], row[9], row[10], row[11],
        row[12], row[13], bool(row[14]), row[15], row[16], row[17],
    )


def get(connection: Connection, id_: str) -> Delivery | None:
    row = connection.row(f"select {FIELDS} from delivery where id = ?", (id_,))
    return of(row) if row else None


def about(connection: Connection, subject: str) -> list[Delivery]:
    """Every delivery about one resource, oldest first."""
    return [of(r) for r in connection.rows(f"select {FIELDS} from delivery where subject = ? order by number", (subject,))]


def insert(connection: Connection, d: Delivery) -> None:
    """It is numbered in the order of these calls."""
    connection.later(_INSERT, [(
        d.id, d.adapter, d.function, d.subject, d.state.value, micros(d.due_at), micros(d.expires), micros(d.created), d.key,
        d.conversation, d.refers_to, d.version, d.tries, int(d.answer_due), d.content, d.parcel, d.note, 0,
    )])


def untried(connection: Connection, adapter: str, key: str | None, function: str) -> list[Delivery]:
    """Earlier deliveries that a new one with the same key makes needless: due, never tried, in nobody's hands."""
    if key is None:
        return []
    return [of(row) for row in connection.rows(UNTRIED, (adapter, key, function))]


def untouched(connection: Connection, id_: str) -> Delivery | None:
    """A delivery, as long as it is due, never tried and in nobody's hands."""
    row = connection.row(f"select {FIELDS} from delivery where id = ? and state = 'due' and tries = 0 and parcel is null and owner is null", (id_,))
    return of(row) if row else None


def update(connection: Connection, after: Delivery, before: Delivery) -> None:
    """Compare and set on the state; the lease ends.

    Raises:
        RuntimeError: somebody changed it meanwhile; the transaction must be run again.
    """
    touched = connection.run(
        "update delivery set state = ?, due_at = ?, expires = ?, tries = ?, note = ?, content = ?, parcel = ?, owner = null, lease_until = 0"
        " where id = ? and state = ?",
        (after.state.value, micros(after.due_at), micros(after.expires), after.tries, after.note, after.content, after.parcel, after.id,
         before.state.value),
    )
    if touched != 1:
        raise RuntimeError("the delivery was changed meanwhile")


def owing(connection: Connection, adapters: Collection[str], now: datetime) -> list[str]:
    """Those of the adapters with something to take: one read, so that an idle worker writes nothing and reads little."""
    if not adapters:
        return []
    rows = connection.rows(OWING % ", ".join(["(?)"] * len(adapters)), (*adapters, micros(now), micros(now)))
    return [adapter for (adapter,) in rows]


def claim(connection: Connection, adapter: str, limit: int, now: datetime, lease: timedelta, owner: str) -> list[Delivery]:
    """Takes up to `limit` deliveries for `lease`. On PostgreSQL rows that another process is taking are skipped."""
    skip = "" if connection.sqlite else " for update of d skip locked"
    rows = connection.rows(
        f"update delivery set owner = ?, lease_until = ? where number in ({DUE}{skip}) returning {FIELDS}",
        (owner, micros(now + lease), adapter, micros(now), micros(now), limit),
    )
    return sorted((of(row) for row in rows), key=lambda d: d.number)


def let_go(connection: Connection, ids: Sequence[str], until: datetime | None = None) -> None:
    """What was claimed and not tried: anybody may take it again, from `until` on."""
    connection.many("update delivery set owner = null, lease_until = 0 where id = ?", [(id_,) for id_ in ids])
    if until is not None:
        connection.many("update delivery set due_at = ? where id = ?", [(micros(until), id_) for id_ in ids])


def made_ahead(connection: Connection, now: datetime) -> int:
    """What is to be sent and was made by a clock that was ahead is due now, and not when that time comes; how many."""
    return connection.run(
        f"update delivery set due_at = ?, created = ? where {OPEN} and state = 'due' and created > ? and owner is null",
        (micros(now), micros(now), micros(now)),
    )


def page(connection: Connection, states: tuple[State, ...], adapter: str, before: int | None, limit: int) -> list[Delivery]:
    """Newest first, for the console."""
    wheres: list[str] = ["1 = 1"]
    values: list[Any] = []
    if states:
        wheres.append(f"state in ({', '.join('?' * len(states))})")
        values += [s.value for s in states]
    if adapter:
        wheres.append("adapter = ?")
        values.append(adapter)
    if before is not None:
        wheres.append("number < ?")
        values.append(before)
    sql = f"select {FIELDS} from delivery where {' and '.join(wheres)} order by number desc limit ?"
    return [of(row) for row in connection.rows(sql, [*values, limit])]


def standing(connection: Connection) -> tuple[dict[tuple[str, State], int], dict[str, datetime]]:
    """How many per adapter and state; when each adapter's oldest waiting one was made."""
    rows = connection.rows("select adapter, state, count(*) from delivery group by adapter, state")
    oldest = connection.rows(f"select adapter, min(created) from delivery where {OPEN} group by adapter")
    return {(a, State(s)): n for a, s, n in rows}, {a: moment(at) for a, at in oldest}


def step(
    connection: Connection, at: datetime, subject: str, kind: str, text: str, delivery: str | None, envelope: int | None, origin: str,
) -> None:
    """One line of the timeline."""
    connection.later(_STEP, [(micros(at), subject, kind, text, delivery, envelope, origin)])


def superseded(connection: Connection, old: Delivery, by: str, now: datetime) -> None:
    """A newer state of the same appointment is owed: this one is not sent any more. `by`: its id; empty: nothing comes in its place."""
    connection.run("update delivery set state = 'superseded', due_at = ? where id = ?", (micros(now), old.id))
    step(connection, now, old.subject, Step.SUPERSEDED.value, f"by {by}" if by else "withdrawn", old.id, None, old.adapter)


def withdraw(connection: Connection, column: str, value: str, now: datetime) -> None:
    """What is due or sent, and has this in this column, is not sent any more; nothing comes in its place."""
    which = f"{column} = ? and {OPEN} and state in ('due', 'sent')"
    connection.run(
        f"insert into step (at, subject, kind, text, delivery, origin) select ?, subject, '{Step.SUPERSEDED.value}', 'withdrawn', id, adapter"
        f" from delivery where {which} order by number", (micros(now), value),
    )
    connection.run(f"update delivery set state = 'superseded', due_at = ? where {which}", (micros(now), value))
