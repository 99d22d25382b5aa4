"""Norwegian public holidays, by the package `holidays` (facts/planning.md 4.5). Days that are only half free, and the eves, are a department's own
closed days."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from functools import lru_cache


class Holidays(StrEnum):
    """What a department does on public holidays. The codes of the extension `holidays`."""

    AS_USUAL = "as-usual"
    CLOSED = "closed"
    AS_SUNDAY = "as-sunday"
    """Its hours and its staff are a Sunday's."""


def holiday(day: date) -> str:
    """The day's Norwegian name when it is a public holiday, else empty. Two on one day are told as one: «Andre pinsedag; Grunnlovsdag»."""
    return _year(day.year).get(day, "")


@lru_cache(maxsize=256)
def _year(year: int) -> dict[date, str]:
    import holidays  # where no department asks, its 20 MB are not read

    return dict(holidays.country_holidays("NO", years=year, language="no"))
