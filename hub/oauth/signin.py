"""Persons log in at an OpenID provider: code flow with PKCE, `state`, `nonce` and private_key_jwt (OpenID Connect Core 3.1, RFC 7636, RFC 9126,
RFC 9207), as ID-porten wants it. What comes of it is proof of who somebody is; what they may do, we know ourselves.

Everything that a login must remember is made from one secret, which only the browser keeps: nothing is stored before somebody is known.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from hub.booking.national_id import valid
from hub.config import Hub, Misconfigured
from hub.oauth import jose
from hub.oauth.issuing import ASSERTION
from hub.oauth.jose import Keys, bad
from hub.oauth.limits import Limiter
from hub.problem import Problem, Unavailable
from hub.store import Secrets

log = logging.getLogger(__name__)
LEEWAY = 10.0
"""Seconds that the provider's clock may differ from ours."""
ASSERTION_LIVES = 60
HIGH = ("idporten-loa-high",)
FRESH = timedelta(hours=1)
"""How long the provider's own description is good for."""
PAUSE = timedelta(seconds=10)
WAIT = 5.0
"""Seconds for an answer of the provider; somebody waits."""
_ERROR = re.compile(rb'"error"\s*:\s*"([a-z_]{1,40})"')
"""The word of RFC 6749 5.2; what else is said may name somebody."""
_HINT = "id_token_hint"
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Settings:
    """`[signin]` of hub.toml."""

    issuer: str
    """To the letter, as `iss` says it: `https://idporten.no`, `https://test.idporten.no`."""
    client_id: str
    key: RSAKey
    """Ours; its public half is registered at the provider."""
    levels: tuple[str, ...] = HIGH
    """Values of `acr` that will do. Health data: the highest (facts/helsenorge 16.3)."""
    a_minute: int = 600
    """Logins begun at most: each is a request to the provider, and anybody may begin one."""


@dataclass(frozen=True, slots=True)
class Known:
    """Who logged in."""

    national_id: str = field(repr=False)
    session: str
    """`sid`: the provider's name for the login, by which it tells us that it is over. Empty: it has none."""
    hint: str
    """The ID token, for logging out. It holds the national id, so it is encrypted; the provider alone is shown it."""


def read_signin(hub: Hub) -> Settings | None:
    """None: nobody logs in here. Raises Misconfigured."""
    table: Mapping[str, Any] | None = hub.tables.get("signin")
    if table is None:
        return None
    try:
        key = RSAKey.import_key(_key(hub.home / table["key_file"]), {"kid": table["kid"]} if "kid" in table else None)
        made = Settings(str(table["issuer"]), str(table["client_id"]), key, tuple(table.get("levels", HIGH)), int(table.get("a_minute", 600)))
    except (KeyError, OSError, ValueError, JoseError) as wrong:
        raise Misconfigured(f"hub.toml signin: {wrong}") from wrong
    if made.a_minute < 1:
        raise Misconfigured("hub.toml signin: a_minute er minst 1")
    if not key.is_private or not made.levels or not all(isinstance(level, str) for level in made.levels):
        raise Misconfigured("hub.toml signin: key_file er en privat RSA-nøkkel, levels en liste av verdier i acr")
    if not made.issuer.startswith("https://") and hub.environment == "production":
        raise Misconfigured("hub.toml signin: issuer begynner med https://")
    return made


def _key(path: Path) -> Any:
    """A JWK, or PEM."""
    data = path.read_bytes()
    return json.loads(data) if data.lstrip().startswith(b"{") else data


