"""What somebody states about one booking, told from what is kept: a Statement, which booking it is about, and in what words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.booking.clock import read, write
from hub.booking.conventions import SHOP_BOOKING, appointment_id, extension, identifier, points_to
from hub.booking.department import Asker
from hub.booking.life import What
from hub.booking.views import Booking, Status, performer, stated_department, stated_person, version
from hub.message import Resource
from hub.problem import Problem, Refused

LONGEST_VISIT = timedelta(hours=24)
"""Longer than any home visit; bounds what must be read to find overlaps."""
AHEAD = timedelta(minutes=15)
"""A sender's clock that is further ahead than this is wrong, and will be put right."""
REPORTS = {"arrived": What.ON_THE_WAY, "fulfilled": What.COMPLETE, "noshow": What.NOT_HOME, "cancelled": What.CANCEL}
"""Stated Appointment status → what it says of a booking that is kept."""
PLANS = ("proposed", "booked", "cancelled")
"""Stated status of what is planned; the others report."""


@dataclass(frozen=True)
class Statement:
    """One partial Appointment as a sender states it, with the partial Encounter that came with it (docs/flow.md)."""

    appointment: Resource
    encounter: Resource | None = None

    @property
    def sequence(self) -> int | None:
        """The sender's number for this state (xCal SEQUENCE); None when it does not number."""
        value = extension(self.appointment, "sequence")
        return None if value is None else int(value)

    @property
    def stated_at(self) -> str:
        """When the sender said it by its own clock, as `clock.write` has it; empty when that is not told."""
        return str(extension(self.appointment, "stated-at") or "")

    @property
    def asker(self) -> Asker | None:
        """In what capacity whoever asked did so, where the sender tells (the extension `asked-by`): a shop vouches for its own customers."""
        told = extension(self.appointment, "asked-by")
        return Asker(told) if told in list(Asker) else None


def statements(items: Iterable[Resource]) -> tuple[Statement, ...]:
    """Joins each stated Appointment with its Encounter.

    Raises:
        Refused: INVALID when there is another resource type, no Appointment, or an Encounter that belongs to none of them.
    """
    resources = list(items)
    appointments = [r for r in resources if r.get("resourceType") == "Appointment"]
    encounters = [r for r in resources if r.get("resourceType") == "Encounter"]
    if not appointments or len(appointments) + len(encounters) != len(resources):
        raise Refused(Problem.INVALID, "states no Appointment, or something else than Appointment and Encounter", "resourceType")
    of = {points_to(r, "Appointment"): e for e in encounters for r in e.get("appointment") or ()}
    if len(appointments) == 1 and len(encounters) == 1 and not encounters[0].get("appointment"):
        return (Statement(appointments[0], encounters[0]),)
    if len(of) != len(encounters) or not set(of) <= {a.get("id") for a in appointments}:
        raise Refused(Problem.INVALID, "an Encounter points to no stated Appointment", "Encounter.appointment")
    return tuple(Statement(a, of.get(str(a.get("id", "")))) for a in appointments)


def which(statement: Statement, origin: str) -> str:
    """The id of the Appointment it is about: the stated id, or made from the shop's booking id and who says it.

    Raises:
        Refused: INVALID when neither is stated.
    """
    stated = statement.appointment
    if stated.get("id"):
        return str(stated["id"])
    if shop := identifier(stated, SHOP_BOOKING):
        return appointment_id(origin, shop)
    raise Refused(Problem.INVALID, "tells neither id nor identifier", "Appointment.identifier")


def times(statement: Statement, stored: Booking | None, minutes: int) -> tuple[datetime, datetime] | None:
    """The stated times in UTC; None when none is stated. Without an end: the stated minutesDuration, else as long as
    the visit it moves, else `minutes`.

    Raises:
        Refused: INVALID (no start, end not after start, too long), NO_SUCH_TIME.
    """
    stated = statement.appointment
    if "start" not in stated:
        if "end" in stated:
            raise Refused(Problem.INVALID, "an end without a start", "Appointment.end")
        return None
    start = read(stated["start"], "Appointment.start")
    until = read(stated["end"], "Appointment.end") if "end" in stated else start + _length(stated, stored, minutes)
    if not start < until <= start + LONGEST_VISIT:
        raise Refused(Problem.INVALID, "ends before it starts, or lasts more than 24 hours", "Appointment.end")
    return start, until


def _length(stated: Resource, stored: Booking | None, minutes: int) -> timedelta:
    if isinstance(length := stated.get("minutesDuration"), int) and 0 < length <= 1440:
        return timedelta(minutes=length)
    return stored.end - stored.start if stored else timedelta(minutes=minutes)


def words(statement: Statement, stored: Booking | None, plans: bool = False) -> tuple[What, ...]:
    """What it says, in the order it takes effect. The service's own move is a move and a confirmation.

    Args:
        plans: who says it may plan visits that nobody booked; whom and what such a one is for must be told with it.

    Raises:
        Refused: INVALID, UNKNOWN_CODE (a status nobody may state), UNKNOWN_BOOKING.
    """
    status = statement.appointment.get("status")
    if stored is None:
        if plans and status == "booked" and any(stated_person(statement.appointment)) and stated_department(statement.appointment):
            return (What.PLAN,)
        if status != "proposed" or statement.appointment.get("id"):
            raise Refused(Problem.UNKNOWN_BOOKING, "no such booking", "Appointment.identifier")
        return (What.BOOK,)
    if status == "proposed":
        return (What.MOVE,) if _moves(statement, stored) else (What.BOOK,)
    if status == "booked":
        answer = What.ASSIGN if performer(statement.appointment) else What.CONFIRM
        return (What.MOVE, answer) if _moves(statement, stored) else (answer,)
    if status not in REPORTS:
        raise Refused(Problem.UNKNOWN_CODE, "a status that cannot be stated", "Appointment.status")
    return (REPORTS[status],)


def _moves(statement: Statement, stored: Booking) -> bool:
    stated = times(statement, stored, 0)
    return stated is not None and stated != (stored.start, stored.end)


def out_of_date(statement: Statement, stored: Booking, now: datetime) -> bool:
    """It is older than what is kept: a lower sequence number, made of a version that is not the current one, or a plan that was told before
    what the service told last (mail overtakes mail). Reports of a visit have an order of their own: `life.NEXT`."""
    if statement.sequence is not None and statement.sequence < stored.sequence:
        return True
    plans = statement.appointment.get("status") in PLANS and stored.status in (Status.PENDING, Status.BOOKED)
    if plans and "" < statement.stated_at < stored.stated_at and not put_right(statement.stated_at, stored.stated_at, now):
        return True
    return 0 < version(statement.appointment) < stored.version


def put_right(stated_at: str, before: str, now: datetime) -> bool:
    """The sender's clock was ahead when it spoke before, and is not any more: the two times say nothing of which came first."""
    return stated_at <= write(now) and before > write(now + AHEAD)
