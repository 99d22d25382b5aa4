"""A Subscription read as a wish: what it wants to hear of, where and how. What we cannot do is refused, never overlooked. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hub.feeds.topics import Topic
from hub.fhir import search
from hub.fhir.definitions import Definitions
from hub.fhir.index import HashId
from hub.fhir.query import Condition
from hub.message import Resource
from hub.problem import Problem, Refused

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
SECRET = "https://besoksbro.example/fhir/StructureDefinition/webhook-secret"
"""An extension of `channel` by which a client gives the secret that signs; it is taken out before anything is kept."""
MASK = "***"
"""What stands in the stored resource instead of a header's value."""
CONTENTS = ("empty", "id-only", "full-resource")
XML = "application/fhir+xml"
PAYLOADS = {"application/fhir+json": False, "application/json": False, XML: True, "application/xml": True}
"""What a payload may be → whether it is XML."""
SHORTEST_PERIOD = timedelta(seconds=10)
LONGEST_WAIT = timedelta(seconds=30)
MOST_TOGETHER = 50
"""Events in one notification, however many a client would take."""
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}): ?([\x20-\x7e]{1,4000})", re.ASCII)
_OURS = re.compile(r"(host|content-.*|transfer-encoding|connection|user-agent|webhook-.*|x-message-id|te|upgrade|expect|trailer)", re.IGNORECASE)
"""Headers that are the hub's to set."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one Subscription asks for."""

    type: str
    """The resource type it hears of."""
    conditions: tuple[Condition, ...]
    """What a resource must meet."""
    topic: Topic | None
    """None: R4's own criteria, under which every version that meets them is told."""
    content: str
    """One of CONTENTS; by R4's own criteria `empty` or `full-resource`."""
    endpoint: str
    period: timedelta = timedelta()
    wait: timedelta = timedelta(seconds=10)
    """How long an answer may take."""
    in_xml: bool = False
    """What is sent is XML."""
    together: int = 1
    """Events that one notification may have."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read one."""

    definitions: Definitions
    topics: dict[str, Topic]
    """Canonical URL → topic."""
    hash_id: HashId
    base: str = ""
    """As `search.parse`."""

    def wish(self, resource: Resource) -> Wish:
        """The wish in a valid Subscription.

        Raises:
            Refused: BAD_SUBSCRIPTION for what we do not offer; BAD_SEARCH for criteria that cannot be understood.
        """
        channel = resource["channel"]
        if channel["type"] != "rest-hook" or _extension(channel.get("_type"), "backport-channel-type") is not None:
            raise _refused("the channel is rest-hook", "channel.type")
        payload = channel.get("payload")
        in_xml = PAYLOADS.get(payload.partition(";")[0].strip()) if payload is not None else False
        if in_xml is None:
            raise _refused(f"the payload is application/fhir+json or {XML}", "channel.payload")
        endpoint = str(channel.get("endpoint", ""))
        topic = self.topics.get(resource["criteria"])
        if topic is None and resource["criteria"].startswith(("http:", "https:", "urn:")):
            raise _refused(f"no such topic; there are {', '.join(self.topics)}", "criteria")
        type_, conditions = self._filtered(topic, resource) if topic else self._criteria(resource["criteria"])
        content = _content(channel) if topic else "full-resource" if payload else "empty"
        if topic is None and payload and "?" in endpoint:
            raise _refused("resources are put below the endpoint, so it cannot have a query", "channel.endpoint")
        return Wish(type_, conditions, topic, content, endpoint, _period(channel), _wait(channel), in_xml, _together(channel, topic))

    def _criteria(self, criteria: str) -> tuple[str, tuple[Condition, ...]]:
        """R4: a search string, `Appointment?status=booked`."""
        type_ = criteria.partition("?")[0]
        if not self.definitions.parameters.get(type_) or type_ in ("Subscription", "AuditEvent", "Bundle", "OperationOutcome", "Parameters"):
            raise _refused("criteria are a topic, or a search such as Appointment?patient=Patient/1", "criteria")
        return type_, self._parsed(type_, criteria.partition("?")[2])

    def _filtered(self, topic: Topic, resource: Resource) -> tuple[str, tuple[Condition, ...]]:
        """R5's filters: every one must be met."""
        made: list[Condition] = []
        for text in _extensions(resource.get("_criteria"), "backport-filter-criteria"):
            type_, _, query = str(text).partition("?")
            names = [name.partition(":")[0].partition(".")[0] for name, _ in search.pairs(f"?{query}")]
            if type_ != topic.resource or not names or not set(names) <= topic.filters:
                raise _refused(f"a filter is {topic.resource}? and some of {', '.join(sorted(topic.filters))}", "criteria.extension")
            made += self._parsed(type_, query)
        return topic.resource, tuple(made)

    def _parsed(self, type_: str, query: str) -> tuple[Condition, ...]:
        asked = search.pairs(f"?{query}")
        if search.national(asked):
            raise _refused("a national id must not stand in a Subscription: find the person's id by POST Patient/_search", "criteria")
        if any(name in search.RESULT for name, _ in asked):
            raise _refused("criteria hold no paging, sorting or including", "criteria")
        return search.parse(type_, asked, True, self.definitions, self.hash_id, self.base).query.conditions


