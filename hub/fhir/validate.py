"""Validation at the border, from the definitions: structure, cardinality, primitives, required bindings, reference targets, invariants.

`fhir.resources` checks none of the last three (facts/fhir.md 1.7), and re-serialising changes data; so what came in is checked and kept.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from hub.fhir import invariants
from hub.fhir.definitions import Definitions, Element, Type
from hub.message import Resource
from hub.problem import Issue, Problem, Refused

_YEAR = r"(?!0000)\d{4}"
_DATE = re.compile(rf"{_YEAR}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII)
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_INSTANT = re.compile(rf"{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T{_CLOCK}{_ZONE}", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CODE = re.compile(r"[^\s]+( [^\s]+)*", re.ASCII)
_URI = re.compile(r"\S*", re.ASCII)
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
LONGEST = 1_048_576
ABSTRACT = ("Resource", "DomainResource")
_DEEPEST = 60
MOST_ISSUES = 100
"""More are not told: they would make a small body's answer a large one."""


def require(resource: Resource, definitions: Definitions) -> None:
    """Raises Refused with every issue, if there is any."""
    issues = check(resource, definitions)
    if any(issue.severity == "error" for issue in issues):
        raise Refused(issues[0].problem, issues[0].text, issues[0].expression, tuple(issues))


def check(resource: Any, definitions: Definitions, profiles: tuple[str, ...] = ()) -> list[Issue]:
    """Every issue, in the order of the resource; then, of what is right by R4, what the profiles find that it declares or that are named here."""
    if not isinstance(resource, dict):
        return [Issue("structure", "", "a resource is a JSON object")]
    type_ = resource.get("resourceType")
    if not isinstance(type_, str) or type_ not in definitions.served:
        return [Issue("structure", "resourceType", "not a resource type that is served here")]
    walk = _Walk(definitions, ruled=definitions.served[type_].write not in ("", "record", "message"))
    walk.inside = invariants.inside(resource)
    walk.object(resource, definitions.types[type_], type_, 0)
    if not walk.issues and (walk.local or "contained" in resource):  # most point to nothing within, and need no second walk
        walk.issues += [_broken(expression, text) for expression, text in invariants.of_resource(resource)]
    declared = resource["meta"].get("profile", ()) if not walk.issues and "meta" in resource else ()
    if not walk.issues and (declared or profiles):
        walk.issues += definitions.profiles.check(resource, (*declared, *profiles))
    return walk.issues[:MOST_ISSUES]


def _broken(expression: str, text: str) -> Issue:
    """An invariant that does not hold; its text begins with its key."""
    return Issue("invariant", expression, text, rule=text.partition(":")[0])


MODIFIERS = ("modifierExtension", "implicitRules")
"""Who does not understand these must not act on the resource (R4 extensibility.html#modifierExtension): we understand none."""


