"""A calendar that an EPJ owns binds whoever books by FHIR: `$hold`, `$book`, plain REST, and an entry of a Bundle."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "shop"))

from calendars import ADAPTER, Partner
from machines import TOWN, Machines, hub_on
from test_scheduling import JSON, number, one

from adapters.demo.shop import Order, planner

SHOP = f"""
title = "Shop"
party = "shop"
carrier = {{ kind = "memory" }}
seal = {{ kind = "plain" }}
format = {{ kind = "mapped", mapping = "tjenesteshop.toml" }}
wants = []
may = ["book", "move", "cancel"]
answers = "reply"
token_digest = "{hashlib.sha256(b"simple-token").hexdigest()}"
"""


class Days:
    """A calendar with these free times and no others."""

    def __init__(self) -> None:
        self.free: list[tuple[datetime, datetime]] = []

    def calendar(self, _: Any) -> Any:
        slots = [{"resourceType": "Slot", "status": "free", "start": a.isoformat(), "end": b.isoformat()} for a, b in self.free]
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": slot} for slot in slots]}


class Elsewhere:
    """A hub whose home care is in an EPJ's calendar, and a vendor who books there."""

    def __init__(self, hub: Machines, partner: Partner) -> None:
        self.hub, self.partner, self.days = hub, partner, partner.box
        self.http = hub.http(authorization="Bearer simple-token")
        self.orders: Iterator[Order] = (o for o in planner(TOWN, "elsewhere", hub.clock.now).orders("E") if o.department == "hjemmesykepleie")

    def appointment(self, order: Order, **more: Any) -> dict[str, Any]:
        return {
            "resourceType": "Appointment", "status": "proposed", "start": order.start.isoformat(), "end": order.end.isoformat(),
            "identifier": [{"system": "urn:example:epj", "value": order.id}],
            "participant": [{"actor": {"reference": order.person.reference}, "status": "accepted"},
                            {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action"}], **more,
        }

    def says(self, *free: tuple[datetime, datetime]) -> None:
        """From now on these times are free there."""
        self.days.free = list(free)
        self.hub.clock.forward(seconds=11)

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(f"/fhir/{path}", json=body, headers=JSON)


@pytest.fixture
def elsewhere(tmp_path: Path, town_url: str) -> Iterator[Elsewhere]:
    partner = Partner(Days())
    home = tmp_path / "home"
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "epj.toml").write_text(ADAPTER.format(url=partner.url, within="2s"))
    (home / "adapters" / "shop.toml").write_text(SHOP)
    with hub_on(home, town_url, per_minute=100_000) as hub:
        yield Elsewhere(hub, partner)
    partner.close()


def test_every_way_to_book_asks_the_calendar_that_the_epj_owns(elsewhere: Elsewhere) -> None:
    order = next(elsewhere.orders)
    wanted = elsewhere.appointment(order)
    as_entry = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "POST", "url": "Appointment"}, "resource": wanted}]}
    roads = (("Appointment/$hold", wanted), ("Appointment/$book", wanted), ("Appointment", wanted), ("", as_entry))
    for path, body in roads:
        assert number(elsewhere.post(path, body)) == (409, "BB-302"), path
    assert len(elsewhere.partner.asked) == 1, "one answer serves them all while it is fresh"
    elsewhere.partner.status = 500
    elsewhere.says((order.start, order.end))
    for path, body in roads:
        answer = elsewhere.post(path, body)
        assert number(answer) == (503, "BB-901") and int(answer.headers["retry-after"]) > 0, path
    batch = elsewhere.post("", {**as_entry, "type": "batch"}).json()["entry"][0]["response"]
    assert batch["status"].startswith("503")
    elsewhere.partner.status = 200
    elsewhere.says((order.start, order.end))
    held = one(elsewhere.post("Appointment/$hold", wanted))
    elsewhere.says()
    booked = one(elsewhere.post("Appointment/$book", {**wanted, "id": held["id"]}))
    assert booked["status"] == "pending", "what is held was asked about when it was held"
    assert one(elsewhere.post("Appointment/$book", {**wanted, "id": held["id"]}))["id"] == booked["id"], "the same again is the same booking, whatever the calendar says now"


def test_a_move_counts_the_booking_s_own_time_as_free(elsewhere: Elsewhere) -> None:
    order = next(o for o in elsewhere.orders if o.end - o.start == timedelta(minutes=30) or o.end - o.start == timedelta(minutes=15))
    elsewhere.says((order.start, order.end))
    made = elsewhere.post("Appointment", elsewhere.appointment(order))
    assert made.status_code == 201, made.text
    elsewhere.says()
    later = {"start": (order.start + timedelta(days=1)).isoformat(), "end": (order.end + timedelta(days=1)).isoformat()}
    patch = {"headers": {"content-type": "application/merge-patch+json"}, "json": later}
    id_ = made.json()["id"]
    assert number(elsewhere.http.patch(f"/fhir/Appointment/{id_}", **patch)) == (409, "BB-302")
    elsewhere.says((order.start + timedelta(days=1), order.end + timedelta(days=1)))
    moved = elsewhere.http.patch(f"/fhir/Appointment/{id_}", **patch)
    assert moved.status_code == 200, moved.text
    elsewhere.says()
    back = elsewhere.http.patch(f"/fhir/Appointment/{id_}", headers=patch["headers"], json={k: made.json()[k] for k in ("start", "end")})
    assert back.status_code == 409, "it asked for another time and has no confirmed one"


def test_letters_of_a_shop_that_come_together_wait_for_the_calendar_and_are_answered(elsewhere: Elsewhere) -> None:
    """They share a commit, in which nobody is asked: those that need the calendar are taken in once it was."""
    orders = [next(elsewhere.orders) for _ in range(3)]
    elsewhere.says(*((order.start, order.end) for order in orders[:2]))
    bodies = [order.message("OPPRETT") for order in orders]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda body: elsewhere.http.post("/inbox/shop", json=body), bodies))
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[2].json()["problem"]["nummer"] == "BB-302"
    assert len(elsewhere.partner.asked) == 1
