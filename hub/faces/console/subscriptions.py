"""The subscriptions of clients: who hears of what, where it goes, and how far it has come. Never whose visits: filters are not shown."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import orjson

from hub.faces.console.names import FEEDS, NEEDS_YOU, WAITING, Named, masked
from hub.faces.console.start import LATE, shown
from hub.faces.context import Context
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.feeds import topic_of
from hub.store import Standing
from hub.store.feeds import Feed

log = logging.getLogger(__name__)
TURNS = {"av": "off", "paa": "requested", "slett": "deleted"}
"""What the page's buttons say → what becomes of the subscription."""


@dataclass(frozen=True, slots=True)
class Line:
    """One subscription."""

    id: str
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


def subscription(context: Context, asked: Asked) -> Answer:
    """GET /drift/abonnement/<id>: one of them, to be turned off, on, or deleted."""
    return _one(context, asked)


def _one(context: Context, asked: Asked, *, missing_reason: bool = False) -> Page:
    feed = _feed(context, asked)
    if feed is None:
        return Page("console/error.html", shown(asked, "subscriptions", error=404, reference="", text=""), 404)
    line = _line(feed, context.store.standing(), asked.now)
    return Page("console/subscription.html", shown(
        asked, "subscriptions", line=line, on=feed.status in ("requested", "active"), missing_reason=missing_reason), 422 if missing_reason else 200)


def _feed(context: Context, asked: Asked) -> Feed | None:
    id_ = asked.params["id"]
    return context.store.feeds(lambda feeds: feeds.get(id_)) if ID.fullmatch(id_) else None


def turn(context: Context, asked: Asked) -> Answer:
    """POST /drift/abonnement/<id>. Needs a reason, which the client reads too; who and why are logged."""
    feed, to = _feed(context, asked), TURNS.get(asked.form.get("valg", ""))
    if feed is None or to is None:
        return Page("console/error.html", shown(asked, "subscriptions", error=404, reference="", text=""), 404)
    reason = asked.form.get("grunn", "").strip()[:200]
    if not reason:
        return _one(context, asked, missing_reason=True)
    operator = asked.who.who[0]
    context.turn(feed.id, to, operator, reason)
    log.info("subscription %s %s by %s", feed.id, to, operator)
    return Redirect("/drift/abonnementer" if to == "deleted" else f"/drift/abonnement/{feed.id}")


def _line(feed: Feed, standing: Standing, now: datetime) -> Line:
    resource = orjson.loads(feed.body)
    oldest = standing.oldest.get(feed.adapter)
    waiting, needs = (sum(standing.deliveries.get((feed.adapter, state), 0) for state in states) for states in (WAITING, NEEDS_YOU))
    return Line(
        feed.id, feed.adapter, feed.client, topic_of(feed), urlsplit(resource["channel"]["endpoint"]).netloc, FEEDS[feed.status],
        masked(str(resource.get("error", ""))), bool(feed.secret), feed.events, waiting, oldest, oldest is not None and now - oldest > LATE, needs,
    )
