"""JSON as a border wants it: no duplicate keys, no NaN, no endless nesting; a decimal keeps the digits it came with (R4 2.24.0.1)."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import orjson

from hub.problem import Problem, Refused

DEEPEST = 64
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_HIDDEN = re.compile(rb"\\u00[01]|\\ud[89a-f]|\\uff[ef]|\\[bf]|\xef\xbf[\xbe\xbf]", re.IGNORECASE)
"""Escapes that may stand for what a text must not hold: rare, and then looked at again."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Control characters, and the two that are none at all: no XML has either."""


class Decimal(float):
    """A number as it was written: 72.50 is not 72.5 in FHIR."""

    def __new__(cls, text: str) -> Decimal:
        made = super().__new__(cls, text)
        if made in (float("inf"), float("-inf")):
            raise ValueError("a number that is too large")
        return made

    def __init__(self, text: str) -> None:
        self.text = text


def dump(value: Any, pretty: bool = False) -> bytes:
    """The JSON text of a value that `load` gave, or of one of ours; `pretty`: in lines, for people."""
    return orjson.dumps(value, default=_as_written, option=orjson.OPT_INDENT_2 if pretty else 0)


def _as_written(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(value.text.encode())
    raise TypeError(f"no JSON for {type(value).__name__}")


def load(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refused: UNREADABLE.
    """
    brackets = body.translate(None, _NO_BRACKETS)
    if brackets.count(b"{") + brackets.count(b"[") > DEEPEST and _deepest(brackets) > DEEPEST and _deep(body):  # before a parser that recurses
        raise Refused(Problem.UNREADABLE, f"nested deeper than {DEEPEST} levels")
    value = _plain(body)
    if value is None:
        value = _looked_at(body)
    if not isinstance(value, dict):
        raise Refused(Problem.UNREADABLE, "not a JSON object")
    if (b"\\" in body or b"\xef\xbf" in body) and _HIDDEN.search(body):
        _readable(value)
    return value


def _plain(body: bytes) -> Any:
    """What comes out of a quick parser as it went in, to the byte: no key stands twice in it, and every number keeps its digits. None: who knows."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if orjson.dumps(value) == body.strip() else None


def _looked_at(body: bytes) -> Any:
    """By a parser that tells of every key and number, at five times the cost. Raises Refused UNREADABLE."""
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_constant, parse_float=Decimal, parse_int=_integer)
    except (UnicodeDecodeError, ValueError, RecursionError) as wrong:
        raise Refused(Problem.UNREADABLE, _what(wrong)) from wrong


def _readable(node: Any) -> None:
    """Raises Refused UNREADABLE for a text with a control character (R4 2.24.0.1, string), or with half a character, which no UTF-8 has."""
    if isinstance(node, str):
        if _CONTROL.search(node):
            raise Refused(Problem.UNREADABLE, "a control character in a text")
        try:
            node.encode()
        except UnicodeEncodeError as half:
            raise Refused(Problem.UNREADABLE, "half a character in a text") from half
    elif isinstance(node, dict):
        for key, item in node.items():
            _readable(key)
            _readable(item)
    elif isinstance(node, list):
        for item in node:
            _readable(item)


def _deepest(brackets: bytes) -> int:
    depth = deepest = 0
    for byte in brackets:
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


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


def _integer(text: str) -> int | Decimal:
    """No whole number of FHIR's has more than 64 bits, or is -0: such a one is a decimal, and goes as it came."""
    return int(text) if len(text) < 19 and text != "-0" else Decimal(text)


def _what(wrong: Exception) -> str:
    """What is wrong and where, never what stands there."""
    if isinstance(wrong, json.JSONDecodeError):
        return f"no JSON: {wrong.msg} in line {wrong.lineno} column {wrong.colno}"
    return "not UTF-8" if isinstance(wrong, UnicodeDecodeError) else str(wrong) if type(wrong) is ValueError else "nested too deep"


@lru_cache(maxsize=1024)
def keys(path: str) -> tuple[str, ...]:
    """The keys and numbers of a path."""
    return tuple(path.split("."))


def at(source: Any, path: str) -> Any:
    """What stands at a path of keys and numbers; None where it is missing, null or an empty text."""
    for key in keys(path):
        if isinstance(source, dict):
            source = source.get(key)
        elif isinstance(source, list) and key.isdigit() and int(key) < len(source):
            source = source[int(key)]
        else:
            return None
    return None if source == "" else source
