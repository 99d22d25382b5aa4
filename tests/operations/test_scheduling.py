"""$find, $hold, $book, $cancel and AppointmentResponse over HTTP, with nothing between the client and the store replaced."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from machines import TOWN, Machines, hub_on

from adapters.demo.shop import Order, planner

JSON = {"content-type": "application/fhir+json"}


class Vendor:
    """A client of the API with a token of hub.toml, and orders that every rule allows."""

    def __init__(self, hub: Machines, token: str = "simple-token") -> None:
        self.http = hub.http(authorization=f"Bearer {token}")
        self.orders: Iterator[Order] = planner(TOWN, "operations", hub.clock.now).orders("O")

    def call(self, name: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.post(f"/fhir/Appointment/{name}", json=body if body is not None else {}, headers={**JSON, **headers})

    def find(self, **more: str) -> Any:
        answer = self.http.get("/fhir/Appointment/$find", params={"start": "2026-11-27T06:00:00Z", "end": "2026-11-28T06:00:00Z", **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def offer(self, order: Order) -> dict[str, Any]:
        """The offer at an order's time, as `$find` gives it."""
        found = self.find(start=order.start.isoformat(), end=(order.start + timedelta(minutes=1)).isoformat(),
                          **{"healthcare-service": order.department, "patient-reference": order.person.reference})
        offers: list[dict[str, Any]] = [e["resource"] for e in found["entry"]]
        assert len(offers) == 1
        return offers[0]


def one(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "searchset" and bundle["total"] == 1
    made: dict[str, Any] = bundle["entry"][0]["resource"]
    return made


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


@pytest.fixture
def vendor(hub: Machines) -> Vendor:
    return Vendor(hub)


def slot(hub: Machines, appointment: dict[str, Any]) -> tuple[str, int]:
    """Status and seats taken of the slot an offer, hold or booking uses."""
    id_ = appointment["slot"][0]["reference"].partition("/")[2]
    kept = hub.parts.store.get("Slot", id_)
    assert kept is not None
    return kept.resource["status"], hub.parts.store.write(lambda tx: tx.seats_taken(id_))


def narrow(hub: Machines, department: str) -> None:
    """One seat at a time in a department."""
    def work(tx: Any) -> None:
        for kept in [tx.get("HealthcareService", department), *(s for s in tx.find("Slot") if s.id.startswith(f"{department}-"))]:
            tx.keep({**kept.resource, "extension": [
                {**e, "valueInteger": 1} if e["url"].endswith("/capacity") else e for e in kept.resource["extension"]
            ]}, origin="hub")
    hub.parts.store.write(work)


@pytest.mark.spec("facts/fhir", "3.find")
def test_find_offers_free_times_in_order_and_page_by_page(hub: Machines, vendor: Vendor) -> None:
    every = vendor.find(_count="1000")
    offers = [e["resource"] for e in every["entry"]]
    assert every["total"] == len(offers) > 20 and all(o["status"] == "proposed" for o in offers)
    assert [o["start"] for o in offers] == sorted(o["start"] for o in offers)
    seen: list[dict[str, Any]] = []
    url = "/fhir/Appointment/$find?start=2026-11-27T06:00:00Z&end=2026-11-28T06:00:00Z&_count=7"
    while url:
        page = vendor.http.get(url).json()
        assert page["total"] == len(offers)
        seen += [e["resource"] for e in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert links["self"].startswith(f"{hub.url}/fhir/Appointment/$find?")
        url = links.get("next", "").removeprefix(hub.url)
    assert seen == offers
    some = vendor.find(**{"healthcare-service": "HealthcareService/dagsenter"})
    assert {o["resource"]["participant"][0]["actor"]["reference"] for o in some["entry"]} == {"HealthcareService/dagsenter"}
    kind = some["entry"][0]["resource"]["serviceType"][0]["coding"][0]
    typed = vendor.find(**{"visit-type": f"{kind['system']}|{kind['code']}", "_count": "1000"})
    assert 0 < typed["total"] < every["total"] and vendor.find(**{"visit-type": "http://other|9"})["total"] == 0
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "start", "valueInstant": "2026-11-27T06:00:00Z"}, {"name": "end", "valueInstant": "2026-11-28T06:00:00Z"},
        {"name": "organization", "valueReference": {"reference": "HealthcareService/dagsenter"}}, {"name": "visit-type", "valueCoding": kind},
    ]}
    assert vendor.call("$find", body).json()["total"] == some["total"]


