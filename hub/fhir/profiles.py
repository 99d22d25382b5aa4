"""What a profile asks beyond R4 itself: the StructureDefinitions of fhir/profiles.json, read into rules.

Understood of a differential: cardinality, fixed and pattern values, required bindings to our value sets, reference targets, lengths, slices
(by their fixed values, or by an extension's profile), datatypes with a profile of their own, and constraints whose key is in RULES.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hub.fhir.compact import ROOT
from hub.fhir.profile_rules import RULES
from hub.problem import Issue, Problem

FILE = ROOT / "fhir" / "profiles.json"
IMPOSED = "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile"
Json = dict[str, Any]
Code = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ValueSet:
    """Codes by system; None: every code of that system."""

    systems: Mapping[str, frozenset[str] | None]

    def holds(self, system: str, code: str) -> bool:
        codes = self.systems.get(system, frozenset())
        return codes is None or code in codes


@dataclass(slots=True)
class Node:
    """One element of a differential and what lies below it."""

    name: str = ""
    slice: str = ""
    element: Json = field(default_factory=dict)
    below: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Profile:
    """One StructureDefinition, ready to be used."""

    url: str
    type: str
    root: Node
    resource: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profiles:
    """Every profile that is checked here."""

    by_url: Mapping[str, Profile]
    """By canonical: our own, and the Norwegian ones that it imposes."""
    sets: Mapping[str, ValueSet]
    resources: tuple[Json, ...]
    """As they are served."""

    def of_type(self, type_: str) -> list[str]:
        """The canonicals that a resource of this type may declare, sorted."""
        return sorted(url for url, profile in self.by_url.items() if profile.type == type_)

    def check(self, resource: Json, wanted: Iterable[str]) -> list[Issue]:
        """What the profiles with these canonicals find. One that is not known here gives a warning: nothing is refused for it."""
        found: list[Issue] = []
        for number, url in enumerate(dict.fromkeys(wanted)):
            profile = self.by_url.get(url.partition("|")[0])
            if profile is None:
                text = "not a profile that is known here: kept, and not checked by it"
                found.append(Issue("not-supported", f"{resource['resourceType']}.meta.profile[{number}]", text, severity="warning"))
            elif profile.type != resource["resourceType"]:
                found.append(Issue("invalid", f"{resource['resourceType']}.meta.profile[{number}]", f"a profile of {profile.type}"))
            else:
                found += self._below(profile.root, resource, profile.type, resource)
        return found

    def _below(self, node: Node, value: Any, where: str, resource: Json) -> Iterator[Issue]:
        yield from self._constraints(node, value, where, resource)
        for kind in node.element.get("type", ()):
            for url in kind.get("profile", ()):
                if (datatype := self.by_url.get(url)) is not None:
                    yield from self._below(datatype.root, value, where, resource)
        for child in node.below:
            items = _items(value, child.name)
            if child.slice:
                items = [item for item in items if _belongs(child, item[1])]
            place = f"{where}.{child.name}"
            if len(items) < child.element.get("min", 0):
                yield Issue("required", place, f"{_named(child)} is missing")
            if child.element.get("max", "*").isdigit() and len(items) > int(child.element["max"]):
                yield Issue("structure", place, f"{_named(child)} may stand {child.element['max']} times at most")
            for suffix, item in items:
                yield from self._value(child, item, place + suffix)
                if isinstance(item, dict) or child.element.get("constraint"):
                    yield from self._below(child, item, place + suffix, resource)

    def _value(self, node: Node, value: Any, where: str) -> Iterator[Issue]:
        element = node.element
        if node.name.endswith("[x]"):
            kinds = [t["code"] for t in element.get("type", ())]
            if kinds and not any(f"{node.name[:-3]}{kind[0].upper()}{kind[1:]}" in value for kind in kinds):
                yield Issue("structure", where.removesuffix("[x]"), f"is {' or '.join(kinds)} here")
            return
        fixed = _fixed(element)
        if fixed is not None and value != fixed:
            yield Issue("value", where, f"must be {json.dumps(fixed, ensure_ascii=False)}")
        if "maxLength" in element and len(str(value)) > element["maxLength"]:
            yield Issue("too-long", where, f"has at most {element['maxLength']} characters")
        binding = element.get("binding", {})
        known = self.sets.get(binding.get("valueSet", "")) if binding.get("strength") == "required" else None
        if known is not None and not any(known.holds(*code) for code in _codes(value, known)):
            yield Issue("code-invalid", where, f"has no code of {binding['valueSet']}", Problem.UNKNOWN_CODE)
        targets = {p.rpartition("/")[2] for t in element.get("type", ()) for p in t.get("targetProfile", ())}
        if targets and (target := _target(value)) and target not in targets:
            yield Issue("structure", where, f"may point to {', '.join(sorted(targets))} only")

    def _constraints(self, node: Node, value: Any, where: str, resource: Json) -> Iterator[Issue]:
        for constraint in node.element.get("constraint", ()):
            if not RULES[constraint["key"]](value, resource):
                text = f"{constraint['key']}: {constraint['human']}"
                yield Issue("invariant", where, text, rule=constraint["key"], severity=constraint["severity"])


def _target(reference: Any) -> str:
    """The type that a reference names; empty where it does not tell."""
    if not isinstance(reference, dict):
        return ""
    return str(reference.get("type") or str(reference.get("reference", "")).rpartition("/")[0].rpartition("/")[2])


def _named(node: Node) -> str:
    return f"{node.name} ({node.slice})" if node.slice else node.name


def _items(value: Any, name: str) -> list[tuple[str, Any]]:
    """The element's values with what follows its name in the path."""
    if not isinstance(value, dict):
        return []
    if name.endswith("[x]"):
        return [("", {key: item}) for key, item in value.items() if key.startswith(name[:-3])]
    found = value.get(name, value.get(f"_{name}"))
    if isinstance(found, list):
        return [(f"[{number}]", item) for number, item in enumerate(found)]
    return [] if found is None else [("", found)]


