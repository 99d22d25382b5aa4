"""Rows 7d, 7b and E1: a million appointments by the road that a municipality has (`besoksbro import`, every line validated), searched, exported.

`BENCH_ROWS` for fewer of them. Takes some minutes and 5 GB of disk on each database; nothing but `python -m bench million` runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson

from bench.measure import Row, children_cpu
from bench.searches import A_PATIENT, FEW, appointment, ask, face, fhir_query, p50
from bench.servers import ROOT, TOKEN, databases, hub, open_store, settle

MANY = int(os.environ.get("BENCH_ROWS", "1000000"))


def rows() -> Iterator[Row]:
    """Each database in turn."""
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as name:
        folder = Path(name)
        files = {many: _file(folder / f"{many}.ndjson", many) for many in (FEW, MANY)}
        with databases(folder / "few") as few, databases(folder / "many") as many:
            for kind in few:
                _take_in(folder / f"few-{kind}", few[kind], files[FEW])
                yield from _on(kind, folder, few[kind], many[kind], files[MANY])


def _on(kind: str, folder: Path, few: str, many: str, file: Path) -> Iterator[Row]:
    took, used = _take_in(folder / f"many-{kind}", many, file)
    yield Row("7d", f"{MANY} appointments by besoksbro import, each validated, {kind}", took * 1e6 / MANY, "seconds for a million", "≤ 180", "≤ 180",
              f"{MANY / took:.0f}/s; {used * 1e6 / MANY:.0f} µs CPU each, the database's own left out; {os.getloadavg()[0]:.1f} processes ran beside")
    faces = [(face(store, secrets), rows, store) for store, secrets, rows in (
        (*open_store(folder / f"few-{kind}", few), FEW), (*open_store(folder / f"many-{kind}", many), MANY),
    )]
    narrow, wide = p50([ask(rest, fhir_query, rows) for rest, rows, _ in faces])
    for _, _, store in faces:
        store.close()
    yield Row("7b", f"one patient's week with {MANY} against {FEW}, {kind}", wide / narrow, "of p50", "≤ 1.6", "≤ 1.3",
              f"p50 {wide * 1e6:.0f} µs against {narrow * 1e6:.0f} µs")
    yield _exported(kind, folder / f"many-{kind}", many)


def _file(path: Path, many: int) -> Path:
    with path.open("wb") as file:
        for n in range(many):
            file.write(orjson.dumps(appointment(n, max(1, many // A_PATIENT))) + b"\n")
    return path


def _take_in(home: Path, database: str, file: Path) -> tuple[float, float]:
    """(seconds, CPU seconds of the command with its processes)."""
    open_store(home, database)[0].close()
    settle(home, database, 1)
    began, used = time.perf_counter(), children_cpu()
    subprocess.run([sys.executable, "-m", "hub", "import", str(file), "--home", str(home)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, children_cpu() - used


def _exported(kind: str, home: Path, database: str) -> Row:
    """`$export` of everything, read to its end: the hub's memory while it goes out."""
    with hub(home, database) as server, httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=300, trust_env=False) as client:
        address = f"http://127.0.0.1:{server.port}/fhir"
        status = client.get(f"{address}/$export?_type=Appointment", headers={"prefer": "respond-async"}).headers["content-location"]
        before, most, size, began = server.memory, 0.0, 0, time.perf_counter()
        for part in client.get(status).json()["output"]:
            with client.stream("GET", part["url"]) as answer:
                for piece in answer.iter_bytes():
                    size += piece.count(b"\n")
                    most = max(most, server.memory)
        took = time.perf_counter() - began
    if size != MANY:
        raise RuntimeError(f"{size} lines of {MANY} were exported")
    return Row("E1", f"$export of {MANY}, {kind}", most - before, "MB that the hub grew by", "≤ 100", "≤ 30", f"{size / took:.0f} resources/s")
