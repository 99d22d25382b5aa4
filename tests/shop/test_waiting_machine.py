"""A life of a waiting list on a real store: never two offered one seat, never a fair turn passed over, never a free time nobody was offered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from customers import order
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from test_shop_machine import MONDAY, Ticking

from hub.access import Ground
from hub.booking import Department
from hub.booking.conventions import SERVICE_TYPE, extension, url
from hub.booking.waiting import GRACE, Waiting
from hub.customer import Customer
from hub.fhir import definitions, index, validate
from hub.keeping import Keeping
from hub.message import Resource
from hub.offering import Offering
from hub.problem import Problem, Refused
from hub.shop import HELD_FOR, Shop
from hub.store import Secrets, Store
from hub.waiting import WaitingList

PEOPLE, GRANTED = 6, 2
EXPECTED = {
    Problem.FULL, Problem.OVERLAPS_OWN, Problem.DECISION_USED_UP, Problem.ALREADY_WAITING, Problem.TIME_IS_FREE, Problem.OFFER_EXPIRED,
    Problem.UNKNOWN_BOOKING, Problem.IMPOSSIBLE_CHANGE, Problem.HOLD_EXPIRED,
}
NUMBERS = itertools.count()
CHECK = partial(validate.require, definitions=definitions.load())
people, hours = st.integers(0, PEOPLE - 1), st.integers(9, 11)


class Waits(RuleBasedStateMachine):
    store: ClassVar[Store]
    clock: ClassVar[Ticking]

    @initialize(capacity=st.integers(1, 2))
    def settle(self, capacity: int) -> None:
        self.code = f"vent{next(NUMBERS)}"
        self.clock.now = MONDAY
        self.offering = Offering(CHECK)
        self.shop = Shop(self.store, Keeping({}, CHECK, freed=self.offering))
        self.list = WaitingList(self.shop, self.offering)
        self.people = [Customer(f"Patient/{self.code}-p{n}", f"Patient/{self.code}-p{n}", Ground.SELF) for n in range(PEOPLE)]
        self.keys = itertools.count()
        self.capacity, self.cut = capacity, False
        self.before: dict[str, datetime | None] = {}
        self.store.write(lambda tx: [tx.keep(r, origin="hub") for r in self._town()])
        for number in range(3 * capacity):  # the day begins full
            self.book(number % PEOPLE, 9 + number // capacity)

    def _town(self) -> list[Resource]:
        service: Resource = {
            "resourceType": "HealthcareService", "id": self.code, "active": True, "name": "Hjelp", "type": [{"coding": [{"system": SERVICE_TYPE, "code": "1"}]}],
            "availableTime": [{"daysOfWeek": ["tue"], "availableStartTime": "09:00:00", "availableEndTime": "12:00:00"}],
            "extension": [{"url": url(k), "valueInteger": v} for k, v in {"capacity": self.capacity, "slot-minutes": 60, "horizon-days": 6}.items()],
        }
        made = [service]
        for n, who in enumerate(self.people):
            made.append({"resourceType": "Patient", "id": f"{self.code}-p{n}", "active": True})
            made.append({
                "resourceType": "ServiceRequest", "id": f"{self.code}-d{n}", "status": "active", "intent": "order", "subject": {"reference": who.person},
                "code": {"coding": [{"system": SERVICE_TYPE, "code": "1"}]},
                "extension": [{"url": url("department"), "valueReference": {"reference": f"HealthcareService/{self.code}"}}],
                "occurrenceTiming": {"repeat": {"frequency": GRANTED, "period": 1, "periodUnit": "wk"}},
            })
        return made

    def teardown(self) -> None:
        """Nobody waits on: the lives to come would be served beside all that were."""
        for entry in self._entries() if hasattr(self, "list") else ():
            self._try(lambda entry=entry: self.list.leave(next(w for w in self.people if w.person == entry.patient), entry.id))

    def _try(self, work: Any) -> Any:
        try:
            return work()
        except Refused as refused:
            assert refused.problem in EXPECTED, refused
            return None

    def _at(self, hour: int) -> datetime:
        return MONDAY.replace(day=24, hour=hour - 1)

    def _entries(self) -> list[Waiting]:
        return [e for who in self.people for e in self.list.of(who.person)]

    @rule(who=people, first=hours, length=st.integers(1, 3))
    def join(self, who: int, first: int, length: int) -> None:
        self.clock.now += timedelta(milliseconds=1)
        last = time(min(first + length, 12))
        self._try(lambda: self.list.join(self.people[who], self.code, [date(2026, 11, 24)], time(first), last, f"w{next(self.keys)}"))

    @rule(who=people, hour=hours)
    def book(self, who: int, hour: int) -> None:
        """A passer-by."""
        self._try(lambda: self.shop.book(self.people[who], order(f"k{next(self.keys)}", self._at(hour), self.code, 60)))

    @rule(who=people, hour=hours)
    def hold(self, who: int, hour: int) -> None:
        self._try(lambda: self.shop.hold(self.people[who], order(f"k{next(self.keys)}", self._at(hour), self.code, 60)))

    def _bookings(self) -> list[tuple[str, Customer]]:
        found = self.store.write(lambda tx: tx.find("Appointment", refers=("actor", f"HealthcareService/{self.code}")))
        return [(k.id, next(p for p in self.people if p.person in str(k.resource["participant"]))) for k in found if k.resource["status"] == "pending"]

    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        if found := self._bookings():
            id_, who = found[pick % len(found)]
            self._try(lambda: self.shop.cancel(who, id_))

    @rule(pick=st.integers(0, 9), hour=hours)
    def move(self, pick: int, hour: int) -> None:
        if found := self._bookings():
            id_, who = found[pick % len(found)]
            self._try(lambda: self.shop.book(who, order(f"k{next(self.keys)}", self._at(hour), self.code, 60, moves=id_)))

    @precondition(lambda self: hasattr(self, "list") and self._entries())
    @rule(pick=st.integers(0, 9), word=st.sampled_from(("accept", "accept", "decline", "leave")))
    def answer(self, pick: int, word: str) -> None:
        found = self._entries()
        entry = sorted(found, key=lambda e: e.offer is None)[pick % len(found)]
        who = next(p for p in self.people if p.person == entry.patient)
        self._try(lambda: getattr(self.list, word)(who, entry.id))

    @rule(by=st.sampled_from((timedelta(seconds=10), HELD_FOR, timedelta(minutes=60), timedelta(minutes=120) + GRACE)))
    def time_passes(self, by: timedelta) -> None:
        self.clock.now = min(self.clock.now + by, MONDAY.replace(hour=19))

    @rule(capacity=st.integers(1, 3))
    def staff_changes(self, capacity: int) -> None:
        kept = self.store.get("HealthcareService", self.code)
        assert kept is not None
        changed = {**kept.resource, "extension": [{"url": url("capacity"), "valueInteger": capacity}, *kept.resource["extension"][1:]]}
        self.store.write(lambda tx: tx.keep(changed, origin="hub"))
        self.cut = self.cut or capacity < self.capacity
        self.capacity = capacity

    @invariant()
    def the_line_is_served_fairly_and_no_seat_is_promised_twice(self) -> None:
        if not hasattr(self, "list"):
            return
        self.shop.sweep()
        self.offering.everywhere(self.store)
        entries = sorted(self._entries(), key=lambda e: (e.since, e.id))
        kept = self.store.get("HealthcareService", self.code)
        assert kept is not None
        department = Department.of(kept.resource)
        taken = self.store.seats_taken(f"{self.code}-", f"{self.code}-~")
        if not self.cut:
            assert all(n <= self.capacity for n in taken.values()), taken
        for entry in entries:
            held = self.store.held(entry.holder)
            assert len(held) == (entry.offer is not None), "an offer holds its one seat, and nothing is held without one"
            if entry.offer is not None:
                assert f"{self.code}-{entry.offer.start:%Y%m%dT%H%MZ}" in held and entry.offer.start not in entry.passed
        self._fair(entries)
        assert self.offering.everywhere(self.store) == 0, "looking again changes nothing"
        assert department.capacity == self.capacity
        self.before = {e.id: e.offer.start if e.offer else None for e in entries}

    def _fair(self, entries: list[Waiting]) -> None:
        """Nobody in line could have had what a later one was offered in this step, nor any time that is free now."""
        new = {e.id: e.offer.start for e in entries if e.offer and self.before.get(e.id) != e.offer.start}
        for number, entry in enumerate(entries):
            if entry.offer is not None:
                continue
            who = next(p for p in self.people if p.person == entry.patient)
            free = [t for day in self.shop.free(who, self.code, self.clock.now) for t in day.times]
            assert not [t for t in free if entry.wants(t)], "a time is free that somebody waits for"
            for later in entries[number + 1:]:
                if (start := new.get(later.id)) is not None:
                    assert not self._could_have(entry, who, start), "passed over"

    def _could_have(self, entry: Waiting, who: Customer, start: datetime) -> bool:
        """The rules would give them this time if there were a seat more."""
        def one_more(tx: Any) -> bool:
            kept = tx.get("HealthcareService", self.code)
            service = {**kept.resource, "extension": [{"url": url("capacity"), "valueInteger": 99}, *kept.resource["extension"][1:]]}
            tx.keep(service, origin="probe")
            try:
                return tx.attempt(lambda: self._probe(tx, replace(who), start))
            finally:
                tx.keep(kept.resource, origin="probe")
        wanted = any(first <= start and start + timedelta(minutes=entry.minutes) <= last for first, last in entry.windows)
        return wanted and start not in entry.passed and bool(self.store.write(one_more))

    def _probe(self, tx: Any, who: Customer, start: datetime) -> bool:
        from hub.booking import gather, weigh
        from hub.customer import ORDERS, ORIGIN

        statement, stored = self.shop._stated(tx, who, order("probe", start, self.code, 60))
        try:
            weigh(statement, stored, gather(statement, stored, tx), may=ORDERS, origin=ORIGIN, now=tx.now)
        except Refused:
            return False
        return True

    @invariant()
    def whoever_waits_has_no_start_and_whoever_does_not_holds_nothing(self) -> None:
        if not hasattr(self, "list"):
            return
        found = self.store.write(lambda tx: tx.find("Appointment", refers=("actor", f"HealthcareService/{self.code}")))
        for kept in found:
            if kept.resource["status"] == "waitlist":
                assert "start" not in kept.resource
            else:
                assert extension(kept.resource, "offer") is None and not self.store.held(f"offer:{kept.id}")


@pytest.fixture
def lives(store_url: str, tmp_path: Path) -> Iterator[type[Waits]]:
    clock, secrets = Ticking(), Secrets.open(tmp_path)
    store = Store.open(store_url, secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))
    store.migrate()
    yield type("WaitsHere", (Waits,), {"store": store, "clock": clock})
    store.close()


@pytest.mark.spec("facts/planning", "TP-09")
def test_a_life_of_a_waiting_list(lives: type[Waits]) -> None:
    run_state_machine_as_test(lives, settings=settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    ))