def test_what_is_offered_and_held_reckons_with_the_way_to_the_next_visit(hub: Machines, vendor: Vendor) -> None:
    order = next(vendor.orders)
    narrow(hub, order.department)
    offers = [e["resource"] for e in vendor.find(**{"healthcare-service": order.department, "_count": "1000"})["entry"]]
    first, second = next((a, b) for a, b in itertools.pairwise(offers) if a["end"] == b["start"])
    url = "https://besoksbro.example/fhir/StructureDefinition/buffer-minutes"

    def travel(tx: Any) -> None:
        service = tx.get("HealthcareService", order.department).resource
        others = [e for e in service["extension"] if e["url"] != url]
        tx.keep({**service, "extension": [*others, {"url": url, "valueInteger": 10}]}, origin="hub")

    hub.parts.store.write(travel)
    one(vendor.call("$hold", second))
    left = {e["resource"]["start"] for e in vendor.find(**{"healthcare-service": order.department, "_count": "1000"})["entry"]}
    assert first["start"] not in left, "whoever makes the first visit is still on the way when the second begins"
    assert number(vendor.call("$hold", first)) == (409, "BB-302")


@pytest.mark.spec("facts/fhir", "3.find")
def test_find_means_a_start_in_the_range_never_the_past_and_says_what_it_ignored(hub: Machines, vendor: Vendor) -> None:
    first = vendor.find()["entry"][0]["resource"]
    later = (datetime.fromisoformat(first["start"]) + timedelta(minutes=1)).isoformat()
    assert first["start"] not in [e["resource"]["start"] for e in vendor.find(start=later)["entry"]]
    for wrong in (
        {"start": "2026-11-20T06:00:00Z", "end": "2026-11-21T06:00:00Z"}, {"start": "2026-11-28T06:00:00Z", "end": "2026-11-27T06:00:00Z"},
        {"start": "2026-11-27T06:00:00Z", "end": "2027-02-27T06:00:00Z"}, {"start": "x", "end": "y"}, {"start": "2026-11-27T06:00:00Z"},
        {"start": "2026-11-27T06:00:00Z", "end": "2026-11-28T06:00:00Z", "_count": "-1"},
        {"start": "2026-11-27T06:00:00Z", "end": "2026-11-28T06:00:00Z", "patient-reference": "Patient/../x"},
    ):
        assert vendor.http.get("/fhir/Appointment/$find", params=wrong).status_code in (400, 422), wrong
    lenient = vendor.find(practitioner="Practitioner/1")
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"
    strict = vendor.http.get("/fhir/Appointment/$find?start=2026-11-27T06:00:00Z&end=2026-11-28T06:00:00Z&practitioner=1",
                             headers={"prefer": "handling=strict"})
    assert number(strict) == (400, "BB-403")
    beyond = vendor.find(start="2026-12-10T23:00:00Z", end="2026-12-20T06:00:00Z")
    assert beyond["total"] == 0 and "entry" not in beyond


