"""What comes in one turn of the loop goes together, and yet each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from machines import Machines

from hub.faces.guarded import Guarded
from hub.faces.interaction import Answer, Asked
from hub.faces.turn import TOGETHER, Turn
from hub.fhir import definitions
from hub.problem import Problem, Refused
from hub.store import Lacking


def test_what_comes_together_goes_together_and_who_must_ask_goes_alone() -> None:
    parts: list[int] = []

    def together(items: Sequence[int]) -> list[Future[str]]:
        parts.append(len(items))
        if 999 in items:
            raise OSError("nothing was kept")
        told: list[Future[str]] = [Future() for _ in items]
        for item, each in zip(items, told, strict=True):
            if item < 0:
                each.set_exception(ValueError(str(item)) if item < -1 else Lacking("asked", lambda: None))
            else:
                each.set_result(f"together {item}")
        return told

    async def run() -> list[str | BaseException]:
        turn: Turn[int, str] = Turn(pool, together, lambda item: f"alone {item}")
        gone = turn(5)
        gone.cancel()  # whoever waited went away
        every = await asyncio.gather(*[turn(item) for item in (1, -1, -2, *range(10, 10 + TOGETHER))], return_exceptions=True)
        lost = await asyncio.gather(turn(999), turn(1), return_exceptions=True)
        return [*every, *lost]

    with ThreadPoolExecutor(2) as pool:
        found = asyncio.run(run())
    assert sorted(parts, reverse=True)[:2] == [TOGETHER, 4] and sum(parts) == 1 + 3 + TOGETHER + 2
    assert found[:2] == ["together 1", "alone -1"] and isinstance(found[2], ValueError)
    assert found[3:-2] == [f"together {n}" for n in range(10, 10 + TOGETHER)]
    assert all(isinstance(each, OSError) for each in found[-2:])


def test_nobody_waits_for_what_one_of_them_is_still_told() -> None:
    """A refused booking is told what else is free, which takes longer than the refusal did."""
    slow: Future[str] = Future()

    def together(items: Sequence[int]) -> list[Future[str]]:
        told: list[Future[str]] = [slow if item == 0 else Future() for item in items]
        for item, each in zip(items, told, strict=True):
            if item:
                each.set_result(f"{item}")
        return told

    async def run() -> list[str]:
        turn: Turn[int, str] = Turn(pool, together, str)
        first, *others = (turn(item) for item in range(4))
        try:
            quick = await asyncio.wait_for(asyncio.gather(*others), 20)
            assert not first.done()
        finally:
            slow.set_result("0")
        return [*quick, await first]

    with ThreadPoolExecutor(2) as pool:
        assert asyncio.run(run()) == ["1", "2", "3", "0"]


def test_what_else_is_free_is_looked_for_while_the_others_have_their_answers(hub: Machines) -> None:
    known, go, looked = definitions.load(), Event(), []

    def answered(asked: Asked) -> Answer:
        if asked.query == "refused":
            refused = Refused(Problem.FULL, "no seat")
            refused.asked = ("who", "what")
            raise refused
        return Answer(200, b"{}")

    def elsewhen(trouble: Exception) -> Exception:
        looked.append(go.wait(20))
        return trouble

    with ThreadPoolExecutor(2) as pool:
        guarded = Guarded(hub.parts.store, known, hub.clock, answered, lambda path: (), pool, elsewhen)
        refused, other = guarded.together([(Asked("POST", ("Task",), query), False) for query in ("refused", "")])
        assert other.done() and other.result()[0].status == 200
        assert not refused.done()
        go.set()
        assert refused.result()[0].status == 409 and looked == [True]
