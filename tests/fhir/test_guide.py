"""The vendors' guide tells the truth: each of its examples is sent as it stands, in the order in which a new vendor would."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import joserfc.jwt
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from guides import sent
from machines import TOWN, Machines

from adapters.demo.shop import planner

DOCS = Path(__file__).parents[2] / "docs"


def test_every_example_of_the_guide_gets_the_status_it_tells(hub: Machines) -> None:
    """From the free time to the cancelled booking: what one answer gives is what the next example sends."""
    orders = planner(TOWN, "guide", hub.clock.now).orders("G")
    first, order = next(orders), next(orders)
    at = [time.astimezone(hub.clock.now.tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ") for time in (first.start, first.end)]
    names = {"start": order.start.isoformat(), "end": order.end.isoformat(), "patient": order.person.reference, "department": order.department,
             "national_id": order.person.national_id, "base": f"{hub.url}/fhir", "from": at[0], "until": at[1], "service": first.department,
             "person": first.person.reference}
    seen = 0
    with hub.http(authorization="Bearer simple-token") as client:
        for path, _, answer in sent(client, "fhir-api.md", "/fhir", names):
            seen += 1
            if "/$" in path and path.startswith("/Appointment/") and answer.json()["resourceType"] == "Bundle":
                (entry, *_) = answer.json()["entry"]
                told = entry["resource"]
                operation = path.partition("$")[2].partition("?")[0]
                names |= {"find": {"offer": json.dumps(told)}, "hold": {"hold": told.get("id", "")}, "book": {"booking": told.get("id", "")}}.get(operation, {})
        assert seen >= 20
        assert client.get(f"/fhir/Appointment/{names['booking']}").json()["status"] == "cancelled"


def test_the_token_request_of_the_guide_gives_a_token(hub: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [found for found in re.findall(r"```python\n(.*?)```", (DOCS / "fhir-api.md").read_text(encoding="utf-8"), re.DOTALL) if "assertion" in found]
    monkeypatch.setattr(time, "time", lambda: hub.clock.seconds)
    names: dict[str, Any] = {"hub": hub.url, "client_id": "visma", "key": hub.visma, "time": time, "uuid": uuid, "joserfc": joserfc, "httpx": httpx}
    exec(block, names)
    answer = httpx.get(f"{hub.url}/fhir/Appointment", headers={"authorization": f"Bearer {names['token']}"}, trust_env=False)
    assert answer.status_code == 200 and answer.json()["type"] == "searchset"
