"""Rows 7 and 7b: one patient's week. The FHIR face against the plain floor, and against itself with many more appointments."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.floor import Floor
from bench.measure import Row, ratios
from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions, index
from hub.store import Secrets, Store, Transaction

FEW, MANY = 50_000, int(os.environ.get("BENCH_ROWS", "200000"))
A_PATIENT = 100
START = datetime(2026, 1, 5, tzinfo=UTC)
FROM, TO = "2026-01-12T00:00:00Z", "2026-01-19T00:00:00Z"


def appointment(n: int, patients: int) -> dict[str, Any]:
    """Two a day for each patient, fifty days long."""
    patient, k = n % patients, n // patients
    start = START + timedelta(days=k // 2, hours=8 + 6 * (k % 2))
    text = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "end": (start + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {
        "resourceType": "Appointment", "id": f"a{n}", "identifier": [{"system": "https://example.org/shop", "value": f"B{n:09d}"}],
        "status": "booked", "serviceCategory": [{"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7619", "code": "7"}]}],
        "appointmentType": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7617", "code": "Hjemmebesok"}]}, **text, "minutesDuration": 30,
        "participant": [
            {"actor": {"reference": f"Patient/p{patient}", "type": "Patient"}, "status": "accepted"},
            {"actor": {"reference": "HealthcareService/hjemmesykepleie"}, "status": "accepted"},
            {"actor": {"type": "Practitioner", "display": "Anne"}, "status": "accepted"},
        ],
    }


def rows() -> list[Row]:
    """CPU without the HTTP server, which is the same for both; p50 of the search itself."""
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        small = _loaded(Path(folder) / "few", FEW)
        floor = _floor(Path(folder) / "floor.db", FEW)
        us, plain = _ask(small[1], fhir_query), _ask(floor, floor_query)
        (ratio,), _ = ratios(lambda: plain(FEW), [lambda: us(FEW)])
        p50_few = _p50(us, FEW)
        found = [Row("7", "FHIR search, one patient's week", ratio, "CPU of the plain ASGI + SQLite floor, HTTP server left out on both sides",
                     "≤ 5", "≤ 3", f"p50 {p50_few * 1e6:.0f} µs against {_p50(plain, FEW) * 1e6:.0f} µs")]
        small[0].close()
        large = _loaded(Path(folder) / "many", MANY)
        p50_many = _p50(_ask(large[1], fhir_query), MANY)
        large[0].close()
        tip = "BENCH_ROWS=1000000 for the million"
        detail = f"{MANY} appointments p50 {p50_many * 1e6:.0f} µs, {FEW} p50 {p50_few * 1e6:.0f} µs; loaded {large[2]:.0f}/s ({tip})"
        return [*found, Row("7b", f"the same with {MANY} against {FEW}", p50_many / p50_few, "of p50", "≤ 1.6", "≤ 1.3", detail)]


def _loaded(home: Path, many: int) -> tuple[Store, Rest, float]:
    home.mkdir()
    secrets = Secrets.open(home)
    store = Store.open(
        f"sqlite:///{home}/hub.db", secrets, clock=lambda: datetime.now(UTC), entries=index.indexer(definitions.load(), secrets.hash_id),
    )
    store.migrate()
    patients, began = max(1, many // A_PATIENT), time.perf_counter()
    for first in range(0, many, 2000):
        store.write(lambda tx, first=first: _keep(tx, first, min(first + 2000, many), patients))  # type: ignore[misc]
    rate = many / (time.perf_counter() - began)
    reader = Reader("vendor:bench", Ground.VENDOR, departments=ALL_DEPARTMENTS)
    rest = Rest(store, definitions.load(), lambda token: reader, "http://127.0.0.1/fhir", lambda: datetime.now(UTC), secrets.hash_id)
    return store, rest, rate


def _keep(tx: Transaction, first: int, last: int, patients: int) -> None:
    for n in range(first, last):
        tx.keep(appointment(n, patients), origin="bench")


def _floor(path: Path, many: int) -> Floor:
    floor = Floor(str(path))
    patients = max(1, many // A_PATIENT)
    with sqlite3.connect(path) as connection:
        made = (appointment(n, patients) for n in range(many))
        connection.executemany(
            "insert into a values (?, ?, ?, ?)",
            ((a["id"], a["participant"][0]["actor"]["reference"], a["start"], orjson.dumps(a).decode()) for a in made),
        )
    return floor


def fhir_query(patient: int) -> dict[str, Any]:
    """The request as a vendor sends it."""
    text = f"patient=Patient/p{patient}&date=ge{FROM}&date=lt{TO}&_count=50"
    return {"path": "/Appointment", "query_string": text.encode(), "headers": [(b"authorization", b"Bearer x")]}


def floor_query(patient: int) -> dict[str, Any]:
    """The same question to the floor."""
    return {"path": "/search", "query_string": f"patient=Patient/p{patient}&from={FROM}&to={TO}".encode(), "headers": []}


def _ask(application: Any, query: Callable[[int], dict[str, Any]]) -> Callable[[int], bytes]:
    """One request for a random patient, straight into the application."""
    loop, dice = asyncio.new_event_loop(), random.Random(1)

    def ask(many: int) -> bytes:
        scope = {"type": "http", "method": "GET", "root_path": "", **query(dice.randrange(max(1, many // A_PATIENT)))}
        got: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, Any]) -> None:
            got.append(message)

        loop.run_until_complete(application(scope, receive, send))
        body: bytes = got[1]["body"]
        if body.count(b'"resource":') != 14:
            raise RuntimeError(f"{body.count(b'resource')} hits instead of 14")
        return body

    return ask


def _p50(ask: Callable[[int], bytes], many: int, times: int = 2000) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask(many)
        took.append(time.perf_counter() - began)
    return statistics.median(took)
