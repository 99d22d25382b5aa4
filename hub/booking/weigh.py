"""Weighs what somebody states of a booking against what is kept and the rules: the only place where a booking changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from hub.booking import draft, rules
from hub.booking.clock import write
from hub.booking.conventions import appointment_id, extension, with_extension, without_extension
from hub.booking.department import Asker, Department
from hub.booking.facts import Facts
from hub.booking.life import NEEDS_RIGHT, What, after
from hub.booking.slots import Seat, covering, seats_over
from hub.booking.statement import Statement, out_of_date, put_right, times, which, words
from hub.booking.views import MOVED_FROM, Booking, Status, is_booking, stated_department, stated_person
from hub.booking.waiting import is_waiting
from hub.message import Resource
from hub.problem import Problem, Refused

ANSWER = "answer"
"""Extension: `refused` when the service said no to a booking, `move-refused` to another time; gone with the next change."""
NO_LIMIT = 10_000
"""Capacity for a seat that the service itself gives: it may overbook its own staff."""


@dataclass(frozen=True)
class Outcome:
    """What follows from an accepted statement. First free, then take seats; then keep what is new."""

    what: What
    appointment: Resource | None = None
    """The new version; None when it stays as it is."""
    encounter: Resource | None = None
    """The new version; None when it stays as it is."""
    frees: bool = False
    """The booking gives back the seats it holds."""
    keeps: tuple[str, ...] = ()
    """The slots of its confirmed time: its seats there stay held for it until the service has answered to the new time."""
    drops_old: bool = False
    """The seats of a time before, held so, are given back: the service has answered."""
    takes: tuple[Seat, ...] = ()
    overruled: tuple[Problem, ...] = ()
    """The rules that staff passed."""

    @property
    def nothing_new(self) -> bool:
        """The statement was already true."""
        return self.appointment is None and self.encounter is None


@dataclass(frozen=True)
class _Case:
    """One weighing: what the functions below share."""

    statement: Statement
    booking: Booking | None
    facts: Facts
    owner: bool
    now: datetime
    asker: Asker
    overrules: bool
    settles: bool
    departments: frozenset[str]


def weigh(
    statement: Statement, stored: Resource | None, facts: Facts, *,
    may: frozenset[str], origin: str, now: datetime, departments: frozenset[str] = frozenset(), asker: Asker = Asker.PERSON,
    overrules: bool = False, settles: bool = False,
) -> Outcome:
    """What follows from a statement.

    Args:
        stored: the Appointment with the id `which(statement, origin)`; None when there is none. One of the waiting list becomes the booking.
        facts: what `gather(statement, stored, …)` read.
        may: what the sender's word is good for (`Adapter.may_state`). Who may `confirm` runs the service, and its word beats our rules.
        origin: who states it: the adapter's name, or `portal`.
        departments: the sender's (`Adapter.departments`); empty: all.
        asker: in what capacity whoever asks does so, where the statement does not tell.
        settles: nobody else must confirm: what the rules allow stands at once.
        overrules: staff who know better: the soft rules do not bind (`rules.SOFT`); seats and the life cycle do.

    Raises:
        Refused: NOT_ALLOWED, UNKNOWN_BOOKING, OUT_OF_DATE, IMPOSSIBLE_CHANGE, INVALID, UNKNOWN_CODE, NO_SUCH_TIME, or what a
            rule says (`rules.check`).
    """
    if stored and is_waiting(stored) and not statement.appointment.get("id"):
        stored = None  # the wait is over: it becomes the booking
    if stored and not is_booking(stored):
        raise Refused(Problem.IMPOSSIBLE_CHANGE, "what is kept under this id is no booking", "Appointment.id")
    booking = Booking.of(stored) if stored else None
    case = _Case(statement, booking, facts, "confirm" in may, now, statement.asker or asker, overrules, settles and "confirm" not in may,
                 departments)
    said = words(statement, booking, "plan" in may)
    _allowed(said, may, booking.department if booking else stated_department(statement.appointment), departments)
    if said == (What.PLAN,):
        named = statement.appointment.get("id")
        return _plan(case, appointment_id(origin, str(named)) if named else which(statement, origin))
    if stored is None or booking is None:
        return _book(case, which(statement, origin))
    if case.settles and said == (What.MOVE,):
        said = (What.MOVE, What.CONFIRM)
    stale = out_of_date(statement, booking, now)
    try:
        _same_subject(case, booking)
        appointment, encounter = _after(case, stored, said)
    except Refused as refused:
        if stale:
            raise _out_of_date() from refused
        raise
    outcome = _outcome(said[0], stored, appointment, facts.encounter, encounter)
    if outcome.nothing_new:
        return outcome
    if stale:
        raise _out_of_date()
    return _settled(case, booking, outcome)


def _allowed(said: tuple[What, ...], may: frozenset[str], department: str, departments: frozenset[str]) -> None:
    missing = [NEEDS_RIGHT[word] for word in said if NEEDS_RIGHT[word] not in may]
    if missing:
        raise Refused(Problem.NOT_ALLOWED, f"the sender may not state: {', '.join(missing)}", "Appointment.status")
    if departments and department not in departments:
        raise Refused(Problem.NOT_ALLOWED, "the booking belongs to a department that is not the sender's", "Appointment.participant.actor")


def _book(case: _Case, id_: str) -> Outcome:
    patient = rules.known_person(case.facts.patient)
    department = rules.known_department(case.facts.service)
    asked = times(case.statement, None, department.visit_minutes)
    if asked is None or case.facts.service is None:
        raise Refused(Problem.INVALID, "a booking without a start", "Appointment.start")
    after(None, What.BOOK)
    made = draft.timed(draft.new(id_, case.statement, patient, case.facts.service, case.now), *asked)
    if case.settles:
        made = draft.changed(made, case.statement, What.CONFIRM, after(Status.PENDING, What.CONFIRM), case.owner)
    return _seated(case, What.BOOK, made, rules.Asked(patient, department, *asked, asker=case.asker, sees=case.departments))


def _plan(case: _Case, id_: str) -> Outcome:
    """A visit that the service planned itself: it stands at once, takes seats like the service's own moves, and draws on no decision."""
    patient, service = rules.known_person(case.facts.patient), case.facts.service
    asked = times(case.statement, None, Department.of(service).visit_minutes) if service else None
    if service is None or asked is None:
        raise Refused(Problem.INVALID if service else Problem.UNKNOWN_SERVICE, "a planned visit has a department and a start", "Appointment.start")
    made = draft.timed(draft.new(id_, case.statement, patient, service, case.now), *asked)
    made = draft.changed(made, case.statement, What.CONFIRM, after(None, What.PLAN), case.owner)
    return _seated(case, What.PLAN, made, rules.Asked(patient, Department.of(service), *asked, asker=case.asker, sees=case.departments))


