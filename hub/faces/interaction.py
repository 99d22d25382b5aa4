"""One FHIR interaction: what is asked, what goes back, and how both travel. Shared by reading, writing, Bundles and operations."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Protocol

from starlette.requests import ClientDisconnect

from hub.access import Reader
from hub.booking.attachments import MOST_BYTES
from hub.faces.web import ID
from hub.fhir.outcome import OUTCOME, outcome
from hub.fhir.query import Entries, Query
from hub.fhir.search import parameters_in
from hub.message import Resource
from hub.problem import Problem, Refused, Unavailable
from hub.store import Stored
from hub.store.values import Bounds, Page

log = logging.getLogger(__name__)
JSON = "application/fhir+json"
Header = tuple[bytes, bytes]
READS = ("GET", "HEAD")
MIRRORED = (b"x-request-id", b"x-correlation-id")
"""Headers that go back as they came."""
LARGEST_FORM, LARGEST = 64 * 1024, 4 * 1024 * 1024
"""Bytes of a search form, and of a resource or Bundle."""
LARGEST_MESSAGE = LARGEST + MOST_BYTES * 4 // 3
"""Of a Communication, which may have files with it in base64."""
READ_ON = 64 * 1024 * 1024
"""Bytes of a body that is too large that are read on for."""
_TOLD_WITH: dict[Problem, tuple[Header, ...]] = {
    Problem.NOT_AUTHENTICATED: ((b"www-authenticate", b'Bearer realm="besoksbro"'),),
    Problem.WRONG_MEDIA_TYPE: ((b"accept-encoding", b"gzip"),),  # RFC 9110 15.5.16
}
_VERSION = re.compile(r'(?:W/)?"(\d{1,18})"', re.ASCII)
_TAG = re.compile(r'"[^"]*"')


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
    stated: Resource | None = None
    """What the body says, where that was read and checked before the transaction."""

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query's parameters."""
        return parameters_in(self.query)

    @property
    def prefers(self) -> str:
        """`Prefer` in small letters, without the quotes and spaces that its values may have (RFC 7240 2)."""
        return self.header(b"prefer").lower().replace('"', "").replace(" ", "")

    @property
    def strict(self) -> bool:
        return "handling=strict" in self.prefers

    @property
    def lenient(self) -> bool:
        return "handling=lenient" in self.prefers

    def require_read(self, current: Stored) -> None:
        """As `require`, of what is only read: `If-None-Match` and the times say there when to answer 304.

        Raises:
            Refused: OUT_OF_DATE.
        """
        wanted = self.header(b"if-match")
        if wanted and not named(wanted, current.etag):
            raise Refused(Problem.OUT_OF_DATE, f"this is version {current.version}")

    def require(self, current: Stored | None) -> None:
        """What the client says of the version it saw (`If-Match`, `If-None-Match`, `If-Unmodified-Since`) holds for the current one (RFC 9110 13.1).

        Raises:
            Refused: OUT_OF_DATE.
        """
        unchanged = self.header(b"if-unmodified-since")
        if unchanged and not self.header(b"if-match") and current is not None and since(current, unchanged):
            raise Refused(Problem.OUT_OF_DATE, f"the current version is {current.version}")
        wanted, unwanted = self.header(b"if-match"), self.header(b"if-none-match")
        there = current is not None and not current.deleted
        met = current is not None and named(wanted, current.etag) and (there or wanted.strip() != "*")
        if wanted and not met:
            raise Refused(Problem.OUT_OF_DATE, f"the current version is {current.version}" if current else "there is none yet")
        if unwanted and current is not None and there and named(unwanted, current.etag):
            raise Refused(Problem.OUT_OF_DATE, "it is there already")


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
    written: str = ""
    """`Type/id` of what was written or deleted."""
    modified: datetime | None = None
    """When the version that it tells of was made: to the second in `Last-Modified`, and as `meta.lastUpdated` in a Bundle."""

    def with_headers(self, *more: Header) -> Answer:
        return replace(self, headers=(*self.headers, *more))


class Source(Protocol):
    """Where resources are read: the Store, or a Transaction that sees its own writes."""

    @property
    def entries(self) -> Callable[[Resource], Entries]: ...
    def get(self, type_: str, id_: str, /) -> Stored | None: ...
    def version(self, type_: str, id_: str, number: int, /) -> Stored | None: ...
    def history(self, type_: str, id_: str, /) -> list[Stored]: ...
    def log(self, type_: str, bounds: Bounds, before: int, limit: int, /) -> list[Stored]: ...
    def search(self, query: Query, /) -> Page: ...


