"""A FHIR search as a Query: parameters, modifiers and prefixes of R4, strict or lenient, with an honest account of what was used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from hub.booking.national_id import valid
from hub.fhir import alternatives, modifiers, paging
from hub.fhir.alternatives import Terms
from hub.fhir.definitions import Definitions
from hub.fhir.index import NATIONAL_IDS, OF_TYPE
from hub.fhir.paging import HashId
from hub.fhir.query import AnyOf, Chained, Condition, Has, IdIs, Include, Query, SortKey, TokenIs, UpdatedIs
from hub.problem import Problem, Refused

RESULT = {"_count", "_sort", "_total", "_include", "_revinclude", "_summary", "_elements", "_cursor", "_format", "_pretty",
          "_include:iterate", "_revinclude:iterate"}
_ELEVEN = re.compile(r"(?<![\w-])\d{11}(?![\w-])", re.ASCII)
_NATIONAL = re.compile("|".join([*map(re.escape, sorted(NATIONAL_IDS)), rf"\|\s*\d{{11}}\s*(,.*)?\n{OF_TYPE}"]))
_EVERYWHERE = ("_id", "_lastUpdated")
"""Parameters that are kept as columns."""
MOST_CHAINS = 4
MOST_PARAMETERS, MOST_VALUES = 50, 500
"""Of one search; alternatives between commas are values. More than that no database reads."""
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A search, understood."""

    query: Query
    used: tuple[tuple[str, str], ...]
    """What was really used, for the self link; result parameters included, the cursor not."""
    ignored: tuple[str, ...]
    counting: bool = False
    """`_summary=count`: only the total."""
    summary: str = ""
    """`true`, `text` or `data`; empty: resources come whole."""
    elements: tuple[str, ...] = ()
    """`_elements`: only these, and what is mandatory."""


def parse(
    type_: str, pairs: Iterable[tuple[str, str]], strict: bool, definitions: Definitions, hash_id: HashId, base: str = "",
) -> Parsed:
    """Reads a search. `base`: ours, under which an absolute reference is one of our own; under another it is somebody else's.

    Raises:
        Refused: BAD_SEARCH: a value or modifier that cannot be understood; under `strict` also an unknown parameter.
    """
    terms = Terms(definitions, hash_id, base)
    conditions: list[Condition] = []
    values = 0
    used: Pairs = []
    ignored: list[str] = []
    result: Pairs = []
    for name, value in pairs:
        if not value.strip(","):
            continue
        if "\0" in value:
            raise Refused(Problem.BAD_SEARCH, "a value holds a control character")
        if name in RESULT:
            result.append((name, value))
            continue
        made = _condition(type_, name, value, terms)
        if made is None:
            if strict:
                raise Refused(Problem.BAD_SEARCH, f"unknown search parameter for {type_}: {alternatives.shown(name)}")
            ignored.append(alternatives.shown(name))
        else:
            conditions.append(made)
            used.append((name, value))
            values += value.count(",") + 1
    if len(conditions) > MOST_PARAMETERS or values > MOST_VALUES:
        raise Refused(Problem.BAD_SEARCH, f"too costly: at most {MOST_PARAMETERS} parameters, and {MOST_VALUES} values in all")
    place, back = None, False
    for _, text in [pair for pair in result if pair[0] == "_cursor"]:
        place, back = paging.cursor(text, hash_id)
    wanted = _results(type_, tuple([pair for pair in result if pair[0] not in ("_cursor", "_format", "_pretty")]), definitions)
    query = Query(type_, tuple(conditions), wanted.count, place, back, wanted.sort, wanted.total, wanted.includes)
    return Parsed(query, (*used, *wanted.shown), tuple(ignored), wanted.counting, wanted.summary, wanted.elements)


@dataclass(frozen=True, slots=True)
class _Results:
    """What a search says of its result."""

    shown: tuple[tuple[str, str], ...]
    count: int
    sort: tuple[SortKey, ...]
    total: bool
    includes: tuple[Include, ...]
    counting: bool
    summary: str
    elements: tuple[str, ...]


@lru_cache(maxsize=128)
def _results(type_: str, result: tuple[tuple[str, str], ...], definitions: Definitions) -> _Results:
    """Remembered: what clients say here is the same from search to search. Raises Refused BAD_SEARCH."""
    last = dict(result)
    count, summary = paging.count_of(last.get("_count", str(paging.USUAL))), last.get("_summary", "false")
    counting = summary == "count" or count == 0
    if summary not in ("count", "false", "true", "text", "data"):
        raise Refused(Problem.BAD_SEARCH, "_summary is true, text, data, count or false")
    if last.get("_total", "none") not in ("none", "estimate", "accurate"):
        raise Refused(Problem.BAD_SEARCH, "_total is none, estimate or accurate")
    asked = ((name, value) for name, value in result if name.startswith(("_include", "_revinclude")))
    includes = tuple(include for name, value in asked for include in _includes(type_, name, value, definitions))
    if summary == "text":  # what is said in words alone brings nothing along (R4 3.1.1.5.8)
        includes, result = (), tuple(pair for pair in result if not pair[0].startswith(("_include", "_revinclude")))
    return _Results(
        result, 0 if counting else count, paging.order(type_, last.get("_sort", ""), definitions),
        counting or last.get("_total") in ("estimate", "accurate"), includes, counting,
        "" if summary in ("count", "false") else summary, tuple(alternatives.split(last["_elements"])) if "_elements" in last else (),
    )


