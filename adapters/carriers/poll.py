"""A shop that is asked: new events are fetched from its JSON endpoint behind a cursor. What goes to it (verdicts, status) is posted, as by `http`.

The cursor is a file in the home, moved on only when the event is kept: what dies in between comes again under the same id, and is one booking.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from adapters.carriers.connections import Connections
from adapters.carriers.http import HttpCarrier
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.fhir import strict_json
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

ACCEPT = {"accept": "application/json"}
LARGEST_PAGE = 10_000_000
PAGES = 100
"""In one look; the next look goes on."""


class PollCarrier:
    """hub.adapter.Carrier. Settings, beside those of `http` (`wait`, `token_file`, `ca`, `certificate`, `key`):

    `url` where events are fetched; `parameter` (the cursor's name in the address), `items` (path of the list in the answer), `cursor` (path in each
    event of what to ask behind next time), `id` (path of the event's own id), `every` (`30s`), `send` (where verdicts and status are posted;
    none: nothing is told).
    """

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        try:
            self._url, self._parameter, self._items, self._cursor, self._id = (
                str(settings[name]) for name in ("url", "parameter", "items", "cursor", "id")
            )
            self._every = duration(str(settings.get("every", "30s"))).total_seconds()
        except (KeyError, ValueError) as wrong:
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: {wrong}") from wrong
        self._connections = Connections(surroundings, self._url)
        to = str(settings.get("send", ""))
        self._out = HttpCarrier(replace(surroundings, settings={**settings, "url": to})) if to else None
        self._file = surroundings.home / "cursors" / surroundings.name
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._next_look = 0.0

    def send(self, parcel: Parcel) -> Parcel | None:
        """As the carrier `http`. Raises Refused where the shop takes nothing."""
        if self._out is None:
            raise Refused(Problem.NOT_DELIVERED, "no address that takes what we tell (`send`)")
        return self._out.send(parcel)

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What is new, page after page, in order. An event that was not kept ends the look, so that the cursor never passes it.

        Raises:
            Unavailable: the shop does not answer, or not with what the settings say.
        """
        if time.monotonic() < self._next_look:
            return
        for _ in range(PAGES):
            found = False
            for parcel, cursor in self._page():
                found, kept = True, False

                def done(cursor: str = cursor) -> None:
                    nonlocal kept
                    self._move_on(cursor)
                    kept = True

                yield parcel, done
                if not kept:
                    return
            if not found:
                break
        self._next_look = time.monotonic() + self._every

    def _page(self) -> Iterator[tuple[Parcel, str]]:
        behind = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        asked = f"{'&' if '?' in self._url else '?'}{urlencode({self._parameter: behind})}" if behind else ""
        status, _, content = self._connections.exchange("GET", self._url + asked, None, ACCEPT, LARGEST_PAGE, "page of events")
        if not 200 <= status < 300:
            raise Unavailable(f"HTTP {status} from the shop")
        try:
            items = strict_json.at(strict_json.load(content), self._items)
        except Refused as wrong:
            raise Unavailable(f"the shop's answer: {wrong.detail}") from wrong
        for item in items if isinstance(items, list) else ():
            cursor = strict_json.at(item, self._cursor)
            if not isinstance(cursor, (str, int)) or str(cursor) == behind:
                raise Unavailable("an event without a cursor, or with the one that was asked behind")
            yield Parcel(_headers(strict_json.at(item, self._id)), strict_json.dump(item)), str(cursor)

    def _move_on(self, cursor: str) -> None:
        """Written beside and renamed, on the disk when it returns."""
        beside = self._file.with_name(f".{self._file.name}")
        with beside.open("w", encoding="utf-8") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._file)

    def close(self) -> None:
        self._connections.close()
        if self._out is not None:
            self._out.close()


def _headers(id_: Any) -> dict[str, str]:
    """Without an id of its own, the content's digest is the event's id (seal `plain`)."""
    named = {"x-message-id": str(id_)} if isinstance(id_, (str, int)) else {}
    return {"content-type": "application/json", **named}


def poll(surroundings: Surroundings) -> PollCarrier:
    """The entry point `poll`."""
    return PollCarrier(surroundings)
