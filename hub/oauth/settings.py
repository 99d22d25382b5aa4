"""Who may issue tokens for us, and which clients they are for: the tables `[oauth]`, `[[issuers]]` and `[[clients]]` of hub.toml."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from hub.config import Hub, Misconfigured, duration
from hub.scopes import Scopes

DPOP = ("required", "allowed")
_DIGEST = re.compile("[0-9a-fA-F]{64}", re.ASCII)
_OF_NOTHING = hashlib.sha256(b"").hexdigest()
"""What `printf %s "$KEY" | sha256sum` gives when KEY is not set: whoever shows nothing would be let in."""
OWN = "own"
"""The issuer name of clients that get their tokens at our own token endpoint."""
TEST = "test"
"""The issuer name of clients that the test issuer serves; outside demo and test there is none."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer whose access tokens we accept."""

    issuer: str
    """`iss`, compared to the letter: Maskinporten's ends with a slash, HelseID's does not."""
    audience: str
    """The one `aud` its tokens for us bear. Empty: they bear none that means us (Maskinporten without `resource`)."""
    jwks_url: str = ""
    jwks_file: str = ""
    """Relative to the home folder."""
    client_claim: str = "client_id"
    """Where a token says who calls: `client_id` (HelseID), `consumer` (Maskinporten: the organisation, `0192:<number>`)."""
    dpop: str = "allowed"
    """`required`: a token that is bound to no key is refused."""
    leeway: timedelta = timedelta(seconds=5)
    scopes: Mapping[str, str] = field(default_factory=dict)
    """The issuer's own scope names → SMART scopes."""


@dataclass(frozen=True, slots=True)
class Client:
    """One machine that may call: which issuer vouches for it, and the most it may do."""

    id: str
    """What `client_claim` says."""
    issuer: str
    """`iss` of an issuer, `own` or `test`."""
    name: str
    """What audit lines and limits call it."""
    departments: frozenset[str]
    scopes: Scopes
    jwks_file: str = ""
    """For `own`: its public keys."""
    jwks_url: str = ""
    per_minute: int = 600
    """Requests a minute before it is told to wait."""
    may: frozenset[str] = frozenset({"book", "move", "cancel"})
    """What its word on a booking is good for (`Adapter.may_state`); an EPJ also confirms, assigns and completes."""


@dataclass(frozen=True, slots=True)
class Access:
    """All of it."""

    issuers: Mapping[str, Issuer]
    clients: Mapping[tuple[str, str], Client]
    """(issuer, id) → client."""
    lifetime: timedelta = timedelta(minutes=5)
    """How long a token of ours lives."""
    nonce: bool = False
    """Proofs must carry our nonce."""
    per_minute: int = 600
    """For bearer tokens of hub.toml."""


def read_access(hub: Hub) -> Access:
    """Raises Misconfigured: a table lacks something, or names the test issuer in production; and as `sound`."""
    sound(hub)
    own: Mapping[str, Any] = hub.tables.get("oauth") or {}
    try:
        issuers = [_issuer(table) for table in hub.tables.get("issuers") or ()]
        clients = [_client(table) for table in hub.tables.get("clients") or ()]
        lifetime = duration(own.get("lifetime", "5m"))
    except (KeyError, ValueError, TypeError, AttributeError) as wrong:
        raise Misconfigured(f"hub.toml issuers, clients eller oauth: {wrong}") from wrong
    known = {issuer.issuer for issuer in issuers} | {OWN} | ({TEST} if hub.environment in ("demo", "test") else set())
    for client in clients:
        if client.issuer not in known:
            raise Misconfigured(f"hub.toml clients {client.name}: ingen utsteder {client.issuer!r} her")
        if client.issuer == OWN and not (client.jwks_file or client.jwks_url):
            raise Misconfigured(f"hub.toml clients {client.name}: jwks_file eller jwks_url mangler")
    return Access(
        {i.issuer: i for i in issuers}, {(c.issuer, c.id): c for c in clients}, lifetime, bool(own.get("nonce", False)),
        int(own.get("per_minute", 600)),
    )


def sound(hub: Hub) -> None:
    """What is set up keeps nobody out, or lets everybody listen. Raises Misconfigured."""
    digests = [(operator.name, operator.token_digest) for operator in hub.operators] + [(vendor.name, vendor.token_digest) for vendor in hub.vendors]
    for name, digest in digests:
        if not _DIGEST.fullmatch(digest) or digest.lower() == _OF_NOTHING:
            raise Misconfigured(f"hub.toml {name}: token_digest er SHA-256 (64 heksadesimale siffer) av en nøkkel, og ikke av ingenting")
    parts = urlsplit(hub.base_url)
    if hub.environment == "production" and parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise Misconfigured("hub.toml [hub]: base_url begynner med https:// i production: nøkler og informasjonskapsler går dit")


def _issuer(table: Mapping[str, Any]) -> Issuer:
    made = Issuer(
        table["issuer"], table["audience"], table.get("jwks_url", ""), table.get("jwks_file", ""), table.get("client_claim", "client_id"),
        table.get("dpop", "allowed"), duration(table.get("leeway", "5s")), dict(table.get("scopes") or {}),
    )
    if made.dpop not in DPOP or bool(made.jwks_url) == bool(made.jwks_file):
        raise ValueError(f"issuer {made.issuer}: dpop er required eller allowed, og det står én av jwks_url og jwks_file")
    return made


def _client(table: Mapping[str, Any]) -> Client:
    return Client(
        table["id"], table["issuer"], table.get("name", table["id"]), frozenset(table.get("departments") or ()),
        Scopes.of(table["scopes"]), table.get("jwks_file", ""), table.get("jwks_url", ""), int(table.get("per_minute", 600)),
        frozenset(table.get("may", ("book", "move", "cancel"))),
    )
