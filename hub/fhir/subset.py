"""A part of a resource, for `_summary` and `_elements`: what was asked for and what is mandatory, marked SUBSETTED (R4 3.1.1.5.8)."""

from __future__ import annotations

from typing import Any

import orjson

from hub.fhir.definitions import Definitions, Type
from hub.message import Resource

_OWN = ("id", "extension", "modifierExtension")
_ALWAYS = ("resourceType", "id", "meta")
_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def subset(text: str, summary: str, elements: tuple[str, ...], definitions: Definitions) -> str:
    """The part of a stored resource that was asked for.

    Args:
        summary: `true`, `text`, `data` or empty.
        elements: of `_elements`; empty: not asked for. `Type.element` holds for that type only.
    """
    resource: Resource = orjson.loads(text)
    wanted = _wanted(resource["resourceType"], summary, elements, definitions)
    kept = {key: value for key, value in resource.items() if key.removeprefix("_") in wanted}
    if summary == "true" and not elements:
        kept = {key: _inner(value, definitions.types[resource["resourceType"]], key, definitions) for key, value in kept.items()}
    meta = resource.get("meta", {})
    kept["meta"] = {**meta, "tag": [*(t for t in meta.get("tag", ()) if t.get("code") != "SUBSETTED"), _TAG]}
    return orjson.dumps(kept).decode()


def is_part(resource: Resource) -> bool:
    """It says of itself that it is not whole; who puts it back would lose the rest (R4 search.html#summary)."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(isinstance(tag, dict) and _TAG.items() <= tag.items() for tag in tags)


def _inner(value: Any, type_: Type, key: str, definitions: Definitions) -> Any:
    """What is marked as summary within an element, and what is mandatory there; a value's own id and extensions belong to it."""
    element = type_.elements.get(key.removeprefix("_"))
    below = definitions.types.get(element.type) if element is not None and not key.startswith("_") else None
    if isinstance(value, list):
        return [_inner(item, type_, key, definitions) for item in value]
    if not isinstance(value, dict) or below is None or below.kind not in ("backbone", "complex-type") or below.name == "Extension":
        return value
    shown = {name for name, each in below.elements.items() if each.summary or each.min or each.need or name in _OWN}
    return {name: _inner(item, below, name, definitions) for name, item in value.items() if name.removeprefix("_") in shown}


def _wanted(type_: str, summary: str, elements: tuple[str, ...], definitions: Definitions) -> set[str]:
    known = definitions.types[type_].elements
    mandatory = {name for name, element in known.items() if element.min or element.need}
    if elements:
        named = {e.rpartition(".")[2] for e in elements if "." not in e or e.startswith(f"{type_}.")}
        chosen = {name for name, element in known.items() if name in named or element.choice in named}
    elif summary == "true":
        chosen = {name for name, element in known.items() if element.summary}
    elif summary == "text":
        chosen = {"text"}
    else:
        chosen = set(known) - {"text"}
    return {*_ALWAYS, *mandatory, *chosen}
