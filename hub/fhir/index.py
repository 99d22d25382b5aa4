"""Index entries of a resource, by R4's search parameters: paths compiled once per type, national ids as keyed hashes only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hub.fhir import measures, times
from hub.fhir.definitions import Definitions
from hub.fhir.query import DateEntry, Entries, ReferenceEntry, StringEntry, TokenEntry
from hub.fhir.text import LONGEST, indexed, plain
from hub.message import Resource

HashId = Callable[[str, str], str]
NATIONAL_IDS = frozenset({"urn:oid:2.16.578.1.12.4.1.4.1", "urn:oid:2.16.578.1.12.4.1.4.2"})
"""Fødselsnummer and D-nummer."""
MADE = 4
"""Raise it when this module takes out something else than before."""

OF_TYPE, TEXT = ":of-type", ":text"
"""Behind a parameter's name: an identifier by its type and value; what is said in words of a code or a reference. An element that tells nothing
else (a telecom without a number) has an empty text there: it is not missing."""

_SAID = ("coding", "code", "value")
"""Where a token is told."""
Steps = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Path:
    """Where a parameter's values stand: keys, each with the spellings a choice allows."""

    steps: Steps
    target: str
    system: str
    is_so: bool = False
    """`true` is kept for whatever stands there, unless that is `false` (Patient.deceased); who has nothing is found by not being true."""


@dataclass(slots=True)
class _Found:
    """What was taken out of one resource so far."""

    tokens: list[TokenEntry] = field(default_factory=list)
    references: list[ReferenceEntry] = field(default_factory=list)
    dates: list[DateEntry] = field(default_factory=list)
    strings: list[StringEntry] = field(default_factory=list)


Take = Callable[[Any, _Found], None]
"""Takes one value out."""


def digest(definitions: Definitions) -> str:
    """Stands for what is searched by, and how it is taken out: an index made under another digest must be made anew."""
    what = [(name, definitions.served[name].main, sorted(found.items())) for name, found in sorted(definitions.parameters.items())]
    return hashlib.sha256(f"{MADE} {what!r}".encode()).hexdigest()[:16]


def indexer(definitions: Definitions, hash_id: HashId) -> Callable[[Resource], Entries]:
    """The function that extracts a resource's entries."""

    @cache
    def compiled(type_: str) -> list[tuple[Steps, list[Take]]]:
        """What stands where, and what takes it out; parameters that look in one place (actor, patient, location) share the way there, and
        those of references one look at what stands there."""
        found: dict[Steps, list[Take]] = {}
        pointed: dict[Steps, list[tuple[str, str]]] = {}
        for parameter in definitions.parameters.get(type_, {}).values():
            for path in parameter.paths if parameter.name not in ("_id", "_lastUpdated") else ():
                made = _compile(definitions, type_, path)
                takes = found.setdefault(made.steps, [])
                if parameter.type == "reference":
                    pointed.setdefault(made.steps, []).append((parameter.name, made.target))
                else:
                    takes.append(_TAKES[parameter.type](parameter.name, made, hash_id))
        for steps, wanted in pointed.items():
            found[steps].append(_references(wanted, hash_id))
        return list(found.items())

    def entries(resource: Resource) -> Entries:
        type_, found = resource["resourceType"], _Found()
        for steps, takes in compiled(type_):
            if steps and resource.keys().isdisjoint(steps[0]):
                continue
            for value in _values(resource, steps):
                for take in takes:
                    take(value, found)
        main = definitions.served[type_].main
        at = next((d.low for d in found.dates if d.param == main and d.low > 0), 0)
        return Entries(at, tuple(found.tokens), tuple(found.references), tuple(found.dates), tuple(found.strings))

    return entries


def _token(name: str, path: _Path, hash_id: HashId) -> Take:
    if path.is_so:
        return lambda value, found: found.tokens.extend(_tokens(name, value is not False, "", hash_id))
    text = name + TEXT

    def take(value: Any, found: _Found) -> None:
        found.tokens += _tokens(name, value, path.system, hash_id)
        if isinstance(value, dict):
            for words in _words(value):
                found.strings.append(StringEntry(text, plain(words)[:LONGEST]))
            if "type" in value:
                found.tokens += _typed(name + OF_TYPE, value, hash_id)
            if value.keys().isdisjoint(_SAID) and path.system in ("", value.get("system")):
                found.strings.append(StringEntry(text, ""))
                if "system" in value:  # a code that is not said, of a system that is: it is found by that
                    found.tokens.append(TokenEntry(name, indexed(value["system"]), ""))

    return take


def _uri(name: str, path: _Path, hash_id: HashId) -> Take:
    return lambda value, found: found.tokens.extend([TokenEntry(name, "", indexed(address)) for address in _addresses(str(value))])


def _references(wanted: list[tuple[str, str]], hash_id: HashId) -> Take:
    """(parameter, target type or empty) of each that looks there."""
    return lambda value, found: _refer(wanted, value, found, hash_id)


def _date(name: str, path: _Path, hash_id: HashId) -> Take:
    def take(value: Any, found: _Found) -> None:
        periods = [DateEntry(name, *period) for period in times.periods(value)]
        found.dates += periods
        if not periods:
            found.strings.append(StringEntry(name + TEXT, ""))

    return take


