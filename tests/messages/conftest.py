"""A hub on either database with an EPJ in a box behind it, its portal and console over HTTP, and people who write."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))
sys.path.insert(0, str(Path(__file__).parents[1] / "shop"))

from hubs import World
from pages import application
from worlds import browser as browser
from worlds import town as town
from worlds import world as world
from writing import faces


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(application(faces(world)), follow_redirects=False) as made:
        yield made
