"""Batch and transaction (R4 3.1.0.11): a batch's entries stand alone, each as if it had come by itself, operations too; a transaction's are
interactions, kept together or not at all."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from hub.faces.conformance import open_to_all
from hub.faces.interaction import JSON, Answer, Asked, later, refusal
from hub.faces.links import Links
from hub.faces.reading import Reading
from hub.faces.writing import Route, Writing
from hub.fhir import bundle, strict_json, times, validate
from hub.fhir.definitions import Definitions
from hub.fhir.references import named
from hub.message import Resource
from hub.problem import Problem, Refused, Unavailable
from hub.scheduling.desk import Desk, client
from hub.scopes import needed
from hub.store import Store, Transaction
from hub.store.resources import instant

MOST_ENTRIES = 1000
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_HEADERS = {"ifMatch": b"if-match", "ifNoneExist": b"if-none-exist", "ifNoneMatch": b"if-none-match", "ifModifiedSince": b"if-modified-since"}


@dataclass(slots=True)
class _Entry:
    number: int
    asked: Asked
    full_url: str
    resource: Any
    id: str = field(default="")
    """The id it will have, where one was promised."""

    @property
    def where(self) -> str:
        return f"Bundle.entry[{self.number}]"


@dataclass(frozen=True, slots=True)
class Bundles:
    """Executes a posted Bundle."""

    store: Store
    desk: Desk
    definitions: Definitions
    writing: Callable[[Transaction], Writing]
    reading: Callable[[Transaction], Reading]
    route: Route
    alone: Callable[[Asked], Answer | Callable[[Transaction], Answer]]
    """What an entry of a batch asks for: the answer, or what is left to do in a transaction."""
    base: str

    def execute(self, asked: Asked) -> Answer:
        """The response Bundle.

        Raises:
            Refused: UNREADABLE, INVALID; for a transaction what any of its entries was refused for, with its place.
        """
        posted = strict_json.load(asked.body)
        kind = posted.get("type") if posted.get("resourceType") == "Bundle" else None
        if kind not in ("batch", "transaction"):
            raise Refused(Problem.INVALID, "what is posted here is a Bundle of type batch or transaction", "Bundle.type")
        entries = self._entries(posted, asked)
        if kind == "batch":
            placeholders = {entry.full_url for entry in entries if entry.full_url.startswith("urn:")}
            answers = [self._alone(entry, placeholders) for entry in entries]
        else:
            answers = self.store.write(lambda tx: self._together(tx, entries))
        return Answer(200, bundle.responses(f"{kind}-response", map(_told, answers)), (), tuple(p for a in answers for p in a.persons), kind)

    def _alone(self, entry: _Entry, placeholders: set[str]) -> Answer:
        try:
            _scope(entry)
            if placeholders and named(entry.resource) & placeholders:  # R4 3.1.0.11.1: there would be nothing behind it
                raise Refused(Problem.INVALID, "refers to another entry: what belongs together is posted as a transaction")
            found = self.alone(entry.asked)
            return _fit(entry, self.store.write(found) if callable(found) else found)
        except Refused as refused:
            return refusal(refused)
        except Unavailable as unavailable:
            return later(unavailable)

    def _together(self, tx: Transaction, entries: list[_Entry]) -> list[Answer]:
        reading, writing = self.reading(tx), self.writing(tx)
        places = self._promised(entries, writing)
        answers: dict[int, Answer] = {}
        touched: set[str] = set()
        for entry in sorted(entries, key=lambda e: _ORDER[e.asked.method]):
            _scope(entry)
            if any(part.startswith("$") for part in entry.asked.path):
                raise Refused(Problem.NO_SUCH_INTERACTION, "an operation stands in a batch, not in a transaction", f"{entry.where}.request.url")
            try:
                asked = replace(entry.asked, promised=entry.id)
                if isinstance(entry.resource, dict) and entry.resource.get("resourceType") != "Binary":
                    links = Links(places, partial(writing.match, asked), self.definitions, self.base, entry.full_url)
                    asked = replace(asked, body=strict_json.dump(links.followed(entry.resource)))
                answers[entry.number] = answer = _fit(entry, self.route(asked, reading, writing))
            except Refused as refused:
                raise refused.within(entry.where) from refused
            _once(entry, answer, touched)
        return [answers[entry.number] for entry in entries]

    def _promised(self, entries: list[_Entry], writing: Writing) -> dict[str, str]:
        """fullUrl → reference of what the transaction creates, or of what its condition finds, before anything is written."""
        places: dict[str, str] = {}
        for entry in entries:
            type_ = entry.asked.path[0] if entry.asked.path else ""
            if type_ not in self.definitions.served or not isinstance(entry.resource, dict):
                continue
            try:
                reference = self._place(entry, type_, writing)
            except Refused as refused:
                raise refused.within(entry.where) from refused
            if entry.full_url in places:
                raise Refused(Problem.INVALID, "a fullUrl stands twice", entry.where)
            if entry.full_url:
                places[entry.full_url] = reference
        return places

    def _place(self, entry: _Entry, type_: str, writing: Writing) -> str:
        asked = entry.asked
        criteria = asked.header(b"if-none-exist") if asked.method == "POST" else asked.query if asked.method == "PUT" else ""
        found = writing.match(asked, type_, criteria) if criteria else None
        if found is not None:
            return found.reference
        if (asked.method == "POST" and len(asked.path) == 1) or (asked.method == "PUT" and criteria):
            return f"{type_}/{self._promise(entry, type_)}"
        return "/".join(asked.path[:2])

    def _promise(self, entry: _Entry, type_: str) -> str:
        if self.definitions.served[type_].write == "booking" and entry.asked.reader is not None:
            named = entry.resource.get("identifier", [])
            if not isinstance(named, list) or not all(isinstance(each, dict) for each in named):  # the rest is validated when it is written
                raise Refused(Problem.INVALID, "identifier is a list of identifiers", f"{type_}.identifier")
            entry.resource, id_ = self.desk.named(client(entry.asked.reader), entry.resource)
            return id_
        entry.id = str(entry.resource.get("id") or "") if entry.asked.method == "PUT" else ""
        entry.id = entry.id or str(uuid.uuid4())
        return entry.id

    def _entries(self, posted: Resource, asked: Asked) -> list[_Entry]:
        entries = posted.get("entry", [])
        if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
            raise Refused(Problem.INVALID, f"entry is a list of at most {MOST_ENTRIES}", "Bundle.entry")
        envelope = {**posted, "entry": [_without_resource(entry) for entry in entries]}  # resources are validated each by its own entry
        validate.require(envelope if entries else {key: value for key, value in posted.items() if key != "entry"}, self.definitions)
        return [_entry(number, entry, asked, self.base) for number, entry in enumerate(entries)]


def _entry(number: int, entry: Any, asked: Asked, base: str) -> _Entry:
    request = entry.get("request") if isinstance(entry, dict) else None
    where = f"Bundle.entry[{number}].request"
    if not isinstance(request, dict) or request.get("method") not in _ORDER or not isinstance(request.get("url"), str):
        raise Refused(Problem.INVALID, "bdl-3: an entry has a request with a method and a url", where)
    if "/_history/" in str(entry.get("fullUrl", "")):
        raise Refused(Problem.INVALID, "bdl-8: a fullUrl is of no version", f"Bundle.entry[{number}].fullUrl")
    path, _, query = request["url"].removeprefix(f"{base}/").partition("?")
    headers = {name: str(request[key]).encode("utf-8") for key, name in _HEADERS.items() if key in request}
    if b"if-modified-since" in headers:  # an instant here, and RFC 9110's date in a header
        since = datetime.fromtimestamp(times.span(str(request["ifModifiedSince"]))[0] // 1_000_000, UTC)
        headers[b"if-modified-since"] = format_datetime(since, usegmt=True).encode()
    headers |= {b"prefer": asked.headers[b"prefer"]} if b"prefer" in asked.headers else {}
    resource = entry.get("resource")
    body, headers[b"content-type"] = _body(resource, request["method"], f"Bundle.entry[{number}].resource.data")
    parts = tuple(p for p in path.strip("/").split("/") if p)
    return _Entry(number, Asked(request["method"], parts, query, headers, body, asked.reader), str(entry.get("fullUrl") or ""), resource)


def _without_resource(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "resource"} if isinstance(entry, dict) else entry


def _body(resource: Any, method: str, where: str) -> tuple[bytes, bytes]:
    """A JSON Patch comes in a Bundle as a Binary (R4 3.1.0.11.2)."""
    if method == "PATCH" and isinstance(resource, dict) and resource.get("resourceType") == "Binary":
        try:
            return base64.b64decode(str(resource.get("data", "")), validate=True), str(resource.get("contentType", "")).encode()
        except ValueError as wrong:
            raise Refused(Problem.INVALID, "Binary.data is base64", where) from wrong
    return strict_json.dump(resource) if isinstance(resource, dict) else b"", b"application/fhir+json"


def _scope(entry: _Entry) -> None:
    if entry.asked.path and ":" in entry.asked.path[0]:
        raise Refused(Problem.INVALID, "another server's address: the url of an entry is relative, or under our own", f"{entry.where}.request.url")
    asked, reader = entry.asked, entry.asked.reader
    if not asked.path or reader is None:
        raise Refused(Problem.NO_SUCH_INTERACTION, "a Bundle does not stand in another", f"{entry.where}.request.url")
    need = None if open_to_all(asked.path) else needed(asked.method, asked.path)
    if need is not None and not reader.may(*need):
        raise Refused(Problem.SCOPE_MISSING, f"this token does not give {need[0]}.{need[1]}", entry.where)


def _fit(entry: _Entry, answer: Answer) -> Answer:
    """As an entry may have it: the answer to HEAD has no resource, and what is none is no answer here. Raises Refused NO_SUCH_INTERACTION."""
    if answer.body and answer.media_type not in ("", "application/json", JSON):
        raise Refused(Problem.NO_SUCH_INTERACTION, "what is answered by no resource is asked for by itself", f"{entry.where}.request.url")
    return replace(answer, body=b"") if entry.asked.method == "HEAD" and answer.status < 400 else answer


def _once(entry: _Entry, answer: Answer, touched: set[str]) -> None:
    """One identity is written at most once in a transaction."""
    if entry.asked.method in ("GET", "HEAD"):
        return
    found_only = entry.asked.method == "POST" and answer.status == 200
    if answer.written in touched and not found_only:
        raise Refused(Problem.INVALID, "the same resource is written twice in one transaction", entry.where)
    touched.update({answer.written} - {""})


def _told(answer: Answer) -> tuple[bytes, dict[str, str], bytes]:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    response = {"status": f"{answer.status} {HTTPStatus(answer.status).phrase}"}
    location = headers.get("location") or headers.get("content-location")
    if location:
        response["location"] = "/".join(location.split("/")[-4:])
    if "etag" in headers:
        response["etag"] = headers["etag"]
    if answer.modified is not None:
        response["lastModified"] = instant(answer.modified)
    failed = answer.status >= 400
    return b"" if failed else answer.body, response, answer.body if failed else b""
