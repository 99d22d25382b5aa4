"""One FHIR interaction: what is asked, and what goes back. Shared by reading, writing and Bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import parse_qsl

from hub.access import Reader
from hub.fhir.outcome import OUTCOME, outcome
from hub.fhir.query import Query
from hub.problem import Problem, Refused
from hub.store import Stored
from hub.store.values import Page

Header = tuple[bytes, bytes]
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_TAG = re.compile(r'(?:W/)?"(\d{1,18})"', re.ASCII)
_PATIENT = re.compile(rb'"reference":"(Patient/[A-Za-z0-9\-.]{1,64})"')


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, or one entry of a Bundle, as far as the handlers need it."""

    method: str
    path: tuple[str, ...]
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    reader: Reader | None = None
    promised: str = ""
    """The id that a transaction has promised for what is created; empty: a fresh one."""

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query's parameters."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def strict(self) -> bool:
        return "handling=strict" in self.header(b"prefer")

    @property
    def if_match(self) -> int | None:
        """The version that the client saw; None: it does not tell.

        Raises:
            Refused: OUT_OF_DATE when it is no version of ours.
        """
        tag = self.header(b"if-match").strip()
        match = _TAG.fullmatch(tag)
        if tag and tag != "*" and match is None:
            raise Refused(Problem.OUT_OF_DATE, "If-Match is no version of ours")
        return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, and whose data it holds."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    persons: tuple[str, ...] = ()
    """`Patient/…`: whose data it holds, for the access log."""
    kind: str = ""
    media_type: str = ""
    """Where it is neither JSON nor XML of FHIR."""

    def with_headers(self, *more: Header) -> Answer:
        return replace(self, headers=(*self.headers, *more))


class Source(Protocol):
    """Where resources are read: the Store, or a Transaction that sees its own writes."""

    def get(self, type_: str, id_: str, /) -> Stored | None: ...
    def version(self, type_: str, id_: str, number: int, /) -> Stored | None: ...
    def history(self, type_: str, id_: str, /) -> list[Stored]: ...
    def log(self, type_: str, bounds: tuple[int, int], before: int, limit: int, /) -> list[Stored]: ...
    def search(self, query: Query, /) -> Page: ...


def version_headers(found: Stored) -> tuple[Header, ...]:
    """ETag and Last-Modified."""
    at = format_datetime(found.last_updated.astimezone(UTC), usegmt=True)
    return (b"etag", found.etag.encode()), (b"last-modified", at.encode())


def refusal(problem: Problem, detail: str, where: str = "") -> Answer:
    """An error as an OperationOutcome."""
    headers: tuple[Header, ...] = ((b"www-authenticate", b'Bearer realm="besoksbro"'),) if problem is Problem.NOT_AUTHENTICATED else ()
    return Answer(OUTCOME[problem][0], outcome(problem, detail, where), headers)


def persons(found: Iterable[Stored]) -> tuple[str, ...]:
    """Whose data these are, taken from the text: parsing is what a read does without. Types that hold no person give none."""
    seen: dict[str, None] = {}
    for each in found:
        if each.type == "Patient":
            seen[each.reference] = None
        else:
            for match in _PATIENT.finditer(each.body):
                seen[match[1].decode()] = None
    return tuple(seen)


def known(id_: str) -> str:
    """An id as ids look. Raises Refused UNKNOWN_RESOURCE."""
    if not ID.fullmatch(id_):
        raise Refused(Problem.UNKNOWN_RESOURCE, "no id looks like that")
    return id_
