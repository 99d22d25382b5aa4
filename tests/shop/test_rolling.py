"""Slots follow the department: rolled on day by day, fitted when it changes, and a change tells first whom it would hit."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from customers import CODE, booking, customers, first_free, order, say, shop_of, slot_numbers
from hubs import World

from hub.booking import Booking, Department, covering, slots_of
from hub.booking.clock import local
from hub.booking.conventions import extension, with_extension
from hub.fhir.query import Query
from hub.problem import Problem, Refused
from hub.rolling import change, follow, hit_by, name_slots, roll, roll_slots


def service(world: World) -> dict[str, Any]:
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None
    return kept.resource


def slots(world: World) -> dict[str, dict[str, Any]]:
    found = {s.id: s.resource for s in world.store.search(Query("Slot", count=100_000)).entries}
    return {id_: slot for id_, slot in found.items() if slot["schedule"]["reference"] == f"Schedule/{CODE}"}


def expected(world: World) -> set[str]:
    department = Department.of(service(world))
    return {s["id"] for s in slots_of(department, local(world.clock.now).date(), department.horizon_days + 1)}


def test_each_day_the_slots_of_one_more_day_are_made_and_no_more(world: World) -> None:
    roll_slots(world.store)
    assert expected(world) <= set(slots(world)) and roll_slots(world.store) == 0
    for _ in range(3):
        world.clock.now += timedelta(days=1)
        before = set(slots(world))
        world.store.write(lambda tx: roll(tx, CODE))
        found, wanted = slots(world), expected(world)
        made = set(found) - before
        assert made and made <= wanted <= set(found)
        assert len({found[m]["start"][:10] for m in made}) == 1, "one day's"
        assert world.store.write(lambda tx: roll(tx, CODE)) == 0


def test_a_missed_week_is_made_up_for(world: World) -> None:
    roll_slots(world.store)
    world.clock.now += timedelta(days=20)
    roll_slots(world.store)
    assert expected(world) <= set(slots(world))


def test_changed_staff_and_hours_are_seen_in_the_slots_and_bookings_keep_their_seats(world: World) -> None:
    shop, kari = shop_of(world), customers(world)[0]
    id_ = shop.book(kari, order("k", first_free(world, kari)))
    (slot,) = booking(world, id_).slots
    changed = with_extension(service(world), "capacity", "Integer", 1)
    changed = {**changed, "availableTime": [{"allDay": True, "daysOfWeek": ["mon"]}]}
    hit = change(world.store, changed, "operator:test")
    assert [b.id for b in hit] == [id_], "that day is closed now"
    found, wanted = slots(world), expected(world)
    assert found[slot]["status"] == "busy" and extension(found[slot], "taken") == 1 and booking(world, id_).slots == (slot,)
    ahead = [s for s in found.values() if s["start"] > world.clock.now.isoformat()]
    assert {extension(s, "capacity") for s in ahead if s["id"] in wanted} == {1}
    assert {s["status"] for s in ahead if s["id"] not in wanted and s["id"] != slot} == {"busy-unavailable"}
    assert {d.open for d in shop.free(kari, CODE, world.clock.now)} == {True, False}


def test_a_change_shows_first_whom_it_would_hit_and_changes_nothing(world: World) -> None:
    shop, people = shop_of(world), customers(world)[:3]
    start = first_free(world, people[0])
    ids = {shop.book(who, order("k", start)) for who in people}
    fewer = with_extension(service(world), "capacity", "Integer", 2)
    before = service(world)
    hit = world.store.write(lambda tx: hit_by(tx, fewer))
    assert {b.id for b in hit} == ids and service(world) == before
    enough = with_extension(service(world), "capacity", "Integer", 3)
    assert world.store.write(lambda tx: hit_by(tx, enough)) == []


def test_two_administrators_do_not_overwrite_each_other(world: World) -> None:
    mine = with_extension(service(world), "capacity", "Integer", 5)
    change(world.store, with_extension(service(world), "capacity", "Integer", 6), "operator:a")
    with pytest.raises(Refused) as late:
        change(world.store, mine, "operator:b")
    assert late.value.problem is Problem.OUT_OF_DATE and extension(service(world), "capacity") == 6


def test_a_department_that_takes_no_bookings_offers_no_slot(world: World) -> None:
    roll_slots(world.store)
    change(world.store, {**service(world), "active": False}, "operator:test")
    ahead = [s for s in slots(world).values() if s["start"] > world.clock.now.isoformat()]
    assert ahead and {s["status"] for s in ahead} == {"busy-unavailable"}


def overlapping(world: World, at: datetime) -> int:
    """How many visits take somebody's time then."""
    found = (Booking.of(s.resource) for s in world.store.search(Query("Appointment", count=1000)).entries)
    return sum(b.active and b.department == CODE and b.start <= at < b.end for b in found)


