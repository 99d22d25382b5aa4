"""What comes in one turn of the loop goes together, and yet each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from hub.faces.turn import TOGETHER, Turn
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
