"""Literal references under our own address: they are kept relative, so that they point here wherever the hub moves, and what is absolute
is somebody else's (R4 references.html#literal)."""

from __future__ import annotations

from typing import Any

from hub.message import Resource


def ours(resource: Resource, base: str) -> Resource:
    """A copy in which each reference under `base` is relative."""
    return {key: _ours(value, f"{base}/") for key, value in resource.items()}


def _ours(node: Any, under: str) -> Any:
    if isinstance(node, list):
        return [_ours(item, under) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.removeprefix(under) if key == "reference" and isinstance(value, str) else _ours(value, under) for key, value in node.items()
    }


def named(node: Any) -> set[str]:
    """The texts of all references within."""
    found: set[str] = set()
    rest = [node]
    while rest:
        here = rest.pop()
        if isinstance(here, list):
            rest += here
        elif isinstance(here, dict):
            rest += here.values()
            found |= {here["reference"]} if isinstance(here.get("reference"), str) else set()
    return found
