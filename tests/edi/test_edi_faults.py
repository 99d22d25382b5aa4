"""Whatever goes wrong between hub, message service and EPJ: nothing is lost, nothing counts twice, and order is kept."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from edi_world import EPJ, HUB, NAME, EdiWorld
from hypothesis import given, settings
from hypothesis import strategies as st
from test_flow import status

from adapters.epj.meldingstjener import DROPPED, LOST, Fault, Request
from ebxml import apprec
from hub.delivery import State

RIGHT: list[int | str] = [0, 0, 0]
KINDS = st.sampled_from([*RIGHT, 500, 503, 429, 404, 401, LOST, LOST, DROPPED])


@settings(max_examples=12)
@given(kinds=st.lists(KINDS, min_size=8, max_size=80), restarts=st.sets(st.integers(0, 9), max_size=4), twice=st.booleans(), looks=st.booleans())
def test_nothing_is_lost_and_nothing_counts_twice_whatever_goes_wrong(kinds: list[int | str], restarts: set[int], twice: bool, looks: bool) -> None:
    """`looks`: the service lets the hub look for a lost letter among what the EPJ has not read."""
    with tempfile.TemporaryDirectory() as folder, EdiWorld.opened(f"sqlite:///{folder}/hub.db", Path(folder)) as world:
        if looks:
            object.__setattr__(world.service.sts.clients["hub"], "her_ids", frozenset({int(HUB), int(EPJ)}))
        id_, owed = world.booked()
        left = list(kinds)

        def fault(request: Request) -> Fault | None:
            kind = left.pop(0) if left and request.path.startswith("/Messages") else 0
            return Fault(kind) if kind else None

        world.service.fault, world.service.twice = fault, twice
        for turn in range(10):
            world.deliver()
            world.epj_looks()
            world.hub_looks()
            world.clock.now += world.adapters[NAME].patience.pauses[0]
            if turn in restarts:  # another process, which knows what is on the disk
                world.carrier_.close()
                world.adapters[NAME] = world.made()
        left.clear()
        for delivery in world.store.deliveries((State.FAILED,), NAME, None, 99):
            raise AssertionError(f"{delivery.function} failed: {delivery.note}")
        world.clock.now += world.adapters[NAME].patience.receipt_within
        world.goes_on()
        assert world.state(owed) is State.ACCEPTED
        assert status(world, id_) == world.box.records.visit(id_).status and status(world, id_) != "pending"  # type: ignore[union-attr]
        _once_each(world)


def _once_each(world: EdiWorld) -> None:
    """Every document was taken in once, and every statement was answered with one word."""
    said = {kept.document_id for kept in world.service.to(HUB)}
    filed = Counter(e.id for e in world.store.envelopes(NAME, None, None, None, 999))
    assert said <= set(filed) and max(filed[id_] for id_ in said) == 1
    answers = Counter((read.original_id, read.status) for kept in world.service.to(EPJ, receipts=True) for read in [apprec.read(kept.body)])
    assert {id_ for id_, _ in answers} == said and len(answers) == len(said), "no statement without an answer, none with two that differ"
    assert all(kept.read for kept in world.service.messages)
    ours = Counter(kept.document_id for kept in world.service.to(EPJ))
    assert world.box.records.report()["letters"] == len(ours) + len({kept.document_id for kept in world.service.to(EPJ, receipts=True)})
