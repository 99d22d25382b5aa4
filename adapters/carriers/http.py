"""HTTP(S) POST over kept connections. What comes in by HTTP arrives at the inbox (hub/faces/inbox.py)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from adapters.registries import agreements
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

LARGEST_ANSWER = 1_000_000
_LATER = {408, 425, 429}
_KEPT = ("content-type", "soapaction", "x-message-id")


class HttpCarrier:
    """hub.adapter.Carrier. Settings: `url` (or `agreement`, a CPA's file name: the address stands there), `wait` (for the answer; `30s`), `token` (a
    bearer token, by file: `token_file`), and for TLS, PEM files below the home: `ca` (only these issuers are trusted, instead of the system's),
    `certificate` and `key` (what we show: mutual TLS)."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._url = str(settings.get("url") or agreements.endpoint(surroundings))
        if not self._url.startswith(("http://", "https://")):
            raise Misconfigured(f"adapters/{surroundings.name}.toml carrier: url is no http:// or https:// address, and no agreement gives one")
        wait = duration(str(settings.get("wait", "30s"))).total_seconds()
        headers = {"user-agent": "besoksbro"}
        if "token_file" in settings:
            headers["authorization"] = f"Bearer {(surroundings.home / str(settings['token_file'])).read_text().strip()}"
        self._client = httpx.Client(
            verify=tls(surroundings.home, self._url, settings), headers=headers, timeout=httpx.Timeout(wait, connect=5),
            follow_redirects=False, trust_env=False, limits=httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=30),
        )

    def send(self, parcel: Parcel) -> Parcel | None:
        """Posts. 2xx: handed over; 4xx: it will never be taken like this; anything else: nobody knows, try again."""
        try:
            with self._client.stream("POST", self._url, content=parcel.body, headers=dict(parcel.headers)) as answer:
                body = _receipt(answer)
        except httpx.HTTPError as trouble:
            raise Unavailable(_told(trouble)) from trouble
        if answer.is_success:
            headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return Parcel(headers, body, answer.status_code) if body else None
        if 400 <= answer.status_code < 500 and answer.status_code not in _LATER:
            raise Refused(Problem.NOT_DELIVERED, f"HTTP {answer.status_code} from the partner")
        after = answer.headers.get("retry-after", "")
        raise Unavailable(f"HTTP {answer.status_code} from the partner", float(after) if after.isdigit() else None)

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        self._client.close()


def _receipt(answer: httpx.Response) -> bytes:
    """The answer's body, read no further than a receipt is long. Raises Unavailable when it goes on."""
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Unavailable("an answer larger than any receipt")
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
