"""What certificate files say, while the hub runs: read anew when they change, so that nobody restarts a hub to rotate a certificate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from hub.config import Misconfigured

log = logging.getLogger(__name__)
T = TypeVar("T")
LOOKED = 5.0
"""Seconds between two looks: a letter pays for a look at the clock, not at the disk."""
Stamp = tuple[tuple[str, int, int, int], ...]


class Rotating(Generic[T]):
    """A value that is read of files. Half a change (a certificate whose key is not there yet) is not taken: the last whole one stays, and the
    log says what is wrong until it is right.

    Args:
        read: raises ValueError where the files are not whole (MissingCertificate, Misconfigured).
        places: files, and folders whose files count; one that is not there counts as empty.
        clock: seconds that only go forward.
    """

    def __init__(self, read: Callable[[], T], places: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._places, self._clock = read, places, clock
        self._stamp, self._looked = _stamp(places), clock()
        self._value = read()

    def __call__(self) -> T:
        """What the files said when they were last whole. Raises nothing."""
        if self._clock() - self._looked >= LOOKED:
            self._looked = self._clock()
            stamp = _stamp(self._places)
            if stamp != self._stamp:
                self._take(stamp)
        return self._value

    def _take(self, stamp: Stamp) -> None:
        try:
            self._value = self._read()
        except (ValueError, Misconfigured) as wrong:
            log.warning("changed certificates are not used yet: %s", wrong)
        else:
            log.info("changed certificates are in use: %s", ", ".join(str(place) for place in self._places))
        self._stamp = stamp


def _stamp(places: Sequence[Path]) -> Stamp:
    """Changes with any file's content: replaced, rewritten, added or taken away."""
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
