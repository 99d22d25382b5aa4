"""Rows S1 to S3: the hub's own shop. Free times of a department, the last places under load on both databases, the daily roll-over."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench.measure import Row, fdatasync_rate
from hub.access import Ground
from hub.booking import Department, slots_of
from hub.booking.clock import local
from hub.booking.conventions import SERVICE_TYPE, url
from hub.customer import Customer, Order
from hub.fhir import definitions, index, validate
from hub.keeping import Keeping
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.rolling import roll_slots
from hub.shop import Shop
from hub.store import Secrets, Store

MONDAY = datetime(2026, 11, 23, 6, tzinfo=UTC)
PERSONS, STAFF, PEOPLE, PLACES, DEPARTMENTS = 1_000, 20, 200, 50, 100
POSTGRES = os.environ.get("BESOKSBRO_POSTGRES", "postgresql://postgres@127.0.0.1:5432")


class _Clock:
    now = MONDAY

    def __call__(self) -> datetime:
        return self.now


def rows() -> Iterator[Row]:
    """On SQLite; the last places on PostgreSQL, too, where one answers."""
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        home = Path(folder)
        yield _free(home / "free")
        for name, database in (("SQLite", _sqlite(home / "last")), ("PostgreSQL", _postgres())):
            with database as url_:
                if url_:
                    yield _last_places(home / name, name, url_)
        yield _roll_over(home / "roll")


def _open(home: Path, address: str = "") -> tuple[Store, Shop, _Clock]:
    home.mkdir(parents=True, exist_ok=True)
    clock, secrets = _Clock(), Secrets.open(home)
    store = Store.open(address or f"sqlite:///{home / 'hub.db'}", secrets, clock=clock, entries=index.indexer(definitions.load(), secrets.hash_id))
    store.migrate()
    return store, Shop(store, Keeping({}, partial(validate.require, definitions=definitions.load()))), clock


def _department(code: str, capacity: int) -> Resource:
    numbers = {"capacity": capacity, "slot-minutes": 15, "horizon-days": 14, "notice-minutes": 120}
    return {
        "resourceType": "HealthcareService", "id": code, "active": True, "name": code, "type": [{"coding": [{"system": SERVICE_TYPE, "code": "1"}]}],
        "availableTime": [{"daysOfWeek": ["mon", "tue", "wed", "thu", "fri"], "availableStartTime": "08:00:00", "availableEndTime": "16:00:00"}],
        "extension": [{"url": url(name), "valueInteger": value} for name, value in numbers.items()],
    }


def _person(n: int) -> list[Resource]:
    return [
        {"resourceType": "Patient", "id": f"p{n}", "active": True},
        {"resourceType": "ServiceRequest", "id": f"d{n}", "status": "active", "intent": "order", "subject": {"reference": f"Patient/p{n}"},
         "code": {"coding": [{"system": SERVICE_TYPE, "code": "1"}]},
         "occurrenceTiming": {"repeat": {"frequency": 7, "period": 1, "periodUnit": "wk"}}},
    ]


def _settle(store: Store, department: Resource, persons: int) -> None:
    made = [department, *(r for n in range(persons) for r in _person(n))]
    for start in range(0, len(made), 500):
        store.write(lambda tx, part=made[start:start + 500]: [tx.keep(r, origin="bench") for r in part])  # type: ignore[misc]
    roll_slots(store)


def _customer(n: int) -> Customer:
    return Customer(f"Patient/p{n}", f"Patient/p{n}", Ground.SELF)


def _free(home: Path) -> Row:
    """Every person has a visit, booked by the rules, so that the department is well filled; then each asks for the free times."""
    store, shop, clock = _open(home)
    _settle(store, _department("a", STAFF), PERSONS)
    times = [t.start for day in shop.free(_customer(0), "a", clock.now) for t in day.times]
    for n in range(PERSONS):
        shop.book(_customer(n), Order("k", "a", times[n % len(times)], 15))
    took = _timed(lambda n: shop.free(_customer(n), "a", clock.now), PERSONS // 2)
    offered = sum(len(day.times) for day in shop.free(_customer(1), "a", clock.now))
    store.close()
    detail = f"{offered} times offered; p99 {took[int(len(took) * 0.99)] * 1e3:.1f} ms; {PERSONS} persons, {STAFF} staff"
    return Row("S1", "free times of a department over 14 days, p50", statistics.median(took) * 1e3, "ms", "≤ 5", "", detail)


def _timed(work: Callable[[int], object], times: int) -> list[float]:
    found = []
    for n in range(times):
        began = time.perf_counter()
        work(n)
        found.append(time.perf_counter() - began)
    return sorted(found)


def _last_places(home: Path, name: str, address: str) -> Row:
    """So many people at once for one time with fewer places: hold, then confirm."""
    store, shop, _ = _open(home, address)
    _settle(store, _department("a", PLACES), PEOPLE)
    start = MONDAY + timedelta(days=1, hours=4)
    answers: list[Problem | None] = []
    took: list[float] = []

    def one(n: int) -> None:
        began, order = time.perf_counter(), Order("k", "a", start, 15)
        try:
            shop.hold(_customer(n), order)
            shop.confirm(_customer(n), order)
            answers.append(None)
        except Refused as refused:
            answers.append(refused.problem)
        took.append(time.perf_counter() - began)

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(one, range(PEOPLE)))
    disk = fdatasync_rate(home)
    store.close()
    if answers.count(None) != PLACES or set(answers) != {None, Problem.FULL}:
        raise RuntimeError(f"{answers.count(None)} of {PLACES} places were booked")
    took.sort()
    detail = f"exactly {PLACES} booked, {PEOPLE - PLACES} refused; p50 {statistics.median(took) * 1e3:.0f} ms; disk {disk:.0f} fdatasync/s"
    return Row("S2", f"{PEOPLE} people at once for the last {PLACES} places, {name}, p99", took[int(PEOPLE * 0.99)], "s", "≤ 1", "", detail)


def _roll_over(home: Path) -> Row:
    """A new day for so many departments."""
    store, _, clock = _open(home)
    store.write(lambda tx: [tx.keep(_department(f"a{n}", 4), origin="bench") for n in range(DEPARTMENTS)])
    roll_slots(store)
    clock.now += timedelta(days=1)
    began = time.perf_counter()
    made = roll_slots(store)
    took = time.perf_counter() - began
    expected = len(slots_of(Department.of(_department("a", 1)), local(clock.now).date() + timedelta(days=14), 1)) * DEPARTMENTS
    store.close()
    if made != expected:
        raise RuntimeError(f"{made} slots were made, not {expected}")
    return Row("S3", f"the daily roll-over of {DEPARTMENTS} departments", took, "s", "≤ 10", "", f"{made} slots made")


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    yield f"sqlite:///{folder / 'hub.db'}"


@contextmanager
def _postgres() -> Iterator[str]:
    """A database of its own; empty where no server answers."""
    name = f"bench_{uuid.uuid4().hex}"
    try:
        admin: Any = psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        yield ""
        return
    with admin:
        admin.execute(f'create database "{name}"')
        yield f"{POSTGRES}/{name}"
        admin.execute(f'drop database "{name}" with (force)')
