"""HelseID in a box: gives tokens to the clients it knows, and says whose token a request shows. As strict as FAPI 2.0 and NHN's profile ask."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from hub.oauth import dpop, jose
from hub.problem import Problem, Refused

LONGEST = 60
"""Seconds that an assertion may live."""
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Client:
    """Who may have tokens: its public key, its scopes, and the HER-ids that it may act for."""

    id: str
    key: jose.Key
    her_ids: frozenset[int]
    scopes: frozenset[str] = frozenset({"nhn:msh/api"})


@dataclass
class Sts:
    """One issuer. `wants_nonce`: each proof must carry the nonce that a refusal told. `refuses_dpop`: only bearer tokens are given."""

    issuer: str
    clients: Mapping[str, Client]
    audience: str = "nhn:msh"
    lives: int = 600
    wants_nonce: bool = False
    clock: Callable[[], float] = time.time
    given: list[dict[str, Any]] = field(default_factory=list)
    """The claims of each token that was given, and of the assertion it was given for."""
    _key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", private=True))
    _nonce: dpop.Nonce = field(default_factory=lambda: dpop.Nonce(os.urandom(32)))
    _used: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"{self.issuer}/connect/token"

    def metadata(self) -> Answer:
        return 200, {}, orjson.dumps({
            "issuer": self.issuer, "token_endpoint": self.endpoint, "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "dpop_signing_alg_values_supported": list(jose.ALGORITHMS),
        })

    def token(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The token endpoint: RFC 6749 4.4 with private_key_jwt, and DPoP."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != CLIENT_ASSERTION:
            return 400, {}, orjson.dumps({"error": "unsupported_grant_type"})
        try:
            proof = self._proof(headers, "POST", self.endpoint, None)
            client, asserted = self._client(form.get("client_assertion", ""), form.get("client_id", ""))
        except Refused as why:
            return self._refused(why, 400, "invalid_dpop_proof" if why.problem is Problem.BAD_PROOF else "invalid_client")
        scopes = frozenset(form.get("scope", "").split())
        if not scopes or not scopes <= client.scopes:
            return 400, {}, orjson.dumps({"error": "invalid_scope"})
        now = int(self.clock())
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": self.audience, "client_id": client.id, "scope": " ".join(sorted(scopes)), "iat": now, "nbf": now,
            "exp": now + self.lives, "jti": str(uuid.uuid4()), **({"cnf": {"jkt": proof}} if proof else {}),
        }
        self.given.append({**claims, "assertion": asserted})
        text = jws.serialize_compact({"alg": "ES256", "typ": "at+jwt"}, orjson.dumps(claims), self._key, algorithms=["ES256"])
        said = {"access_token": text, "token_type": "DPoP" if proof else "Bearer", "expires_in": self.lives, "scope": claims["scope"]}
        return 200, {}, orjson.dumps(said)

    def admit(self, method: str, url: str, headers: Mapping[str, str], audience: str) -> Client | Answer:
        """Who asks, by the token it shows, as the resource server checks it (facts/helsenorge.md 16.1); else what it is answered."""
        kind, _, text = headers.get("authorization", "").partition(" ")
        try:
            claims = jose.verify(text, [self._key], Problem.BAD_TOKEN).claims
            if claims.get("iss") != self.issuer or jose.audiences(claims) != [audience]:
                raise Refused(Problem.BAD_TOKEN, "another issuer or audience")
            if not claims["nbf"] - 5 <= self.clock() < claims["exp"]:
                raise Refused(Problem.BAD_TOKEN, "not valid now")
            bound = claims.get("cnf", {}).get("jkt")
            if (kind.lower() == "dpop") != bool(bound) or kind.lower() not in ("dpop", "bearer"):
                raise Refused(Problem.BAD_TOKEN, "a bound token goes with a proof, and an unbound one as Bearer")
            if bound and self._proof(headers, method, url, text) != bound:
                raise Refused(Problem.BAD_PROOF, "another key's proof")
        except Refused as why:
            return self._refused(why, 401, "invalid_dpop_proof" if why.problem is Problem.BAD_PROOF else "invalid_token")
        return self.clients[claims["client_id"]]

    def _client(self, text: str, named: str) -> tuple[Client, dict[str, Any]]:
        asserted = jose.peek(text, Problem.BAD_CLIENT)
        client = self.clients.get(str(asserted.claims.get("sub", "")))
        if client is None or named not in ("", client.id):
            raise Refused(Problem.BAD_CLIENT, "an unknown client")
        claims, now = jose.verify(text, [client.key], Problem.BAD_CLIENT).claims, self.clock()
        right = (
            asserted.header.get("typ") == "client-authentication+jwt", claims.get("iss") == client.id, claims.get("aud") == self.issuer,
            now - LONGEST <= claims.get("iat", 0) <= now + 5, claims.get("nbf", 0) <= now + 5, now < claims.get("exp", 0) <= now + LONGEST,
            self._new(f"assertion {claims.get('jti')}"),
        )
        if not all(right):
            raise Refused(Problem.BAD_CLIENT, "typ, iss, aud, iat, nbf, exp or jti")
        return client, claims

    def _proof(self, headers: Mapping[str, str], method: str, url: str, token: str | None) -> str:
        """The thumbprint of the proof's key; empty where no proof is shown."""
        if "dpop" not in headers:
            return ""
        now = datetime.fromtimestamp(self.clock(), UTC)
        proof = dpop.check(headers["dpop"], method, url, now, token, self._nonce if self.wants_nonce else None)
        if not self._new(proof.replay_key):
            raise Refused(Problem.BAD_PROOF, "a proof that was used before")
        return proof.thumbprint

    def _new(self, what: str) -> bool:
        with self._lock:
            known = what in self._used
            self._used.add(what)
        return not known

    def _refused(self, why: Refused, status: int, error: str) -> Answer:
        told: dict[str, str] = {}
        if why.problem is Problem.DPOP_NONCE:
            error, told = "use_dpop_nonce", {"dpop-nonce": self._nonce.fresh(datetime.fromtimestamp(self.clock(), UTC))}
        if status == 401:
            told["www-authenticate"] = f'DPoP error="{error}"'
        return status, told, orjson.dumps({"error": error})
