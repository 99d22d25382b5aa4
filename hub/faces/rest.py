"""The FHIR face: plain ASGI on stored bytes. The CapabilityStatement makes the routes, so it cannot lie.

Reads run on the event loop: a look-up takes tens of microseconds, a hop to a thread ten times that (facts/performance.md, l11).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from hub.access import ALL_DEPARTMENTS, AuditLine, Reader
from hub.fhir import bundle, search
from hub.fhir.definitions import Definitions
from hub.fhir.outcome import OUTCOME, outcome
from hub.fhir.query import Condition, IdIs, Query, ReferenceIs
from hub.problem import Problem, Refused, Unavailable
from hub.store import Store, Stored

log = logging.getLogger(__name__)
MEDIA_TYPE = b"application/fhir+json"
ACCEPTED = ("application/fhir+json", "application/json", "text/json", "*/*", "application/*")
FORMATS = ("json", "application/json", "application/fhir+json", "text/json")
MIRRORED = (b"x-request-id", b"x-correlation-id")
LARGEST_FORM = 64 * 1024
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as the handlers need it."""

    method: str
    path: tuple[str, ...]
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    reader: Reader | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, and whose data it holds."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    persons: tuple[str, ...] = ()
    """`Patient/…`: whose data it holds, for the access log."""
    kind: str = ""


