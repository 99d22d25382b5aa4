"""The topics of `fhir/subscription-topics.json`: what makes an event, by which parameters it may be narrowed, and how R4 shows that. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from hub.fhir.definitions import FOLDER
from hub.message import Resource
from hub.store.feeds import Feed

_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic"


@dataclass(frozen=True, slots=True)
class Topic:
    """One row."""

    name: str
    """The last part of its canonical URL."""
    title: str
    resource: str
    """The type that is watched."""
    watches: tuple[str, ...]
    """A version in which none of these elements is another is no event."""
    filters: frozenset[str]
    """Search parameters that may narrow it."""

    def triggered(self, before: Resource | None, after: Resource) -> bool:
        """This change is an event: the resource is new (`before` is None), or an element that is watched is another."""
        return before is None or any(before.get(name) != after.get(name) for name in self.watches)

    def url(self, base: str) -> str:
        """Its canonical URL; `base` is that of the FHIR API."""
        return f"{base}/SubscriptionTopic/{self.name}"

    def shown(self, base: str) -> Resource:
        """As a Basic, which is how R4 has it (Subscriptions R5 Backport, cross-version topics)."""
        trigger: list[dict[str, Any]] = [
            {"url": "description", "valueMarkdown": self.title},
            {"url": "resource", "valueUri": f"http://hl7.org/fhir/StructureDefinition/{self.resource}"},
            *({"url": "supportedInteraction", "valueCode": word} for word in ("create", "update")),
            {"url": "fhirPathCriteria", "valueString": " or ".join(
                ["%previous.empty()", *(f"%previous.{name} != %current.{name}" for name in self.watches)])},
        ]
        filters = [
            {"url": f"{_R5}.canFilterBy", "extension": [
                {"url": "resource", "valueUri": self.resource}, {"url": "filterParameter", "valueString": name}]}
            for name in sorted(self.filters)
        ]
        return {
            "resourceType": "Basic", "id": self.name,
            "extension": [
                {"url": f"{_R5}.url", "valueUri": self.url(base)}, {"url": f"{_R5}.title", "valueString": self.title},
                {"url": f"{_R5}.resourceTrigger", "extension": trigger}, *filters,
            ],
            "modifierExtension": [{"url": f"{_R5}.status", "valueCode": "active"}],
            "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
        }


def topic_of(feed: Feed) -> str:
    """What a subscription is about, for operators: its topic's name, or the type of its own criteria; never its filters."""
    criteria = str(orjson.loads(feed.body)["criteria"])
    return criteria.rpartition("/")[2] if "://" in criteria else criteria.partition("?")[0]


@lru_cache(maxsize=1)
def load() -> dict[str, Topic]:
    """Name → topic."""
    rows = json.loads((FOLDER / "subscription-topics.json").read_text(encoding="utf-8"))["topics"]
    return {
        name: Topic(name, row["title"], row["resource"], tuple(row["watches"]), frozenset(row["filters"])) for name, row in rows.items()
    }
