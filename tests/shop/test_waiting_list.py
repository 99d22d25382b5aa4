"""The waiting list on a real store: a time that becomes free is held for who waited longest, and goes on to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from customers import CODE, booking, customers, order, relative_of, set_number, shop_of, slot_numbers
from hubs import World

from hub.booking import Status
from hub.booking.clock import local
from hub.booking.conventions import extension, with_extension
from hub.booking.slots import slot_id
from hub.booking.waiting import GRACE, MOST_UNANSWERED, Waiting
from hub.customer import Customer
from hub.keeping import Speaker
from hub.message import Resources
from hub.offering import Offering
from hub.problem import Problem, Refused
from hub.rolling import change, roll_slots
from hub.shop import HELD_FOR, Shop
from hub.waiting import WaitingList

OFFER = timedelta(minutes=120)


class Line:
    """A department with one seat at a time, all of whose times the day after tomorrow from ten to eleven are booked by others."""

    def __init__(self, world: World) -> None:
        self.world = world
        offering = Offering(world.keeping.check)
        self.shop = Shop(world.store, replace(world.keeping, freed=offering))
        self.list = WaitingList(self.shop, offering)
        set_number(world, "capacity", 1)
        roll_slots(world.store)
        everybody = customers(world)
        self.day = local(world.clock.now).date() + timedelta(days=2)
        found = [t.start for t in shop_of(world).free(everybody[0], CODE, world.clock.now)[2].times if time(10) <= local(t.start).time() < time(11)]
        self.starts = found
        self.others = everybody[10:10 + len(found)]
        self.ids = [self.shop.book(who, order("x", start)) for who, start in zip(self.others, found, strict=True)]
        self.kari, self.ola, self.per, *_ = everybody

    def join(self, who: Customer, key: str = "k", first: time = time(10), last: time = time(11)) -> str:
        self.world.clock.now += timedelta(seconds=1)
        return self.list.join(who, CODE, [self.day], first, last, key)

    def entry(self, who: Customer) -> Waiting:
        (found,) = self.list.of(who.person)
        return found

    def offered(self, who: Customer) -> datetime | None:
        found = self.list.of(who.person)
        return found[0].offer.start if found and found[0].offer else None

    def free(self, number: int) -> None:
        self.shop.cancel(self.others[number], self.ids[number])

    def later(self, by: timedelta) -> int:
        self.world.clock.now += by
        self.shop.sweep()
        return self.list.offering.everywhere(self.world.store)


@pytest.fixture
def line(world: World) -> Iterator[Line]:
    return Line(world)  # type: ignore[return-value]


def problem(work: object, *args: object) -> Problem:
    with pytest.raises(Refused) as caught:
        work(*args)  # type: ignore[operator]
    return caught.value.problem


def test_the_same_key_for_other_hours_is_another_wait_and_is_told_so(line: Line) -> None:
    first = line.join(line.kari)
    assert line.join(line.kari) == first
    assert problem(line.join, line.kari, "k", time(10), time(12)) is Problem.ALTERED_DUPLICATE
    assert len(line.list.of(line.kari.person)) == 1


@pytest.mark.spec("facts/planning", "TP-09")
def test_a_cancelled_time_is_held_at_once_for_who_waited_longest(line: Line) -> None:
    line.join(line.ola)
    line.join(line.kari)
    assert line.later(timedelta(seconds=10)) == 0 and line.offered(line.ola) is None
    line.free(0)
    assert (line.offered(line.ola), line.offered(line.kari)) == (line.starts[0], None)
    assert slot_numbers(line.world, slot_id(CODE, line.starts[0])) == ("busy-tentative", 1)
    assert problem(line.shop.book, line.per, order("p", line.starts[0])) is Problem.FULL, "nobody passes the line"
    id_ = line.list.accept(line.ola, line.entry(line.ola).id)
    made = booking(line.world, id_)
    assert (made.start, made.status, made.patient) == (line.starts[0], Status.PENDING, line.ola.person) and made.decision
    assert line.list.accept(line.ola, id_) == id_ and line.list.of(line.ola.person) == []
    assert slot_numbers(line.world, made.slots[0]) == ("busy", 1)
    assert [v.resource["status"] for v in line.world.store.history("Appointment", id_)] == ["pending", "waitlist", "waitlist"]
    said = [e.kind for e in line.world.store.timeline(f"Appointment/{id_}")]
    assert [k for k in said if k in ("waiting", "offered", "book")] == ["waiting", "offered", "book"]


def test_a_no_goes_to_the_next_at_once_and_silence_when_the_time_is_up(line: Line) -> None:
    for who in (line.kari, line.ola, line.per):
        line.join(who)
    line.free(0)
    line.list.decline(line.kari, line.entry(line.kari).id)
    assert (line.offered(line.kari), line.offered(line.ola)) == (None, line.starts[0])
    ola = line.entry(line.ola)
    line.world.clock.now += OFFER
    assert problem(line.list.accept, line.ola, ola.id) is Problem.OFFER_EXPIRED
    assert problem(line.shop.book, line.kari, order("sneak", line.starts[0])) is Problem.FULL, "held on for whoever is next"
    assert line.later(timedelta(seconds=5)) == 1 and line.offered(line.per) == line.starts[0] and line.entry(line.ola).unanswered == 1
    assert line.later(OFFER) == 0, "nobody is left who has not passed on it"
    assert slot_numbers(line.world, slot_id(CODE, line.starts[0])) == ("free", 0)
    line.free(1)
    assert line.offered(line.kari) == line.starts[1], "who said no to one time waits on for another, and first"


@pytest.mark.parametrize("cause", ["moved", "the service's no", "more staff", "a hold ran out", "a hold was let go", "a day came near"])
def test_whatever_frees_a_time_it_is_offered(line: Line, cause: str) -> None:
    world = line.world
    if cause == "a day came near":
        line.day = local(world.clock.now).date() + timedelta(days=15)
    if cause.startswith("a hold"):
        line.free(0)
        line.shop.hold(line.per, order("h", line.starts[0]))
    line.join(line.kari)
    match cause:
        case "moved":
            line.shop.book(line.others[0], order("m", line.starts[0] + timedelta(hours=3), moves=line.ids[0]))
        case "the service's no":
            (letter,) = world.store.deliveries_about(f"Appointment/{line.ids[0]}")
            world.store.write(lambda tx: line.shop.keeping.rejected(tx, world.adapters["visma-profil"], letter))
        case "more staff":
            kept = world.store.get("HealthcareService", CODE)
            assert kept is not None
            change(world.store, with_extension(kept.resource, "capacity", "Integer", 2), "operator:vakt")
            assert line.later(timedelta(0)) == 1
        case "a hold ran out":
            assert line.later(HELD_FOR) == 1
        case "a hold was let go":
            line.shop.release(line.per)
            assert line.later(timedelta(0)) == 1
        case "a day came near":
            assert line.later(timedelta(0)) == 0
            assert line.later(timedelta(days=1)) == 1
    found = line.offered(line.kari)
    assert found is not None and local(found).date() == line.day and time(10) <= local(found).time() < time(11)
    assert line.later(timedelta(seconds=10)) == 0, "looking again changes nothing"


def test_only_who_has_something_left_is_offered_a_time(line: Line) -> None:
    line.join(line.kari)
    line.join(line.ola)
    use_up(line, line.kari)
    line.free(0)
    assert (line.offered(line.kari), line.offered(line.ola)) == (None, line.starts[0])


def use_up(line: Line, who: Customer) -> None:
    """Takes away what is granted."""
    for kept in line.world.store.write(lambda tx: tx.find("ServiceRequest", patient=who.person)):
        gone = {**kept.resource, "status": "revoked"}
        line.world.store.write(lambda tx, gone=gone: tx.keep(gone, origin="test"))  # type: ignore[misc]


def test_rules_that_changed_meanwhile_bind_a_yes_and_the_offer_stands_till_its_time(line: Line) -> None:
    line.join(line.kari)
    line.free(0)
    use_up(line, line.kari)
    assert problem(line.list.accept, line.kari, line.entry(line.kari).id) is Problem.NO_DECISION
    assert line.offered(line.kari) == line.starts[0]


def test_joining_twice_with_one_key_is_one_and_a_second_wait_is_refused(line: Line) -> None:
    id_ = line.join(line.kari)
    assert line.join(line.kari) == id_ and len(line.list.of(line.kari.person)) == 1
    assert problem(line.join, line.kari, "another") is Problem.ALREADY_WAITING
    line.list.leave(line.kari, id_)
    assert line.list.of(line.kari.person) == [] and line.join(line.kari, "another") != id_


def test_who_can_book_a_time_now_need_not_wait_and_others_cannot(line: Line) -> None:
    assert problem(line.join, line.kari, "k", time(9), time(12)) is Problem.TIME_IS_FREE
    assert problem(line.join, line.kari, "k", time(12), time(9)) is Problem.INVALID
    nobody = Customer("Patient/nobody", "Patient/nobody", line.kari.ground)
    assert problem(line.join, nobody) is Problem.NO_DECISION
    with pytest.raises(Refused) as unknown:
        line.list.join(line.kari, "no-such", [line.day], time(10), time(11), "k")
    assert unknown.value.problem is Problem.UNKNOWN_SERVICE


def test_leaving_with_an_offer_hands_it_on_and_a_relative_may_answer(line: Line) -> None:
    line.join(line.kari)
    line.join(relative_of(line.ola))
    line.free(0)
    line.list.leave(line.kari, line.entry(line.kari).id)
    id_ = line.list.accept(relative_of(line.ola), line.entry(line.ola).id)
    assert booking(line.world, id_).start == line.starts[0]
    assert [a.kind for a in line.world.store.audit_of(line.ola.person, 5)][:2] == ["book", "wait"]
    assert line.world.store.audit_of(line.ola.person, 1)[0].on_behalf_of == line.ola.person
    assert problem(line.list.accept, line.kari, id_) is Problem.UNKNOWN_BOOKING
    assert problem(line.list.decline, line.kari, id_) is Problem.UNKNOWN_BOOKING
    assert problem(line.list.leave, line.kari, "no-such") is Problem.UNKNOWN_BOOKING


def test_who_never_answers_and_whose_hours_pass_wait_no_more(line: Line) -> None:
    silent, late = line.join(line.kari), line.join(line.ola, first=time(10), last=time(10, 15))
    for n in range(1, 1 + MOST_UNANSWERED):
        line.free(n)
        assert line.offered(line.kari) == line.starts[n]
        line.later(OFFER + GRACE)
    gone = line.world.store.get("Appointment", silent)
    assert gone is not None and gone.resource["status"] == "cancelled" and "start" not in gone.resource
    line.later(timedelta(days=3))
    gone = line.world.store.get("Appointment", late)
    assert gone is not None and gone.resource["status"] == "cancelled" and gone.origin == "venteliste"
    assert line.later(timedelta(days=1)) == 0


def test_the_epj_and_other_systems_cannot_touch_who_waits(line: Line) -> None:
    id_ = line.join(line.kari)
    speaker = Speaker.of(line.world.adapters["visma-profil"])
    for stated in ("booked", "cancelled", "proposed"):
        with pytest.raises(Refused) as no:
            line.world.store.write(lambda tx, s=stated: line.shop.keeping.keep(  # type: ignore[misc]
                tx, speaker, Resources(({"resourceType": "Appointment", "id": id_, "status": s},))))
        assert no.value.problem is Problem.IMPOSSIBLE_CHANGE
    kept = line.world.store.get("Appointment", id_)
    assert kept is not None and kept.version == 1 and extension(kept.resource, "asked-by") == "person"
    assert not line.world.store.deliveries_about(f"Appointment/{id_}")
