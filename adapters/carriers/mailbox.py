"""Collecting letters from a mailbox, by IMAP or POP3. A letter is let go of only once the hub has stored it.

What is no letter (a bounce, an automatic reply, one too large) is handed on as such, so that an operator sees it; nothing of it blocks the next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from adapters.carriers import mail
from adapters.carriers.imap import ImapSession
from adapters.carriers.mailserver import NONE, STARTTLS, TLS, Server
from adapters.carriers.pop import PopSession
from hub.adapter import Surroundings
from hub.config import Misconfigured, duration
from hub.message import Parcel
from hub.problem import Problem, Refused

log = logging.getLogger(__name__)
LARGEST = 51_200_000
ASIDE = "Besoksbro-avvist"
PORTS: dict[str, Mapping[str, int]] = {"imap": {STARTTLS: 143, TLS: 993, NONE: 143}, "pop3": {STARTTLS: 110, TLS: 995, NONE: 110}}


class Session(Protocol):
    """One visit to a mailbox. Every method raises Unavailable."""

    def waiting(self) -> list[tuple[str, int]]:
        """(key, bytes) of each message, oldest first. Keys are the same from visit to visit."""
        ...

    def head(self, key: str) -> bytes:
        """A message's headers; empty when it is gone."""
        ...

    def whole(self, key: str) -> bytes:
        """A message; empty when it is gone."""
        ...

    def let_go(self, key: str) -> None:
        """Deletes it, or moves it where the settings say."""
        ...

    def put_aside(self, key: str) -> None:
        """Moves what will never be taken where somebody finds it, where the protocol can; nothing is deleted."""
        ...

    def close(self) -> None: ...


class Mailbox:
    """Settings: `kind` (`imap` or `pop3`), those of a server (adapters/carriers/mailserver.py), `every` (`15s`, between two visits), `max_bytes`,
    `senders` (only mail from, or reports about, these addresses is taken: several adapters can share a mailbox), and with IMAP `folder`
    (`INBOX`), `done` (the folder that stored letters move to; without it they are deleted) and `aside` (where those too large move to; with POP3
    they stay where they are)."""

    def __init__(self, settings: Mapping[str, Any], surroundings: Surroundings, clock: Callable[[], float] = time.monotonic) -> None:
        where = f"adapters/{surroundings.name}.toml mailbox"
        kind = str(settings.get("kind", "imap"))
        if kind not in PORTS:
            raise Misconfigured(f"{where}: kind er imap eller pop3")
        self._name, self._clock = surroundings.name, clock
        self._server = Server.of(settings, surroundings.home, where, PORTS[kind])
        if not self._server.user:
            raise Misconfigured(f"{where}: user og password_file mangler")
        self._every = duration(str(settings.get("every", "15s"))).total_seconds()
        self._largest = int(settings.get("max_bytes", LARGEST))
        self._senders = frozenset(str(address).strip().lower() for address in settings.get("senders", ()))
        folders = [str(settings.get(name, "")) for name in ("folder", "done", "aside")]
        if not all(name.isascii() and name.isprintable() for name in folders):
            raise Misconfigured(f"{where}: navn på mapper må være ASCII")
        self._open: Callable[[], Session] = partial(ImapSession, self._server, folders[0] or "INBOX", folders[1], folders[2] or ASIDE) \
            if kind == "imap" else partial(PopSession, self._server)
        self._next = 0.0
        self._left: set[str] = set()
        """What was looked at and is left lying: other adapters' letters, and those too large."""

    def collect(self) -> Iterator[tuple[Parcel, Callable[[], None]]]:
        """One visit: each letter with what lets go of it. Nothing at all when the last visit is not long enough ago. Raises Unavailable."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._every
        session = self._open()
        try:
            waiting = session.waiting()
            self._left &= {key for key, _ in waiting}
            for key, size in waiting:
                parcel = None if key in self._left else self._taken(session, key, size)
                if parcel is not None:
                    yield parcel, partial(self._let_go, session, key, parcel)
        finally:
            session.close()

    def _let_go(self, session: Session, key: str, parcel: Parcel) -> None:
        """What was stored whole goes; of what was too large only the headers were, so it is kept."""
        if parcel.trouble is not None and parcel.trouble.problem is Problem.TOO_LARGE:
            session.put_aside(key)
            self._left.add(key)
        else:
            session.let_go(key)

    def _taken(self, session: Session, key: str, size: int) -> Parcel | None:
        """A message as a parcel; None for what is not this adapter's, or gone meanwhile."""
        too_large = size > self._largest
        raw = session.head(key) if too_large else session.whole(key)
        if not raw:
            return None
        if self._senders and not self._senders & mail.concerns(raw):
            self._left.add(key)
            log.warning("a letter in the mailbox of %s is from none of its senders: left there", self._name)
            return None
        if too_large:
            return Parcel({}, raw, trouble=Refused(Problem.TOO_LARGE, f"a mail of {size} bytes; at most {self._largest} are taken"))
        return mail.read(raw)


class MailboxCarrier:
    """hub.adapter.Carrier for a partner that is only listened to. Settings: Mailbox's, with `kind` called `protocol`."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._mailbox = Mailbox({**settings, "kind": settings.get("protocol", "imap")}, surroundings)

    def send(self, parcel: Parcel) -> Parcel | None:
        raise Refused(Problem.NOT_DELIVERED, "this partner is only listened to: its carrier is a mailbox")

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What lies in the mailbox. Raises Unavailable."""
        return self._mailbox.collect()

    def close(self) -> None:
        return


def mailbox(surroundings: Surroundings) -> MailboxCarrier:
    """The entry point `mailbox`. Raises Misconfigured."""
    return MailboxCarrier(surroundings)
