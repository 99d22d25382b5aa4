"""Live subscriptions as rows beside their Subscription resources: whose each is, what it must not show, and its events by their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import orjson
from sqlmodel import Field, SQLModel

from hub.store import deliveries
from hub.store.db import Connection
from hub.store.secrets import Secrets
from hub.store.tables import _INDEX_ONLY, BYTES, OPEN, _number, _text
from hub.store.values import Stored, micros, moment

ADAPTER = "subscription-"
"""What the adapter name of a subscription's deliveries begins with; the Subscription's id stands behind it."""
_FIELDS = "f.id, f.status, f.reader, f.scopes, f.hidden, f.events, f.period, f.beat_at, f.ends, r.body"
_FROM = f"select {_FIELDS} from feed f join resource r on r.type = 'Subscription' and r.id = f.id"
_LISTENING = "listening feeds"
FORGOTTEN = timedelta(days=30)
"""So long are the events counted of a feed that is in error, from when its Subscription was written last."""
_MICROSECOND = timedelta(microseconds=1)


class FeedRow(SQLModel, table=True):
    """What a Subscription resource must not show, and how far its events have come (hub/feeds)."""

    __tablename__: ClassVar[Any] = "feed"
    id: str = _text(primary_key=True)
    """The Subscription's."""
    status: str = _text()
    reader: str = _text()
    """Whose it is: `Reader.reference`."""
    scopes: str = _text()
    hidden: bytes = Field(sa_type=BYTES)
    """Encrypted JSON: the secret that signs, and the headers."""
    events: int = _number()
    period: int = _number()
    """Microseconds between heartbeats; 0: none."""
    beat_at: int | None = _number()
    ends: int | None = _number()


class FeedEventRow(SQLModel, table=True):
    """The events of a feed by their numbers: what each was about, and the notification that tells of it."""

    __tablename__: ClassVar[Any] = "feed_event"
    __table_args__ = (_INDEX_ONLY,)
    feed: str = _text(primary_key=True)
    number: int = _number(primary_key=True)
    delivery: str = _text()
    subject: str = _text("")
    version: int = _number(default=0, sa_column_kwargs={"server_default": "0"})
    at: int = _number(default=0, sa_column_kwargs={"server_default": "0"})


@dataclass(frozen=True, slots=True)
class Feed:
    """One subscription that is, or was, live."""

    id: str
    status: str
    """As Subscription.status."""
    reader: str
    """Whose it is: `Reader.reference`."""
    scopes: str
    """What the token that asked for it was good for."""
    secret: str = ""
    """Signs what is sent; empty: nothing does."""
    headers: tuple[tuple[str, str], ...] = ()
    """The client's own HTTP headers, with their values."""
    events: int = 0
    """How many events there have been; never falls."""
    period: timedelta = timedelta()
    """Between two heartbeats; zero: none."""
    beat_at: datetime | None = None
    ends: datetime | None = None
    body: bytes = field(default=b"", repr=False)
    """The Subscription resource as it is now."""

    @property
    def adapter(self) -> str:
        return f"{ADAPTER}{self.id}"

    @property
    def client(self) -> str:
        """The client's own name."""
        return self.reader.partition(":")[2]


