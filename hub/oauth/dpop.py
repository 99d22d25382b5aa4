"""DPoP: the proof that whoever shows a token also holds its key. RFC 9449, checked in the order of NHN's own sample. Pure.

Remembering used proofs is the caller's: `Proof.replay_key` must be new until `Proof.forget_at`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from hub.oauth import jose
from hub.oauth.jose import Key, bad
from hub.problem import Problem

AHEAD = timedelta(seconds=5)
"""A proof may be made this long after our clock's now."""
OLDEST = timedelta(seconds=60)
"""A proof lives this long. NHN's sample says 6 s; queues and slow phones of home care need more, and each proof is good once anyway."""
LONGEST_JTI = 256
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
NONCE_FOR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds."""

    thumbprint: str
    """RFC 7638 thumbprint of its key: must be the token's `cnf.jkt`."""
    replay_key: str
    forget_at: datetime


def check(text: str, method: str, url: str, now: datetime, token: str | None = None, nonce: Nonce | None = None) -> Proof:
    """The proof for this request; `token` when one is shown with it, `nonce` when the server asks for one.

    Raises:
        Refused: BAD_PROOF; DPOP_NONCE when the nonce is missing or old.
    """
    seen = jose.peek(text, Problem.BAD_PROOF)
    if seen.header.get("typ") != "dpop+jwt":
        raise bad(Problem.BAD_PROOF, "typ is not dpop+jwt")
    key = _key(seen.header.get("jwk"))
    proof = jose.verify(text, [key], Problem.BAD_PROOF)
    claims = proof.claims
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise bad(Problem.BAD_PROOF, f"jti is missing or longer than {LONGEST_JTI} characters")
    if claims.get("htm") != method:
        raise bad(Problem.BAD_PROOF, "htm is not this method")
    if not isinstance(claims.get("htu"), str) or _plain(claims["htu"]) != _plain(url):
        raise bad(Problem.BAD_PROOF, "htu is not this address")
    made = datetime.fromtimestamp(jose.number(claims, "iat", Problem.BAD_PROOF), UTC)
    if not now - OLDEST <= made <= now + AHEAD:
        raise bad(Problem.BAD_PROOF, "iat is too old or in the future")
    if token is not None and not hmac.compare_digest(str(claims.get("ath", "")).encode(), token_hash(token).encode()):
        raise bad(Problem.BAD_PROOF, "ath is not the hash of the token")
    if nonce is not None and not nonce.valid(claims.get("nonce"), now):
        raise bad(Problem.DPOP_NONCE, "use the nonce of the header DPoP-Nonce")
    thumbprint = key.thumbprint()
    return Proof(thumbprint, f"dpop:{thumbprint}:{hashlib.sha256(jti.encode()).hexdigest()}", made + OLDEST + AHEAD)


def _key(jwk: object) -> Key:
    """The public key in the header. A private one would be somebody's secret: refused."""
    if not isinstance(jwk, dict) or _PRIVATE & set(jwk):
        raise bad(Problem.BAD_PROOF, "jwk is missing, or not a public key")
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        if public.get("kty") == "RSA":
            return RSAKey.import_key(public)
        if public.get("kty") == "EC":
            return ECKey.import_key(public)
    except (JoseError, ValueError, TypeError) as wrong:
        raise bad(Problem.BAD_PROOF, "jwk cannot be read") from wrong
    raise bad(Problem.BAD_PROOF, "jwk is neither RSA nor EC")


def _plain(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path as they are compared: without query and fragment (RFC 9449 4.3), default ports and escapes (RFC 3986 6.2.2);
    an escaped octet is to our routes what the octet is."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme.lower())
    except ValueError:
        return "", "", None, ""
    return parts.scheme.lower(), (parts.hostname or ""), port, unquote(parts.path or "/")


def token_hash(token: str) -> str:
    """`ath`: base64url(SHA-256(ASCII(token)))."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode("ascii", "replace")).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Nonce:
    """Nonces that any of our processes can check: a time and its HMAC."""

    key: bytes

    def fresh(self, now: datetime) -> str:
        """What goes into the header `DPoP-Nonce`."""
        stamp = str(int(now.timestamp()))
        return f"{stamp}.{self._mac(stamp)}"

    def valid(self, text: object, now: datetime) -> bool:
        stamp, _, mac = text.partition(".") if isinstance(text, str) else ("", "", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        age = now.timestamp() - int(stamp)
        return hmac.compare_digest(mac.encode(), self._mac(stamp).encode()) and age + AHEAD.total_seconds() >= 0 and age <= NONCE_FOR.total_seconds()

    def _mac(self, stamp: str) -> str:
        return hmac.digest(self.key, b"dpop nonce " + stamp.encode(), "sha256").hex()[:32]
