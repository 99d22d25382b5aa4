"""What self-booking gives: the figures that a municipality and its researchers evaluate (facts/planning.md 1.1, TS-07 to TS-10). Pure.

Per department and ISO week of the visit. Visits that the service planned itself are left out: they draw on no decision, and nobody asked for them.
What an employee booked in the service's own system may draw on none either, and is somebody's wish. Nobody can be reckoned back: `published`.
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
HIDDEN = "skjult"
LATE = timedelta(hours=24)
"""A cancellation later than this before the visit is late: hardly anybody else can use the time."""
CALLS_EACH = 1
"""Assumed telephone calls that each order, move and cancellation by the customer saves."""
_ANSWERS = (What.CONFIRM, What.ASSIGN)
_WEEK = timedelta(days=7)
Key = tuple[str, tuple[int, int]]
"""Department, (ISO year, week)."""
CALLS = ("self-booked", "moved-customer", "cancelled-customer")
COUNTS = ("ordered", *CALLS[:2], "moved-service", CALLS[2], "cancelled-late", "cancelled-service", "fulfilled", "noshow", "calls-avoided")
"""What is published of a week, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was stated of a booking and changed it."""

    at: datetime
    appointment: str
    what: What
    by_customer: bool


@dataclass(slots=True)
class Figures:
    """One department's week, exactly: what of it may be told is `published`'s to say."""

    department: str
    week: tuple[int, int]
    granted: float = 0
    """Visits that the decisions give, as far as they are counted in visits; hours by the department's usual length."""
    granted_to: int = 0
    """Persons."""
    counts: Counter[str] = field(default_factory=Counter)
    whose: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The persons behind each count; under `any` everybody who has a visit in the week."""
    answers: list[timedelta] = field(default_factory=list)

    @property
    def ordered(self) -> int:
        return self.counts["ordered"]

    @property
    def self_booked(self) -> int:
        return self.counts["self-booked"]

    @property
    def calls_avoided(self) -> int:
        return CALLS_EACH * sum(self.counts[name] for name in CALLS)

    @property
    def answer(self) -> timedelta | None:
        """The median from order to the service's yes; None when fewer than SMALL were answered, or of fewer persons."""
        enough = len(self.answers) >= SMALL and len(self.whose["answered"]) >= SMALL
        return timedelta(seconds=median(a.total_seconds() for a in self.answers)) if enough else None

    def count(self, name: str, person: str) -> None:
        self.counts[name] += 1
        self.whose[name].add(person)


def figures(
    bookings: Iterable[Booking], said: Iterable[Said], decisions: Iterable[Decision], departments: Mapping[str, Department],
    weeks: Iterable[datetime] = (),
) -> list[Figures]:
    """Every department's weeks in which a visit lies, in order; and of `weeks` (a moment of each) those in which something was granted: what is
    not ordered at all counts too."""
    told: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        told[one.appointment].append(one)
    asked = {id_ for id_, stated in told.items() if any(s.what is What.BOOK for s in stated)}
    of = {b.id: b for b in bookings if b.department in departments and (b.id in asked or not b.planned)}
    moments = {week(at): at for at in (*(b.start for b in of.values()), *weeks)}
    granted, found = list(decisions), dict[Key, Figures]()
    for code, department in departments.items():
        for number, at in moments.items():
            figure = Figures(code, number)
            _grant(figure, department, granted, *week_bounds(at))
            found[code, number] = figure
    for booking in of.values():
        _count(found[booking.department, week(booking.start)], booking, sorted(told[booking.id], key=lambda s: s.at))
    return [found[key] for key in sorted(found, key=lambda k: (k[0], k[1])) if found[key].counts or found[key].granted]


