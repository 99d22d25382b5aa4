"""Signed webhooks, as standardwebhooks.com tells: anybody's library, or ten lines, can verify them (docs/fhir-api.md)."""

from __future__ import annotations

import base64
import hmac

PREFIX = "whsec_"


def key(secret: str) -> bytes:
    """The key in `whsec_<base64>`. Raises ValueError."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def signed(secret: str, id_: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers: the same id on every try, the time of this try in seconds, and HMAC-SHA256 over both and the body."""
    digest = hmac.digest(key(secret), b".".join((id_.encode(), str(at).encode(), body)), "sha256")
    return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
