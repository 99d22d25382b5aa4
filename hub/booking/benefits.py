"""What self-booking gives: the figures that a municipality and its researchers evaluate (facts/planning.md 1.1, TS-07 to TS-10). Pure.

Per department and ISO week of the visit. Nobody can be recognised: a count below SMALL is told as «below SMALL» only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from hub.booking.clock import week, week_bounds
from hub.booking.decision import Decision, Per, Unit
from hub.booking.department import Department
from hub.booking.life import What
from hub.booking.views import Booking

SMALL = 5
LATE = timedelta(hours=24)
"""A cancellation later than this before the visit is late: hardly anybody else can use the time."""
CALLS_EACH = 1
"""Assumed telephone calls that each order, move and cancellation by the customer saves."""
_ANSWERS = (What.CONFIRM, What.ASSIGN)
Key = tuple[str, tuple[int, int]]
"""Department, (ISO year, week)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was stated of a booking and changed it."""

    at: datetime
    appointment: str
    what: What
    by_customer: bool


@dataclass(slots=True)
class Figures:
    """One department's week."""

    department: str
    week: tuple[int, int]
    granted: float = 0
    """Visits that the decisions give, as far as they are counted in visits; hours by the department's usual length."""
    ordered: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    answers: list[timedelta] = field(default_factory=list)

    @property
    def self_booked(self) -> int:
        return self.counts["self-booked"]

    @property
    def calls_avoided(self) -> int:
        return CALLS_EACH * (self.counts["self-booked"] + self.counts["moved-customer"] + self.counts["cancelled-customer"])

    @property
    def answer(self) -> timedelta | None:
        """The median from order to the service's yes; None when fewer than SMALL were answered."""
        return timedelta(seconds=median(a.total_seconds() for a in self.answers)) if len(self.answers) >= SMALL else None


def figures(
    bookings: Iterable[Booking], said: Iterable[Said], decisions: Iterable[Decision], departments: Mapping[str, Department],
) -> list[Figures]:
    """Every department's weeks in which a visit lies, in order."""
    found: dict[Key, Figures] = {}
    first: dict[Key, datetime] = {}
    of = {b.id: b for b in bookings if b.department in departments}
    told: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        told[one.appointment].append(one)
    for booking in of.values():
        key = (booking.department, week(booking.start))
        figure = found.setdefault(key, Figures(*key))
        first[key] = min(first.get(key, booking.start), booking.start)
        _count(figure, booking, sorted(told[booking.id], key=lambda s: s.at))
    granted = list(decisions)
    for key, figure in found.items():
        department = departments[key[0]]
        figure.granted = round(sum(_weekly(d, department) for d in granted if _in_force(d, department, first[key])), 1)
    return [found[key] for key in sorted(found, key=lambda k: (k[0], k[1]))]


def _count(figure: Figures, booking: Booking, told: list[Said]) -> None:
    figure.ordered += booking.status != "cancelled"
    figure.counts[str(booking.status)] += 1
    booked = next((s for s in told if s.what is What.BOOK), None)
    if booked is not None:
        figure.counts["booked"] += 1
        figure.counts["self-booked"] += booked.by_customer
        answered = next((s for s in told if s.what in _ANSWERS and s.at >= booked.at), None)
        if answered is not None:
            figure.answers.append(answered.at - booked.at)
    for one in told:
        if one.what in (What.MOVE, What.CANCEL):
            name = "moved" if one.what is What.MOVE else "cancelled"
            figure.counts[f"{name}-{'customer' if one.by_customer else 'service'}"] += 1
            figure.counts["cancelled-late"] += one.what is What.CANCEL and one.by_customer and booking.start - one.at < LATE


def _in_force(decision: Decision, department: Department, moment: datetime) -> bool:
    return decision.covers(decision.patient, department, moment, moment)


def _weekly(decision: Decision, department: Department) -> float:
    visits = decision.grant.amount / (department.visit_minutes if decision.grant.unit is Unit.MINUTES else 1)
    return visits * {Per.WEEK: 1.0, Per.MONTH: 12 / 52, Per.ALL: 0.0}[decision.grant.per]


def shown(count: int) -> str:
    """A count as it may be published."""
    return "0" if count == 0 else f"under {SMALL}" if count < SMALL else str(count)


def share(part: int, whole: int) -> str:
    """Per cent; nothing where either is too small to be told, or could be reckoned back."""
    if whole < SMALL or 0 < part < SMALL or 0 < whole - part < SMALL:
        return "–"
    return f"{round(100 * part / whole)} %"


def week_name(number: tuple[int, int]) -> str:
    """`2026 uke 48`."""
    return f"{number[0]} uke {number[1]:02}"


def period(now: datetime, weeks: int) -> tuple[datetime, datetime]:
    """From the Monday so many weeks ago to the end of this week."""
    monday, following = week_bounds(now)
    return week_bounds(monday - weeks * timedelta(days=7) + timedelta(days=1))[0], following