class _Walk:
    def __init__(self, definitions: Definitions, ruled: bool) -> None:
        """`ruled`: rules of ours read the resource, so what is mandatory needs its value; an extension that says why it is absent will not do."""
        self.definitions, self.types, self.ruled = definitions, definitions.types, ruled
        self.issues: list[Issue] = []
        self.local = False
        """A reference to what is contained was met."""
        self.inside: dict[str, str] = {}
        """`#id` → type of what is contained; `#`: of what contains it."""

    def say(self, code: str, where: str, text: str, problem: Problem = Problem.INVALID) -> None:
        self.issues.append(Issue(code, where, text, problem))

    def object(self, value: Any, type_: Type, where: str, depth: int) -> None:
        if not isinstance(value, dict) or not value:
            self.say("structure", where, "must be a JSON object with content")
            return
        if depth > _DEEPEST:
            self.say("structure", where, f"nested deeper than {_DEEPEST} levels")
            return
        stood: set[str] = set()
        for key, item in value.items():
            if key == "resourceType" and type_.kind == "resource":
                continue
            name = key[1:] if key.startswith("_") else key
            element = type_.elements.get(name)
            if element is None:
                self.say("structure", f"{where}.{key}", f"no such element{type_.near(name)}")
            elif self.ruled and name in MODIFIERS:
                self.say("extension", f"{where}.{name}", "would change what the rest means, and is not understood here")
            elif key is not name and (name == "id" or element.type == "xhtml" or (name == "url" and type_.name == "Extension")):
                self.say("structure", f"{where}.{key}", "has no _ twin: an attribute, or a narrative, has no extensions")
            elif key is not name:
                self.twin(item, value.get(name), element, f"{where}.{name}", depth)
            else:
                if element.choice:
                    if element.choice in stood:
                        self.say("structure", f"{where}.{name}", f"only one {element.choice}[x] may stand")
                    stood.add(element.choice)
                if element.many or not _right(item, element):  # what is right needs no words
                    self.element(item, element, f"{where}.{name}", depth, value.get(f"_{name}"))
        if "id" in value and type_.kind != "resource":
            self.element_id(value, type_, where)
        for name in type_.required:
            if name not in value and (self.ruled or f"_{name}" not in value):
                self.say("required", f"{where}.{name}", "is missing")
        for choice in type_.choices:
            if choice not in stood:
                self.say("required", f"{where}.{choice}", f"one {choice}[x] is missing")
        if type_.name == "Reference" and str(value.get("reference", ""))[:1] == "#":
            self.local = True
        if type_.name in invariants.RULES:
            self.issues += [_broken(where, text) for text in invariants.RULES[type_.name](value)]

    def element_id(self, value: dict[str, Any], type_: Type, where: str) -> None:
        if any(letter.isspace() for letter in str(value["id"])):
            self.say("value", f"{where}.id", "has no spaces")
        if len(value) == 1 and type_.name != "Element":
            self.issues.append(_broken(where, "ele-1: an element has a value or children, not an id alone"))

    def element(self, value: Any, element: Element, where: str, depth: int, twin: Any) -> None:
        if not element.many:
            if isinstance(value, list):
                self.say("structure", where, "may stand once, so it is no list")
            else:
                self.value(value, element, where, depth)
        elif not isinstance(value, list) or not value:
            self.say("structure", where, "must be a list with content")
        else:
            for number, item in enumerate(value):
                if item is not None or not self.primitive(element.type):
                    self.value(item, element, f"{where}[{number}]", depth)
                elif not isinstance(twin, list) or number >= len(twin) or not twin[number]:
                    self.say("structure", f"{where}[{number}]", "null stands only where the _ twin has something")

    def primitive(self, name: str) -> bool:
        return name in PRIMITIVES

    def value(self, value: Any, element: Element, where: str, depth: int) -> None:
        test = PRIMITIVES.get(element.type)
        if test is not None:
            wrong = test(value)
            if wrong:
                self.say("value", where, wrong)
            elif element.codes is not None and value not in element.codes:
                self.say("code-invalid", where, f"must be one of {', '.join(sorted(element.codes)[:20])}", Problem.UNKNOWN_CODE)
            return
        if element.type == "Resource":
            self.contained(value, where, depth)
            return
        self.object(value, self.types[element.type], where, depth + 1)
        if element.codes is not None and isinstance(value, dict):
            self.bound(value, element.codes, where)
        if element.targets is not None and isinstance(value, dict):
            self.target(value, element.targets, where)

    def contained(self, value: Any, where: str, depth: int) -> None:
        type_ = value.get("resourceType") if isinstance(value, dict) else None
        if isinstance(type_, str) and type_ not in self.types:
            self.types = self.definitions.of_all()
        known = self.types.get(type_) if isinstance(type_, str) and type_ not in ABSTRACT else None
        if known is None or known.kind != "resource":
            self.say("structure", f"{where}.resourceType", "no resource type of R4")
        else:
            self.object(value, known, where, depth + 1)

    def bound(self, value: dict[str, Any], codes: frozenset[str], where: str) -> None:
        codings = value.get("coding") if "coding" in value or "text" in value else [value]
        if not any(isinstance(c, dict) and isinstance(c.get("code"), str) and c["code"] in codes for c in codings or ()):
            self.say("code-invalid", where, "has no code of the required value set", Problem.UNKNOWN_CODE)

    def target(self, value: dict[str, Any], targets: frozenset[str], where: str) -> None:
        text = value.get("reference", "")
        named = isinstance(text, str) and "/" in text and not text.startswith(("#", "urn:"))
        kind = text.partition("/_history/")[0].rpartition("/")[0].rpartition("/")[2] if named else self.inside.get(str(text), "")
        for found in (kind, value.get("type", "")):
            if isinstance(found, str) and found in self.definitions.types and found not in targets:
                self.say("structure", where, f"may point to {', '.join(sorted(targets))} only")
                return

    def twin(self, value: Any, plain: Any, element: Element, where: str, depth: int) -> None:
        """`_name`: id and extensions of a primitive; `plain` is its value."""
        if not self.primitive(element.type):
            self.say("structure", where, "only primitives have a _ twin")
        elif isinstance(value, list) is not element.many:
            self.say("structure", where, "the _ twin is a list where its element is one")
        elif element.many and not any(value):
            self.say("structure", where, "the _ twin must have content")
        elif not element.many:
            self.one_twin(value, plain, where, depth)
        else:
            plains = plain if isinstance(plain, list) else []
            for number, item in enumerate(value):
                beside = plains[number] if number < len(plains) else None
                if item is not None or beside is None:
                    self.one_twin(item, beside, f"{where}[{number}]", depth)

    def one_twin(self, value: Any, plain: Any, where: str, depth: int) -> None:
        self.object(value, self.types["Element"], where, depth + 1)
        if plain is None and isinstance(value, dict) and value and "extension" not in value:
            self.issues.append(_broken(where, "ele-1: an element has a value or children, not an id alone"))


