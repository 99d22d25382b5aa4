"""Primitives in JSON with their ids and extensions beside them (R4 json.html#primitive): `given` and `_given` keep their places together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Content:
    """What is put somewhere: the value, beside it id and extensions of a primitive, and the kind of a choice that it is."""

    value: Any
    twin: Any = None
    kind: str = ""


def aligned(home: dict[str, Any], key: str) -> tuple[list[Any], list[Any]]:
    """The values of a list, and of as many places what stands beside each."""
    values, twins = list(home.get(key) or ()), list(home.get(f"_{key}") or ())
    most = max(len(values), len(twins))
    return values + [None] * (most - len(values)), twins + [None] * (most - len(twins))


def tidy(home: dict[str, Any], key: str, values: list[Any], twins: list[Any]) -> None:
    for name, items in ((key, values), (f"_{key}", twins)):
        if any(item is not None for item in items):
            home[name] = items
        else:
            home.pop(name, None)


def put(home: dict[str, Any], key: str, content: Content) -> None:
    home.update({name: value for name, value in ((key, content.value), (f"_{key}", content.twin)) if value is not None})
