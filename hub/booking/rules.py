"""The rules of an asked visit: one function each, pure, raising Refused. They bind whoever asks; the service itself decides freely."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.booking.clock import local
from hub.booking.decision import Decision, Unit
from hub.booking.department import Asker, Department
from hub.booking.facts import Facts
from hub.booking.slots import cells_over, fills, is_open, seats_over
from hub.booking.stays import paused
from hub.booking.views import Booking, is_booking
from hub.message import Resource
from hub.problem import Problem, Refused


@dataclass(frozen=True, slots=True)
class Asked:
    """A visit that somebody asks for: new, or the new time of `moved`."""

    patient: str
    department: Department
    start: datetime
    end: datetime
    moved: Booking | None = None
    asker: Asker = Asker.PERSON
    sees: frozenset[str] = frozenset()
    """The departments whose visits whoever asks may know of; empty: all."""

    @property
    def busy_until(self) -> datetime:
        """When whoever comes is free again: after the way to the next."""
        return self.department.busy_until(self.end)


def check(asked: Asked, facts: Facts, now: datetime) -> Decision | None:
    """Every rule, from the cheapest to name to the most personal; gives back the decision that covers the visit. None: it needs none, since the
    service planned it, and it is moved.

    Raises:
        Refused: NOT_ALLOWED, PAST, TOO_LATE, BEYOND_HORIZON, OUTSIDE_OPENING_HOURS, LENGTH_NOT_OFFERED, OFF_GRID, NO_DECISION,
            DECISION_USED_UP, OVERLAPS_OWN, PAUSED, FULL.
    """
    bookable(asked, now)
    others = _others(asked, facts)
    decision = None if asked.moved and asked.moved.planned else granted(asked, map(Decision.of, facts.decisions), others)
    apart_from_own(asked, others)
    at_home(asked, facts.stays)
    room_left(asked, facts.taken)
    return decision


def bookable(asked: Asked, now: datetime) -> None:
    """The rules that need no person.

    Raises:
        Refused: NOT_ALLOWED, PAST, TOO_LATE, BEYOND_HORIZON, OUTSIDE_OPENING_HOURS, LENGTH_NOT_OFFERED, OFF_GRID.
    """
    welcome(asked.department, asked.asker)
    ahead(asked.start, now)
    in_time(asked.start, asked.department.notice_minutes, now)
    within_horizon(asked.department, asked.start, now)
    within_opening_hours(asked)
    length_offered(asked)
    on_the_grid(asked)


SOFT = frozenset({Problem.LENGTH_NOT_OFFERED, Problem.TOO_LATE, Problem.BEYOND_HORIZON, Problem.OUTSIDE_OPENING_HOURS, Problem.DECISION_USED_UP})
"""What staff may pass with a reason: length, notice time, horizon, opening hours and what is left of a decision. Never a seat."""


def overruled(asked: Asked, facts: Facts, now: datetime) -> tuple[Decision | None, tuple[Problem, ...]]:
    """As `check`, for staff who pass the soft rules: the decision it is made under, and which rules were passed.

    Raises:
        Refused: NOT_ALLOWED, PAST, OFF_GRID, NO_DECISION, OVERLAPS_OWN, PAUSED, FULL.
    """
    department, others = asked.department, _others(asked, facts)
    welcome(department, asked.asker)
    ahead(asked.start, now)
    decisions, free_of_any = list(map(Decision.of, facts.decisions)), asked.moved is not None and asked.moved.planned
    passed = [
        *_broken(lambda: in_time(asked.start, department.notice_minutes, now)),
        *_broken(lambda: within_horizon(department, asked.start, now)),
        *_broken(lambda: length_offered(asked)),
        *(_broken(lambda: within_opening_hours(asked)) or _broken(lambda: on_the_grid(asked))),
        *([] if free_of_any else _broken(lambda: granted(asked, decisions, others))),
    ]
    apart_from_own(asked, others)
    at_home(asked, facts.stays)
    room_left(asked, facts.taken)
    if free_of_any:
        return None, tuple(passed)
    covering_ = _covering(asked, decisions)
    decision = min(covering_, key=lambda d: d.id) if Problem.DECISION_USED_UP in passed else granted(asked, decisions, others)
    return decision, tuple(passed)


def _broken(rule: Callable[[], object]) -> list[Problem]:
    """The soft rule that this is against, if it is. Raises Refused for a hard one."""
    try:
        rule()
    except Refused as refused:
        if refused.problem in SOFT:
            return [refused.problem]
        raise
    return []


def _others(asked: Asked, facts: Facts) -> list[Booking]:
    """The person's other bookings."""
    return [Booking.of(a) for a in facts.appointments if is_booking(a) and (asked.moved is None or a["id"] != asked.moved.id)]


def known_person(patient: Resource | None) -> str:
    """`Patient/…` of whom the visit is for."""
    if patient is None or patient.get("active") is False:
        raise Refused(Problem.UNKNOWN_PERSON, "no such person: one participant's actor is a Patient that is here", "Appointment.participant.actor")
    return f"Patient/{patient['id']}"


_NO_DEPARTMENT = "no such department, or it takes no bookings: one participant's actor is its HealthcareService"


