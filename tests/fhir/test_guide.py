"""The vendors' guide tells the truth: each of its examples is sent as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from guides import sent
from machines import TOWN, Machines

from adapters.demo.shop import planner


def test_every_example_of_the_guide_gets_the_status_it_tells(hub: Machines) -> None:
    order = next(planner(TOWN, "guide", hub.clock.now).orders("G"))
    names = {"start": order.start.isoformat(), "end": order.end.isoformat(), "patient": order.person.reference, "department": order.department,
             "national_id": order.person.national_id, "base": f"{hub.url}/fhir"}
    with hub.http(authorization="Bearer simple-token") as client:
        assert len(list(sent(client, "fhir-api.md", "/fhir", names))) >= 7
