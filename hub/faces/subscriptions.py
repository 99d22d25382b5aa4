"""What a client asks of its subscriptions: `$status`, `$events`, and the topics there are.

By GET, or by POST with Parameters. A topic is read at its canonical URL, as a Basic (R4 has no SubscriptionTopic).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hub.access import AuditLine, Reader
from hub.faces.interaction import READS, Answer, Asked, known
from hub.faces.parameters import parameters_of
from hub.feeds import Feeds, load
from hub.feeds.wish import CONTENTS
from hub.fhir import strict_json
from hub.fhir.query import FOREVER
from hub.problem import Problem, Refused
from hub.store import Store, Stored
from hub.store.feeds import Event, Feed
from hub.store.values import persons

MOST = 100
"""Events in one answer of `$events`."""
Pairs = list[tuple[str, str]]


class Subscriptions:
    """hub.faces.beside.Part."""

    largest = 64 * 1024
    worded = True

    def __init__(self, store: Store, feeds: Feeds, clock: Callable[[], datetime]) -> None:
        self._store, self._feeds, self._clock = store, feeds, clock

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        match path:
            case ("SubscriptionTopic", _):
                return READS
            case ("Subscription", "$status") | ("Subscription", _, "$status" | "$events"):
                return (*READS, "POST")
        return ()

    def answer(self, asked: Asked, reader: Reader) -> Answer:
        return self._answered(asked.path, parse_qsl(asked.query) + _parameters(asked.body), reader)

    def _topic(self, path: list[str]) -> Answer:
        topic = load().get(path[0]) if len(path) == 1 else None
        if topic is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"the topics are {', '.join(load())}")
        return Answer(200, orjson.dumps(topic.shown(self._feeds.writer.base)))

    def _answered(self, path: tuple[str, ...], asked: Pairs, reader: Reader) -> Answer:
        match path:
            case ("SubscriptionTopic", *rest):
                return self._topic(rest)
            case (_, "$status"):
                wanted, statuses = _values(asked, "id"), _values(asked, "status")
                own = [feed for feed in self._store.feeds(lambda feeds: feeds.all()) if feed.reader == reader.reference]
                return self._statuses(f for f in own if (not wanted or f.id in wanted) and (not statuses or f.status in statuses))
            case (_, id_, "$status"):
                return self._statuses([self._own(id_, reader)])
            case (_, id_, "$events"):
                return self._events(self._own(id_, reader), dict(asked), reader)
        raise Refused(Problem.UNKNOWN_RESOURCE, "no such address")

    def _own(self, id_: str, reader: Reader) -> Feed:
        feed = self._store.feeds(lambda feeds: feeds.get(known(id_)))
        if feed is None or feed.reader != reader.reference:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no Subscription with that id")
        return feed

    def _statuses(self, feeds: Any) -> Answer:
        writer = self._feeds.writer
        made = []
        for feed in feeds:
            wish = self._feeds.wish(feed.body)
            if wish is not None:
                error = str(orjson.loads(feed.body).get("error", ""))
                made.append(writer.status(feed, wish, "query-status", content="id-only", error=error))
        return Answer(200, writer.found(made))

    def _events(self, feed: Feed, asked: dict[str, str], reader: Reader) -> Answer:
        """Events by number, oldest first, at most MOST; what the client may no longer see has a number and nothing else."""
        wish = self._feeds.wish(feed.body)
        if wish is None:
            raise Refused(Problem.BAD_SUBSCRIPTION, "what this subscription asks for is no longer offered")
        content = asked.get("content", wish.content)
        if content not in CONTENTS or CONTENTS.index(content) > CONTENTS.index(wish.content):
            raise Refused(Problem.BAD_SUBSCRIPTION, f"content is at most what the subscription has: {wish.content}")
        first, last = _number(asked, "eventsSinceNumber", 1), _number(asked, "eventsUntilNumber", FOREVER)
        events = self._store.feeds(lambda feeds: feeds.events(feed.id, first, last, MOST))
        told = [self._told(event, reader) for event in events]
        body = self._feeds.writer.notification(feed, wish, "query-event", told, content, self._clock())
        about = persons(version for _, version in told if version is not None) if content != "empty" else ()
        self._store.audit_later(
            AuditLine(self._clock(), person, reader.reference, reader.ground.value, "events Subscription", channel="fhir") for person in about
        )
        return Answer(200, body)

    def _told(self, event: Event, reader: Reader) -> tuple[Event, Stored | None]:
        type_, _, id_ = event.focus.partition("/")
        version = self._store.version(type_, id_, event.version)
        seen = version is not None and self._feeds.sees(self._store, reader, type_, id_)
        return (event, version) if seen else (event._replace(focus=""), None)


def _parameters(body: bytes) -> Pairs:
    if not body:
        return []
    sent = strict_json.load(body)
    if sent.get("resourceType") != "Parameters":
        raise Refused(Problem.INVALID, "what is posted here is Parameters", "resourceType")
    return [(name, str(value)) for name, value in parameters_of(sent) if value is not None]


def _values(asked: Pairs, name: str) -> set[str]:
    return {part for key, value in asked if key == name for part in value.split(",") if part}


def _number(asked: dict[str, str], name: str, usual: int) -> int:
    text = asked.get(name, str(usual))
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise Refused(Problem.BAD_SEARCH, f"{name} is a whole number", name)
    return min(int(text), FOREVER)
