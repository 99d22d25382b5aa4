"""A folder: parcels as files, whole or not there at all. For partners that exchange files, and for looking at what would be sent."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from hub.adapter import Surroundings
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

log = logging.getLogger(__name__)


class FolderCarrier:
    """hub.adapter.Carrier. Settings: `out`, `in` (folders, from the home). A parcel is `<name>` with its headers in `<name>.headers`."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._out = surroundings.home / str(surroundings.settings.get("out", f"folders/{surroundings.name}/out"))
        self._in = surroundings.home / str(surroundings.settings.get("in", f"folders/{surroundings.name}/in"))
        self._done = self._in / "done"
        for folder in (self._out, self._in, self._done):
            folder.mkdir(parents=True, exist_ok=True)

    def send(self, parcel: Parcel) -> Parcel | None:
        """Written beside, then renamed: nobody ever reads half a parcel. The headers come first."""
        name = uuid.uuid4().hex
        try:
            self._write(f"{name}.headers", json.dumps(dict(parcel.headers)).encode())
            self._write(name, parcel.body)
        except OSError as trouble:
            raise Unavailable(f"the folder cannot be written: {trouble.strerror}") from trouble
        return None

    def _write(self, name: str, data: bytes) -> None:
        beside = self._out / f".{name}"
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._out / name)

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """Oldest first; what was stored moves to `done`."""
        try:
            waiting = sorted((p for p in self._in.iterdir() if p.is_file() and p.suffix != ".headers" and not p.name.startswith(".")),
                             key=lambda p: p.stat().st_mtime_ns)
        except OSError as trouble:
            raise Unavailable(f"the folder cannot be read: {trouble.strerror}") from trouble
        for path in waiting:
            parcel = _read(path)
            if parcel is not None:
                yield parcel, partial(self._put_away, path)

    def _put_away(self, path: Path) -> None:
        path.rename(self._done / path.name)
        beside = path.with_name(f"{path.name}.headers")
        if beside.exists():
            beside.rename(self._done / beside.name)

    def close(self) -> None:
        return


def _read(path: Path) -> Parcel | None:
    """One parcel; None while its file cannot be read. Headers that say nothing make it no letter, and never stop the next one."""
    beside = path.with_name(f"{path.name}.headers")
    try:
        body, told = path.read_bytes(), beside.read_bytes() if beside.exists() else b"{}"
    except OSError as trouble:
        log.warning("a file in %s cannot be read: %s", path.parent.name, trouble.strerror)
        return None
    try:
        headers = json.loads(told)
        return Parcel({str(name).lower(): str(value) for name, value in headers.items()}, body)
    except (ValueError, AttributeError, RecursionError):
        return Parcel({}, body, trouble=Refused(Problem.UNREADABLE, "the file with its headers is no JSON object"))


def folder(surroundings: Surroundings) -> FolderCarrier:
    """The entry point `folder`."""
    return FolderCarrier(surroundings)
