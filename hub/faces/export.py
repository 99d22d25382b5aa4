"""Bulk data, `$export` (FHIR Bulk Data Access 2.0), of the system and of Patient, as NDJSON.

An export is a place in the change log (`hub.store.exporting`): it is complete the moment it is asked for, survives any restart, and its
files are read from the store page by page while they are fetched, so that neither memory nor disk grows with them. What a token may see is
asked again for each page: whoever loses a department during an export gets nothing more of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson

from hub.access import AuditLine, Reader
from hub.faces.beside import File
from hub.faces.interaction import READS, Answer, Asked
from hub.faces.parameters import parameters_of
from hub.faces.sight import Sight
from hub.faces.web import ID
from hub.fhir import bulk, strict_json, times
from hub.fhir.alternatives import Terms
from hub.fhir.definitions import Definitions
from hub.fhir.index import HashId
from hub.fhir.limits import limit, limited
from hub.fhir.outcome import outcome
from hub.fhir.query import NEVER, Condition, Query
from hub.fhir.subset import subset
from hub.problem import Issue, Problem, Refused
from hub.store import Export, Part, Store, Stored, Transaction
from hub.store.values import persons

KEPT = timedelta(hours=24)
"""How long an export can be fetched."""
A_FILE = 50_000
"""Resources in one file at most."""
A_PAGE = 200
"""Resources read, and sent, at once."""
NDJSON = "application/fhir+ndjson"
FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
UNDERSTOOD = frozenset({"_type", "_since", "_outputFormat", "_typeFilter", "_elements"})
NEVER_EXPORTED = frozenset({"AuditEvent", "Bundle", "OperationOutcome", "Parameters", "Subscription"})
"""Views, what is no record, and what holds a client's secrets."""
PATIENT = ("Patient", "$export")
DELETED = "deleted"
"""The name of the file that tells what was deleted."""


