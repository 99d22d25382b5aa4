"""What a reader of the FHIR API sees: its scopes say which types, its departments which resources of them. Pure."""

from __future__ import annotations

from dataclasses import replace

from hub.access import ALL_DEPARTMENTS, Reader
from hub.fhir.definitions import Definitions
from hub.fhir.query import AllOf, AnyOf, Chained, Condition, Has, IdIs, Query, ReferenceIs, TokenIs
from hub.problem import Problem, Refused

OWN = "own"
"""The limit of a type of which every client sees what it made itself, and nobody more."""
OWNERS = "https://besoksbro.example/fhir/CodeSystem/client"
"""The tag that tells whose such a resource is."""


def limit(reader: Reader | None, type_: str, definitions: Definitions) -> Condition | None:
    """The condition that holds for all that a reader sees of a type; None: it sees everything.

    Raises:
        Refused: SCOPE_MISSING, NOT_ALLOWED where it sees nothing of this type.
    """
    if reader is not None and not (reader.may(type_, "r") or reader.may(type_, "s")):
        raise Refused(Problem.SCOPE_MISSING, f"this token does not give {type_}")
    parameter = definitions.served[type_].limit
    if parameter == OWN and reader is not None:
        return TokenIs("_tag", ((OWNERS, reader.reference),), wide=True)
    if reader is not None and reader.departments == ALL_DEPARTMENTS:
        return None
    if reader is None or parameter is None or not reader.departments:
        raise Refused(Problem.NOT_ALLOWED, f"this token does not give {type_}")
    departments = sorted(reader.departments)
    if parameter == "_id":
        return IdIs(tuple(departments))
    kind = "Schedule" if parameter == "schedule" else "HealthcareService"
    theirs = tuple((kind, department) for department in departments)
    found = tuple(ReferenceIs(name, theirs, wide=True) for name in parameter.split())
    return found[0] if len(found) == 1 else AnyOf(found)


def limited(reader: Reader | None, query: Query, definitions: Definitions) -> Query:
    """The query as this reader may ask it: limited itself, and in every resource it asks about on the way. Raises Refused as `limit`."""
    conditions = _inside(reader, query.type, query.conditions, definitions)
    return query if conditions is query.conditions else replace(query, conditions=conditions)


def _inside(reader: Reader | None, type_: str, conditions: tuple[Condition, ...], definitions: Definitions) -> tuple[Condition, ...]:
    bound = limit(reader, type_, definitions)
    if bound is None and not [c for c in conditions if isinstance(c, (AllOf, AnyOf, Chained, Has))]:
        return conditions
    walked = tuple(_walked(reader, type_, c, definitions) for c in conditions)
    return walked if bound is None else (*walked, bound)


def _walked(reader: Reader | None, type_: str, condition: Condition, definitions: Definitions) -> Condition:
    """A chain asks about another type, so that type's limit holds there; but who knows an identifier may ask by it."""
    if isinstance(condition, AnyOf):
        return AnyOf(tuple(_walked(reader, type_, c, definitions) for c in condition.conditions))
    if isinstance(condition, AllOf):
        return AllOf(tuple(_walked(reader, type_, c, definitions) for c in condition.conditions))
    if isinstance(condition, Chained) and condition.by_identifier:
        return condition
    if isinstance(condition, (Chained, Has)):
        return replace(condition, conditions=_inside(reader, condition.type, condition.conditions, definitions))
    return condition
