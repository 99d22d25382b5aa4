"""Access tokens: those of configured issuers are checked, our own are made. RFC 9068, NHN's and Digdir's rules (facts/helsenorge.md 16). Pure."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from hub.oauth import jose
from hub.oauth.jose import Jwt, Key, Keys, bad
from hub.oauth.settings import OWN, TEST, Access, Client, Issuer
from hub.problem import Problem
from hub.scopes import Scopes

TYPES = ("at+jwt", "application/at+jwt", "jwt")


@dataclass(frozen=True, slots=True)
class Granted:
    """What a checked token gives."""

    client: Client
    scopes: Scopes
    """What the token says and the client may at most have."""
    thumbprint: str | None
    """The key it is bound to (`cnf.jkt`); None: a bearer token."""
    expires: datetime
    bound_only: bool
    """Its issuer's tokens must be bound to a key."""


@dataclass(frozen=True)
class Trust:
    """Every issuer that counts, with where its keys are."""

    access: Access
    issuers: Mapping[str, tuple[Issuer, str, Keys]]
    """`iss` → its rules, what the clients' table calls it, its keys."""

    def check(self, text: str, now: datetime) -> Granted:
        """A token for us, from an issuer we trust, for a client we know, valid now.

        Raises:
            Refused: BAD_TOKEN.
            Unavailable: the issuer's keys cannot be had.
        """
        seen = jose.peek(text, Problem.BAD_TOKEN)
        found = self.issuers.get(str(seen.claims.get("iss", "")))
        if found is None:
            raise bad(Problem.BAD_TOKEN, "no issuer trusted here")
        issuer, called, keys = found
        if str(seen.header.get("typ", "")).lower() not in TYPES:
            raise bad(Problem.BAD_TOKEN, "typ is neither at+jwt nor JWT")
        token = jose.verify(text, keys.of(seen.header.get("kid")), Problem.BAD_TOKEN)
        expires = _times(token, issuer.leeway, now)
        meant = jose.audiences(token.claims)
        if issuer.audience and meant != [issuer.audience]:
            raise bad(Problem.BAD_TOKEN, "aud is not exactly this API")
        client = self.access.clients.get((called, _caller(token.claims.get(issuer.client_claim))))
        if client is None:
            raise bad(Problem.BAD_TOKEN, "a client that is not set up here")
        granted = Scopes.of(_words(token.claims.get("scope")), issuer.scopes) & client.scopes
        return Granted(client, granted, _thumbprint(token.claims.get("cnf")), expires, issuer.dpop == "required")


def _times(token: Jwt, leeway: timedelta, now: datetime) -> datetime:
    expires = datetime.fromtimestamp(jose.number(token.claims, "exp", Problem.BAD_TOKEN), UTC)
    if now >= expires + leeway:
        raise bad(Problem.BAD_TOKEN, "it has expired")
    for name in ("nbf", "iat"):
        if name in token.claims and datetime.fromtimestamp(jose.number(token.claims, name, Problem.BAD_TOKEN), UTC) > now + leeway:
            raise bad(Problem.BAD_TOKEN, f"{name} is in the future")
    return expires


def _caller(value: Any) -> str:
    """A client id, or the organisation of Maskinporten's `consumer`."""
    return str(value.get("ID", "")) if isinstance(value, dict) else str(value or "")


def _words(value: Any) -> str:
    return " ".join(str(v) for v in value) if isinstance(value, list) else str(value or "")


def _thumbprint(value: Any) -> str | None:
    """The key a token is bound to. A binding we cannot check (mTLS) is a binding all the same: no proof fits it."""
    if value is None:
        return None
    return str(value.get("jkt", "")) if isinstance(value, dict) else ""


def trust(access: Access, base_url: str, own: Signing, home: Path, clock: Callable[[], datetime], environment: str) -> Trust:
    """Our own issuer, the test issuer where there may be one, and those of hub.toml."""
    audience = f"{base_url}/fhir"
    ours = Keys(own.public, clock, fresh_for=timedelta(minutes=1), pause=timedelta(seconds=1))
    issuers = {name: (issuer, name, jose.source(issuer.jwks_url, home / issuer.jwks_file, clock)) for name, issuer in access.issuers.items()}
    issuers[base_url] = (Issuer(base_url, audience), OWN, ours)
    if environment in ("demo", "test"):
        issuers[test_issuer(base_url)] = (Issuer(test_issuer(base_url), audience), TEST, ours)
    return Trust(access, issuers)


def test_issuer(base_url: str) -> str:
    """`iss` of the test issuer's tokens."""
    return f"{base_url}/oauth/test"


class Signing:
    """Our own keys: a JWK Set in the home's `secrets/`, the first one signs, all are published. Made on first use.

    To rotate: put a new key first, and take the old one away when the last token it signed has expired.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def open(cls, home: Path) -> Signing:
        path = home / "secrets" / "oauth.jwks"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})
            document = {"keys": [{**key.as_dict(private=True), "kid": key.thumbprint()}]}
            fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(document, file)
            try:
                os.link(fresh, path)  # never replaces: of two processes, the second reads the first one's
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return cls(path)

    def public(self) -> bytes:
        """The JWK Set that anybody may see."""
        return json.dumps(KeySet.import_key_set(json.loads(self._path.read_bytes())).as_dict(private=False)).encode()

    def token(self, issuer: str, audience: str, client: Client, scopes: Scopes, now: datetime, lifetime: timedelta, jkt: str | None) -> str:
        """An access token (RFC 9068) for a client; bound to a key when `jkt` is one."""
        key: Key = jose.key_set(self._path.read_bytes())[0]
        claims: dict[str, Any] = {
            "iss": issuer, "aud": audience, "sub": client.id, "client_id": client.id, "scope": str(scopes), "jti": str(uuid.uuid4()),
            "iat": int(now.timestamp()), "nbf": int(now.timestamp()), "exp": int((now + lifetime).timestamp()),
        }
        if jkt is not None:
            claims["cnf"] = {"jkt": jkt}
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": key.kid or ""}, claims, key, algorithms=["ES256"])
