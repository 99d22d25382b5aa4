"""Rows F1 to F3: the FHIR face's writing. Validation alone, a transaction of fifty entries, and a published horizon of slots; in milliseconds."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.measure import Row, cpu
from bench.searches import appointment
from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.faces.rest import Rest
from hub.fhir import definitions, index, validate
from hub.keeping import Keeping
from hub.scheduling.desk import Desk
from hub.store import Secrets, Store

ENTRIES, SLOTS = 50, 10_000
READER = Reader("vendor:bench", Ground.VENDOR, departments=ALL_DEPARTMENTS)


def rows() -> list[Row]:
    """CPU for validation, which is only that; the clock for what waits for the disk."""
    known = definitions.load()
    valid = appointment(1, 10)
    checked = cpu(lambda: validate.require(valid, known)) * 1e3
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        secrets = Secrets.open(Path(folder))
        store = Store.open(
            f"sqlite:///{folder}/hub.db", secrets, clock=lambda: datetime.now(UTC), entries=index.indexer(known, secrets.hash_id),
        )
        store.migrate()
        keeping = Keeping({}, lambda resource: validate.require(resource, known))
        rest = Rest(store, known, lambda _: READER, "http://127.0.0.1/fhir", lambda: datetime.now(UTC), secrets.hash_id, Desk(keeping))
        kept = _p50(lambda: _ask(rest, "POST", "/", _transaction()))
        store.write(lambda tx: [tx.keep(_slot(n), origin="bench") for n in range(SLOTS)])
        published = _p50(lambda: _ask(rest, "GET", "/Slot/$publish", b""))
        store.close()
    return [
        Row("F1", "validation of an Appointment", checked, "ms of CPU", "≤ 1", "≤ 0.2"),
        Row("F2", f"a transaction of {ENTRIES} creates", kept, "ms, p50", "≤ 50", "≤ 50", "durable on SQLite, HTTP server left out"),
        Row("F3", f"{SLOTS} slots as NDJSON", published, "ms, p50", "≤ 5000", "≤ 5000", "HTTP server left out"),
    ]


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
