"""A hub and an EPJ in a box with a Meldingstjener in a box between them, on either database."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))

from edi_wire import Wire
from edi_world import EdiWorld
from openapi import Api


@pytest.fixture(scope="session")
def api(shared: Path) -> Api:
    """What the OpenAPI file says of requests and answers. It is not ours, so it is not in this repo."""
    path = shared / "standards" / "helsenorge" / "msh" / "msh-api-v2.json"
    if not path.is_file():
        pytest.skip("the message service's OpenAPI file is not beside this repo (../shared/standards/helsenorge/msh/msh-api-v2.json)")
    return Api(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def samples(shared: Path) -> Callable[[str], Any]:
    """An official sample of the service's answers."""
    folder = shared / "standards" / "helsenorge" / "msh" / "msh"
    if not folder.is_dir():
        pytest.skip("the message service's samples are not beside this repo (../shared/standards/helsenorge/msh/msh)")
    return lambda name: json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.fixture
def world(town_url: str, tmp_path: Path) -> Iterator[EdiWorld]:
    with EdiWorld.opened(town_url, tmp_path) as made:
        yield made


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[EdiWorld]:
    """For what no database has a say in."""
    with EdiWorld.opened(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path) as made:
        yield made


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """The carrier and the service, without a hub."""
    with Wire.opened(tmp_path) as made:
        yield made
