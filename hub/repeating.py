"""Series: starts one, books what comes within the horizon, day by day, and ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from hub.access import AuditLine, Ground
from hub.booking import Department
from hub.booking.clock import local
from hub.booking.conventions import extension, with_extension
from hub.booking.series import Series, made, with_missed
from hub.customer import ORIGIN, Customer, Order
from hub.fhir.query import Query, ReferenceIs, TokenIs
from hub.message import Resource
from hub.problem import Problem, Refused, Unavailable
from hub.shop import Shop
from hub.store import Stored, Transaction

log = logging.getLogger(__name__)
MANY = 100_000


@dataclass(frozen=True, slots=True)
class Repeated:
    """What became of a series' next occurrences."""

    series: str
    booked: tuple[datetime, ...]
    refused: tuple[tuple[datetime, Problem], ...]


@dataclass(frozen=True, slots=True)
class Repeating:
    """The verbs of series."""

    shop: Shop
    tell: Callable[[Transaction, Stored], None] = lambda *_: None
    """That visits could not be booked (`hub.noticing.Noticing.missed`)."""

    def start(self, customer: Customer, order: Order, skipped: Iterable[str] = (), last: date | None = None) -> Repeated:
        """A series whose first visit is this order; books what lies within the horizon. The same order again is the same series.

        Raises:
            Refused: the first visit cannot be booked: then there is no series; ALTERED_DUPLICATE, another series has this key.
        """
        self.shop.book(customer, order)
        id_ = str(uuid5(NAMESPACE_URL, f"series|{order.reference(customer)}"))
        plan = made(id_, customer.person, order.department, order.start, order.minutes, frozenset(skipped), last, customer.asker)
        plan = with_extension(plan, "tried-until", "Date", local(order.start).date().isoformat())
        kept = self.shop.store.get("CarePlan", id_)
        if kept is not None and _asked(Series.of(kept.resource)) != _asked(Series.of(plan)):
            raise Refused(Problem.ALTERED_DUPLICATE, "another series has this key", "CarePlan.identifier")
        if kept is None:
            self.shop.keeping.check(plan)
            self.shop.store.write(lambda tx: tx.keep(plan, origin=ORIGIN))
        return self._roll(plan if kept is None else kept.resource, customer, order.start)

    def of(self, person: str) -> list[Series]:
        """The person's series that go on."""
        return [Series.of(s.resource) for s in self._active(person)]

    def end(self, customer: Customer, id_: str) -> None:
        """Nothing more is booked; what is booked stays. Raises Refused UNKNOWN_BOOKING for somebody else's."""
        speaker = customer.speaker

        def work(tx: Transaction) -> None:
            kept = tx.get("CarePlan", id_)
            if kept is None or kept.deleted or not _is_series(kept.resource) or Series.of(kept.resource).patient != customer.person:
                raise Refused(Problem.UNKNOWN_BOOKING, "no such series of this person's", "CarePlan.id")
            if kept.resource["status"] == "active":
                tx.keep({**kept.resource, "status": "revoked"}, origin=ORIGIN)
                tx.audit(AuditLine(tx.now, customer.person, speaker.reader, speaker.ground, "series-end", speaker.on_behalf_of, speaker.channel))

        self.shop.store.write(work)

    def roll(self) -> int:
        """Books for every series what has come within its horizon since last; how many visits. One that cannot go on harms no other."""
        booked = 0
        for kept in self._active():
            series = Series.of(kept.resource)
            customer = Customer(series.patient, f"series:{kept.id}", Ground.SELF, series.asker, channel="series")
            try:
                booked += len(self._roll(kept.resource, customer, None).booked)
            except Unavailable as later:
                log.warning("a series waits: %s", later.detail)
        return booked

    def _roll(self, plan: Resource, customer: Customer, already: datetime | None) -> Repeated:
        series = Series.of(plan)
        service = self.shop.store.get("HealthcareService", series.department)
        if not series.active or service is None:
            return Repeated(series.id, (), ())
        now = self.shop.store.now()
        until = local(now).date() + timedelta(days=Department.of(service.resource).horizon_days)
        booked, refused = [already] if already else [], list[tuple[datetime, Problem]]()
        for day, start in series.occurrences(until):
            try:
                self.shop.book(customer, Order(f"{series.id}|{day.isoformat()}", series.department, start, series.minutes))
                booked.append(start)
            except Refused as no:
                refused.append((start, no.problem))
        if until > (series.done_until or date.min):
            over = series.last is not None and series.last <= until

            def work(tx: Transaction) -> None:
                current = tx.get("CarePlan", series.id)
                if current is None or current.resource["status"] != "active":
                    return  # it was ended meanwhile, and stays so
                tried = with_missed(with_extension(current.resource, "tried-until", "Date", until.isoformat()), refused, now)
                kept = tx.keep({**tried, "status": "completed" if over else "active"}, origin=ORIGIN)
                if refused and already is None:  # whoever starts a series sees it on the page
                    self.tell(tx, kept)

            self.shop.store.write(work)
        return Repeated(series.id, tuple(booked), tuple(refused))

    def _active(self, person: str = "") -> list[Stored]:
        kind, _, id_ = person.partition("/")
        whose = (ReferenceIs("patient", ((kind, id_),)),) if person else ()
        found = self.shop.store.search(Query("CarePlan", (*whose, TokenIs("status", ((None, "active"),))), count=MANY)).entries
        return [kept for kept in found if _is_series(kept.resource)]


def _asked(series: Series) -> tuple[object, ...]:
    """What somebody asked for, apart from what became of it."""
    return series.department, series.first, series.at, series.minutes, series.last, series.skipped


def _is_series(plan: Resource) -> bool:
    """Another CarePlan is somebody's visit plan."""
    return extension(plan, "tried-until") is not None
