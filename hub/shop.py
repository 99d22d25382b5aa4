"""The hub's own Tjenesteshop: what a person can order, which times are free, hold, order, move and cancel.

Portal, booking API and FHIR operations are three faces of these verbs; the rules are hub.booking's, so that they hold on every road. An
order bears a key of its maker's: the same order twice is one booking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.access import AuditLine
from hub.booking import Asker, Booking, Decision, Department, Statement, covering, gather, weigh
from hub.booking.clock import MIDNIGHT, at, local, write
from hub.booking.conventions import BY_CITIZEN, BY_REPRESENTATIVE, BY_SERVICE, SHOP_BOOKING
from hub.booking.free import Day, Span, Time, Wish, closed_elsewhere, free_times
from hub.booking.views import is_booking
from hub.customer import Customer, Held, Order, Service
from hub.fhir.query import DateIs, Query, ReferenceIs
from hub.keeping import Calendar, Keeping, count_seats, own_times
from hub.message import Resource, Resources
from hub.problem import Problem, Refused
from hub.store import Store, Stored, Transaction, micros

HELD_FOR = timedelta(minutes=5)
MANY = 100_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shop:
    """The verbs."""

    store: Store
    keeping: Keeping
    calendar: Calendar = lambda *_: None
    """`hub.asking.Asking.free`."""

    def services(self, person: str, now: datetime) -> list[Service]:
        """Every department that a decision in force before the horizon covers, by name."""
        decisions = [d for d in self._decisions(person) if d.active]
        bookings = self._bookings(person, decisions, now, now + 31 * _DAY)
        found = []
        for kept in self.store.search(Query("HealthcareService", count=MANY)).entries:
            department = Department.of(kept.resource)
            last = at(local(now).date() + (department.horizon_days + 1) * _DAY, MIDNIGHT)
            soonest = [(d, d.in_force_from(now, last)) for d in decisions if department.active and d.about(person, department)]
            balances = tuple(d.balance(bookings, at_) for d, at_ in soonest if at_ is not None)
            if balances:
                found.append(Service(department, balances))
        return sorted(found, key=lambda s: s.department.name)

    def department(self, code: str) -> Department:
        """One that takes bookings. Raises Refused UNKNOWN_SERVICE."""
        kept = self.store.get("HealthcareService", code)
        if kept is None or kept.deleted or not (department := Department.of(kept.resource)).active:
            raise Refused(Problem.UNKNOWN_SERVICE, "no such department, or it takes no bookings", "Appointment.participant.actor")
        return department

    def free(self, customer: Customer, department: str, now: datetime, minutes: int | None = None, moves: str = "") -> tuple[Day, ...]:
        """The days up to the horizon with the times this customer can choose. A time they hold counts as free for them.

        Raises:
            Refused: UNKNOWN_SERVICE, UNKNOWN_BOOKING (`moves` is none of the person's).
            Unavailable: the partner that owns the calendar does not answer.
        """
        known = self.department(department)
        moved = self._own(customer, moves) if moves else None
        length = minutes or (round((moved.end - moved.start).total_seconds() / 60) if moved else known.visit_minutes)
        first, last = local(now).date(), local(now).date() + (known.horizon_days + 2) * _DAY
        taken = self.store.seats_taken(f"{known.code}-{first - _DAY:%Y%m%d}", f"{known.code}-{last:%Y%m%d}")
        for slot in self.store.held(customer.holder):
            if slot in taken:
                taken[slot] -= 1
        spans = self._calendar(customer, known, now)
        if spans is not None:
            taken = closed_elsewhere(known, (first + n * _DAY for n in range(known.horizon_days + 2)), spans, taken)
        decisions = self._decisions(customer.person)
        own = self._bookings(customer.person, decisions, now, at(last, MIDNIGHT))
        stays = tuple(self._of("Flag", customer.person))
        return free_times(Wish(customer.person, known, length, customer.asker, moved, stays), decisions, own, taken, now)

    def nearest(self, customer: Customer, order: Order, now: datetime, many: int = 3) -> list[Time]:
        """The free times nearest to one that could not be had, in order of time."""
        days = self.free(customer, order.department, now, order.minutes, order.moves)
        times = sorted((t for day in days for t in day.times), key=lambda t: abs(t.start - order.start))
        return sorted(times[:many], key=lambda t: t.start)

    def hold(self, customer: Customer, order: Order) -> Held:
        """Holds a time that the rules allow; what this customer held before is given back.

        Raises:
            Refused: what `hub.booking.rules.check` says.
            Unavailable: the partner that owns the calendar does not answer.
        """

        def work(tx: Transaction) -> Held:
            touched = tx.free_seats(customer.holder)
            statement, stored = self._stated(tx, customer, order)
            outcome = weigh(statement, stored, gather(statement, stored, tx), may=customer.may, departments=customer.departments,
                            origin=customer.origin, now=tx.now, asker=customer.asker, overrules=bool(customer.overrules))
            self.keeping.free_elsewhere(
                tx, customer.speaker, order.department, (order.start, order.end), customer.person, own_times(stored))
            until = tx.now + HELD_FOR
            own = Booking.of(stored).slots if stored else ()
            wanted = [seat for seat in outcome.takes if seat.slot not in own]
            for seat in wanted:
                tx.take_seat(seat.slot, customer.holder, seat.capacity, until)
            count_seats(tx, dict.fromkeys((*touched, *(seat.slot for seat in wanted))))
            return Held(order, until)

        return self.store.write(work)

    def release(self, customer: Customer) -> None:
        """Gives back what this customer holds."""
        if self.store.held(customer.holder):
            self.store.write(lambda tx: count_seats(tx, tx.free_seats(customer.holder)))

    def booked(self, person: str, first: datetime, until: datetime) -> list[Stored]:
        """A person's bookings that lie in, or reach into, [first, until), in order of time: the cancelled too."""
        kept = [s for s in self._kept("Appointment", person, (first, until)) if is_booking(s.resource)]
        return sorted(kept, key=lambda s: (Booking.of(s.resource).start, s.id))

    def sweep(self) -> int:
        """Gives back what ran out and lets the Slots tell; how many seats. A hold ends by its time whether this runs or not."""

        def work(tx: Transaction) -> int:
            slots = tx.free_expired()
            count_seats(tx, dict.fromkeys(slots))
            return len(slots)

        return self.store.write(work)

    def confirm(self, customer: Customer, order: Order) -> str:
        """Makes the held time a booking, or the booking's new time; its id. The same order again gives the same, whatever became of it since.

        Raises:
            Refused: HOLD_EXPIRED, ALTERED_DUPLICATE (the key is another order's), and what the rules say by now.
        """
        return self._order(customer, order, must_hold=True)

    def book(self, customer: Customer, order: Order) -> str:
        """As `confirm`, without a hold before. Raises Refused, Unavailable."""
        return self._order(customer, order, must_hold=False)

    def _order(self, customer: Customer, order: Order, *, must_hold: bool) -> str:
        id_ = order.appointment(customer)

        def work(tx: Transaction) -> str:
            statement, stored = self._stated(tx, customer, order)
            if stored is not None and not order.moves:
                return _again(tx, order, id_)
            done = stored is not None and (Booking.of(stored).start, Booking.of(stored).end) == (order.start, order.end)
            if must_hold and not done and not _is_held(tx, customer, order, stored):
                raise Refused(Problem.HOLD_EXPIRED, "the time was not held any more", "Appointment.start")
            touched = tx.free_seats(customer.holder)
            self.keeping.keep(tx, replace(customer.speaker, held=frozenset(touched)), Resources((statement.appointment,)))
            count_seats(tx, touched)
            return id_

        return self.store.write(work)

    def cancel(self, customer: Customer, appointment: str, reason: str = "", version: str = "") -> None:
        """Cancels a booking of the person's. `version` is the one that was seen; empty: whichever.

        Raises:
            Refused: UNKNOWN_BOOKING, TOO_LATE, IMPOSSIBLE_CHANGE, NOT_ALLOWED, OUT_OF_DATE.
        """
        code = {Asker.PERSON: BY_CITIZEN, Asker.RELATIVE: BY_REPRESENTATIVE, Asker.STAFF: BY_SERVICE}[customer.asker]
        why = {**code, "text": reason} if reason else code
        stated: Resource = {"resourceType": "Appointment", "id": appointment, "status": "cancelled", "cancelationReason": why}
        if version:
            stated["meta"] = {"versionId": version}

        def work(tx: Transaction) -> None:
            _theirs(tx, customer, appointment)
            self.keeping.keep(tx, customer.speaker, Resources((stated,)))

        self.store.write(work)

    def _stated(self, tx: Transaction, customer: Customer, order: Order) -> tuple[Statement, Resource | None]:
        """The order as a stated Appointment, and what is kept of it. Raises Refused UNKNOWN_BOOKING for somebody else's."""
        id_ = order.appointment(customer)
        stated: Resource = {"resourceType": "Appointment", "status": "proposed", "start": write(order.start), "end": write(order.end)}
        if order.moves:
            seen = {"meta": {"versionId": order.version}} if order.version else {}
            return Statement({**stated, "id": id_, **seen}), _theirs(tx, customer, id_)
        kept = tx.get("Appointment", id_)
        stated |= {
            "identifier": [{"system": SHOP_BOOKING, "value": order.reference(customer)}],
            "participant": [
                {"actor": {"reference": customer.person, "type": "Patient"}, "status": "accepted"},
                {"actor": {"reference": f"HealthcareService/{order.department}", "type": "HealthcareService"}, "status": "needs-action"},
            ],
        }
        if order.comment:
            stated["comment"] = order.comment
        return Statement(stated), kept.resource if kept else None

    def _calendar(self, customer: Customer, department: Department, now: datetime) -> tuple[Span, ...] | None:
        speaker = customer.speaker
        line = AuditLine(now, customer.person, speaker.reader, speaker.ground, "free-times", speaker.on_behalf_of, speaker.channel)
        return self.calendar(department, now, line)

    def _own(self, customer: Customer, id_: str) -> Booking:
        kept = self.store.get("Appointment", id_)
        if kept is None or not is_booking(kept.resource) or (found := Booking.of(kept.resource)).patient != customer.person:
            raise _unknown()
        return found

    def _decisions(self, person: str) -> list[Decision]:
        return [Decision.of(r) for r in self._of("ServiceRequest", person)]

    def _bookings(self, person: str, decisions: Iterable[Decision], now: datetime, until: datetime) -> list[Booking]:
        """As far back as a decision counts, and as far ahead for what lies before `until`."""
        counting = [d for d in decisions if d.active]
        first = min([now, *(d.counted_from(now) for d in counting)]) - _DAY
        last = max([until, *(d.counted_until(until) for d in counting)])
        return [Booking.of(r) for r in self._of("Appointment", person, (first, last)) if is_booking(r)]

    def _of(self, type_: str, person: str, between: tuple[datetime, datetime] | None = None) -> list[Resource]:
        return [s.resource for s in self._kept(type_, person, between)]

    def _kept(self, type_: str, person: str, between: tuple[datetime, datetime] | None = None) -> list[Stored]:
        kind, _, id_ = person.partition("/")
        dates = () if between is None else (DateIs("date", (("eq", micros(between[0]), micros(between[1])),), main=True),)
        return self.store.search(Query(type_, (ReferenceIs("patient", ((kind, id_),)), *dates), count=MANY)).entries


def _again(tx: Transaction, order: Order, id_: str) -> str:
    """The booking that this order became before: neither made again nor moved back. Raises Refused ALTERED_DUPLICATE for another order."""
    first = tx.version("Appointment", id_, 1)
    was = Booking.of(first.resource) if first and is_booking(first.resource) else None
    if was is None or (was.department, was.start, was.end) != (order.department, order.start, order.end):
        raise Refused(Problem.ALTERED_DUPLICATE, "another order has this key", "Appointment.identifier")
    return id_


def _is_held(tx: Transaction, customer: Customer, order: Order, stored: Resource | None) -> bool:
    """The customer holds each slot of the asked time that the moved booking does not have itself."""
    before = Booking.of(stored) if stored else None
    kept = tx.get("HealthcareService", before.department if before else order.department)
    slots = covering(Department.of(kept.resource), order.start, order.end) if kept else ()
    return bool(slots) and set(slots) - set(before.slots if before else ()) <= set(tx.held(customer.holder))


def _theirs(tx: Transaction, customer: Customer, id_: str) -> Resource:
    """A kept booking of the customer's person; somebody else's is answered as one that does not exist."""
    kept = tx.get("Appointment", id_)
    if kept is None or not is_booking(kept.resource) or Booking.of(kept.resource).patient != customer.person:
        raise _unknown()
    return kept.resource


def _unknown() -> Refused:
    return Refused(Problem.UNKNOWN_BOOKING, "no such booking of this person's", "Appointment.id")
