"""Rows 4, 4b, 5 and 10: whole bookings over real HTTP, hub and EPJs as processes; intake with 32 clients against the floor; a backlog."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from adapters.demo.home import EPJS, OWNS_CALENDAR, DemoHome, make_home
from adapters.demo.outside import Outside
from adapters.demo.processes import HUB, Processes, free_ports, wait_for
from adapters.demo.shop import planner
from bench.clients import post_all
from bench.measure import Row, bare_signature, cpu, fdatasync_rate, process_cpu

MANY, CLIENTS, ROUNDS = 200, 32, 5
SHARES = {2048: ("≥ 0.25", "≥ 0.38"), 3072: ("≥ 0.45", "≥ 0.58"), 4096: ("≥ 0.60", "≥ 0.72")}
"""Key size → must and goal of row 4b."""
INBOX = "/inbox/tjenesteshop"
LOOK = 0.25
"""Seconds between two looks at how far it is: a look costs the hub something, too."""
NEVER = 1e6
"""Pace of the EPJs: they acknowledge and answer, and tell nothing of the visit."""


def rows() -> Iterator[Row]:
    """Row 4 for three key sizes, then rows 5 and 10."""
    for bits in SHARES:
        yield from _whole(bits)
    yield _intake()
    yield _drain()


@contextmanager
def _home(bits: int = 2048) -> Iterator[tuple[DemoHome, list[bytes]]]:
    """A demo home on SQLite and as many bookings as its rules allow, all different."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="besoksbro-bench-") as folder:
        ports = free_ports(1 + len(EPJS))
        home = make_home(Path(folder), 1, None, ports[0], dict(zip(EPJS, ports[1:], strict=True)), now, quick=True, pace=NEVER, bits=bits)
        owner = home.hub / "adapters" / f"{OWNS_CALENDAR}.toml"  # no calendar is asked: the rows are of what every booking costs
        owner.write_text(owner.read_text(encoding="utf-8").partition("[ask]")[0].replace('owner = "epj"', 'owner = "confirm"'), encoding="utf-8")
        orders = islice(planner(home.municipality, "bench", now).orders("N"), (ROUNDS + 1) * MANY)
        yield home, [json.dumps(order.message("OPPRETT")).encode() for order in orders]


def _whole(bits: int) -> list[Row]:
    """The hub's CPU from the post until the AppRec is visible to a FHIR client; medians of rounds. The signature is timed in each while hub and
    EPJs work: who shares a core with them is slower, and so are they."""
    used, units, speeds = [], [], []
    sign = bare_signature(bits)
    with _home(bits) as (home, bodies), Processes(home) as processes:
        processes.start_all()
        outside = Outside(home)
        for number in range(ROUNDS + 1):
            before, began = processes.cpu(HUB), time.perf_counter()
            post_all(home.hub_port, INBOX, home.shop_token, bodies[number * MANY:(number + 1) * MANY], CLIENTS)
            costs = [cpu(sign, 0.02, 1)]
            wait_for(lambda costs=costs: costs.append(cpu(sign, 0.02, 1)) or outside.waiting(EPJS) == 0, "every AppRec", 120, LOOK)  # type: ignore[misc]
            speeds.append(MANY / (time.perf_counter() - began))
            used.append((processes.cpu(HUB) - before) / MANY)
            units.append(statistics.median(costs))
        accepted = outside.deliveries().get("accepted", 0)
        outside.close()
    if accepted != len(bodies):
        raise RuntimeError(f"{accepted} AppRecs for {len(bodies)} bookings")
    ratio = statistics.median(mine / unit for mine, unit in zip(used[1:], units[1:], strict=True))  # the first round warms up
    detail = f"{statistics.median(used[1:]) * 1e3:.2f} ms CPU each at the hub; {statistics.median(speeds[1:]):.0f}/s, three EPJs on the same cores"
    whole = Row("4", "a booking until its AppRec is visible", ratio, "RSA-2048 signatures of CPU", "≤ 12", "≤ 8", detail)
    share = Row("4b", f"the same, RSA-{bits}: share of its three private-key operations", 3 / ratio, "of the limit", *SHARES[bits],
                "" if bits == 2048 else detail)
    return [whole, share] if bits == 2048 else [share]


