"""Offers what became free to who waits longest for it: the seat is held for them, they are told, and it goes on to the next if they are silent.

Called in the transaction that frees a time (cancelled, moved, the service's no), and every few seconds by the worker for what frees itself: a
hold or an offer that ran out, more staff, a new day within the horizon. Each call looks at how things stand and does what is missing, so that
it may come twice, late, or after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hub.booking import Booking, Decision, Department
from hub.booking.clock import MIDNIGHT, at, local, write
from hub.booking.conventions import BY_SERVICE
from hub.booking.free import Span, Wish, closed_elsewhere, free_times
from hub.booking.notices import Kind
from hub.booking.slots import seats_over
from hub.booking.views import is_booking
from hub.booking.waiting import GRACE, STATUS, Offer, Waiting, ended, is_waiting, offer_for, offered, passed, queue
from hub.fhir.query import Query, TokenIs
from hub.keeping import Calendar, count_seats
from hub.message import Resource
from hub.problem import Unavailable
from hub.store import Lacking, Store, Transaction

ORIGIN = "venteliste"
"""The origin of what the list itself changes."""
NO_TIME: Resource = {**BY_SERVICE, "text": "Ingen ledig tid i tidsrommet"}
MANY = 100_000
_DAY = timedelta(days=1)
Tell = Callable[[Transaction, Waiting, Kind | None], None]


@dataclass(frozen=True, slots=True)
class Offering:
    """Who is offered what."""

    check: Any
    """As `Keeping.check`."""
    tell: Tell = lambda *_: None
    """`hub.noticing.Noticing.waiting`."""
    calendar: Calendar = lambda *_: None
    """As `Keeping.calendar`."""

    def __call__(self, tx: Transaction, code: str, asks: bool = False) -> int:
        """One department's list; how many were offered a time.

        Args:
            asks: the owner of the department's calendar may be asked now. Else what it said lately counts, and the next round asks.
        """
        kept = [k.resource for k in tx.find("Appointment", refers=("actor", f"HealthcareService/{code}"), status=STATUS)]
        waiting = [r for r in kept if is_waiting(r)]
        service = tx.get("HealthcareService", code) if waiting else None
        if service is None:
            return 0
        department = Department.of(service.resource)
        line = queue([entry for r in waiting if (entry := self._settled(tx, r)) is not None])
        try:
            spans = self.calendar(department, tx.now, None) if line else None
        except Unavailable as unknown:
            if asks and isinstance(unknown, Lacking):
                raise
            return 0
        return sum(self._offered(tx, department, entry, spans) for entry in line)

    def everywhere(self, store: Store) -> int:
        """Every department where somebody waits, one commit each."""
        found = store.search(Query("Appointment", (TokenIs("status", ((None, STATUS),)),), count=MANY)).entries
        codes = sorted({Waiting.of(s.resource).department for s in found if is_waiting(s.resource)})
        return sum(store.write(lambda tx, code=code: self(tx, code, True)) for code in codes)  # type: ignore[misc]

    def keep(self, tx: Transaction, resource: Resource, origin: str, word: str, text: str = "") -> Waiting:
        """A new version of somebody who waits, with a line of the timeline."""
        self.check(resource)
        tx.note(f"Appointment/{resource['id']}", word, text, origin=origin)
        return Waiting.of(tx.keep(resource, origin=origin).resource)

    def give_back(self, tx: Transaction, entry: Waiting) -> None:
        """The seat of an offer, and the notice of it that was not sent."""
        count_seats(tx, tx.free_seats(entry.holder))
        self.tell(tx, entry, None)

    def _settled(self, tx: Transaction, resource: Resource) -> Waiting | None:
        """Somebody as they stand now: an offer that ran out is passed on. None: they wait no more."""
        entry = Waiting.of(resource)
        if entry.offer is not None and entry.offer.until <= tx.now:
            self.give_back(tx, entry)
            resource = passed(resource, answered=False)
            entry = self.keep(tx, resource, ORIGIN, "offer-expired", write(entry.offer.start))
        if entry.offer is None and entry.over(tx.now):
            self.tell(tx, self.keep(tx, ended(resource, NO_TIME), ORIGIN, "wait-ended"), Kind.NO_TIME)
            return None
        return entry

    def _offered(self, tx: Transaction, department: Department, entry: Waiting, spans: tuple[Span, ...] | None) -> bool:
        """Offers them the first time that the rules of booking give them now, and holds its seats."""
        offer = self._offer(tx, department, entry, spans)
        kept = tx.get("Appointment", entry.id)
        if offer is None or kept is None:
            return False
        seats = seats_over(department, offer.start, department.busy_until(offer.start + timedelta(minutes=entry.minutes)))
        for seat in seats:
            tx.take_seat(seat.slot, entry.holder, seat.capacity, offer.until + GRACE)
        count_seats(tx, [seat.slot for seat in seats])
        self.tell(tx, self.keep(tx, offered(kept.resource, offer), ORIGIN, "offered", write(offer.start)), Kind.OFFERED)
        return True

    def _offer(self, tx: Transaction, department: Department, entry: Waiting, spans: tuple[Span, ...] | None) -> Offer | None:
        first, last = min(entry.days), max(entry.days)
        decisions = [Decision.of(k.resource) for k in tx.find("ServiceRequest", patient=entry.patient)]
        since = min([tx.now, *(d.counted_from(tx.now) for d in decisions if d.active)]) - _DAY
        until = max([at(last + 2 * _DAY, MIDNIGHT), *(d.counted_until(at(last, MIDNIGHT)) for d in decisions if d.active)])
        own = [Booking.of(k.resource) for k in tx.find("Appointment", patient=entry.patient, date=(since, until)) if is_booking(k.resource)]
        stays = tuple(k.resource for k in tx.find("Flag", patient=entry.patient))
        taken = tx.seats_between(f"{department.code}-{max(first, local(tx.now).date()) - _DAY:%Y%m%d}", f"{department.code}-{last + 3 * _DAY:%Y%m%d}")
        if spans is not None:
            taken = closed_elsewhere(department, sorted({*entry.days, *(day + _DAY for day in entry.days)}), spans, taken)
        wish = Wish(entry.patient, department, entry.minutes, entry.asker, None, stays)
        return offer_for(entry, department, free_times(wish, decisions, own, taken, tx.now, entry.days), tx.now)
