"""Rows F1 to F4: the FHIR face's writing. Validation alone, a transaction of fifty entries, and a published horizon of slots, in milliseconds;
creates over HTTP by many clients against the floor with group commit."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from adapters.demo.processes import free_ports
from bench.clients import post_all
from bench.measure import Row, cpu
from bench.searches import appointment
from bench.servers import TOKEN, Server, databases, hub, listening, settle
from hub import app
from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions, validate
from hub.scheduling.desk import Desk
from hub.store import Secrets

ENTRIES, SLOTS = 50, 10_000
CREATES, CLIENTS, ROUNDS = 600, 32, 5
READER = Reader("vendor:bench", Ground.VENDOR, departments=ALL_DEPARTMENTS)


def rows() -> Iterator[Row]:
    """CPU for validation, which is only that; the clock for what waits for the disk."""
    known = definitions.load()
    valid = appointment(1, 10)
    checked = cpu(lambda: validate.require(valid, known)) * 1e3
    yield Row("F1", "validation of an Appointment", checked, "ms of CPU", "≤ 1", "≤ 0.2")
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder, databases(Path(folder)) as urls:
        for name, url in urls.items():
            yield from _on(name, url, Path(folder) / name)


def _on(name: str, url: str, home: Path) -> Iterator[Row]:
    settle(home, url, 1)
    parts = app.put_together(home)
    store, base = parts.store, "http://127.0.0.1/fhir"
    try:
        store.migrate()
        rest = Rest(
            store, definitions.load(), lambda _: READER, base, parts.clock, Secrets.open(home).hash_id, Desk(parts.flow.keeping), feeds=parts.feeds,
        )
        kept = _p50(lambda: _ask(rest, "POST", "/", _transaction()))
        store.write(lambda tx: [tx.keep(_slot(n), origin="bench") for n in range(SLOTS)])
        published = _p50(lambda: _ask(rest, "GET", "/Slot/$publish", b""))
    finally:
        parts.close()
    yield _created(name, url, home)
    yield Row("F2", f"a transaction of {ENTRIES} creates, {name}", kept, "ms, p50", "≤ 50", "≤ 50", "durable, HTTP server left out")
    yield Row("F3", f"{SLOTS} slots as NDJSON, {name}", published, "ms, p50", "≤ 5000", "≤ 5000", "HTTP server left out")


def _created(name: str, url: str, home: Path) -> Row:
    """Tasks created a second, each validated, kept, indexed and audited, by clients that each wait for their answer; and bookings that the floor
    keeps, in turn. The hub's worker is another process, not started."""
    (port,) = free_ports(1)
    found: list[tuple[float, ...]] = []
    with hub(home, url) as ours, listening([sys.executable, "-m", "bench.floor", str(port), f"{home}/floor.db"], port) as floor:
        for number in range(ROUNDS + 1):
            names = [f"{number}-{n}" for n in range(CREATES)]
            kept = _rate(ours, "/fhir/Task", [_task(each) for each in names], "application/fhir+json")
            plain = _rate(floor, "/booking", [_booking(each) for each in names], "application/json")
            found.append((kept[0] / plain[0], kept[0], kept[1], plain[0], plain[1]))
    ratio, rate, used, floor_rate, floor_used = (statistics.median(each) for each in zip(*found[1:], strict=True))
    detail = f"{rate:.0f}/s at {used * 1e3:.2f} ms CPU against {floor_rate:.0f}/s at {floor_used * 1e3:.2f} on SQLite"
    return Row("F4", f"creates of a validated Task, {CLIENTS} clients, {name}", ratio, "of the group-commit floor", "≥ 0.60", "≥ 0.60", detail)


def _rate(server: Server, path: str, bodies: list[bytes], kind: str) -> tuple[float, float]:
    """(answered a second, CPU seconds each)."""
    before = server.cpu
    took = post_all(server.port, path, TOKEN, bodies, CLIENTS, kind)
    return len(bodies) / took, (server.cpu - before) / len(bodies)


def _task(name: str) -> bytes:
    return orjson.dumps({
        "resourceType": "Task", "identifier": [{"system": "https://example.org/tasks", "value": name}], "status": "requested", "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}, "description": "Ta med nøkkel nummer to.",
        "focus": {"reference": f"Appointment/{name}"}, "for": {"reference": "Patient/p1"}, "authoredOn": "2026-12-01T09:00:00+01:00",
        "executionPeriod": {"start": "2026-12-02T09:00:00+01:00", "end": "2026-12-02T09:30:00+01:00"},
        "requester": {"reference": "Organization/kommune"}, "owner": {"reference": "HealthcareService/hjemmesykepleie"},
    })


def _booking(name: str) -> bytes:
    return orjson.dumps({"bestillingsId": name, "person": {"id": "p1"}, "fra": "2026-12-02T09:00:00+01:00", "merknad": "x" * 500})


def _transaction() -> bytes:
    device = {"resourceType": "Device", "status": "active", "identifier": [{"system": "https://example.org", "value": "1"}]}
    entry = {"request": {"method": "POST", "url": "Device"}, "resource": device}
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry] * ENTRIES})


def _slot(n: int) -> dict[str, Any]:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30 * (n % 600) + 30)
    return {
        "resourceType": "Slot", "id": f"s{n}", "schedule": {"reference": f"Schedule/d{n // 600}"}, "status": "free",
        "start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat(),
    }


def _ask(rest: Rest, method: str, path: str, body: bytes) -> None:
    answered: list[dict[str, Any]] = []

    async def call() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        headers = [(b"authorization", b"Bearer x"), (b"content-type", b"application/fhir+json")]
        await rest({"method": method, "path": path, "query_string": b"", "headers": headers}, receive, send)

    asyncio.run(call())
    assert answered[0]["status"] == 200, answered


def _p50(work: Callable[[], None], times: int = 15) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1e3)
    return statistics.median(found)
