"""Patches of a resource: JSON Patch (RFC 6902), merge patch (RFC 7396) and FHIRPath Patch (R4 3.1.0.8.2). Pure; the result is validated as an
update by whoever asks."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer

from hub.fhir import strict_json, validate
from hub.fhir.definitions import Definitions
from hub.message import Resource
from hub.problem import Problem, Refused

_STEP = re.compile(r"(\w+)(?:\[(\d{1,4})\])?")
_WHERE = re.compile(r"where\((\w+(?:\.\w+)*)\s*=\s*'([^']*)'\)")
MOST_OPERATIONS = 500
LARGEST = 4 * 1024 * 1024


def apply(resource: Resource, body: bytes, media_type: str, definitions: Definitions) -> Resource:
    """The resource after the patch.

    Raises:
        Refused: UNREADABLE, BAD_PATCH (a path that is not there, a test that fails), WRONG_MEDIA_TYPE.
    """
    if media_type == "application/json-patch+json":
        return _json_patch(resource, body)
    if media_type in ("application/merge-patch+json", "application/json"):  # fhirpy sends a merge patch as application/json
        return _whole(_merged(resource, strict_json.load(body)))
    if media_type == "application/fhir+json":
        parameters = strict_json.load(body)
        validate.require(parameters, definitions)
        return _whole(_listed(_pruned(fhirpath_patch(resource, parameters)), resource["resourceType"], definitions))
    raise Refused(Problem.WRONG_MEDIA_TYPE, "a patch is application/json-patch+json, application/merge-patch+json or Parameters")


def _json_patch(resource: Resource, body: bytes) -> Resource:
    operations, *more = strict_json.load(b'{"operations":' + body + b"}").values()
    if more or not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
        raise Refused(Problem.BAD_PATCH, f"a JSON Patch is a list of at most {MOST_OPERATIONS} operations")
    patched: Any = deepcopy(resource)
    try:
        for operation in operations:
            patched = jsonpatch.JsonPatch([operation]).apply(patched, in_place=True)
            if operation["op"] == "copy" and len(strict_json.dump(patched)) > LARGEST:  # forty copies of a copy would fill any memory
                raise Refused(Problem.TOO_LARGE, f"the patch makes a resource of more than {LARGEST} bytes")
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError) as wrong:
        raise Refused(Problem.BAD_PATCH, f"the patch does not apply: {type(wrong).__name__}") from wrong
    return _whole(patched)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made


def fhirpath_patch(resource: Resource, parameters: Resource) -> Resource:
    """Applies each `operation` of a Parameters resource, in order.

    A path is element names with `[n]`, `.where(name='text')` and `.first()`; that is what a patch of a resource needs.
    """
    if parameters.get("resourceType") != "Parameters":
        raise Refused(Problem.BAD_PATCH, "a FHIRPath Patch is a Parameters resource", "resourceType")
    made = deepcopy(resource)
    for number, parameter in enumerate(parameters.get("parameter") or ()):
        parts = {str(p.get("name")): p for p in parameter.get("part") or ()} if isinstance(parameter, dict) else {}
        kind = _text(parts, "type")
        if not isinstance(parameter, dict) or parameter.get("name") != "operation" or kind not in _OPERATIONS:
            raise Refused(Problem.BAD_PATCH, "type is add, insert, delete, replace or move", f"Parameters.parameter[{number}]")
        try:
            _OPERATIONS[kind](made, _text(parts, "path"), parts)
        except Refused as refused:
            raise Refused(refused.problem, refused.detail, f"Parameters.parameter[{number}]") from refused
    return _whole(made)


def _pruned(node: Any) -> Any:
    """Without what a delete has emptied: FHIR's JSON has no empty lists and objects."""
    if isinstance(node, list):
        return [_pruned(item) for item in node]
    if not isinstance(node, dict):
        return node
    walked = {key: _pruned(value) for key, value in node.items()}
    return {key: value for key, value in walked.items() if value not in ([], {})}


def _listed(node: Any, type_: str, definitions: Definitions) -> Any:
    """What repeats is a list in JSON, also when a patch added one of it."""
    known = definitions.types.get(type_)
    if not isinstance(node, dict) or known is None:
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        element = known.elements.get(key)
        if element is None:
            made[key] = value
            continue
        items = value if isinstance(value, list) else [value]
        walked = [_listed(item, element.type, definitions) for item in items]
        made[key] = walked if element.many or isinstance(value, list) else walked[0]
    return made


def _add(root: Resource, path: str, parts: dict[str, Any]) -> None:
    name, value = _text(parts, "name"), _value(parts)
    for parent in _one(_find(root, path)):
        node = parent.value
        if not isinstance(node, dict):
            raise Refused(Problem.BAD_PATCH, "the path is no element that has elements")
        if isinstance(node.get(name), list):
            node[name].append(value)
        elif name in node:
            raise Refused(Problem.BAD_PATCH, "the element is there already: replace it")
        else:
            node[name] = value


