"""HTTP(S) POST over kept connections. What comes in by HTTP arrives at the inbox (hub/faces/inbox.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from adapters.carriers.connections import Connections, Reply, later_by
from adapters.carriers.signing import signed
from adapters.registries import agreements
from hub.adapter import Surroundings
from hub.config import Misconfigured
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

LARGEST_ANSWER = 1_000_000
_LATER = frozenset({408, 425, 429})
_GONE = 410
_KEPT = ("content-type", "soapaction", "x-message-id")


class HttpCarrier:
    """hub.adapter.Carrier. Settings: `url` (or `agreement`, a CPA's file name: the address stands there), `wait` (for the answer; `30s`), `token` (a
    bearer token, by file: `token_file`), `headers`, and for TLS, PEM files below the home: `ca` (only these issuers are trusted, instead of the
    system's), `certificate` and `key` (what we show: mutual TLS).

    For webhooks: `secret` (signs each try, adapters.carriers.signing), `later` (more statuses after which it is tried again), `allowed` (an
    `hub.endpoint.Allowed`: the url is a stranger's word). A parcel with `content-location` is put there, below the url.
    """

    def __init__(self, surroundings: Surroundings, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970, for signatures."""
        settings = surroundings.settings
        self._url = str(settings.get("url") or agreements.endpoint(surroundings))
        if not self._url.startswith(("http://", "https://")):
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: url er ingen http://- eller https://-adresse, og ingen avtale gir en")
        self._secret, self._clock = str(settings.get("secret", "")), clock
        self._later = _LATER | frozenset(settings.get("later", ()))
        self._connections = Connections(surroundings, self._url)

    def send(self, parcel: Parcel) -> Parcel | None:
        """Posts. 2xx: handed over; 410: there is nobody any more; another 4xx: it will never be taken like this; anything else: nobody knows,
        try again."""
        status, headers, content = self._sent(parcel)
        if 200 <= status < 300:
            return Parcel({name: headers[name] for name in _KEPT if name in headers}, content, status) if content else None
        if status == _GONE:
            raise Refused(Problem.RECEIVER_GONE, f"HTTP {status} from the partner")
        if 400 <= status < 500 and status not in self._later:
            raise Refused(Problem.NOT_DELIVERED, f"HTTP {status} from the partner")
        raise Unavailable(f"HTTP {status} from the partner", later_by(headers.get("retry-after", ""), self._clock()))

    def _sent(self, parcel: Parcel) -> Reply:
        headers = dict(parcel.headers)
        if self._secret:
            headers |= signed(self._secret, headers.get("x-message-id", ""), int(self._clock()), parcel.body)
        place = headers.get("content-location")
        method, url = ("PUT", f"{self._url.rstrip('/')}/{place}") if place else ("POST", self._url)
        return self._connections.exchange(method, url, parcel.body, headers, LARGEST_ANSWER)

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        self._connections.close()


def http(surroundings: Surroundings) -> HttpCarrier:
    """The entry point `http`."""
    return HttpCarrier(surroundings)