def _same_subject(case: _Case, booking: Booking) -> None:
    """A booking changes neither person nor department; whoever states another one means another booking."""
    literal, named = stated_person(case.statement.appointment)
    patient = case.facts.patient
    if (literal or named) and (patient is None or f"Patient/{patient['id']}" != booking.patient):
        raise Refused(Problem.IMPOSSIBLE_CHANGE, "the booking is for another person", "Appointment.participant.actor")
    if stated_department(case.statement.appointment) not in ("", booking.department):
        raise Refused(Problem.IMPOSSIBLE_CHANGE, "the booking is with another department", "Appointment.participant.actor")


def _after(case: _Case, stored: Resource, said: tuple[What, ...]) -> tuple[Resource, Resource | None]:
    """Appointment and Encounter after each word in turn, by the life cycle's table."""
    appointment, encounter = stored, case.facts.encounter
    for word in said:
        status = after(Status(appointment["status"]), word)
        appointment = draft.changed(appointment, case.statement, word, status, case.owner)
        encounter = draft.visited(encounter, case.statement, word, appointment, case.facts.service, case.now)
    stated = times(case.statement, case.booking, 0) if What.MOVE in said else None
    if stated:
        appointment = draft.timed(appointment, *stated)
    if case.statement.sequence is not None:
        appointment = _numbered(appointment, max(case.statement.sequence, int(extension(stored, "sequence") or 0)))
    return appointment, encounter


def _outcome(what: What, before: Resource, after_: Resource, encounter: Resource | None, now_encounter: Resource | None) -> Outcome:
    return Outcome(what, None if after_ == before else after_, None if now_encounter == encounter else now_encounter)


