"""A hub on either database, with its own shop, and its portal over HTTP."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))

from customers import shop_of
from hubs import World
from pages import application, context
from worlds import browser as browser
from worlds import town as town
from worlds import world as world


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(application(context(world.store, world.clock, shop=shop_of(world), messaging=world.messaging)), follow_redirects=False) as made:
        yield made
