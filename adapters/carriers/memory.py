"""A carrier that keeps parcels in memory: for a partner that only sends (nothing is owed to it), and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hub.adapter import Surroundings
from hub.message import Parcel


class MemoryCarrier:
    """hub.adapter.Carrier. `sent` holds what was handed over, `waiting` what will be collected."""

    def __init__(self) -> None:
        self.sent: list[Parcel] = []
        self.waiting: list[Parcel] = []

    def send(self, parcel: Parcel) -> Parcel | None:
        self.sent.append(parcel)
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        for parcel in list(self.waiting):
            yield parcel, lambda parcel=parcel: self.waiting.remove(parcel)  # type: ignore[misc]

    def close(self) -> None:
        return


def memory(surroundings: Surroundings) -> MemoryCarrier:
    """The entry point `memory`."""
    return MemoryCarrier()
