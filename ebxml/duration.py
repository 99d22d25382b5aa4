"""xs:duration, with the calendar: `P1M` after 31 January is the last of February, and `P180M` is fifteen years (facts/ebxml.md 7.2, 8, 12)."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_NUMBER = r"(\d{1,6})"
_FORM = re.compile(
    rf"(-)?P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?(T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:(\d{{1,9}})(?:\.(\d{{1,9}}))?S)?)?", re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Duration:
    """Months, which are of no fixed length, and the rest, which is."""

    months: int = 0
    rest: timedelta = timedelta()

    def after(self, moment: datetime) -> datetime:
        """The moment this much later: first the months, the day held back to the month's last, then the rest (XML Schema 2, appendix E).

        Raises:
            OverflowError: beyond year 9999.
        """
        year, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
        if not 1 <= year <= 9999:
            raise OverflowError("beyond the years 1 to 9999")
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day) + self.rest

    def longer_than(self, other: timedelta) -> bool:
        """At least this long whatever the months: a month is 28 days or more."""
        return timedelta(days=28 * self.months) + self.rest > other


def duration(value: str) -> Duration | None:
    """Reads an xs:duration that is not negative; None when it is none."""
    match = _FORM.fullmatch(value.strip())
    if match is None or match[1] or value.strip()[-1] in "PT":
        return None
    years, months, days, hours, minutes, seconds = (int(match[n] or 0) for n in (2, 3, 4, 6, 7, 8))
    fraction = int((match[9] or "0").ljust(6, "0")[:6])
    try:
        rest = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=fraction)
    except OverflowError:
        return None
    return Duration(years * 12 + months, rest)
