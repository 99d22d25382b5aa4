"""Row 7c: one patient's ten appointments by date, from whole servers over HTTP: ours, and others' kept in memory.

The others' small applications are not ours and not in this repository: `../shared/limits/peers` (or BESOKSBRO_SHARED). What they need is
installed by whoever measures, in a folder named by BENCH_PEERS: `venv` (fhirstarter, uvicorn) and `node_modules` (the packages of its
`package.json`). What is not there is skipped by name. All get the same requests by the same client; CPU of the server's process.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import orjson

from adapters.demo.processes import free_ports
from bench.clients import get_all, post_all
from bench.measure import Row
from bench.searches import appointment
from bench.servers import ROOT, TOKEN, Server, hub, listening, load, open_store

APPOINTMENTS, PATIENTS, CLIENTS, ROUNDS = 2000, 200, 16, 3
SCRIPTS = Path(os.environ.get("BESOKSBRO_SHARED", ROOT.parent / "shared")) / "limits" / "peers"
INSTALLED = Path(os.environ.get("BENCH_PEERS", "/tmp/peers"))
PYTHON = INSTALLED / "venv" / "bin" / "python"
NODE = shutil.which("node") or "node"
UVICORN = (str(PYTHON), "-m", "uvicorn", "--log-level", "error", "--no-access-log", "--port", "PORT")
PEERS = {
    "fhirstarter": ([*UVICORN, "fhirstarter_app:app"], "", "≥ 20", "≥ 40"),
    "Asymmetrik's node-fhir-server-core": ([NODE, "asymmetrik_server.js", "PORT"], "/4_0_0", "≥ 3", "≥ 6"),
    "fhir-works-on-aws-routing": ([NODE, "fhirworks_server.js", "PORT"], "", "≥ 1", "≥ 1.8"),
}
"""Name → command, base path, must, goal."""


def rows() -> Iterator[Row]:
    """A row for each peer that runs here."""
    if not SCRIPTS.is_dir():
        print(f"no peers: {SCRIPTS} is not there", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder, ExitStack() as running:
        home = Path(folder)
        store, _ = open_store(home, f"sqlite:///{home}/hub.db")
        load(store, (appointment(n, PATIENTS) for n in range(APPOINTMENTS)))
        store.close()
        servers = {"ours": (running.enter_context(hub(home, f"sqlite:///{home}/hub.db")), "/fhir")}
        for name, (command, base, *_) in PEERS.items():
            (port,) = free_ports(1)
            argv = [part.replace("PORT", str(port)) for part in command]
            try:
                server = running.enter_context(listening(argv, port, SCRIPTS, {"NODE_PATH": str(INSTALLED / "node_modules")}))
            except (OSError, RuntimeError) as missing:
                print(f"{name} does not run here: {str(missing)[-200:]}", file=sys.stderr)
                continue
            bodies = [orjson.dumps({k: v for k, v in appointment(n, PATIENTS).items() if k != "id"}) for n in range(APPOINTMENTS)]
            post_all(port, f"{base}/Appointment", TOKEN, bodies, 1, "application/fhir+json")
            servers[name] = (server, base)
        for name, (server, base) in servers.items():
            _finds_ten(name, server, base)
        used: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(ROUNDS + 1):
            for name, (server, base) in servers.items():
                used[name].append(_round(server, base, 200 if name == "fhirstarter" else 2000))
    ours = statistics.median(used["ours"][1:])
    for name in servers:
        if name != "ours":
            theirs = statistics.median(used[name][1:])
            detail = f"{theirs * 1e6:.0f} µs CPU in memory against {ours * 1e6:.0f} µs on SQLite with access and audit"
            yield Row("7c", f"search of ten, against {name}", theirs / ours, "× our CPU, whole servers over HTTP", *PEERS[name][2:], detail)


def _finds_ten(name: str, server: Server, base: str) -> None:
    """Raises RuntimeError where the answer is another than everybody else's."""
    url = f"http://127.0.0.1:{server.port}{base}/Appointment?patient=Patient/p3&date=ge2026-01-01"
    found = httpx.get(url, headers={"authorization": f"Bearer {TOKEN}", "accept": "application/fhir+json"}, trust_env=False).json()
    if len(found.get("entry", ())) != APPOINTMENTS // PATIENTS:
        raise RuntimeError(f"{name} found {len(found.get('entry', ()))} appointments")


def _round(server: Server, base: str, many: int) -> float:
    """CPU seconds a search."""
    dice = random.Random(7)
    paths = [f"{base}/Appointment?patient=Patient/p{dice.randrange(PATIENTS)}&date=ge2026-01-01" for _ in range(many)]
    before = server.cpu
    get_all(server.port, paths, TOKEN, CLIENTS)
    return (server.cpu - before) / many
