"""A life of orders on a real store, on both databases: never overbooked, never a lost seat, balances add up, whatever happens in what order.

People hold, confirm, order, move, cancel and let go; holds run out; an administrator changes the staff and the grid; the EPJ confirms, moves, cancels
and rejects. After each step the store is held against a plain model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from customers import order
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from adapters.seals.plain import plain
from hub.access import Ground
from hub.adapter import Adapter, Surroundings
from hub.booking import Asker, Booking, Decision, Department, slots_of
from hub.booking.clock import local, write
from hub.booking.conventions import SERVICE_TYPE, extension, url
from hub.customer import Customer
from hub.fhir import definitions, index, validate
from hub.keeping import Keeping, Speaker
from hub.message import Resource, Resources
from hub.problem import Problem, Refused
from hub.rolling import change
from hub.settling import Settling
from hub.shop import HELD_FOR, Shop
from hub.store import Secrets, Store

MONDAY = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
GRANTED, PEOPLE = 3, 4
EXPECTED = {
    Problem.FULL, Problem.OVERLAPS_OWN, Problem.DECISION_USED_UP, Problem.HOLD_EXPIRED, Problem.IMPOSSIBLE_CHANGE, Problem.UNKNOWN_BOOKING,
}
NUMBERS = itertools.count()
people, hours, picks = st.integers(0, PEOPLE - 1), st.integers(9, 11), st.integers(0, 7)


class Ticking:
    """A clock that only moves when told."""

    now = MONDAY

    def __call__(self) -> datetime:
        return self.now


class Orders(RuleBasedStateMachine):
    store: ClassVar[Store]
    clock: ClassVar[Ticking]

    @initialize(capacity=st.integers(1, 2))
    def settle(self, capacity: int) -> None:
        """A department and people of their own, so that the store can be shared by all lives."""
        self.code = f"avd{next(NUMBERS)}"
        self.clock.now = MONDAY
        seal = plain(Surroundings(Path("."), "epj", "1", "2", "Kommunen"))
        may = frozenset({"confirm", "assign", "move", "cancel", "complete"})
        self.epj = Adapter("epj", "1", None, seal, None, frozenset({"booking"}), may_state=may)  # type: ignore[arg-type]
        self.keeping = Keeping({"epj": self.epj}, partial(validate.require, definitions=definitions.load()))
        self.shop = Shop(self.store, self.keeping)
        self.settling = Settling(self.store, {"epj": self.epj}, self.keeping.rejected)
        self.people = [Customer(f"Patient/{self.code}-p{n}", f"Patient/{self.code}-p{n}", Ground.SELF) for n in range(PEOPLE)]
        self.capacity = capacity
        self.made: dict[str, int] = {}
        """Appointment id → whose."""
        self.free_of_rules: set[str] = set()
        """Who may exceed a capacity: bookings that the EPJ moved, and whatever was there when the staff was cut."""
        self.keys = itertools.count()
        self.held: dict[int, tuple[str, datetime, str]] = {}
        """Who holds what: key, start, what it moves."""
        self.store.write(lambda tx: [tx.keep(r, origin="hub") for r in self._town()])

    def _town(self) -> list[Resource]:
        service: Resource = {
            "resourceType": "HealthcareService", "id": self.code, "active": True, "name": "Hjelp", "type": [{"coding": [{"system": SERVICE_TYPE, "code": "1"}]}],
            "availableTime": [{"daysOfWeek": ["tue"], "availableStartTime": "09:00:00", "availableEndTime": "12:00:00"}],
            "extension": [{"url": url(k), "valueInteger": v} for k, v in {"capacity": self.capacity, "slot-minutes": 60, "visit-minutes": 60}.items()],
        }
        made = [service, *slots_of(Department.of(service), local(MONDAY).date(), 3)]
        for n in range(PEOPLE):
            made.append({"resourceType": "Patient", "id": f"{self.code}-p{n}", "active": True})
            made.append({
                "resourceType": "ServiceRequest", "id": f"{self.code}-d{n}", "status": "active", "intent": "order", "subject": {"reference": self.people[n].person},
                "code": {"coding": [{"system": SERVICE_TYPE, "code": "1"}]},
                "extension": [{"url": url("department"), "valueReference": {"reference": f"HealthcareService/{self.code}"}}],
                "occurrenceTiming": {"repeat": {"frequency": GRANTED, "period": 1, "periodUnit": "wk"}},
            })
        return made

    def _try(self, work: Any) -> Any:
        before = self._seats()
        try:
            return work()
        except Refused as refused:
            assert refused.problem in EXPECTED, refused
            assert self._seats() == before, "a refused order leaves nothing behind"
            return None

    def _at(self, hour: int) -> datetime:
        return datetime(2026, 11, 24, hour - 1, tzinfo=UTC)

    def _order(self, key: str, hour: int, moves: str = "") -> Any:
        return order(key, self._at(hour), self.code, 60, moves)

    def _one(self, pick: int) -> tuple[str, int]:
        """One of the bookings, and whose it is."""
        return list(self.made.items())[pick % len(self.made)]

    @rule(who=people, hour=hours)
    def book(self, who: int, hour: int) -> None:
        if id_ := self._try(lambda: self.shop.book(self.people[who], self._order(f"k{next(self.keys)}", hour))):
            self.made[id_] = who
            self.held.pop(who, None)

    @rule(who=people, hour=hours)
    def hold(self, who: int, hour: int) -> None:
        self._hold(who, hour, "")

    @precondition(lambda self: self.made)
    @rule(pick=picks, hour=hours)
    def hold_for_a_move(self, pick: int, hour: int) -> None:
        moves, who = self._one(pick)
        self._hold(who, hour, moves)

    def _hold(self, who: int, hour: int, moves: str) -> None:
        key = f"k{next(self.keys)}"
        if self._try(lambda: self.shop.hold(self.people[who], self._order(key, hour, moves))):
            self.held[who] = (key, self._at(hour), moves)
            self.free_of_rules.discard(self.people[who].holder)

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def confirm(self, pick: int) -> None:
        who = list(self.held)[pick % len(self.held)]
        key, start, moves = self.held[who]
        stays = bool(moves) and self._booking(moves).start == start
        if id_ := self._try(lambda: self.shop.confirm(self.people[who], order(key, start, self.code, 60, moves))):
            self.made[id_] = who
            self.held.pop(who)
            if moves and not stays and not self._confirmed_time(id_):
                self.free_of_rules.discard(id_)

    @precondition(lambda self: self.made)
    @rule(hour=hours, pick=picks)
    def move(self, hour: int, pick: int) -> None:
        moves, who = self._one(pick)
        stays = self._booking(moves).start == self._at(hour)
        if self._try(lambda: self.shop.book(self.people[who], self._order(f"k{next(self.keys)}", hour, moves))):
            self.held.pop(who, None)
            if not stays and not self._confirmed_time(moves):  # where it is, it may stay, whatever the staff is now
                self.free_of_rules.discard(moves)

    @precondition(lambda self: self.made)
    @rule(pick=picks, relative=st.booleans())
    def cancel(self, pick: int, relative: bool) -> None:
        id_, who = self._one(pick)
        customer = Customer(self.people[who].person, "RelatedPerson/x", Ground.MANDATE, Asker.RELATIVE) if relative else self.people[who]
        self._try(lambda: self.shop.cancel(customer, id_))

    @precondition(lambda self: self.held)
    @rule(who=people)
    def let_go(self, who: int) -> None:
        self.shop.release(self.people[who])
        self.held.pop(who, None)

    @precondition(lambda self: self.held)
    @rule(sweep=st.booleans())
    def holds_run_out(self, sweep: bool) -> None:
        self.clock.now += HELD_FOR
        if sweep:
            self.shop.sweep()

    @rule(capacity=st.integers(0, 3))
    def staff_changes(self, capacity: int) -> None:
        kept = self.store.get("HealthcareService", self.code)
        assert kept is not None
        changed = {**kept.resource, "extension": [{"url": url("capacity"), "valueInteger": capacity}, *kept.resource["extension"][1:]]}
        self.store.write(lambda tx: tx.keep(changed, origin="hub"))
        if capacity < self.capacity:
            self.free_of_rules |= set(self.made) | {holder for _, holder in self._seats()}
        self.capacity = capacity

    @rule(minutes=st.sampled_from((20, 30, 60)))
    def grid_changes(self, minutes: int) -> None:
        """Seats move into the slots that there are then; who only holds may have to begin again."""
        kept = self.store.get("HealthcareService", self.code)
        assert kept is not None
        capacity, _, length = kept.resource["extension"]
        change(self.store, {**kept.resource, "extension": [capacity, {"url": url("slot-minutes"), "valueInteger": minutes}, length]}, "hub")

    def _epj_says(self, id_: str, **stated: Any) -> bool:
        message = Resources(({"resourceType": "Appointment", "id": id_, **stated},))
        return bool(self._try(lambda: self.store.write(lambda tx: self.keeping.keep(tx, Speaker.of(self.epj), message))))

    @precondition(lambda self: self.made)
    @rule(pick=picks, status=st.sampled_from(("booked", "booked", "cancelled")))
    def epj_answers(self, pick: int, status: str) -> None:
        self._epj_says(self._one(pick)[0], status=status)

    @precondition(lambda self: self.made)
    @rule(pick=picks, hour=hours)
    def epj_moves(self, pick: int, hour: int) -> None:
        id_, _ = self._one(pick)
        if self._epj_says(id_, status="booked", start=write(self._at(hour))):
            self.free_of_rules.add(id_)

    @precondition(lambda self: self.made)
    @rule(pick=picks)
    def epj_rejects(self, pick: int) -> None:
        id_, _ = self._one(pick)
        if letters := self.store.deliveries_about(f"Appointment/{id_}"):
            self.store.write(lambda tx: self.keeping.rejected(tx, self.epj, letters[-1]))
            self.free_of_rules |= {id_} if self._booking(id_).status == "booked" else set()

    def _booking(self, id_: str) -> Booking:
        kept = self.store.get("Appointment", id_)
        assert kept is not None
        return Booking.of(kept.resource)

    def _confirmed_time(self, id_: str) -> Any:
        kept = self.store.get("Appointment", id_)
        return kept and extension(kept.resource, "moved-from")

    def _seats(self) -> set[tuple[str, str]]:
        """(slot, holder) that count now."""
        return self.store.write(lambda tx: {
            (slot, holder) for slot, holder in tx.connection.rows(
                "select slot, holder from seat where slot >= ? and slot <= ? and (until is null or until > ?)",
                (f"{self.code}-", f"{self.code}-~", int(self.clock.now.timestamp() * 1e6)))
        })

    @invariant()
    def seats_are_those_of_bookings_holds_and_confirmed_times(self) -> None:
        if not hasattr(self, "made"):
            return
        wanted = {(slot, id_) for id_ in self.made for slot in self._booking(id_).slots}
        seats = self._seats()
        assert {(s, h) for s, h in seats if ":" not in h} == wanted, "a seat per slot that a booking names, and none else"
        olds = {h.partition(":")[2] for _, h in seats if h.startswith("before-move:")}
        assert olds <= {id_ for id_ in self.made if self._confirmed_time(id_)}, "an old time is held only while the new one is unanswered"
        holders = {self.people[who].holder for who in self.held}
        assert {h for _, h in seats if h.startswith("hold:")} <= holders

    @invariant()
    def nothing_is_overbooked_but_by_the_service_itself(self) -> None:
        if not hasattr(self, "made"):
            return
        seats = self._seats()
        for slot in {s for s, _ in seats}:
            holders = {h.removeprefix("before-move:") for s, h in seats if s == slot and h.removeprefix("before-move:") not in self.free_of_rules}
            assert len(holders) <= self.capacity, (slot, holders)

    @invariant()
    def slots_tell_what_is_taken(self) -> None:
        if not hasattr(self, "made"):
            return
        self.shop.sweep()
        counted = self.store.seats_taken(f"{self.code}-", f"{self.code}-~")
        for hour in (9, 10, 11):
            kept = self.store.get("Slot", f"{self.code}-20261124T{hour - 1:02}00Z")
            assert kept is not None and int(extension(kept.resource, "taken")) == counted.get(kept.resource["id"], 0)

    @invariant()
    def balances_add_up(self) -> None:
        if not hasattr(self, "made"):
            return
        for who, customer in enumerate(self.people):
            mine = [self._booking(id_) for id_, whose in self.made.items() if whose == who]
            (service,) = self.shop.services(customer.person, self.clock.now)
            assert service.balances[0].used == sum(b.status != "cancelled" for b in mine) <= GRANTED
            assert Decision.of(self.store.get("ServiceRequest", f"{self.code}-d{who}").resource).grant.amount == GRANTED  # type: ignore[union-attr]


@pytest.fixture
def lives(store_url: str, tmp_path: Path) -> Iterator[type[Orders]]:
    clock, secrets = Ticking(), Secrets.open(tmp_path)
    store = Store.open(store_url, secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))
    store.migrate()
    yield type("OrdersHere", (Orders,), {"store": store, "clock": clock})
    store.close()


@pytest.mark.spec("facts/planning", "5.2")
def test_a_life_of_orders(lives: type[Orders]) -> None:
    run_state_machine_as_test(lives, settings=settings(
        max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a smaller failing life costs minutes on a real store; the long one tells enough
    ))
