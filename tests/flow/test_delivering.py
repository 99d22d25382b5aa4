"""Letters that are tried together: what befalls one of them befalls no other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hubs import World
from test_flow import booked

from hub import delivering
from hub.adapter import Adapter
from hub.delivering import deliver
from hub.delivery import Delivery, State
from hub.message import Answer, Parcel
from hub.problem import Unavailable
from hub.store import Transaction

NAME = "visma-profil"


def several(world: World, many: int = 4) -> list[Delivery]:
    """So many letters about one booking, claimed; only their keys say that they need not wait for each other."""
    booked(world)
    (owed,) = world.store.deliveries((State.DUE,), NAME, None, 9)
    world.store.write(lambda tx: [tx.owe(replace(owed, id=str(uuid.uuid4()), key=f"k{n}")) for n in range(many - 1)])
    return claimed(world)


def claimed(world: World) -> list[Delivery]:
    return world.store.claim({NAME: 99}, world.clock.now, timedelta(minutes=2), "one")


def answering(world: World, answer: Callable[[Parcel], Parcel | None]) -> Adapter:
    """The EPJ's adapter with a carrier that answers at once."""
    adapter = world.adapters[NAME]
    carrier = adapter.carrier
    carrier.send = answer  # type: ignore[method-assign]
    return adapter


def states(world: World) -> list[State]:
    return [d.state for d in sorted(world.store.deliveries((), NAME, None, 99), key=lambda d: d.number)]


def test_what_the_partner_says_at_once_is_kept_in_the_commit_that_tells_of_the_sending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "SHARED", 1000.0)  # however busy the machine is
    letters = several(world)
    adapter, commits = answering(world, world.box.receive), list[int]()
    write_all = world.store._writer.write_all
    world.store._writer.write_all = lambda works: commits.append(len(works)) or write_all(works)  # type: ignore[method-assign,func-returns-value]
    assert deliver(world.flow, adapter, letters) is None
    assert states(world) == [State.ARRIVED] * 4
    assert commits == [4, 8], "the letters before they leave; then four sendings and four receipts"
    assert claimed(world) == []


def test_a_partner_that_goes_down_is_tried_once_and_the_letters_behind_are_let_go_of_as_they_are(world: World) -> None:
    letters, sent = several(world), list[Parcel]()

    def dies(parcel: Parcel) -> Parcel | None:
        sent.append(parcel)
        if len(sent) == 2:
            raise Unavailable("the connection was refused")
        return world.box.receive(parcel)

    down_until = deliver(world.flow, answering(world, dies), letters)
    assert len(sent) == 2 and down_until == world.clock.now + timedelta(minutes=1)
    assert states(world) == [State.ARRIVED] + [State.DUE] * 3
    behind = claimed(world)
    assert [d.id for d in behind] == [d.id for d in letters[2:]] and {d.tries for d in behind} == {0}
    assert deliver(world.flow, answering(world, world.box.receive), behind) is None
    assert states(world) == [State.ARRIVED, State.DUE, State.ARRIVED, State.ARRIVED]


@pytest.mark.parametrize("enough", ["it takes long", "the worker stops"])
def test_a_batch_ends_early_but_never_before_its_first_letter(world: World, monkeypatch: pytest.MonkeyPatch, enough: str) -> None:
    """However slow the partner is, each batch gets it one letter further."""
    letters = several(world)
    if enough == "it takes long":
        monkeypatch.setattr(delivering, "LET_GO", 0.0)
    deliver(world.flow, answering(world, world.box.receive), letters, lambda: enough == "it takes long")
    assert states(world) == [State.ARRIVED] + [State.DUE] * 3
    assert len(claimed(world)) == 3


def test_large_letters_are_not_all_sealed_before_the_first_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    letters, sealed = several(world), list[int]()
    monkeypatch.setattr(delivering, "AT_ONCE", 1)

    def counts(parcel: Parcel) -> Parcel | None:
        sealed.append(sum(1 for d in letters if (kept := world.store.delivery(d.id)) is not None and kept.parcel))
        return world.box.receive(parcel)

    deliver(world.flow, answering(world, counts), letters)
    assert sealed == [1, 2, 3, 4] and states(world) == [State.ARRIVED] * 4


def test_a_bug_in_one_letter_or_in_one_answer_is_no_other_letters_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = several(world)
    adapter = answering(world, world.box.receive)
    keeps = world.flow.settling.receipt

    def unkept(self: object, tx: Transaction, which: Adapter, told: object) -> tuple[str, ...]:
        if told.refers_to == letters[2].id:  # type: ignore[attr-defined]
            tx.note("Envelope/x", "odd-receipt", "half done")
            raise ZeroDivisionError
        return keeps(tx, which, told)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.flow.settling), "receipt", unkept)
    write = adapter.format.write

    def unwritten(message: object, letter: object) -> object:
        if letter.id == letters[1].id:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return write(message, letter)  # type: ignore[arg-type]

    monkeypatch.setattr(adapter.format, "write", unwritten)
    assert deliver(world.flow, adapter, letters) is None
    assert states(world) == [State.ARRIVED, State.DUE, State.SENT, State.ARRIVED], "sent is sent, whatever became of the answer"
    assert claimed(world) == [], "the one that could not be written waits for its lease"
    assert not any(e.text == "half done" for e in world.store.timeline("Envelope/x"))
    world.clock.now += timedelta(minutes=3)
    assert [d.id for d in claimed(world)] == [letters[1].id]


def test_an_answer_that_cannot_be_opened_now_leaves_the_letter_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_knows(*_: object) -> Answer:
        raise Unavailable("whether the signer is revoked cannot be known now")

    letters, adapter = several(world, 2), answering(world, world.box.receive)
    monkeypatch.setattr(adapter.seal, "open", nobody_knows)
    assert deliver(world.flow, adapter, letters) is None
    assert states(world) == [State.SENT] * 2
