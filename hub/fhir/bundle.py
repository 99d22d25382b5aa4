"""Bundles stitched from stored texts: a search never parses a resource."""

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
    def text(self) -> str: ...


class Version(Piece, Protocol):
    """A version with its history."""

    @property
    def deleted(self) -> bool: ...
    @property
    def method(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def last_updated(self) -> datetime: ...


def searchset(
    base: str, entries: Sequence[Piece], included: Sequence[Piece], total: int | None, links: Iterable[tuple[str, str]],
    outcome: bytes | None = None,
) -> bytes:
    """A searchset: matches, then what was included, then an outcome entry."""
    prefix = f'{{"fullUrl":"{base}/'
    pieces = [f'{prefix}{e.type}/{e.id}","resource":{e.text},"search":{{"mode":"match"}}}}' for e in entries]
    pieces += [f'{prefix}{e.type}/{e.id}","resource":{e.text},"search":{{"mode":"include"}}}}' for e in included]
    return _bundle("searchset", total, links, pieces + _noted(outcome))


def _noted(outcome: bytes | None) -> list[str]:
    return [] if outcome is None else [f'{{"resource":{outcome.decode()},"search":{{"mode":"outcome"}}}}']


def made(resources: Iterable[bytes], total: int, links: Iterable[tuple[str, str]] = (), outcome: bytes | None = None) -> bytes:
    """A searchset of what is no stored version and has no address: offers, holds, conformance resources."""
    pieces = [f'{{"resource":{body.decode()},"search":{{"mode":"match"}}}}' for body in resources]
    return _bundle("searchset", total, links, pieces + _noted(outcome))


def happened(version: Version) -> tuple[dict[str, str], str]:
    """The request that made a version, and the status it got (R4 3.1.0.10): a PUT that makes a resource, or brings it back, is 201."""
    if version.method == "create":
        return {"method": "POST", "url": version.type}, "201"
    method, status = {"put": ("PUT", "201"), "delete": ("DELETE", "204")}.get(version.method, ("PUT", "200"))
    return {"method": method, "url": f"{version.type}/{version.id}"}, status


def history(base: str, versions: Sequence[Version], total: int | None, links: Iterable[tuple[str, str]]) -> bytes:
    """Versions, newest first; a deletion has no resource."""
    pieces = []
    for v in versions:
        request, status = happened(v)
        entry = {
            "request": request,
            "response": {"status": status, "etag": v.etag, "lastModified": v.last_updated.isoformat(timespec="milliseconds")},
        }
        resource = "" if v.deleted else f',"resource":{v.text}'
        pieces.append(f'{{"fullUrl":"{base}/{v.type}/{v.id}"{resource},{orjson.dumps(entry)[1:].decode()}')
    return _bundle("history", total, links, pieces)


def responses(kind: str, entries: Iterable[tuple[bytes, dict[str, str], bytes]]) -> bytes:
    """The answer to a batch or transaction: per entry the resource, the response and an outcome; empty bytes where there is none."""
    pieces = []
    for resource, response, problem in entries:
        told = orjson.dumps(response)[:-1] + (b',"outcome":' + problem if problem else b"") + b"}"
        pieces.append((b"{" + (b'"resource":' + resource + b"," if resource else b"") + b'"response":' + told + b"}").decode())
    return _bundle(kind, None, (), pieces)


def _bundle(kind: str, total: int | None, links: Iterable[tuple[str, str]], pieces: list[str]) -> bytes:
    relations = [{"relation": relation, "url": url} for relation, url in links]
    link = f',"link":{orjson.dumps(relations).decode()}' if relations else ""
    counted = "" if total is None else f',"total":{total}'
    entry = f',"entry":[{",".join(pieces)}]' if pieces else ""
    return f'{{"resourceType":"Bundle","type":"{kind}"{counted}{link}{entry}}}'.encode()
