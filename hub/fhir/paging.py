"""What a search says of its result: in which order (`_sort`), how much, from where on (`_cursor`)."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Callable

from hub.fhir import measures
from hub.fhir.definitions import Definitions
from hub.fhir.query import BY_TIME, SortKey
from hub.problem import Problem, Refused

MOST = 1000
USUAL = 50
MOST_KEYS = 5
"""Sort keys of one search."""
_PLACE = struct.Struct(">qq?")
_MARK = 16
"""Bytes of a cursor that show it is one of ours."""
HashId = Callable[[str, str], str]


def count_of(text: str) -> int:
    """`_count`. Raises Refused BAD_SEARCH."""
    if not text.isascii() or not text.isdigit():
        raise Refused(Problem.BAD_SEARCH, "_count is a whole number from 0")
    return min(int(text), MOST)


def order(type_: str, text: str, definitions: Definitions) -> tuple[SortKey, ...]:
    """`_sort`: search parameters of the type, `-` before one turns it round. Nothing: by the main time. Raises Refused BAD_SEARCH."""
    names = [name for name in text.split(",") if name]
    if len(names) > MOST_KEYS:
        raise Refused(Problem.BAD_SEARCH, f"_sort has at most {MOST_KEYS} keys")
    return tuple(_key(type_, name.removeprefix("-"), name.startswith("-"), definitions) for name in names) or (BY_TIME,)


def _key(type_: str, name: str, descending: bool, definitions: Definitions) -> SortKey:
    served, parameter = definitions.served[type_], definitions.parameters.get(type_, {}).get(name)
    if name == served.main:
        return SortKey("at", descending=descending)
    if name == "_lastUpdated":
        return SortKey("updated", descending=descending)
    if served.view or (parameter is None and name != "_id"):
        known = f"{served.main} and _lastUpdated" if served.view else "its search parameters"
        raise Refused(Problem.BAD_SEARCH, f"{type_} can be sorted by {known}")
    if parameter is None or name == "_id":
        return SortKey("id", descending=descending)
    if parameter.type == "special":
        raise Refused(Problem.BAD_SEARCH, f"nothing is sorted by {name}")
    if parameter.type == "quantity":
        return SortKey("date", name + measures.TIME, descending)
    return SortKey("token" if parameter.type == "uri" else parameter.type, name, descending)


def token(place: tuple[int, int], back: bool, hash_id: HashId) -> str:
    """A page link's cursor: opaque, holds no value of the search, and cannot be made by anybody else, who could ask what stands where."""
    packed = _PLACE.pack(*place, back)
    return base64.urlsafe_b64encode(packed + _mark(packed, hash_id)).decode().rstrip("=")


def cursor(text: str, hash_id: HashId) -> tuple[tuple[int, int], bool]:
    """What `token` was made of. Raises Refused BAD_SEARCH."""
    try:
        given = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        packed = given[:_PLACE.size]
        place, key, back = _PLACE.unpack(packed)
        if not hmac.compare_digest(given[_PLACE.size:], _mark(packed, hash_id)):
            raise ValueError
    except (binascii.Error, struct.error, ValueError) as wrong:
        raise Refused(Problem.BAD_SEARCH, "_cursor is not one of ours") from wrong
    return (place, key), back


def _mark(packed: bytes, hash_id: HashId) -> bytes:
    return hash_id("cursor", packed.hex()).encode()[:_MARK]