@pytest.mark.spec("facts/fhir", "3.hold")
def test_an_offer_is_held_booked_and_cancelled_and_its_seat_follows(either: Machines) -> None:
    vendor = Vendor(either)
    order = next(vendor.orders)
    narrow(either, order.department)
    offer = vendor.offer(order)
    held = one(vendor.call("$hold", offer))
    assert held["status"] == "pending" and held["id"].startswith("hold-")
    until = next(e["valueInstant"] for e in held["extension"] if e["url"].endswith("/held-until"))
    assert datetime.fromisoformat(until) - either.clock.now == timedelta(minutes=10)
    assert slot(either, offer) == ("busy-tentative", 1)
    assert vendor.find(start=offer["start"], end=offer["end"], **{"healthcare-service": order.department})["total"] == 0
    assert number(vendor.call("$hold", offer)) == (409, "BB-302")
    assert number(vendor.call("$book", offer)) == (409, "BB-302")
    booked = one(vendor.call("$book", held))
    assert booked["status"] == "pending" and booked["start"] == offer["start"] and slot(either, offer) == ("busy", 1)
    assert one(vendor.call("$book", held)) == booked  # the same again is the same booking
    assert vendor.http.get(f"/fhir/Appointment/{booked['id']}").json() == booked
    cancelled = one(vendor.http.post(f"/fhir/Appointment/{booked['id']}/$cancel", headers={"if-match": f'W/"{booked["meta"]["versionId"]}"'}))
    assert cancelled["status"] == "cancelled" and slot(either, offer) == ("free", 0)
    assert vendor.offer(order) == offer
    kinds = {entry.kind for entry in either.parts.store.timeline(f"Appointment/{booked['id']}")}
    assert kinds >= {"book", "cancel", "version"}


def test_a_hold_may_be_booked_by_its_id_alone_and_given_back(hub: Machines, vendor: Vendor) -> None:
    order = next(vendor.orders)
    offer = vendor.offer(order)
    held = one(vendor.call("$hold", offer))
    by_reference = {"resourceType": "Parameters", "parameter": [
        {"name": "appt-reference", "valueReference": {"reference": f"Appointment/{held['id']}"}},
        {"name": "patient-reference", "valueReference": {"reference": order.person.reference}},
    ]}
    booked = one(vendor.call("$book", by_reference))
    assert (booked["start"], booked["end"]) == (offer["start"], offer["end"])
    order = next(vendor.orders)
    offer = vendor.offer(order)
    before = slot(hub, offer)
    held = one(vendor.call("$hold", offer))
    gone = vendor.call("$cancel", {"resourceType": "Parameters", "parameter": [{"name": "appt-reference", "valueReference": {"reference": f"Appointment/{held['id']}"}}]})
    assert gone.status_code == 200 and gone.json()["total"] == 0 and slot(hub, offer) == before
    assert number(vendor.call("$book", {"resourceType": "Parameters", "parameter": [
        {"name": "appt-reference", "valueString": f"Appointment/{held['id']}"}, {"name": "patient-reference", "valueString": order.person.reference},
    ]})) == (409, "BB-310")


@pytest.mark.spec("facts/fhir", "3.hold")
def test_a_hold_that_ran_out_is_anybodys_and_who_comes_late_is_told_which_side_it_was(hub: Machines, vendor: Vendor) -> None:
    order = next(vendor.orders)
    narrow(hub, order.department)
    offer = vendor.offer(order)
    held = one(vendor.call("$hold", offer))
    hub.clock.forward(minutes=10)
    other = one(vendor.call("$hold", offer))
    assert other["start"] == offer["start"]
    assert number(vendor.call("$book", held)) == (409, "BB-310")
    order = next(vendor.orders)
    offer = vendor.offer(order)
    held = one(vendor.call("$hold", offer))
    hub.clock.forward(minutes=11)
    assert hub.parts.shop.sweep() == 2
    assert one(vendor.call("$book", held))["status"] == "pending"  # nobody else wanted it


def test_nobody_else_uses_or_ends_a_hold(hub: Machines, vendor: Vendor) -> None:
    order = next(o for o in vendor.orders if o.department == "hjemmesykepleie")
    narrow(hub, order.department)
    offer = vendor.offer(order)
    held = one(vendor.call("$hold", offer))
    other = Vendor(hub, hub.ask().json()["access_token"])
    assert number(other.call("$book", held)) == (409, "BB-310")
    assert other.call("$cancel", held).status_code == 200 and slot(hub, offer) == ("busy-tentative", 1)
    assert one(vendor.call("$book", held))["status"] == "pending"


