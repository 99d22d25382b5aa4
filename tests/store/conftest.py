"""A real store on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_clock import Clock, opened

from hub.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(store_url: str, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = opened(store_url, tmp_path, clock)
    made.migrate()
    made.ready()
    yield made
    made.close()
