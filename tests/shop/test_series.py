"""Series: every week from a first visit, with exceptions; booked as they come within the horizon; what cannot be is skipped."""

from __future__ import annotations

import itertools
from datetime import date, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from customers import CODE, booking, customers, order, relative_of, shop_of
from hubs import World
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from test_ordering_pages import PATH, fields, log_in, times
from visiting import text

from hub.booking import Status
from hub.booking.clock import at, local
from hub.booking.conventions import with_extension
from hub.booking.series import Series, made, week_code
from hub.customer import Customer, Order
from hub.fhir.query import Query
from hub.problem import Problem, Refused
from hub.repeating import Repeating
from hub.rolling import roll_slots


def starts(world: World, person: str) -> list[datetime]:
    found = [booking(world, s.id) for s in world.store.search(Query("Appointment", count=1000)).entries]
    return sorted(b.start for b in found if b.patient == person and b.status is not Status.CANCELLED)


def in_days(world: World, days: int) -> datetime:
    return at(local(world.clock.now).date() + timedelta(days=days), time(10, 0))


def test_a_series_books_the_horizon_now_and_each_week_as_it_comes(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    first = in_days(world, 2)
    told = repeating.start(kari, order("s", first))
    assert told.booked == (first, first + timedelta(days=7)) and told.refused == ()
    assert repeating.start(kari, order("s", first)).series == told.series and len(starts(world, kari.person)) == 2, "the same order is the same series"
    for _ in range(21):
        world.clock.now += timedelta(days=1)
        roll_slots(world.store)
        repeating.roll()
    found = starts(world, kari.person)
    assert [local(s).strftime("%a %H:%M") for s in found] == [local(first).strftime("%a %H:%M")] * 5
    assert [b - a for a, b in itertools.pairwise(found)] == [timedelta(days=7)] * 4
    assert repeating.roll() == 0


def test_excepted_weeks_and_taken_times_are_skipped_and_the_series_goes_on(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    first = in_days(world, 1)
    second, third = first + timedelta(days=7), first + timedelta(days=14)
    told = repeating.start(kari, order("s", first), {week_code(local(second).date())}, last=local(third).date())
    world.clock.now += timedelta(days=2)
    roll_slots(world.store)
    shop_of(world).book(kari, order("other", third))  # her own visit at that time
    assert repeating.roll() == 0
    assert starts(world, kari.person) == [first, third] and told.booked == (first,)
    assert repeating.of(kari.person) == [], "its last day has been tried"


def test_a_series_that_is_ended_while_its_visits_are_booked_stays_ended(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    told = repeating.start(kari, order("s", in_days(world, 1)))
    world.clock.now += timedelta(days=7)
    roll_slots(world.store)

    def book(who: Customer, wanted: Order) -> str:
        repeating.end(kari, told.series)
        return shop_of(world).book(who, wanted)

    busy = SimpleNamespace(store=world.store, keeping=world.keeping, book=book)
    Repeating(busy).roll()  # type: ignore[arg-type]
    kept = world.store.get("CarePlan", told.series)
    assert kept is not None and kept.resource["status"] == "revoked" and repeating.of(kari.person) == []
    assert "series-end" in {line.kind for line in world.store.audit_of(kari.person, 50)}


def test_what_a_relative_began_goes_on_where_only_relatives_may_book(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None
    only = with_extension(kept.resource, "who-may-book", "String", "relative")
    world.store.write(lambda tx: tx.keep(only, origin="test"))
    first = in_days(world, 1)
    repeating.start(relative_of(kari), order("s", first))
    world.clock.now += timedelta(days=8)
    roll_slots(world.store)
    assert repeating.roll() == 2 and len(starts(world, kari.person)) == 4


def test_the_same_series_with_other_exceptions_is_another_and_is_told_so(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    first = in_days(world, 1)
    repeating.start(kari, order("s", first), {"2026-W52"})
    repeating.start(kari, order("s", first), {"2026-W52"})
    for skipped, last in ((set(), None), ({"2026-W52"}, date(2026, 12, 31))):
        with pytest.raises(Refused) as altered:
            repeating.start(kari, order("s", first), skipped, last)
        assert altered.value.problem is Problem.ALTERED_DUPLICATE


def test_a_visit_plan_of_somebody_elses_making_is_no_series(world: World) -> None:
    kari = customers(world)[0]
    plan = {"resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan", "subject": {"reference": kari.person}}
    world.store.write(lambda tx: tx.keep(plan, origin="epj"))
    assert Repeating(shop_of(world)).of(kari.person) == [] and Repeating(shop_of(world)).roll() == 0


def test_a_first_visit_that_cannot_be_booked_starts_nothing(world: World) -> None:
    kari, repeating = customers(world)[0], Repeating(shop_of(world))
    with pytest.raises(Refused) as late:
        repeating.start(kari, order("s", in_days(world, 40)))
    assert late.value.problem is Problem.BEYOND_HORIZON and repeating.of(kari.person) == []


def test_an_ended_series_books_nothing_more_and_only_ones_own_can_be_ended(world: World) -> None:
    kari, ola, *_ = customers(world)
    repeating = Repeating(shop_of(world))
    told = repeating.start(kari, order("s", in_days(world, 1)))
    before = starts(world, kari.person)
    with pytest.raises(Refused):
        repeating.end(ola, told.series)
    repeating.end(kari, told.series)
    world.clock.now += timedelta(days=14)
    assert repeating.roll() == 0 and starts(world, kari.person) == before


@given(
    first=st.dates(date(2026, 1, 1), date(2027, 12, 31)), hour=st.integers(0, 23), skip=st.sets(st.integers(0, 8)), weeks=st.integers(0, 12),
)
def test_occurrences_are_the_weekday_and_wall_time_of_the_first_in_every_week_that_is_not_excepted(
    first: date, hour: int, skip: set[int], weeks: int,
) -> None:
    start = at(first, time(hour))
    skipped = frozenset(week_code(first + timedelta(weeks=n)) for n in skip)
    series = Series.of(made("s", "Patient/p", "d", start, 30, skipped, None))
    wall = local(start)
    found = list(series.occurrences(wall.date() + timedelta(weeks=weeks)))
    expected = [wall.date() + timedelta(weeks=n) for n in range(weeks + 1) if n not in skip]
    shown = [day for day, _ in found]
    assert [d for d in expected if d not in shown and not (d.month == 3 and wall.hour == 2)] == [] and set(shown) <= set(expected)
    assert all(local(s).date() == day and local(s).time() == series.at for day, s in found)


def test_in_the_portal_a_visit_is_made_weekly_seen_and_ended(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    log_in(client, kari.person)
    page = client.get(PATH).text
    held = client.post(PATH, data=fields(page, PATH) | {"tid": times(page)[3]})
    assert "Gjenta hver uke" in held.text
    week = local(world.clock.now).date().isocalendar().week
    answer = client.post(f"{PATH}/bekreft", data=fields(held.text, f"{PATH}/bekreft") | {"gjenta": "ja", "ikke": f"{week + 1}, tull, 99"})
    assert answer.status_code == 303 and answer.headers["location"].startswith("/serier?bestilt=")
    shown = client.get(answer.headers["location"]).text
    assert f"Ikke uke {week + 1}." in text(shown) and "Hver " in text(shown) and "Serien er lagret." in text(shown)
    (series,) = Repeating(shop_of(world)).of(kari.person)
    action = f"/serier/{series.id}/avslutt"
    assert client.post(action, data=fields(shown, action)).headers["location"] == "/serier?avsluttet=1"
    assert "Ingen besøk bestilles av seg selv." in text(client.get("/serier").text)
    assert client.post("/serier/0/avslutt", data=fields(shown, action)).status_code == 409
    assert CODE not in shown.replace("Hjemmesykepleie", "")
