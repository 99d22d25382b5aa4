"""Rows F1 to F3: the FHIR face's writing. Validation alone, a transaction of fifty entries, and a published horizon of slots; in milliseconds."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.measure import Row, cpu
from bench.searches import appointment
from bench.servers import databases, settle
from hub import app
from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions, validate
from hub.scheduling.desk import Desk
from hub.store import Secrets

ENTRIES, SLOTS = 50, 10_000
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
    yield Row("F2", f"a transaction of {ENTRIES} creates, {name}", kept, "ms, p50", "≤ 50", "≤ 50", "durable, HTTP server left out")
    yield Row("F3", f"{SLOTS} slots as NDJSON, {name}", published, "ms, p50", "≤ 5000", "≤ 5000", "HTTP server left out")


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
