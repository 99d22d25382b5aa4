"""The verbs of the waiting list: stand on it, say yes or no to an offer, leave it. Each is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from uuid import NAMESPACE_URL, uuid5

from hub.access import AuditLine
from hub.booking import Booking, Decision, rules
from hub.booking.clock import write
from hub.booking.conventions import BY_CITIZEN, BY_REPRESENTATIVE, BY_SERVICE, SHOP_BOOKING, appointment_id
from hub.booking.department import Asker
from hub.booking.views import actors, is_booking
from hub.booking.waiting import STATUS, Waiting, ended, is_waiting, made, passed, windows
from hub.customer import ORIGIN, Customer
from hub.fhir.query import Query, ReferenceIs, TokenIs
from hub.message import Resource, Resources
from hub.offering import Offering
from hub.problem import Problem, Refused
from hub.shop import Shop
from hub.store import Transaction

MANY = 1000


@dataclass(frozen=True, slots=True)
class WaitingList:
    """The verbs."""

    shop: Shop
    offering: Offering

    def join(self, customer: Customer, department: str, days: Iterable[date], first: time, last: time, key: str) -> str:
        """Stands on the list for a department's times from `first` to `last` on these days; the entry's id. The same key again is the same.

        Raises:
            Refused: UNKNOWN_SERVICE, NOT_ALLOWED, INVALID, NO_DECISION, ALREADY_WAITING, TIME_IS_FREE; ALTERED_DUPLICATE, the key is of other hours.
        """
        reference = str(uuid5(NAMESPACE_URL, f"wait|{customer.person}|{key}"))
        id_, wanted_days = appointment_id(ORIGIN, reference), list(days)

        def work(tx: Transaction) -> str:
            kept = tx.get("Appointment", id_)
            if kept is not None and not is_waiting(kept.resource):
                return id_
            service = tx.get("HealthcareService", department)
            known = rules.known_department(service.resource if service else None)
            rules.welcome(known, customer.asker)
            wanted = windows(wanted_days, first, last, known.visit_minutes, tx.now)
            if kept is not None:
                before = Waiting.of(kept.resource)
                if before.department != department or not set(wanted) <= set(before.windows):  # hours that are past by now are left out
                    raise Refused(Problem.ALTERED_DUPLICATE, "another wait has this key", "Appointment.identifier")
                return id_
            decisions = [Decision.of(k.resource) for k in tx.find("ServiceRequest", patient=customer.person)]
            if not any(d.covers(customer.person, known, *window) for d in decisions for window in wanted):
                raise Refused(Problem.NO_DECISION, "no decision in force covers this service then", "Appointment.basedOn")
            others = tx.find("Appointment", patient=customer.person, status=STATUS)
            if any(Waiting.of(k.resource).department == department for k in others if is_waiting(k.resource)):
                raise Refused(Problem.ALREADY_WAITING, "the person waits for this department already", "Appointment.participant.actor")
            service_type = (service.resource if service else {}).get("type")
            entry = made(id_, reference, customer.person, known, service_type, wanted, customer.asker, tx.now)
            self.offering.keep(tx, entry, ORIGIN, "waiting")
            _audit(tx, customer, "wait")
            return id_

        if self.shop.store.get("Appointment", id_) is None:
            self._nothing_free(customer, department, wanted_days, first, last)
        return self.shop.store.write(work)

    def _nothing_free(self, customer: Customer, department: str, days: list[date], first: time, last: time) -> None:
        """Who finds a time need not wait; whoever waits already comes first anyway, since what is offered is held."""
        now = self.shop.store.now()
        found = self.shop.free(customer, department, now)
        minutes = next((round((t.end - t.start).total_seconds() / 60) for day in found for t in day.times), 1)
        wanted = windows(days, first, last, minutes, now)
        if any(begins <= t.start and t.end <= ends for day in found for t in day.times for begins, ends in wanted):
            raise Refused(Problem.TIME_IS_FREE, "a time within these hours can be booked now", "Appointment.requestedPeriod")

    def of(self, person: str) -> list[Waiting]:
        """What a person waits for, longest first."""
        kind, _, id_ = person.partition("/")
        conditions = (ReferenceIs("patient", ((kind, id_),)), TokenIs("status", ((None, STATUS),)))
        found = self.shop.store.search(Query("Appointment", conditions, count=MANY)).entries
        return sorted((Waiting.of(s.resource) for s in found if is_waiting(s.resource)), key=lambda e: (e.since, e.id))

    def accept(self, customer: Customer, id_: str) -> str:
        """Makes the offered time a booking, which keeps the entry's id. Yes twice is one booking.

        Raises:
            Refused: UNKNOWN_BOOKING, OFFER_EXPIRED, and what the rules say by now.
        """

        def work(tx: Transaction) -> str:
            kept = tx.get("Appointment", id_)
            if kept is not None and is_booking(kept.resource) and Booking.of(kept.resource).patient == customer.person:
                return id_
            resource, entry = self._own(tx, customer, id_)
            if entry.offer is None or entry.offer.until <= tx.now:
                raise Refused(Problem.OFFER_EXPIRED, "nothing is offered now", "Appointment.start")
            self.offering.give_back(tx, entry)
            speaker = replace(customer.speaker, name=ORIGIN)  # whose name the entry bears, whoever says yes
            self.shop.keeping.keep(tx, speaker, Resources((_asked(resource, entry, entry.offer.start),)))
            return id_

        return self.shop.store.write(work)

    def decline(self, customer: Customer, id_: str) -> None:
        """Says no to the offer, and waits on; it goes to the next at once. Without an offer nothing happens.

        Raises:
            Refused: UNKNOWN_BOOKING.
        """

        def work(tx: Transaction) -> None:
            resource, entry = self._own(tx, customer, id_)
            if entry.offer is not None:
                self.offering.give_back(tx, entry)
                self.offering.keep(tx, passed(resource, answered=True), ORIGIN, "offer-declined", write(entry.offer.start))
                _audit(tx, customer, "wait-decline")
                self.offering(tx, entry.department)

        self.shop.store.write(work)

    def leave(self, customer: Customer, id_: str) -> None:
        """Waits no more. Raises Refused UNKNOWN_BOOKING."""
        reason = {Asker.PERSON: BY_CITIZEN, Asker.RELATIVE: BY_REPRESENTATIVE, Asker.STAFF: BY_SERVICE}[customer.asker]

        def work(tx: Transaction) -> None:
            resource, entry = self._own(tx, customer, id_)
            self.offering.give_back(tx, entry)
            self.offering.keep(tx, ended(resource, reason), ORIGIN, "wait-left")
            _audit(tx, customer, "wait-leave")
            if entry.offer is not None:
                self.offering(tx, entry.department)

        self.shop.store.write(work)

    def _own(self, tx: Transaction, customer: Customer, id_: str) -> tuple[Resource, Waiting]:
        """Somebody else's is answered as one that does not exist."""
        kept = tx.get("Appointment", id_)
        if kept is None or not is_waiting(kept.resource) or (entry := Waiting.of(kept.resource)).patient != customer.person:
            raise Refused(Problem.UNKNOWN_BOOKING, "the person does not wait for this", "Appointment.id")
        return kept.resource, entry


def _asked(resource: Resource, entry: Waiting, start: datetime) -> Resource:
    """The offered time as an order under the entry's own name."""
    return {
        "resourceType": "Appointment", "status": "proposed", "start": write(start), "minutesDuration": entry.minutes,
        "identifier": [{"system": SHOP_BOOKING, "value": entry.reference}],
        "participant": [{"actor": actor, "status": "needs-action"} for actor in actors(resource)],
    }


def _audit(tx: Transaction, customer: Customer, kind: str) -> None:
    speaker = customer.speaker
    tx.audit(AuditLine(tx.now, customer.person, speaker.reader, speaker.ground, kind, speaker.on_behalf_of, speaker.channel))
