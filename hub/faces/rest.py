"""The FHIR face: plain ASGI. The CapabilityStatement makes the routes, so it cannot lie.

Reads run on the event loop, on stored bytes: a look-up takes tens of microseconds, a hop to a thread ten times that
(facts/performance.md, l11). Writes run in the pool.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from hub.access import Reader
from hub.booking.attachments import Limits
from hub.faces import binaries, conformance
from hub.faces.beside import Part
from hub.faces.bundles import Bundles
from hub.faces.formats import form, in_json
from hub.faces.guarded import Guarded, Work
from hub.faces.interaction import READS, Answer, Asked, below, headers_of, largest, named, read_body, respond
from hub.faces.parameters import parameters_of
from hub.faces.reading import Reading
from hub.faces.turn import Turn
from hub.faces.validating import Validating, undo
from hub.faces.web import ID
from hub.faces.writing import Writing, stated
from hub.feeds import Feeds
from hub.fhir import openapi, strict_json, times
from hub.fhir.definitions import Definitions
from hub.fhir.index import HashId
from hub.problem import Problem, Refused
from hub.scheduling.desk import Desk
from hub.store import Store, Transaction

LONG = (("$publish",), ("$everything",), ("$validate",), ("_history",))
"""Reads that take longer than the event loop can wait."""
WRITES = ("POST", "PUT", "PATCH", "DELETE")
CHANGES = {"update": ("PUT",), "patch": ("PATCH",), "delete": ("DELETE",)}
"""Interaction → its method, of one resource or, with a condition, of a type."""


class Rest:
    """The ASGI application, mounted at /fhir."""

    def __init__(
        self, store: Store, definitions: Definitions, authenticate: Callable[[str], Reader | None], base_url: str,
        clock: Callable[[], datetime], hash_id: HashId, desk: Desk | None = None, pool: Executor | None = None, feeds: Feeds | None = None,
        parts: Sequence[Part] = (), limits: Limits = Limits(),
    ) -> None:
        """`desk`, `feeds`: where writes go; None: this face only reads. `pool`: where writes run; None: one of our own. `parts`: what `Beside`
        serves, for the entries of a batch. `limits`: of the files of a message."""
        self._store, self._definitions, self._authenticate = store, definitions, authenticate
        self._base, self._clock, self._hash_id, self._desk, self._feeds = base_url.rstrip("/"), clock, hash_id, desk, feeds
        self._parts, self._limits = parts, limits
        self._pool = pool or ThreadPoolExecutor()
        server = definitions.capability["rest"][0]
        operations = [*server.get("operation", ()), *conformance.OPERATIONS]
        server = {**server, "resource": [*server["resource"], *conformance.rows(), *binaries.rows()], "operation": operations}
        self._offered = {resource["type"]: {i["code"] for i in resource["interaction"]} for resource in server["resource"]}
        self._of_type = {t: _methods(o, {"search-type": READS, "create": ("POST",), **CHANGES}) for t, o in self._offered.items()}
        self._of_one = {t: _methods(o, {"read": READS, **CHANGES}) for t, o in self._offered.items()}
        self._whole = {interaction["code"] for interaction in server["interaction"]}
        self._reading = self._reads(store)
        self._validating = Validating(definitions, self._reading, self._tried)
        self._guarded = Guarded(store, definitions, clock, self._answered, self.methods, self._pool, *([desk.elsewhen] if desk else ()))
        self._turn = Turn(self._pool, self._guarded.together, lambda asked: self._guarded(*asked))
        statement = {**definitions.capability, "rest": [server], "implementation": {"description": "Besøksbro", "url": self._base}}
        self._told = {
            ("metadata",): _document(_placed(orjson.dumps(statement), self._base)),
            ("openapi.json",): _document(orjson.dumps(openapi.document(statement, definitions, self._base)), "application/json"),
        }

    def _reads(self, source: Any) -> Reading:
        return Reading(source, self._definitions, self._base, self._hash_id)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = headers_of(scope)
        method, parts = scope["method"], below(scope)
        searching, writing = parts[-1:] == ("_search",), method in WRITES
        body = await read_body(receive, largest(parts)) if writing else b""
        asked = Asked(
            method, parts, scope["query_string"].decode("latin-1"), headers, body or b"",
            scope["reader"] if "reader" in scope else self._reader(headers),
        )
        if writing and parts and not parts[-1].startswith(("_", "$")):
            answer, format_ = await self._turn((asked, body is None))
        elif (writing and not searching) or parts[-1:] in LONG:
            answer, format_ = await asyncio.get_running_loop().run_in_executor(self._pool, self._guarded, asked, body is None)
        else:
            answer, format_ = self._guarded(asked, body is None)
        await respond(send, method, headers, answer, format_)

    def _reader(self, headers: dict[bytes, bytes]) -> Reader | None:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return self._authenticate(token.strip()) if scheme.lower() == "bearer" and token else None

    def _answered(self, asked: Asked) -> Answer | Work:
        offered = self.methods(asked.path)
        if offered and asked.method not in offered:
            raise Refused(Problem.NO_SUCH_INTERACTION, f"{asked.method} does not go with this address, which has {', '.join(offered)}")
        if asked.path in self._told:
            told = self._told[asked.path]
            return replace(told, status=304) if named(asked.header(b"if-none-match"), dict(told.headers)[b"etag"].decode()) else told
        if asked.path[:1] and asked.path[0] in conformance.TYPES:
            return self._conformance(asked)
        if asked.reader is None:
            raise Refused(Problem.NOT_AUTHENTICATED, "a bearer token is needed")
        if not offered:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such address" if asked.path and asked.path[0] in self._offered else "no such resource type")
        if asked.path[-1:] == ("$validate",):
            return self._validating.answer(in_json(asked, self._definitions) if asked.body else asked)
        if asked.path[-1:] == ("$everything",):
            asked = _as_read(in_json(asked, self._definitions) if asked.body else asked)
        if asked.method not in WRITES or asked.path[-1:] == ("_search",):
            return self._route(asked, self._reading, None)
        desk = self._desk
        if desk is None:
            raise Refused(Problem.NO_SUCH_INTERACTION, "this face only reads")
        asked = in_json(asked, self._definitions)
        if not asked.path:
            if asked.method != "POST":
                raise Refused(Problem.NO_SUCH_INTERACTION, "a batch or transaction is posted here")
            return Bundles(self._store, desk, self._definitions, self._writes, self._reads, self._route, self._alone, self._base).execute(asked)
        if asked.method in ("POST", "PUT") and asked.path[0] in self._definitions.served and not asked.path[-1].startswith(("_", "$")):
            asked = replace(asked, stated=stated(asked, asked.path[0], self._definitions, self._base))  # while nobody waits for the writer
        return lambda tx: self._route(asked, self._reads(tx), self._writes(tx))

    def _alone(self, asked: Asked) -> Answer | Work:
        """An entry of a batch, as if it had come by itself."""
        part = next((part for part in self._parts if part.methods(asked.path)), None)
        if part is None or asked.reader is None:
            return self._answered(asked)
        answer = part.answer(asked, asked.reader) if part.worded and asked.method in part.methods(asked.path) else None
        if not isinstance(answer, Answer):
            raise Refused(Problem.NO_SUCH_INTERACTION, "this method, or this operation, is no entry of a batch")
        return answer

    def _conformance(self, asked: Asked) -> Answer:
        pairs = asked.pairs + (form(asked) if asked.path[1:] == ("_search",) else [])
        return conformance.answer(asked, pairs, self._definitions.profiles, self._base)

    def _writes(self, tx: Transaction) -> Writing:
        assert self._desk is not None and self._feeds is not None
        return Writing(tx, self._desk, self._feeds, self._definitions, self._base, self._hash_id, self._limits)

    def _tried(self, asked: Asked) -> None:
        """What a write would be refused for; nothing of it stays. Raises Refused."""
        if self._desk is None:
            raise Refused(Problem.NO_SUCH_INTERACTION, "this face only reads")
        self._store.write(lambda tx: undo(self._route(asked, self._reads(tx), self._writes(tx))))

    def _route(self, asked: Asked, reading: Reading, writing: Writing | None) -> Answer:
        """One interaction to its handler."""
        path, get = asked.path, asked.method in ("GET", "HEAD")
        if path == ("_history",) and get and "history-system" in self._whole:
            return reading.history(asked)
        if not path or path[0] not in self._offered:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such resource type")
        if path[0] in conformance.TYPES:
            return self._conformance(asked)
        type_ = path[0]
        match path[1:]:
            case ("_search",) if asked.method == "POST":
                self._offers(type_, "search-type")
                return reading.search(asked, type_, asked.pairs + form(asked))
            case ("_history",) if get:
                self._offers(type_, "history-type")
                return reading.history(asked, type_)
            case (id_, "_history") if get:
                self._offers(type_, "history-instance")
                return reading.history(asked, type_, id_)
            case (id_, "_history", version) if get:
                self._offers(type_, "vread")
                return reading.read(asked, type_, id_, version)
            case (id_, "$everything") if get and type_ == "Patient":
                return reading.everything(asked, id_)
            case ("$publish",) if get and type_ == "Slot":
                return reading.publish(asked, times.micros(self._clock()))
            case (id_, other) if get and type_ == "Patient" and "patient" in self._definitions.parameters.get(other, {}):
                self._offers(other, "search-type")
                return reading.search(asked, other, [("patient", f"Patient/{id_}"), *asked.pairs])
            case () if get:
                self._offers(type_, "search-type")
                return reading.search(asked, type_, asked.pairs)
            case (id_,) if get and ID.fullmatch(id_):
                self._offers(type_, "read")
                return reading.read(asked, type_, id_)
            case () | (_,) if writing is not None:
                return self._written(asked, type_, path[1] if len(path) > 1 else "", writing)
            case (_, "_history" | "$everything") | (_, "_history", _) | ("_history",):
                raise Refused(Problem.NO_SUCH_INTERACTION, "this address is only read")
        raise Refused(Problem.UNKNOWN_RESOURCE, "no such address")

    def _written(self, asked: Asked, type_: str, id_: str, writing: Writing) -> Answer:
        match asked.method:
            case "POST" if not id_:
                self._offers(type_, "create")
                return writing.create(asked, type_, asked.promised)
            case "PUT":
                self._offers(type_, "update")
                return writing.update(asked, type_, id_) if id_ else writing.update_where(asked, type_, asked.query, asked.promised)
            case "PATCH":
                self._offers(type_, "patch")
                return writing.patch(asked, type_, id_, "" if id_ else asked.query)
            case "DELETE":
                self._offers(type_, "delete")
                return writing.delete(asked, type_, id_, "" if id_ else asked.query)
        raise Refused(Problem.NO_SUCH_INTERACTION, f"{asked.method} does not go with this address")

    def _offers(self, type_: str, interaction: str) -> None:
        if interaction not in self._offered.get(type_, ()):
            raise Refused(Problem.NO_SUCH_INTERACTION, f"{type_} has no {interaction}")

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The methods that an address has, for `Allow` and OPTIONS; none: there is no such address."""
        if len(path) == 1 and path[0] in self._of_type:
            return self._of_type[path[0]]
        if len(path) == 2 and ID.fullmatch(path[1]):
            return self._of_one.get(path[0], ())
        if path in self._told or (path == ("_history",) and "history-system" in self._whole):
            return READS
        if not path:
            return ("POST",) if self._desk else ()
        offered = self._offered.get(path[0], set())
        match path[1:]:
            case ("_search",):
                return _methods(offered, {"search-type": ("POST",)})
            case ("$validate",) if path[0] not in conformance.TYPES:
                return ("POST",) if offered else ()
            case (_, "$validate") if path[0] not in conformance.TYPES:
                return _methods(offered, {"read": (*READS, "POST")})
            case ("$publish",) if path[0] == "Slot":
                return READS
            case (_, "$everything") if path[0] == "Patient":
                return (*READS, "POST")
            case ("_history",):
                return _methods(offered, {"history-type": READS})
            case (_, "_history"):
                return _methods(offered, {"history-instance": READS})
            case (_, "_history", _):
                return _methods(offered, {"vread": READS})
            case (_, other) if path[0] == "Patient" and "patient" in self._definitions.parameters.get(other, {}):
                return _methods(self._offered.get(other, set()), {"search-type": READS})
        return ()


def _as_read(asked: Asked) -> Asked:
    """An operation that changes nothing, by POST as by GET: its Parameters are those of the address."""
    given = parameters_of(strict_json.load(asked.body)) if asked.body else []
    more = urlencode([(name, str(value)) for name, value in given])
    return replace(asked, method="GET", query="&".join(part for part in (asked.query, more) if part), body=b"")


def _methods(offered: set[str], words: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(method for interaction, methods in words.items() if interaction in offered for method in methods)


def _placed(statement: bytes, base: str) -> bytes:
    """With our addresses: the API's, and the hub's."""
    return statement.replace(b"{base}", base.encode()).replace(b"{hub}", base.removesuffix("/fhir").encode())


def _document(body: bytes, media_type: str = "") -> Answer:
    """What is the same for everybody until the next release."""
    return Answer(200, body, ((b"etag", f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'.encode()),), media_type=media_type)
