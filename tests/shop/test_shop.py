"""The hub's own shop on a real store: free times, hold, order, move, cancel; what goes to the EPJ and what comes of its answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from customers import (
    CODE,
    MINUTE,
    booking,
    customers,
    first_free,
    order,
    relative_of,
    say,
    set_number,
    shop_of,
    slot_numbers,
)
from hubs import World

from hub.access import Ground
from hub.booking import Asker, Status
from hub.booking.conventions import extension
from hub.customer import Customer
from hub.delivery import State
from hub.problem import Problem, Refused
from hub.shop import HELD_FOR


def problem(work: Any, *args: Any) -> Problem:
    with pytest.raises(Refused) as caught:
        work(*args)
    return caught.value.problem


@pytest.mark.spec("portal.md", "P4")
def test_a_person_sees_what_is_granted_orders_it_and_the_epj_hears(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    service = next(s for s in shop.services(kari.person, world.clock.now) if s.department.code == CODE)
    assert service.balances[0].used == 0 and service.balances[0].left > 0
    wish = order("k1", first_free(world, kari))
    held = shop.hold(kari, wish)
    assert held.until == world.clock.now + HELD_FOR
    id_ = shop.confirm(kari, held.order)
    assert (booking(world, id_).status, booking(world, id_).start) == (Status.PENDING, wish.start)
    service = next(s for s in shop.services(kari.person, world.clock.now) if s.department.code == CODE)
    assert sum(b.used for b in service.balances) in (0, 1), "drawn in the week of the visit"
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.adapter == "visma-profil" and owed.state is State.DUE
    line = world.store.audit_of(kari.person, 1)[0]
    assert (line.reader, line.ground, line.kind, line.channel) == (kari.person, "self", "book", "portal")
    world.until_quiet()
    assert booking(world, id_).status in (Status.FULFILLED, Status.NOSHOW, Status.CANCELLED, Status.BOOKED)


def test_the_same_order_twice_is_one_booking(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    wish = order("k1", first_free(world, kari))
    shop.hold(kari, wish)
    first = shop.confirm(kari, wish)
    assert shop.confirm(kari, wish) == first == shop.book(kari, wish)
    assert len(world.store.history("Appointment", first)) == 1 and len(world.store.deliveries_about(f"Appointment/{first}")) == 1


@pytest.mark.spec("portal.md", "P8")
def test_a_held_time_is_nobody_elses_until_it_runs_out(world: World) -> None:
    set_number(world, "capacity", 1)
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    start = first_free(world, kari)
    shop.hold(kari, order("k1", start))
    (slot,) = world.store.held(kari.holder)
    assert slot_numbers(world, slot) == ("free", 1), "its capacity was made before it became one"
    assert start not in times(world, ola) and start in times(world, kari), "the own hold counts as free"
    assert problem(shop.book, ola, order("o1", start)) is Problem.FULL
    world.clock.now += HELD_FOR
    assert start in times(world, ola)
    id_ = shop.book(ola, order("o1", start))
    assert booking(world, id_).start == start
    assert problem(shop.confirm, kari, order("k1", start)) is Problem.HOLD_EXPIRED


def times(world: World, customer: Customer, **more: Any) -> set[Any]:
    return {t.start for day in shop_of(world).free(customer, CODE, world.clock.now, **more) for t in day.times}


def test_one_holds_one_time_at_a_time_and_can_let_it_go(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    first, second = sorted(times(world, kari))[40:42]
    shop.hold(kari, order("k1", first))
    shop.hold(kari, order("k1", second))
    assert len(world.store.held(kari.holder)) == 1
    assert problem(shop.confirm, kari, order("k1", first)) is Problem.HOLD_EXPIRED, "another time is held than is confirmed"
    shop.release(kari)
    assert world.store.held(kari.holder) == {} and problem(shop.confirm, kari, order("k1", second)) is Problem.HOLD_EXPIRED


def test_a_hold_is_swept_and_the_slot_tells(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    shop.hold(kari, order("k1", first_free(world, kari)))
    (slot,) = world.store.held(kari.holder)
    assert slot_numbers(world, slot)[1] == 1
    world.clock.now += HELD_FOR
    assert shop.sweep() == 1 and slot_numbers(world, slot) == ("free", 0) and shop.sweep() == 0


@pytest.mark.spec("portal.md", "P7")
def test_the_loser_of_a_race_is_told_and_offered_the_nearest(world: World) -> None:
    set_number(world, "capacity", 1)
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    start = sorted(times(world, kari))[50]
    shop.book(kari, order("k1", start))
    assert problem(shop.book, ola, order("o1", start)) is Problem.FULL
    near = shop.nearest(ola, order("o1", start), world.clock.now)
    assert len(near) == 3 and start not in {t.start for t in near} and all(abs(t.start - start) <= timedelta(hours=1) for t in near)
    assert [t.start for t in near] == sorted(t.start for t in near)


@pytest.mark.spec("portal.md", "P10")
def test_a_confirmed_time_stands_until_the_service_has_answered_to_the_new_one(world: World) -> None:
    set_number(world, "capacity", 1)
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    old, new = sorted(times(world, kari))[40:44:3]
    id_ = shop.book(kari, order("k1", old))
    say(world, id_, status="booked")
    shop.hold(kari, order("k2", new, moves=id_))
    shop.confirm(kari, order("k2", new, moves=id_))
    assert (booking(world, id_).start, booking(world, id_).status) == (new, Status.PENDING)
    assert problem(shop.book, ola, order("o1", old)) is Problem.FULL and problem(shop.book, ola, order("o2", new)) is Problem.FULL
    say(world, id_, status="booked")
    assert booking(world, id_).status is Status.BOOKED
    shop.book(ola, order("o1", old))


def reject(world: World, id_: str) -> None:
    """The EPJ's application says no to the newest letter."""
    letter = world.store.deliveries_about(f"Appointment/{id_}")[-1]
    world.store.write(lambda tx: world.keeping.rejected(tx, world.adapters["visma-profil"], letter))