class Provider:
    """The provider as one client of it sees it. Nothing is asked of it before somebody logs in."""

    def __init__(self, settings: Settings, base_url: str, secrets: Secrets, clock: Callable[[], datetime]) -> None:
        self.issuer = settings.issuer
        self._settings, self._secrets, self._clock = settings, secrets, clock
        self._begun = Limiter(clock)
        self.callback = f"{base_url}/logg-inn/tilbake"
        self.goodbye = f"{base_url}/?logget-ut=1"
        self._http = httpx.Client(timeout=WAIT, follow_redirects=False, trust_env=False)
        self._lock = threading.Lock()
        self._described: Mapping[str, str] | None = None
        self._at: datetime = datetime.min
        self._tried: datetime | None = None
        self._keys = Keys(lambda: jose.from_url(self._description()["jwks_uri"])(), clock)

    def begin(self, secret: str) -> str:
        """Where the browser goes to log in. `secret`: at least 128 bits of randomness that the browser keeps.

        Raises:
            Unavailable: the provider does not answer, or more begin than are passed on to it.
        """
        if (wait := self._begun.take("", self._settings.a_minute)) > 0:
            raise Unavailable("more logins are begun than are passed on", ceil(wait))
        described = self._description()
        asked = {
            "response_type": "code", "client_id": self._settings.client_id, "redirect_uri": self.callback, "scope": "openid",
            "state": _made(secret, "state"), "nonce": _made(secret, "nonce"), "code_challenge": _challenge(secret),
            "code_challenge_method": "S256", "acr_values": " ".join(self._settings.levels), "prompt": "login", "ui_locales": "nb",
        }
        if (pushed := described.get("pushed_authorization_request_endpoint")) is not None:
            asked = {"client_id": self._settings.client_id, "request_uri": str(self._posted(pushed, asked).get("request_uri"))}
        return f"{described['authorization_endpoint']}?{urlencode(asked)}"

    def finish(self, secret: str, told: Mapping[str, str]) -> Known:
        """Who came back with this query.

        Raises:
            Refused: LOGIN_REFUSED, LOGIN_TOO_WEAK.
            Unavailable: the provider does not answer.
        """
        if not secret or not hmac.compare_digest(told.get("state", "").encode(), _made(secret, "state").encode()):
            raise bad(Problem.LOGIN_REFUSED, "state is not that of a login which this browser began")
        if told.get("iss", self.issuer) != self.issuer or not told.get("code"):
            raise bad(Problem.LOGIN_REFUSED, "no code, or from another issuer")
        answer = self._posted(self._description()["token_endpoint"], {
            "grant_type": "authorization_code", "code": told["code"], "redirect_uri": self.callback, "code_verifier": _made(secret, "verifier"),
        })
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise bad(Problem.LOGIN_REFUSED, "the answer holds no ID token")
        seen = jose.peek(token, Problem.LOGIN_REFUSED)
        claims = jose.verify(token, self._keys.of(seen.header.get("kid")), Problem.LOGIN_REFUSED).claims
        self._check(claims, secret)
        return Known(str(claims["pid"]), str(claims.get("sid", "")), self._secrets.encrypt(token.encode(), _HINT).hex())

    def _check(self, claims: Mapping[str, Any], secret: str) -> None:
        """OpenID Connect Core 3.1.3.7; then how, and who. Raises Refused."""
        claims = dict(claims)
        now, ours, audiences = self._clock().timestamp(), self._settings.client_id, jose.audiences(claims)
        if claims.get("iss") != self.issuer or ours not in audiences:
            raise bad(Problem.LOGIN_REFUSED, "the ID token is another issuer's, or for another client")
        if claims.get("azp", ours) != ours or (len(audiences) > 1 and "azp" not in claims):
            raise bad(Problem.LOGIN_REFUSED, "the ID token was made for another client")
        made, expires = (jose.number(claims, name, Problem.LOGIN_REFUSED) for name in ("iat", "exp"))
        if now >= expires + LEEWAY or made > now + LEEWAY:
            raise bad(Problem.LOGIN_REFUSED, "the ID token is expired, or of the future")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), _made(secret, "nonce").encode()):
            raise bad(Problem.LOGIN_REFUSED, "nonce is not that of this login")
        if claims.get("acr") not in self._settings.levels:
            raise bad(Problem.LOGIN_TOO_WEAK, "acr is none that will do here")
        if not isinstance(claims.get("pid"), str) or not valid(claims["pid"]):
            raise bad(Problem.LOGIN_REFUSED, "pid is no national id")

    def farewell(self, hint: str) -> str:
        """Where the browser goes to log out there, too; empty when the provider has no such place, or does not answer."""
        try:
            place = self._description().get("end_session_endpoint", "")
        except Unavailable:
            return ""
        token = self._secrets.decrypt(bytes.fromhex(hint), _HINT).decode()
        return place and f"{place}?{urlencode({'id_token_hint': token, 'post_logout_redirect_uri': self.goodbye})}"

    def _description(self) -> Mapping[str, str]:
        """OpenID Connect Discovery 4; the last that was read, while the provider does not answer. Raises Unavailable."""
        with self._lock:
            now = self._clock()
            if self._described is None or now - self._at >= FRESH:
                self._look(now)
            if self._described is None:
                raise Unavailable("the login provider does not tell where to log in", PAUSE.total_seconds())
            return self._described

    def _look(self, now: datetime) -> None:
        """Not again at once: nobody shall wait in a row for a provider that is slow."""
        if self._tried is not None and now - self._tried < PAUSE:
            return
        self._tried = now
        try:
            found = _object(lambda: self._http.get(f"{self.issuer}/.well-known/openid-configuration"))
        except Unavailable as down:
            log.warning("%s", down.detail)
            return
        if found.get("issuer") != self.issuer or not all(isinstance(found.get(name), str) for name in NEEDED):
            log.error("the login provider describes itself as another issuer, or without its endpoints: see hub.toml signin")
            return
        self._described, self._at = {name: value for name, value in found.items() if isinstance(value, str)}, now

    def _posted(self, where: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises Refused LOGIN_REFUSED, Unavailable."""
        proof = {"client_id": self._settings.client_id, "client_assertion_type": ASSERTION, "client_assertion": self._assertion()}

        def ask() -> httpx.Response:
            answer = self._http.post(where, data={**form, **proof})
            if 400 <= answer.status_code < 500:
                told = _ERROR.search(answer.content[:1000])
                log.warning("the login provider answered %d %s", answer.status_code, told[1].decode() if told else "")
                raise bad(Problem.LOGIN_REFUSED, "the login provider refused it")
            return answer

        return _object(ask)

    def _assertion(self) -> str:
        """RFC 7523: short-lived, and used once."""
        now, ours = int(self._clock().timestamp()), self._settings.client_id
        claims = {"iss": ours, "sub": ours, "aud": self.issuer, "jti": str(uuid.uuid4()), "iat": now, "exp": now + ASSERTION_LIVES}
        header = {"alg": "RS256", **({"kid": kid} if (kid := self._settings.key.kid) else {})}
        return jwt.encode(header, claims, self._settings.key, algorithms=["RS256"])


def _object(ask: Callable[[], httpx.Response]) -> dict[str, Any]:
    """The JSON object that was answered. Raises Unavailable, and what `ask` raises."""
    try:
        answer = ask()
        answer.raise_for_status()
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as down:
        raise Unavailable("the login provider does not answer", 30) from down
    if not isinstance(found, dict):
        raise Unavailable("the login provider answers something else than an object", 30)
    return found


def _made(secret: str, purpose: str) -> str:
    """43 characters that say nothing of the secret, nor of one another."""
    return _text(hmac.digest(secret.encode(), purpose.encode(), "sha256"))


def _challenge(secret: str) -> str:
    """RFC 7636 4.2, S256."""
    return _text(sha256(_made(secret, "verifier").encode()).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

