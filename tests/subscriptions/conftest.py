"""A hub with clients, on either database, and a receiver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from receivers import Receiver, receiving
from subscribers import Feeding, feeding


@pytest.fixture
def feed(tmp_path: Path, town_url: str) -> Iterator[Feeding]:
    with feeding(tmp_path / "home", town_url) as made:
        yield made


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Feeding]:
    """On one database, where the other adds nothing."""
    with feeding(tmp_path / "home", "sqlite:///hub.db") as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
