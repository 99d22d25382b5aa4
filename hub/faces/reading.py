"""The reading interactions: read, vread, history, search, `$everything`. On stored bytes: no resource is parsed unless a part is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode

from hub.faces.interaction import Answer, Asked, Source, known, named, version_headers
from hub.faces.sight import Sight
from hub.fhir import bundle, paging, search, times
from hub.fhir.definitions import Definitions
from hub.fhir.index import HashId
from hub.fhir.limits import limited
from hub.fhir.outcome import ignored as told_ignored
from hub.fhir.query import FOREVER, NEVER, DateIs, Query, ReferenceIs
from hub.fhir.search import Parsed
from hub.fhir.subset import subset
from hub.problem import Problem, Refused
from hub.store import Stored
from hub.store.values import Bounds, persons

USUAL_HISTORY = 50
SHAPE = ("_format", "_pretty")
"""How an answer looks, also that of the next page."""
MOST_SLOTS = 1_000_000


class Reading:
    """What may be read from a source, by whom."""

    def __init__(self, source: Source, definitions: Definitions, base: str, hash_id: HashId) -> None:
        self._source, self._definitions, self._base, self._hash_id = source, definitions, base, hash_id
        self.sight = Sight(source, definitions)

    def read(self, asked: Asked, type_: str, id_: str, version: str = "") -> Answer:
        """The current version, or an older one.

        Raises:
            Refused: UNKNOWN_RESOURCE, DELETED.
        """
        interaction = "vread" if version else "read"
        if not version:
            found = self._source.get(type_, known(id_))
        else:
            number = int(version) if version.isascii() and version.isdigit() and len(version) < 18 else 0
            found = self._source.version(type_, known(id_), number)
        found = self.sight.one(asked.reader, found)
        if found is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} with that id or version")
        if found.deleted:
            raise Refused(Problem.DELETED, f"this {type_} was deleted")
        asked.require_read(found)
        if _unchanged(asked, found):
            return Answer(304, b"", version_headers(found), persons([found]), f"{interaction} {type_}", modified=found.last_updated)
        body = found.body
        if asked.query:
            parts = [pair for pair in asked.pairs if pair[0] in ("_summary", "_elements")]
            body = self._part(found, search.parse(type_, parts, False, self._definitions, self._hash_id)).body
        return Answer(200, body, version_headers(found), persons([found]), f"{interaction} {type_}", modified=found.last_updated)

    def history(self, asked: Asked, type_: str = "", id_: str = "") -> Answer:
        """Of one resource, one type, or everything; `_count`, `_since`, `_at`. Newest first, in pages that new versions do not shift.

        Raises:
            Refused: UNKNOWN_RESOURCE, BAD_SEARCH.
        """
        options = dict(asked.pairs)
        if asked.strict and not options.keys() <= {"_count", "_since", "_at", "_cursor", *SHAPE}:
            raise Refused(Problem.BAD_SEARCH, "a history understands _count, _since and _at")
        count = paging.count_of(options.get("_count", str(USUAL_HISTORY)))
        bounds = _bounds(options)
        before = paging.cursor(options["_cursor"], self._hash_id)[0][0] if "_cursor" in options else FOREVER
        total = None
        if id_:
            kept_all = self._source.history(type_, known(id_))
            versions = self.sight.of(asked.reader, kept_all)
            if not versions:
                raise Refused(Problem.UNKNOWN_RESOURCE, f"no {type_} with that id")
            ended = {v.version - 1: v.updated for v in kept_all}
            every = [v for v in versions if bounds[0] <= v.updated < bounds[1] and ended.get(v.version, FOREVER) > bounds[2]]
            rest = [v for v in every if v.seq < before]
            total, shown, after = len(every), rest[:count], rest[count - 1].seq if len(rest) > count > 0 else None
        else:
            shown, after = self.sight.log(asked.reader, type_, bounds, before, count)
        where = "/".join(part for part in (self._base, type_, id_, "_history") if part)
        kept = [pair for pair in asked.pairs if pair[0] in ("_count", "_since", "_at", *SHAPE)]
        links = [("self", _with(where, kept + [pair for pair in asked.pairs if pair[0] == "_cursor"]))]
        if after is not None:
            links.append(("next", _with(where, [*kept, ("_cursor", paging.token((after, 0), False, self._hash_id))])))
        return Answer(200, bundle.history(self._base, shown, total, links), (), persons(shown), f"history {type_ or 'all'}")

    def search(self, asked: Asked, type_: str, pairs: list[tuple[str, str]]) -> Answer:
        """A searchset. Raises Refused BAD_SEARCH, SCOPE_MISSING, NOT_ALLOWED."""
        secret = search.national(pairs)
        if secret and (asked.method != "POST" or search.national(asked.pairs)):
            raise Refused(Problem.BAD_SEARCH, f"a national id is searched for in the body of POST {type_}/_search alone, so that no log holds it")
        parsed = search.parse(type_, pairs, asked.strict, self._definitions, self._hash_id, self._base)
        page = self._source.search(limited(asked.reader, parsed.query, self._definitions))
        shown = [pair for pair in parsed.used if not secret or not search.national([pair])]
        whole = asked.path == (type_,) and asked.query.isascii() and 0 < len(pairs) == len(shown)  # the address as it came is the search
        shown += [pair for pair in pairs if pair[0] in SHAPE]
        here = [pair for pair in pairs if pair[0] == "_cursor"]
        links = [("self", f"{self._base}/{type_}?{asked.query}" if whole else self._link(type_, shown + here))]
        for relation, cursor in (("next", page.next), ("previous", page.before)):
            if cursor is not None:
                links.append((relation, self._link(type_, [*shown, ("_cursor", paging.token(cursor, relation == "previous", self._hash_id))])))
        note = told_ignored(parsed.ignored)
        included = [e for e in page.included if self.sight.sees(asked.reader, e.type, e.id)]
        entries = [self._part(e, parsed) for e in page.entries] if parsed.summary or parsed.elements else page.entries
        body = bundle.searchset(self._base, entries, included, page.total, links, note)
        return Answer(200, body, (), persons([*page.entries, *included]), f"search {type_}")

    def everything(self, asked: Asked, id_: str) -> Answer:
        """`Patient/…/$everything`: the person, and what is about the person, of the types this reader sees.

        Raises:
            Refused: UNKNOWN_RESOURCE.
        """
        person = self._source.get("Patient", known(id_))
        if person is None or person.deleted or not self.sight.sees(asked.reader, "Patient", id_):
            raise Refused(Problem.UNKNOWN_RESOURCE, "no Patient with that id")
        found = {person.reference: person}
        wanted = {type_ for name, value in asked.pairs if name == "_type" for type_ in value.split(",") if type_}
        ignored = sorted({name[:40] for name, _ in asked.pairs} - {"_type", "_since", "_format", "_pretty"})
        if asked.strict and (ignored or not wanted <= set(self._definitions.served)):
            raise Refused(Problem.BAD_SEARCH, "$everything understands _since, and _type with types that are served here")
        changed = _bounds({"_since": next((value for name, value in asked.pairs if name == "_since"), "")})[0]
        for type_ in self._definitions.served if not wanted else wanted & set(self._definitions.served):
            if "patient" in self._definitions.parameters.get(type_, {}) and type_ != "Patient" and not self._definitions.served[type_].view:
                try:
                    query = limited(asked.reader, Query(type_, (ReferenceIs("patient", (("Patient", id_),)),), count=paging.MOST), self._definitions)
                except Refused:
                    continue
                found |= {each.reference: each for each in self._every(query)}
        entries = [one for one in found.values() if (not wanted or one.type in wanted) and one.updated >= changed]
        links = [("self", _with(f"{self._base}/Patient/{id_}/$everything", [pair for pair in asked.pairs if pair[0] in ("_type", "_since")]))]
        note = told_ignored(ignored)
        return Answer(200, bundle.searchset(self._base, entries, [], len(entries), links, note), (), persons(entries), "everything Patient")

    def _every(self, query: Query) -> Iterator[Stored]:
        """All that a query finds, page by page."""
        page = self._source.search(query)
        yield from page.entries
        while page.next is not None:
            page = self._source.search(replace(query, cursor=page.next))
            yield from page.entries

    def publish(self, asked: Asked, now: int) -> Answer:
        """`Slot/$publish`: every slot ahead that this reader sees, one per line, for who polls (SMART Scheduling Links). 304 while nothing changed.

        Raises:
            Refused: SCOPE_MISSING, NOT_ALLOWED.
        """
        ahead = DateIs("start", (("ge", now, now),), main=True)
        slots = self._source.search(limited(asked.reader, Query("Slot", (ahead,), count=MOST_SLOTS), self._definitions)).entries
        newest = self._hash_id("publish", str(max((slot.seq for slot in slots), default=0)))[:16]  # the place in the log would tell of others
        tag = f'W/"{len(slots)}-{newest}"'
        headers = ((b"etag", tag.encode()), (b"cache-control", b"private, max-age=30"))
        if named(asked.header(b"if-none-match"), tag):
            return Answer(304, b"", headers)
        return Answer(200, "".join([f"{slot.text}\n" for slot in slots]).encode(), headers, media_type="application/fhir+ndjson")

    def _part(self, found: Stored, parsed: Parsed) -> Stored:
        if not parsed.summary and not parsed.elements:
            return found
        return found._replace(text=subset(found.text, parsed.summary, parsed.elements, self._definitions))

    def _link(self, type_: str, pairs: Iterable[tuple[str, str]]) -> str:
        return _with(f"{self._base}/{type_}", pairs)


def conditional(
    asked: Asked, type_: str, criteria: list[tuple[str, str]], source: Source, definitions: Definitions, hash_id: HashId, base: str,
) -> list[Stored]:
    """At most two of the resources that match the criteria of a conditional interaction, among those the reader sees.

    Raises:
        Refused: BAD_SEARCH: a criterion that is not known would match too much; no criterion at all.
    """
    parsed = search.parse(type_, criteria, True, definitions, hash_id, base)
    if not parsed.query.conditions:
        raise Refused(Problem.BAD_SEARCH, "a conditional interaction needs at least one search parameter")
    return source.search(replace(limited(asked.reader, parsed.query, definitions), count=2, cursor=None, includes=())).entries


def _with(address: str, pairs: Iterable[tuple[str, str]]) -> str:
    text = urlencode(list(pairs), safe=":/|,", quote_via=quote)  # a bare + would be read as a space
    return address + (f"?{text}" if text else "")


def _bounds(options: dict[str, str]) -> Bounds:
    """Of `_since` (inclusive) and `_at` (versions that were current at some time of it, R4 http.html#history)."""
    try:
        low = times.span(options["_since"].replace(" ", "+"))[0] if options.get("_since") else NEVER
        still, high = times.span(options["_at"].replace(" ", "+")) if options.get("_at") else (NEVER, FOREVER)
    except (ValueError, OverflowError) as wrong:
        raise Refused(Problem.BAD_SEARCH, "_since and _at are instants such as 2026-12-01T09:00:00+01:00") from wrong
    return low, high, still


def _unchanged(asked: Asked, found: Stored) -> bool:
    tags = asked.header(b"if-none-match")
    if tags:
        return named(tags, found.etag)
    date = asked.header(b"if-modified-since")
    try:
        return bool(date) and found.last_updated.replace(microsecond=0) <= parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return False
