"""Where another time might do, a refusal tells the nearest free ones: on every road by which somebody asks for a time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from hub.access import Ground
from hub.booking import Booking, Department
from hub.booking.clock import at, read
from hub.booking.views import is_booking, stated_department, stated_person
from hub.customer import Customer, Order
from hub.keeping import Speaker
from hub.message import Resource
from hub.problem import Problem, Refused, Unavailable
from hub.shop import Shop

ELSEWHEN = frozenset({
    Problem.FULL, Problem.HOLD_EXPIRED, Problem.OUTSIDE_OPENING_HOURS, Problem.BEYOND_HORIZON, Problem.TOO_LATE, Problem.OVERLAPS_OWN,
    Problem.PAUSED, Problem.DECISION_USED_UP, Problem.NO_SUCH_TIME, Problem.PAST, Problem.OFF_GRID,
})


ASKS = ("proposed", "pending", "booked")
"""Status of what asks for a time."""


@dataclass(frozen=True, slots=True)
class Elsewhen:
    """Looks for them."""

    shop: Shop

    def __call__(self, trouble: Exception) -> Exception:
        """The same, with what this person could have instead; as it is where that is unknown, or is nothing."""
        if isinstance(trouble, Refused) and trouble.problem in ELSEWHEN and isinstance(trouble.asked, tuple) and not trouble.instead:
            speaker, stated = trouble.asked
            if "confirm" not in speaker.may and stated.get("status") in ASKS:
                with suppress(Refused, Unavailable):
                    trouble.instead = self._nearest(speaker, stated)
        return trouble

    def _nearest(self, speaker: Speaker, stated: Resource) -> tuple[tuple[datetime, datetime], ...]:
        """Raises Refused where it is not told whom, what or when it is for; Unavailable."""
        store = self.shop.store
        kept = store.get("Appointment", str(stated["id"])) if stated.get("id") else None
        moved = Booking.of(kept.resource) if kept is not None and is_booking(kept.resource) else None
        person, code = (moved.patient, moved.department) if moved else (self._person(stated), stated_department(stated))
        department = self.shop.department(code)
        order = Order("", code, _wished(stated), _minutes(stated, department, moved), moved.id if moved else "")
        who = Customer(person, speaker.reader, Ground(speaker.ground), speaker.asker, speaker.channel, departments=speaker.departments)
        return tuple((time.start, time.end) for time in self.shop.nearest(who, order, store.now()))

    def _person(self, stated: Resource) -> str:
        literal, named = stated_person(stated)
        found = self.shop.store.identified("Patient", *named.split("|", 1)) if named else None
        if not literal and found is None:
            raise Refused(Problem.UNKNOWN_PERSON, "nobody is told")
        return literal or (found.reference if found else "")


def _wished(stated: Resource) -> datetime:
    """When it was asked for; the first moment after, of a time that clocks skip."""
    text = str(stated.get("start", ""))
    try:
        return read(text, "Appointment.start")
    except Refused as refused:
        if refused.problem is not Problem.NO_SUCH_TIME:
            raise
        shown = datetime.fromisoformat(text)
        return at(shown.date(), shown.time().replace(tzinfo=None))


def _minutes(stated: Resource, department: Department, moved: Booking | None) -> int:
    told = stated.get("minutesDuration")
    if isinstance(stated.get("end"), str) and isinstance(stated.get("start"), str):
        with suppress(Refused):
            told = round((read(stated["end"], "Appointment.end") - _wished(stated)).total_seconds() / 60)
    if isinstance(told, int) and told > 0:
        return told
    return round((moved.end - moved.start).total_seconds() / 60) if moved else department.visit_minutes
