"""A clock that stands still, and a store with the real index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.fhir import definitions, index
from hub.store import Secrets, Store


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


def opened(url: str, home: Path, clock: Clock) -> Store:
    secrets = Secrets.open(home)
    return Store.open(url, secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))