def _settled(case: _Case, booking: Booking, outcome: Outcome) -> Outcome:
    """The outcome under the rules: notice for whoever asks, seats for a new time, the freshness line when the service speaks."""
    appointment = outcome.appointment
    department = Department.of(case.facts.service) if case.facts.service else None
    if department and outcome.what in (What.MOVE, What.CANCEL) and not case.owner:
        rules.welcome(department, case.asker)
        outcome = replace(outcome, overruled=_in_time(case, booking, department, outcome.what))
    if appointment is None:
        return outcome
    answered = case.owner or case.settles or outcome.what is What.CANCEL
    drops_old = answered and extension(appointment, MOVED_FROM) is not None
    if answered:
        appointment = without_extension(appointment, MOVED_FROM, ANSWER)
    if outcome.what is What.MOVE:
        new = Booking.of(appointment)
        department = department if department and case.owner else rules.known_department(case.facts.service)
        if not answered and booking.status is Status.BOOKED:
            old = {"start": write(booking.start), "end": write(booking.end)}
            appointment = with_extension(without_extension(appointment, ANSWER), MOVED_FROM, "Period", old)
        old_slots = _confirmed_slots(Booking.of(appointment), department)
        own = replace(booking, slots=tuple(dict.fromkeys((*booking.slots, *old_slots))))
        asked = rules.Asked(booking.patient, department, new.start, new.end, own, case.asker, case.departments)
        seated = _seated(case, What.MOVE, appointment, asked)
        overruled = tuple(dict.fromkeys((*outcome.overruled, *seated.overruled)))
        return replace(seated, keeps=old_slots, drops_old=drops_old, overruled=overruled)
    if outcome.what is What.CANCEL:
        appointment = _numbered_on(case, appointment)
    frees = appointment["status"] == Status.CANCELLED != booking.status
    return replace(outcome, appointment=_fresh(case, appointment), frees=frees, drops_old=drops_old)


def _in_time(case: _Case, booking: Booking, department: Department, what: What) -> tuple[Problem, ...]:
    """The deadline for moving or cancelling, unless staff pass it. Raises Refused TOO_LATE."""
    try:
        rules.in_time(booking.start, department.move_minutes if what is What.MOVE else department.cancel_minutes, case.now)
    except Refused as late:
        if not case.overrules:
            raise
        return (late.problem,)
    return ()


def _confirmed_slots(booking: Booking, department: Department) -> tuple[str, ...]:
    """The slots of the confirmed time that stands while another is asked for: its own, so they count as free for itself."""
    return covering(department, booking.before[0], department.busy_until(booking.before[1])) if booking.before else ()


def _seated(case: _Case, what: What, appointment: Resource, asked: rules.Asked) -> Outcome:
    """The booking at an asked time, by the rules; the service's own word is bound by none and takes seats without limit."""
    seats = seats_over(asked.department, asked.start, asked.busy_until)
    if case.owner:
        seats = tuple(Seat(seat.slot, NO_LIMIT) for seat in seats)
    made = {**appointment, "slot": [{"reference": f"Slot/{seat.slot}"} for seat in seats]}
    if not seats:
        del made["slot"]
    passed: tuple[Problem, ...] = ()
    if not case.owner:
        if case.overrules:
            decision, passed = rules.overruled(asked, case.facts, case.now)
        else:
            decision = rules.check(asked, case.facts, case.now)
        if decision is not None:
            made["basedOn"] = [{"reference": f"ServiceRequest/{decision.id}"}]
    made = _fresh(case, _numbered_on(case, made))
    return Outcome(what, made, frees=asked.moved is not None, takes=seats, overruled=passed)


def _fresh(case: _Case, appointment: Resource) -> Resource:
    """When the service last told something new, and when it said so itself."""
    if not case.owner:
        return appointment
    told, before = case.statement.stated_at, case.booking.stated_at if case.booking else ""
    told = told if told and put_right(told, before, case.now) else max(told, before)
    made = with_extension(appointment, "stated-at", "Instant", told) if told else appointment
    return with_extension(made, "confirmed-at", "Instant", write(case.now))


def _numbered_on(case: _Case, appointment: Resource) -> Resource:
    """A change by somebody who does not number states gets the next number, so that an answer to the state before it is out of date."""
    if case.statement.sequence is not None:
        return _numbered(appointment, max(case.statement.sequence, case.booking.sequence if case.booking else 0))
    return _numbered(appointment, max(case.booking.sequence, case.booking.version) + 1 if case.booking else 1)


def _numbered(appointment: Resource, sequence: int) -> Resource:
    return with_extension(appointment, "sequence", "Integer", sequence)


def _out_of_date() -> Refused:
    return Refused(Problem.OUT_OF_DATE, "older than what is kept", "Appointment.meta.versionId")
