"""Keeps subscriptions and owes what they are to hear: in the transaction of the change, so that neither is without the other.

An event is numbered, written and owed at once. What a client may see is asked for each event as its searches are: by its scopes, by its
departments, and as the municipality's configuration has them now.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial

import orjson

from hub.access import AuditLine, Ground, Reader
from hub.booking.clock import begin
from hub.delivery import Delivery, State
from hub.endpoint import Allowed
from hub.feeds.notifications import Told, Writer
from hub.feeds.owners import marked, owner
from hub.feeds.wish import XML, Reading, Wish, headers, secret, shown
from hub.fhir.limits import limited
from hub.fhir.meeting import meets
from hub.fhir.query import Condition, IdIs, Query
from hub.fhir.xml import to_xml
from hub.message import Content, Resource
from hub.problem import Problem, Refused
from hub.scopes import Scopes
from hub.store import Change, Store, Stored, Transaction
from hub.store.feeds import ADAPTER, Event, Feed
from hub.store.values import persons

EVENT, HANDSHAKE, HEARTBEAT = "event", "handshake", "heartbeat"
"""Functions of deliveries to subscribers."""
MOST = 20
"""Subscriptions that one client may have."""
GIVE_UP = timedelta(hours=72)
"""How long an event is tried; then the subscription is in error."""
A_PART = 500
"""Deliveries that are withdrawn at once."""
GREET = timedelta(minutes=1)
"""How long a handshake is tried."""
_TYPES = {EVENT: "event-notification", HANDSHAKE: "handshake", HEARTBEAT: "heartbeat"}


class Feeds:
    """Everything about subscriptions that happens in a transaction."""

    def __init__(self, reading: Reading, writer: Writer, allowed: Allowed, known: Callable[[str], Reader | None]) -> None:
        """`known("vendor:…")`: the client as the configuration has it now; None: nobody has that name any more."""
        self._reading, self.allowed, self._known, self.writer = reading, allowed, known, writer
        self._definitions = reading.definitions
        self.wish: Callable[[bytes], Wish | None] = lru_cache(maxsize=1000)(self._kept)
        """What a kept Subscription asks for, read once as long as it is the same; None: we no longer offer that."""

    def _kept(self, body: bytes) -> Wish | None:
        try:
            return self._reading.wish(orjson.loads(body))
        except Refused:
            return None

    def accept(self, tx: Transaction, reader: Reader, resource: Resource) -> Resource:
        """A Subscription that a client writes, as it is to be kept: without its secret, marked as the client's, `requested` until it is heard.

        Raises:
            Refused: BAD_SUBSCRIPTION, BAD_SEARCH; SCOPE_MISSING, NOT_ALLOWED when the client does not see what it asks for.
        """
        wish = self._reading.wish(resource)
        self.allowed.check(wish.endpoint)
        limited(reader, Query(wish.type, wish.conditions), self._definitions)
        before, kept = tx.feeds.get(resource["id"]), tx.get("Subscription", resource["id"])
        if kept is not None and owner(kept.resource) != reader.reference:  # a deleted one's history is its client's too
            raise Refused(Problem.NOT_ALLOWED, "this id was another client's")
        if before is None and tx.feeds.owned(reader.reference) >= MOST:
            raise Refused(Problem.BAD_SUBSCRIPTION, f"a client has at most {MOST} subscriptions")
        old = before or Feed(resource["id"], "", reader.reference, "")
        feed = replace(
            old, status=self._status(before, resource, wish), reader=reader.reference, scopes=str(reader.scopes),
            secret=secret(resource, old.secret), headers=headers(resource, old.headers), period=wish.period,
            beat_at=tx.now + wish.period if wish.period else None, ends=begin(resource["end"]) if "end" in resource else None,
        )
        tx.feeds.put(feed)
        if feed.status in ("off", "requested"):  # whoever is greeted anew asks $events for what it had not heard
            tx.withdraw_all(feed.adapter)
        if feed.status == "requested":
            self._owe(tx, feed, wish, HANDSHAKE, f"Subscription/{feed.id}", b"")
        told = orjson.loads(old.body).get("error") if feed.status == old.status else None  # what went wrong is the hub's to say
        made = {key: value for key, value in shown(resource).items() if key != "error"}
        return marked({**made, "status": feed.status, **({"error": told} if told else {})}, reader)

    def _status(self, before: Feed | None, resource: Resource, wish: Wish) -> str:
        """A client asks for `requested` or `off`; what it read it may send back. Another endpoint must be greeted anew."""
        wanted, now = resource["status"], before.status if before else ""
        if wanted not in ("requested", "off") and wanted != now:
            raise Refused(Problem.BAD_SUBSCRIPTION, "a client sets the status to requested or off; the rest is the hub's", "Subscription.status")
        if wanted == "active" and before is not None and orjson.loads(before.body)["channel"]["endpoint"] != wish.endpoint:
            return "requested"
        return str(wanted)

    def follow(self, tx: Transaction) -> None:
        """After every transaction that changed something: each subscription hears what is for it; a deleted one hears nothing more."""
        changes = list(tx.changes)
        for gone in changes:
            if gone.type == "Subscription" and gone.deleted:
                tx.withdraw_all(f"{ADAPTER}{gone.id}")
                tx.feeds.drop(gone.id)
        for feed in tx.feeds.listening():
            wish = self.wish(feed.body)
            of_type = [change for change in changes if wish and change.type == wish.type and not change.deleted]
            heard = [(change, content) for change in of_type if wish and (content := self._heard(tx, feed, wish, change)) is not None]
            if wish and heard and feed.status == "active":
                self._tell(tx, feed, wish, heard)
            elif heard:  # counted all the same, so that the client sees what it missed (Backport 1.1, errors.html)
                tx.feeds.miss(feed.id, [change for change, _ in heard], tx.now)

    def _heard(self, tx: Transaction, feed: Feed, wish: Wish, change: Change) -> str | None:
        """What is told of a change, one of CONTENTS; None: it is no event for this subscription.

        By a topic that is what the client sees and asked for, as it is now or as it was before: whoever keeps what meets a filter must
        hear that something left it. What the client does not see any more is named, and not shown.
        """
        before = tx.version(change.type, change.id, change.version - 1) if wish.topic is not None and change.version > 1 else None
        before = None if before is None or before.deleted else before
        reader = self._reader(feed)
        if reader is None or (feed.ends is not None and feed.ends <= tx.now):
            return None
        if wish.topic is not None and not wish.topic.triggered(before.resource if before else None, change.resource):
            return None
        if self.sees(tx, reader, change.type, change.id, wish.conditions):
            return wish.content
        if before is None or not self._saw(tx, reader, before, wish.conditions):
            return None
        return wish.content if wish.content == "empty" or self.sees(tx, reader, change.type, change.id) else "id-only"

    def _saw(self, source: Store | Transaction, reader: Reader, before: Stored, conditions: tuple[Condition, ...]) -> bool:
        """As `sees`, of a version that is no longer the current one."""
        try:
            asked = limited(reader, Query(before.type, conditions), self._definitions)
        except Refused:
            return False
        return meets(before, source.entries(before.resource), asked.conditions)

    def sees(self, source: Store | Transaction, reader: Reader, type_: str, id_: str, conditions: tuple[Condition, ...] = ()) -> bool:
        """The reader's scopes and departments give this resource, and it meets the conditions."""
        try:
            query = limited(reader, Query(type_, (IdIs((id_,)), *conditions), count=1), self._definitions)
        except Refused:
            return False
        return bool(source.search(query).entries)

    def _reader(self, feed: Feed) -> Reader | None:
        """The client, with what it may still do of what its token gave; None: it is gone."""
        known = self._known(feed.reader)
        return replace(known, scopes=known.scopes & Scopes.of(feed.scopes)) if known else None

    def reconsider(self, store: Store) -> None:
        """At a start, when the configuration may be another: who is no longer known there hears nothing more, and of what is owed nothing is
        sent that the client would not be told of today. Its number stays, so that the client sees that something is missing.

        All of it is looked at in reads, and withdrawn A_PART at a time: nobody's write waits long, and what broke off is done again."""
        for feed in store.feeds(lambda feeds: feeds.all()):
            reader, unsent = self._reader(feed), store.feeds(lambda feeds, feed=feed: feeds.unsent(feed))  # type: ignore[misc]
            lost = list(dict.fromkeys(event.delivery for event in unsent if reader is None or not self._given(store, reader, event)))
            for first in range(0, len(lost), A_PART):
                store.write(lambda tx, some=lost[first:first + A_PART]: tx.feeds.withdraw(some, tx.now))  # type: ignore[misc]
            if reader is None and feed.status in ("requested", "active"):
                store.write(partial(self.set_status, feed=feed, status="off", error="Klienten er ikke satt opp lenger."))

    def _given(self, store: Store, reader: Reader, event: Event) -> bool:
        """The reader's departments and scopes give the version that an event is about, or the one before it, which it left."""
        type_, _, id_ = event.focus.partition("/")
        versions = (store.version(type_, id_, number) for number in (event.version, event.version - 1))
        return any(version is not None and not version.deleted and self._saw(store, reader, version, ()) for version in versions)

    def _tell(self, tx: Transaction, feed: Feed, wish: Wish, heard: Iterable[tuple[Change, str]]) -> None:
        """One event for each change, as many in a notification as the client takes; what waits untried goes along with the first."""
        old, told = self._waiting(tx, feed, wish)
        for change, content in heard:
            event = Event(tx.feeds.number(feed.id), change.reference, change.version, tx.now)
            told.append((event, change if content == "full-resource" else None))
            if content != "empty":
                tx.audit(*(AuditLine(tx.now, person, feed.reader, Ground.VENDOR.value, f"notify {change.type}", channel="fhir")
                           for person in persons([change])))
        for start in range(0, len(told), wish.together):
            some = told[start:start + wish.together]
            last, whole = some[-1]
            feed = replace(feed, events=last.number)
            if wish.topic is None:
                body = whole.body if whole else b""
            else:
                body = self.writer.notification(feed, wish, _TYPES[EVENT], some, wish.content, tx.now)
            delivery = self._owe(tx, feed, wish, EVENT, last.focus, body, last.version, (old,) if old and not start else ())
            for event, _ in some:
                tx.feeds.record(feed.id, event, delivery.id)

    def _waiting(self, tx: Transaction, feed: Feed, wish: Wish) -> tuple[Delivery | None, list[Told]]:
        """The newest notification, where nobody has tried it yet and there is room in it, and its events as they would be told now."""
        newest = tx.feeds.events(feed.id, feed.events - wish.together + 1, feed.events, wish.together) if wish.together > 1 else []
        old = tx.untouched(newest[-1].delivery) if newest else None
        of_it = [event for event in newest if old and event.delivery == old.id]
        if len(of_it) == wish.together or not of_it:
            return None, []
        reader = self._reader(feed)
        told: list[Told] = []
        for event in of_it:
            type_, _, id_ = event.focus.partition("/")
            seen = wish.content == "full-resource" and reader is not None and self.sees(tx, reader, type_, id_)
            told.append((event, tx.version(type_, id_, event.version) if seen else None))
        return old, told

    def _owe(
        self, tx: Transaction, feed: Feed, wish: Wish, function: str, subject: str, body: bytes, version: int = 0, replaces: Sequence[Delivery] = (),
    ) -> Delivery:
        """In order per resource, or where events go together all in one order. It `replaces` what it holds all of."""
        if not body and wish.topic is not None:
            body = self.writer.notification(feed, wish, _TYPES[function], (), "id-only", tx.now)
        tx.feeds.beaten(feed.id, tx.now)
        lives = GREET if function == HANDSHAKE else GIVE_UP
        key = subject if function == EVENT and wish.together == 1 else function
        return tx.owe(
            Delivery(
                id=str(uuid.uuid4()), adapter=feed.adapter, function=function, subject=subject, state=State.DUE, due_at=tx.now,
                expires=tx.now + lives, created=tx.now, key=key, conversation=subject, version=version,
                answer_due=False,
            ),
            self._content(wish, body), replaces=replaces,
        )

    def _content(self, wish: Wish, body: bytes) -> Content:
        if not body:
            return Content(body, "")
        return Content(to_xml(orjson.loads(body), self._definitions), XML) if wish.in_xml else Content(body, "application/fhir+json")

    def moved(self, tx: Transaction, before: Delivery, after: Delivery) -> None:
        """What became of a delivery, for its subscription: heard, so it is active; gone, so it is off; never heard, so it is in error."""
        feed = tx.feeds.get(after.adapter.removeprefix(ADAPTER)) if after.adapter.startswith(ADAPTER) else None
        if feed is None:
            return
        if after.state is State.ACCEPTED and after.function == HANDSHAKE and feed.status == "requested":
            self.set_status(tx, feed, "active")
        elif after.state is State.FAILED and after.note.startswith(Problem.RECEIVER_GONE.value):
            self.set_status(tx, feed, "off", after.note)
        elif feed.status != "off" and (after.state is State.EXPIRED or (after.state is State.FAILED and after.function == HANDSHAKE)):
            self.set_status(tx, feed, "error", before.note if after.state is State.EXPIRED and before.note else after.note)

    def set_status(self, tx: Transaction, feed: Feed, status: str, error: str = "") -> None:
        """The Subscription's new status, as a version of its own. What it still had to hear is withdrawn when it hears nothing more."""
        kept = tx.get("Subscription", feed.id)
        if kept is None or kept.deleted:
            return
        tx.feeds.set_status(feed.id, status)
        tx.feeds.beaten(feed.id, tx.now)
        if status in ("off", "error"):
            tx.withdraw_all(feed.adapter)
        resource = {key: value for key, value in kept.resource.items() if key != "error"}
        tx.keep({**resource, "status": status, **({"error": error} if error else {})}, origin="hub")

    def turn(self, store: Store, id_: str, to: str, by: str, reason: str) -> None:
        """An operator's word: `off`, `requested` (it is greeted anew) or `deleted`. Who and why stand in the access log and on the timeline.

        Raises:
            Refused: UNKNOWN_RESOURCE; BAD_SUBSCRIPTION when what it asks for is no longer offered.
        """
        store.write(lambda tx: self._turn(tx, id_, to, by, reason))

    def _turn(self, tx: Transaction, id_: str, to: str, by: str, reason: str) -> None:
        feed, kept = tx.feeds.get(id_), tx.get("Subscription", id_)
        if feed is None or kept is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such subscription")
        wish = self.wish(feed.body)
        if to == "deleted":
            tx.remove(kept, origin=by)
        elif to == "off":
            self.set_status(tx, feed, "off", f"Slått av av kommunen: {reason}")
        elif wish is None:
            raise Refused(Problem.BAD_SUBSCRIPTION, "what it asks for is no longer offered")
        else:
            tx.withdraw_all(feed.adapter)
            self.set_status(tx, feed, "requested")
            self._owe(tx, replace(feed, status="requested"), wish, HANDSHAKE, f"Subscription/{id_}", b"")
        tx.note(f"Subscription/{id_}", f"subscription-{to}", reason, origin=by)
        tx.audit(AuditLine(tx.now, "", by, Ground.OPERATOR.value, f"subscription-{to}", "", "console"))

    def beat(self, store: Store) -> None:
        """Heartbeats that are due, where nothing waits that would tell as much; and what has come to its end."""
        if store.feeds(lambda feeds: feeds.late(store.now())):
            store.write(self._beat)

    def _beat(self, tx: Transaction) -> None:
        for feed in tx.feeds.late(tx.now):
            wish = self.wish(feed.body)
            ended = feed.ends is not None and feed.ends <= tx.now
            if ended or feed.status == "error":
                self.set_status(tx, feed, "off", "" if ended else "Ikke startet på nytt innen 30 dager.")
            elif wish is None or tx.feeds.waits(feed):
                tx.feeds.beaten(feed.id, tx.now)
            else:
                self._owe(tx, feed, wish, HEARTBEAT, f"Subscription/{feed.id}", b"")