def tagged(tag: str) -> int | None:
    """The version that an entity tag names, where one alone may be named; None: there is no tag.

    Raises:
        Refused: OUT_OF_DATE when it is none of ours.
    """
    match = _VERSION.fullmatch(tag)
    if tag and match is None:
        raise Refused(Problem.OUT_OF_DATE, "If-Match names one version of ours here")
    return int(match[1]) if match else None


def named(tags: str, etag: str) -> bool:
    """`If-Match` or `If-None-Match` names this version: in a list, or by a star. Our tags are weak; who calls one strong means the same."""
    return tags.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(tags)


def since(found: Stored, date: str) -> bool:
    """It changed after this time of HTTP's, which has whole seconds; never after what is none."""
    try:
        return found.last_updated.replace(microsecond=0) > parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return False


def version_headers(found: Stored) -> tuple[Header, ...]:
    """ETag and Last-Modified."""
    at = format_datetime(found.last_updated.astimezone(UTC), usegmt=True)
    return (b"etag", found.etag.encode()), (b"last-modified", at.encode())


def refusal(of: Refused) -> Answer:
    """What was refused, as an OperationOutcome."""
    return Answer(OUTCOME[of.problem][0], outcome(of.problem, of.detail, of.where, of.issues, of.instead), _TOLD_WITH.get(of.problem, ()))


def later(of: Unavailable) -> Answer:
    """503, with the time to wait."""
    return Answer(503, outcome(Problem.UNAVAILABLE, of.detail), ((b"retry-after", str(int(of.retry_after or 5)).encode()),))


def allow(methods: Iterable[str]) -> Header:
    """`Allow` for an address with these methods; OPTIONS goes with every address (hub.faces.oauth.Admission)."""
    return b"allow", ", ".join([*methods, "OPTIONS"]).encode()


def known(id_: str) -> str:
    """An id as ids look. Raises Refused UNKNOWN_RESOURCE."""
    if not ID.fullmatch(id_):
        raise Refused(Problem.UNKNOWN_RESOURCE, "no id looks like that")
    return id_


def failed(trouble: Exception) -> Answer:
    """The answer for what was raised. Anything but Refused and Unavailable is a fault of ours, which the log tells of."""
    match trouble:
        case Refused():
            return refusal(trouble)
        case Unavailable():
            return later(trouble)
    log.error("a FHIR request failed", exc_info=trouble)
    return Answer(500, outcome(Problem.UNAVAILABLE, "a fault of ours; it is logged"))


def below(scope: Any) -> tuple[str, ...]:
    """The address below where the face stands, in parts. Noted in the scope: gate and face ask the same."""
    found: tuple[str, ...] | None = scope.get("below")
    if found is None:
        found = scope["below"] = tuple([part for part in scope["path"][len(scope.get("root_path", "")):].split("/") if part])
    return found


def headers_of(scope: Any) -> dict[bytes, bytes]:
    """Each header once: what comes in several lines is one list (RFC 9110 5.3)."""
    pairs = scope["headers"]
    found = dict(pairs)
    if len(found) < len(pairs):
        found = {name: b", ".join([value for key, value in pairs if key == name]) for name in found}
    return found


def largest(path: tuple[str, ...]) -> int:
    """Bytes of a body that is sent to this address below the base."""
    return LARGEST_FORM if path[-1:] == ("_search",) else LARGEST_MESSAGE if path == ("Communication",) else LARGEST


async def read_body(receive: Any, largest: int) -> bytes | None:
    """The whole body; None when it is larger, after it was read to its end (if that comes), so that the sender hears the answer.

    Raises:
        ClientDisconnect: the connection ended before the body did; what came may look whole, and is not.
    """
    chunks, size, more = [], 0, True
    while more and size <= largest + READ_ON:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        more = message.get("more_body", False)
        if size <= largest:
            chunks.append(chunk)
    return b"".join(chunks) if size <= largest else None


async def respond(send: Any, method: str, asked: Mapping[bytes, bytes], answer: Answer, format_: str = JSON) -> None:
    """Sends the answer to a request with these headers."""
    bare = answer.status in (204, 304)
    headers: list[Header] = list(answer.headers)
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    if not bare:
        kind = answer.media_type or f"{format_}; fhirVersion=4.0; charset=utf-8"
        headers += [(b"content-type", kind.encode()), (b"content-length", str(len(answer.body)).encode())]
    headers += [(name, asked[name][:200]) for name in MIRRORED if name in asked]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bare or method == "HEAD" else answer.body})
