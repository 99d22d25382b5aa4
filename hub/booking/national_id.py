"""Norwegian national identity numbers: both rules for check digits, D-numbers, and synthetic numbers (facts/planning 4.1).

Birth date and sex are never read from a number: from 2032 it tells neither, so they come from the register.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import Enum
from operator import mul

_K1 = (3, 7, 6, 1, 8, 9, 4, 5, 2)
_K2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
SYNTHETIC = 80
"""What Skatteetaten adds to the month of a synthetic number, before the check digits are computed."""
_ADDED = {SYNTHETIC: "Skatteetaten, Tenor and Test-Norge", 65: "Norsk Helsenett", 40: "NAV Dolly; also looks like an H-number in test data"}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Rule(Enum):
    """Which first check digits hold: those for which (weighted sum + k1) modulo 11 is one of the value's remainders."""

    TODAY = frozenset({0})
    FROM_2032 = frozenset({0, 1, 2, 3})
    """Skatteetaten, «nytt fødselsnummer 2032»: four first check digits per number. The second has one value, as before."""


def holds(number: str, rule: Rule) -> bool:
    """True when it is eleven digits with a possible day and month, and check digits by this rule."""
    if len(number) != 11 or not (number.isascii() and number.isdecimal()) or not _possible_day(number):
        return False
    digits = [int(d) for d in number]
    return (_sum(digits, _K1) + digits[9]) % 11 in rule.value and (_sum(digits, _K2) + digits[10]) % 11 == 0


def valid(number: str) -> bool:
    """By either rule: numbers of both kinds live side by side."""
    return holds(number, Rule.FROM_2032)


def is_synthetic(number: str) -> bool:
    """The month shows that no living person has it."""
    return valid(number) and _month(number)[1] in _ADDED


def is_d_number(number: str) -> bool:
    """A temporary number: 4 is added to the first digit."""
    return valid(number) and number[0] in "4567"


def check_digits(nine: str, rule: Rule = Rule.TODAY) -> tuple[str, ...]:
    """The pairs of check digits that nine digits may have, in order: none or one today, up to four from 2032."""
    digits = [int(d) for d in nine]
    pairs = []
    for remainder in rule.value:
        k1 = (remainder - _sum(digits, _K1)) % 11
        k2 = -_sum([*digits, k1], _K2) % 11
        if k1 < 10 and k2 < 10:
            pairs.append(f"{k1}{k2}")
    return tuple(sorted(pairs))


def synthetic_numbers(born: date) -> Iterator[str]:
    """Every synthetic number (month + 80, today's rule) of somebody born that day, 1900 to 2039, in order; women's ninth digit is even."""
    individual = range(500) if born.year < 2000 else range(500, 1000)
    for middle in individual:
        nine = f"{born.day:02}{born.month + SYNTHETIC:02}{born.year % 100:02}{middle:03}"
        yield from (nine + pair for pair in check_digits(nine))


def _sum(digits: list[int], weights: tuple[int, ...]) -> int:
    return sum(map(mul, digits, weights))


def _month(number: str) -> tuple[int, int]:
    """(month, what was added to it)."""
    told = int(number[2:4])
    return next(((told - added, added) for added in (0, *_ADDED) if 1 <= told - added <= 12), (0, 0))


def _possible_day(number: str) -> bool:
    month, day = _month(number)[0], int(number[:2])
    return month > 0 and 1 <= (day - 40 if day > 40 else day) <= _DAYS[month - 1]