@pytest.mark.spec("facts/fhir", "5.7")
def test_of_twenty_bookings_of_one_place_one_is_booked(either: Machines) -> None:
    vendor = Vendor(either)
    order = next(o for o in vendor.orders)
    narrow(either, order.department)
    offer = vendor.offer(order)
    persons = [p for p in TOWN.bookable if order.department in p.departments][:20]
    offers = [{**offer, "participant": [{"actor": {"reference": p.reference}, "status": "accepted"}, offer["participant"][-1]]} for p in persons]
    assert len(offers) == 20
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda offer: vendor.call("$book", offer), offers))
    assert sorted(a.status_code for a in answers)[0] == 200 and sum(a.status_code == 200 for a in answers) == 1
    lost = [number(a) for a in answers if a.status_code != 200]
    assert set(lost) <= {(409, "BB-302"), (422, "BB-305")} and lost.count((409, "BB-302")) >= 10
    assert slot(either, offers[0]) == ("busy", 1)


def test_of_twenty_holds_of_one_place_one_holds(either: Machines) -> None:
    vendor = Vendor(either)
    order = next(o for o in vendor.orders)
    narrow(either, order.department)
    offer = vendor.offer(order)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: vendor.call("$hold", offer), range(20)))
    assert sum(a.status_code == 200 for a in answers) == 1 and {number(a) for a in answers if a.status_code != 200} == {(409, "BB-302")}


@pytest.mark.spec("facts/fhir", "3.hold")
def test_a_hold_survives_a_restart(tmp_path: Any, town_url: str) -> None:
    with hub_on(tmp_path / "home", town_url) as hub:
        vendor = Vendor(hub)
        order = next(vendor.orders)
        narrow(hub, order.department)
        offer = vendor.offer(order)
        held = one(vendor.call("$hold", offer))
    with hub_on(tmp_path / "home", town_url, fresh=False) as hub:
        vendor = Vendor(hub)
        assert number(vendor.call("$hold", offer)) == (409, "BB-302")
        assert one(vendor.call("$book", held))["start"] == offer["start"]


def test_a_booking_is_moved_by_booking_it_at_another_time(hub: Machines, vendor: Vendor) -> None:
    order = next(vendor.orders)
    offer = vendor.offer(order)
    booked = one(vendor.call("$book", offer))
    free = [e["resource"] for e in vendor.find(**{"healthcare-service": order.department, "_count": "1000", "start": "2026-11-27T00:00:00Z", "end": "2026-12-05T00:00:00Z"})["entry"]]
    for time in free:
        moved = vendor.call("$book", {**booked, "start": time["start"], "end": time["end"]})
        if moved.status_code == 200 and time["start"] != booked["start"]:
            break
    assert one(moved)["start"] == time["start"] and one(moved)["id"] == booked["id"]
    stale = vendor.call("$book", {**booked, "start": offer["start"], "end": offer["end"]})
    assert number(stale) == (412, "BB-207")