def _string(name: str, path: _Path, hash_id: HashId) -> Take:
    def take(value: Any, found: _Found) -> None:
        texts = list(_strings(value))
        if not texts:
            found.strings.append(StringEntry(name + TEXT, ""))
        for text in texts:
            found.strings.append(StringEntry(name, plain(text)[:LONGEST]))
            found.tokens.append(TokenEntry(f"{name}:exact", "", indexed(text)))

    return take


def _quantity(name: str, path: _Path, hash_id: HashId) -> Take:
    return lambda value, found: found.dates.extend([DateEntry(*each) for each in measures.kept(name, value)])


def _position(name: str, path: _Path, hash_id: HashId) -> Take:
    def take(value: Any, found: _Found) -> None:
        if isinstance(value, dict) and "latitude" in value and "longitude" in value:
            x, y, z = measures.point(value["latitude"], value["longitude"])
            found.dates += [DateEntry(name, x, y), DateEntry(name + measures.Z, z, z + 1)]

    return take


_TAKES = {
    "token": _token, "uri": _uri, "date": _date, "string": _string, "quantity": _quantity, "special": _position,
}


def _compile(definitions: Definitions, type_: str, path: dict[str, Any]) -> _Path:
    """A step that is a choice (`occurrence`) becomes every spelling of it (`occurrenceDateTime`, …)."""
    steps: list[tuple[str, ...]] = []
    here = definitions.types.get(type_)
    for key in path["path"]:
        elements = here.elements if here else {}
        names = (key,) if key in elements or not here else tuple(n for n, e in elements.items() if e.choice == key) or (key,)
        steps.append(names)
        element = elements.get(names[0])
        here = definitions.types.get(element.type) if element else None
    return _Path(tuple(steps), path.get("target", ""), path.get("system", ""), path.get("is_so", False))


def _values(resource: Resource, steps: Steps) -> list[Any]:
    here: list[Any] = [resource]
    for names in steps:
        below: list[Any] = []
        for node in here:
            for name in names if isinstance(node, dict) else ():
                value = node.get(name)
                if isinstance(value, list):
                    below += value
                elif value is not None:
                    below.append(value)
        here = below
    return [value for value in here if value is not None]  # a list holds nothing where only a twin says something


def _tokens(name: str, value: Any, system: str, hash_id: HashId) -> Iterator[TokenEntry]:
    if isinstance(value, bool):
        yield TokenEntry(name, "", "true" if value else "false")
    elif isinstance(value, (str, int)):
        yield TokenEntry(name, "", indexed(str(value)))
    elif isinstance(value, dict) and "coding" in value:
        for coding in value["coding"]:
            if "code" not in coding and "system" in coding:
                yield TokenEntry(name, indexed(coding["system"]), "")
            yield from _tokens(name, coding, system, hash_id)
    elif isinstance(value, dict) and "code" in value:
        yield TokenEntry(name, indexed(value.get("system", "")), indexed(value["code"]))
    elif isinstance(value, dict) and "value" in value and (not system or value.get("system") == system):
        own = value.get("system", "")
        yield TokenEntry(name, indexed(own), hash_id(own, value["value"]) if own in NATIONAL_IDS else indexed(str(value["value"])))


def _typed(name: str, identifier: Resource, hash_id: HashId) -> Iterator[TokenEntry]:
    """An Identifier by each code of its type, with its value."""
    for each in _tokens("", identifier, "", hash_id):
        for coding in identifier["type"].get("coding", ()):
            if "code" in coding:
                yield TokenEntry(name, indexed(coding.get("system", "")), indexed(f"{coding['code']}|{each.value}"))


def _words(value: Resource) -> list[str]:
    """What a CodeableConcept, a Coding or an Identifier says in words (R4 3.1.1.5.5)."""
    said = [coding["display"] for coding in value["coding"] if "display" in coding] if "coding" in value else []
    for place in ("text", "display"):
        if place in value:
            said.append(value[place])
    if "type" in value and "text" in value["type"]:
        said.append(value["type"]["text"])
    return said


def _refer(wanted: list[tuple[str, str]], value: Any, found: _Found, hash_id: HashId) -> None:
    """By its literal, and by its identifier, which in Norway is the normal case (facts/fhir.md 2.3)."""
    if isinstance(value, str):
        value = {"reference": value}
    text = str(value.get("reference", ""))
    kind, _, id_ = text.partition("/_history/")[0].rpartition("/")
    types = (kind.rpartition("/")[2], value.get("type"))
    for name in [name for name, target in wanted if not target or target in types]:
        if text.startswith("#"):
            found.references.append(ReferenceEntry(name, "", indexed(text)))  # contained: nobody points to it from elsewhere, but something is there
        elif ":" in text:
            found.references += [ReferenceEntry(name, "", indexed(address)) for address in _addresses(text)]
        elif kind and id_:
            found.references.append(ReferenceEntry(name, kind, id_))
        if "display" in value or not (text or "identifier" in value):
            found.strings.append(StringEntry(name + TEXT, plain(value.get("display", ""))[:LONGEST]))
        if isinstance(value.get("identifier"), dict):
            found.tokens += _tokens(f"{name}:identifier", value["identifier"], "", hash_id)


def _addresses(text: str) -> tuple[str, ...]:
    """What a thing elsewhere is searched by: all of its address, and of a canonical with a version also what stands before that."""
    whole, bar, _ = text.partition("|")
    return (text, whole) if bar else (text,)


def _strings(value: Any) -> Iterator[str]:
    """A text, or the parts of a HumanName or an Address."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"):
            part = value.get(key)
            for text in part if isinstance(part, list) else [part]:
                if isinstance(text, str):
                    yield text
