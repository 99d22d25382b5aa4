"""A hub on either database with an EPJ in a box behind it, its portal and console over HTTP, and people who write."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))
sys.path.insert(0, str(Path(__file__).parents[1] / "shop"))

from browsing import browser_in
from hubs import World
from pages import application
from playwright.sync_api import Browser
from writing import faces


@pytest.fixture
def world(town_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(town_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite: where the database makes no difference."""
    made = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(application(faces(world)), follow_redirects=False) as made:
        yield made


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)
