"""Whole servers as processes: our hub with appointments in it, on either database, and any other command that listens on a port."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

from adapters.demo.least import least
from adapters.demo.processes import free_ports, wait_for
from bench.measure import process_cpu
from hub.fhir import definitions, index
from hub.store import Secrets, Store
from hub.store.loading import look_over, prepare

TOKEN = "bench-token"
POSTGRES = os.environ.get("BESOKSBRO_POSTGRES", "postgresql://postgres@127.0.0.1:5432")
ROOT = Path(__file__).parents[1]
SETTINGS = """port = {port}
[oauth]
per_minute = 100000000
[[vendors]]
name = "bench"
token_digest = "{digest}"
departments = ["*"]
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens."""

    pid: int
    port: int

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return process_cpu(self.pid)

    @property
    def memory(self) -> float:
        """Resident megabytes of its own now (Linux): pages of a database file that it maps are the system's cache."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e6


@contextmanager
def listening(command: Sequence[str], port: int, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Runs a command until its port answers, and ends it afterwards. Raises RuntimeError when it dies first."""
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None, "a server", 60)
        if process.poll() is not None:
            told = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise RuntimeError(f"it did not start: {told[-300:]}")
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh database of each kind that is here: name → URL. PostgreSQL is dropped afterwards."""
    folder.mkdir(exist_ok=True)
    found = {"SQLite": f"sqlite:///{folder}/hub.db"}
    name = f"besoksbro_bench_{uuid.uuid4().hex}"
    try:
        admin = psycopg.connect(f"{POSTGRES}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        print("PostgreSQL not found: start it, or name it in BESOKSBRO_POSTGRES", file=sys.stderr)
        yield found
        return
    with admin:
        admin.execute(f'create database "{name}"')
        try:
            yield {**found, "PostgreSQL": f"{POSTGRES}/{name}"}
        finally:
            admin.execute(f'drop database "{name}" with (force)')


def open_store(home: Path, database: str) -> tuple[Store, Secrets]:
    """A store with its schema."""
    home.mkdir(exist_ok=True)
    secrets = Secrets.open(home)
    store = Store.open(database, secrets, clock=lambda: datetime.now(UTC), entries=index.indexer(definitions.load(), secrets.hash_id))
    store.migrate()
    return store, secrets


def settle(home: Path, database: str, port: int) -> None:
    """Writes the settings of a municipality without partners."""
    home.mkdir(exist_ok=True)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    text = least(base_url=f"http://127.0.0.1:{port}", database=database) + SETTINGS.format(port=port, digest=digest)
    (home / "hub.toml").write_text(text, encoding="utf-8")


@contextmanager
def hub(home: Path, database: str) -> Iterator[Server]:
    """Our hub on a database that has its schema; its worker is another process, not started."""
    (port,) = free_ports(1)
    settle(home, database, port)
    with listening([sys.executable, "-m", "hub", "run", "--no-work", "--home", str(home)], port) as server:
        yield server


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def load(store: Store, made: Iterator[dict[str, Any]], batch: int = 2000) -> None:
    """Keeps resources, many in each commit; not validated."""
    entries = index.indexer(definitions.load(), lambda system, value: value)
    while group := [prepare(each, entries) for each in islice(made, batch)]:
        store.write(lambda tx, group=group: tx.load(group, origin="bench"))  # type: ignore[misc]
    store.write(lambda tx: look_over(tx.connection))
