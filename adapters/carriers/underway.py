"""What was handed to a service that tells later what became of it: which number it gave each letter. Files in the home, there after a kill.

A letter is named before it leaves, and numbered when the service has answered: one that is named and has no number may have left, or not.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one letter. `number`: the service's own; empty while nobody knows. `at`: when it was tried last, in seconds since 1970."""

    number: str
    at: float


class Underway:
    """One folder of one adapter. Several processes may share it: the files are the truth."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def mark(self, letter: str, number: str, at: float) -> None:
        """Written beside and renamed, on the disk when it returns."""
        path = self._path(letter)
        beside = path.with_name(f".{path.name}")
        with beside.open("w", encoding="utf-8") as file:
            file.write(f"{number}\n{at}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)

    def of(self, letter: str) -> Mark | None:
        return _read(self._path(letter))

    def end(self, letter: str) -> None:
        """What became of it is known and kept."""
        self._path(letter).unlink(missing_ok=True)

    def all(self) -> list[tuple[str, Mark]]:
        """Every letter that is under way, the oldest first."""
        found = [(unquote(path.name), _read(path)) for path in self._folder.iterdir() if not path.name.startswith(".")]
        return sorted(((letter, mark) for letter, mark in found if mark is not None), key=lambda one: one[1].at)

    def _path(self, letter: str) -> Path:
        return self._folder / quote(letter, safe="")


def _read(path: Path) -> Mark | None:
    """None: it is not there, or ended meanwhile, or its file was cut short: then nothing is known of it."""
    try:
        number, at, *_ = path.read_text(encoding="utf-8").split("\n")
        return Mark(number, float(at))
    except (FileNotFoundError, ValueError):
        return None
