"""A login provider for the tests: OpenID Connect as ID-porten speaks it, and as strict. Nobody types anything: who logs in is set beforehand."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from pages import Clock
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT = "besoksbro"


@dataclass
class Issuer:
    """The provider. Its tests change `person`, `level` and `spoil`."""

    clock: Clock
    ours: RSAKey
    """The client's key."""
    key: RSAKey
    pushes: bool = True
    url: str = ""
    person: str = ""
    level: str = "idporten-loa-high"
    spoil: Callable[[dict[str, Any]], Any] = lambda claims: None
    """Changes the claims of the ID token; what it returns, if anything, is sent instead of a token."""
    down: bool = False
    lie: dict[str, Any] = field(default_factory=dict)
    """What it says of itself beside, or instead."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """What came to the authorization endpoint, after PAR."""
    _pushed: dict[str, dict[str, str]] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def application(self) -> Starlette:
        routes = [
            Route("/.well-known/openid-configuration", self.described), Route("/jwks", self.keys), Route("/authorize", self.authorize),
            Route("/par", self.par, methods=["POST"]), Route("/token", self.token, methods=["POST"]), Route("/logout", self.logout),
        ]
        return Starlette(routes=routes)

    async def described(self, request: Request) -> Response:
        if self.down:
            return PlainTextResponse("maintenance", 503)
        found = {
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks", "end_session_endpoint": f"{self.url}/logout", "code_challenge_methods_supported": ["S256"],
        }
        pushed = {"pushed_authorization_request_endpoint": f"{self.url}/par"} if self.pushes else {}
        return JSONResponse({**found, **pushed, **self.lie})

    async def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [{**self.key.as_dict(private=False), "use": "sig", "alg": "RS256"}]})

    async def par(self, request: Request) -> Response:
        form = await self._form(request)
        if not self._proved(form):
            return JSONResponse({"error": "invalid_client"}, 401)
        name = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(8)}"
        self._pushed[name] = form
        return JSONResponse({"request_uri": name, "expires_in": 60}, 201)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if self.pushes:
            assert set(asked) == {"client_id", "request_uri"}, "what was pushed does not stand in the address"
            asked = self._pushed.pop(asked["request_uri"])
        if asked.get("code_challenge_method") != "S256" or not asked.get("nonce") or not asked.get("state"):
            return PlainTextResponse("invalid_request", 400)
        self.asked.append(asked)
        if not self.person:
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}")
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.url})}")

    async def token(self, request: Request) -> Response:
        if self.down:
            return PlainTextResponse("maintenance", 503)
        form = await self._form(request)
        if not self._proved(form):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(self.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": self.url, "aud": CLIENT, "sub": "pairwise-1", "pid": self.person, "acr": self.level, "amr": ["BankID"], "nonce": asked["nonce"],
            "sid": f"sid-of-{self.person[:4]}", "iat": now, "exp": now + 120, "locale": "nb",
        }
        instead = self.spoil(claims)
        signed = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer"} | ({"id_token": signed} if instead is None else instead))

    async def logout(self, request: Request) -> Response:
        """Only the client's own way back is believed, and only with a token of ours."""
        jwt.decode(request.query_params["id_token_hint"], self.key, algorithms=["RS256"])
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 303)

    async def _form(self, request: Request) -> dict[str, str]:
        return dict(parse_qsl((await request.body()).decode()))

    def _proved(self, form: dict[str, str]) -> bool:
        """private_key_jwt: signed by the client, for us, short-lived, used once."""
        try:
            claims = jwt.decode(form.get("client_assertion", ""), self.ours, algorithms=["RS256"]).claims
        except ValueError:
            return False
        fresh = claims["jti"] not in self._used and 0 < claims["exp"] - claims["iat"] <= 120
        self._used.add(claims["jti"])
        return fresh and claims["iss"] == claims["sub"] == CLIENT and claims["aud"] == self.url
