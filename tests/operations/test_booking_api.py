"""The booking API over HTTP, with nothing between the shop and the store replaced: the same rules as in the portal, each refusal its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from machines import TOWN, Machines

from adapters.demo.persons import Person
from adapters.demo.shop import Order, planner
from hub.booking import Department
from hub.booking.clock import write
from hub.booking.conventions import with_extension
from hub.problem import Problem

HOME, CENTRE = "hjemmesykepleie", "dagsenter"


class Caller:
    """A shop with a token, and orders that every rule allows."""

    def __init__(self, hub: Machines, token: str = "simple-token", scheme: str = "Bearer") -> None:
        self.http = hub.http(authorization=f"{scheme} {token}")
        self.orders: Iterator[Order] = planner(TOWN, "booking-api", hub.clock.now).orders("B")

    def post(self, path: str, person: Person | None, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        about = {"person": {"value": person.national_id}} if person else {}
        return self.http.post(f"/booking/v1/{path}", json={**about, **fields}, headers=headers or {})

    def times(self, person: Person, department: str, **more: Any) -> list[str]:
        answer = self.post("times", person, department=department, **more)
        assert answer.status_code == 200, answer.text
        return [t["start"] for day in answer.json()["days"] for t in day["times"]]

    def book(self, order: Order, request: str = "", **more: Any) -> httpx.Response:
        return self.post("bookings", order.person, request=request or order.id, department=order.department, start=order.start.isoformat(), **more)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """(status, number), of an answer that is a whole problem."""
    told = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert told["status"] == answer.status_code and told["type"].endswith(told["code"]) and told["title"].endswith(".") and told["detail"]
    return answer.status_code, told["code"]


def change(hub: Machines, department: str, name: str, value: int) -> None:
    kept = hub.parts.store.get("HealthcareService", department)
    assert kept is not None
    hub.parts.store.write(lambda tx: tx.keep(with_extension(kept.resource, name, "Integer", value), origin="hub"))


@pytest.fixture
def shop(either: Machines) -> Caller:
    return Caller(either)


def test_from_what_is_granted_to_a_cancelled_visit(either: Machines, shop: Caller) -> None:
    order = next(shop.orders)
    person, code = order.person, order.department
    before = next(s for s in shop.post("services", person).json()["services"] if s["department"] == code)["balances"][0]
    first = shop.times(person, code)[3]
    held = shop.post("holds", person, request="r1", department=code, start=first)
    assert held.status_code == 200 and held.json()["heldUntil"] == (either.clock.now + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    booked = shop.post("bookings", person, request="r1", department=code, start=first, held=True)
    assert booked.status_code == 201 and booked.json()["status"] == "pending" and booked.json()["statusText"] == "Venter på svar"
    id_, tag = booked.json()["id"], booked.headers["etag"]
    assert booked.headers["location"] == f"/booking/v1/bookings/{id_}"

    after = next(s for s in shop.post("services", person).json()["services"] if s["department"] == code)["balances"][0]
    same_period = before["start"] <= first < before["end"]
    assert after["used"] == before["used"] + (after_costs(after, booked.json()) if same_period else 0)
    assert f"{after['used']} av" in after["text"] or after["unit"] == "minutes"

    assert shop.http.get(f"/booking/v1/bookings/{id_}", headers={"if-none-match": tag}).status_code == 304
    later = shop.times(person, code, moves=id_)[-1]
    moved = shop.post(f"bookings/{id_}/move", person, headers={"if-match": tag}, start=later)
    assert moved.status_code == 200 and moved.json()["start"] == later and moved.headers["etag"] != tag
    stale = shop.post(f"bookings/{id_}/cancel", person, headers={"if-match": tag})
    assert refusal(stale) == (412, "BB-207")
    for seen in ('W/"99"', '"x"'):
        assert refusal(shop.post(f"bookings/{id_}/cancel", person, headers={"if-match": seen})) == (412, "BB-207")
    again = shop.post("bookings", person, request="r1", department=code, start=first)
    assert again.status_code == 200 and again.json()["start"] == later, "the same request moves nothing back"
    assert refusal(shop.post("bookings", person, request="r1", department=code, start=later)) == (409, "BB-111")

    off = shop.post(f"bookings/{id_}/cancel", person, headers={"if-match": moved.headers["etag"]}, reason="Skal på tur")
    assert off.json()["status"] == "cancelled" and off.json()["cancellation"] == {"code": "AAI", "reason": "Skal på tur"}
    assert shop.post(f"bookings/{id_}/cancel", person).status_code == 200, "a cancelled visit can be cancelled twice"
    listed = shop.post("bookings/search", person).json()["bookings"]
    assert [(b["id"], b["status"]) for b in listed] == [(id_, "cancelled")]
    readers = {(line.reader, line.channel) for line in either.parts.store.audit_of(person.reference, 100)}
    assert ("vendor:simple", "booking-api") in readers


def after_costs(balance: dict[str, Any], booking: dict[str, Any]) -> int:
    if balance["unit"] == "visits":
        return 1
    return round((datetime.fromisoformat(booking["end"]) - datetime.fromisoformat(booking["start"])).total_seconds() / 60)


def test_each_bad_order_is_refused_by_its_own_problem_with_other_times_where_that_helps(either: Machines, shop: Caller) -> None:
    order = next(o for o in shop.orders if o.department == CENTRE)
    person, clock = order.person, either.clock

    def told(start: str, department: str = CENTRE, who: Person = person, **more: Any) -> tuple[int, str, bool]:
        answer = shop.post("bookings", who, request=f"bad-{start}-{department}", department=department, start=start, **more)
        number, instead = answer.json()["code"], answer.json().get("alternatives") or []
        if "T" in start and start.endswith(("Z", "00:00")):
            by_fhir(start, department, who, more.get("minutes"), number, [t["start"] for t in instead])
        return *refusal(answer), bool(instead)

    def by_fhir(start: str, department: str, who: Person, minutes: int | None, number: str, instead: list[str]) -> None:
        """The same by POST and by $book: the same number, sentence and other times."""
        kept = either.parts.store.get("HealthcareService", department)
        length = minutes or (Department.of(kept.resource).visit_minutes if kept else 30)
        whom = ({"actor": {"reference": ref}, "status": "accepted"} for ref in (who.reference, f"HealthcareService/{department}"))
        asked = {"resourceType": "Appointment", "status": "proposed", "start": start, "minutesDuration": length, "participant": [*whom],
                 "end": write(datetime.fromisoformat(start) + timedelta(minutes=length))}
        booked = {"resourceType": "Parameters", "parameter": [{"name": "appt-resource", "resource": asked}]}
        for path, body in (("Appointment", asked), ("Appointment/$book", booked)):
            (issue,) = shop.http.post(f"/fhir/{path}", json=body, headers={"content-type": "application/fhir+json"}).json()["issue"]
            assert issue["details"]["coding"][0]["code"] == number and issue["details"]["text"] == Problem(number).text
            assert [e["valuePeriod"]["start"] for e in issue.get("extension", ())] == instead

    night = f"{order.start:%Y-%m-%d}T23:30:00Z"
    assert told(night) == (422, "BB-301", True)
    assert told((order.start + timedelta(days=28)).isoformat()) == (422, "BB-303", True)
    assert told((clock.now - timedelta(days=2)).isoformat()) == (422, "BB-321", True), "past"
    assert told((clock.now + timedelta(minutes=30)).isoformat()) == (422, "BB-304", True), "too short a notice"
    assert told("2027-03-28T02:30:00") == (422, "BB-309", True), "that night has no such time"
    assert told("i morgen")[:2] == (422, "BB-201")
    assert told((order.start + timedelta(minutes=1)).isoformat(), minutes=15) == (422, "BB-322", True), "off the grid"
    assert told(order.start.isoformat(), "finnes-ikke")[:2] == (422, "BB-205")
    without = next(p for p in TOWN.persons if CENTRE not in p.departments)
    assert told(order.start.isoformat(), who=without)[:2] == (422, "BB-305")
    assert refusal(shop.http.post("/booking/v1/services", json={"person": {"value": "01810112345"}})) == (422, "BB-204")

    mine = shop.book(order)
    assert mine.status_code == 201
    overlap = shop.book(order, request="another")
    assert refusal(overlap)[0] in (409, 422) and overlap.json()["code"] in ("BB-308", "BB-306", "BB-302")
    other = next(o for o in shop.orders if o.person != person)
    for path, more in (("move", {"start": order.start.isoformat()}), ("cancel", {})):
        assert refusal(shop.post(f"bookings/{mine.json()['id']}/{path}", other.person, **more)) == (404, "BB-206"), "somebody else's booking"
    assert refusal(shop.http.get("/booking/v1/bookings/finnes-ikke")) == (404, "BB-206")

    change(either, CENTRE, "cancel-minutes", 100_000)
    assert refusal(shop.post(f"bookings/{mine.json()['id']}/cancel", person)) == (422, "BB-304")
    assert len([b for b in shop.post("bookings/search", person).json()["bookings"] if b["department"] == CENTRE]) == 1


def test_what_is_granted_is_used_up_a_hold_runs_out_and_a_taken_time_has_others_beside_it(either: Machines, shop: Caller) -> None:
    order = next(o for o in shop.orders if o.department == HOME)
    person = order.person
    change(either, HOME, "capacity", 1)
    kept = either.parts.store.get("HealthcareService", HOME)
    assert kept is not None
    bare = {**kept.resource, "extension": [e for e in kept.resource["extension"] if not e["url"].endswith("/staffing")]}
    either.parts.store.write(lambda tx: tx.keep(bare, origin="hub"))
    start = shop.times(person, HOME)[5]
    held = {"request": "h", "department": HOME, "start": start}
    assert shop.post("holds", person, **held).status_code == 200
    rival = next(p for p in TOWN.bookable if HOME in p.departments and p != person)
    taken = shop.post("bookings", rival, **held)
    assert refusal(taken) == (409, "BB-302")
    near = [t["start"] for t in taken.json()["alternatives"]]
    assert near and start not in near and near == sorted(near) and set(near) <= set(shop.times(rival, HOME))
    either.clock.forward(minutes=6)
    late = shop.post("bookings", person, **held, held=True)
    assert refusal(late) == (409, "BB-310") and start in [t["start"] for t in late.json()["alternatives"]]
    assert shop.post("holds", person, **held).status_code == 200
    assert shop.post("holds/release", person).status_code == 204
    assert shop.post("bookings", rival, **held).status_code == 201, "a time that was let go is free"

    for number in range(200):
        free = shop.times(person, HOME)
        if not free:
            break
        assert shop.post("bookings", person, request=f"all-{number}", department=HOME, start=free[0]).status_code == 201
        if number == 0:
            overlap = shop.post("bookings", person, request="over", department=HOME, start=free[0])
            assert refusal(overlap) == (422, "BB-308")
    day = datetime.fromisoformat(start) + timedelta(days=1)
    codes = {shop.post("holds", person, request=f"x{n}", department=HOME, start=(day + timedelta(minutes=15 * n)).isoformat()).json()["code"] for n in range(40)}
    assert "BB-306" in codes


def test_twenty_at_once_with_one_request_are_one_booking(either: Machines, shop: Caller) -> None:
    order = next(shop.orders)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: shop.book(order), range(20)))
    assert {a.status_code for a in answers} <= {200, 201} and len({a.json()["id"] for a in answers}) == 1
    assert len(shop.post("bookings/search", order.person).json()["bookings"]) == 1


def test_a_relative_books_with_a_mandate_and_a_client_where_it_may(hub: Machines) -> None:
    shop = Caller(hub)
    consents = [r for r in TOWN.resources if r["resourceType"] == "Consent" and r["status"] == "active"]
    may = {c["provision"]["actor"][0]["reference"]["reference"]: c["patient"]["reference"] for c in consents
           if any(k["code"] == "bestille" for code in c["provision"]["code"] for k in code["coding"])}
    open_to = {p.reference: p for p in TOWN.bookable}
    relative, person = next((r, open_to[p]) for r in TOWN.relatives if (p := may.get(r.reference)) in open_to and shop.post(
        "services", open_to[p], relative={"value": r.national_id}).status_code == 200)
    code = person.departments[0]
    start = shop.times(person, code)[0]
    asked = {"request": "rel", "department": code, "start": start}
    stranger = next(r for r in TOWN.relatives if may.get(r.reference) != person.reference)
    assert refusal(shop.post("bookings", person, relative={"value": stranger.national_id}, **asked)) == (403, "BB-208")
    made = shop.post("bookings", person, relative={"value": relative.national_id}, **asked)
    assert made.status_code == 201
    off = shop.post(f"bookings/{made.json()['id']}/cancel", person, relative={"value": relative.national_id})
    assert off.json()["cancellation"]["code"] == "APVAI"

    token = hub.ask(scope="system/Appointment.cruds system/Slot.rs").json()["access_token"]
    narrow = Caller(hub, token)
    centre = next(o for o in shop.orders if o.department == CENTRE)
    assert refusal(narrow.book(centre)) == (422, "BB-205"), "a department that is not its own"
    theirs = shop.book(centre).json()["id"]
    assert refusal(narrow.http.get(f"/booking/v1/bookings/{theirs}")) == (404, "BB-206")
    assert narrow.post("bookings/search", centre.person).json()["bookings"] == []
    assert refusal(narrow.post("services", centre.person)) == (403, "BB-423"), "its token is not good for services"
    assert hub.http().post("/booking/v1/services", json={}).status_code == 401
    home = next(o for o in shop.orders if o.department == HOME)
    assert narrow.book(home).status_code == 201


def test_a_series_and_the_waiting_list_by_json(either: Machines, shop: Caller) -> None:
    order = next(o for o in shop.orders if o.department == CENTRE)
    person, day = order.person, f"{order.start:%Y-%m-%d}"
    made = shop.post("series", person, request="s", department=CENTRE, start=order.start.isoformat(), last="2026-12-20")
    assert made.status_code == 201 and made.json()["booked"]
    assert all(s["code"].startswith("BB-3") and s["text"] for s in made.json()["skipped"])
    assert shop.post("series", person, request="s", department=CENTRE, start=order.start.isoformat(), last="2026-12-20").json()["id"] == made.json()["id"]
    listed = shop.post("series/search", person).json()["series"]
    assert [s["id"] for s in listed] == [made.json()["id"]] and listed[0]["last"] == "2026-12-20"
    other = next(p for p in TOWN.bookable if p != person)
    assert refusal(shop.post(f"series/{made.json()['id']}/end", other)) == (404, "BB-206")
    assert shop.post(f"series/{made.json()['id']}/end", person).status_code == 204
    assert shop.post("series/search", person).json()["series"] == []

    change(either, CENTRE, "capacity", 1)
    kept = either.parts.store.get("HealthcareService", CENTRE)
    assert kept is not None
    bare = {**kept.resource, "extension": [e for e in kept.resource["extension"] if not e["url"].endswith("/staffing")]}
    either.parts.store.write(lambda tx: tx.keep(bare, origin="hub"))
    waiter = next(p for p in TOWN.bookable if CENTRE in p.departments and p != person and day in "".join(shop.times(p, CENTRE)))
    free = [t for t in shop.times(waiter, CENTRE) if t.startswith(day)]
    hours = {"days": [day], "from": "00:00", "to": "00:00"}
    assert refusal(shop.post("waiting", waiter, request="w", department=CENTRE, **hours)) == (409, "BB-313")
    fill(either, CENTRE, day)
    assert not [t for t in shop.times(waiter, CENTRE) if t.startswith(day)]
    waits = shop.post("waiting", waiter, request="w", department=CENTRE, **hours)
    assert waits.status_code == 201
    id_ = waits.json()["id"]
    assert shop.post("waiting", waiter, request="w", department=CENTRE, **hours).json()["id"] == id_
    either.parts.store.write(lambda tx: tx.free_seats("fill"))
    either.parts.waiting.offering.everywhere(either.parts.store)
    offer = shop.post("waiting/search", waiter).json()["waiting"][0]["offer"]
    assert offer["start"] in free
    assert refusal(shop.post(f"waiting/{id_}/accept", other)) == (404, "BB-206")
    booked = shop.post(f"waiting/{id_}/accept", waiter)
    assert booked.status_code == 200 and booked.json()["id"] == id_ and booked.json()["start"] == offer["start"]
    assert shop.post("waiting/search", waiter).json()["waiting"] == []


def fill(hub: Machines, department: str, day: str) -> None:
    """Takes every seat of a day."""
    def work(tx: Any) -> None:
        for kept in tx.find("Slot"):
            if kept.id.startswith(f"{department}-{day.replace('-', '')}"):
                try:
                    tx.attempt(lambda kept=kept: tx.take_seat(kept.id, "fill", 1))
                except Exception as full:
                    assert "FULL" in str(full)
    hub.parts.store.write(work)


def test_bodies_that_are_no_order_are_told_where(hub: Machines) -> None:
    shop = Caller(hub)
    person = next(shop.orders).person
    def raw(body: bytes, kind: str = "application/json", path: str = "bookings") -> httpx.Response:
        return shop.http.post(f"/booking/v1/{path}", content=body, headers={"content-type": kind})
    assert refusal(raw(b"{")) == (400, "BB-101")
    assert refusal(raw(b'{"person": 1, "person": 2}')) == (400, "BB-101")
    assert refusal(raw(b"[]")) == (400, "BB-101")
    assert refusal(raw(b"{}", "text/plain")) == (415, "BB-407")
    assert refusal(raw(b" " * 70_000)) == (413, "BB-102")
    assert refusal(shop.http.get("/booking/v1/bookings")) == (405, "BB-408")
    assert refusal(shop.http.get("/booking/v1/nothing")) == (404, "BB-401")
    wrong = shop.post("bookings", person, request="r", department=HOME, start="2026-11-30T08:00:00Z", minutes="15")
    assert refusal(wrong) == (422, "BB-201") and wrong.json()["pointer"] == "/minutes"
    unknown = shop.post("bookings", person, request="r", department=HOME, start="x", **{person.national_id: 1})
    assert refusal(unknown) == (422, "BB-201") and person.national_id not in unknown.text
    assert refusal(shop.post("bookings/search", person, **{"from": "2026-12-01", "to": "2026-11-01"})) == (422, "BB-201")
    assert person.national_id not in shop.post("services", person).text


def test_odd_calls_of_other_shops_get_right_answers(either: Machines, shop: Caller) -> None:
    order = next(shop.orders)
    person, code = order.person, order.department
    for first, last in (("9999-12-01", "9999-12-31"), ("0001-01-01", "0001-01-31"), ("2026-12-20", "2026-12-10")):
        for path, more in (("bookings/search", {}), ("times", {"department": code})):
            assert refusal(shop.post(path, person, **{"from": first, "to": last}, **more)) == (422, "BB-201"), (path, first)
    body = json.dumps({"person": {"value": person.national_id}}).encode()
    assert shop.http.post("/booking/v1/services", content=b"\xef\xbb\xbf" + body, headers={"content-type": "application/json"}).status_code == 200
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert refusal(shop.http.post("/booking/v1/services", content=body, headers=packed)) == (415, "BB-407")
    assert refusal(shop.http.get("/booking/v1")) == refusal(shop.http.get("/booking/v1/")) == (404, "BB-401")
    series = shop.post("series", person, request="s", department=code, start=order.start.isoformat(), skip=["2027-W53"])
    assert refusal(series) == (422, "BB-201") and series.json()["pointer"] == "/skip/0", "a week that the year does not have"
    booked = shop.book(order)
    address, tag = f"/booking/v1/bookings/{booked.json()['id']}", booked.headers["etag"]
    for tags, status in ((tag, 304), ("*", 304), (f'W/"99", {tag}', 304), ('W/"99"', 200), ("odd", 200)):
        assert shop.http.get(address, headers={"if-none-match": tags}).status_code == status, tags
