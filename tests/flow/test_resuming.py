"""A letter whose first try ended in doubt: the partner is asked before it is sent again, and its answer decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hubs import FUNCTIONS, World
from test_flow import booked, told

from adapters.carriers.memory import MemoryCarrier
from adapters.seals.ebms import ebms
from hub.delivery import State
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable


class Line(MemoryCarrier):
    """A connection to the EPJ. `breaks(parcel)` may raise before it arrives; `after(parcel)` after it did."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.breaks: Callable[[Parcel], None] = lambda _: None
        self.after: Callable[[Parcel], None] = lambda _: None

    def send(self, parcel: Parcel) -> Parcel | None:
        self.sent.append(parcel)
        self.breaks(parcel)
        reply = self.world.box.receive(parcel)
        self.after(parcel)
        return reply

    @property
    def said(self) -> list[str]:
        return [told(parcel).action for parcel in self.sent]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    seal = ebms(replace(made._around("visma-profil", made.box.settings.party), settings={"functions": FUNCTIONS, "status": True}))
    made.adapters["visma-profil"] = replace(made.adapters["visma-profil"], carrier=Line(made), seal=seal)
    return made


def line(world: World) -> Line:
    carrier = world.adapters["visma-profil"].carrier
    assert isinstance(carrier, Line)
    return carrier


def state(world: World, id_: str) -> State:
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    return owed.state


def broken(_: Parcel) -> None:
    raise Unavailable("ReadError from the partner")


@pytest.mark.spec("facts/ebxml", "7.1.resume")
def test_a_letter_that_arrived_before_the_connection_broke_is_not_sent_again(world: World) -> None:
    id_, _ = booked(world)
    line(world).after = broken
    world.deliver()
    assert state(world, id_) is State.DUE
    line(world).after = lambda _: None
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert line(world).said == ["Bestilling", "StatusRequest"] and state(world, id_) is State.ARRIVED
    assert world.box.records.report()["letters"] == 1


@pytest.mark.spec("facts/ebxml", "7.1.resume")
def test_a_letter_that_the_partner_does_not_know_is_sent_again_the_same(world: World) -> None:
    id_, _ = booked(world)
    line(world).breaks = broken
    world.deliver()
    line(world).breaks = lambda _: None
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert line(world).said == ["Bestilling", "StatusRequest", "Bestilling"] and state(world, id_) is State.ARRIVED
    assert line(world).sent[0] == line(world).sent[2]


@pytest.mark.spec("facts/ebxml", "7.1.resume")
def test_a_partner_that_knows_no_such_question_or_does_not_answer_it_gets_the_letter(world: World) -> None:
    refusals = iter([Refused(Problem.NOT_DELIVERED, "HTTP 404"), Unavailable("HTTP 500")])
    id_, _ = booked(world)
    line(world).breaks = broken
    world.deliver()

    def not_asked(parcel: Parcel) -> None:
        if told(parcel).action == "StatusRequest":
            raise next(refusals)
        if len(line(world).sent) == 3:
            raise Unavailable("still down")

    line(world).breaks = not_asked
    for _ in range(2):
        world.clock.now += timedelta(minutes=5)
        world.deliver()
    assert line(world).said == ["Bestilling"] + ["StatusRequest", "Bestilling"] * 2 and state(world, id_) is State.ARRIVED


@pytest.mark.spec("facts/ebxml", "7.1.resume")
def test_what_a_killed_hub_had_sent_is_asked_about_by_the_next_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies after the bytes left and before it could note so: the delivery is still due, and sealed."""
    id_, _ = booked(world)

    class Killed(BaseException):
        pass

    def die(_: Parcel) -> None:
        raise Killed

    line(world).after = die
    with pytest.raises(Killed):
        world.deliver()
    assert state(world, id_) is State.DUE
    line(world).after = lambda _: None
    world.clock.now += timedelta(minutes=2)  # its lease has run out
    world.deliver()
    assert line(world).said == ["Bestilling", "StatusRequest"] and state(world, id_) is State.ARRIVED


def test_a_partner_that_is_not_to_be_asked_simply_gets_the_letter_again(world: World) -> None:
    for settings in ({}, {"status": True, "sync": False}):
        around = replace(world._around("visma-profil", world.box.settings.party), settings={"functions": FUNCTIONS, **settings})
        assert not ebms(around).asks_first
    world.adapters["visma-profil"] = replace(world.adapters["visma-profil"], seal=ebms(around))
    booked(world)
    line(world).after = broken
    world.deliver()
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert line(world).said == ["Bestilling", "Bestilling"] and world.box.records.report()["duplicates_dropped"] == 1