def known_department(service: Resource | None) -> Department:
    """The department, when it takes bookings."""
    department = Department.of(service) if service else None
    if department is None or not department.active:
        raise Refused(Problem.UNKNOWN_SERVICE, _NO_DEPARTMENT, "Appointment.participant.actor")
    return department


def welcome(department: Department, asker: Asker) -> None:
    """The department lets this kind of people book, move and cancel."""
    if asker not in department.askers:
        raise Refused(Problem.NOT_ALLOWED, f"the department takes no bookings from: {asker}", "Appointment.participant.actor")


def ahead(start: datetime, now: datetime) -> None:
    """Nobody comes in the past."""
    if start < now:
        raise Refused(Problem.PAST, "the time is past", "Appointment.start")


def in_time(start: datetime, minutes: int, now: datetime) -> None:
    """At least so many minutes ahead; the same for the time that a visit is moved from or cancelled at."""
    if start < now + timedelta(minutes=max(minutes, 0)):
        raise Refused(Problem.TOO_LATE, f"less than {minutes} minutes ahead", "Appointment.start")


def within_horizon(department: Department, start: datetime, now: datetime) -> None:
    """Counted in local days: the fourteenth day ahead can be booked from midnight, whatever the clock did meanwhile."""
    if (local(start).date() - local(now).date()).days > department.horizon_days:
        raise Refused(Problem.BEYOND_HORIZON, f"more than {department.horizon_days} days ahead", "Appointment.start")


def within_opening_hours(asked: Asked) -> None:
    """Local wall time per weekday, less closed periods; the visit neither starts nor ends outside."""
    if not is_open(asked.department, asked.start, asked.end):
        raise Refused(Problem.OUTSIDE_OPENING_HOURS, "the department is not open through the whole visit", "Appointment.start")


def length_offered(asked: Asked) -> None:
    """It lasts as long as people may choose, or as long as the visit it moves."""
    before = asked.moved.end - asked.moved.start if asked.moved else None
    if asked.end - asked.start != before and not asked.department.offers(round((asked.end - asked.start).total_seconds() / 60)):
        raise Refused(Problem.LENGTH_NOT_OFFERED, f"lasts {' or '.join(map(str, asked.department.lengths))} minutes", "Appointment.end")


def on_the_grid(asked: Asked) -> None:
    """It starts where a slot starts, and slots cover all of it: what no slot covers, capacity would not count."""
    cells = cells_over(asked.department, asked.start, asked.end)
    if not cells or cells[0].start != asked.start:
        raise Refused(Problem.OFF_GRID, f"does not start on the grid of {asked.department.slot_minutes} minutes", "Appointment.start")
    if not fills(asked.department, asked.start, asked.end):
        raise Refused(Problem.OUTSIDE_OPENING_HOURS, "no slot covers its end", "Appointment.end")


def granted(asked: Asked, decisions: Iterable[Decision], others: Iterable[Booking]) -> Decision:
    """A decision that covers the visit and has enough left in the period it is counted in. A moved visit keeps its own if it can."""
    kept, counted = asked.moved.decision if asked.moved else "", list(others)
    covering_ = _covering(asked, decisions)
    left = [d for d in covering_ if d.costs(asked.start, asked.end) <= d.balance(counted, asked.start).left]
    if not left:
        what = "visit" if covering_[0].grant.unit is Unit.VISITS else "minute"
        raise Refused(Problem.DECISION_USED_UP, f"not one {what} more is left of what is granted then", "Appointment.basedOn")
    return min(left, key=lambda d: (d.id != kept, d.id))


def _covering(asked: Asked, decisions: Iterable[Decision]) -> list[Decision]:
    found = [d for d in decisions if d.covers(asked.patient, asked.department, asked.start, asked.end)]
    if not found:
        raise Refused(Problem.NO_DECISION, "no decision in force covers this service then", "Appointment.basedOn")
    return found


def apart_from_own(asked: Asked, others: Iterable[Booking]) -> None:
    """Nobody has two visits at a time, whatever the departments; visits may touch. A confirmed time that stands while another is asked for is one
    of them: the service may say no. Whoever may not know of the other visit is told no more than that the time is not to be had."""
    across = {b.department for b in others for first, last in b.times if b.active and first < asked.end and asked.start < last}
    if asked.sees and across and not across & asked.sees:
        raise Refused(Problem.FULL, "no seat left in a slot that it covers", "Appointment.slot")
    if across:
        raise Refused(Problem.OVERLAPS_OWN, "the person has another visit then", "Appointment.start")


def at_home(asked: Asked, stays: Iterable[Resource]) -> None:
    """Nobody is visited who is known to be away."""
    if paused(stays, asked.start, asked.end):
        raise Refused(Problem.PAUSED, "the person is away then, and visits are paused", "Appointment.start")


def room_left(asked: Asked, taken: Mapping[str, int]) -> None:
    """Fewer seats taken than the capacity in each slot it covers; seats the moved visit holds itself are not counted."""
    own = asked.moved.slots if asked.moved else ()
    for seat in seats_over(asked.department, asked.start, asked.busy_until):
        if taken.get(seat.slot, 0) - own.count(seat.slot) >= seat.capacity:
            raise Refused(Problem.FULL, "no seat left in a slot that it covers", "Appointment.slot")
