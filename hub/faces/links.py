"""The links of a transaction (R4 3.1.0.11.2): what points to an entry, or to a condition, becomes a reference to what is there afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.fhir.definitions import Definitions
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Stored

_LINKS = frozenset({"uri", "url"})
"""Types of elements that are links, beside Reference.reference and those in narratives. (An OID or a UUID cannot hold what they become.)"""
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.*)")
_RESTFUL = re.compile(r"(https?://.+/)[A-Za-z]+/[A-Za-z0-9.-]{1,64}")
Match = Callable[[str, str], Stored | None]
"""The one resource of a type that meets criteria."""


@dataclass(frozen=True, slots=True)
class Links:
    """How one entry's links are followed."""

    places: Mapping[str, str]
    """fullUrl → reference."""
    match: Match
    definitions: Definitions
    base: str
    """Our own address."""
    full_url: str = ""
    """The entry's: relative references in it are under the same root."""

    def followed(self, resource: Resource) -> Resource:
        """A copy that points where it shall. Raises Refused UNKNOWN_RESOURCE, MANY_MATCHES, BAD_SEARCH for a conditional reference."""
        return self._element(resource, str(resource.get("resourceType")))

    def _element(self, node: dict[str, Any], kind: str) -> dict[str, Any]:
        known = self.definitions.types.get(kind)
        made = {}
        for key, value in node.items():
            element = known.elements.get(key) if known else None
            made[key] = self._value(key, value, element.type if element else "")
        return made

    def _value(self, key: str, value: Any, kind: str) -> Any:
        if isinstance(value, list):
            return [self._value(key, item, kind) for item in value]
        if isinstance(value, dict):
            return self._element(value, str(value.get("resourceType") or kind))
        if not isinstance(value, str):
            return value
        if key == "reference":
            return self._reference(value)
        if key == "div":
            return self._narrative(value)
        return self.places.get(value, value) if kind in _LINKS else value

    def _reference(self, text: str) -> str:
        if place := self.places.get(text) or self.places.get(self._root + text):
            return place
        match = _CONDITIONAL.fullmatch(text.removeprefix(f"{self.base}/"))
        if match is None or match[1] not in self.definitions.served:
            return text
        found = self.match(match[1], match[2])
        if found is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"a conditional reference finds no {match[1]}")
        return found.reference

    @property
    def _root(self) -> str:
        match = _RESTFUL.fullmatch(self.full_url)
        return match[1] if match else ""

    def _narrative(self, div: str) -> str:
        for full_url, place in self.places.items():
            div = div.replace(f'"{full_url}"', f'"{place}"')
        return div
