"""The booking API to a client of one department: what is another's is as what never was, at every address (hub.faces.booking.face.ROUTES)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from machines import TOWN, Machines, hub_on
from test_booking_api import CENTRE, HOME, Caller, change, fill

from adapters.demo.persons import Person
from hub.faces.booking.face import ROUTES


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    vendor = f'[[vendors]]\nname = "one"\ntoken_digest = "{hashlib.sha256(b"one-token").hexdigest()}"\ndepartments = ["{HOME}"]\n'
    with hub_on(tmp_path / "home", town_url, per_minute=100_000, more=vendor) as made:
        yield made


def _said(answer: httpx.Response, id_: str = "") -> tuple[int, str, str | None]:
    return answer.status_code, re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", answer.text.replace(id_, "ID") if id_ else answer.text), answer.headers.get("etag")


def _call(caller: Caller, address: tuple[str, ...], id_: str, person: Person) -> httpx.Response:
    path = "/booking/v1/" + "/".join(address).replace("{id}", id_)
    body = {"person": {"value": person.national_id}, "start": "2026-12-01T09:00:00+01:00"}
    if ROUTES[address][0] == "GET":
        return caller.http.get(path)
    asked = {"move": ("person", "start")}.get(address[-1], ("person",))
    return caller.http.post(path, json={name: body[name] for name in asked})


def test_no_address_tells_of_or_touches_what_another_department_has(hub: Machines) -> None:
    every, one = Caller(hub), Caller(hub, "one-token")
    order = next(o for o in every.orders if o.department == CENTRE and HOME in o.person.departments)
    person, day = order.person, f"{order.start:%Y-%m-%d}"
    searches = ("services", "bookings/search", "series/search", "waiting/search")

    def look() -> list[Any]:
        times = one.post("times", person, department=HOME)
        return [_said(one.post(path, person)) for path in searches] + [_said(times), _said(one.post("times", person, department=CENTRE))]

    before = look()
    assert [answer[0] for answer in before] == [200] * 5 + [422]
    series = every.post("series", person, request="s", department=CENTRE, start=order.start.isoformat(), last="2026-12-20")
    assert series.status_code == 201
    booked = every.post("bookings/search", person).json()["bookings"]
    change(hub, CENTRE, "capacity", 1)
    kept = hub.parts.store.get("HealthcareService", CENTRE)
    assert kept is not None
    bare = {**kept.resource, "extension": [e for e in kept.resource["extension"] if not e["url"].endswith("/staffing")]}
    hub.parts.store.write(lambda tx: tx.keep(bare, origin="hub"))
    fill(hub, CENTRE, day)
    waiter = next(p for p in TOWN.bookable if CENTRE in p.departments and p != person)
    waits = every.post("waiting", waiter, request="w", department=CENTRE, days=[day], **{"from": "00:00", "to": "00:00"})
    assert waits.status_code == 201, waits.text
    now = look()
    assert now[:4] == before[:4] and now[5] == before[5], "its own free times may be fewer: the person is somewhere then"
    newest = hub.parts.store.write(lambda tx: tx.newest())
    for address in (a for a in ROUTES if "{id}" in a):
        for id_ in (series.json()["id"], waits.json()["id"], *(each["id"] for each in booked if each["department"] == CENTRE)):
            whose = waiter if id_ == waits.json()["id"] else person
            unknown, foreign = (_said(_call(one, address, each, whose), each) for each in ("never-was", id_))
            assert unknown == foreign and unknown[0] in (400, 404), (address, unknown, foreign)
    assert hub.parts.store.write(lambda tx: tx.newest()) == newest
