"""A hub of the demo town over HTTP, on either database, and a client that may see every department."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000) as made:
        yield made


@pytest.fixture
def api(hub: Machines) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30) as client:
        yield client
