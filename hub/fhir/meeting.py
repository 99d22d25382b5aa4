"""Whether one version of a resource meets conditions, by its own index entries: for versions that no index holds any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hub.fhir.query import AnyOf, Condition, Entries, IdIs, ReferenceIs, TokenIs


def meets(id_: str, entries: Entries, conditions: Iterable[Condition]) -> bool:
    """All of them. What asks about times, texts or other resources is only judged by the index, and is never met here."""
    return all(_meets(id_, entries, condition) for condition in conditions)


def _meets(id_: str, entries: Entries, condition: Condition) -> bool:
    match condition:
        case IdIs():
            return id_ in condition.any_of
        case TokenIs():
            codes = [(e.system, e.value) for e in entries.tokens if e.param == condition.param]
            met = any(system in (None, s) and value in (None, v) for system, value in condition.any_of for s, v in codes)
            return met is not condition.negated
        case ReferenceIs():
            targets = [(e.type, e.id) for e in entries.references if e.param == condition.param]
            return any(type_ in (None, t) and target == i for type_, target in condition.any_of for t, i in targets)
        case AnyOf():
            return any(_meets(id_, entries, one) for one in condition.conditions)
    return False