class Event(NamedTuple):
    """One event of a feed."""

    number: int
    focus: str
    """The resource it was about, `Appointment/…`."""
    version: int
    at: datetime
    delivery: str = ""
    """The notification that tells of it, where that is known already."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """The rows, on one connection."""

    connection: Connection
    secrets: Secrets

    def get(self, id_: str) -> Feed | None:
        return next(iter(self._feeds(f"{_FROM} where f.id = ?", id_)), None)

    def listening(self) -> list[Feed]:
        """Those whose events are counted: they hear of them, or find them when they are well again. Without what is hidden, so that no key is
        needed to keep a change. Within a write: what a commit found once it finds again, until one of them is another."""
        known: list[Feed] | None = self.connection.memory.get(_LISTENING)
        if known is None:
            some = self.connection.row("select 1 from feed where status <> 'off' limit 1")  # what was put off need not come in for this
            known = self._feeds(f"{_FROM} where f.status <> 'off' order by f.id", opened=False) if some else []
            self.connection.memory[_LISTENING] = known
        return known

    def _changed(self) -> None:
        self.connection.memory.pop(_LISTENING, None)

    def all(self) -> list[Feed]:
        return self._feeds(f"{_FROM} order by f.id")

    def due(self, now: datetime) -> list[Feed]:
        """Those with something to send now."""
        return self._feeds(
            f"{_FROM} where f.status in ('requested', 'active') and exists (select 1 from delivery d where d.adapter = '{ADAPTER}' || f.id"
            f" and d.{OPEN} and d.due_at <= ? and d.lease_until <= ?)", micros(now), micros(now),
        )

    def late(self, now: datetime) -> list[Feed]:
        """Those whose heartbeat is due, whose end has come, or which are in error and forgotten."""
        return self._feeds(
            f"{_FROM} where f.status <> 'off' and ((f.status = 'active' and f.beat_at <= ?) or f.ends <= ?"
            " or (f.status = 'error' and r.last_updated <= ?))", micros(now), micros(now), micros(now - FORGOTTEN),
        )

    def put(self, feed: Feed) -> None:
        """Keeps it; what a feed has counted stays counted."""
        self._changed()
        hidden = self.secrets.encrypt(orjson.dumps({"secret": feed.secret, "headers": feed.headers}), feed.adapter)
        self.connection.run(
            "insert into feed (id, status, reader, scopes, hidden, events, period, beat_at, ends) values (?, ?, ?, ?, ?, 0, ?, ?, ?)"
            " on conflict (id) do update set status = excluded.status, reader = excluded.reader, scopes = excluded.scopes,"
            " hidden = excluded.hidden, period = excluded.period, beat_at = excluded.beat_at, ends = excluded.ends",
            (feed.id, feed.status, feed.reader, feed.scopes, hidden, feed.period // _MICROSECOND, feed.beat_at and micros(feed.beat_at),
             feed.ends and micros(feed.ends)),
        )

    def set_status(self, id_: str, status: str) -> None:
        self._changed()
        self.connection.run("update feed set status = ? where id = ?", (status, id_))

    def beaten(self, id_: str, now: datetime) -> None:
        """Something was sent: the next heartbeat is a period from now."""
        self.connection.run("update feed set beat_at = case when period > 0 then ? + period end where id = ?", (micros(now), id_))

    def number(self, id_: str) -> int:
        """The next event's number; they begin at 1."""
        self._changed()
        row = self.connection.row("update feed set events = events + 1 where id = ? returning events", (id_,))
        assert row is not None
        return int(row[0])

    def record(self, id_: str, event: Event, delivery: str) -> None:
        """Which delivery tells of an event: of a new one, or of one that waited and goes along with others now."""
        self.connection.run(
            "insert into feed_event (feed, number, delivery, subject, version, at) values (?, ?, ?, ?, ?, ?)"
            " on conflict (feed, number) do update set delivery = excluded.delivery",
            (id_, event.number, delivery, event.focus, event.version, micros(event.at)),
        )

    def miss(self, id_: str, changes: Iterable[Stored], now: datetime) -> None:
        """Events that nobody is sent: they have their numbers, and are found by them."""
        for change in changes:
            self.record(id_, Event(self.number(id_), change.reference, change.version, now), "")

    def events(self, id_: str, first: int, last: int, limit: int) -> list[Event]:
        """Events with numbers in [first, last], in their order."""
        rows = self.connection.rows(
            "select number, subject, version, at, delivery from feed_event where feed = ? and number >= ? and number <= ? order by number limit ?",
            (id_, first, last, limit),
        )
        return [_event(row) for row in rows]

    def waits(self, feed: Feed) -> bool:
        """Something is still to be sent to it."""
        return self.connection.row(f"select 1 from delivery where adapter = ? and {OPEN} limit 1", (feed.adapter,)) is not None

    def unsent(self, feed: Feed) -> list[Event]:
        """Events that are still to be told."""
        rows = self.connection.rows(
            "select e.number, e.subject, e.version, e.at, e.delivery from delivery d join feed_event e on e.feed = ? and e.delivery = d.id"
            f" where d.adapter = ? and d.{OPEN} and d.state in ('due', 'sent')", (feed.id, feed.adapter),
        )
        return [_event(row) for row in rows]

    def withdraw(self, ids: Iterable[str], now: datetime) -> None:
        """None of these deliveries is sent any more, unless it has been already."""
        for id_ in ids:
            deliveries.withdraw(self.connection, "id", id_, now)

    def owned(self, reader: str) -> int:
        """How many a client has."""
        row = self.connection.row("select count(*) from feed where reader = ?", (reader,))
        return int(row[0]) if row else 0

    def drop(self, id_: str) -> None:
        """It is deleted, and its events with it; their deliveries stay, as every delivery does."""
        self._changed()
        self.connection.run("delete from feed_event where feed = ?", (id_,))
        self.connection.run("delete from feed where id = ?", (id_,))

    def _feeds(self, sql: str, *values: Any, opened: bool = True) -> list[Feed]:
        return [self._feed(row, opened) for row in self.connection.rows(sql, values)]

    def _feed(self, row: tuple[Any, ...], opened: bool) -> Feed:
        id_, status, reader, scopes, hidden, events, period, beat_at, ends, body = row
        known: dict[str, Any] = {"secret": "", "headers": ()}
        if opened:
            known = orjson.loads(self.secrets.decrypt(bytes(hidden), f"{ADAPTER}{id_}"))
        return Feed(
            id_, status, reader, scopes, known["secret"], tuple((n, v) for n, v in known["headers"]), events, period * _MICROSECOND,
            None if beat_at is None else moment(beat_at), None if ends is None else moment(ends), body.encode(),
        )


def _event(row: tuple[Any, ...]) -> Event:
    return Event(row[0], row[1], row[2], moment(row[3]), row[4])
