"""HelseID as a client: a token for a national service, by a key of our own, and the proof that the token is ours.

FAPI 2.0 as NHN profiles it (facts/helsenorge.md 16.1): private_key_jwt (RFC 7523), DPoP (RFC 9449). One token serves until shortly before it ends.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from adapters.carriers.connections import Connections, Reply
from adapters.registries.rotating import Rotating
from hub.adapter import Surroundings
from hub.config import Misconfigured
from hub.oauth import jose
from hub.oauth.dpop import token_hash
from hub.problem import Unavailable

log = logging.getLogger(__name__)
LARGEST = 256 * 1024
ASSERTION_LIVES = 30
"""Seconds; HelseID takes at most 60."""
BEFORE_THE_END = 30.0
"""Seconds that a token is given up before it ends: a request may be under way for so long."""
METADATA_FOR = 24 * 3600.0
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_USUAL = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_ERROR = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `ends`: seconds since 1970."""

    text: str
    kind: str
    ends: float


class HelseId:
    """One client of one issuer. Settings:

    `issuer`, `client_id`, `key_file` (our private key below the home, PEM or JWK; read anew when it changes), `scope`; and where the usual does not
    fit: `kid` (of the registered key; the JWK's own), `alg` (ES256 to ES512 by the curve, PS256 for RSA), `typ` (of the assertion;
    `client-authentication+jwt`), `dpop` (`true`), `organisation` (`parent` or `parent:child`: for which organisation we act), `tenancy` (`multi` or
    `single`), `wait`, `ca`.
    """

    def __init__(self, surroundings: Surroundings, settings: Mapping[str, Any], clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970. Raises Misconfigured."""
        where = f"adapters/{surroundings.name}.toml carrier.helseid"
        if missing := [name for name in ("issuer", "client_id", "key_file", "scope") if not settings.get(name)]:
            raise Misconfigured(f"{where}: {', '.join(missing)} mangler")
        self._settings, self._clock = settings, clock
        self._issuer, self._client = str(settings["issuer"]), str(settings["client_id"])
        if not self._issuer.startswith(("https://", "http://")):
            raise Misconfigured(f"{where}: issuer er ingen https://-adresse")
        file = surroundings.home / str(settings["key_file"])
        self._key = Rotating(lambda: read_key(file, settings), [file])
        self._around = replace(surroundings, settings={name: settings[name] for name in ("wait", "ca") if name in settings})
        self._connections = {origin(self._issuer): Connections(self._around, self._issuer)}
        self._holder = ECKey.generate_key("P-256", private=True)  # of this process alone, never on a disk
        self._details = _organisation(settings, where)
        self._endpoint, self._known_until = "", 0.0
        self._token: Token | None = None
        self._nonces: dict[str, str] = {}
        self._lock = threading.Lock()

    def exchange(
        self, connections: Connections, method: str, url: str, body: bytes | None, headers: Mapping[str, str], largest: int, what: str,
    ) -> Reply:
        """A request that shows a token. One more try when the service asks for a nonce, and one with a new token when it does not take this.

        Raises:
            Unavailable: as Connections; HelseID gives no token.
        """
        renewed = nonced = False
        while True:
            token = self._current()
            reply = connections.exchange(method, url, body, {**headers, **self._shown(token, method, url)}, largest, what)
            asked = self._nonce(url, reply)
            if reply.status != 401:
                return reply
            if asked and not nonced:
                nonced = True
            elif not renewed:
                renewed = True
                self._forget(token)
            else:
                return reply

    def _shown(self, token: Token, method: str, url: str) -> dict[str, str]:
        if token.kind.lower() != "dpop":
            return {"authorization": f"Bearer {token.text}"}
        return {"authorization": f"DPoP {token.text}", "dpop": self._proof(method, url, ath=token_hash(token.text))}

    def _proof(self, method: str, url: str, **more: str) -> str:
        """A DPoP proof (RFC 9449 4.2); `htu` is the address without its query."""
        plain = url.partition("?")[0]
        nonce = self._nonces.get(origin(url))
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": plain, "iat": int(self._clock()), **({"nonce": nonce} if nonce else {}), **more}
        public = {name: value for name, value in self._holder.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
        return _signed({"alg": "ES256", "typ": "dpop+jwt", "jwk": public}, claims, self._holder)

    def _nonce(self, url: str, reply: Reply) -> bool:
        """Keeps the nonce that came along (RFC 9449 8.2). True where the server refuses for want of it."""
        headers = {name.lower(): value for name, value in reply.headers.items()}
        if nonce := headers.get("dpop-nonce"):
            self._nonces[origin(url)] = nonce
        return bool(nonce) and b"use_dpop_nonce" in headers.get("www-authenticate", "").encode() + reply.content

    def _current(self) -> Token:
        with self._lock:  # whoever comes meanwhile waits for the same token
            if self._token is None or self._clock() >= self._token.ends - BEFORE_THE_END:
                self._token = self._fetched()
            return self._token

    def _forget(self, token: Token) -> None:
        with self._lock:
            if self._token is token:
                self._token = None

    def _fetched(self) -> Token:
        url = self._token_endpoint()
        for _ in range(2):
            form = {
                "grant_type": "client_credentials", "client_id": self._client, "scope": str(self._settings["scope"]),
                "client_assertion_type": CLIENT_ASSERTION, "client_assertion": self._assertion(),
            }
            proof = {"dpop": self._proof("POST", url)} if self._settings.get("dpop", True) else {}
            headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json", **proof}
            reply = self._to(url).exchange("POST", url, urlencode(form).encode(), headers, LARGEST, "token")
            if not self._nonce(url, reply) or reply.status == 200:
                break
        said = _object(reply.content)
        if reply.status != 200:
            error = str(said.get("error", ""))
            named = error if _ERROR.fullmatch(error) else "no error code"
            raise Unavailable(f"HelseID gives no token: HTTP {reply.status}, {named}; client_id, key_file, kid and scope must be as registered")
        if said.get("rejected_scope"):
            log.warning("HelseID rejects scopes for this organisation: its terms may not be signed")
        lives, text = said.get("expires_in"), said.get("access_token")
        if not isinstance(text, str) or not text.isascii() or not isinstance(lives, int | float):
            raise Unavailable("HelseID's answer is no token")
        return Token(text, str(said.get("token_type", "Bearer")), self._clock() + float(lives))

    def _assertion(self) -> str:
        """private_key_jwt: who we are, to this issuer, for half a minute, once."""
        (key, alg, kid), now = self._key(), int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._client, "sub": self._client, "aud": self._issuer, "jti": str(uuid.uuid4()),
            "iat": now, "nbf": now, "exp": now + ASSERTION_LIVES,
        }
        typ = str(self._settings.get("typ", "client-authentication+jwt"))
        return _signed({"alg": alg, "typ": typ, **({"kid": kid} if kid else {})}, claims | self._details, key)

    def _token_endpoint(self) -> str:
        """From the issuer's metadata (RFC 8414, OpenID Connect Discovery), asked once a day."""
        if self._clock() < self._known_until:
            return self._endpoint
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        reply = self._to(url).exchange("GET", url, None, {"accept": "application/json"}, LARGEST, "metadata")
        said = _object(reply.content) if reply.status == 200 else {}
        endpoint = str(said.get("token_endpoint", ""))
        if said.get("issuer") != self._issuer or not endpoint.startswith(f"{urlsplit(self._issuer).scheme}://"):
            raise Unavailable(f"HTTP {reply.status} from HelseID's metadata, or they are another issuer's")
        self._endpoint, self._known_until = endpoint, self._clock() + METADATA_FOR
        return endpoint

    def _to(self, url: str) -> Connections:
        at = origin(url)
        if at not in self._connections:
            self._connections[at] = Connections(self._around, url)
        return self._connections[at]

    def close(self) -> None:
        for each in self._connections.values():
            each.close()


def read_key(file: Path, settings: Mapping[str, Any]) -> tuple[jose.Key, str, str]:
    """(key, algorithm, kid) of a private key in PEM or as a JWK. Raises Misconfigured, and never says what stands in it."""
    try:
        data = file.read_bytes()
        key = _jwk(orjson.loads(data)) if data.lstrip().startswith(b"{") else _pem(data)
    except OSError as missing:
        raise Misconfigured(f"{file} mangler") from missing
    except (ValueError, TypeError, JoseError) as wrong:
        raise Misconfigured(f"{file}: ingen privat RSA- eller EC-nøkkel i PEM eller JWK uten passord") from wrong
    own = key.as_dict(private=False)
    alg = str(settings.get("alg") or own.get("alg") or ("PS256" if isinstance(key, RSAKey) else _USUAL.get(key.curve_name, "")))
    if alg not in jose.ALGORITHMS or not jose.fits(key, alg) or not key.is_private:
        raise Misconfigured(f"{file}: ingen privat nøkkel for {alg or 'noen algoritme som HelseID tar'}")
    return key, alg, str(settings.get("kid") or own.get("kid") or "")


def _jwk(told: dict[str, Any]) -> jose.Key:
    return RSAKey.import_key(told) if told.get("kty") == "RSA" else ECKey.import_key(told)


def _pem(data: bytes) -> jose.Key:
    elliptic = isinstance(load_pem_private_key(data, None), EllipticCurvePrivateKey)
    return ECKey.import_key(data) if elliptic else RSAKey.import_key(data)


def _organisation(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """For which organisation the token is to be (facts/helsenorge.md 16.1, `helseid_authorization`); nothing where none is named."""
    named, tenancy = str(settings.get("organisation", "")), settings.get("tenancy", "multi")
    if not named:
        return {}
    parent, _, child = named.partition(":")
    if tenancy not in ("multi", "single") or not parent.isdigit() or (child and not child.isdigit()):
        raise Misconfigured(f"{where}: organisation er organisasjonsnummer eller `overordnet:underordnet`, tenancy er multi eller single")
    identifier = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": f"NO:ORGNR:{parent}:{child}"}
    if tenancy == "single":
        identifier = {"system": "urn:oid:2.16.578.1.12.4.1.2.101", "type": "ENH", "value": child or parent}
    return {"assertion_details": [{"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}]}


def _signed(header: dict[str, Any], claims: dict[str, Any], key: jose.Key) -> str:
    return jws.serialize_compact(header, orjson.dumps(claims), key, algorithms=[header["alg"]])


def _object(content: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
