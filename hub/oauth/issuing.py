"""Our token endpoint: a client proves itself by a signed assertion (private_key_jwt, RFC 7523) and gets a short token. Pure but for keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.oauth import dpop, jose
from hub.oauth.dpop import Nonce
from hub.oauth.jose import bad
from hub.oauth.limits import Limiter
from hub.oauth.settings import OWN, TEST, Access, Client
from hub.oauth.tokens import Signing, test_issuer
from hub.problem import Problem, Refused
from hub.scopes import Scopes

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = ("client-authentication+jwt", "jwt", "")
LONGEST = timedelta(seconds=120)
"""An assertion lives at most this long (HelseID asks for 60 s, Maskinporten for 120 s)."""
LEEWAY = timedelta(seconds=10)
TRIES_A_MINUTE = 120
"""Token requests of one client."""


@dataclass(frozen=True, slots=True)
class Request:
    """What came to the token endpoint."""

    form: Mapping[str, str]
    proofs: tuple[str, ...]
    """Its DPoP headers."""
    url: str
    """The endpoint's own address, by our configuration."""


class Issuing:
    """Gives tokens of our own issuer, and of the test issuer where there may be one."""

    def __init__(
        self, access: Access, base_url: str, signing: Signing, home: Path, environment: str,
        first_time: Callable[[str, datetime], bool], clock: Callable[[], datetime], nonce: Nonce | None,
    ) -> None:
        self._access, self._base, self._signing, self._first_time, self._clock = access, base_url, signing, first_time, clock
        self.testing = environment in ("demo", "test")
        """The test issuer exists."""
        self.nonce = nonce
        self._limits = Limiter(clock)
        self._keys = {
            id_: jose.source(client.jwks_url, home / client.jwks_file, clock)
            for (issuer, id_), client in access.clients.items() if issuer == OWN
        }

    def now(self) -> datetime:
        return self._clock()

    def token(self, request: Request) -> dict[str, Any]:
        """The answer to a token request by client credentials.

        Raises:
            Refused: BAD_GRANT, BAD_CLIENT, BAD_PROOF, DPOP_NONCE, SCOPE_MISSING, TOO_MANY.
        """
        now = self._clock()
        _client_credentials(request.form)
        client = self._client(request.form, now)
        return self._answer(request, client, self._base, now)

    def test_token(self, request: Request) -> dict[str, Any]:
        """A token for a client of the test issuer, for the asking. Raises Refused UNKNOWN_RESOURCE outside demo and test."""
        if not self.testing:
            raise Refused(Problem.UNKNOWN_RESOURCE, "there is no test issuer here")
        _client_credentials(request.form)
        client = self._access.clients.get((TEST, request.form.get("client_id", "")))
        if client is None:
            raise bad(Problem.BAD_CLIENT, "no client of the test issuer")
        return self._answer(request, client, test_issuer(self._base), self._clock())

    def _client(self, form: Mapping[str, str], now: datetime) -> Client:
        """Who asks, by its assertion: signed with its key, for us, short-lived, used once."""
        if form.get("client_assertion_type") != ASSERTION:
            raise bad(Problem.BAD_CLIENT, "clients prove themselves with private_key_jwt")
        text = form.get("client_assertion", "")
        seen = jose.peek(text, Problem.BAD_CLIENT)
        id_ = seen.claims.get("iss")
        client = self._access.clients.get((OWN, str(id_)))
        if client is None or seen.claims.get("sub") != id_ or form.get("client_id", id_) != id_:
            raise bad(Problem.BAD_CLIENT, "iss and sub are not one client that is set up here")
        if str(seen.header.get("typ", "")).lower() not in TYPES:
            raise bad(Problem.BAD_CLIENT, "typ is not client-authentication+jwt")
        claims = jose.verify(text, self._keys[client.id].of(seen.header.get("kid")), Problem.BAD_CLIENT).claims
        if (wait := self._limits.take(client.id, TRIES_A_MINUTE)) > 0:  # its own requests: nobody else's use up its turn
            raise Refused(Problem.TOO_MANY, f"wait {int(wait) + 1} seconds")
        if jose.audiences(claims) not in ([self._base], [f"{self._base}/oauth/token"]):
            raise bad(Problem.BAD_CLIENT, "aud is not exactly this issuer")
        expires = _short(claims, now)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= dpop.LONGEST_JTI:
            raise bad(Problem.BAD_CLIENT, "jti is missing or too long")
        digest = hashlib.sha256(f"{client.id}\n{jti}".encode()).hexdigest()
        if not self._first_time(f"assertion:{digest}", expires + LEEWAY):
            raise bad(Problem.BAD_CLIENT, "this assertion was used before")
        return client

    def _answer(self, request: Request, client: Client, issuer: str, now: datetime) -> dict[str, Any]:
        thumbprint = self._bound(request, now)
        asked = request.form.get("scope", "")
        scopes = Scopes.of(asked) & client.scopes if asked else client.scopes
        if not scopes:
            raise Refused(Problem.SCOPE_MISSING, "none of the scopes is granted to this client")
        token = self._signing.token(issuer, f"{self._base}/fhir", client, scopes, now, self._access.lifetime, thumbprint)
        return {
            "access_token": token, "token_type": "DPoP" if thumbprint else "Bearer", "scope": str(scopes),
            "expires_in": int(self._access.lifetime.total_seconds()),
        }

    def _bound(self, request: Request, now: datetime) -> str | None:
        """The key the token shall be bound to; None when no proof was shown."""
        if not request.proofs:
            return None
        if len(request.proofs) != 1:
            raise bad(Problem.BAD_PROOF, "there must be exactly one DPoP header")
        proof = dpop.check(request.proofs[0], "POST", request.url, now, None, self.nonce)
        if not self._first_time(proof.replay_key, proof.forget_at):
            raise bad(Problem.BAD_PROOF, "this proof was used before")
        return proof.thumbprint


def _client_credentials(form: Mapping[str, str]) -> None:
    if form.get("grant_type") != "client_credentials":
        raise bad(Problem.BAD_GRANT, "grant_type is client_credentials")


def _short(claims: dict[str, Any], now: datetime) -> datetime:
    """When the assertion expires; it lives now, and not for long."""
    made = datetime.fromtimestamp(jose.number(claims, "iat", Problem.BAD_CLIENT), UTC)
    expires = datetime.fromtimestamp(jose.number(claims, "exp", Problem.BAD_CLIENT), UTC)
    if now >= expires + LEEWAY or made > now + LEEWAY or expires - made > LONGEST:
        raise bad(Problem.BAD_CLIENT, "expired, of the future, or valid for more than 120 seconds")
    if "nbf" in claims and datetime.fromtimestamp(jose.number(claims, "nbf", Problem.BAD_CLIENT), UTC) > now + LEEWAY:
        raise bad(Problem.BAD_CLIENT, "nbf is in the future")
    return expires
