"""The paths of a FHIRPath Patch, read: what is written there, whatever the resource. Pure."""

from __future__ import annotations

import re
from typing import Any

from hub.problem import Problem, Refused

_STEP = re.compile(r"([A-Za-z]\w*)(?:(\()((?:[^()']|'[^']*')*)\))?((?:\[\d{1,4}\])*)", re.ASCII)
_TEST = re.compile(r"\s*([A-Za-z]\w*(?:\.\w+)*)\s*=\s*('[^']*'|true|false|-?\d+(?:\.\d+)?)\s*", re.ASCII)
_AND = re.compile(r"\band\b(?=(?:[^']*'[^']*')*[^']*$)")
LONGEST = 1_000
"""Characters of a path."""
Test = tuple[list[str], str]
"""The names to what is compared, and the literal that it is compared with."""


def refused(text: str) -> Refused:
    return Refused(Problem.BAD_PATCH, text)


def steps(path: str) -> list[tuple[str, str | None, list[int]]]:
    """(name, argument, places) of each step; no argument: it is no function."""
    if len(path) > LONGEST:
        raise refused(f"a path has at most {LONGEST} characters")
    found, at = [], 0
    while match := _STEP.match(path, at):
        found.append((match[1], match[3] if match[2] else None, [int(n) for n in re.findall(r"\d+", match[4])]))
        at = match.end() + 1
        if path[match.end():at] != ".":
            break
    if not found or at != len(path) + 1:
        raise refused("a path is element names and functions between single dots")
    return found


def tests(argument: str) -> list[Test]:
    """What a `where()` asks, all of it. Raises Refused BAD_PATCH."""
    found = []
    for each in _AND.split(argument):
        match = _TEST.fullmatch(each)
        if match is None:
            raise refused("where() compares names with texts, numbers or true and false, joined by and")
        found.append((match[1].split("."), match[2]))
    return found


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(getattr(value, "text", value)) if isinstance(value, (int, float)) else f"'{value}'"
