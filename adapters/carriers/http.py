"""HTTP(S) POST over kept connections. What comes in by HTTP arrives at the inbox (hub/faces/inbox.py)."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from adapters.carriers.guarded import GuardedTransport
from adapters.carriers.signing import signed
from adapters.registries import agreements
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
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
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: url is no http:// or https:// address, and no agreement gives one")
        self._secret, self._clock = str(settings.get("secret", "")), clock
        self._later = _LATER | frozenset(settings.get("later", ()))
        self._wait, self._client = wait_of(settings), client(surroundings, self._url)

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
        after = headers.get("retry-after", "")
        raise Unavailable(f"HTTP {status} from the partner", float(after) if after.isdigit() else None)

    def _sent(self, parcel: Parcel) -> tuple[int, httpx.Headers, bytes]:
        headers = dict(parcel.headers)
        if self._secret:
            headers |= signed(self._secret, headers.get("x-message-id", ""), int(self._clock()), parcel.body)
        place = headers.get("content-location")
        method, url = ("PUT", f"{self._url.rstrip('/')}/{place}") if place else ("POST", self._url)
        until = time.monotonic() + self._wait * 2
        try:
            with self._client.stream(method, url, content=parcel.body, headers=headers) as answer:
                return answer.status_code, answer.headers, content_of(answer, LARGEST_ANSWER, until)
        except httpx.HTTPError as trouble:
            raise Unavailable(_told(trouble)) from trouble

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        self._client.close()


def wait_of(settings: Mapping[str, Any]) -> float:
    """Seconds that an answer may take."""
    return duration(str(settings.get("wait", "30s"))).total_seconds()


def client(surroundings: Surroundings, url: str) -> httpx.Client:
    """Kept connections to a partner, as the settings say: token, headers, TLS, and where it may call. Raises Misconfigured."""
    settings = surroundings.settings
    wait, headers = wait_of(settings), {"user-agent": "besoksbro", **settings.get("headers", {})}
    if "token_file" in settings:
        headers["authorization"] = f"Bearer {(surroundings.home / str(settings['token_file'])).read_text().strip()}"
    connections: dict[str, Any] = {
        "verify": tls(surroundings.home, url, settings), "trust_env": False,
        "limits": httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=30),
    }
    if "allowed" in settings:
        connections["transport"] = GuardedTransport(settings["allowed"], **connections)
    return httpx.Client(headers=headers, timeout=httpx.Timeout(wait, connect=min(wait, 5)), follow_redirects=False, **connections)


def content_of(answer: httpx.Response, largest: int, until: float, what: str = "receipt") -> bytes:
    """A streamed answer's body, read no further than `largest` bytes, nor longer than `until` (monotonic). Raises Unavailable when it goes on."""
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > largest or time.monotonic() > until:
            raise Unavailable(f"an answer larger, or longer under way, than any {what}")
    return bytes(body)


def tls(home: Path, url: str, settings: Mapping[str, Any]) -> ssl.SSLContext | bool:
    """How the partner's server is checked, and what we show it: chain, name and validity always. Raises Misconfigured."""
    named = {name: home / str(settings[name]) for name in ("ca", "certificate", "key") if name in settings}
    if not named:
        return True
    if not url.startswith("https://"):
        raise Misconfigured("carrier: ca, certificate and key are for https:// addresses")
    if ("certificate" in named) != ("key" in named):
        raise Misconfigured("carrier: certificate and key belong together")
    for path in named.values():
        if not path.is_file():
            raise Misconfigured(f"{path} is missing")
    try:
        context = ssl.create_default_context(cafile=named.get("ca"))
        if "certificate" in named:
            context.load_cert_chain(named["certificate"], named["key"], password=_never_asked)
    except (ssl.SSLError, ValueError) as wrong:
        raise Misconfigured(f"{', '.join(str(path) for path in named.values())}: not PEM, or not a pair") from wrong
    return context


def _never_asked() -> str:
    raise ValueError("the key has a password")  # else OpenSSL would ask for it on the terminal


def _told(trouble: BaseException) -> str:
    """What did not work, for the operator: whose certificate was not accepted, where it was that."""
    cause: BaseException | None = trouble
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the partner's TLS certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
            return f"the partner's server does not accept our TLS certificate ({cause.reason})"
        cause = cause.__cause__ or cause.__context__
    return f"{type(trouble).__name__} from the partner's address"


def http(surroundings: Surroundings) -> HttpCarrier:
    """The entry point `http`."""
    return HttpCarrier(surroundings)
