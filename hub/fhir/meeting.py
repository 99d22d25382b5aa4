"""Whether one version of a resource meets conditions, by its own index entries: for versions that no index holds any more. Pure.

It judges as the SQL of hub.store.conditions does of the current version; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hub.fhir.query import (
    AllOf,
    AnyOf,
    Chained,
    CodeIn,
    Condition,
    DateIs,
    Entries,
    Has,
    IdIs,
    Missing,
    Near,
    PartOf,
    ReferenceIs,
    SpanIs,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriBelow,
)
from hub.fhir.text import LONGEST, plain


class Version(Protocol):
    """What is not in the entries."""

    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def updated(self) -> int: ...


class _Named(Protocol):
    """An entry of any kind."""

    @property
    def param(self) -> str: ...


Elsewhere = Callable[[str, tuple[str, ...], tuple[Condition, ...]], bool]
"""`elsewhere(type, ids, conditions)`: some current resource of these meets them. What asks about other resources asks how they are now."""


def meets(version: Version, entries: Entries, conditions: Iterable[Condition], elsewhere: Elsewhere = lambda *_: False) -> bool:
    """All of them."""
    return all(_meets(version, entries, condition, elsewhere) for condition in conditions)


def _meets(version: Version, entries: Entries, condition: Condition, elsewhere: Elsewhere) -> bool:
    match condition:
        case IdIs():
            return version.id in condition.any_of
        case UpdatedIs():
            return any(_moment(version.updated, *each) for each in condition.any_of)
        case TokenIs():
            codes = [(e.system, e.value) for e in entries.tokens if e.param == condition.param]
            met = any(system in (None, s) and value in (None, v) for system, value in condition.any_of for s, v in codes)
            return met is not condition.negated
        case CodeIn():
            codes = [(e.system, e.value) for e in entries.tokens if e.param == condition.param]
            met = any(system == s and (values is None or v in values) for system, values in condition.any_of for s, v in codes)
            return met is not condition.negated
        case UriBelow():
            return any(found in condition.any_of or found.startswith(condition.beginnings) for found in _addresses(condition, entries))
        case Near():
            return _near(condition, entries)
        case ReferenceIs():
            targets = [(e.type, e.id) for e in entries.references if e.param == condition.param]
            return any(type_ in (None, t) and target == i for type_, target in condition.any_of for t, i in targets)
        case DateIs(main=True):
            return any(_moment(entries.at, *each) for each in condition.any_of)
        case DateIs() | SpanIs():
            return any(_period(e.low, e.high, *each) for e in entries.dates if e.param == condition.param for each in condition.any_of)
        case StringIs():
            texts = [e.value for e in entries.strings if e.param == condition.param]
            return any(_string(text, modifier, plain(wanted)[:LONGEST]) for modifier, wanted in condition.any_of for text in texts)
        case Missing():
            lists: tuple[Sequence[_Named], ...] = (entries.tokens, entries.references, entries.dates, entries.strings)
            return all(each.param.partition(":")[0] != condition.param for every in lists for each in every) is condition.missing
        case AllOf():
            return meets(version, entries, condition.conditions, elsewhere)
        case AnyOf():
            return any(_meets(version, entries, one, elsewhere) for one in condition.conditions)
        case Chained():
            ids = tuple(e.id for e in entries.references if (e.param, e.type) == (condition.param, condition.type))
            return bool(ids) and elsewhere(condition.type, ids, condition.conditions)
        case Has() | PartOf():
            return elsewhere(version.type, (version.id,), (condition,))


def _addresses(condition: UriBelow, entries: Entries) -> list[str]:
    if condition.kind == "token":
        return [e.value for e in entries.tokens if e.param == condition.param]
    return [e.id for e in entries.references if (e.param, e.type) == (condition.param, "")]


def _near(condition: Near, entries: Entries) -> bool:
    marks = {e.param.removeprefix(condition.param): e for e in entries.dates if e.param.partition(":")[0] == condition.param}
    return bool(marks) and any(
        (marks[""].low - x) ** 2 + (marks[""].high - y) ** 2 + (marks[":z"].low - z) ** 2 <= chord for x, y, z, chord in condition.any_of
    )


def _moment(at: int, prefix: str, low: int, high: int) -> bool:
    """A time that is a point; 0 is none (hub.store.conditions.moment_is)."""
    slack = (high - low) // 10
    match prefix:
        case "eq":
            return low <= at < high
        case "ne":
            return at != 0 and not low <= at < high
        case "gt" | "sa":
            return at >= high
        case "ge":
            return at >= low
        case "lt" | "eb":
            return at != 0 and at < low
        case "le":
            return at != 0 and at < high
    return low - slack <= at < high + slack


def _period(first: int, last: int, prefix: str, low: int, high: int) -> bool:
    """An element that is [first, last) (R4 3.1.1.5.2)."""
    slack = (high - low) // 10
    within = first >= low and last <= high
    return {
        "eq": within, "ne": not within, "gt": last > high, "ge": last > low, "lt": first < low, "le": first < high, "sa": first >= high,
        "eb": last <= low, "ap": first < high + slack and last > low - slack,
    }[prefix]


def _string(text: str, modifier: str, wanted: str) -> bool:
    return wanted in text if modifier == "contains" else text.startswith(wanted)
