"""The vendors' guide tells the truth: each of its examples is sent as it stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from adapters.demo.shop import planner

EXAMPLES = re.findall(r"```http\n(.*?)\n> (\d+)\n```", (Path(__file__).parents[2] / "docs/fhir-api.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000) as made:
        yield made


def test_every_example_of_the_guide_gets_the_status_it_tells(hub: Machines) -> None:
    order = next(planner(TOWN, "guide", hub.clock.now).orders("G"))
    names = {"start": order.start.isoformat(), "end": order.end.isoformat(), "patient": order.person.reference, "department": order.department,
             "national_id": order.person.national_id, "base": f"{hub.url}/fhir"}
    assert len(EXAMPLES) >= 7
    with hub.http(authorization="Bearer simple-token") as client:
        for text, status in EXAMPLES:
            for name, value in names.items():
                text = text.replace(f"{{{name}}}", value)
            head, _, body = text.partition("\n\n")
            first, *lines = head.split("\n")
            method, path = first.split(" ", 1)
            content = body.replace("|", "%7C") if "urlencoded" in head else body
            request = client.build_request(method, f"/fhir{path}", headers=dict(line.split(": ", 1) for line in lines), content=content.encode())
            answer: httpx.Response = client.send(request)
            assert answer.status_code == int(status), (first, answer.text)
