"""Fixtures: the town kept in a real store. What is asked over HTTP runs on SQLite and PostgreSQL; the browser on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pages import Clock
from settled import settle
from town import NOW, resources

from hub.access import AuditLine
from hub.fhir import definitions, index
from hub.store import Secrets, Store


@contextmanager
def opened(url: str, home: Path) -> Iterator[Store]:
    """A store with the town in it."""
    settle(url, home, NOW, resources)
    secrets = Secrets.open(home)
    store = Store.open(url, secrets, clock=Clock(), entries=index.indexer(definitions.load(), secrets.hash_id))
    store.ready()
    yield store
    store.close()


@pytest.fixture
def town_store(town_url: str, tmp_path: Path) -> Iterator[Store]:
    with opened(town_url, tmp_path) as store:
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
        yield store


@pytest.fixture(scope="module")
def busy_file_store(file_store: Store) -> Store:
    from letters import fill

    file_store.write(fill)
    return file_store


def audited(store: Any, person: str, limit: int = 100) -> list[AuditLine]:
    """The access log of a person, newest first. A write takes along the lines that reads have left in the journal."""
    store.write(lambda tx: None)
    found: list[AuditLine] = store.audit_of(person, limit)
    return found


__all__ = ["audited", "busy_file_store", "busy_store", "file_store", "town_store"]
