"""FHIRPath Patch (R4 fhirpatch.html): add, insert, delete, replace, move. Pure.

A path is what names an element: names, also those of choices (`deceased`), `[n]`, `where(…)` with `=` and `and`, `first()`, `last()`, `single()`,
`ofType(…)`, `as(…)` and `extension('url')`. A primitive goes with its id and extensions: `_given` keeps its place beside `given`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hub.fhir.definitions import Definitions, Element
from hub.fhir.paths import Test, literal, refused, steps, tests
from hub.fhir.twins import Content, aligned, put, tidy
from hub.message import Resource
from hub.problem import Problem, Refused

Parts = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Spot:
    """An element, and where it stands: under a key, in a list there or not."""

    home: dict[str, Any]
    key: str
    place: int | None
    type: str
    within: str = ""
    """The type that it is an element of."""
    name: str = ""
    """Its own there: of a choice without the type."""

    @property
    def value(self) -> Any:
        found = self.home.get(self.key)
        if self.place is None:
            return found
        return found[self.place] if isinstance(found, list) and self.place < len(found) else None


class Patcher:
    """One resource, and what is done to it."""

    def __init__(self, resource: Resource, definitions: Definitions) -> None:
        self.root, self._definitions = deepcopy(resource), definitions
        self._types = definitions.types
        self._operations: dict[str, Callable[[str, Parts], None]] = {
            "add": self._add, "insert": self._insert, "delete": self._delete, "replace": self._replace, "move": self._move,
        }

    def apply(self, parameters: Resource) -> Resource:
        """Each `operation` of a Parameters resource that is valid, in order. Raises Refused BAD_PATCH, with its place."""
        for number, parameter in enumerate(parameters.get("parameter") or ()):
            where = f"Parameters.parameter[{number}]"
            parts: Parts = {str(part.get("name")): part for part in parameter.get("part") or ()}
            do = self._operations.get(_text(parts, "type"))
            if parameter.get("name") != "operation" or do is None:
                raise Refused(Problem.BAD_PATCH, "type is add, insert, delete, replace or move", where)
            try:
                do(_text(parts, "path"), parts)
            except Refused as wrong:
                raise Refused(wrong.problem, wrong.detail, where) from wrong
        return self.root

    def _add(self, path: str, parts: Parts) -> None:
        home, type_ = self._parent(path)
        name = _text(parts, "name")
        content = self._content(parts, type_, name)
        key, element = self._key(type_, name, content.kind)
        if element.many:
            self._put_in(home, key, content, len(aligned(home, key)[0]))
        elif any(spelling in home or f"_{spelling}" in home for spelling in self._spellings(type_, name)):
            raise refused("the element is there already: replace it")
        else:
            put(home, key, content)

    def _insert(self, path: str, parts: Parts) -> None:
        home, key, type_, name = self._list(path)
        at, content = _number(parts, "index"), self._content(parts, type_, name)
        if at > len(aligned(home, key)[0]):
            raise refused("index is beyond the end of the list")
        self._put_in(home, key, content, at)

    def _delete(self, path: str, parts: Parts) -> None:
        found = self._found(path)
        if len(found) > 1:
            raise refused(f"the path names {len(found)} elements, and must name one")
        for spot in found:  # what is not there is no error (R4 fhirpatch.html)
            _remove(spot)

    def _replace(self, path: str, parts: Parts) -> None:
        spot = self._single(path)
        content = self._content(parts, spot.within, spot.name)
        if spot.place is not None:
            values, twins = aligned(spot.home, spot.key)
            values[spot.place], twins[spot.place] = content.value, content.twin
            tidy(spot.home, spot.key, values, twins)
            return
        _remove(spot)
        put(spot.home, self._key(spot.within, spot.name, content.kind)[0], content)

    def _move(self, path: str, parts: Parts) -> None:
        home, key, _, _ = self._list(path)
        source, target = _number(parts, "source"), _number(parts, "destination")
        values, twins = aligned(home, key)
        if max(source, target) >= len(values):
            raise refused("source or destination is beyond the end of the list")
        for each in (values, twins):
            each.insert(target, each.pop(source))
        tidy(home, key, values, twins)

    def _put_in(self, home: dict[str, Any], key: str, content: Content, at: int) -> None:
        values, twins = aligned(home, key)
        values.insert(at, content.value)
        twins.insert(at, content.twin)
        tidy(home, key, values, twins)

    def _found(self, path: str) -> list[_Spot]:
        """Raises Refused BAD_PATCH for a path that cannot be read, and for a name that its type does not have."""
        first, *more = steps(path)
        if first[0] != self.root["resourceType"] or first[1] is not None:
            raise refused(f"the path begins with {self.root['resourceType']}")
        here = [_Spot({"": self.root}, "", None, str(self.root["resourceType"]))]
        for name, argument, places in more:
            here = self._stepped(here, name, argument)
            for place in places:
                here = here[place:place + 1]
        return here

    def _stepped(self, here: list[_Spot], name: str, argument: str | None) -> list[_Spot]:
        if argument is None:
            return [below for spot in here for below in self._below(spot, name)]
        match name:
            case "first":
                return here[:1]
            case "last":
                return here[-1:]
            case "single" if len(here) == 1:
                return here
            case "where":
                wanted = tests(argument)
                return [spot for spot in here if all(self._meets(spot, test) for test in wanted)]
            case "ofType" | "as":
                return [spot for spot in here if spot.type == argument.strip().rpartition(".")[2]]
            case "extension":
                url = argument.strip()
                return [below for spot in here for below in self._below(spot, "extension")
                        if isinstance(below.value, dict) and f"'{below.value.get('url')}'" == url]
        raise refused("a path is names, [n], where(name = 'text'), first(), last(), single(), ofType(type) and extension('url')")

    def _below(self, spot: _Spot, name: str) -> Iterator[_Spot]:
        """The children of that name. A primitive's are its twin's."""
        home, type_ = spot.value, spot.type
        if not isinstance(home, dict):
            home, type_ = _twin(spot), "Element"
        keys = self._spellings(type_, name)
        if not keys:
            raise refused(f"{type_} has no such element")
        for key in keys:
            element = self._types[type_].elements[key]
            values = home.get(key, home.get(f"_{key}")) if isinstance(home, dict) else None
            if isinstance(values, list):
                yield from (_Spot(home, key, place, self._type(element, value), type_, name) for place, value in enumerate(values))
            elif values is not None:
                yield _Spot(home, key, None, self._type(element, values), type_, name)

    def _meets(self, spot: _Spot, test: Test) -> bool:
        names, wanted = test
        here = [spot]
        for name in names:
            here = [below for each in here for below in self._below(each, name)]
        return any(literal(each.value) == wanted for each in here)

    def _type(self, element: Element, value: Any) -> str:
        if element.type != "Resource":
            return element.type
        name = str(value.get("resourceType")) if isinstance(value, dict) else ""
        if name not in self._types:
            self._types = self._definitions.of_all()
        return name

    def _spellings(self, type_: str, name: str) -> list[str]:
        known = self._types.get(type_)
        if known is None:
            return []
        return [name] if name in known.elements else [key for key, element in known.elements.items() if element.choice == name and name]

    def _key(self, type_: str, name: str, kind: str) -> tuple[str, Element]:
        """How JSON spells an element: of a choice by the type of what it holds."""
        keys = self._spellings(type_, name)
        key = keys[0] if keys == [name] else f"{name}{kind}"
        if key not in keys:
            raise refused(f"{type_} has no {name[:64]}" + (f" of type {kind[:64]}" if keys else ""))
        return key, self._types[type_].elements[key]

    def _single(self, path: str) -> _Spot:
        found = self._found(path)
        if len(found) != 1:
            raise refused(f"the path names {len(found)} elements, and must name one")
        if not found[0].key:
            raise refused("the whole resource is replaced by an update")
        return found[0]

    def _parent(self, path: str) -> tuple[dict[str, Any], str]:
        """What may hold elements: an object, or the id and extensions of a primitive."""
        found = self._found(path)
        if len(found) != 1:
            raise refused(f"the path names {len(found)} elements, and must name one")
        spot = found[0]
        if isinstance(spot.value, dict):
            return spot.value, spot.type
        raise refused("the path is no element that has elements")

    def _list(self, path: str) -> tuple[dict[str, Any], str, str, str]:
        """(home, key, type of the home, name) of a list, which may be empty yet."""
        above, _, name = path.rpartition(".")
        home, type_ = self._parent(above)
        keys = self._spellings(type_, name)
        if keys != [name] or not self._types[type_].elements[name].many:
            raise refused("the path is no list")
        return home, name, type_, name

    def _content(self, parts: Parts, type_: str, name: str) -> Content:
        """`value[x]`, or an element written as parts. Raises Refused BAD_PATCH."""
        part = parts.get("value")
        if part is None:
            raise refused("a value is missing")
        return self._built(part, type_, name)

    def _built(self, part: dict[str, Any], type_: str, name: str) -> Content:
        if "part" not in part:
            key = next((k.lstrip("_") for k in part if k.lstrip("_").startswith("value")), "")
            return Content(part.get(key, part.get("resource")), part.get(f"_{key}"), key.removeprefix("value"))
        made: dict[str, Any] = {}
        below = next((self._types[type_].elements[key].type for key in self._spellings(type_, name)), "")
        for inner in part["part"]:
            content = self._built(inner, below, str(inner.get("name")))
            key, element = self._key(below, str(inner.get("name")), content.kind)
            if element.many:
                self._put_in(made, key, content, len(aligned(made, key)[0]))
            else:
                put(made, key, content)
        return Content(made, kind=f"{below[:1].upper()}{below[1:]}")


def _twin(spot: _Spot) -> Any:
    beside = spot.home.get(f"_{spot.key}")
    if spot.place is None:
        return beside
    return beside[spot.place] if isinstance(beside, list) and spot.place < len(beside) else None


def _remove(spot: _Spot) -> None:
    if not spot.key:
        raise refused("the whole resource is deleted by a delete")
    if spot.place is None:
        spot.home.pop(spot.key, None)
        spot.home.pop(f"_{spot.key}", None)
        return
    values, twins = aligned(spot.home, spot.key)
    del values[spot.place], twins[spot.place]
    tidy(spot.home, spot.key, values, twins)


def _text(parts: Parts, name: str) -> str:
    part = parts.get(name) or {}
    return str(next((v for k, v in part.items() if k.startswith("value")), ""))


def _number(parts: Parts, name: str) -> int:
    text = _text(parts, name)
    if not text.isascii() or not text.isdigit():
        raise refused(f"{name} is a whole number from 0")
    return int(text)