def test_rules_and_bad_input_are_coded_answers(hub: Machines, vendor: Vendor) -> None:
    order = next(vendor.orders)
    offer = vendor.offer(order)
    other = next(p for p in TOWN.persons if p not in TOWN.bookable)
    stranger = {**offer, "participant": [{"actor": {"reference": other.reference}, "status": "accepted"}, offer["participant"][-1]]}
    assert number(vendor.call("$book", stranger)) == (422, "BB-305")
    assert number(vendor.call("$book", {**offer, "start": "2026-11-27T02:00:00Z", "end": "2026-11-27T02:30:00Z"}))[0] == 422
    assert number(vendor.call("$hold", {**offer, "start": offer["start"][:-4] + "7:00Z"}))[0] == 422
    assert number(vendor.call("$hold", {**offer, "start": "2027-03-01T09:00:00Z", "end": "2027-03-01T09:30:00Z"})) == (422, "BB-303")
    for body in (b"{", b'{"a":1,"a":2}', b'{"resourceType":"Appointment","x":NaN}', b"[" * 5000, b"\xff", b"[]", b"7"):
        answer = vendor.http.post("/fhir/Appointment/$book", content=body, headers=JSON)
        assert number(answer) == (400, "BB-101"), body[:20]
    assert number(vendor.http.post("/fhir/Appointment/$book", content=b"x" * 2_000_000, headers=JSON)) == (413, "BB-102")
    for odd in ({"resourceType": "Patient"}, {}, {"resourceType": "Bundle", "entry": []}, {**offer, "participant": "x"}, {**offer, "start": 7},
                {**offer, "participant": [7]}, {**offer, "identifier": [{"value": 7, "system": "x"}], "start": None}, {**offer, "extension": [None]},
                {**offer, "participant": [{"actor": {"identifier": "x"}, "status": "accepted"}]}, {**offer, "id": 7}, {**offer, "meta": "x"}):
        assert vendor.call("$book", odd).status_code == 422, odd
    assert vendor.http.get("/fhir/Appointment/$book").status_code == 405
    assert number(vendor.http.post("/fhir/Appointment/$book", content=b"<a/>", headers={"content-type": "application/xml"})) == (400, "BB-101")
    assert vendor.http.post("/fhir/Appointment/$book", content=b"a", headers={"content-type": "text/plain"}).status_code == 415
    assert number(vendor.http.post("/fhir/Appointment/unknown/$cancel")) == (404, "BB-206")
    assert vendor.call("$book", offer, **{"if-match": "x"}).status_code == vendor.call("$book", offer, **{"if-match": "*"}).status_code == 412
    booked = one(vendor.call("$book", {**offer, "identifier": [{"system": "urn:x", "value": "guarded"}]}))
    assert vendor.call("$book", booked, **{"if-match": '"98", "99"'}).status_code == 412, "it is moved by who has seen it"
    assert vendor.call("$book", booked, **{"if-match": f'"99", W/"{booked["meta"]["versionId"]}"'}).status_code == 200
    assert vendor.http.post(f"/fhir/Appointment/{booked['id']}/$cancel").status_code == 200
    mirrored = vendor.call("$hold", offer, **{"x-request-id": "r", "x-correlation-id": "c"})
    assert (mirrored.headers["x-request-id"], mirrored.headers["x-correlation-id"]) == ("r", "c")


def test_a_vendor_works_in_its_own_departments_and_within_its_scopes(hub: Machines, vendor: Vendor) -> None:
    mine = Vendor(hub, hub.ask().json()["access_token"])
    offered = {e["resource"]["participant"][-1]["actor"]["reference"] for e in mine.find(_count="1000")["entry"]}
    assert offered == {"HealthcareService/hjemmesykepleie"}
    order = next(o for o in vendor.orders if o.department != "hjemmesykepleie")
    offer = vendor.offer(order)
    assert number(mine.call("$hold", offer)) == (403, "BB-208") and number(mine.call("$book", offer)) == (403, "BB-208")
    booked = one(vendor.call("$book", offer))
    assert number(mine.http.post(f"/fhir/Appointment/{booked['id']}/$cancel")) == (404, "BB-206")
    reader = Vendor(hub, hub.ask(scope="system/Appointment.rs").json()["access_token"])
    assert number(reader.call("$book", offer)) == (403, "BB-423") and reader.find()["total"] > 0