def _whole(low: int) -> Callable[[Any], str]:
    def test(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 2_147_483_647:
            return f"must be a whole number from {low} to 2147483647"
        return ""

    return test


def _matching(pattern: re.Pattern[str], text: str) -> Callable[[Any], str]:
    def test(value: Any) -> str:
        return "" if isinstance(value, str) and value and len(value) <= LONGEST and pattern.fullmatch(value) else f"must be {text}"

    return test


def _string(value: Any) -> str:
    return "" if isinstance(value, str) and value.strip() and len(value) <= LONGEST else "must be a text that is not empty, of at most 1 MiB"


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _decimal(value: Any) -> str:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18
    return "" if right else "must be a number, with at most 18 digits before the point"


def _base64(value: Any) -> str:
    try:
        base64.b64decode("".join(str(value).split()), validate=True)
    except ValueError:
        return "must be base64"
    return "" if isinstance(value, str) and value else "must be base64"


def _real(text: str) -> bool:
    """The day exists; the leap second is no datetime in Python but an instant in FHIR."""
    try:
        if "T" in text:
            datetime.fromisoformat(re.sub(r":60(?=[.Z+-])", ":59", text))
        elif len(text) == 10:
            date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _instant(value: Any) -> str:
    if isinstance(value, str) and _INSTANT.fullmatch(value) and _real(value):
        return ""
    return "must be an instant with seconds and a time zone, such as 2026-12-01T09:00:00+01:00"


def _date(value: Any) -> str:
    return "" if isinstance(value, str) and _DATE.fullmatch(value) and _real(value) else "must be a date, such as 2026-12-01"


def _date_time(value: Any) -> str:
    return "" if not _instant(value) or not _date(value) else "must be a date, or a time with seconds and a time zone"


PRIMITIVES: dict[str, Callable[[Any], str]] = {
    "boolean": _boolean, "integer": _whole(-2_147_483_648), "positiveInt": _whole(1), "unsignedInt": _whole(0), "decimal": _decimal,
    "string": _string, "markdown": _string, "code": _matching(_CODE, "a code"), "id": _matching(_ID, "an id of at most 64 of A-Z a-z 0-9 - ."),
    "uri": _matching(_URI, "a URI"), "url": _matching(_URI, "a URL"), "canonical": _matching(_URI, "a canonical URL"),
    "oid": _matching(_OID, "an OID as urn:oid:"), "uuid": _matching(_UUID, "a UUID as urn:uuid:"), "instant": _instant, "date": _date,
    "dateTime": _date_time, "time": _matching(_TIME, "a time of day with seconds"), "base64Binary": _base64, "xhtml": invariants.narrative,
}


def _right(value: Any, element: Element) -> bool:
    """A primitive that nothing is wrong with."""
    test = PRIMITIVES.get(element.type)
    return test is not None and not test(value) and (element.codes is None or value in element.codes)


def issues_text(issues: list[Issue]) -> Iterator[str]:
    """One line each, for logs and tests."""
    return (f"{issue.code} {issue.expression}: {issue.text}" for issue in issues)
