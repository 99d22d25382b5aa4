"""docs/booking-api.md tells the truth: each of its examples is sent as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from machines import TOWN, Machines

from adapters.demo.shop import planner

GUIDE = Path(__file__).parents[2] / "docs/booking-api.md"
EXAMPLES = re.findall(r"```http\n(.*?)\n> (\d+)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_example_of_the_booking_guide_gets_the_status_it_tells(either: Machines) -> None:
    plan = planner(TOWN, "booking-guide", either.clock.now)
    order = next(o for o in plan.orders("G") if either.parts.shop.department(o.department).visit_minutes == (o.end - o.start).total_seconds() / 60)
    names = {"start": order.start.isoformat(), "department": order.department, "national_id": order.person.national_id}
    assert len(EXAMPLES) >= 10
    with either.http(authorization="Bearer simple-token") as client:
        for text, status in EXAMPLES:
            for name, value in names.items():
                text = text.replace(f"{{{name}}}", value)
            head, _, body = text.partition("\n\n")
            first, *lines = head.split("\n")
            method, path = first.split(" ", 1)
            headers = dict(line.split(": ", 1) for line in lines)
            answer = client.request(method, f"/booking/v1{path}", headers=headers, content=body.encode())
            assert answer.status_code == int(status), (first, answer.text)
            if path == "/times":
                free = [t["start"] for day in answer.json()["days"] for t in day["times"]]
                names["later"] = next(t for t in free if t > order.end.isoformat())
            if path == "/bookings" and status == "201":
                names["booking"] = answer.json()["id"]