def _drain() -> Row:
    """Letters answered a second when the EPJs come back to what waited for them, from the first of them on, against the same with nobody away."""
    steady, drained = [], []
    with _home() as (home, bodies), Processes(home) as processes:
        processes.start_all()
        outside = Outside(home)

        def answered() -> int:
            return outside.deliveries().get("accepted", 0)

        for number in range(0, ROUNDS + 1, 2):
            began = time.perf_counter()
            post_all(home.hub_port, INBOX, home.shop_token, bodies[number * MANY:(number + 1) * MANY], CLIENTS)
            wait_for(lambda: outside.waiting(EPJS) == 0, "every AppRec", 120, LOOK)
            steady.append(MANY / (time.perf_counter() - began))
            for name in EPJS:
                processes.kill(name)
            post_all(home.hub_port, INBOX, home.shop_token, bodies[(number + 1) * MANY:(number + 2) * MANY], CLIENTS)
            before = answered()
            for name in EPJS:
                processes.start(name)
            wait_for(lambda before=before: answered() > before, "the first AppRec", 120, LOOK)  # type: ignore[misc]
            began, left = time.perf_counter(), outside.waiting(EPJS)
            wait_for(lambda: outside.waiting(EPJS) == 0, "every AppRec", 120, LOOK)
            drained.append(left / (time.perf_counter() - began))
        outside.close()
    rates = statistics.median(drained), statistics.median(steady)
    detail = f"{rates[0]:.0f}/s against {rates[1]:.0f}/s with their intake; {MANY} letters, three EPJs away"
    return Row("10", "a backlog after the EPJs were down", rates[0] / rates[1], "of the steady rate", "≥ 0.70", "≥ 0.90", detail)


def _intake() -> Row:
    """Bookings kept for good a second: the hub with all its rules (its worker is another process, not started) and the floor, in turn."""
    root = Path(__file__).parents[1]
    with _home() as (home, bodies):
        (port,) = free_ports(1)
        floor = subprocess.Popen([sys.executable, "-m", "bench.floor", str(port), f"{home.folder}/floor.db"], cwd=root)
        hub = subprocess.Popen([sys.executable, "-m", "hub", "run", "--no-work", "--home", str(home.hub)], cwd=root, env=os.environ)
        found: dict[int, list[tuple[float, float]]] = {floor.pid: [], hub.pid: []}
        try:
            wait_for(lambda: _answers(port) and _answers(home.hub_port), "hub and floor", 30)
            for number in range(ROUNDS + 1):
                for pid, where in ((floor.pid, port), (hub.pid, home.hub_port)):
                    part = bodies[number * MANY:(number + 1) * MANY]
                    before = process_cpu(pid)
                    rate = MANY / post_all(where, INBOX, home.shop_token, part, CLIENTS)
                    found[pid].append((rate, (process_cpu(pid) - before) / MANY))
        finally:
            for process in (floor, hub):
                process.terminate()
                process.wait()
        disk = fdatasync_rate(Path(home.folder))
    (floor_rate, floor_cpu), (rate, cpu) = (tuple(map(statistics.median, zip(*found[pid][1:], strict=True))) for pid in found)
    detail = f"{rate:.0f}/s at {cpu * 1e3:.2f} ms CPU against {floor_rate:.0f}/s at {floor_cpu * 1e3:.2f}; disk {disk:.0f} fdatasync/s"
    return Row("5", f"durable intake, {CLIENTS} clients", rate / floor_rate, "of the group-commit floor", "≥ 0.35", "≥ 0.60", detail)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
