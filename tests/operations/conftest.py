"""The same hub on a port as the OAuth tests have, on either database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", "sqlite:///hub.db", per_minute=100_000) as made:
        yield made


@pytest.fixture
def either(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000) as made:
        yield made
