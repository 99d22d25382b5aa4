"""What the pages of ordering show: services with what is granted, days with their free times, all in words. Pure but for the clock given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from hub.booking import Balance, Per, Unit
from hub.booking.clock import write
from hub.booking.free import Day, Time
from hub.customer import Service
from hub.faces import words

_DAY = timedelta(days=1)
PARTS = ((0, "Natt"), (6, "Morgen"), (9, "Formiddag"), (12, "Ettermiddag"), (17, "Kveld"))
"""From which hour each part of the day begins."""
PER = {Per.WEEK: "denne uken", Per.MONTH: "denne måneden", Per.YEAR: "i år"}


def service_key(code: str) -> str:
    """A department in an address: a service's name is a health word, and stands in none."""
    return uuid5(NAMESPACE_URL, f"service|{code}").hex[:10]


@dataclass(frozen=True, slots=True)
class Offer:
    """One service that can be ordered."""

    key: str
    name: str
    balances: tuple[str, ...]
    left: bool


@dataclass(frozen=True, slots=True)
class DayCell:
    """One day in the grid; `url` is empty for a day that cannot be chosen."""

    day: date
    number: str
    weekday: str
    said: str
    """`torsdag 26. november, 6 ledige`: for those who do not see the grid."""
    note: str
    """`6 ledige`, `Stengt`, `Fullt`."""
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class TimeButton:
    """A time that can be pressed."""

    value: str
    said: str
    """`kl. 09:15–09:45`."""


@dataclass(frozen=True, slots=True)
class PartOfDay:
    """The times of a morning, an afternoon …"""

    name: str
    times: tuple[TimeButton, ...]


def offers(services: Iterable[Service], now: datetime) -> list[Offer]:
    """The services, each with what is used of what is granted."""
    return [
        Offer(service_key(s.department.code), s.department.name, tuple(balance_said(b, now) for b in s.balances), any(b.left for b in s.balances))
        for s in services
    ]


def balance_said(balance: Balance, now: datetime) -> str:
    """`2 av 3 timer brukt denne uken`; of a period that has not begun `i uke 50`, of several weeks together `i uke 48–51`."""
    per = _period_said(balance, now)
    if balance.grant.unit is Unit.VISITS:
        return f"{balance.used} av {balance.granted} besøk brukt {per}"
    if balance.granted % 60 == balance.used % 60 == 0:
        hours = balance.granted // 60
        return f"{balance.used // 60} av {hours} {'time' if hours == 1 else 'timer'} brukt {per}"
    return f"{_length(balance.used)} av {_length(balance.granted)} brukt {per}"


def _period_said(balance: Balance, now: datetime) -> str:
    per, first, last = balance.grant.per, words.local(balance.first), words.local(balance.until) - _DAY
    if per is Per.ALL:
        return "i alt"
    if balance.grant.every == 1 and per in PER and balance.first <= now < balance.until:
        return PER[per]
    edges = {
        Per.WEEK: [f"uke {first.isocalendar().week}", str(last.isocalendar().week)], Per.YEAR: [str(first.year), str(last.year)],
        Per.MONTH: [words.MONTHS[first.month - 1], words.MONTHS[last.month - 1]], Per.DAY: [f"{first:%d.%m}.", f"{last:%d.%m}."],
    }[per]
    return "i " + "–".join(edges[:1] if balance.grant.every == 1 else edges)


def length_said(minutes: int) -> str:
    """`45 minutter`, `1 time`, `1 t 30 min`."""
    hours, rest = divmod(minutes, 60)
    if not rest:
        return f"{hours} {'time' if hours == 1 else 'timer'}"
    return _length(minutes) if hours else f"{rest} minutter"


def _length(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join([*([f"{hours} t"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])


def cells(days: tuple[Day, ...], chosen: date | None, path: str, minutes: int = 0) -> list[DayCell | None]:
    """The days in rows of seven from a Monday; None before the first. `minutes`: the length that was chosen."""
    made: list[DayCell | None] = [None] * days[0].day.weekday()
    return [*made, *(_cell(day, chosen, path, minutes) for day in days)]


def _cell(day: Day, chosen: date | None, path: str, minutes: int) -> DayCell:
    many = len(day.times)
    note = f"{many} {'ledig' if many == 1 else 'ledige'}" if many else "Ingen ledige" if day.open else "Stengt"
    weekday = words.DAYS[day.day.weekday()]
    said = f"{weekday} {day.day.day}. {words.MONTHS[day.day.month - 1]}"
    number = f"{day.day.day}. {words.MONTHS[day.day.month - 1][:3]}"
    url = f"{path}?{f'minutter={minutes}&' if minutes else ''}dag={day.day.isoformat()}" if many else ""
    return DayCell(day.day, number, weekday[:3], f"{said}, {note.lower()}", note, url, day.day == chosen)


def chosen_day(days: tuple[Day, ...], asked: str) -> Day | None:
    """The day that was asked for, if it has times; else the first that has any."""
    with_times = [day for day in days if day.times]
    return next((day for day in with_times if day.day.isoformat() == asked), with_times[0] if with_times else None)


def day_name(day: Day, now: datetime) -> str:
    """`I morgen, fredag 27. november`."""
    return words.day(day.times[0].start, now)


def parts_of_day(times: Iterable[Time]) -> list[PartOfDay]:
    """A day's times by morning, noon and evening."""
    found: dict[str, list[TimeButton]] = {}
    for time in times:
        hour = words.local(time.start).hour
        name = next(name for first, name in reversed(PARTS) if hour >= first)
        found.setdefault(name, []).append(button(time))
    return [PartOfDay(name, tuple(made)) for name, made in found.items()]


def short_day(at: datetime) -> str:
    """`fre. 27. nov.`"""
    wall = words.local(at)
    return f"{words.DAYS[wall.weekday()][:3]}. {wall.day}. {words.MONTHS[wall.month - 1][:3]}."


def button(time: Time) -> TimeButton:
    return TimeButton(write(time.start), words.span(time.start, time.end))
