"""The value of a search parameter: alternatives between commas, each read as its parameter's type has it (R4 3.1.1.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.fhir import times
from hub.fhir.definitions import Definitions
from hub.fhir.index import NATIONAL_IDS
from hub.fhir.paging import HashId
from hub.fhir.text import indexed
from hub.problem import Problem, Refused

_PREFIX = re.compile(r"(eq|ne|gt|ge|lt|le|sa|eb|ap)(?=\d)")
_ELEVEN = re.compile(r"\d{11}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a search is understood by."""

    definitions: Definitions
    hash_id: HashId
    base: str = ""
    """Our own address: an absolute reference under it is one of ours; under another it is somebody else's."""


def split(value: str) -> list[str]:
    """Alternatives at commas that no backslash escapes."""
    if "," not in value:
        return [value] if value else []
    parts = apart(value, ",") if "\\" in value else value.split(",")
    return [part for part in parts if part]


def apart(value: str, mark: str) -> list[str]:
    r"""At each `mark` that is not escaped; of `\\` the second backslash escapes nothing."""
    parts, last = [], 0
    for match in re.finditer(rf"\\.|{re.escape(mark)}", value, re.DOTALL):
        if match[0] == mark:
            parts.append(value[last:match.start()])
            last = match.end()
    return [*parts, value[last:]]


def plain(value: str) -> str:
    r"""Without the backslashes before `,`, `$`, `|` and `\`."""
    return re.sub(r"\\([\\,$|])", r"\1", value) if "\\" in value else value


def token(value: str, terms: Terms, implied: frozenset[str] = frozenset()) -> tuple[str | None, str | None]:
    """`code`, `system|code`, `|code` (no system), `system|`. A system that the element's binding implies is none in the resource."""
    first, *rest = apart(value, "|") if "\\" in value else value.split("|")
    if not rest:
        return None, indexed(plain(first))
    system, code = indexed(plain(first)), plain("|".join(rest))
    if system in implied:
        system = ""
    if not code:
        return system, None
    return system, terms.hash_id(system, code) if system in NATIONAL_IDS else indexed(code)


def of_type(value: str, terms: Terms) -> list[tuple[str | None, str | None]]:
    """Of `:of-type`: `system|code|value`, the first two of Identifier.type. Whether the number is a national id is not told, so it may be any.

    Raises:
        Refused: BAD_SEARCH.
    """
    parts = [plain(part) for part in apart(value, "|")]
    if len(parts) != 3 or not all(parts):
        raise Refused(Problem.BAD_SEARCH, ":of-type takes system|code|value, all three, of the identifier's type and of itself")
    system, code, number = parts
    numbers = [number, *(terms.hash_id(national, number) for national in sorted(NATIONAL_IDS) if _ELEVEN.fullmatch(number))]
    return [(indexed(system), indexed(f"{code}|{each}")) for each in numbers]


def shown(name: str) -> str:
    """A name that a client chose, as an error may show it."""
    return re.sub(r"[^\w.:-]", "?", name)[:40]


def reference(value: str, target: str | None, terms: Terms) -> tuple[str | None, str]:
    """`id`, `Type/id`, or an address: under our own it is the same, any other stands for itself, whole, as the index has it."""
    text = plain(value)
    if terms.base:
        text = text.removeprefix(f"{terms.base}/")
    if ":" in text:
        return "", indexed(text)
    kind, _, id_ = text.partition("/_history/")[0].rpartition("/")
    return target or kind.rpartition("/")[2] or None, id_


def date(value: str) -> tuple[str, int, int]:
    """The prefix and [low, high). Raises Refused BAD_SEARCH."""
    match = _PREFIX.match(value)
    prefix = match[1] if match else "eq"
    try:
        low, high = times.span(value[len(match[0]) if match else 0:].replace(" ", "+"))
    except (ValueError, OverflowError) as wrong:
        raise Refused(Problem.BAD_SEARCH, "a date such as 2026-12-01 or 2026-12-01T09:00:00+01:00, with a prefix or none") from wrong
    return prefix, low, high


def boolean(value: str) -> bool:
    """Of `:missing`. Raises Refused BAD_SEARCH."""
    if value not in ("true", "false"):
        raise Refused(Problem.BAD_SEARCH, ":missing is true or false")
    return value == "true"