def secret(resource: Resource, before: str) -> str:
    """The secret that a Subscription gives, or the one from before. Raises Refused BAD_SUBSCRIPTION."""
    given = next((e.get("valueString") for e in resource["channel"].get("extension", ()) if e.get("url") == SECRET), None)
    if given is None:
        return before
    try:
        size = len(base64.b64decode(str(given).removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not str(given).startswith("whsec_") or not 24 <= size <= 64:
        raise _refused("the secret is whsec_ and the base64 of 24 to 64 random bytes", "channel.extension")
    return str(given)


def headers(resource: Resource, before: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The client's HTTP headers; one that comes back masked keeps its value from before. Raises Refused BAD_SUBSCRIPTION."""
    kept, found = {name.lower(): value for name, value in before}, []
    for line in resource["channel"].get("header", ()):
        match = _HEADER.fullmatch(line)
        if match is None or _OURS.fullmatch(match[1]):
            raise _refused("a header is `Name: value`, and none of those that the hub sets", "channel.header")
        value = kept.get(match[1].lower()) if match[2] == MASK else match[2].strip()
        if value is None:
            raise _refused(f"the value of a new header is not {MASK}", "channel.header")
        found.append((match[1], value))
    return tuple(found)


def shown(resource: Resource) -> Resource:
    """The Subscription as it may be read: without its secret, and with its headers' values masked."""
    channel = dict(resource["channel"])
    kept = [e for e in channel.pop("extension", ()) if e.get("url") != SECRET]
    if kept:
        channel["extension"] = kept
    if "header" in channel:
        channel["header"] = [f"{line.partition(':')[0]}: {MASK}" for line in channel["header"]]
    return {**resource, "channel": channel}


def _content(channel: Resource) -> str:
    content = _extension(channel.get("_payload"), "backport-payload-content") or "id-only"
    if content not in CONTENTS:
        raise _refused(f"the content is {', '.join(CONTENTS)}", "channel.payload.extension")
    return str(content)


def _period(channel: Resource) -> timedelta:
    period = _seconds(channel, "backport-heartbeat-period", 0)
    if period and period < SHORTEST_PERIOD:
        raise _refused(f"a heartbeat comes every {SHORTEST_PERIOD.seconds} seconds at most", "channel.extension")
    return period


def _wait(channel: Resource) -> timedelta:
    wait = _seconds(channel, "backport-timeout", 10)
    if not timedelta() < wait <= LONGEST_WAIT:
        raise _refused(f"an answer is waited for {LONGEST_WAIT.seconds} seconds at most", "channel.extension")
    return wait


def _together(channel: Resource, topic: Topic | None) -> int:
    """How many a client takes at once; who says nothing gets them one by one, and so it is by R4's own criteria."""
    given = _number(channel, "backport-max-count", 1)
    if given < 1:
        raise _refused("backport-max-count is 1 or more", "channel.extension")
    return min(given, MOST_TOGETHER) if topic is not None else 1


def _seconds(channel: Resource, name: str, usual: int) -> timedelta:
    return timedelta(seconds=_number(channel, name, usual))


def _number(channel: Resource, name: str, usual: int) -> int:
    given = _extension(channel, name)
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= 10_000_000):
        raise _refused(f"{name} is a whole number", "channel.extension")
    return usual if given is None else given


def _extensions(element: Any, name: str) -> list[Any]:
    held = element.get("extension", ()) if isinstance(element, dict) else ()
    return [
        next((v for k, v in e.items() if k.startswith("value")), "") for e in held if e.get("url") == f"{BACKPORT}/{name}"
    ]


def _extension(element: Any, name: str) -> Any:
    return next(iter(_extensions(element, name)), None)


def _refused(detail: str, where: str) -> Refused:
    return Refused(Problem.BAD_SUBSCRIPTION, detail, f"Subscription.{where}")