@pytest.mark.spec("facts/fhir", "1.2")
def test_an_answer_of_the_service_confirms_or_declines(hub: Machines, vendor: Vendor) -> None:
    order = next(o for o in vendor.orders if o.department == "hjemmesykepleie")
    booked = one(vendor.call("$book", vendor.offer(order)))

    def answer(client: Vendor, status: str, actor: str = "HealthcareService/hjemmesykepleie") -> httpx.Response:
        return client.http.post("/fhir/AppointmentResponse", json={
            "resourceType": "AppointmentResponse", "appointment": {"reference": f"Appointment/{booked['id']}"},
            "actor": {"reference": actor}, "participantStatus": status,
        }, headers=JSON)

    def now() -> dict[str, Any]:
        kept: dict[str, Any] = vendor.http.get(f"/fhir/Appointment/{booked['id']}").json()
        return kept

    assert number(answer(vendor, "accepted")) == (403, "BB-208")  # whoever books does not confirm
    epj = Vendor(hub, hub.ask(hub.assertion(iss="epj", sub="epj")).json()["access_token"])
    assert answer(epj, "tentative").status_code == 201 and now()["status"] == "pending"
    confirmed = answer(epj, "accepted")
    assert confirmed.status_code == 201 and confirmed.json()["resourceType"] == "AppointmentResponse"
    assert now()["status"] == "booked"
    assert {p["status"] for p in now()["participant"]} == {"accepted"}
    assert answer(vendor, "declined", order.person.reference).status_code == 201
    assert now()["status"] == "cancelled"
    assert number(answer(epj, "accepted")) == (422, "BB-307")
    assert answer(epj, "bogus").status_code == 422


PLANS = """
[[clients]]
id = "planner-epj"
issuer = "own"
departments = ["hjemmesykepleie"]
scopes = "system/Appointment.cruds"
jwks_file = "visma.jwks"
may = ["confirm", "assign", "move", "cancel", "complete", "plan"]
"""


def test_an_epj_plans_its_own_visits_over_fhir(tmp_path: Path) -> None:
    with hub_on(tmp_path / "home", "sqlite:///hub.db", per_minute=100_000, more=PLANS) as hub:
        epj = Vendor(hub, hub.ask(hub.assertion(iss="planner-epj", sub="planner-epj")).json()["access_token"])
        kari = next(p for p in TOWN.bookable if "hjemmesykepleie" in p.departments)
        visit = {
            "resourceType": "Appointment", "status": "booked", "start": "2026-11-27T03:00:00Z", "end": "2026-11-27T03:20:00Z",
            "identifier": [{"system": "https://visma.example/besok", "value": "17"}],
            "participant": [{"actor": {"reference": ref}, "status": "accepted"} for ref in (kari.reference, "HealthcareService/hjemmesykepleie")],
        }
        made = epj.http.post("/fhir/Appointment", json=visit, headers=JSON)
        assert (made.status_code, made.json()["status"], "basedOn" in made.json()) == (201, "booked", False), "at night, and on no decision"
        again = epj.http.post("/fhir/Appointment", json=visit, headers=JSON)
        assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
        moved = {**made.json(), "start": "2026-11-27T03:30:00Z", "end": "2026-11-27T03:50:00Z"}
        put = epj.http.put(f"/fhir/Appointment/{made.json()['id']}", json=moved, headers=JSON)
        assert (put.status_code, put.json()["status"], put.json()["start"]) == (200, "booked", "2026-11-27T03:30:00Z")
        asked = {**visit, "status": "proposed", "identifier": [{"system": "https://visma.example/besok", "value": "18"}]}
        assert number(epj.http.post("/fhir/Appointment", json=asked, headers=JSON)) == (403, "BB-208"), "it plans, and asks for nothing"
        plain = Vendor(hub, hub.ask(hub.assertion(iss="epj", sub="epj")).json()["access_token"])
        other = {**visit, "identifier": [{"system": "https://visma.example/besok", "value": "19"}], "start": "2026-11-27T05:00:00Z",
                 "end": "2026-11-27T05:20:00Z"}
        assert number(plain.http.post("/fhir/Appointment", json=other, headers=JSON)) == (403, "BB-208"), "who may not plan"
