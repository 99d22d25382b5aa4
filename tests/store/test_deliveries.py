"""The queue: order per appointment, leases, the newest state wins, and every step of the one state table."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import appointment, owed
from store_clock import Clock, opened

from hub.delivery import BLOCKING, FINAL, NEXT, Delivery, Impossible, Patience, State, Step
from hub.fhir.query import DateIs, IdIs, Query, ReferenceIs, TokenIs
from hub.message import Parcel
from hub.store import Store, micros
from hub.store.deliveries import DUE, OWING, UNTRIED
from hub.store.searching import conditions

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAMES = [f"epj-{n}" for n in range(5)]


def claim(store: Store, clock: Clock, limit: int = 10, owner: str = "w1") -> list[Delivery]:
    return store.claim({"visma-profil": limit}, clock.now, MINUTE, owner)


def test_letters_about_one_appointment_leave_in_order_and_others_flow(store: Store, clock: Clock) -> None:
    store.write(lambda tx: [tx.owe(owed("d1", clock.now, key="Appointment/a1")), tx.owe(owed("d2", clock.now, key="Appointment/a2"))])
    first = {d.id for d in claim(store, clock)}
    assert first == {"d1", "d2"}
    store.write(lambda tx: tx.owe(owed("d3", clock.now, key="Appointment/a1")))
    assert claim(store, clock) == []  # d1 is under way
    d1 = store.delivery("d1")
    assert d1 is not None
    store.write(lambda tx: tx.settle(d1.after(Step.SENT, clock.now, Patience()), d1, Step.SENT))
    assert claim(store, clock) == []  # sent, not arrived
    sent = store.delivery("d1")
    assert sent is not None
    store.write(lambda tx: tx.settle(sent.after(Step.ARRIVED, clock.now, Patience()), sent, Step.ARRIVED))
    assert [d.id for d in claim(store, clock)] == ["d3"]


def test_a_delayed_retry_keeps_its_followers_waiting(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.owe(owed("d1", clock.now)))
    (d1,) = claim(store, clock)
    store.write(lambda tx: tx.settle(d1.after(Step.UNAVAILABLE, clock.now, Patience()), d1, Step.UNAVAILABLE))
    store.write(lambda tx: tx.owe(owed("d2", clock.now)))
    assert claim(store, clock) == []
    clock.forward(minutes=2)
    assert [d.id for d in claim(store, clock)] == ["d1"]


def test_of_states_nobody_tried_to_send_only_the_newest_is_sent(store: Store, clock: Clock) -> None:
    for id_ in ("d1", "d2", "d3"):
        store.write(lambda tx, id_=id_: tx.owe(owed(id_, clock.now)))  # type: ignore[misc]
    assert [d.id for d in claim(store, clock)] == ["d3"]
    assert {d.id: d.state for d in store.deliveries_about("Appointment/a1")} == {
        "d1": State.SUPERSEDED, "d2": State.SUPERSEDED, "d3": State.DUE,
    }
    assert [e.kind for e in store.timeline("Appointment/a1") if e.delivery == "d1"] == ["owed", "superseded"]


def test_a_letter_in_somebodys_hands_is_not_superseded(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.owe(owed("d1", clock.now)))
    claim(store, clock)
    store.write(lambda tx: tx.owe(owed("d2", clock.now)))
    assert store.delivery("d1").state is State.DUE  # type: ignore[union-attr]


def test_what_a_dead_worker_held_comes_back_after_its_lease(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.owe(owed("d1", clock.now)))
    assert claim(store, clock, owner="dead")
    assert claim(store, clock) == []
    clock.forward(seconds=61)
    assert [d.id for d in claim(store, clock)] == ["d1"]


def test_two_processes_never_hold_the_same_letter(store: Store, store_url: str, tmp_path: Path, clock: Clock) -> None:
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, key=None)) for n in range(60)])
    other = opened(store_url, tmp_path, clock)
    held: list[str] = []

    def work(which: Store, name: str) -> None:
        while found := which.claim({"visma-profil": 3}, clock.now, MINUTE, name):
            held.extend(d.id for d in found)

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(work, which, f"w{n}") for n, which in enumerate((store, other, store, other))]:
            one.result()
    other.close()
    assert sorted(held) == sorted(f"d{n}" for n in range(60))


def test_every_try_sends_the_same_bytes(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.owe(owed("d1", clock.now)))
    (d1,) = claim(store, clock)
    parcel = Parcel({"content-type": "multipart/related"}, b"sealed")
    sealed = store.write(lambda tx: tx.keep_parcel(d1, parcel))
    assert sealed.parcel is not None and store.parcel(sealed.parcel) == parcel
    assert store.delivery("d1").parcel == sealed.parcel  # type: ignore[union-attr]


@given(st.sampled_from(State), st.lists(st.sampled_from(Step), max_size=12))
def test_no_step_leaves_the_table_and_a_pair_outside_it_is_an_error(start: State, steps: list[Step]) -> None:
    delivery = Delivery("d", "a", "booking", "Appointment/1", start, NOW, NOW + timedelta(hours=1), NOW)
    for step in steps:
        if (delivery.state, step) not in NEXT:
            with pytest.raises(Impossible):
                delivery.after(step, NOW, Patience())
            continue
        after = delivery.after(step, NOW, Patience())
        assert after.state is NEXT[delivery.state, step] and after.id == delivery.id and after.due_at >= NOW
        delivery = after


def test_without_an_answer_due_arriving_is_the_end() -> None:
    delivery = Delivery("d", "a", "receipt", "Appointment/1", State.SENT, NOW, NOW, NOW, answer_due=False)
    assert delivery.after(Step.ARRIVED, NOW, Patience()).state is State.ACCEPTED


def test_pauses_grow_and_the_last_repeats() -> None:
    delivery = Delivery("d", "a", "booking", "Appointment/1", State.DUE, NOW, NOW + timedelta(days=3), NOW)
    waits = []
    for _ in range(7):
        delivery = delivery.after(Step.UNAVAILABLE, NOW, Patience())
        waits.append(delivery.due_at - NOW)
    assert waits == sorted(waits) and waits[-1] == waits[-2] == timedelta(hours=12)


def test_each_state_is_waiting_or_final_and_can_be_reached() -> None:
    assert set(State) == FINAL | BLOCKING | {State.ARRIVED}
    assert set(NEXT.values()) == set(State)


SEARCHES = {
    "one patient, one week": Query("Appointment", (
        ReferenceIs("patient", (("Patient", "p1"),)), DateIs("date", (("ge", micros(NOW), micros(NOW)),), main=True))),
    "identifier": Query("Appointment", (TokenIs("identifier", (("https://example.org/shop", "B-a1"),)),)),
    "status and day": Query("Appointment", (
        TokenIs("status", ((None, "booked"),)), DateIs("date", (("ge", micros(NOW), micros(NOW)),), main=True))),
    "id": Query("Appointment", (IdIs(("a1",)),)),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_never_reads_a_whole_table(store: Store, name: str, clock: Clock) -> None:
    store.write(lambda tx: [tx.keep(appointment(f"a{n}", f"p{n % 40}"), origin="x") for n in range(400)])
    sql, at = conditions(SEARCHES[name])
    plan = explain(store, sql.text("r.id", f" order by {at}, r.key limit 50"), sql.values)
    assert not any(line.lstrip(" ->").lower().startswith(("scan ", "seq scan")) for line in plan), "\n".join(plan)


def test_the_claim_uses_the_index_of_open_letters(store: Store, clock: Clock) -> None:
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, key=f"Appointment/a{n}")) for n in range(300)])
    plan = explain(store, DUE, ("visma-profil", micros(clock.now), micros(clock.now), 5))
    assert any("delivery_claim" in line for line in plan), "\n".join(plan)


def test_who_is_owed_something_is_found_by_one_look_each_however_much_waits(store: Store, clock: Clock) -> None:
    """The letters of a partner that is down are not walked through to come to the next partner."""
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, key=f"Appointment/a{n}", adapter=f"epj-{n % 3}")) for n in range(300)])
    plan = "\n".join(explain(store, OWING % "(?), (?)", ("epj-1", "epj-2", micros(clock.now), micros(clock.now))))
    assert "delivery_claim" in plan and "delivery_order" in plan and "Join" not in plan, plan
    assert "adapter=?" in plan or 'adapter = "*VALUES*".column1' in plan, plan


def test_who_is_owed_is_who_has_something_that_can_be_claimed(store: Store, clock: Clock) -> None:
    assert store.owing(NAMES, clock.now) == []
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, adapter=f"epj-{n}", key="k")) for n in range(3)])
    store.write(lambda tx: tx.owe(owed("d3", clock.now + MINUTE, adapter="epj-3")))
    assert store.owing(NAMES, clock.now) == ["epj-0", "epj-1", "epj-2"]
    (d0,) = store.claim({"epj-0": 5}, clock.now, MINUTE, "w1")
    store.write(lambda tx: tx.owe(replace(owed("d4", clock.now, adapter="epj-0", key="k"), function="move")))
    assert store.owing(NAMES, clock.now) == ["epj-1", "epj-2"], "what is claimed, and what waits behind it, is not there to take"
    store.write(lambda tx: tx.let_go([d0]))
    assert store.owing(NAMES, clock.now) == ["epj-0", "epj-1", "epj-2"]
    assert store.owing(NAMES, clock.now + MINUTE) == ["epj-0", "epj-1", "epj-2", "epj-3"]


def test_what_a_new_letter_replaces_is_found_by_its_key_however_much_is_due(store: Store, clock: Clock) -> None:
    """While a partner is down all its letters are due: looking through them for each new booking made every booking slower than the last."""
    store.write(lambda tx: [tx.owe(owed(f"d{n}", clock.now, key=f"Appointment/a{n}")) for n in range(300)])
    plan = "\n".join(explain(store, UNTRIED, ("visma-profil", "Appointment/a7", "booking")))
    assert "delivery_order" in plan and ("key=?" in plan or "key = " in plan), plan


def explain(store: Store, sql: str, values: object) -> list[str]:
    """The plan's lines. PostgreSQL is told not to prefer a scan of a small table, so that only a missing index shows."""
    def ask(connection: object) -> list[str]:
        if store._database.sqlite:
            return [row[3] for row in connection.rows(f"explain query plan {sql}", values)]  # type: ignore[attr-defined]
        connection.run("set enable_seqscan to off")  # type: ignore[attr-defined]
        return [row[0] for row in connection.rows(f"explain {sql}", values)]  # type: ignore[attr-defined]

    return store._database.read(ask)