def published(figure: Figures) -> dict[str, int | None]:
    """COUNTS as they may be told; None: not this one.

    Nothing is told of a week with fewer than SMALL persons, no count below SMALL, and none that fewer than SMALL persons make up. Nor what would give
    such a one back by subtraction: ordered is fulfilled and not at home (and what is still to come), calls avoided are the sum of three,
    a late cancellation is one of the person's.
    """
    counts = {**figure.counts, "calls-avoided": figure.calls_avoided}
    told: dict[str, int | None] = {name: None if _small(figure, name) else counts.get(name, 0) for name in COUNTS}
    if 0 < len(figure.whose["any"]) < SMALL:
        return dict.fromkeys(COUNTS)
    if any(told[name] is None for name in CALLS):
        told["calls-avoided"] = None
    cancelled, late = told["cancelled-customer"], told["cancelled-late"]
    if cancelled is None or (late is not None and 0 < cancelled - late < SMALL):
        told["cancelled-late"] = None
    if sum(told[name] is None for name in ("ordered", "fulfilled", "noshow")) == 1:
        told |= {"fulfilled": None, "noshow": None}
    return told


def _small(figure: Figures, name: str) -> bool:
    return figure.counts[name] > 0 and min(figure.counts[name], len(figure.whose[name])) < SMALL


def granted_told(figure: Figures) -> float | None:
    """What is granted, unless it is to fewer than SMALL persons."""
    return None if 0 < figure.granted_to < SMALL else figure.granted


def shares(figure: Figures) -> tuple[str, str]:
    """(self-booked of all that were booked, nobody at home of all that were made), where no count that is not told follows from it."""
    told, c = published(figure), figure.counts
    ordered = told["self-booked"] is not None and told["cancelled-customer"] is not None and told["cancelled-service"] is not None
    made = told["noshow"] is not None and told["fulfilled"] is not None
    return (
        share(figure.self_booked, c["booked"]) if ordered else "–", share(c["noshow"], c["noshow"] + c["fulfilled"]) if made else "–",
    )


def _count(figure: Figures, booking: Booking, told: list[Said]) -> None:
    who = booking.patient
    figure.whose["any"].add(who)
    figure.count(str(booking.status), who)
    if booking.status != "cancelled":
        figure.count("ordered", who)
    booked = next((s for s in told if s.what is What.BOOK), None)
    if booked is not None:
        figure.count("booked", who)
        if booked.by_customer:
            figure.count("self-booked", who)
        answered = next((s for s in told if s.what in _ANSWERS and s.at >= booked.at), None)
        if answered is not None:
            figure.answers.append(answered.at - booked.at)
            figure.whose["answered"].add(who)
    for one in told:
        if one.what in (What.MOVE, What.CANCEL):
            name = "moved" if one.what is What.MOVE else "cancelled"
            figure.count(f"{name}-{'customer' if one.by_customer else 'service'}", who)
            if one.what is What.CANCEL and one.by_customer and booking.start - one.at < LATE:
                figure.count("cancelled-late", who)


def _grant(figure: Figures, department: Department, decisions: Iterable[Decision], first: datetime, until: datetime) -> None:
    """What is in force at some time of the week: a decision that begins on Wednesday gives what it gives that week."""
    mine = [d for d in decisions if d.about(d.patient, department) and d.in_force_from(first, until) is not None]
    figure.granted = round(sum(_weekly(d, department, first) for d in mine), 1)
    figure.granted_to = len({d.patient for d in mine})


def _weekly(decision: Decision, department: Department, moment: datetime) -> float:
    """So much of it as falls on one week of its period; of what is granted in all, where it is told from when to when."""
    visits = decision.grant.amount / (department.visit_minutes if decision.grant.unit is Unit.MINUTES else 1)
    if decision.grant.per is Per.ALL and (decision.starts is None or decision.ends is None):
        return 0.0
    first, until = decision.period(moment)
    return visits / max((until - first) / _WEEK, 1)


def shown(told: int | None, count: int) -> str:
    """A count as it is published: itself, `under 5`, or that it is hidden so that others cannot be reckoned back."""
    if told is not None:
        return str(told)
    return f"under {SMALL}" if 0 < count < SMALL else HIDDEN


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
