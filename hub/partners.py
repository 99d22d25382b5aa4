"""The partners as their files say, while the hub runs: a new one, changed settings, another CPA or mapping are taken up without a restart.

What is wrong is told and not used: the partner stays as it was when its files were last right. Nobody is forgotten for a file that is gone (an
editor may be writing it anew), so that no letter is answered as a stranger's: to remove a partner takes a restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, ValuesView

from hub.adapter import Adapter
from hub.config import AdapterText, Hub, Misconfigured, read_adapter
from hub.making import make_adapter
from hub.stamp import Stamp, stamp

log = logging.getLogger(__name__)
TAKEN_UP = (
    "En hub som går, tar i bruk endringer i adapters/, mappings/ og certs/ i løpet av sekunder, og nytt sertifikat i [tls]. Andre endringer i"
    " hub.toml, en partner som fjernes, og utstedere som tas ut av client_ca, krever omstart."
)
"""For the operator."""
LEFT = 600.0
"""Seconds that a carrier that was replaced stays open: letters that are under way, or a mailbox that is being emptied, come to their end."""


class Partners(Mapping[str, Adapter]):
    """Name → adapter. Whoever goes through them sees one state of them, whatever is taken up meanwhile."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises Misconfigured: at the start all must be right."""
        self._hub, self._clock = hub, clock
        self._folder = hub.home / "adapters"
        self._around = (hub.home / "certs" / "agreements", hub.home / "mappings")
        """What several adapters may be made of."""
        self._seen: tuple[Stamp, Stamp] | None = None
        self._made: dict[str, tuple[Adapter, AdapterText, Stamp]] = {}
        self._now: dict[str, Adapter] = {}
        self._left: list[tuple[float, Adapter]] = []
        self.troubles: dict[str, str] = {}
        """File → what must be changed there before it is used, Norwegian."""
        self.look()
        if self.troubles:
            self.close()
            raise Misconfigured("\n".join(self.troubles.values()))

    def __getitem__(self, name: str) -> Adapter:
        return self._now[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    def values(self) -> ValuesView[Adapter]:
        return self._now.values()

    @property
    def texts(self) -> dict[str, AdapterText]:
        """What each was made of."""
        return {name: text for name, (_, text, _) in self._made.items()}

    def look(self) -> None:
        """Takes up what has changed since the last look. Raises nothing after the first."""
        while self._left and self._left[0][0] <= self._clock():
            _close(self._left.pop(0)[1])
        seen = stamp([self._folder]), stamp(self._around)
        if seen == self._seen:
            return
        made, troubles = dict(self._made), {}
        for path in sorted(self._folder.glob("*.toml")):
            try:
                text = read_adapter(path)
                before = made.get(text.name)
                if before is None or (before[1].text, before[2]) != (text.text, seen[1]):
                    made[text.name] = make_adapter(self._hub, text), text, seen[1]
            except (Misconfigured, ValueError, OSError) as wrong:
                said = str(wrong) if path.name in str(wrong) else f"adapters/{path.name}: {wrong}"
                troubles[path.name] = said if self._seen is None else f"{said}. Endringen er ikke tatt i bruk; partneren er som før."
        changed = [name for name, (adapter, _, _) in made.items() if self._now.get(name) is not adapter]
        self._left += [(self._clock() + LEFT, self._now[name]) for name in changed if name in self._now]
        if self._seen is not None:
            for said in troubles.values():
                log.warning("%s", said)
            if changed:
                log.info("taken up: %s", ", ".join(changed))
        self._seen, self.troubles, self._made = seen, troubles, made
        self._now = {name: made[name][0] for name in sorted(made)}

    def close(self) -> None:
        for adapter in (*self._now.values(), *(adapter for _, adapter in self._left)):
            _close(adapter)


def _close(adapter: Adapter) -> None:
    adapter.carrier.close()
    if adapter.line is not None:
        adapter.line.carrier.close()
