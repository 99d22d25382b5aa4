"""Bundles stitched from stored bytes: a search never parses a resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    if outcome is not None:
        pieces.append(b'{"resource":' + outcome + b',"search":{"mode":"outcome"}}')
    return _bundle(b"searchset", total, links, pieces)


def history(base: str, versions: Sequence[Piece], links: Iterable[tuple[str, str]]) -> bytes:
    """The history of one resource, newest first."""
    pieces = []
    for v in versions:
        first = v.version == 1
        method, status = (b"POST", b"201") if first else (b"PUT", b"200")
        url = v.type if first else f"{v.type}/{v.id}"
        pieces.append(b"".join((
            b'{"fullUrl":"', f"{base}/{v.type}/{v.id}".encode(), b'","resource":', v.body, b',"request":{"method":"', method, b'","url":"',
            url.encode(), b'"},"response":{"status":"', status, b'","etag":"W/\\"', str(v.version).encode(), b'\\""}}',
        )))
    return _bundle(b"history", len(versions), links, pieces)


def _bundle(kind: bytes, total: int | None, links: Iterable[tuple[str, str]], pieces: list[bytes]) -> bytes:
    link = orjson.dumps([{"relation": relation, "url": url} for relation, url in links])
    counted = b"" if total is None else b',"total":' + str(total).encode()
    entry = b',"entry":[' + b",".join(pieces) + b"]" if pieces else b""
    return b'{"resourceType":"Bundle","type":"' + kind + b'"' + counted + b',"link":' + link + entry + b"}"
