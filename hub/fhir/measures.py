"""Quantities and positions in a search (R4 3.1.1.5.10, location.html#search): kept as whole numbers, among which an index finds its way.

A quantity is kept as its number in millionths, whatever its unit; by its unit as it is said; and, where it is a time of UCUM, in microseconds.
A position is a point of a globe of one, in hundred millionths: two are as far from each other as the chord between them says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.fhir.query import FOREVER, NEVER
from hub.fhir.text import indexed
from hub.problem import Problem, Refused

UCUM = "http://unitsofmeasure.org"
TIME, Z = ":time", ":z"
"""Behind a parameter's name: a time in microseconds; a position's third number."""
_MICROS = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "wk": 604_800_000_000,
    "mo": 2_629_800_000_000, "mo_j": 2_629_800_000_000, "a": 31_557_600_000_000, "a_j": 31_557_600_000_000,
}
"""UCUM's units of time; a year is 365.25 days there, a month a twelfth of it."""
_METRES = {"m": 1.0, "km": 1000.0, "cm": 0.01, "[mi_i]": 1609.344, "[mi_us]": 1609.3472, "[ft_i]": 0.3048, "[nmi_i]": 1852.0}
_PARTS = 1_000_000
_GLOBE = 100_000_000
_RADIUS = 6_371_008.8
"""Metres: the mean of the earth."""
NEAR = 10_000.0
"""Metres, where the distance is left to us."""
_NUMBER = re.compile(r"(eq|ne|gt|ge|lt|le|sa|eb|ap)?([+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?)", re.ASCII)
Range = tuple[str, int, int]


def kept(name: str, quantity: Any) -> Iterator[tuple[str, int, int]]:
    """(parameter, low, high) of each way that a Quantity is found by."""
    if not isinstance(quantity, dict) or not isinstance(quantity.get("value"), (int, float)):
        return
    number, comparator = _decimal(quantity["value"]), quantity.get("comparator", "")
    system, code, unit = (str(quantity.get(key, "")) for key in ("system", "code", "unit"))
    yield (name, *_bounds(number * _PARTS, comparator))
    if system == UCUM and code in _MICROS:
        yield (name + TIME, *_bounds(number * _MICROS[code], comparator))
    elif code:
        yield (_unit(name, system, code), *_bounds(number * _PARTS, comparator))
    for said in dict.fromkeys(each for each in (code, unit) if each):
        yield (_unit(name, "", said), *_bounds(number * _PARTS, comparator))


def quantity(name: str, parts: list[str]) -> tuple[str, tuple[Range, ...]]:
    """The parameter, and the alternatives in it, of `number`, `number|system|code` or `number||code`.

    Raises:
        Refused: BAD_SEARCH.
    """
    number, *rest = parts
    match = _NUMBER.fullmatch(number.strip())
    if match is None or len(rest) not in (0, 2) or (rest and not rest[1]):
        raise Refused(Problem.BAD_SEARCH, "a quantity is a number with a prefix or none, or number|system|code, or number||code")
    factor, found = Decimal(_PARTS), name
    if rest and rest[0] == UCUM and rest[1] in _MICROS:
        factor, found = Decimal(_MICROS[rest[1]]), name + TIME
    elif rest:
        found = _unit(name, *rest)
    return found, (_asked(match[1] or "eq", match[2], factor),)


def _asked(prefix: str, text: str, factor: Decimal) -> Range:
    """With `eq` and `ne` as exact as it is written (R4 3.1.1.5.3: 100 is 99.5 to 100.5, 1e2 is 95 to 105); with the others exactly that number."""
    value = Decimal(text)
    exponent = int(value.as_tuple().exponent)
    if prefix == "ap":
        away = abs(value) / 10
        return "eq", _whole((value - away) * factor), _whole((value + away) * factor) + 1
    if prefix in ("eq", "ne"):
        half = Decimal(10) ** exponent / (20 if "e" in text.lower() else 2)
        return prefix, _whole((value - half) * factor), _whole((value + half) * factor)
    exact = _whole(value * factor)
    return prefix, exact, exact + 1


def point(latitude: float, longitude: float) -> tuple[int, int, int]:
    """Of degrees."""
    up, round_ = math.radians(latitude), math.radians(longitude)
    return round(math.cos(up) * math.cos(round_) * _GLOBE), round(math.cos(up) * math.sin(round_) * _GLOBE), round(math.sin(up) * _GLOBE)


def near(parts: list[str]) -> tuple[int, int, int, int]:
    """A point and the square of the chord, of `latitude|longitude|distance|units`; kilometres where no unit is named. Raises Refused BAD_SEARCH."""
    latitude, longitude, distance, unit = [*parts, "", "", "", ""][:4]
    try:
        north, east, far = float(latitude), float(longitude), float(distance) * _METRES[unit or "km"] if distance else NEAR
    except (ValueError, KeyError) as wrong:
        raise Refused(Problem.BAD_SEARCH, f"near is latitude|longitude|distance|units; units are {', '.join(_METRES)}") from wrong
    if len(parts) > 4 or not (abs(north) <= 90 and abs(east) <= 180 and 0 <= far < math.inf):
        raise Refused(Problem.BAD_SEARCH, "near is latitude|longitude|distance|units, in degrees from -90 to 90 and -180 to 180")
    chord = 2 * math.sin(min(far / _RADIUS, math.pi) / 2) * _GLOBE
    return (*point(north, east), round(chord * chord) if far < _RADIUS * math.pi else 2**62)


def _unit(name: str, system: str, code: str) -> str:
    return f"{name}:{indexed(f'{system}|{code}')}"


def _bounds(value: Decimal, comparator: str) -> tuple[int, int]:
    exact = _whole(value)
    return {"<": (NEVER, exact), "<=": (NEVER, exact + 1), ">": (exact + 1, FOREVER), ">=": (exact, FOREVER)}.get(comparator, (exact, exact + 1))


def _whole(value: Decimal) -> int:
    return max(NEVER, min(FOREVER, int(value.to_integral_value()))) if abs(value) < FOREVER else (FOREVER if value > 0 else NEVER)


def _decimal(value: float) -> Decimal:
    try:
        return Decimal(str(getattr(value, "text", value)))
    except InvalidOperation:
        return Decimal(0)
