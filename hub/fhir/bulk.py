"""What a bulk export narrows its resources by: `_typeFilter` and `_elements` (FHIR Bulk Data Access 2.0, query parameters). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from hub.fhir import search
from hub.fhir.alternatives import Terms
from hub.fhir.definitions import Definitions
from hub.fhir.query import AllOf, AnyOf, Condition
from hub.problem import Problem, Refused

_NEXT = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
"""A comma between two queries; those within one stand before no type."""
_BAD = Problem.BAD_EXPORT


def filters(asked: Iterable[str], types: Sequence[str], lenient: bool, terms: Terms) -> tuple[list[str], list[str]]:
    """The queries of `_typeFilter`, as they are kept, and what of them is ignored where the client is lenient.

    Raises:
        Refused: BAD_EXPORT, BAD_SEARCH: of a type that is not exported; a parameter that is not understood, or is none that searches.
    """
    kept, ignored = [], []
    for text in (query for value in asked for query in _NEXT.split(value) if query):
        type_, _, criteria = text.partition("?")
        pairs = search.parameters_in(criteria)
        if type_ not in types:
            if not lenient:
                raise Refused(_BAD, "_typeFilter is Type?criteria, with types that are exported", "_typeFilter")
            ignored.append("a query of _typeFilter, of a type that is not exported")
            continue
        if search.national(pairs):
            raise Refused(_BAD, "a national id must not stand in _typeFilter: find the person's id by POST Patient/_search", "_typeFilter")
        if any(name in search.RESULT for name, _ in pairs):
            raise Refused(_BAD, "_typeFilter finds; it does not sort, include or count", "_typeFilter")
        parsed = _parsed(type_, pairs, not lenient, terms)
        ignored += [f"{name} of _typeFilter" for name in parsed.ignored]
        if not parsed.query.conditions and not parsed.ignored:
            raise Refused(_BAD, "a query of _typeFilter names no search parameter", "_typeFilter")
        if parsed.query.conditions:
            kept.append(f"{type_}?{urlencode(parsed.used)}")
    return kept, ignored


def wanted(kept: Iterable[str], type_: str, terms: Terms) -> Condition | None:
    """What a resource of this type must meet; None: nothing. Raises Refused BAD_SEARCH when that is no longer understood."""
    queries = [query.partition("?")[2] for query in kept if query.partition("?")[0] == type_]
    found = [AllOf(_parsed(type_, search.parameters_in(query), True, terms).query.conditions) for query in queries]
    return AnyOf(tuple(found)) if found else None


def _parsed(type_: str, pairs: search.Pairs, strict: bool, terms: Terms) -> search.Parsed:
    return search.parse(type_, pairs, strict, terms.definitions, terms.hash_id, terms.base)


def elements(asked: Iterable[str], types: Sequence[str], lenient: bool, definitions: Definitions) -> tuple[list[str], list[str]]:
    """The elements of `_elements`, each `element` or `Type.element`, and those that are ignored. Raises Refused BAD_EXPORT."""
    kept, ignored = [], []
    for name in (name for value in asked for name in value.split(",") if name):
        type_, _, element = name.rpartition(".")
        of = [type_] if type_ in types else [] if type_ else types
        if any(element in (key, each.choice) for t in of for key, each in definitions.types[t].elements.items()):
            kept.append(name)
        elif not lenient:
            raise Refused(_BAD, "_elements names elements at the top of types that are exported: status, or Task.status", "_elements")
        else:
            ignored.append("an element of _elements that no exported type has")
    return kept, ignored