class Exports:
    """hub.faces.beside.Part."""

    largest = 64 * 1024
    worded = False

    def __init__(self, store: Store, definitions: Definitions, base_url: str, clock: Callable[[], datetime], hash_id: HashId) -> None:
        self._store, self._definitions, self._base, self._clock = store, definitions, base_url, clock
        self._terms = Terms(definitions, hash_id, base_url)

    def methods(self, path: tuple[str, ...]) -> tuple[str, ...]:
        match path:
            case ("$export",) | ("Patient", "$export") | ("Group", _, "$export"):
                return "GET", "POST"
            case ("$export", _):
                return (*READS, "DELETE")
            case ("$export-file", _, _):
                return READS
        return ()

    def answer(self, asked: Asked, reader: Reader) -> Answer | File:
        match asked.path:
            case ("$export",) | ("Patient", "$export"):
                return self._kick_off(asked, reader)
            case ("$export", id_) if asked.method == "DELETE":
                return self._end(reader, id_)
            case ("$export", id_):
                return self._status(self._own(reader, id_), reader)
            case ("$export-file", id_, type_) if type_ == DELETED:
                return File(NDJSON, self._deleted(self._own(reader, id_), reader))
            case ("$export-file", id_, type_):
                bounds = dict(parse_qsl(asked.query))
                return self._file(self._own(reader, id_), type_, reader, bounds.get("from", ""), bounds.get("until", ""))
        raise Refused(Problem.UNKNOWN_RESOURCE, "there are no Groups here: /$export and /Patient/$export are what is exported")

    def _kick_off(self, asked: Asked, reader: Reader) -> Answer:
        """202 and where to ask on; what was ignored is told in an OperationOutcome. Raises Refused BAD_EXPORT, SCOPE_MISSING."""
        if "respond-async" not in asked.prefers:
            raise Refused(Problem.BAD_EXPORT, "an export is asked for with Prefer: respond-async")
        wanted, ignored = _wanted(asked)
        types, unknown = self._types(asked, reader, ",".join(wanted["_type"]))
        filters, unfiltered = bulk.filters(wanted["_typeFilter"], types, asked.lenient, self._terms)
        for type_ in types:
            self._asked(reader, type_, tuple(filters))
        elements, unnamed = bulk.elements(wanted["_elements"], types, asked.lenient, self._definitions)
        since, id_ = _since(wanted["_since"]), str(uuid.uuid4())
        request = f"{self._base}/{'/'.join(asked.path)}" + (f"?{asked.query}" if asked.query else "")

        def begin(tx: Transaction) -> None:
            upto, at = tx.stands()
            tx.audit(AuditLine(tx.now, "", reader.reference, reader.ground.value, "export", "", "fhir"))
            tx.export(Export(
                id_, reader.reference, request, types, asked.path == PATIENT, since, upto, at, tx.now + KEPT, tuple(filters), tuple(elements)))

        self._store.write(begin)
        told = [f"the parameter {name[:40]}" for name in ignored] + ["a type of _type that is not exported here"] * bool(unknown)
        told += [*dict.fromkeys(unfiltered + unnamed)]
        issues = [Issue("not-supported", "", f"ignored: {what}", Problem.BAD_EXPORT, severity="warning") for what in told]
        note = outcome(Problem.BAD_EXPORT, issues=issues) if issues else b""
        return Answer(202, note, ((b"content-location", f"{self._base}/$export/{id_}".encode()),))

    def _types(self, asked: Asked, reader: Reader, named: str) -> tuple[tuple[str, ...], list[str]]:
        """The types to export, each with the scopes for it (reading and searching); and those that are asked for and never exported."""
        offered = [t for t in self._definitions.served if t not in NEVER_EXPORTED and (asked.path != PATIENT or self._about_a_person(t))]
        chosen = [t for t in named.split(",") if t] or offered
        unknown = [t for t in chosen if t not in offered]
        if unknown and not asked.lenient:
            raise Refused(Problem.BAD_EXPORT, "_type names a type that is not exported here")
        whole = "*" if not named else ""
        for type_ in (t for t in chosen if t in offered):
            if not (reader.may(whole or type_, "r") and reader.may(whole or type_, "s")):
                raise Refused(Problem.SCOPE_MISSING, f"this needs system/{whole or type_}.rs")
        return tuple(dict.fromkeys(t for t in chosen if t in offered and self._sees(reader, t))), unknown

    def _about_a_person(self, type_: str) -> bool:
        return type_ == "Patient" or "patient" in self._definitions.parameters.get(type_, {})

    def _sees(self, reader: Reader, type_: str) -> bool:
        try:
            limit(reader, type_, self._definitions)
        except Refused:
            return False
        return True

    def _own(self, reader: Reader, id_: str) -> Export:
        found = self._store.exports.get(id_, reader.reference) if ID.fullmatch(id_) else None
        if found is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such export, or it is past its time")
        return found

    def _status(self, export: Export, reader: Reader) -> Answer:
        """The manifest. An export is a place in the change log, so there is nothing to wait for."""
        output = [
            {"type": type_, "url": f"{self._base}/$export-file/{export.id}/{type_}{bounds}"}
            for type_ in export.types if self._sees(reader, type_)
            for bounds in self._cut(reader, type_)
        ]
        manifest = {
            "transactionTime": export.at.isoformat(timespec="milliseconds"), "request": export.request, "requiresAccessToken": True,
            "output": output, "error": [],
        }
        if export.since != NEVER and any(self._gone(export, reader)):
            manifest["deleted"] = [{"type": "Bundle", "url": f"{self._base}/$export-file/{export.id}/{DELETED}"}]
        expires = format_datetime(export.expires, usegmt=True).encode()
        return Answer(200, orjson.dumps(manifest), ((b"expires", expires),), media_type="application/json")

    def _gone(self, export: Export, reader: Reader) -> Iterator[str]:
        """References of what was deleted since, as far as the reader saw it until then."""
        for type_ in export.types if not export.of_patients else ():
            if self._definitions.served[type_].delete:
                gone = [each for id_ in self._store.exports.gone(export, type_) if (each := self._store.get(type_, id_)) is not None]
                yield from (each.reference for each in Sight(self._store, self._definitions).of(reader, gone))

    def _deleted(self, export: Export, reader: Reader) -> Iterator[bytes]:
        """Bundles of type transaction, one a line (Bulk Data Access 2.0, «deleted»)."""
        gone = list(self._gone(export, reader))
        for first in range(0, len(gone), A_PAGE):
            entries = [{"request": {"method": "DELETE", "url": reference}} for reference in gone[first:first + A_PAGE]]
            yield orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}) + b"\n"

    def _shown(self, found: Stored, export: Export) -> str:
        return subset(found.text, "", export.elements, self._definitions) if export.elements else found.text

    def _cut(self, reader: Reader, type_: str) -> list[str]:
        """The queries of a type's files; none when the reader sees nothing of it. Where it sees a part, that is one file: the ids at which the
        whole is cut would tell it of the rest."""
        seen = limit(reader, type_, self._definitions)
        if not self._store.search(Query(type_, (seen,) if seen else (), count=1)).entries:
            return []
        return [""] if seen else _bounds(self._store.exports.parts(type_, A_FILE))

    def _asked(self, reader: Reader, type_: str, filters: tuple[str, ...]) -> Condition | None:
        """What the filters ask of a type, within the reader's limits also where they ask about others. Raises Refused as `limit`."""
        wanted = bulk.wanted(filters, type_, self._terms)
        return limited(reader, Query(type_, (wanted,)), self._definitions).conditions[0] if wanted else None

    def _end(self, reader: Reader, id_: str) -> Answer:
        self._own(reader, id_)
        self._store.write(lambda tx: tx.end_export(id_, reader.reference))
        return Answer(202)

    def _file(self, export: Export, type_: str, reader: Reader, first: str, until: str) -> File:
        """One file of an export. Raises Refused UNKNOWN_RESOURCE, and as `limit`."""
        if type_ not in export.types:
            raise Refused(Problem.UNKNOWN_RESOURCE, "no such file")
        if not (reader.may(type_, "r") and reader.may(type_, "s")):
            raise Refused(Problem.SCOPE_MISSING, f"this needs system/{type_}.rs")
        limit(reader, type_, self._definitions)
        self._asked(reader, type_, export.filters)
        return File(NDJSON, self._pieces(export, type_, reader, first, until))

    def _pieces(self, export: Export, type_: str, reader: Reader, first: str, until: str) -> Iterator[bytes]:
        """Page after page; whose data a page holds is in the access log before it leaves, each person once a file."""
        told: set[str] = set()
        going = True
        while going:
            seen = limit(reader, type_, self._definitions)
            asked = self._asked(reader, type_, export.filters)
            part = Part(export, type_, first, until, (seen,) if seen else (), asked)
            page, first = self._store.exports.page(part, A_PAGE)
            found = Sight(self._store, self._definitions).of(reader, page) if seen else page  # also as it was then
            fresh = [person for person in persons(found) if person not in told]
            told.update(fresh)
            now = self._clock()
            self._store.audit_later(
                AuditLine(now, person, reader.reference, reader.ground.value, f"export {type_}", "", "fhir") for person in fresh
            )
            if found:
                yield "".join([f"{self._shown(each, export)}\n" for each in found]).encode()
            going = first != ""


