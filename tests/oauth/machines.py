"""A whole hub on a port with a clock that stands still, and machines that call it: their keys, assertions, tokens and proofs."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from settled import TOWN as TOWN
from settled import settle

from hub import app
from hub.oauth.dpop import token_hash

HELSEID, MASKINPORTEN = "https://helseid.example", "https://maskinporten.example/"
AUDIENCE = "besoksbro:solbakken"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)

    @property
    def seconds(self) -> int:
        return int(self.now.timestamp())


def ec(curve: str = "P-256") -> ECKey:
    key = ECKey.generate_key(curve)
    return ECKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint()})


def rsa(bits: int = 2048) -> RSAKey:
    key = RSAKey.generate_key(bits)
    return RSAKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint()})


@cache
def issuer_key(issuer: str) -> RSAKey:
    """One for all tests: to make it is slow, and none is about the key."""
    return rsa()


def publish(path: Path, *keys: Any) -> None:
    path.write_text(json.dumps({"keys": [k.as_dict(private=False) for k in keys]}))


def signed(claims: dict[str, Any], key: Any, alg: str = "ES256", typ: str | None = "at+jwt", **header: Any) -> str:
    head = {"alg": alg, "kid": key.kid, **({"typ": typ} if typ else {}), **header}
    return jwt.encode({k: v for k, v in head.items() if v is not None}, claims, key, algorithms=[alg], default_type=None)


@dataclass
class Machines:
    """The hub and everybody's keys."""

    url: str
    home: Path
    clock: Clock
    parts: app.Parts
    visma: ECKey
    helseid: RSAKey
    maskinporten: RSAKey
    holder: ECKey = field(default_factory=ec)
    """The key that proofs are made with."""

    def http(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False)

    def assertion(self, key: Any = None, alg: str = "ES256", typ: str | None = "client-authentication+jwt", **claims: Any) -> str:
        now = self.clock.seconds
        every = {"iss": "visma", "sub": "visma", "aud": self.url, "jti": str(uuid.uuid4()), "iat": now, "nbf": now, "exp": now + 30, **claims}
        return signed({k: v for k, v in every.items() if v is not None}, key or self.visma, alg, typ)

    def ask(self, assertion: str | None = None, proof: str | None = None, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        every = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion or self.assertion(), **form}
        with self.http(**({"dpop": proof} if proof else {}), **(headers or {})) as client:
            return client.post("/oauth/token", data=every)

    def outside(self, issuer: str = HELSEID, key: Any = None, alg: str = "PS256", typ: str | None = "at+jwt", kid: Any = ..., **claims: Any) -> str:
        """A token of an issuer outside, as it is by default: HelseID's, bound to our holder's key."""
        now = self.clock.seconds
        every = {
            "iss": issuer, "aud": AUDIENCE, "client_id": "acos", "scope": "nhn:besoksbro/les system/Slot.rs", "jti": str(uuid.uuid4()),
            "iat": now, "nbf": now, "exp": now + 600, "cnf": {"jkt": self.holder.thumbprint()}, **claims,
        }
        header = {} if kid is ... else {"kid": kid}
        return signed({k: v for k, v in every.items() if v is not None}, key or self.helseid, alg, typ, **header)

    def proof(self, token: str | None, method: str = "GET", path: str = "/fhir/Slot", key: Any = None, alg: str = "ES256",
              typ: str | None = "dpop+jwt", jwk: Any = None, **claims: Any) -> str:
        key = key or self.holder
        every = {
            "jti": str(uuid.uuid4()), "htm": method, "htu": f"{self.url}{path}", "iat": self.clock.seconds,
            "ath": token_hash(token) if token else None, **claims,
        }
        public = jwk if jwk is not None else {k: v for k, v in key.as_dict(private=False).items() if k != "kid"}
        return signed({k: v for k, v in every.items() if v is not None}, key, alg, typ, kid=None, jwk=public)

    def get(self, token: str, path: str = "/fhir/Slot", scheme: str = "DPoP", proof: Any = ..., **headers: str) -> httpx.Response:
        shown = {"authorization": f"{scheme} {token}", **headers}
        made = self.proof(token, path=path.partition("?")[0]) if proof is ... else proof
        with self.http(**shown, **({"dpop": made} if made else {})) as client:
            return client.get(path)


SETTINGS = """
[hub]
municipality = "Solbakken kommune"
environment = "{environment}"
her_id = "8100000"
base_url = "{url}"
phone = "00 00 00 00"
opening_hours = "Hver dag"
database = "{database}"

[[vendors]]
name = "simple"
token_digest = "{simple}"
departments = ["*"]

[oauth]
per_minute = {per_minute}
{more}

[[issuers]]
issuer = "https://helseid.example"
audience = "besoksbro:solbakken"
jwks_file = "helseid.jwks"
dpop = "required"
scopes = {{ "nhn:besoksbro/les" = "system/Appointment.rs" }}

[[issuers]]
issuer = "https://maskinporten.example/"
audience = ""
jwks_file = "maskinporten.jwks"
client_claim = "consumer"
scopes = {{ "solbakken:besok.les" = "system/Slot.rs" }}

[[clients]]
id = "acos"
issuer = "https://helseid.example"
departments = ["dagsenter"]
scopes = "system/*.read"

[[clients]]
id = "0192:999888777"
issuer = "https://maskinporten.example/"
name = "planner"
departments = ["*"]
scopes = "system/*.rs"

[[clients]]
id = "visma"
issuer = "own"
departments = ["hjemmesykepleie"]
scopes = "system/Appointment.cruds system/Slot.rs"
jwks_file = "visma.jwks"

[[clients]]
id = "epj"
issuer = "own"
departments = ["hjemmesykepleie"]
scopes = "system/Appointment.cruds system/AppointmentResponse.c"
jwks_file = "visma.jwks"
may = ["confirm", "assign", "move", "cancel", "complete"]
{tests}
"""
TEST_CLIENT = """
[[clients]]
id = "nybegynner"
issuer = "test"
departments = ["*"]
scopes = "system/*.rs"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serving(asgi: Any, port: int) -> Iterator[None]:
    """A real server in a thread until it is left."""
    running = uvicorn.Server(uvicorn.Config(asgi, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.002)
    try:
        yield
    finally:
        running.should_exit = True
        thread.join()


@contextmanager
def hub_on(home: Path, database: str, environment: str = "test", more: str = "", per_minute: int = 20,
           fresh: bool = True) -> Iterator[Machines]:
    """`fresh`: with the town in its database; else as the hub before left it."""
    import hashlib

    home.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    home.joinpath("hub.toml").write_text(SETTINGS.format(
        environment=environment, url=url, database=database, simple=hashlib.sha256(b"simple-token").hexdigest(), more=more, per_minute=per_minute,
        tests=TEST_CLIENT if environment != "production" else "",
    ))
    visma, helseid, maskinporten = ec(), issuer_key(HELSEID), issuer_key(MASKINPORTEN)
    publish(home / "visma.jwks", visma)
    publish(home / "helseid.jwks", helseid)
    publish(home / "maskinporten.jwks", maskinporten)
    clock = Clock()
    if fresh:
        settle(database, home, clock.now)
    parts = app.put_together(home, clock)
    parts.store.ready()
    with serving(app.faces(parts), port):
        yield Machines(url, home, clock, parts, visma, helseid, maskinporten)
    parts.close()
