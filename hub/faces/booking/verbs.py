"""The verbs of the booking API: each reads a body, finds whom it is about, and lets the hub's own shop do it. No rule of booking is here.

A client sees and does what its departments and its scopes let it; a relative must have a mandate that the hub knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from hub.access import ALL_DEPARTMENTS, Ground, Reader, Scope
from hub.booking import Asker, Booking, Department
from hub.booking.clock import MIDNIGHT, at, local, read, write
from hub.booking.conventions import points_to
from hub.booking.views import is_booking
from hub.customer import ORDERS, Customer, Order
from hub.elsewhen import ELSEWHEN
from hub.faces.booking import bodies, told
from hub.faces.booking.problems import Elsewhen
from hub.faces.interaction import Answer, named, tagged
from hub.faces.portal.viewer import represented
from hub.problem import Problem, Refused
from hub.repeating import Repeating
from hub.shop import Shop
from hub.store import Stored
from hub.waiting import WaitingList

CHANNEL = "booking-api"
JSON = "application/json"
LONGEST = timedelta(days=400)
USUAL = timedelta(days=31)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    reader: Reader
    body: bytes
    id: str
    """From the address: a booking, a series or a wait."""
    headers: dict[bytes, bytes]
    now: datetime

    @property
    def version(self) -> str:
        """The one that the client saw, from If-Match; empty: it does not tell. Raises Refused OUT_OF_DATE."""
        tag = self.headers.get(b"if-match", b"").decode("latin-1").strip()
        seen = None if tag == "*" else tagged(tag)
        return "" if seen is None else str(seen)

    def may_use(self, department: str) -> bool:
        """The department is opened to this client."""
        return self.reader.departments == ALL_DEPARTMENTS or department in self.reader.departments


@dataclass(frozen=True, slots=True)
class Verbs:
    """One method per address."""

    shop: Shop
    repeating: Repeating
    waits: WaitingList

    def services(self, call: Call) -> Answer:
        about = bodies.read(bodies.About, call.body)
        customer = self._customer(call, about)
        found = [s for s in self.shop.services(customer.person, call.now)
                 if call.may_use(s.department.code) and customer.asker in s.department.askers]
        return _told({"services": [told.service(s, call.now) for s in found]}, customer, "balances")

    def times(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Times, call.body)
        customer = self._customer(call, asked)
        department = self._department(call, asked.department)
        found = self.shop.free(customer, department.code, call.now, asked.minutes, asked.moves)
        if asked.first and asked.last and asked.last < asked.first:
            raise Refused(Problem.INVALID, "`to` is not before `from`", "/to")
        minutes = asked.minutes or (self._length(asked.moves) if asked.moves else department.visit_minutes)
        days = told.days(found, asked.first, asked.last)
        return _told({"department": department.code, "minutes": minutes, "days": days}, customer, "free-times")

    def hold(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Hold, call.body)
        customer = self._customer(call, asked)
        if asked.moves:
            self._theirs(call, customer, asked.moves)
        order = self._order(call, customer, asked, asked.request, asked.department, asked.moves)
        held = self._near(call, customer, order, self.shop.hold)
        return _told({**told.span(order.start, order.end), "department": order.department, "heldUntil": write(held.until)}, customer, "hold")

    def release(self, call: Call) -> Answer:
        self.shop.release(self._customer(call, bodies.read(bodies.About, call.body)))
        return Answer(204)

    def book(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Book, call.body)
        customer = self._customer(call, asked)
        order = self._order(call, customer, asked, asked.request, asked.department, comment=asked.comment)
        before = self.shop.store.get("Appointment", order.appointment(customer))
        id_ = self._near(call, customer, order, self.shop.confirm if asked.held else self.shop.book)
        return self._one(call, id_, 200 if before else 201)

    def move(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Move, call.body)
        customer = self._customer(call, asked)
        kept = Booking.of(self._theirs(call, customer, call.id).resource)
        order = self._order(call, customer, asked, f"move {call.id}", kept.department, call.id, version=call.version)
        return self._one(call, self._near(call, customer, order, self.shop.confirm if asked.held else self.shop.book))

    def cancel(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Cancel, call.body)
        customer = self._customer(call, asked)
        self._theirs(call, customer, call.id)
        self.shop.cancel(customer, call.id, asked.reason.strip(), call.version)
        return self._one(call, call.id)

    def one(self, call: Call) -> Answer:
        kept = self._kept(call, call.id)
        tags = call.headers.get(b"if-none-match", b"").decode("latin-1")
        return Answer(304, headers=((b"etag", kept.etag.encode()),)) if named(tags, kept.etag) else self._one(call, call.id)

    def bookings(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Between, call.body)
        customer, today = self._customer(call, asked), local(call.now).date()
        first = asked.first or today
        last = asked.last or first + USUAL
        if not first <= last <= first + LONGEST:
            raise Refused(Problem.INVALID, f"`to` is not before `from`, and at most {LONGEST.days} days later", "/to")
        found = self.shop.booked(customer.person, at(first, MIDNIGHT), at(last + _DAY, MIDNIGHT))
        mine = [kept for kept in found if call.may_use(Booking.of(kept.resource).department)]
        return _told({"bookings": [self._booking(kept, call.now) for kept in mine]}, customer, "visits")

    def start_series(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Series, call.body)
        customer = self._customer(call, asked)
        order = self._order(call, customer, asked, asked.request, asked.department)
        made = self._near(call, customer, order, lambda who, wanted: self.repeating.start(who, wanted, asked.skip, asked.last))
        return _told(told.repeated(made), customer, "series", 201)

    def series(self, call: Call) -> Answer:
        customer = self._customer(call, bodies.read(bodies.About, call.body))
        mine = [one for one in self.repeating.of(customer.person) if call.may_use(one.department)]
        return _told({"series": [told.series(one) for one in mine]}, customer, "series")

    def end_series(self, call: Call) -> Answer:
        customer = self._customer(call, bodies.read(bodies.About, call.body))
        if not any(one.id == call.id and call.may_use(one.department) for one in self.repeating.of(customer.person)):
            raise Refused(Problem.UNKNOWN_BOOKING, "no such series of this person's")
        self.repeating.end(customer, call.id)
        return Answer(204)

    def wait(self, call: Call) -> Answer:
        asked = bodies.read(bodies.Wait, call.body)
        customer = self._customer(call, asked)
        department = self._department(call, asked.department)
        id_ = self.waits.join(customer, department.code, asked.days, asked.opens, asked.closes, f"{call.reader.reference}|{asked.request}")
        return _told({"id": id_}, customer, "waiting", 201)

    def waiting(self, call: Call) -> Answer:
        customer = self._customer(call, bodies.read(bodies.About, call.body))
        mine = [entry for entry in self.waits.of(customer.person) if call.may_use(entry.department)]
        return _told({"waiting": [told.waiting(entry) for entry in mine]}, customer, "waiting")

    def accept(self, call: Call) -> Answer:
        return self._one(call, self.waits.accept(self._waiter(call), call.id))

    def decline(self, call: Call) -> Answer:
        self.waits.decline(self._waiter(call), call.id)
        return Answer(204)

    def stop_waiting(self, call: Call) -> Answer:
        self.waits.leave(self._waiter(call), call.id)
        return Answer(204)

    def _customer(self, call: Call, about: bodies.About) -> Customer:
        """Whom it is for, in whose name.

        Raises:
            Refused: UNKNOWN_PERSON; NOT_ALLOWED for a relative without a mandate to book, and for a client without departments.
        """
        if not call.reader.departments:
            raise Refused(Problem.NOT_ALLOWED, "no department is opened to this client")
        store, reader = self.shop.store, call.reader
        patient = store.identified("Patient", about.person.system, about.person.value)
        if patient is None or patient.resource.get("active") is False:
            raise Refused(Problem.UNKNOWN_PERSON, "nobody here has this identifier", "/person")
        limit = frozenset() if reader.departments == ALL_DEPARTMENTS else reader.departments
        asker = Asker.PERSON
        if about.relative is not None:
            relative = store.identified("RelatedPerson", about.relative.system, about.relative.value)
            whose = represented(store, relative.reference) if relative else ()
            if not any(v.person.reference == patient.reference and v.may(Scope.BOOK, call.now) for v in whose):
                raise Refused(Problem.NOT_ALLOWED, "no mandate to book for this person holds now", "/relative")
            asker = Asker.RELATIVE
        return Customer(patient.reference, reader.reference, Ground.VENDOR, asker, CHANNEL, may=ORDERS & reader.may_state, departments=limit)

    def _waiter(self, call: Call) -> Customer:
        customer = self._customer(call, bodies.read(bodies.About, call.body))
        kept = self.shop.store.get("Appointment", call.id)
        codes = [points_to(p.get("actor"), "HealthcareService") for p in (kept.resource if kept else {}).get("participant") or ()]
        if not any(code and call.may_use(code) for code in codes):
            raise Refused(Problem.UNKNOWN_BOOKING, "the person does not wait for this")
        return customer

    def _department(self, call: Call, code: str) -> Department:
        """One that is opened to the client; another is as unknown as none."""
        if not call.may_use(code):
            raise Refused(Problem.UNKNOWN_SERVICE, "no such department, or it is not opened to this client", "/department")
        return self.shop.department(code)

    def _order(
        self, call: Call, customer: Customer, asked: Any, request: str, code: str, moves: str = "", comment: str = "", version: str = "",
    ) -> Order:
        """The order that a body names; of the client's own request id, made unique over all clients.

        Raises:
            Refused: UNKNOWN_SERVICE, INVALID; NO_SUCH_TIME with the free times next to it.
        """
        department = self._department(call, code)
        minutes = asked.minutes or (self._length(moves) if moves else department.visit_minutes)

        def made(start: datetime) -> Order:
            return Order(f"{call.reader.reference}|{request}", department.code, start, minutes, moves, comment, version)

        try:
            return made(read(asked.start, "/start"))
        except Refused as refused:
            if refused.problem is not Problem.NO_SUCH_TIME:
                raise
            shown = datetime.fromisoformat(asked.start)
            raise Elsewhen(refused, self.shop.nearest(customer, made(at(shown.date(), shown.time())), call.now)) from refused

    def _near(self, call: Call, customer: Customer, order: Order, verb: Callable[[Customer, Order], Any]) -> Any:
        """Does it; a refusal that another time might mend tells the nearest ones."""
        try:
            return verb(customer, order)
        except Refused as refused:
            if refused.problem not in ELSEWHEN:
                raise
            raise Elsewhen(refused, self.shop.nearest(customer, order, call.now)) from refused

    def _length(self, id_: str) -> int:
        kept = self.shop.store.get("Appointment", id_)
        booking = Booking.of(kept.resource) if kept and is_booking(kept.resource) else None
        return round((booking.end - booking.start).total_seconds() / 60) if booking else 1

    def _theirs(self, call: Call, customer: Customer, id_: str) -> Stored:
        kept = self._kept(call, id_)
        if Booking.of(kept.resource).patient != customer.person:
            raise Refused(Problem.UNKNOWN_BOOKING, "no such booking of this person's")
        if call.version and int(call.version) > kept.version:  # an older one is the rules' to judge: what is so already is no conflict
            raise Refused(Problem.OUT_OF_DATE, "there has been no such version yet")
        return kept

    def _kept(self, call: Call, id_: str) -> Stored:
        """A booking of the client's departments; another's is as unknown as none."""
        kept = self.shop.store.get("Appointment", id_)
        if kept is None or kept.deleted or not is_booking(kept.resource) or not call.may_use(Booking.of(kept.resource).department):
            raise Refused(Problem.UNKNOWN_BOOKING, "no such booking")
        return kept

    def _one(self, call: Call, id_: str, status: int = 200) -> Answer:
        kept = self._kept(call, id_)
        tag = (b"etag", kept.etag.encode())
        headers = (tag, *([(b"location", f"/booking/v1/bookings/{id_}".encode())] if status == 201 else []))
        patient = Booking.of(kept.resource).patient
        return Answer(status, orjson.dumps(self._booking(kept, call.now)), headers, (patient,), "visit", JSON)

    def _booking(self, kept: Stored, now: datetime) -> told.Told:
        service = self.shop.store.get("HealthcareService", Booking.of(kept.resource).department)
        return told.booking(kept.resource, kept.version, Department.of(service.resource) if service else None, now)


def _told(what: told.Told, customer: Customer, kind: str, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(what), (), (customer.person,), kind, JSON)
