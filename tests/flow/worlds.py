"""What the folders whose tests have a whole hub share: a world on either database, one on SQLite, and Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import browser_in
from hubs import World
from playwright.sync_api import Browser


@pytest.fixture
def world(town_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(town_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite: what a browser sees is the same on both databases."""
    made = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)
