"""Kept connections to a partner: token, headers and TLS as its settings say; no redirects, no proxies, and answers that have an end.

urllib3, because a request by httpx costs more than twice as much: as much as two signatures.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout, parse_url

from adapters.carriers.guarded import address_of
from adapters.registries.rotating import Rotating
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.problem import Unavailable

KEPT = 30.0
"""Seconds that a connection is kept that nobody uses: firewalls forget idle ones without a word."""
MOST = 16
"""Connections to one address."""
_CHUNK = 65536
_TLS_FILES = ("ca", "certificate", "key")


class Reply(NamedTuple):
    """What came back. Header names in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connections:
    """To one partner. Settings: `wait`, `headers`, `token_file`, `ca`, `certificate`, `key`, `allowed` (adapters.carriers.http)."""

    def __init__(self, surroundings: Surroundings, url: str) -> None:
        """Raises Misconfigured."""
        settings = surroundings.settings
        self._url, self._wait, self._allowed = parse_url(url), wait_of(settings), settings.get("allowed")
        self._headers = {"user-agent": "besoksbro", **settings.get("headers", {})}
        if "token_file" in settings:
            self._headers["authorization"] = f"Bearer {(surroundings.home / str(settings['token_file'])).read_text().strip()}"
        files = [surroundings.home / str(settings[name]) for name in _TLS_FILES if name in settings]
        self._tls = Rotating(lambda: tls(surroundings.home, url, settings), files)
        self._pool: Callable[[str, ssl.SSLContext | None], urllib3.HTTPConnectionPool] = lru_cache(maxsize=4)(self._connect_to)

    def exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], largest: int, what: str = "receipt") -> Reply:
        """One request to a URL of the same server, and its answer, read no further than `largest` bytes.

        Raises:
            Unavailable: no connection, no answer in time, or one that goes on longer than any `what`.
            Refused: BAD_SUBSCRIPTION, where the address is not one that may be called.
        """
        until = time.monotonic() + self._wait * 2
        host, port = self._url.host or "", self._url.port
        pool = self._pool(address_of(self._allowed, host, port or 443) if self._allowed else host.strip("[]"), self._tls())
        sent = {"host": f"{host}:{port}" if port else host, **self._headers, **headers}
        try:
            answer = pool.urlopen(
                method, parse_url(url).request_uri, body, sent, retries=False, redirect=False, assert_same_host=False, pool_timeout=ceil(self._wait),
                preload_content=False,
            )
            return Reply(answer.status, answer.headers, _content(answer, largest, until, what))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as trouble:  # ValueError: a header that cannot be sent
            raise Unavailable(_told(trouble)) from trouble

    def _connect_to(self, address: str, context: ssl.SSLContext | None) -> urllib3.HTTPConnectionPool:
        options: dict[str, Any] = {"timeout": Timeout(connect=min(self._wait, 5), read=self._wait), "maxsize": MOST, "block": True}
        if context is None:
            plain = urllib3.HTTPConnectionPool(address, self._url.port or 80, **options)
            plain.ConnectionCls = _Plain
            return plain
        secure = urllib3.HTTPSConnectionPool(
            address, self._url.port or 443, ssl_context=context, server_hostname=(self._url.host or "").strip("[]"), **options,
        )
        secure.ConnectionCls = _Secure
        return secure

    def close(self) -> None:
        self._pool.cache_clear()  # type: ignore[attr-defined]


class _Aging:
    """A connection that counts as dropped when nobody used it for a while."""

    used = 0.0

    def request(self, *args: Any, **named: Any) -> None:
        self.used = time.monotonic()
        try:
            super().request(*args, **named)  # type: ignore[misc]
        except ssl.SSLEOFError as hung_up:  # urllib3 then reads what the server said first: an answer, or whose certificate it does not take
            raise BrokenPipeError from hung_up

    @property
    def is_connected(self) -> bool:
        return bool(super().is_connected) and time.monotonic() < self.used + KEPT  # type: ignore[misc]


class _Plain(_Aging, HTTPConnection):
    pass


class _Secure(_Aging, HTTPSConnection):
    pass


def _content(answer: urllib3.BaseHTTPResponse, largest: int, until: float, what: str) -> bytes:
    body = bytearray()
    for chunk in answer.stream(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > largest or time.monotonic() > until:
            answer.close()  # and its connection with it
            raise Unavailable(f"an answer larger, or longer under way, than any {what}")
    answer.release_conn()
    return bytes(body)


def later_by(told: str, now: float) -> float | None:
    """Seconds to wait by `Retry-After`: a number of them, or a date (RFC 9110 10.2.3). `now`: seconds since 1970. None: it says nothing that can be
    understood."""
    told = told.strip()
    if told.isascii() and told.isdecimal():
        return float(told[:12])
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def wait_of(settings: Mapping[str, Any]) -> float:
    """Seconds that an answer may take."""
    return duration(str(settings.get("wait", "30s"))).total_seconds()


def tls(home: Path, url: str, settings: Mapping[str, Any]) -> ssl.SSLContext | None:
    """How the partner's server is checked, and what we show it: chain, name and validity always; None: http://. Raises Misconfigured."""
    named = {name: home / str(settings[name]) for name in _TLS_FILES if name in settings}
    if not url.startswith("https://"):
        if named:
            raise Misconfigured("carrier: ca, certificate og key er for https://-adresser")
        return None
    if ("certificate" in named) != ("key" in named):
        raise Misconfigured("carrier: certificate og key hører sammen")
    for path in named.values():
        if not path.is_file():
            raise Misconfigured(f"{path} mangler")
    try:
        context = ssl.create_default_context(cafile=named.get("ca"))
        if "certificate" in named:
            context.load_cert_chain(named["certificate"], named["key"], password=_never_asked)
    except (ssl.SSLError, ValueError) as wrong:
        raise Misconfigured(f"{', '.join(str(path) for path in named.values())}: ikke PEM, eller ikke et par") from wrong
    return context


def _never_asked() -> str:
    raise ValueError("the key has a password")  # else OpenSSL would ask for it on the terminal


def _told(trouble: BaseException) -> str:
    """What did not work, for the operator: whose certificate was not accepted, where it was that."""
    causes: list[object] = [trouble]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the partner's TLS certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
            return f"the partner's server does not accept our TLS certificate ({cause.reason})"
        if isinstance(cause, BaseException):
            causes += [cause.__cause__ or cause.__context__, *cause.args]
    return f"{type(trouble).__name__} from the partner's address"