class Rest:
    """The ASGI application, mounted at /fhir."""

    def __init__(
        self, store: Store, definitions: Definitions, authenticate: Callable[[str], Reader | None], base_url: str,
        clock: Callable[[], datetime], hash_id: Callable[[str, str], str],
    ) -> None:
        self._store, self._definitions, self._authenticate = store, definitions, authenticate
        self._base, self._clock, self._hash_id = base_url.rstrip("/"), clock, hash_id
        self._offered = {
            resource["type"]: {interaction["code"] for interaction in resource["interaction"]}
            for resource in definitions.capability["rest"][0]["resource"]
        }
        self._metadata = orjson.dumps({**definitions.capability, "implementation": {
            "description": "Besøksbro", "url": self._base,
        }})
        self._metadata_tag = f'W/"{hashlib.sha256(self._metadata).hexdigest()[:16]}"'.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        body = await _body(receive) if scope["method"] == "POST" else b""
        path = scope["path"][len(scope.get("root_path", "")):].strip("/")
        asked = Asked(
            scope["method"], tuple(path.split("/")) if path else (), scope["query_string"].decode("latin-1"), headers, body or b"",
            scope["reader"] if "reader" in scope else self._reader(headers),
        )
        answer = self._guarded(asked, too_large=body is None)
        await _send(send, asked, answer)

    def _reader(self, headers: dict[bytes, bytes]) -> Reader | None:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return self._authenticate(token.strip()) if scheme.lower() == "bearer" and token else None

    def _guarded(self, asked: Asked, too_large: bool) -> Answer:
        try:
            if too_large:
                raise Refused(Problem.TOO_LARGE, f"a search form of more than {LARGEST_FORM} bytes")
            answer = self._route(asked)
        except Refused as refused:
            return _refusal(refused.problem, refused.detail, refused.where)
        except Unavailable as later:
            answer = _refusal(Problem.UNAVAILABLE, later.detail)
            return Answer(answer.status, answer.body, ((b"retry-after", str(int(later.retry_after or 5)).encode()),))
        except Exception:
            log.exception("a FHIR request failed")
            return Answer(500, outcome(Problem.UNAVAILABLE, "a fault of ours; it is logged"))
        if answer.persons and asked.reader is not None:
            now, reader = self._clock(), asked.reader
            self._store.audit_later(
                AuditLine(now, person, reader.reference, reader.ground.value, answer.kind, reader.on_behalf_of, "fhir")
                for person in answer.persons
            )
        return answer

    def _route(self, asked: Asked) -> Answer:
        _acceptable(asked)
        path, get = asked.path, asked.method in ("GET", "HEAD")
        if path == ("metadata",) and get:
            tag = self._metadata_tag
            return Answer(304 if asked.headers.get(b"if-none-match") == tag else 200, self._metadata, ((b"etag", tag),))
        if asked.reader is None:
            raise Refused(Problem.NOT_AUTHENTICATED, "a bearer token is needed")
        if not path or path[0] not in self._offered:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such resource type")
        type_ = path[0]
        match path[1:]:
            case () if get:
                return self._search(asked, type_, parse_qsl(asked.query, keep_blank_values=True))
            case ("_search",) if asked.method == "POST":
                form = parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True)
                return self._search(asked, type_, parse_qsl(asked.query, keep_blank_values=True) + form)
            case (id_,) if get:
                return self._read(asked, type_, id_, self._store.get(type_, self._known(id_)), "read")
            case (id_, "_history") if get:
                return self._history(asked, type_, self._known(id_))
            case (id_, "_history", version) if get:
                found = self._store.version(type_, self._known(id_), int(version)) if version.isascii() and version.isdigit() else None
                return self._read(asked, type_, id_, found, "vread")
            case () | (_,) | (_, "_history") | (_, "_history", _):
                answer = _refusal(Problem.NOT_SUPPORTED, "this interaction is not in the CapabilityStatement")
                return Answer(405, answer.body, ((b"allow", b"GET, HEAD"),))
        raise Refused(Problem.UNKNOWN_RESOURCE, "no such address")

    def _known(self, id_: str) -> str:
        if not _ID.fullmatch(id_):
            raise Refused(Problem.UNKNOWN_RESOURCE, "no id looks like that")
        return id_

    def _offers(self, type_: str, interaction: str) -> None:
        if interaction not in self._offered[type_]:
            raise Refused(Problem.NOT_SUPPORTED, f"{type_} has no {interaction}")

    def _read(self, asked: Asked, type_: str, id_: str, found: Stored | None, interaction: str) -> Answer:
        self._offers(type_, interaction)
        if found is None or not self._may_see(asked.reader, type_, id_):
            raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} with that id or version")
        if found.deleted:
            raise Refused(Problem.DELETED, f"this {type_} was deleted")
        headers = (
            (b"etag", found.etag.encode()), (b"last-modified", format_datetime(found.last_updated.astimezone(UTC), usegmt=True).encode()),
        )
        if _unchanged(asked, found):
            return Answer(304, b"", headers, _persons([found]), f"{interaction} {type_}")
        return Answer(200, found.body, headers, _persons([found]), f"{interaction} {type_}")

    def _history(self, asked: Asked, type_: str, id_: str) -> Answer:
        self._offers(type_, "history-instance")
        versions = self._store.history(type_, id_)
        if not versions or not self._may_see(asked.reader, type_, id_):
            raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} with that id")
        links = [("self", f"{self._base}/{type_}/{id_}/_history")]
        return Answer(200, bundle.history(self._base, versions, links), (), _persons(versions[:1]), f"history {type_}")

    def _search(self, asked: Asked, type_: str, pairs: list[tuple[str, str]]) -> Answer:
        self._offers(type_, "search-type")
        if asked.method != "POST" and search.national(pairs):
            raise Refused(Problem.BAD_SEARCH, f"a search by national id must be sent as POST {type_}/_search, so that no log holds it")
        strict = b"handling=strict" in asked.headers.get(b"prefer", b"")
        parsed = search.parse(type_, pairs, strict, self._definitions, self._hash_id)
        query = self._limited(asked.reader, parsed.query)
        page = self._store.search(query)
        shown = [pair for pair in parsed.used if not search.national([pair])]
        links = [("self", self._link(type_, shown))]
        if page.next is not None:
            links.append(("next", self._link(type_, [*shown, ("_cursor", search.token(page.next))])))
        note = outcome(Problem.BAD_SEARCH, f"ignored: {', '.join(parsed.ignored)}") if parsed.ignored else None
        included = [e for e in page.included if self._may_see(asked.reader, e.type, e.id)]
        body = bundle.searchset(self._base, page.entries, included, page.total, links, note)
        return Answer(200, body, (), _persons([*page.entries, *included]), f"search {type_}")

    def _link(self, type_: str, pairs: Iterable[tuple[str, str]]) -> str:
        text = urlencode(list(pairs), safe=":/|,+-")
        return f"{self._base}/{type_}" + (f"?{text}" if text else "")

    def _limited(self, reader: Reader | None, query: Query) -> Query:
        """The query with the vendor's departments as one more condition. Raises Refused NOT_ALLOWED where it may see nothing of this type."""
        limit = self._limit(reader, query.type)
        return query if limit is None else Query(
            query.type, (*query.conditions, limit), query.count, query.cursor, query.sort, query.descending, query.total, query.includes,
        )

    def _limit(self, reader: Reader | None, type_: str) -> Condition | None:
        if reader is not None and not (reader.may(type_, "r") or reader.may(type_, "s")):
            raise Refused(Problem.SCOPE_MISSING, f"this token does not give {type_}")
        if reader is not None and reader.departments == ALL_DEPARTMENTS:
            return None
        parameter = self._definitions.served[type_].limit
        if reader is None or parameter is None or not reader.departments:
            raise Refused(Problem.NOT_ALLOWED, f"this token does not give {type_}")
        departments = sorted(reader.departments)
        if parameter == "_id":
            return IdIs(tuple(departments))
        kind = "Schedule" if parameter == "schedule" else "HealthcareService"
        return ReferenceIs(parameter, tuple((kind, department) for department in departments))

    def _may_see(self, reader: Reader | None, type_: str, id_: str) -> bool:
        try:
            limit = self._limit(reader, type_)
        except Refused:
            return False
        return limit is None or bool(self._store.search(Query(type_, (IdIs((id_,)), limit), count=1)).entries)


