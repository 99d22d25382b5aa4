"""What one reader sees of what is kept: resources as they are now, and each version as it was. For a reader of some departments what is another's
is as what never was: nothing that is answered differs by it, neither a status nor a count.
"""

from __future__ import annotations

from hub.access import ALL_DEPARTMENTS, Reader
from hub.faces.interaction import Source
from hub.fhir.definitions import Definitions
from hub.fhir.limits import limit
from hub.fhir.meeting import meets
from hub.fhir.query import Condition, IdIs, Query
from hub.message import Resource
from hub.problem import Refused
from hub.store import Stored
from hub.store.values import Bounds

A_PAGE = 500
ADDRESSED = "recipient"
"""The search parameter for whom something is meant."""
MOST_SCANNED = 10_000
"""Versions of the change log that are looked through for one page of a history."""


class Sight:
    """Asked of one source."""

    def __init__(self, source: Source, definitions: Definitions) -> None:
        self._source, self._definitions = source, definitions

    def sees(self, reader: Reader | None, type_: str, id_: str) -> bool:
        """The reader's scopes and departments give this resource as it is now; a deleted one, only to who sees everything of its type."""
        bound = self._bound(reader, type_)
        return bound == () or (bound is not None and bool(self._now(type_, (id_,), bound)))

    def one(self, reader: Reader | None, found: Stored | None) -> Stored | None:
        """A version that a look-up found; None: the reader does not see it."""
        return next(iter(self.of(reader, [found] if found else [])), None)

    def of(self, reader: Reader | None, versions: list[Stored]) -> list[Stored]:
        """Those of these versions that the reader sees: of a resource that it sees now or, where it is deleted, saw until then, and that
        belonged to its departments themselves."""
        every: dict[str, set[str]] = {}
        for version in versions:
            every.setdefault(version.type, set()).add(version.id)
        bounds = {type_: self._bound(reader, type_) for type_ in every}
        theirs = {type_: self._theirs(type_, ids, bounds[type_]) for type_, ids in every.items()}
        return [v for v in versions if (now := theirs[v.type].get(v.id)) is not None and (v.seq == now or self._was(v, bounds[v.type] or ()))]

    def log(self, reader: Reader | None, type_: str, bounds: Bounds, before: int, count: int) -> tuple[list[Stored], int | None]:
        """At most `count` versions that the reader sees, newest first, and the place to go on from; None: that was all.

        What it does not see is passed over and not left out of a page: the room that it took would tell how much there is.
        """
        found: list[Stored] = []
        scanned, many = 0, count + 1  # who sees everything needs no more
        while scanned < MOST_SCANNED:
            rows = self._source.log(type_, bounds, before, many)
            found += self.of(reader, rows)
            if len(found) > count:
                return found[:count], found[count - 1].seq if count else None
            if len(rows) < many:
                return found, None
            before, scanned, many = rows[-1].seq, scanned + many, A_PAGE
        return found, before

    def others(self, reader: Reader, resource: Resource) -> frozenset[str]:
        """Departments in whose name, or as whose, this stands, and which are not the reader's. Whom something is for may be anybody."""
        if reader.departments == ALL_DEPARTMENTS:
            return frozenset()
        params = set((self._definitions.served[resource["resourceType"]].limit or "").split()) - {ADDRESSED}
        named = {e.id for e in self._source.entries(resource).references if e.param in params and e.type == "HealthcareService"}
        return frozenset(named - reader.departments)

    def _bound(self, reader: Reader | None, type_: str) -> tuple[Condition, ...] | None:
        """What must be met; None: nothing of this type is seen."""
        try:
            bound = limit(reader, type_, self._definitions)
        except Refused:
            return None
        return () if bound is None else (bound,)

    def _theirs(self, type_: str, ids: set[str], bound: tuple[Condition, ...] | None) -> dict[str, int]:
        """Those that the reader sees, with the place of the version that is known to meet what must be met; 0: of none it is known."""
        if not bound:
            return {} if bound is None else dict.fromkeys(ids, 0)
        now = self._now(type_, tuple(ids), bound)
        others = (self._source.get(type_, id_) for id_ in ids - now.keys())
        return now | {last.id: 0 for last in others if last is not None and last.deleted and self._was(last, bound)}

    def _now(self, type_: str, ids: tuple[str, ...], bound: tuple[Condition, ...]) -> dict[str, int]:
        return {each.id: each.seq for each in self._source.search(Query(type_, (IdIs(ids), *bound), count=len(ids))).entries}

    def _was(self, version: Stored, bound: tuple[Condition, ...]) -> bool:
        """This version met it; that it was deleted is told to who saw it until then (R4 http.html#read)."""
        if not bound:
            return True
        last = self._source.version(version.type, version.id, version.version - 1) if version.deleted else version
        return last is not None and not last.deleted and meets(last, self._source.entries(last.resource), bound)
