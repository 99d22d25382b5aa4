"""What certificate files say, while the hub runs: read anew when they change, so that nobody restarts a hub to rotate a certificate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from hub.config import Misconfigured
from hub.stamp import LOOKED, Stamp
from hub.stamp import stamp as stamp_of

log = logging.getLogger(__name__)
T = TypeVar("T")


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
        self._stamp, self._looked = stamp_of(places), clock()
        self._value = read()

    def __call__(self) -> T:
        """What the files said when they were last whole. Raises nothing."""
        if self._clock() - self._looked >= LOOKED:
            self._looked = self._clock()
            stamp = stamp_of(self._places)
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
