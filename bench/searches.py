"""Rows 7, 7b and 7e: one patient's week. The FHIR face against the plain floor, and against itself with many more appointments."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from adapters.demo.processes import free_ports
from bench.clients import get_all
from bench.floor import Floor, PostgresFloor
from bench.measure import Row, ratios
from bench.servers import TOKEN, Server, databases, hub, listening, load, open_store
from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions
from hub.store import Secrets, Store

FEW, MANY = 50_000, int(os.environ.get("BENCH_ROWS", "200000"))
MANY_POSTGRES = int(os.environ.get("BENCH_ROWS_POSTGRES", str(MANY)))
A_PATIENT = 100
ROUNDS = 7
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


def rows() -> Iterator[Row]:
    """On each database: CPU without the HTTP server, which is the same for both; p50 in turns, so that both meet the same machine."""
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        for name in ("SQLite", "PostgreSQL"):
            with databases(Path(folder) / "few") as few, databases(Path(folder) / "many") as many:
                if name in few:
                    yield from _on(name, few[name], many[name], Path(folder))
                if name == "SQLite":
                    yield _served(few[name], Path(folder))


def _on(name: str, few: str, many: str, folder: Path) -> Iterator[Row]:
    rows = MANY if name == "SQLite" else min(MANY, MANY_POSTGRES)
    small, large = _loaded(folder / f"few-{name}", few, FEW), _loaded(folder / f"many-{name}", many, rows)
    floor = Floor(str(folder / "floor.db")) if name == "SQLite" else PostgresFloor(few)
    floor.fill(_plain(FEW))
    us, plain, wide = ask(small.rest, fhir_query, FEW), ask(floor, floor_query, FEW), ask(large.rest, fhir_query, rows)
    (ratio,), _ = ratios(plain, [us])
    ours, p50_plain, p50_wide = p50([us, plain, wide])
    before = _memory()
    for _ in range(5000):
        wide()
    grown = _memory() - before
    yield Row("7", f"FHIR search, one patient's week, {name}", ratio, "CPU of the plain ASGI + SQL floor, HTTP server left out on both sides",
              "≤ 5", "≤ 3", f"p50 {ours * 1e6:.0f} µs against {p50_plain * 1e6:.0f} µs = {ours / p50_plain:.2f} ×")
    yield Row("7b", f"the same with {rows} against {FEW}, {name}", p50_wide / ours, "of p50", "≤ 1.6", "≤ 1.3",
              f"p50 {p50_wide * 1e6:.0f} µs; memory {grown:+.1f} MB after 5000 searches (python -m bench million for the million)")
    for each in (small, large):
        each.store.close()


def _served(few: str, folder: Path) -> Row:
    """The same search of whole servers over HTTP, as a vendor meets them: token, limits, access log and all. In turns."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.floor", str(port), f"{folder}/floor.db"]
    with hub(folder / "few-SQLite", few) as ours, listening(command, port) as floor:
        used: list[tuple[float, float]] = []
        waits: list[tuple[float, float]] = []
        for _ in range(ROUNDS + 1):
            rounds = [_round(ours, "/fhir", fhir_query), _round(floor, "", floor_query)]
            used.append((rounds[0][0], rounds[1][0]))
            waits.append((rounds[0][1], rounds[1][1]))
    cpu, wait = ([statistics.median(each) for each in zip(*found[1:], strict=True)] for found in (used, waits))
    return Row("7e", "FHIR search, one patient's week, whole servers over HTTP, SQLite", cpu[0] / cpu[1], "CPU of the plain ASGI + SQL floor",
               "≤ 5", "≤ 3", f"{cpu[0] * 1e6:.0f} µs against {cpu[1] * 1e6:.0f} µs; one client waits {wait[0] * 1e6:.0f} µs against "
               f"{wait[1] * 1e6:.0f} µs = {wait[0] / wait[1]:.2f} ×")


def _round(server: Server, base: str, query: Callable[[int], dict[str, Any]], many: int = 1000) -> tuple[float, float]:
    """(CPU seconds a search with 16 clients, seconds one client waits)."""
    dice = random.Random(7)
    paths = [f"{base}{asked['path']}?{asked['query_string'].decode()}" for asked in (query(dice.randrange(FEW // A_PATIENT)) for _ in range(many))]
    before = server.cpu
    get_all(server.port, paths, TOKEN, 16)
    used = (server.cpu - before) / many
    return used, get_all(server.port, paths[:many // 5], TOKEN, 1) / (many // 5)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A store with appointments, and the face on it."""

    store: Store
    rest: Rest


def _loaded(home: Path, database: str, many: int) -> Loaded:
    store, secrets = open_store(home, database)
    patients = max(1, many // A_PATIENT)
    load(store, (appointment(n, patients) for n in range(many)))
    return Loaded(store, face(store, secrets))


def face(store: Store, secrets: Secrets) -> Rest:
    """The FHIR face for a vendor that sees everything."""
    reader = Reader("vendor:bench", Ground.VENDOR, departments=ALL_DEPARTMENTS)
    return Rest(store, definitions.load(), lambda token: reader, "http://127.0.0.1/fhir", lambda: datetime.now(UTC), secrets.hash_id)


def _plain(many: int) -> Iterator[tuple[str, str, str, str]]:
    """The same appointments as rows of the floor."""
    patients = max(1, many // A_PATIENT)
    for each in (appointment(n, patients) for n in range(many)):
        yield each["id"], each["participant"][0]["actor"]["reference"], each["start"], orjson.dumps(each).decode()


def _memory() -> float:
    """Resident megabytes of this process (Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def fhir_query(patient: int) -> dict[str, Any]:
    """The request as a vendor sends it."""
    text = f"patient=Patient/p{patient}&date=ge{FROM}&date=lt{TO}&_count=50"
    return {"path": "/Appointment", "query_string": text.encode(), "headers": [(b"authorization", b"Bearer x")]}


def floor_query(patient: int) -> dict[str, Any]:
    """The same question to the floor."""
    return {"path": "/search", "query_string": f"patient=Patient/p{patient}&from={FROM}&to={TO}".encode(), "headers": []}


def ask(application: Any, query: Callable[[int], dict[str, Any]], many: int) -> Callable[[], bytes]:
    """One request for a random patient, straight into the application."""
    loop, dice, patients = asyncio.new_event_loop(), random.Random(1), max(1, many // A_PATIENT)

    def ask() -> bytes:
        scope = {"type": "http", "method": "GET", "root_path": "", **query(dice.randrange(patients))}
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


def p50(works: list[Callable[[], object]], times: int = 2000) -> list[float]:
    """Median seconds of each, taken in turns."""
    took: list[list[float]] = [[] for _ in works]
    for _ in range(times):
        for each, work in zip(took, works, strict=True):
            began = time.perf_counter()
            work()
            each.append(time.perf_counter() - began)
    return [statistics.median(each) for each in took]
