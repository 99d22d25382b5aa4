"""A life of bookings: shop, person and EPJ state whatever they like in any order, against a plain model."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

from booking_world import EPJ, NOW, SHOP, World, book, decision, patient, said, service, tomorrow
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from hub.booking import MOVED_FROM, NEXT, Department, Outcome, Status, What, covering
from hub.booking.clock import begin, write
from hub.booking.conventions import appointment_id, extension
from hub.message import Resource
from hub.problem import Problem, Refused

CAPACITY = 2
EXPECTED = {
    Problem.FULL, Problem.OVERLAPS_OWN, Problem.DECISION_USED_UP, Problem.IMPOSSIBLE_CHANGE, Problem.TOO_LATE,
}
"""What may be refused in this play: times are open and on the grid, and everybody has a decision."""
HOLDS = {Status.PENDING, Status.BOOKED, Status.ARRIVED, Status.FULFILLED, Status.NOSHOW}
hours = st.integers(8, 15)
lengths = st.sampled_from((30, 60))


class Bookings(RuleBasedStateMachine):
    ids = Bundle("ids")

    @initialize()
    def settle(self) -> None:
        numbers = {f"p{n}": f"1381221234{n}" for n in range(5)}
        self.world = World.of(service(), *(patient(i, n) for i, n in numbers.items()), *(decision(f"d-{i}", i, 2) for i in numbers))
        self.numbers = numbers
        self.made = 0
        self.by_epj: set[str] = set()
        """Bookings that the EPJ moved: only these may exceed a capacity."""
        self.seen: dict[str, Status] = {}

    def _say(self, statement: Resource, id_: str, may: frozenset[str], words: tuple[What, ...]) -> Outcome | None:
        before = self.seen.get(id_)
        frozen = copy.deepcopy((self.world.resources, self.world.seats))
        try:
            outcome = self.world.states(statement, may=may, origin="shop")
        except Refused as refused:
            assert refused.problem in EXPECTED
            assert (self.world.resources, self.world.seats) == frozen, "a refused statement leaves nothing behind"
            return None
        status = before
        for word in words:
            status = NEXT[status, word]
        assert self.world.booking(id_).status is status, "the status is the one that the table gives"
        assert status is not None
        self.seen[id_] = status
        settled = copy.deepcopy((self.world.resources, self.world.seats))
        again = self.world.states(statement, may=may, origin="shop")
        assert again.nothing_new and (self.world.resources, self.world.seats) == settled, "said twice is said once"
        return outcome

    @rule(target=ids, who=st.integers(0, 4), hour=hours, length=lengths)
    def book(self, who: int, hour: int, length: int) -> object:
        self.made += 1
        shop_id = f"b{self.made}"
        id_ = appointment_id("shop", shop_id)
        start = tomorrow(hour)
        statement = book(shop_id, start, self.numbers[f"p{who}"], end=write(start + timedelta(minutes=length)))
        return shop_id if self._say(statement, id_, SHOP, (What.BOOK,)) else multiple()

    @rule(shop_id=ids, hour=hours)
    def shop_moves(self, shop_id: str, hour: int) -> None:
        id_ = appointment_id("shop", shop_id)
        stays = self.world.booking(id_).start == tomorrow(hour)
        word = What.BOOK if stays else What.MOVE
        if self._say(said("proposed", shop_id=shop_id, start=write(tomorrow(hour))), id_, SHOP, (word,)) and not stays and not self._old(id_):
            self.by_epj.discard(id_)

    @rule(shop_id=ids)
    def shop_cancels(self, shop_id: str) -> None:
        self._say(said("cancelled", shop_id=shop_id), appointment_id("shop", shop_id), SHOP, (What.CANCEL,))

    @rule(shop_id=ids, hour=hours, minute=st.sampled_from((0, 10)))
    def epj_moves(self, shop_id: str, hour: int, minute: int) -> None:
        id_ = appointment_id("shop", shop_id)
        start = tomorrow(hour, minute)
        words = (What.CONFIRM,) if self.world.booking(id_).start == start else (What.MOVE, What.CONFIRM)
        if self._say(said("booked", id_=id_, start=write(start)), id_, EPJ, words) and len(words) == 2:
            self.by_epj.add(id_)

    @rule(shop_id=ids, name=st.sampled_from(("Kari", "Ola", "")))
    def epj_confirms(self, shop_id: str, name: str) -> None:
        id_ = appointment_id("shop", shop_id)
        self._say(said("booked", id_=id_, performer=name), id_, EPJ, (What.ASSIGN if name else What.CONFIRM,))

    @rule(shop_id=ids, status=st.sampled_from(("cancelled", "arrived", "fulfilled", "noshow")))
    def epj_reports(self, shop_id: str, status: str) -> None:
        id_ = appointment_id("shop", shop_id)
        word = {"cancelled": What.CANCEL, "arrived": What.ON_THE_WAY, "fulfilled": What.COMPLETE, "noshow": What.NOT_HOME}[status]
        self._say(said(status, id_=id_), id_, EPJ, (word,))

    @rule(shop_id=consumes(ids), minutes=st.integers(0, 600))
    def time_passes(self, shop_id: str, minutes: int) -> None:
        """The day goes on, and this booking is no longer spoken of."""
        latest: datetime = NOW + timedelta(hours=22)
        self.world.now = min(self.world.now + timedelta(minutes=minutes), latest)

    def _old(self, id_: str) -> set[str]:
        """The slots of the confirmed time that stands until the EPJ has answered to another one."""
        period = extension(self.world.resources["Appointment", id_], MOVED_FROM)
        department = Department.of(self.world.resources["HealthcareService", "hjelp"])
        return set(covering(department, begin(period["start"]), begin(period["end"]))) if period else set()

    @invariant()
    def seats_are_those_of_the_bookings(self) -> None:
        if not hasattr(self, "world"):
            return
        ids = [id_ for (t, id_) in self.world.resources if t == "Appointment"]
        held = {(slot, id_) for id_ in ids for slot in self.world.booking(id_).slots}
        kept = {(slot, f"before-move:{id_}") for id_ in ids for slot in self._old(id_) - set(self.world.booking(id_).slots)}
        assert held | kept == set(self.world.seats), "a seat per slot that a booking names, or named when it was confirmed, and none else"
        for (t, id_) in self.world.resources:
            if t == "Appointment" and self.world.booking(id_).status not in HOLDS:
                assert not self.world.booking(id_).slots

    @invariant()
    def what_is_kept_keeps_the_invariants_of_r4(self) -> None:
        """app-1 to app-4, and per-1 for the Encounter (facts/fhir 1.1)."""
        for (t, _), kept in getattr(self, "world", World()).resources.items():
            if t == "Appointment":
                assert all("type" in p or "actor" in p for p in kept["participant"])
                assert "start" in kept and "end" in kept
                assert ("cancelationReason" in kept) == (kept["status"] in ("cancelled", "noshow"))
            elif t == "Encounter" and "end" in kept.get("period", {}):
                assert kept["period"].get("start", "") <= kept["period"]["end"]

    @invariant()
    def nothing_is_overbooked_but_by_the_service_itself(self) -> None:
        if not hasattr(self, "world"):
            return
        for slot in {s for s, _ in self.world.seats}:
            holders = {h.removeprefix("before-move:") for s, h in self.world.seats if s == slot}
            if len(holders) > CAPACITY:
                assert holders & self.by_epj
            if len(holders - self.by_epj) > CAPACITY:
                raise AssertionError("the shop overbooked")


TestBookings = Bookings.TestCase
TestBookings.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
