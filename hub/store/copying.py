"""An online copy of an SQLite database."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy(database: str, to: Path) -> None:
    """Whole and on the disk under its name, or not there at all; for its owner's eyes.

    Raises:
        OSError: it is there already, or the folder cannot be written.
        sqlite3.OperationalError: there is no room.
    """
    if to.exists():
        raise FileExistsError(17, "File exists", str(to))
    beside = to.with_name(f".{to.name}.{os.urandom(4).hex()}")
    beside.touch(0o600, exist_ok=False)
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("vacuum into ?", (str(beside),))  # which leaves it to the system when it is written
        _on_disk(beside)
        beside.rename(to)
        _on_disk(to.parent)
    finally:
        for left in (beside, beside.with_name(f"{beside.name}-journal")):
            left.unlink(missing_ok=True)


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
