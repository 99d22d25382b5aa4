"""A world on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hubs import World


@pytest.fixture
def world(town_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(town_url, tmp_path)
    yield made
    made.close()
