"""Who is logged in: sessions live in the database, the browser holds one opaque random cookie, and only its digest is stored."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

IDLE = timedelta(minutes=30)
"""Without a click for this long, a session is over."""
ABSOLUTE = timedelta(minutes=120)
"""However busy, a session is over after this long."""
TOUCH_EVERY = timedelta(minutes=1)
"""«Last seen» is written at most this often: reading pages need not write."""


class SessionStore(Protocol):
    """What sessions need of the store."""

    def create_session(self, digest: str, data: dict[str, Any], now: datetime) -> None: ...

    def get_session(self, digest: str) -> dict[str, Any] | None: ...

    def touch_session(self, digest: str, data: dict[str, Any], now: datetime) -> None: ...

    def end_session(self, digest: str, *, at_provider: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """One login of one person or operator in one face."""

    token: str
    """The cookie's value."""
    face: str
    """`portal` or `console`: a session of one is none in the other."""
    who: tuple[str, ...]
    """References of the person: `Patient/…`, `RelatedPerson/…` (several, one per person represented), or `operator:<name>`."""
    acting: str
    """Whose visits are shown: a Consent id, `self`, or empty while not chosen."""
    started: datetime
    seen: datetime
    provider_session: str = ""
    """What the login provider calls this login; empty where there is none."""
    hint: str = field(default="", repr=False)
    """What the provider wants to see at logout, encrypted."""

    @property
    def digest(self) -> str:
        """What the database knows it by."""
        return digest(self.token)

    @property
    def csrf(self) -> str:
        """The value every form of this session carries; made from the token, so nothing more is stored. It ends with `whose`."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest() + self.whose

    @property
    def whose(self) -> str:
        """Who is logged in, and whose visits are shown: two sessions of whom this is the same may send each other's forms."""
        return digest(f"{self.who[0]}|{self.acting}")[:16]

    def alive(self, now: datetime) -> bool:
        return now < self.started + ABSOLUTE and now < self.seen + IDLE

    def left(self, now: datetime) -> timedelta:
        """For how long it lives on without a click."""
        return min(self.started + ABSOLUTE, self.seen + IDLE) - now

    def data(self) -> dict[str, Any]:
        return {
            "face": self.face, "who": list(self.who), "acting": self.acting,
            "started": self.started.isoformat(), "seen": self.seen.isoformat(), "provider_session": self.provider_session, "hint": self.hint,
        }


def digest(token: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def start(
    store: SessionStore, token: str, face: str, who: tuple[str, ...], now: datetime, provider_session: str = "", hint: str = "",
) -> Session:
    """A new session. `token` is fresh randomness of at least 128 bits."""
    session = Session(token, face, who, "", now, now, provider_session, hint)
    store.create_session(session.digest, session.data(), now)
    return session


def known(store: SessionStore, token: str, face: str) -> Session | None:
    """The session of this cookie in this face, living or not: a dead one says whose it was, until the store lets go of it."""
    data = store.get_session(digest(token)) if token else None
    if data is None or data["face"] != face:
        return None
    return Session(
        token, face, tuple(data["who"]), data["acting"], datetime.fromisoformat(data["started"]), datetime.fromisoformat(data["seen"]),
        data.get("provider_session", ""), data.get("hint", ""),
    )


def living(store: SessionStore, session: Session | None, now: datetime, *, touch: bool = True) -> Session | None:
    """The session, if it is not over; seen now."""
    if session is None or not session.alive(now):
        return None
    if touch and now - session.seen >= TOUCH_EVERY:
        session = replace(session, seen=now)
        store.touch_session(session.digest, session.data(), now)
    return session


def renew(store: SessionStore, session: Session, token: str, acting: str, now: datetime) -> Session:
    """The same login under a new token, showing another person's visits; the time limit runs on, the old cookie is dead."""
    fresh = replace(session, token=token, acting=acting, seen=now)
    store.create_session(fresh.digest, fresh.data(), now)
    store.end_session(session.digest)
    return fresh
