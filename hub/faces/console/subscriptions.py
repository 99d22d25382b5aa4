"""The subscriptions of clients: who hears of what, where it goes, and how far it has come. Never whose visits: filters are not shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import orjson

from hub.faces.console.names import FEEDS, NEEDS_YOU, WAITING, Named, masked
from hub.faces.console.start import LATE, shown
from hub.faces.context import Context
from hub.faces.web import Answer, Asked, Page
from hub.feeds import topic_of
from hub.store import Standing
from hub.store.feeds import Feed


@dataclass(frozen=True, slots=True)
class Line:
    """One subscription."""

    adapter: str
    client: str
    topic: str
    receiver: str
    """Host and port: the rest of the address may hold a key."""
    status: Named
    error: str
    signed: bool
    events: int
    waiting: int
    oldest: datetime | None
    late: bool
    needs: int


def subscriptions(context: Context, asked: Asked) -> Answer:
    """GET /drift/abonnementer; each number leads to the deliveries behind it, where what failed is sent again."""
    standing = context.store.standing()
    lines = [_line(feed, standing, asked.now) for feed in context.store.feeds(lambda feeds: feeds.all())]
    return Page("console/subscriptions.html", shown(asked, "subscriptions", lines=sorted(lines, key=lambda line: (line.client, line.topic))))


def _line(feed: Feed, standing: Standing, now: datetime) -> Line:
    resource = orjson.loads(feed.body)
    oldest = standing.oldest.get(feed.adapter)
    waiting, needs = (sum(standing.deliveries.get((feed.adapter, state), 0) for state in states) for states in (WAITING, NEEDS_YOU))
    return Line(
        feed.adapter, feed.client, topic_of(feed), urlsplit(resource["channel"]["endpoint"]).netloc, FEEDS[feed.status],
        masked(str(resource.get("error", ""))), bool(feed.secret), feed.events, waiting, oldest, oldest is not None and now - oldest > LATE, needs,
    )
