"""Subscribers as adapters: the worker delivers to them as to every partner, under the same states, retries and probing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from hub.adapter import Adapter, Agreed, Carrier, Surroundings
from hub.delivery import Patience
from hub.feeds.feeds import GIVE_UP, GREET, HANDSHAKE, Feeds
from hub.message import Content, Envelope, Letter, Message, Parcel, Receipt, Verdict
from hub.problem import Problem, Refused
from hub.store import Store
from hub.store.feeds import ADAPTER, Feed

PATIENCE = Patience(tuple(timedelta(seconds=s) for s in (5, 15, 60, 120, 300)), give_up_after=GIVE_UP)
"""Short: what waits must go within minutes after a receiver is back."""
GREETING = Patience((timedelta(seconds=5), timedelta(seconds=15)), give_up_after=GREET)
LATER = (401, 402, 403, 404, 405, 407)
"""Said of the address and not of what was sent: a proxy or a release in the wrong moment. 400, 409, 413, 415 and 422 are of the content."""


class OneWay:
    """hub.adapter.Seal and Format of what only goes out, with its content written when it was owed."""

    acknowledges = False
    asks_first = False
    proves = False

    def __init__(self, puts: bool) -> None:
        """`puts`: an event is a resource, put where it belongs below the endpoint (R4's own criteria with a payload)."""
        self._puts = puts

    def agreed(self, function: str, at: datetime) -> Agreed | None:
        return None

    def close(self, content: Content, letter: Letter, at: datetime) -> Parcel:
        headers = {"content-type": content.media_type} if content.body else {}
        if self._puts and content.body:
            headers["content-location"] = letter.conversation
        return Parcel({**headers, "x-message-id": letter.id}, content.body)

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        """Raises Refused: nothing comes in this way."""
        raise Refused(Problem.NOT_SUPPORTED, "a subscriber sends nothing")

    def receipt(self, envelope: Envelope, refused: Refused | None, at: datetime) -> Parcel | None:
        return None

    def enquire(self, at: datetime, of: str = "") -> Parcel:
        """Raises Refused: a subscriber is asked nothing."""
        raise Refused(Problem.NOT_SUPPORTED, "a subscriber is asked nothing")

    def confirms(self, receipt: Receipt, sent: Parcel) -> bool:
        return True

    def refusal(self, unopened: Refused, at: datetime) -> Parcel | None:
        return None

    def read(self, envelope: Envelope) -> Message:
        """Raises Refused: nothing comes in this way."""
        raise Refused(Problem.NOT_SUPPORTED, "a subscriber sends nothing")

    def write(self, message: Message, letter: Letter) -> Content:
        """Raises Refused: the content is gone that was written when it was owed."""
        raise Refused(Problem.NOT_SUPPORTED, "the notification is no longer kept; $events has the event")

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        return None


class Subscribers(Mapping[str, Adapter]):
    """Every live subscription as an adapter, by its name."""

    def __init__(self, store: Store, feeds: Feeds, carrier: Callable[[Surroundings], Carrier], around: Surroundings) -> None:
        """`carrier` makes one by HTTP, with what it is told `around` it and its own settings."""
        self._store, self._feeds, self._carrier, self._around = store, feeds, carrier, around
        self._made = lru_cache(maxsize=1000)(self._make)

    def __getitem__(self, name: str) -> Adapter:
        found = self._store.feeds(lambda feeds: feeds.get(name.removeprefix(ADAPTER))) if name.startswith(ADAPTER) else None
        adapter = self._adapter(found) if found else None
        if adapter is None:
            raise KeyError(name)
        return adapter

    def __iter__(self) -> Iterator[str]:
        return (feed.adapter for feed in self._store.feeds(lambda feeds: feeds.all()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def due(self, now: datetime) -> list[Adapter]:
        """Those with something to send: what the worker goes round."""
        made = (self._adapter(feed) for feed in self._store.feeds(lambda feeds: feeds.due(now)))
        return [adapter for adapter in made if adapter is not None]

    def _adapter(self, feed: Feed) -> Adapter | None:
        """None: what it asks for is no longer offered."""
        wish = self._feeds.wish(feed.body)
        return None if wish is None else self._made(feed.id, feed.reader, wish.endpoint, wish.wait, feed.secret, feed.headers, wish.topic is None)

    def _make(
        self, id_: str, reader: str, endpoint: str, wait: timedelta, secret: str, headers: tuple[tuple[str, str], ...], puts: bool,
    ) -> Adapter:
        """The same as long as nothing is another; its connections are let go of with it."""
        name, way = f"{ADAPTER}{id_}", OneWay(puts)
        settings = {
            "url": endpoint, "wait": f"{wait.seconds}s", "secret": secret, "headers": dict(headers), "later": LATER, "allowed": self._feeds.allowed,
        }
        carrier = self._carrier(replace(self._around, name=name, party=name, settings=settings))
        return Adapter(
            name, reader, carrier, way, way, frozenset(), patience=PATIENCE, patience_of={HANDSHAKE: GREETING}, answer_due=False, concurrency=1,
        )
