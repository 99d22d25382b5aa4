"""What can be seen of files without reading them: changes with any file's content, replaced, rewritten, added or taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

LOOKED = 5.0
"""Seconds between two looks: nobody waits long for what was changed, and nobody pays for looking at the disk all the time."""
Stamp = tuple[tuple[str, int, int, int], ...]


def stamp(places: Sequence[Path]) -> Stamp:
    """Of files, and of folders whose files count; one that is not there counts as empty."""
    found = []
    for file in _files(places):
        try:
            told = file.stat()
        except OSError:  # gone between the two looks
            continue
        found.append((str(file), told.st_ino, told.st_mtime_ns, told.st_size))
    return tuple(found)


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(place.iterdir())
        else:
            yield place