def _wanted(asked: Asked) -> tuple[dict[str, list[str]], list[str]]:
    """The parameters, of the query and of a Parameters body; and the names of those that are ignored, where the client is lenient.

    Raises:
        Refused: BAD_EXPORT for one that is not understood.
    """
    pairs: list[tuple[str, Any]] = [(n, v) for n, v in parse_qsl(asked.query) if n != "_format"]
    if asked.body:
        pairs += parameters_of(strict_json.load(asked.body))
    unknown = sorted({name for name, _ in pairs if name not in UNDERSTOOD})
    if unknown and not asked.lenient:
        known = ", ".join(sorted(UNDERSTOOD))
        raise Refused(Problem.BAD_EXPORT, f"understood are {known}; Prefer: handling=lenient ignores the rest", unknown[0][:40])
    found: dict[str, list[str]] = {name: [v for n, v in pairs if n == name and isinstance(v, str) and v] for name in UNDERSTOOD}
    if any(value.replace(" ", "+") not in FORMATS for value in found["_outputFormat"]):
        raise Refused(Problem.BAD_EXPORT, f"_outputFormat is {NDJSON}")
    return found, unknown


def _since(asked: list[str]) -> int:
    """In microseconds. Raises Refused BAD_EXPORT."""
    try:
        return times.span(asked[-1].replace(" ", "+"))[0] if asked else NEVER
    except (ValueError, OverflowError) as wrong:
        raise Refused(Problem.BAD_EXPORT, "_since is an instant such as 2026-12-01T09:00:00+01:00") from wrong


def _bounds(cuts: list[str]) -> list[str]:
    """The query of each file's address, for the ids at which a type is cut."""
    edges = ["", *cuts, ""]
    found = []
    for first, until in pairwise(edges):
        parts = [f"{name}={quote(id_)}" for name, id_ in (("from", first), ("until", until)) if id_]
        found.append(f"?{'&'.join(parts)}" if parts else "")
    return found
