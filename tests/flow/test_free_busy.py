"""A shop of its own is told which times are free (issue 5: outbound free/busy), on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hubs import World

from hub.availability import COLLECTED, FREE_BUSY, Availability
from hub.booking.clock import read
from hub.delivery import Delivery, State
from hub.problem import Unavailable
from hub.rolling import roll_slots

DEPARTMENT = "hjemmesykepleie"
SUBJECT = f"HealthcareService/{DEPARTMENT}"


@pytest.fixture
def told(town_url: str, tmp_path: Path) -> Iterator[World]:
    """A world whose shop wants to know of one department, and was told of it once."""
    world = World(town_url, tmp_path)
    shop = world.adapters["tjenesteshop"]
    world.adapters["tjenesteshop"] = replace(shop, wants=frozenset({FREE_BUSY}), departments=frozenset({DEPARTMENT}))
    roll_slots(world.store)
    availability = Availability(world.adapters)
    world.store.on_changed(availability.follow)
    availability.introduce(world.store)
    availability.introduce(world.store)  # and never again
    yield world
    world.close()


def letters(world: World) -> list[dict[str, Any]]:
    """What the shop was told since the last look."""
    world.clock.now += COLLECTED
    world.deliver()
    got = [json.loads(parcel.body) for parcel in world.told.sent]
    world.told.sent.clear()
    return got


def owed(world: World) -> list[Delivery]:
    return [d for d in world.store.deliveries((State.DUE,), "tjenesteshop", None, 100) if d.subject == SUBJECT]


def at(letter: dict[str, Any], start: str) -> dict[str, Any]:
    (time,) = [t for t in letter["tider"] if read(t["fra"], "") == read(start, "")]
    return dict(time)


def away() -> None:
    raise Unavailable("the shop is away")


def book(world: World) -> dict[str, Any]:
    world.clock.now += timedelta(microseconds=1)  # its number follows from the time
    order = world.order()
    message = order.message("OPPRETT")
    assert world.shop(json.dumps(message).encode(), str(message["meldingsId"])).verdict.accepted
    return message


def test_a_shop_hears_once_of_a_department_it_never_heard_of(told: World) -> None:
    (first,) = letters(told)
    assert first["hendelse"] == "LEDIGE_TIDER" and first["avdeling"] == DEPARTMENT
    starts = [read(t["fra"], "") for t in first["tider"]]
    assert len(starts) > 50 and starts == sorted(starts) and starts[0] >= told.clock.now - COLLECTED
    assert {t["status"] for t in first["tider"]} == {"LEDIG"} and all(t["ledigePlasser"] > 0 for t in first["tider"])
    assert letters(told) == []


def test_bookings_are_collected_into_one_letter_that_tells_how_many_places_are_left_and_nothing_of_whom(told: World) -> None:
    (before,) = letters(told)
    booked = [book(told) for _ in range(3)]
    assert len(owed(told)) == 1
    told.deliver()
    assert not told.told.sent, "it waits for what else changes"
    (after,) = letters(told)
    for message in booked:
        assert at(after, message["fra"])["ledigePlasser"] < at(before, message["fra"])["ledigePlasser"]
        assert message["person"]["id"] not in json.dumps(after)
    assert set(after["tider"][0]) == {"fra", "til", "status", "ledigePlasser"}


def test_a_cancelled_time_is_told_as_free_again(told: World) -> None:
    message = book(told)
    (before,) = letters(told)
    cancel = {"meldingsId": "avbestilt", "handling": "AVBESTILL", "bestillingsId": message["bestillingsId"], "avbestiltAv": "BRUKER"}
    assert told.shop(json.dumps(cancel).encode(), "avbestilt").verdict.accepted
    (after,) = letters(told)
    assert at(after, message["fra"])["ledigePlasser"] == at(before, message["fra"])["ledigePlasser"] + 1


def test_a_shop_that_was_away_ends_with_the_newest_picture_and_two_letters_at_most(
    told: World, monkeypatch: pytest.MonkeyPatch,
) -> None:
    letters(told)
    up = told.told.send
    monkeypatch.setattr(told.told, "send", lambda _: away())
    book(told)
    assert letters(told) == []
    monkeypatch.setattr(told.told, "send", up)
    booked = [book(told) for _ in range(3)]
    assert len(owed(told)) == 2, "the one that was tried, and one for all that came after"
    told.clock.now += timedelta(hours=1)
    got = [*letters(told), *letters(told)]
    assert len(got) == 2
    places = [at(got[-1], booked[-1]["fra"])["ledigePlasser"], at(got[0], booked[-1]["fra"])["ledigePlasser"]]
    assert places[0] < places[1]


def test_other_departments_are_not_its_business(told: World) -> None:
    letters(told)
    other = next(o for o in told.plan.orders("O") if o.department != DEPARTMENT)
    told.adapters["tjenesteshop"] = replace(told.adapters["tjenesteshop"], departments=frozenset())
    message = other.message("OPPRETT")
    assert told.shop(json.dumps(message).encode(), str(message["meldingsId"])).verdict.accepted
    assert owed(told) == []
