"""GET /metrics: how things stand, in OpenMetrics 1.0 text, for the municipality's monitoring. Numbers by partner, state and problem; never an id
or a name of a person, and subscriptions together, since they come and go.

It is there only where `[metrics]` of hub.toml says who may ask: whoever has the token, or this machine itself.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from hub.config import Misconfigured
from hub.problem import Unavailable
from hub.store import Standing, Store
from hub.store.feeds import ADAPTER

KIND = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
"""What a proxy on this machine adds: then it is somebody else who asks."""
Sample = tuple[Mapping[str, str], float]
Expiry = tuple[Mapping[str, str], datetime]
"""One certificate, as its labels, and until when it is valid."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask. Without either, nobody."""

    token_digest: str = ""
    loopback: bool = False


def read_metrics(tables: Mapping[str, Any]) -> Access:
    """`[metrics]` of hub.toml. Raises Misconfigured."""
    table = tables.get("metrics", {})
    digest, loopback = table.get("token_digest", ""), table.get("loopback", False)
    if not set(table) <= {"token_digest", "loopback"} or not isinstance(digest, str) or len(digest) not in (0, 64) or not isinstance(loopback, bool):
        raise Misconfigured("hub.toml [metrics]: token_digest er SHA-256 (heksadesimalt) av en nøkkel, loopback er true eller false")
    return Access(digest, loopback)


class Metrics:
    """The ASGI application. 404 for whoever may not ask; 503 when the store does not answer."""

    def __init__(self, store: Store, clock: Callable[[], datetime], access: Access, certificates: Callable[[], Iterable[Expiry]]) -> None:
        self._store, self._clock, self._access, self._certificates = store, clock, access, certificates

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, body = 404, b""
        if self._admitted(scope):
            status, body = await run_in_threadpool(self._look)
        headers = [(b"content-type", KIND), (b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _admitted(self, scope: Any) -> bool:
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if self._access.token_digest and scheme.lower() == b"bearer":
            return hmac.compare_digest(hashlib.sha256(token.strip()).hexdigest(), self._access.token_digest)
        return self._access.loopback and _here(scope.get("client")) and not any(name in headers for name in FORWARDED)

    def _look(self) -> tuple[int, bytes]:
        try:
            standing = self._store.standing()
        except Unavailable:
            return 503, b""
        return 200, "".join(written(standing, self._certificates(), self._clock())).encode()


def written(standing: Standing, certificates: Iterable[Expiry], now: datetime) -> Iterator[str]:
    """The text, family by family."""
    states: Counter[tuple[str, str]] = Counter()
    oldest: dict[str, float] = {}
    for (adapter, state), count in standing.deliveries.items():
        states[_partner(adapter), state.value] += count
    for adapter, at in standing.oldest.items():
        oldest[_partner(adapter)] = max(oldest.get(_partner(adapter), 0), (now - at).total_seconds())
    yield from _family("besoksbro_deliveries", "gauge", "Letters out by partner and state.",
                       [({"adapter": adapter, "state": state}, count) for (adapter, state), count in sorted(states.items())])
    yield from _family("besoksbro_delivery_oldest_age_seconds", "gauge", "Age of the letter that has waited longest, by partner.",
                       [({"adapter": adapter}, age) for adapter, age in sorted(oldest.items())])
    yield from _family("besoksbro_refused_letters", "counter", "Letters in that were refused, by problem.",
                       [({"problem": problem.value}, count) for problem, count in sorted(standing.problems.items(), key=lambda p: p[0].value)])
    for name, family, said in (
        ("changes", "changes", "Resource versions committed."), ("envelopes", "envelopes", "Letters in."),
        ("deliveries", "owed", "Letters out that were owed."),
    ):
        yield from _family(f"besoksbro_{family}", "counter", said, [({}, standing.totals.get(name, 0))])
    if standing.worker is not None:
        yield from _family("besoksbro_worker_seen_seconds", "gauge", "Time since a worker last said that it runs.",
                           [({}, max(0.0, (now - standing.worker).total_seconds()))])
    yield from _family("besoksbro_clock_ahead_seconds", "gauge", "How far the last change lies ahead of the clock.",
                       [({}, standing.ahead(now).total_seconds())])
    yield from _family("besoksbro_certificate_expiry_timestamp_seconds", "gauge", "Until when a certificate is valid, in Unix time.",
                       [(labels, until.timestamp()) for labels, until in certificates])
    yield "# EOF\n"


def _family(name: str, kind: str, said: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# TYPE {name} {kind}\n# HELP {name} {said}\n"
    suffix = "_total" if kind == "counter" else ""
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{suffix}{{{told}}} {value:.15g}\n" if told else f"{name}{suffix} {value:.15g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")


def _partner(adapter: str) -> str:
    return "subscriptions" if adapter.startswith(ADAPTER) else adapter


def _here(client: Any) -> bool:
    """The address is this machine's."""
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
