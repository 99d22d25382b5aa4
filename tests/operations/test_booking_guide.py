"""docs/booking-api.md tells the truth: each of its examples is sent as it stands."""

from __future__ import annotations

from guides import sent
from machines import TOWN, Machines

from adapters.demo.shop import planner


def test_every_example_of_the_booking_guide_gets_the_status_it_tells(either: Machines) -> None:
    plan = planner(TOWN, "booking-guide", either.clock.now)
    order = next(o for o in plan.orders("G") if either.parts.shop.department(o.department).visit_minutes == (o.end - o.start).total_seconds() / 60)
    names = {"start": order.start.isoformat(), "department": order.department, "national_id": order.person.national_id}
    count = 0
    with either.http(authorization="Bearer simple-token") as client:
        for path, status, answer in sent(client, "booking-api.md", "/booking/v1", names):
            count += 1
            if path == "/times":
                free = [t["start"] for day in answer.json()["days"] for t in day["times"]]
                names["later"] = next(t for t in free if t > order.end.isoformat())
            if path == "/bookings" and status == "201":
                names["booking"] = answer.json()["id"]
    assert count >= 10