def _insert(root: Resource, path: str, parts: dict[str, Any]) -> None:
    items, at = _list(root, path), _number(parts, "index")
    if at > len(items):
        raise Refused(Problem.BAD_PATCH, "index is beyond the end of the list")
    items.insert(at, _value(parts))


def _delete(root: Resource, path: str, parts: dict[str, Any]) -> None:
    found = _single(root, path)
    for place in _one(found) if found else ():  # deleting what is not there is no error, deleting several at once is (R4 fhirpatch.html)
        place.remove()


def _replace(root: Resource, path: str, parts: dict[str, Any]) -> None:
    for place in _one(_single(root, path)):
        place.put(_value(parts))


def _move(root: Resource, path: str, parts: dict[str, Any]) -> None:
    items, source, target = _list(root, path), _number(parts, "source"), _number(parts, "destination")
    if max(source, target) >= len(items):
        raise Refused(Problem.BAD_PATCH, "source or destination is beyond the end of the list")
    items.insert(target, items.pop(source))


_OPERATIONS: dict[str, Callable[[Resource, str, dict[str, Any]], None]] = {
    "add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move,
}


class _Place:
    """A value, and where it stands."""

    def __init__(self, home: Any, key: Any, value: Any) -> None:
        self.home, self.key, self.value = home, key, value

    def put(self, value: Any) -> None:
        if self.home is None:
            raise Refused(Problem.BAD_PATCH, "the whole resource is replaced by an update")
        self.home[self.key] = value

    def remove(self) -> None:
        if self.home is None:
            raise Refused(Problem.BAD_PATCH, "the whole resource is deleted by a delete")
        del self.home[self.key]


def _find(root: Resource, path: str) -> list[_Place]:
    steps = re.findall(r"[^.(]+(?:\([^)]*\))?", path)
    if ".".join(steps) != path:
        raise Refused(Problem.BAD_PATCH, "a path is element names between single dots")
    if not steps or steps[0] != root["resourceType"]:
        raise Refused(Problem.BAD_PATCH, f"the path begins with {root['resourceType']}")
    places = [_Place(None, None, root)]
    for step in steps[1:]:
        places = _next(places, step)
    return places


def _single(root: Resource, path: str) -> list[_Place]:
    """The elements themselves, not the lists they stand in."""
    return [item for place in _find(root, path) for item in _items(place)]


def _next(places: list[_Place], step: str) -> list[_Place]:
    items = [item for place in places for item in _items(place)]
    if step == "first()":
        return items[:1]
    if where := _WHERE.fullmatch(step):
        return [item for item in items if _inside(item.value, where[1].split(".")) == where[2]]
    match = _STEP.fullmatch(step)
    if match is None:
        raise Refused(Problem.BAD_PATCH, "a path is element names with [n], where(name='text') and first()")
    found = [_Place(p.value, match[1], p.value[match[1]]) for p in items if isinstance(p.value, dict) and match[1] in p.value]
    if match[2] is None:
        return found
    every = [item for place in found for item in _items(place)]
    return every[int(match[2]):int(match[2]) + 1]


def _items(place: _Place) -> list[_Place]:
    if not isinstance(place.value, list):
        return [place]
    return [_Place(place.value, number, item) for number, item in enumerate(place.value)]


def _inside(value: Any, names: list[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _one(places: list[_Place]) -> list[_Place]:
    if len(places) != 1:
        raise Refused(Problem.BAD_PATCH, f"the path names {len(places)} elements, and must name one")
    return places


def _list(root: Resource, path: str) -> list[Any]:
    (place,) = _one(_find(root, path))
    if not isinstance(place.value, list):
        raise Refused(Problem.BAD_PATCH, "the path is no list")
    return place.value


def _text(parts: dict[str, Any], name: str) -> str:
    part = parts.get(name) or {}
    return str(next((v for k, v in part.items() if k.startswith("value")), ""))


def _number(parts: dict[str, Any], name: str) -> int:
    text = _text(parts, name)
    if not text.isascii() or not text.isdigit():
        raise Refused(Problem.BAD_PATCH, f"{name} is a whole number from 0")
    return int(text)


def _value(parts: dict[str, Any]) -> Any:
    """`value[x]`, or an element written as parts: one that stands twice is a list."""
    part = parts.get("value")
    if part is None:
        raise Refused(Problem.BAD_PATCH, "a value is missing")
    if "part" not in part:
        return next((v for k, v in part.items() if k.startswith("value") or k == "resource"), None)
    made: dict[str, Any] = {}
    for inner in part["part"]:
        name, value = str(inner.get("name")), _value({"value": {k: v for k, v in inner.items() if k != "name"}})
        made[name] = value if name not in made else [*(made[name] if isinstance(made[name], list) else [made[name]]), value]
    return made


def _whole(patched: Any) -> Resource:
    if not isinstance(patched, dict) or "resourceType" not in patched:
        raise Refused(Problem.BAD_PATCH, "what is left is no resource")
    return patched