def test_a_booking_that_the_epj_rejects_gives_its_place_back(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    id_ = shop.book(kari, order("k1", first_free(world, kari)))
    (slot,) = booking(world, id_).slots
    world.box.settings = replace(world.box.settings, faults=replace(world.box.settings.faults, rejected=1.0))
    world.until_quiet()
    kept = world.store.get("Appointment", id_)
    assert kept is not None and kept.resource["status"] == "cancelled" and extension(kept.resource, "answer") == "refused"
    assert kept.resource["cancelationReason"]["coding"][0]["code"] == "AAT" and slot_numbers(world, slot)[1] == 0
    assert len(world.store.deliveries_about(f"Appointment/{id_}")) == 1, "the EPJ is not told of what it refused"
    again = shop.book(kari, order("k2", first_free(world, kari)))
    assert booking(world, again).status is Status.PENDING, "what was refused is not drawn from the decision"


def test_a_move_that_the_epj_rejects_falls_back_to_the_confirmed_time(world: World) -> None:
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    set_number(world, "capacity", 1)
    old, new = sorted(times(world, kari))[40:44:3]
    id_ = shop.book(kari, order("k1", old))
    say(world, id_, status="booked", participant=[{"actor": {"type": "Practitioner", "display": "Nora"}}])
    shop.book(kari, order("k2", new, moves=id_))
    reject(world, id_)
    kept = world.store.get("Appointment", id_)
    assert kept is not None and (booking(world, id_).start, booking(world, id_).status) == (old, Status.BOOKED)
    assert extension(kept.resource, "answer") == "move-refused" and extension(kept.resource, "moved-from") is None
    shop.book(ola, order("o1", new))
    assert problem(shop.book, ola, order("o2", old)) is Problem.FULL
    reject(world, id_)
    assert booking(world, id_).status is Status.BOOKED, "said twice is said once"


def test_a_late_no_to_an_older_state_changes_nothing(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    first, second = sorted(times(world, kari))[40:42]
    id_ = shop.book(kari, order("k1", first))
    letter = world.store.deliveries_about(f"Appointment/{id_}")[-1]
    shop.book(kari, order("k2", second, moves=id_))
    world.store.write(lambda tx: world.keeping.rejected(tx, world.adapters["visma-profil"], letter))
    assert (booking(world, id_).start, booking(world, id_).status) == (second, Status.PENDING)


@pytest.mark.spec("portal.md", "P16")
def test_cancelling_tells_who_did_it_and_why(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    for who, code in ((kari, "AAI"), (relative_of(kari), "APVAI"), (replace(kari, asker=Asker.STAFF, ground=Ground.OPERATOR), "AAT")):
        id_ = shop.book(kari, order(f"k{code}", first_free(world, kari)))
        shop.cancel(who, id_, "Skal på reise")
        kept = world.store.get("Appointment", id_)
        assert kept is not None and kept.resource["cancelationReason"] == {
            "coding": kept.resource["cancelationReason"]["coding"], "text": "Skal på reise"}
        assert kept.resource["cancelationReason"]["coding"][0]["code"] == code
    line = world.store.audit_of(kari.person, 5)
    assert [(a.kind, a.on_behalf_of) for a in line if a.ground == "mandate"] == [("cancel", kari.person)]


def test_somebody_elses_booking_does_not_exist(world: World) -> None:
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    start = first_free(world, kari)
    id_ = shop.book(kari, order("k1", start))
    later = sorted(times(world, ola))[60]
    assert problem(shop.cancel, ola, id_) is Problem.UNKNOWN_BOOKING
    assert problem(shop.hold, ola, order("o1", later, moves=id_)) is Problem.UNKNOWN_BOOKING
    assert problem(shop.book, ola, order("o1", later, moves=id_)) is Problem.UNKNOWN_BOOKING
    assert problem(lambda: shop.free(ola, CODE, world.clock.now, moves=id_)) is Problem.UNKNOWN_BOOKING
    assert problem(lambda: shop.free(ola, "finnes-ikke", world.clock.now)) is Problem.UNKNOWN_SERVICE


def test_the_same_key_of_two_persons_is_two_orders(world: World) -> None:
    shop, (kari, ola, *_) = shop_of(world), customers(world)
    start = first_free(world, kari)
    assert shop.book(kari, order("1", start)) != shop.book(ola, order("1", start))


def test_staff_overrule_with_a_reason_that_stands_on_the_timeline(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    night = first_free(world, kari).replace(hour=2, minute=0) + timedelta(days=1)
    staff = Customer(kari.person, "staff:vakt", Ground.STAFF, Asker.STAFF, "console", overrules="Ringte, pårørende bortreist")
    assert problem(shop.book, kari, order("k1", night)) is Problem.OUTSIDE_OPENING_HOURS
    id_ = shop.book(staff, order("k1", night))
    assert booking(world, id_).start == night
    (said,) = [e for e in world.store.timeline(f"Appointment/{id_}") if e.kind == "book"]
    assert said.text == "BB-301: Ringte, pårørende bortreist"
    assert world.store.audit_of(kari.person, 1)[0].reader == "staff:vakt"


@pytest.mark.parametrize("many", [30])
def test_many_at_once_for_the_last_places_book_exactly_those(world: World, many: int) -> None:
    places = 5
    set_number(world, "capacity", places)
    shop, everybody = shop_of(world), customers(world)[:many]
    assert len(everybody) == many
    start = sorted(times(world, everybody[0]))[70]
    gate = threading.Barrier(8)
    found: list[Problem | None] = []

    def one(number: int) -> None:
        if number < 8:
            gate.wait(10)
        try:
            shop.hold(everybody[number], order(f"{number}", start))
            shop.confirm(everybody[number], order(f"{number}", start))
            found.append(None)
        except Refused as refused:
            found.append(refused.problem)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(many)))
    assert found.count(None) == places and set(found) <= {None, Problem.FULL, Problem.OVERLAPS_OWN, Problem.DECISION_USED_UP}


def test_rules_bind_on_this_road_too(world: World) -> None:
    shop, (kari, *_) = shop_of(world), customers(world)
    start = first_free(world, kari)
    assert problem(shop.hold, kari, order("a", start + 40 * timedelta(days=1))) is Problem.BEYOND_HORIZON
    assert problem(shop.hold, kari, order("b", world.clock.now + 30 * MINUTE)) is Problem.TOO_LATE
    assert problem(shop.hold, kari, order("c", start + MINUTE)) is Problem.OFF_GRID
    assert world.store.held(kari.holder) == {}
