"""What a subscriber is sent: a notification Bundle of the Subscriptions R5 Backport for R4, or what R4's own rest-hook has. Pure, on stored bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from hub.feeds.wish import Wish
from hub.fhir.bundle import happened
from hub.store.feeds import Event, Feed
from hub.store.values import Stored

PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
Told = tuple[Event, Stored | None]
"""An event, and the version that it was about where its content goes along."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes under one public base address."""

    base: str

    def status(self, feed: Feed, wish: Wish, kind: str, events: Sequence[Event] = (), content: str = "empty", error: str = "") -> dict[str, Any]:
        """The Parameters that every notification begins with (backport-subscription-status-r4); its counters are strings there."""
        parameters: list[dict[str, Any]] = [{"name": "subscription", "valueReference": {"reference": f"{self.base}/Subscription/{feed.id}"}}]
        if wish.topic is not None and content != "empty":
            parameters.append({"name": "topic", "valueCanonical": wish.topic.url(self.base)})
        parameters += [
            {"name": "status", "valueCode": feed.status}, {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(feed.events)},
        ]
        for event in events:
            part: list[dict[str, Any]] = [
                {"name": "event-number", "valueString": str(event.number)},
                {"name": "timestamp", "valueInstant": _instant(event.at)},
            ]
            if content != "empty" and event.focus:
                part.append({"name": "focus", "valueReference": {"reference": f"{self.base}/{event.focus}"}})
            parameters.append({"name": "notification-event", "part": part})
        if error:
            parameters.append({"name": "error", "valueCodeableConcept": {"text": error}})
        profile = {"profile": [f"{PROFILE}/backport-subscription-status-r4"]}
        return {"resourceType": "Parameters", "id": str(uuid.uuid4()), "meta": profile, "parameter": parameters}

    def notification(self, feed: Feed, wish: Wish, kind: str, told: Sequence[Told], content: str, now: datetime) -> bytes:
        """A Bundle of type history: the status, then each event's resource where the content is `full-resource`."""
        status = self.status(feed, wish, kind, [event for event, _ in told], content)
        first = {
            "fullUrl": f"urn:uuid:{status['id']}", "resource": status,
            "request": {"method": "GET", "url": f"{self.base}/Subscription/{feed.id}/$status"}, "response": {"status": "200"},
        }
        whole = [self._entry(version) for _, version in told if version is not None] if content == "full-resource" else []
        head = {
            "resourceType": "Bundle", "id": str(uuid.uuid4()), "meta": {"profile": [f"{PROFILE}/backport-subscription-notification-r4"]},
            "type": "history", "timestamp": _instant(now),
        }
        return orjson.dumps(head)[:-1] + b',"entry":[' + b",".join([orjson.dumps(first), *whole]) + b"]}"

    def _entry(self, version: Stored) -> bytes:
        request, status = happened(version)
        told = {
            "request": request, "response": {"status": status, "etag": version.etag, "lastModified": _instant(version.last_updated)},
        }
        return b'{"fullUrl":"' + f"{self.base}/{version.reference}".encode() + b'","resource":' + version.body + b"," + orjson.dumps(told)[1:]

    def found(self, statuses: Iterable[dict[str, Any]]) -> bytes:
        """The answer of `$status`: a searchset."""
        entries = [
            {"fullUrl": f"urn:uuid:{status['id']}", "resource": status, "search": {"mode": "match"}} for status in statuses
        ]
        made = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), **({"entry": entries} if entries else {})}
        return orjson.dumps(made)


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
