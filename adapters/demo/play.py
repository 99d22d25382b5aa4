"""`besoksbro demo`: Solbakken kommune at human speed, with a shop that books, until Ctrl-C. The home is kept; a second start takes seconds."""

from __future__ import annotations

import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from adapters.demo.home import EPJS, DemoHome, make_home, open_home
from adapters.demo.outside import Outside
from adapters.demo.processes import Processes, TookTooLong, free_ports
from adapters.demo.shop import Order, Shop, planner
from adapters.demo.writer import Writer

EVERY = 2.0
"""Seconds between two bookings."""
PACE = 4.0
"""Seconds between what an EPJ tells of one visit: a day in a minute."""
FIRST_PORTS = (8080, 8091, 8092, 8093)
FAULTS: dict[str, dict[str, float]] = {"acos-cosdoc": {"slow": 1.0}, "tieto-gerica": {"duplicates": 0.3}}
RESTARTED, RESTART_EVERY = "visma-profil", 60.0
"""One EPJ is slow, one sends duplicates, one is killed and restarted every minute: nothing is lost."""
STATUSES = {"pending": "Venter på svar", "booked": "Bekreftet", "arrived": "Underveis", "fulfilled": "Utført", "noshow": "Ikke hjemme",
            "cancelled": "Avbestilt"}


def play(home: Path = Path(".demo"), seed: int = 1, database: str | None = None) -> None:
    """Runs until it is interrupted. Entry point `demo`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops us stops the hub and the EPJs, too
    console = Console()
    began = time.monotonic()
    found = open_home(home)
    if found is None:
        console.print("Making Solbakken kommune (once) …")
        ports = _ports()
        found = make_home(
            home, seed, database, ports[0], dict(zip(EPJS, ports[1:], strict=True)), datetime.now(UTC), quick=True, faults=FAULTS, pace=PACE,
        )
    try:
        with Processes(found) as processes:
            processes.start_all()
            _write(found)
            console.print(_welcome(found, time.monotonic() - began))
            _run(console, found, processes)
    except KeyboardInterrupt:
        console.print("Stopped. The home is kept; `make run` goes on from here.")
    except TookTooLong as late:
        console.print(f"[red]{late}[/red]")
        raise SystemExit(1) from late


def _write(home: DemoHome) -> None:
    """The first person to log in as has asked something, once; the EPJ answers."""
    with Writer(home, home.municipality.persons[0]) as writer:
        if not writer.threads():
            writer.ask()


def _ports() -> list[int]:
    """8080 and its neighbours when they are free, else any."""
    import socket

    for port in FIRST_PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return free_ports(len(FIRST_PORTS))
    return list(FIRST_PORTS)


def _welcome(home: DemoHome, seconds: float) -> Panel:
    table = Table.grid(padding=(0, 2))
    for what, where in (
        ("Portal", f"{home.url}/logg-inn"), ("Console", f"{home.url}/drift"), ("FHIR", f"{home.url}/fhir/metadata"),
        ("Booking API", f"{home.url}/booking/v1"),
        ("Token of both", home.vendor_token), ("Hub's home", str(home.hub)),
        *((f"EPJ {name}", f"{home.epj_url(name)}/records") for name in EPJS),
    ):
        table.add_row(f"[bold]{what}[/bold]", where)
    people = Table("Log in as", "who is", title="", box=None)
    for login in home.municipality.logins:
        people.add_row(login.name, login.role)
    return Panel(Group(table, people), title=f"Solbakken kommune (invented), up in {seconds:.1f} s", subtitle="Ctrl-C stops everything")


def _run(console: Console, home: DemoHome, processes: Processes) -> None:
    outside, shop = Outside(home), Shop(home.url, home.shop_token)
    now = datetime.now(UTC)
    orders = planner(home.municipality, now.isoformat(), now).orders(f"D{now:%y%m%d%H%M%S}")
    verdicts: Counter[str] = Counter()
    restarts, next_restart = 0, time.monotonic() + RESTART_EVERY
    with Live(console=console, refresh_per_second=2) as live:
        while True:
            for order in islice(orders, 1):
                verdicts[_book(shop, order)] += 1
            if time.monotonic() > next_restart:
                processes.restart(RESTARTED)
                restarts, next_restart = restarts + 1, time.monotonic() + RESTART_EVERY
            live.update(_progress(outside, verdicts, restarts))
            time.sleep(EVERY)


def _book(shop: Shop, order: Order) -> str:
    try:
        _, verdict = shop.post(order.message("OPPRETT"))
    except httpx.HTTPError:
        return "no answer"
    return str((verdict.get("problem") or {}).get("nummer") or "GODTATT")


def _progress(outside: Outside, verdicts: Counter[str], restarts: int) -> Table:
    since = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        states = Counter(a["status"] for a in outside.search("Appointment", f"&_lastUpdated=ge{since}"))
        deliveries, records = outside.deliveries(), outside.records()
    except httpx.HTTPError:
        return Table(title="waiting for an answer …")
    table = Table("Bookings", "", "Letters", "", title="the last day", title_justify="left")
    left = [(word, str(states[status])) for status, word in STATUSES.items()] + [("posted now", str(dict(verdicts)))]
    right = [(state, str(n)) for state, n in sorted(deliveries.items())]
    right += [("dropped as duplicates", str(sum(r["duplicates_dropped"] for r in records.values()))), (f"{RESTARTED} killed", str(restarts))]
    for n in range(max(len(left), len(right))):
        table.add_row(*(left[n] if n < len(left) else ("", "")), *(right[n] if n < len(right) else ("", "")))
    return table