@pytest.mark.parametrize("minutes", [5, 10, 20, 25, 60])
def test_another_grid_counts_who_is_booked_already(world: World, minutes: int) -> None:
    shop, (kari, ola) = shop_of(world), customers(world)[:2]
    change(world.store, with_extension(service(world), "capacity", "Integer", 1), "operator:test")
    start = first_free(world, kari)
    id_ = shop.book(kari, order("k", start))
    change(world.store, with_extension(service(world), "slot-minutes", "Integer", minutes), "operator:test")
    offered = [t for day in shop.free(ola, CODE, world.clock.now, 15) for t in day.times]
    assert offered and not [t for t in offered if t.start < booking(world, id_).end and start < t.end]
    for n in range(-4, 5):
        with suppress(Refused):
            shop.book(ola, order(f"o{n}", start + n * timedelta(minutes=5)))
    assert {overlapping(world, start + timedelta(minutes=n)) for n in range(15)} == {1}
    seats = booking(world, id_).slots
    assert seats == covering(Department.of(service(world)), start, start + timedelta(minutes=15)) and seats
    assert all(slot_numbers(world, slot)[1] == 1 for slot in seats)
    shop.cancel(kari, id_)
    assert all(slot_numbers(world, slot) == ("free", 0) for slot in seats), "and all of it is given back"


def test_another_grid_keeps_the_confirmed_time_of_a_visit_that_asks_for_another(world: World) -> None:
    shop, (kari, ola) = shop_of(world), customers(world)[:2]
    change(world.store, with_extension(service(world), "capacity", "Integer", 1), "operator:test")
    start = first_free(world, kari)
    id_ = shop.book(kari, order("k", start))
    say(world, id_, status="booked")
    later = start + timedelta(hours=2)
    shop.book(kari, order("m", later, moves=id_))
    letter = world.store.deliveries_about(f"Appointment/{id_}")[-1]
    change(world.store, with_extension(service(world), "slot-minutes", "Integer", 20), "operator:test")
    times = {t.start for day in shop.free(ola, CODE, world.clock.now, 15) for t in day.times}
    assert not [t for t in times if start - timedelta(minutes=15) < t < start + timedelta(minutes=15)], "both times are kept"
    assert not [t for t in times if later - timedelta(minutes=15) < t < later + timedelta(minutes=15)]
    world.store.write(lambda tx: world.keeping.rejected(tx, world.adapters["visma-profil"], letter))
    assert booking(world, id_).start == start, "a no that comes after the change is heard"
    times = {t.start for day in shop.free(ola, CODE, world.clock.now, 15) for t in day.times}
    assert [t for t in times if later - timedelta(minutes=15) < t < later + timedelta(minutes=15)]


def test_under_many_visits_all_seats_move_at_once_and_the_visits_name_them_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of each of tens of thousands visits in one commit keeps every other write waiting for most of a minute."""
    monkeypatch.setattr("hub.rolling.AT_ONCE", 1)
    shop, people = shop_of(world), customers(world)[:4]
    ids = [shop.book(who, order("k", first_free(world, who, days_ahead=n + 1))) for n, who in enumerate(people)]
    versions: list[int] = []
    world.store.on_changed(lambda tx: versions.append(sum(change.type == "Appointment" for change in tx.changes)))
    change(world.store, with_extension(service(world), "slot-minutes", "Integer", 10), "operator:test")
    department = Department.of(service(world))

    def seats(id_: str) -> tuple[str, ...]:
        own = booking(world, id_)
        return covering(department, own.start, own.end)

    assert versions == [1] and [booking(world, id_).slots == seats(id_) for id_ in ids] == [True, False, False, False]
    assert all(slot_numbers(world, slot)[1] for id_ in ids for slot in seats(id_)), "nobody's time is free meanwhile"
    shop.cancel(people[3], ids[3])
    assert not any(slot_numbers(world, slot)[1] for slot in seats(ids[3])), "and who cancels meanwhile gives back what they have"
    assert name_slots(world.store) == 2 and name_slots(world.store) == 0 and max(versions) == 1
    assert all(booking(world, id_).slots == seats(id_) for id_ in ids[:3])


def test_a_preview_of_another_grid_counts_the_visits_in_it(world: World) -> None:
    shop, (kari, ola) = shop_of(world), customers(world)[:2]
    start = first_free(world, kari)
    ids = {shop.book(kari, order("k", start)), shop.book(ola, order("o", start + timedelta(minutes=15)))}
    wanted = with_extension(with_extension(service(world), "capacity", "Integer", 1), "slot-minutes", "Integer", 60)
    assert {b.id for b in world.store.write(lambda tx: hit_by(tx, wanted))} == ids, "two visits within the hour, and one to make them"
    travel = with_extension(with_extension(service(world), "capacity", "Integer", 1), "buffer-minutes", "Integer", 15)
    assert {b.id for b in world.store.write(lambda tx: hit_by(tx, travel))} == ids, "no time left for the way"


def test_a_department_that_a_vendor_changes_is_fitted_in_the_same_commit(world: World) -> None:
    world.store.on_changed(follow)
    roll_slots(world.store)
    world.store.write(lambda tx: tx.keep(with_extension(service(world), "capacity", "Integer", 2), origin="Client/x"))
    ahead = [s for s in slots(world).values() if s["start"] > world.clock.now.isoformat()]
    assert {extension(s, "capacity") for s in ahead} == {2}
