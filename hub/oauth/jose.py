"""Signed JWTs: which algorithms are believed, how large they may be, and where the keys come from (file or URL, with rotation).

`none` and the HMAC algorithms are never believed: a public key used as an HMAC secret is the classic confusion.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from hub.problem import Problem, Refused, Unavailable

ALGORITHMS = ("PS256", "ES256", "PS384", "ES384", "PS512", "ES512", "RS256", "RS384", "RS512")
"""The nine that HelseID's keys may have; Maskinporten signs RS256 to RS512."""
LARGEST = 16 * 1024
"""Characters of a JWT we look at."""
LARGEST_KEY_SET = 256 * 1024
LONGEST_READ = 10.0
"""Seconds that a key set may take to come."""
SMALLEST_RSA = 2048
LATEST = 1e11
"""Seconds since 1970: no time that is meant is later, and what is before cannot always be a date."""
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
Key = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class Jwt:
    """A JWT whose signature holds."""

    header: dict[str, Any]
    claims: dict[str, Any]


def bad(problem: Problem, detail: str) -> Refused:
    """What every check here raises; `detail` never repeats what was sent."""
    return Refused(problem, detail)


def peek(text: str, problem: Problem) -> Jwt:
    """Header and claims, not believed: to find out whose keys to use.

    Raises:
        Refused: `problem` when it is no JWT, too large, or of an algorithm that is never believed.
    """
    if len(text) > LARGEST:
        raise bad(problem, f"a JWT of more than {LARGEST} characters")
    try:
        compact = jws.extract_compact(text.encode("ascii"))
        header, claims = compact.headers(), json.loads(compact.payload)
    except (JoseError, ValueError, RecursionError) as wrong:
        raise bad(problem, "not a signed JWT in compact form") from wrong
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise bad(problem, "a JWT whose header or claims is no object")
    if header.get("alg") not in ALGORITHMS or "crit" in header:
        raise bad(problem, "an algorithm or a critical header that is not believed")
    return Jwt(header, claims)


def verify(text: str, keys: list[Key], problem: Problem) -> Jwt:
    """The JWT, when one of these keys signed it. Raises Refused `problem`."""
    seen = peek(text, problem)
    alg = str(seen.header["alg"])
    for key in keys:
        if not fits(key, alg):
            continue
        try:
            jws.deserialize_compact(text, key, algorithms=[alg])
        except (JoseError, ValueError):
            continue
        return seen
    raise bad(problem, "no key known here signed it")


def fits(key: Key, alg: str) -> bool:
    """True when a key is of the kind and size that an algorithm needs, and not published for another one."""
    if key.as_dict(private=False).get("alg", alg) != alg:
        return False
    if isinstance(key, RSAKey):
        return alg[0] != "E" and key.raw_value.key_size >= SMALLEST_RSA
    return isinstance(key, ECKey) and key.curve_name == _CURVES.get(alg)


def number(claims: dict[str, Any], name: str, problem: Problem) -> float:
    """A NumericDate. Raises Refused when it is missing or none."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise bad(problem, f"{name} is not a time")
    return float(value)


def audiences(claims: dict[str, Any]) -> list[str]:
    value = claims.get("aud")
    return [value] if isinstance(value, str) else [str(v) for v in value] if isinstance(value, list) else []


def key_set(data: bytes) -> list[Key]:
    """The RSA and EC signing keys of a JWK Set. Raises ValueError when it is none."""
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWK Set")
    usable = [k for k in document["keys"] if isinstance(k, dict) and k.get("kty") in ("RSA", "EC") and k.get("use", "sig") == "sig"]
    try:
        return [k for k in KeySet.import_key_set({"keys": usable}).keys if isinstance(k, RSAKey | ECKey)] if usable else []
    except JoseError as wrong:
        raise ValueError("a key of the set cannot be read") from wrong


class Keys:
    """An issuer's keys, kept for a while. An unknown kid makes us look again, though not more often than `pause`.

    While the source does not answer, what was read last is used for at most `stale_after`. One thread asks it; while it does, the others go on
    with what is known: whoever shows a made-up kid must not make everybody wait for a source that is slow.
    """

    def __init__(
        self, read: Callable[[], bytes], clock: Callable[[], datetime], fresh_for: timedelta = timedelta(hours=1),
        pause: timedelta = timedelta(seconds=30), stale_after: timedelta = timedelta(hours=24),
    ) -> None:
        self._read, self._clock = read, clock
        self._fresh_for, self._pause, self._stale_after = fresh_for, pause, stale_after
        self._known: tuple[list[Key], datetime] | None = None
        self._tried: datetime | None = None
        self._lock = threading.Lock()

    def of(self, kid: Any) -> list[Key]:
        """The keys that may have signed a JWT with this kid; without a kid, all.

        Raises:
            Unavailable: the source does not answer and nothing recent is known; or it is being asked, and the kid is unknown till then.
        """
        now = self._clock()
        found, age = self._named(kid, now)
        if age < self._fresh_for and found:
            return found
        if not self._lock.acquire(blocking=self._known is None):
            if found and age < self._stale_after:
                return found
            raise Unavailable("the issuer's keys are being read", 1)
        try:
            self._refresh(now)
        finally:
            self._lock.release()
        found, age = self._named(kid, now)
        if age >= self._stale_after:
            raise Unavailable("the issuer's keys could not be read", self._pause.total_seconds())
        return found

    def _named(self, kid: Any, now: datetime) -> tuple[list[Key], timedelta]:
        """Those with this kid, and how long ago they were read."""
        if self._known is None:
            return [], timedelta.max
        keys, at = self._known
        return [k for k in keys if kid is None or k.kid == kid], now - at

    def _refresh(self, now: datetime) -> None:
        if self._tried is not None and now - self._tried < self._pause:
            return
        self._tried = now
        try:
            self._known = key_set(self._read()), now
        except (OSError, ValueError, httpx.HTTPError):
            return


def source(url: str, path: Path, clock: Callable[[], datetime]) -> Keys:
    """The keys at an address or, where there is none, in a file, which costs little to read again: a key that is taken out of it is gone soon."""
    return Keys(from_url(url), clock) if url else Keys(from_file(path), clock, fresh_for=timedelta(minutes=1))


def from_file(path: Path) -> Callable[[], bytes]:
    return path.read_bytes


def from_url(url: str) -> Callable[[], bytes]:
    """GET without redirects; at most LARGEST_KEY_SET bytes, within LONGEST_READ."""

    def read() -> bytes:
        until, plain = time.monotonic() + LONGEST_READ, {"accept-encoding": "identity"}
        with httpx.Client(timeout=5, follow_redirects=False, trust_env=False) as client, client.stream("GET", url, headers=plain) as answer:
            answer.raise_for_status()
            data = b""
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > LARGEST_KEY_SET or time.monotonic() > until:
                    raise ValueError("a key set larger than any, or one that comes in drops")
            return data

    return read
