"""The gate before the APIs: who calls, by which token, and may it ask this. Gives a Reader, or says in HTTP's own words why not."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.access import Ground, Reader
from hub.oauth import dpop, jose
from hub.oauth.dpop import Nonce
from hub.oauth.limits import Limiter
from hub.oauth.tokens import Granted, Trust
from hub.problem import Problem, Refused

Header = tuple[bytes, bytes]
REALM = 'realm="besoksbro"'
ALGS = f'algs="{" ".join(jose.ALGORITHMS)}"'
CHECKED = 2_000
"""Tokens whose signature need not be checked again while they live."""
CHECKED_FOR = timedelta(minutes=5)
"""An issuer that takes a key away is heard after this long and the time that its keys are fresh (hub.oauth.jose.Keys) at the latest."""
ERRORS = {
    Problem.BAD_TOKEN: "invalid_token", Problem.BAD_PROOF: "invalid_dpop_proof", Problem.DPOP_NONCE: "use_dpop_nonce",
    Problem.SCOPE_MISSING: "insufficient_scope",
}
"""Problem → the error word of RFC 6750 and RFC 9449."""


class NotAdmitted(Refused):
    """Refused at the gate, with the headers that tell a client what to do."""

    def __init__(self, refused: Refused, headers: tuple[Header, ...]) -> None:
        super().__init__(refused.problem, refused.detail, refused.where)
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Call:
    """What the gate looks at of one request."""

    method: str
    path: str
    """As it came, escapes and all, without the query; below our own base address."""
    wanted: tuple[str, str] | None
    """(resource type, letter of `hub.scopes.ORDER`) that the token must be good for; None: whoever executes it asks."""
    headers: tuple[Header, ...]
    shown: tuple[str, ...]
    """Every Authorization header."""

    @classmethod
    def of(cls, method: str, path: str, wanted: tuple[str, str] | None, headers: Iterable[Header]) -> Call:
        every = tuple(headers)
        return cls(method, path, wanted, every, tuple([value.decode("latin-1") for key, value in every if key.lower() == b"authorization"]))

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name]


class Gate:
    """`admit` gives the Reader. What it remembers of checked tokens is only speed; used proofs are remembered in the store."""

    def __init__(
        self, trust: Trust, bearer: Callable[[str], Reader | None], first_time: Callable[[str, datetime], bool],
        base_url: str, clock: Callable[[], datetime], nonce: Nonce | None,
    ) -> None:
        """`bearer` finds the holder of a token of hub.toml; `first_time(key, until)` is True when nobody used this key before."""
        self._trust, self._bearer, self._first_time = trust, bearer, first_time
        self._base, self._clock, self._nonce = base_url, clock, nonce
        self._limits = Limiter(clock)
        self._checked: OrderedDict[str, Granted] = OrderedDict()

    def quick(self, call: Call) -> bool:
        """True when `admit` needs neither disk nor network: nothing shown, or a bearer token of hub.toml."""
        return len(call.shown) != 1 or call.shown[0].count(".") != 2

    def admit(self, call: Call) -> Reader:
        """Who calls, when it may call this now.

        Raises:
            NotAdmitted: NOT_AUTHENTICATED, BAD_TOKEN, BAD_PROOF, DPOP_NONCE (401), SCOPE_MISSING (403), TOO_MANY (429).
            Unavailable: an issuer's keys, or the store that remembers used proofs, do not answer.
        """
        try:
            reader, per_minute = self._known(call)
            self._limited(reader, per_minute)
            if call.wanted is not None and not reader.may(*call.wanted):
                raise Refused(Problem.SCOPE_MISSING, f"this needs system/{call.wanted[0]}.{call.wanted[1]}")
        except NotAdmitted:
            raise
        except Refused as refused:
            raise NotAdmitted(refused, self._challenge(refused)) from refused
        return reader

    def _known(self, call: Call) -> tuple[Reader, int]:
        scheme, _, token = (call.shown[0] if len(call.shown) == 1 else "").partition(" ")
        token, scheme = token.strip(), scheme.lower()
        if scheme not in ("bearer", "dpop") or not token:
            raise Refused(Problem.NOT_AUTHENTICATED, "an access token is needed")
        if scheme == "bearer" and (reader := self._bearer(token)) is not None:
            return reader, self._trust.access.per_minute
        if token.count(".") != 2:
            raise Refused(Problem.BAD_TOKEN, "a token that nobody here knows")
        granted = self._granted(token)
        self._proved(call, scheme, token, granted)
        client = granted.client
        reader = Reader(
            f"vendor:{client.name}", Ground.VENDOR, departments=client.departments, scopes=granted.scopes, may_state=client.may,
        )
        return reader, client.per_minute

    def _granted(self, token: str) -> Granted:
        digest, now = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        known = self._checked.get(digest)
        if known is not None and now < known.expires:
            return known
        granted = self._trust.check(token, now)
        granted = replace(granted, expires=min(granted.expires, now + CHECKED_FOR))
        self._checked[digest] = granted
        if len(self._checked) > CHECKED:
            self._checked.popitem(last=False)
        return granted

    def _proved(self, call: Call, scheme: str, token: str, granted: Granted) -> None:
        """RFC 9449 7.1: a bound token needs its proof, and is never taken as a bearer token."""
        if granted.thumbprint is None:
            if scheme == "dpop" or granted.bound_only:
                raise Refused(Problem.BAD_TOKEN, "the token is not bound to a key")
            return
        if scheme != "dpop":
            raise Refused(Problem.BAD_TOKEN, "the token is bound to a key: show it with DPoP")
        proofs = call.all(b"dpop")
        if len(proofs) != 1:
            raise Refused(Problem.BAD_PROOF, "there must be exactly one DPoP header")
        proof = dpop.check(proofs[0], call.method, f"{self._base}{call.path}", self._clock(), token, self._nonce)
        if proof.thumbprint != granted.thumbprint:
            raise Refused(Problem.BAD_PROOF, "the proof's key is not the token's")
        if not self._first_time(proof.replay_key, proof.forget_at):
            raise Refused(Problem.BAD_PROOF, "this proof was used before")

    def _limited(self, reader: Reader, per_minute: int) -> None:
        seconds = self._limits.take(reader.reference, per_minute)
        if seconds > 0:
            refused = Refused(Problem.TOO_MANY, f"more than {per_minute} requests a minute")
            raise NotAdmitted(refused, ((b"retry-after", str(int(seconds) + 1).encode()),))

    def _challenge(self, refused: Refused) -> tuple[Header, ...]:
        error = ERRORS.get(refused.problem)
        about = f', error="{error}", error_description="{refused.detail}"' if error else ""
        if refused.problem is Problem.SCOPE_MISSING:
            about += f', scope="{refused.detail.rpartition(" ")[2]}"'
        bearer, proof = f"Bearer {REALM}{about}", f"DPoP {REALM}, {ALGS}{about}"
        only = refused.problem in (Problem.BAD_PROOF, Problem.DPOP_NONCE)
        headers: tuple[Header, ...] = ((b"www-authenticate", proof.encode()),)
        if not only:
            headers = ((b"www-authenticate", bearer.encode()), *headers)
        if self._nonce is not None and only:
            headers += ((b"dpop-nonce", self._nonce.fresh(self._clock()).encode()),)
        return headers
