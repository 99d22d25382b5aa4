"""Rows 4, 4b and 5: whole bookings over real HTTP, hub and EPJs as processes; intake with 32 clients against the floor."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from adapters.demo.home import EPJS, DemoHome, make_home
from adapters.demo.outside import Outside
from adapters.demo.processes import HUB, Processes, free_ports, wait_for
from adapters.demo.shop import planner
from bench.measure import Row, fdatasync_rate, signature_cost

MANY, CLIENTS = 200, 32
NEVER = 1e6
"""Pace of the EPJs: they acknowledge and answer, and tell nothing of the visit."""


def rows() -> list[Row]:
    """Plays MANY bookings."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        ports = free_ports(1 + len(EPJS))
        home = make_home(Path(folder), 1, None, ports[0], dict(zip(EPJS, ports[1:], strict=True)), now, quick=True, pace=NEVER)
        orders = list(islice(planner(home.municipality, "bench", now).orders("N"), MANY))
        bodies = [json.dumps(order.message("OPPRETT")).encode() for order in orders]
        with Processes(home) as processes:
            processes.start_all()
            return [*_whole(home, processes, bodies), _intake(home, bodies, Path(folder))]


def _whole(home: DemoHome, processes: Processes, bodies: list[bytes]) -> list[Row]:
    """The hub's CPU from the post until the AppRec is visible."""
    outside = Outside(home)
    before, began = processes.cpu(HUB), time.perf_counter()
    took = _post(home.hub_port, home.shop_token, bodies, CLIENTS)
    wait_for(lambda: outside.waiting() == 0 and outside.deliveries().get("accepted", 0) >= len(bodies), "every AppRec", 120)
    seconds, used = time.perf_counter() - began, (processes.cpu(HUB) - before) / len(bodies)
    outside.close()
    unit = signature_cost()
    detail = f"{len(bodies)} bookings, {used * 1e3:.2f} ms CPU each at the hub; {len(bodies) / seconds:.0f}/s with three EPJs on the same cores"
    return [
        Row("4", "a booking until its AppRec is visible", used / unit, "RSA-2048 signatures of CPU", "≤ 12", "≤ 8", detail),
        Row("4b", "the same as a share of its three private-key operations", 3 * unit / used, "of the limit", "≥ 0.25", "≥ 0.38",
            f"posted in {took:.2f} s"),
    ]


def _intake(home: DemoHome, bodies: list[bytes], folder: Path) -> Row:
    """Answered posts a second: the hub (with all its rules, and its worker busy) and the floor."""
    fresh = [body.replace(b'"bestillingsId": "N-', b'"bestillingsId": "X-').replace(b'"meldingsId": "', b'"meldingsId": "x') for body in bodies]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    floor = subprocess.Popen([sys.executable, "-m", "bench.floor", str(port), str(folder / "floor.db")], cwd=Path(__file__).parents[1])
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the floor", 10)
        _post(port, "", bodies, CLIENTS)
        floors = [len(fresh) / _post(port, "", fresh, CLIENTS) for _ in range(3)]
    finally:
        floor.terminate()
        floor.wait()
    ours = len(fresh) / _post(home.hub_port, home.shop_token, fresh, CLIENTS)
    best = sorted(floors)[1]
    detail = f"{ours:.0f}/s (each refused or kept by the rules, and filed) against {best:.0f}/s; disk {fdatasync_rate(folder):.0f} fdatasync/s"
    return Row("5", f"durable intake, {CLIENTS} clients", ours / best, "of the group-commit floor", "≥ 0.35", "≥ 0.60", detail)


def _post(port: int, token: str, bodies: list[bytes], clients: int) -> float:
    """Posts everything with kept connections; seconds."""
    waiting = iter(bodies)
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                connection.close()
                return
            connection.request("POST", "/inbox/tjenesteshop", body, {"content-type": "application/json", "authorization": f"Bearer {token}"})
            connection.getresponse().read()

    return timed(lambda: _together(work, clients))


def _together(work: Callable[[], None], many: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def timed(work: Callable[[], None]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
