"""Bundles stitched from stored bytes: a search never parses a resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import orjson


class Piece(Protocol):
    """A stored version."""

    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Version(Piece, Protocol):
    """A version with its history."""

    @property
    def deleted(self) -> bool: ...
    @property
    def etag(self) -> str: ...
    @property
    def last_updated(self) -> datetime: ...


def searchset(
    base: str, entries: Sequence[Piece], included: Sequence[Piece], total: int | None, links: Iterable[tuple[str, str]],
    outcome: bytes | None = None,
) -> bytes:
    """A searchset: matches, then what was included, then an outcome entry."""
    prefix = b'{"fullUrl":"' + base.encode() + b"/"
    pieces = [
        b"".join((prefix, e.type.encode(), b"/", e.id.encode(), b'","resource":', e.body, b',"search":{"mode":"match"}}')) for e in entries
    ]
    pieces += [
        b"".join((prefix, e.type.encode(), b"/", e.id.encode(), b'","resource":', e.body, b',"search":{"mode":"include"}}')) for e in included
    ]
    return _bundle(b"searchset", total, links, pieces + _noted(outcome))


def _noted(outcome: bytes | None) -> list[bytes]:
    return [] if outcome is None else [b'{"resource":' + outcome + b',"search":{"mode":"outcome"}}']


def made(resources: Iterable[bytes], total: int, links: Iterable[tuple[str, str]] = (), outcome: bytes | None = None) -> bytes:
    """A searchset of what is no stored version and has no address: offers, holds, conformance resources."""
    pieces = [b'{"resource":' + body + b',"search":{"mode":"match"}}' for body in resources]
    return _bundle(b"searchset", total, links, pieces + _noted(outcome))


def history(base: str, versions: Sequence[Version], total: int | None, links: Iterable[tuple[str, str]]) -> bytes:
    """Versions, newest first; a deletion has no resource."""
    pieces = []
    for v in versions:
        first = v.version == 1
        method, status = ("DELETE", "204") if v.deleted else ("POST", "201") if first else ("PUT", "200")
        entry = {
            "request": {"method": method, "url": v.type if first else f"{v.type}/{v.id}"},
            "response": {"status": status, "etag": v.etag, "lastModified": v.last_updated.isoformat(timespec="milliseconds")},
        }
        resource = b"" if v.deleted else b',"resource":' + v.body
        pieces.append(b'{"fullUrl":"' + f"{base}/{v.type}/{v.id}".encode() + b'"' + resource + b"," + orjson.dumps(entry)[1:])
    return _bundle(b"history", total, links, pieces)


def responses(kind: str, entries: Iterable[tuple[bytes, dict[str, str], bytes]]) -> bytes:
    """The answer to a batch or transaction: per entry the resource, the response and an outcome; empty bytes where there is none."""
    pieces = []
    for resource, response, problem in entries:
        told = orjson.dumps(response)[:-1] + (b',"outcome":' + problem if problem else b"") + b"}"
        pieces.append(b"{" + (b'"resource":' + resource + b"," if resource else b"") + b'"response":' + told + b"}")
    return _bundle(kind.encode(), None, (), pieces)


def _bundle(kind: bytes, total: int | None, links: Iterable[tuple[str, str]], pieces: list[bytes]) -> bytes:
    relations = [{"relation": relation, "url": url} for relation, url in links]
    link = b',"link":' + orjson.dumps(relations) if relations else b""
    counted = b"" if total is None else b',"total":' + str(total).encode()
    entry = b',"entry":[' + b",".join(pieces) + b"]" if pieces else b""
    return b'{"resourceType":"Bundle","type":"' + kind + b'"' + counted + link + entry + b"}"
