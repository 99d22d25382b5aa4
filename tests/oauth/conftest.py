"""One hub per test, on either database where the store matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import Machines, hub_on


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", "sqlite:///hub.db") as made:
        yield made


@pytest.fixture
def either(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url) as made:
        yield made
