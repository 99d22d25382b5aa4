"""A clock that was ahead and is put right: what it put off is not waited for, and an operator is told."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hubs import World
from test_delivering import NAME, answering, states
from test_flow import booked

from hub.adapter import Adapter
from hub.delivering import deliver
from hub.delivery import State
from hub.faces.metrics import written
from hub.problem import Unavailable
from hub.store import live
from hub.worker import Chore, Worker

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("ahead", [HOUR, 400 * DAY])
def test_a_letter_that_was_owed_by_a_clock_that_was_ahead_goes_when_it_is_put_right(world: World, ahead: timedelta) -> None:
    right = world.clock.now
    booked(world)
    world.store.write(live)
    (first,) = world.store.deliveries((State.DUE,), NAME, None, 9)
    world.clock.now += ahead
    world.store.write(lambda tx: tx.keep({"resourceType": "Basic", "id": "b", "code": {"text": "b"}}, origin="hub"))
    world.store.write(lambda tx: tx.owe(replace(first, id=str(uuid.uuid4()), key="another", created=tx.now, due_at=tx.now, expires=tx.now + 3 * DAY)))
    world.clock.now = right + timedelta(seconds=1)
    assert [d.id for d in world.store.claim({NAME: 9}, world.clock.now, timedelta(minutes=2), "one")] == [first.id]
    world.store.write(lambda tx: tx.let_go([first]))
    world.store.write(live)
    claimed = world.store.claim({NAME: 9}, world.clock.now, timedelta(minutes=2), "one")
    assert len(claimed) == 2 and deliver(world.flow, answering(world, world.box.receive), claimed) is None
    assert states(world) == [State.ARRIVED] * 2


def test_chores_go_on_and_a_partner_that_was_down_is_tried_when_the_clock_is_set_back(world: World) -> None:
    done: list[datetime] = []

    def refuses(_: object) -> None:
        raise Unavailable("the connection was refused")

    adapter: Adapter = answering(world, refuses)  # type: ignore[arg-type]
    worker = Worker(world.flow, 1, [Chore(timedelta(seconds=30), done.append)], lambda now: [])
    booked(world)
    right = world.clock.now
    world.clock.now += HOUR
    worker._round()
    worker._begun[NAME].append(0.0)
    worker._deliver(adapter, world.store.claim({NAME: 1}, world.clock.now, timedelta(minutes=2), "one"), 0.0)
    assert len(done) == 1 and worker._room_for(adapter, world.clock.now) == 0
    world.clock.now = right
    worker._round()
    assert len(done) == 2 and worker._room_for(adapter, right) == 1
    worker._round()
    assert len(done) == 2, "and as often as before"
    worker.stop()


def test_a_chore_for_which_the_store_did_not_answer_is_done_a_minute_later(world: World) -> None:
    tried: list[datetime] = []

    def work(now: datetime) -> None:
        tried.append(now)
        if len(tried) == 1:
            raise Unavailable("the database does not answer")

    worker = Worker(world.flow, 1, [Chore(HOUR, work)], lambda now: [])
    with pytest.raises(Unavailable):
        worker._round()
    worker._round()
    assert len(tried) == 1
    world.clock.now += timedelta(minutes=1)
    worker._round()
    assert len(tried) == 2
    world.clock.now += timedelta(minutes=59)
    worker._round()
    assert len(tried) == 2, "and then as often as it is wanted"
    worker.stop()


def test_how_far_the_last_change_lies_ahead_is_a_number_to_watch(world: World) -> None:
    right = world.clock.now
    world.clock.now += HOUR
    booked(world)
    world.clock.now = right
    standing = world.store.standing()
    assert standing.ahead(right) == pytest.approx(HOUR, abs=timedelta(seconds=5)) and standing.ahead(right + 2 * HOUR) == timedelta()
    (told,) = [line for line in "".join(written(standing, [], right)).splitlines() if line.startswith("besoksbro_clock_ahead_seconds ")]
    assert float(told.split()[1]) == pytest.approx(3600, abs=5)
