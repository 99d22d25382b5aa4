"""SMART on FHIR scopes of a system client: which interactions with which resource types a token is good for. Pure.

Both syntaxes are read: `system/Appointment.read` (SMART 1) and `system/Appointment.rs` (SMART 2.0: create, read, update, delete,
search, in that order). What we do not understand gives nothing: another context (`user/`, `patient/`), a query, an unknown letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ORDER = "cruds"
"""The letters of SMART 2.0: create, read (and vread, history of one), update (and patch), delete, search (and history of a type)."""
_V1 = {"read": "rs", "write": "cud", "*": ORDER}
_SCOPE = re.compile(r"system/([A-Z][A-Za-z]{0,63}|\*)\.(\*|read|write|c?r?u?d?s?)", re.ASCII)
_TYPE = re.compile("[A-Za-z]{1,64}", re.ASCII)
"""What else stands in an address is no type, and is not repeated in a header."""
LONGEST = 4096
"""Characters of a scope value that are looked at; a longer one gives nothing."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """What was granted, as pairs of type (or `*`) and letter."""

    granted: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, text: str | Iterable[str], names: Mapping[str, str] | None = None) -> Scopes:
        """Reads a space separated scope value, or a list. `names` gives the meaning of an issuer's own scope names."""
        words = text.split() if isinstance(text, str) and len(text) <= LONGEST else [] if isinstance(text, str) else list(text)
        pairs: set[tuple[str, str]] = set()
        for word in words:
            for scope in (names or {}).get(word, word).split():
                if (match := _SCOPE.fullmatch(scope)) is not None:
                    pairs |= {(match[1], letter) for letter in _V1.get(match[2], match[2])}
        return cls(frozenset(pairs))

    def may(self, type_: str, letter: str) -> bool:
        """True when `letter` (one of ORDER) is granted for this type."""
        return (type_, letter) in self.granted or ("*", letter) in self.granted

    def __and__(self, other: Scopes) -> Scopes:
        """What both grant."""
        return Scopes(frozenset(p for p in self.granted | other.granted if self.may(*p) and other.may(*p)))

    def __bool__(self) -> bool:
        return bool(self.granted)

    def __str__(self) -> str:
        """In SMART 2.0's own words, sorted."""
        types = sorted({type_ for type_, _ in self.granted})
        return " ".join(f"system/{t}.{''.join(c for c in ORDER if (t, c) in self.granted)}" for t in types)


EVERYTHING = Scopes(frozenset(("*", letter) for letter in ORDER))
"""What a bearer token of hub.toml gives: there the departments are the only limit."""

_OPERATIONS = {
    "$find": "s", "$hold": "c", "$book": "c", "$cancel": "u", "$publish": "s", "$export": "s", "$everything": "r", "$validate": "r",
    "$status": "r", "$events": "r",
}
_METHODS = {"GET": "r", "HEAD": "r", "PUT": "u", "PATCH": "u", "DELETE": "d"}
READ_WITH = {"Binary": "Communication"}
"""What is read by whoever may read the resource that it belongs to."""
_OF_A_TYPE = {**_METHODS, "POST": "c", "GET": "s", "HEAD": "s"}


def needed(method: str, path: tuple[str, ...]) -> tuple[str, str] | None:
    """(type, letter) that a request to this path below the FHIR base needs; None: whoever executes it must ask per entry or type."""
    if not path or not _TYPE.fullmatch(path[0]) or path[0] == "SubscriptionTopic":  # what can be subscribed to is no secret
        return None
    if len(path) == 1:
        return path[0], _OF_A_TYPE.get(method, "u")
    operation = next((part for part in path[1:] if part.startswith("$")), None)
    if operation is not None:
        return path[0], _OPERATIONS.get(operation, "u")
    if path[1:] == ("_search",):
        return path[0], "s"
    if path[1] == "_history":
        return path[0], _OF_A_TYPE.get(method, "u")
    letter = _METHODS.get(method, "u")
    return (READ_WITH.get(path[0], path[0]) if letter == "r" else path[0]), letter