def _belongs(node: Node, item: Any) -> bool:
    """An extension belongs to the slice of its url; anything else to the slice whose fixed values it has."""
    urls = [url for kind in node.element.get("type", ()) for url in kind.get("profile", ())]
    if node.name == "extension" and urls:
        return isinstance(item, dict) and item.get("url") in urls
    fixed = list(_discriminators(node))
    return bool(fixed) and all(any(found == wanted for found in _along(item, path)) for path, wanted in fixed)


def _discriminators(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The fixed system or code that makes an item one of the slice; a coding's comes before the identifier's own."""
    for child in node.below:
        fixed = _fixed(child.element)
        if fixed is not None and child.name in ("system", "code") and not (child.name == "system" and not path and _coded(node)):
            yield (*path, child.name), fixed
        yield from _discriminators(child, (*path, child.name))


def _coded(node: Node) -> bool:
    return any(child.name == "type" for child in node.below)


def _along(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _along(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _along(value[path[0]], path[1:])


def _fixed(element: Json) -> Any:
    return next((value for key, value in element.items() if key.startswith(("fixed", "pattern"))), None)


def _codes(value: Any, known: ValueSet) -> Iterator[Code]:
    """A code's system is that of its value set; a Coding has its own; a CodeableConcept has several."""
    if isinstance(value, str):
        yield from ((system, value) for system in known.systems)
    elif isinstance(value, dict):
        for coding in value.get("coding", [value]):
            if isinstance(coding, dict):
                yield str(coding.get("system", "")), str(coding.get("code", ""))


def tree(structure: Json) -> Node:
    """The differential as a tree, by the ids of its elements."""
    root = Node()
    for element in structure["differential"]["element"]:
        node = root
        for step in element["id"].split(".")[1:]:
            name, _, part = step.partition(":")
            found = next((child for child in node.below if (child.name, child.slice) == (name, part)), None)
            if found is None:
                found = Node(name, part)
                node.below.append(found)
            node = found
        node.element = element
    return root


def read(resources: Iterable[Json]) -> Profiles:
    """Profiles and value sets of a list of conformance resources."""
    every = tuple(resources)
    by_url: dict[str, Profile] = {}
    for structure in every:
        if structure["resourceType"] == "StructureDefinition":
            made = Profile(structure["url"], structure["type"], tree(structure), structure)
            imposed = [e["valueCanonical"] for e in structure.get("extension", ()) if e["url"] == IMPOSED]
            by_url |= dict.fromkeys((made.url, *imposed), made)
    sets = {r["url"]: _value_set(r) for r in every if r["resourceType"] == "ValueSet"}
    return Profiles(by_url, sets, every)


def _value_set(resource: Json) -> ValueSet:
    return ValueSet({
        include["system"]: frozenset(c["code"] for c in include["concept"]) if "concept" in include else None
        for include in resource["compose"]["include"]
    })


@lru_cache(maxsize=1)
def load(path: Path = FILE) -> Profiles:
    """The profiles that this hub checks."""
    return read(entry["resource"] for entry in json.loads(path.read_text(encoding="utf-8"))["entry"])
