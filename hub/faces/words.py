"""Days and times as Norwegians say them. Times come in UTC and are said in Europe/Oslo."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")
DAYS = ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag")
MONTHS = (
    "januar", "februar", "mars", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "desember",
)


def local(at: datetime) -> datetime:
    """The same moment on a Norwegian clock."""
    return at.astimezone(OSLO)


def day(at: datetime, now: datetime) -> str:
    """`I dag, mandag 23. november`; the year only when it is not this one."""
    return day_of(local(at).date(), local(now).date())


def day_of(that: date, today: date) -> str:
    """The same of a date."""
    said = f"{DAYS[that.weekday()]} {that.day}. {MONTHS[that.month - 1]}"
    if that.year != today.year:
        said += f" {that.year}"
    near = {0: "I dag", 1: "I morgen", -1: "I går"}.get((that - today).days)
    return f"{near}, {said}" if near else said[0].upper() + said[1:]


def clock(at: datetime) -> str:
    """`kl. 09:15`."""
    return f"kl. {local(at):%H:%M}"


def span(start: datetime, end: datetime | None) -> str:
    """`kl. 09:15–09:45`; names the day where it runs far past midnight, and the season in the hour that comes twice."""
    if end is None or end <= start:
        return clock(start) + _season(start)
    first, last = local(start), local(end)
    if last.date() != first.date() and end - start >= timedelta(hours=12):
        return f"{clock(start)} – {DAYS[last.weekday()]} {clock(end)}"
    if _season(start) != _season(end):
        return f"{clock(start)}{_season(start)} – {last:%H:%M}{_season(end)}"
    return f"{clock(start)}–{last:%H:%M}{_season(end)}"


def _season(at: datetime) -> str:
    """Which of the two, in the hour that comes twice when summer time ends; else nothing."""
    here = local(at)
    if here.replace(fold=0).utcoffset() == here.replace(fold=1).utcoffset():
        return ""
    return " (vintertid)" if here.fold else " (sommertid)"


def when(at: datetime, now: datetime) -> str:
    """`kl. 12:03` for today, else `søndag 22. november kl. 12:03`."""
    if local(at).date() == local(now).date():
        return clock(at)
    said = day(at, now)
    return f"{said[0].lower()}{said[1:]} {clock(at)}"


def stamp(at: datetime) -> str:
    """`23.11.2026 12:03:27`: for operators."""
    return f"{local(at):%d.%m.%Y %H:%M:%S}"
