"""Norwegian wall time and instants. UTC in the store, Europe/Oslo for people and opening hours; all times here are aware.

The two traps of the year (facts/planning 4.5): an hour in March does not exist, an hour in October exists twice.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from hub.problem import Problem, Refused

OSLO = ZoneInfo("Europe/Oslo")
MIDNIGHT = time(0)
_DAY = timedelta(days=1)
_OSLO_OFFSETS = (timedelta(hours=1), timedelta(hours=2))
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 12, 31)
"""Nothing here happens before or after: «9999-12-31» is how people write *for ever*, and no reckoning passes the end of the calendar."""


def local(instant: datetime) -> datetime:
    """The same moment on a Norwegian clock."""
    return instant.astimezone(OSLO)


@lru_cache(maxsize=4096)
def moments(wall: datetime) -> tuple[datetime, ...]:
    """The instants (UTC) at which Norwegian clocks show this naive wall time: none, one or two, in order."""
    found = []
    for fold in (0, 1):
        instant = wall.replace(tzinfo=OSLO, fold=fold).astimezone(UTC)
        if instant.astimezone(OSLO).replace(tzinfo=None) == wall and instant not in found:
            found.append(instant)
    return tuple(found)


def at(day: date, wall: time) -> datetime:
    """The instant of a wall time; one that a spring night skips is the moment of the jump, one that exists twice is the first. A day out of
    our days is the nearest of them."""
    naive = datetime.combine(min(max(day, FIRST_DAY), LAST_DAY), wall)
    return next(iter(moments(naive)), naive.replace(tzinfo=OSLO).astimezone(UTC))


def read(text: str, where: str) -> datetime:
    """A stated instant in UTC, to the second. Without an offset it is Norwegian wall time (of two, the first).

    A wall time that Norwegian clocks never show is refused also when it bears a Norwegian offset: whoever chose 02:30 that
    night did not mean 03:30.

    Raises:
        Refused: INVALID when it is no date and time, NO_SUCH_TIME when clocks skip it.
    """
    try:
        stated = datetime.fromisoformat(text)
        instant = stated.replace(microsecond=0).astimezone(UTC) if stated.tzinfo else None
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(Problem.INVALID, "not a date and time (ISO 8601 with seconds and offset)", where) from error
    if len(text) <= 10 or not FIRST_DAY <= stated.date() <= LAST_DAY:
        raise Refused(Problem.INVALID, "not a date and time of our days (ISO 8601 with seconds and offset)", where)
    if instant is not None and stated.utcoffset() not in _OSLO_OFFSETS:
        return instant
    shown = moments(stated.replace(microsecond=0, tzinfo=None))
    if not shown:
        raise Refused(Problem.NO_SUCH_TIME, "clocks in Norway skip this time that night", where)
    return instant or shown[0]


def write(instant: datetime) -> str:
    """A FHIR instant in UTC, to the second: `2026-10-01T08:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)  # a department's closed days are read for every booking
def begin(text: str) -> datetime:
    """The first moment of a FHIR date or dateTime of any precision; a date is a day in Norway."""
    if len(text) > 10:
        value = datetime.fromisoformat(text.replace(":60", ":59", 1) if text[16:19] == ":60" else text)  # a leap second, which R4 lets be told
        ours = value.tzinfo is not None and FIRST_DAY <= value.date() <= LAST_DAY
        return value.astimezone(UTC) if ours else at(value.date(), value.time().replace(tzinfo=None))
    return at(_first_day(text), MIDNIGHT)


@lru_cache(maxsize=4096)
def end(text: str) -> datetime:
    """The first moment after it: as the end of a Period, a date means the whole day (R4 Period.end), a month the whole month."""
    if len(text) > 10:
        return begin(text)
    first = _first_day(text)
    match len(text):
        case _ if first >= LAST_DAY:
            return at(LAST_DAY, MIDNIGHT)
        case 10:
            return at(first + _DAY, MIDNIGHT)
        case 7:
            return at((first + timedelta(days=31)).replace(day=1), MIDNIGHT)
        case _:
            return at(date(first.year + 1, 1, 1), MIDNIGHT)


def _first_day(text: str) -> date:
    parts = [int(part) for part in text.split("-")]
    return date(*[*parts, 1, 1][:3])


def week(instant: datetime) -> tuple[int, int]:
    """ISO 8601 year and week of the Norwegian day: 2027-01-01 is in week 53 of 2026."""
    year, number, _ = local(instant).isocalendar()
    return year, number


def week_bounds(instant: datetime) -> tuple[datetime, datetime]:
    """Monday 00:00 to the next Monday 00:00 in Norway; 167 or 169 hours in the weeks of the clock change."""
    return _week_of(local(instant).date())


@lru_cache(maxsize=1024)
def _week_of(day: date) -> tuple[datetime, datetime]:
    monday = day - timedelta(days=day.weekday())
    return at(monday, MIDNIGHT), at(monday + 7 * _DAY, MIDNIGHT)