def _persons(found: Iterable[Stored]) -> tuple[str, ...]:
    """Whose data these are, taken from the text: parsing is what a read does without. Types that hold no person give none."""
    seen: dict[str, None] = {}
    for each in found:
        if each.type == "Patient":
            seen[each.reference] = None
        else:
            for match in _PATIENT.finditer(each.body):
                seen[match[1].decode()] = None
    return tuple(seen)


_PATIENT = re.compile(rb'"reference":"(Patient/[A-Za-z0-9\-.]{1,64})"')


def _acceptable(asked: Asked) -> None:
    format_ = dict(parse_qsl(asked.query)).get("_format")
    if format_ is not None and format_.partition(";")[0].replace(" ", "+") not in FORMATS:
        raise Refused(Problem.NOT_ACCEPTABLE, "_format is json")
    accept = asked.headers.get(b"accept", b"*/*").decode("latin-1")
    if format_ is None and not any(part.partition(";")[0].strip().lower() in ACCEPTED for part in accept.split(",")):
        raise Refused(Problem.NOT_ACCEPTABLE, "answers are application/fhir+json")
    if asked.method == "POST" and not asked.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
        raise Refused(Problem.NOT_ACCEPTABLE, "a search form is application/x-www-form-urlencoded")


def _unchanged(asked: Asked, found: Stored) -> bool:
    tags = asked.headers.get(b"if-none-match", b"").decode("latin-1")
    if tags:
        return tags == "*" or found.etag in [t.strip() for t in tags.split(",")]
    since = asked.headers.get(b"if-modified-since", b"").decode("latin-1")
    if not since:
        return False
    try:
        return found.last_updated.replace(microsecond=0) <= parsedate_to_datetime(since).astimezone(UTC)
    except ValueError:
        return False


def _refusal(problem: Problem, detail: str, where: str = "") -> Answer:
    headers: tuple[Header, ...] = ((b"www-authenticate", b'Bearer realm="besoksbro"'),) if problem is Problem.NOT_AUTHENTICATED else ()
    return Answer(OUTCOME[problem][0], outcome(problem, detail, where), headers)


async def _body(receive: Any) -> bytes | None:
    data, more = b"", True
    while more:
        message = await receive()
        data += message.get("body", b"")
        more = message.get("more_body", False)
        if len(data) > LARGEST_FORM:
            return None
    return data


async def _send(send: Any, asked: Asked, answer: Answer) -> None:
    empty = answer.status == 304 or asked.method == "HEAD"
    headers: list[Header] = [*answer.headers, (b"cache-control", b"no-store")]
    if answer.status != 304:
        headers += [(b"content-type", MEDIA_TYPE + b"; fhirVersion=4.0; charset=utf-8"), (b"content-length", str(len(answer.body)).encode())]
    headers += [(name, asked.headers[name][:200]) for name in MIRRORED if name in asked.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if empty else answer.body})
