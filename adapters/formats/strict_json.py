"""JSON as a border wants it: no duplicate keys, no NaN, no endless nesting."""

from __future__ import annotations

import json
from typing import Any

from hub.problem import Problem, Refused

DEEPEST = 64


def load(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refused: UNREADABLE.
    """
    depth = deepest = 0
    for byte in body:  # counted before parsing: a parser that recurses must not meet a million brackets
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > DEEPEST and _deep(body):
        raise Refused(Problem.UNREADABLE, f"nested deeper than {DEEPEST} levels")
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as wrong:
        raise Refused(Problem.UNREADABLE, _what(wrong)) from wrong
    if not isinstance(value, dict):
        raise Refused(Problem.UNREADABLE, "not a JSON object")
    return value


def _deep(body: bytes) -> bool:
    """Brackets inside strings do not count."""
    depth, text, escaped = 0, False, False
    for byte in body:
        if escaped:
            escaped = False
        elif text:
            escaped, text = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            text = True
        elif byte in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif byte in b"]}":
            depth -= 1
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _what(wrong: Exception) -> str:
    """What is wrong and where, never what stands there."""
    if isinstance(wrong, json.JSONDecodeError):
        return f"no JSON: {wrong.msg} in line {wrong.lineno} column {wrong.colno}"
    return "not UTF-8" if isinstance(wrong, UnicodeDecodeError) else str(wrong) if type(wrong) is ValueError else "nested too deep"
