"""A hub on either database, with its own shop, and its portal over HTTP."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))

from browsing import browser_in
from customers import shop_of
from hubs import World
from pages import application, context
from playwright.sync_api import Browser


@pytest.fixture
def world(town_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(town_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(application(context(world.store, world.clock, shop=shop_of(world), messaging=world.messaging)), follow_redirects=False) as made:
        yield made


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite: what a browser sees is the same on both databases."""
    made = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()
