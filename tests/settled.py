"""The town that most tests live in, settled once for each process and database: a test gets a copy.

To settle it takes seconds (migrations, two thousand resources with what they are found by), to copy it a few hundredths.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path

import postgresql

from adapters.demo.municipality import resources
from hub.fhir import definitions, index
from hub.message import Resource
from hub.store import Secrets, Store
from hub.store.loading import prepare

Residents = Callable[[], Sequence[Resource]]
TOWN = resources(1, date(2026, 11, 26))
_folder = tempfile.TemporaryDirectory(prefix="settled-")


def settle(url: str, home: Path, at: datetime, residents: Residents = lambda: TOWN.resources) -> None:
    """The town, kept at `at`, instead of whatever is at `url` (best nothing: a `town_url`), with the keys that it is found by in `home`."""
    postgres = url.startswith("postgresql")
    keys, made = _settled(postgres, at, residents)
    shutil.copytree(keys, home / "secrets", dirs_exist_ok=True)
    if postgres:
        name = url.rpartition("/")[2]
        postgresql.run(f'drop database if exists "{name}"')
        postgresql.run(f'create database "{name}" template "{made}"')
    else:
        shutil.copy(made, home / url.removeprefix("sqlite:///"))


@cache
def _settled(postgres: bool, at: datetime, residents: Residents) -> tuple[Path, str]:
    """The folder of keys, and the file or the name of the database."""
    home = Path(tempfile.mkdtemp(dir=_folder.name))
    made = f"besoksbro_{uuid.uuid4().hex}" if postgres else str(home / "hub.db")
    if postgres:
        postgresql.run(f'create database "{made}"')
        atexit.register(postgresql.run, f'drop database "{made}" with (force)')
    secrets = Secrets.open(home)
    entries = index.indexer(definitions.load(), secrets.hash_id)
    store = Store.open(f"{postgresql.server()}/{made}" if postgres else f"sqlite:///{made}", secrets, clock=lambda: at, entries=entries)
    store.migrate()
    store.write(lambda tx: tx.load([prepare(each, entries) for each in residents()], origin="hub"))
    store.ready()
    store.close()
    return home / "secrets", made