def _includes(type_: str, name: str, value: str, definitions: Definitions) -> Iterator[Include]:
    """`Type:parameter[:Target]`; `*` for the parameter is every reference of the type, and `*` alone those of the type that is searched."""
    source, _, rest = (f"{type_}:*" if value == "*" and name.startswith("_include") else value).partition(":")
    wanted, _, target = rest.partition(":")
    kind, _, modifier = name.partition(":")
    known = {n: p for n, p in definitions.parameters.get(source, {}).items() if p.type == "reference" and wanted in (n, "*")}
    if not known or definitions.served[source].view:
        raise Refused(Problem.BAD_SEARCH, f"{name} names no reference parameter: Type:parameter, or Type:*")
    for param in known:
        yield Include(source, param, target or None, reverse=kind == "_revinclude", iterate=modifier == "iterate")


def _condition(type_: str, name: str, value: str, terms: Terms, depth: int = 0) -> Condition | None:
    """None: the server knows no such parameter."""
    parameter = terms.definitions.parameters.get(type_, {}).get(name)
    if parameter is not None and name not in _EVERYWHERE:
        return modifiers.condition(type_, parameter, "", value, terms)
    if depth > MOST_CHAINS:
        raise Refused(Problem.BAD_SEARCH, f"chained more than {MOST_CHAINS} times")
    if name.startswith("_has:"):
        return _has(type_, name, value, terms, depth)
    if "." in name:
        return _chained(type_, name, value, terms, depth)
    base, _, modifier = name.partition(":")
    if base in _EVERYWHERE and modifier:
        raise Refused(Problem.BAD_SEARCH, f"{base} has no modifier {alternatives.shown(modifier)}")
    if base == "_id":
        return IdIs(tuple(alternatives.split(value)))
    if base == "_lastUpdated":
        return UpdatedIs(tuple(alternatives.date(v) for v in alternatives.split(value)))
    parameter = terms.definitions.parameters.get(type_, {}).get(base)
    if parameter is None:
        return None
    return modifiers.condition(type_, parameter, modifier, value, terms)


def _chained(type_: str, name: str, value: str, terms: Terms, depth: int) -> Condition | None:
    """`patient.name`, `actor:Patient.name`. By identifier also what the reference itself says (Reference.identifier)."""
    first, _, rest = name.partition(".")
    base, _, kind = first.partition(":")
    parameter = terms.definitions.parameters.get(type_, {}).get(base)
    if parameter is None or parameter.type != "reference":
        return None
    found: list[Condition] = []
    unfit: Refused | None = None
    for target in (kind,) if kind else modifiers.targets(type_, base, terms.definitions):
        try:
            made = _condition(target, rest, value, terms, depth + 1) if target in terms.definitions.served else None
        except Refused as refused:  # of several types one may have a parameter of that name which this does not go with
            unfit = refused
            continue
        if made is not None:
            found.append(Chained(base, target, (made,), by_identifier=rest == "identifier"))
    if rest == "identifier":
        found.append(TokenIs(f"{base}:identifier", tuple(alternatives.token(v, terms) for v in alternatives.split(value))))
    if unfit is not None and not found:
        raise unfit
    return AnyOf(tuple(found)) if len(found) > 1 else found[0] if found else None


def _has(type_: str, name: str, value: str, terms: Terms, depth: int) -> Condition:
    """`_has:Appointment:patient:status`. What it asks about must be known: a condition that is ignored would widen the search unseen."""
    parts = name.split(":", 3)
    source, param, rest = (parts[1:] + ["", "", ""])[:3]
    parameter = terms.definitions.parameters.get(source, {}).get(param)
    asked = parameter is not None and parameter.type == "reference" and not terms.definitions.served[source].view
    made = _condition(source, rest, value, terms, depth + 1) if asked else None
    if made is None:
        raise Refused(Problem.BAD_SEARCH, "_has is _has:Type:reference-parameter:parameter")
    return Has(source, param, (made,))


def national(pairs: Iterable[tuple[str, str]]) -> bool:
    """Some value names a national id: such a search must come by POST, so that no log has it. By `:of-type` it may be one without being named so,
    and whoever forgets the system sends one all the same."""
    values = "\n".join([value if OF_TYPE not in name else f"{value}\n{OF_TYPE}" for name, value in pairs])
    return _NATIONAL.search(values) is not None or any(valid(number) for number in _ELEVEN.findall(values))


def pairs(criteria: str) -> Pairs:
    """The parameters of a conditional interaction, as they stand in `If-None-Exist` or behind `?`."""
    return parameters_in(criteria.partition("?")[2] or criteria)


def parameters_in(query: str) -> Pairs:
    """The parameters of an address. Where nothing is escaped, as in most, splitting is all there is to do."""
    if "%" in query or "+" in query:
        return parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, _, value in [part.partition("=") for part in query.split("&") if part]]
