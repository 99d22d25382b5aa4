"""One search parameter with its modifier as a condition (R4 3.1.1.4.4, 3.1.1.5). What R4 has and a parameter cannot have is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from hub.fhir import alternatives, measures
from hub.fhir.alternatives import Terms
from hub.fhir.definitions import Definitions, Element, Parameter
from hub.fhir.index import OF_TYPE, TEXT
from hub.fhir.query import (
    AnyOf,
    Chained,
    CodeIn,
    Condition,
    DateIs,
    Missing,
    Near,
    PartOf,
    ReferenceIs,
    SpanIs,
    StringIs,
    TokenIs,
    UriBelow,
)
from hub.fhir.terminology import EVERY_CODE, Written, ancestors, descendants
from hub.fhir.text import CUT, indexed
from hub.problem import Problem, Refused

_CODED = frozenset({"code", "Coding", "CodeableConcept"})
_RANGES = frozenset({"Period", "Timing", "dateTime", "date"})
"""Datatypes of times that may last: a Period, or a day or a month."""
MOST_STEPS = 100
"""Steps of an address that `:above` goes up."""


def condition(type_: str, parameter: Parameter, modifier: str, value: str, terms: Terms) -> Condition:
    """The condition of `name:modifier=value`.

    Raises:
        Refused: BAD_SEARCH: a modifier or a value that does not go with this parameter.
    """
    if modifier == "missing":
        kind = {"uri": "token", "quantity": "date", "special": "date"}.get(parameter.type, parameter.type)
        return Missing(parameter.name, kind, alternatives.boolean(value))
    if modifier and modifier not in _modifiers(type_, parameter.name, terms.definitions):
        raise Refused(Problem.BAD_SEARCH, f"{parameter.name} has no modifier {alternatives.shown(modifier)}")
    name, parts = parameter.name, alternatives.split(value)
    match parameter.type:
        case "token":
            return _token(parameter, modifier, parts, terms)
        case "uri":
            return _uri(name, modifier, parts)
        case "date":
            dates = tuple([alternatives.date(v) for v in parts])
            served = terms.definitions.served[type_]
            if served.main == name and not served.begins and kinds(type_, name, terms.definitions) & _RANGES:
                return SpanIs(name, dates)
            return DateIs(name, dates, main=served.main == name)
        case "string" if modifier == "exact":
            return TokenIs(f"{name}:exact", tuple([(None, indexed(alternatives.plain(v))) for v in parts]))
        case "quantity":
            asked = [measures.quantity(name, [alternatives.plain(each) for each in alternatives.apart(v, "|")]) for v in parts]
            found = [DateIs(param, ranges) for param, ranges in asked]
            return found[0] if len(found) == 1 else AnyOf(tuple(found))
        case "special":
            return Near(name, tuple([measures.near(v.split("|")) for v in parts]))
        case "string":
            return StringIs(name, tuple([(modifier, alternatives.plain(v)) for v in parts]))
    if modifier == "text":
        return _text(name, parts)
    if modifier in ("above", "below"):
        return _hierarchy(type_, name, modifier, parts, terms)
    numbers = "|" in value and all("|" in v for v in parts) and "canonical" not in kinds(type_, parameter.name, terms.definitions)
    if modifier == "identifier" or numbers:  # VKP writes patient=system|number (facts/fhir.md 2.4)
        return TokenIs(f"{name}:identifier", tuple([alternatives.token(v, terms) for v in parts]))
    return ReferenceIs(name, tuple([alternatives.reference(v, modifier or None, terms) for v in parts]))


def _elements(type_: str, name: str, definitions: Definitions) -> Iterator[tuple[Element, str]]:
    """The elements that a parameter looks at, and of each the one type of target that it is narrowed to, if any."""
    for path in definitions.parameters[type_][name].paths:
        here, found = {type_}, list[Element]()
        for step in path["path"]:
            below = [definitions.types[each].elements for each in here if each in definitions.types]
            found = [element for elements in below for key, element in elements.items() if step in (key, element.choice)]
            here = {element.type for element in found}
        yield from ((element, path.get("target", "")) for element in found)


@lru_cache(maxsize=1000)
def kinds(type_: str, name: str, definitions: Definitions) -> frozenset[str]:
    """The datatypes of the elements that a parameter looks at."""
    return frozenset(element.type for element, _ in _elements(type_, name, definitions))


@lru_cache(maxsize=1000)
def targets(type_: str, name: str, definitions: Definitions) -> tuple[str, ...]:
    """The served types that a reference parameter may point to."""
    wanted = [({target} if target else element.targets) for element, target in _elements(type_, name, definitions)]
    return tuple(served for served in definitions.served if any(each is None or served in each for each in wanted))


@lru_cache(maxsize=1000)
def _modifiers(type_: str, name: str, definitions: Definitions) -> frozenset[str]:
    """Those of R4 that go with this parameter; `:missing` goes with all."""
    holds = kinds(type_, name, definitions)
    match definitions.parameters[type_][name].type:
        case "token":
            coded = {"in", "not-in", "above", "below"} if holds & _CODED else set()
            texts = {"text"} if holds & {"Coding", "CodeableConcept", "Identifier"} else set()
            return frozenset({"not"} | coded | texts | ({"of-type"} if "Identifier" in holds else set()))
        case "reference":
            pointed = {target for element, _ in _elements(type_, name, definitions) for target in element.targets or ()}
            layered = "canonical" in holds or any(definitions.served[each].part for each in targets(type_, name, definitions))
            more = ({"text"} if "Reference" in holds else set()) | ({"above", "below"} if layered else set())
            return frozenset({"identifier", *definitions.types, *pointed} | more)
        case "uri":
            return frozenset({"above", "below"})
        case "string":
            return frozenset({"exact", "contains"})
    return frozenset()


def _token(parameter: Parameter, modifier: str, parts: list[str], terms: Terms) -> Condition:
    name, implied = parameter.name, parameter.implied
    match modifier:
        case "text":
            return _text(name, parts)
        case "of-type":
            return TokenIs(name + OF_TYPE, tuple([each for v in parts for each in alternatives.of_type(v, terms)]))
        case "in" | "not-in":
            held = [each for v in parts for each in _held(alternatives.plain(v), terms).items()]
            return CodeIn(name, tuple([("" if system in implied else system, codes) for system, codes in held]), negated=modifier == "not-in")
        case "above" | "below":
            return CodeIn(name, tuple([_along(modifier, v, implied, terms) for v in parts]))
    made = TokenIs(name, tuple([alternatives.token(v, terms, implied) for v in parts]), negated=modifier == "not")
    return _whether(made) if parameter.paths[0].get("is_so") else made


def _text(name: str, parts: list[str]) -> Condition:
    """What is said of the code or the reference in words, searched as a string is (R4 3.1.1.5.5)."""
    return StringIs(name + TEXT, tuple([("", alternatives.plain(v)) for v in parts]))


def _held(canonical: str, terms: Terms) -> Written:
    """What a value set holds, by its canonical or by where it is read here."""
    found = terms.definitions.terminology.within(canonical.removeprefix(f"{terms.base}/") if terms.base else canonical)
    url = canonical.partition("|")[0]
    if found is None and (url in terms.definitions.terminology.unheld or f"{EVERY_CODE}=" in url):
        systems = terms.definitions.terminology.unheld.get(url, ())
        told = ", ".join(systems) or url.partition("?")[0]
        raise Refused(Problem.BAD_SEARCH, f"what this value set holds is told by a terminology that is not held here: {told[:200]}")
    if found is None:
        raise Refused(Problem.BAD_SEARCH, "no such value set is held here: by its canonical those that R4 binds the served types to, and /ValueSet")
    return found


def _along(modifier: str, value: str, implied: frozenset[str], terms: Terms) -> tuple[str, tuple[str, ...]]:
    """A code and what stands above or below it in its system."""
    system, code = alternatives.token(value, terms)
    if system is None and len(implied) == 1:
        (system,) = implied
    parents = terms.definitions.terminology.parents.get(system or "")
    if parents is None or system is None or code is None:
        raise Refused(Problem.BAD_SEARCH, f":{modifier} takes system|code, of a system whose hierarchy is held here")
    codes = ancestors(code, parents) if modifier == "above" else descendants(code, parents)
    return "" if system in implied else system, codes


def _hierarchy(type_: str, name: str, modifier: str, parts: list[str], terms: Terms) -> Condition:
    """Of what lies in a hierarchy of its type (R4 3.1.1.5.7); of a canonical its versions, which go from the first part to the last."""
    if "canonical" in kinds(type_, name, terms.definitions):
        return _versions(name, modifier, [alternatives.plain(v) for v in parts])
    layered = [each for each in targets(type_, name, terms.definitions) if terms.definitions.served[each].part]
    ids: dict[str, list[str]] = {}
    for value in parts:
        kind, id_ = alternatives.reference(value, None, terms)
        kind = layered[0] if kind is None and len(layered) == 1 else kind
        if kind not in layered:
            raise Refused(Problem.BAD_SEARCH, f":{modifier} takes Type/id, of {' or '.join(layered)}")
        ids.setdefault(kind, []).append(id_)
    found: list[Condition] = []
    for kind, wanted in ids.items():
        found.append(ReferenceIs(name, tuple([(kind, id_) for id_ in wanted])))
        found.append(Chained(name, kind, (PartOf(terms.definitions.served[kind].part, tuple(wanted), above=modifier == "above"),)))
    return AnyOf(tuple(found))


def _versions(name: str, modifier: str, canonicals: list[str]) -> Condition:
    if any(len(each) > CUT for each in canonicals):
        raise Refused(Problem.BAD_SEARCH, f":{modifier} takes canonicals of at most {CUT} characters")
    if modifier == "below":
        return UriBelow(name, tuple(canonicals), kind="reference")
    steps = [each[:end] for each in canonicals for end in (len(each), *(m.start() for m in re.finditer(r"[.-]", each) if "|" in each[:m.start()]))]
    return ReferenceIs(name, tuple([("", each) for each in dict.fromkeys(steps)]))


def _uri(name: str, modifier: str, parts: list[str]) -> Condition:
    addresses = [alternatives.plain(v) for v in parts]
    if modifier and not all("://" in address for address in addresses):
        raise Refused(Problem.BAD_SEARCH, f":{modifier} goes with addresses that have steps, as http://example.org/a/b: not with URNs")
    match modifier:
        case "below":
            if any(len(address) > CUT for address in addresses):
                raise Refused(Problem.BAD_SEARCH, f":below takes addresses of at most {CUT} characters")
            return UriBelow(name, tuple(addresses))
        case "above":
            return CodeIn(name, (("", tuple([indexed(step) for address in addresses for step in _steps(address)])),))
    return TokenIs(name, tuple([(None, indexed(address)) for address in addresses]))


def _steps(address: str) -> list[str]:
    """The address and all that it lies below: with and without the stroke at the end."""
    start = address.index("://") + 3
    ends = [place for place in range(start, len(address)) if address[place] == "/"]
    if len(ends) > MOST_STEPS:
        raise Refused(Problem.BAD_SEARCH, f":above takes addresses of at most {MOST_STEPS} steps")
    return list(dict.fromkeys([address, *(address[:end + more] for end in ends for more in (0, 1))]))


def _whether(asked: TokenIs) -> Condition:
    """Of what is so or is not: who says nothing says `false`, so `false` is whatever is not true."""
    others = tuple([each for each in asked.any_of if each[1] != "false" or each[0]])
    if len(others) == len(asked.any_of):
        return asked
    untrue = replace(asked, any_of=((None, "true"),), negated=not asked.negated)
    return AnyOf((replace(asked, any_of=others), untrue)) if others else untrue
