"""Fixtures: the town kept in a real store. What is asked over HTTP runs on SQLite and PostgreSQL; the browser on SQLite."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pages import Clock
from town import resources

from hub.access import AuditLine
from hub.fhir import definitions, index
from hub.store import Secrets, Store

POSTGRES = os.environ.get("BESOKSBRO_POSTGRES", "postgresql://postgres@127.0.0.1:5432")


@contextmanager
def opened(url: str, home: Path) -> Iterator[Store]:
    """A store with the schema of today."""
    secrets = Secrets.open(home)
    store = Store.open(url, secrets, clock=Clock(), entries=index.indexer(definitions.load(), secrets.hash_id))
    store.migrate()
    store.ready()
    yield store
    store.close()


def settle_in(store: Store) -> None:
    """Everybody moves into the town."""
    store.write(lambda tx: [tx.keep(r, origin="hub") for r in resources()])


@contextmanager
def postgres(template: str = "template1") -> Iterator[str]:
    """The name of a database of its own, made like `template`, dropped afterwards."""
    name = f"faces_{uuid.uuid4().hex}"
    try:
        admin = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if "postgres" in os.environ.get("BESOKSBRO_REQUIRE", ""):
            raise
        pytest.skip("PostgreSQL does not answer: start it, or name it in BESOKSBRO_POSTGRES")
    with admin:
        admin.execute(f'create database "{name}" template "{template}"')
        yield name
        admin.execute(f'drop database "{name}" with (force)')


def address(name: str) -> str:
    return f"{POSTGRES.replace('postgresql:', 'postgresql+psycopg:')}/{name}"


@pytest.fixture(scope="session")
def sqlite_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with the town in SQLite; tests get copies."""
    home = tmp_path_factory.mktemp("town")
    with opened(f"sqlite:///{home / 'hub.db'}", home) as store:
        settle_in(store)
    return home


@pytest.fixture(scope="session")
def postgres_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A home folder and the name of a PostgreSQL database with the town; tests get copies."""
    home = tmp_path_factory.mktemp("town")
    with postgres() as name:
        with opened(address(name), home) as store:
            settle_in(store)
        yield home, name


@pytest.fixture(params=["sqlite", "postgres"])
def town_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    home = tmp_path / "home"
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("sqlite_town"), home)
        with opened(f"sqlite:///{home / 'hub.db'}", home) as store:
            yield store
        return
    made, template = request.getfixturevalue("postgres_town")
    shutil.copytree(made, home)
    with postgres(template) as name, opened(address(name), home) as store:
        yield store


@pytest.fixture
def busy_store(town_store: Store) -> Store:
    from letters import fill

    town_store.write(fill)
    return town_store


@pytest.fixture(scope="module")
def file_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("home")
    with opened(f"sqlite:///{home / 'hub.db'}", home) as store:
        settle_in(store)
        yield store


@pytest.fixture(scope="module")
def busy_file_store(file_store: Store) -> Store:
    from letters import fill

    file_store.write(fill)
    return file_store


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if "chromium" in os.environ.get("BESOKSBRO_REQUIRE", ""):
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    return found


def audited(store: Any, person: str, limit: int = 100) -> list[AuditLine]:
    """The access log of a person, newest first. A write takes along the lines that reads have left in the journal."""
    store.write(lambda tx: None)
    found: list[AuditLine] = store.audit_of(person, limit)
    return found


__all__ = ["audited", "busy_file_store", "busy_store", "chromium", "file_store", "postgres_town", "sqlite_town", "town_store"]
