"""Where a thing is, as SQL: below an address, in a hierarchy, near a point. Each is a condition on `r`, or on `i`, an entry of its index."""

from __future__ import annotations

from typing import Any

from hub.fhir.query import Near, PartOf, UriBelow

Alternative = tuple[str, list[Any]]
"""A condition, and its values."""
HIGHEST = "\U0010ffff"


def beneath(column: str, condition: UriBelow) -> Alternative:
    places = [f"i.{column} in ({', '.join('?' * len(condition.any_of))})", *[f"(i.{column} >= ? and i.{column} < ?)"] * len(condition.beginnings)]
    return " or ".join(places), [*condition.any_of, *[each for first in condition.beginnings for each in (first, first + HIGHEST)]]


def placed(type_: str, condition: PartOf | Near) -> list[Alternative]:
    if isinstance(condition, PartOf):
        return [_part_of(type_, condition)]
    return [_near(f"{type_}.{condition.param}", *each) for each in condition.any_of]


def _part_of(type_: str, condition: PartOf) -> Alternative:
    """The hierarchy is walked from where the search begins, a level at a time; what it has met it does not meet again, so that a ring ends."""
    if condition.above:
        found, come = "i.target", "u.id"
    else:
        found, come = "u.id", "i.target"
    level = f"select {found} from {{}} index_reference i join resource u on u.key = i.resource and u.type = ? and u.deleted = 0" \
            f" where i.param = ? and i.kind = ? and {come} {{}}"
    seeds = f"in ({', '.join('?' * len(condition.any_of))})"
    values = [type_, f"{type_}.{condition.param}", type_]
    text = f"r.id in (with recursive h(id) as ({level.format('', seeds)} union {level.format('h,', '= h.id')}) select id from h)"
    return text, [*values, *condition.any_of, *values]


def _near(param: str, x: int, y: int, z: int, chord: int) -> Alternative:
    """A position is two entries: (x, y) and (z, z + 1)."""
    away = "(i.low - ?) * (i.low - ?) + (i.high - ?) * (i.high - ?) + (j.low - ?) * (j.low - ?) <= ?"
    inner = f"select i.resource from index_date i join index_date j on j.resource = i.resource and j.param = ? where i.param = ? and {away}"
    return f"r.key in ({inner})", [f"{param}:z", param, x, x, y, y, z, z, chord]
