"""ebXML by mail, the way most Norwegian EPJs still exchange it: letters go by SMTP, and whatever comes, comes to the mailbox.

That the mail server took a letter says nothing of the partner (facts/ebxml.md 12): only the partner's own receipt does, and it comes by mail.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address

from adapters.carriers import mail
from adapters.carriers.mailbox import Mailbox
from adapters.carriers.mailserver import Server
from adapters.carriers.posting import PORTS, Outbox
from adapters.registries import agreements
from ebxml.terms import address
from hub.adapter import Surroundings
from hub.config import Misconfigured
from hub.message import Parcel
from hub.problem import Problem, Refused

LARGEST = 51_200_000
"""Bytes of one message at Norsk Helsenett (facts/ebxml.md 2.1)."""


class SmtpCarrier:
    """hub.adapter.Carrier. Settings: those of a server (adapters/carriers/mailserver.py), `sender` and `to` (the two edi addresses; with
    `agreement`, a CPA's file name, `to` is what the CPA says), `subject`, `max_bytes`, and `mailbox`, a table that says where answers are
    collected (adapters/carriers/mailbox.py)."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings, where = surroundings.settings, f"adapters/{surroundings.name}.toml carrier"
        server = Server.of(settings, surroundings.home, where, PORTS)
        if not server.password.isascii():
            raise Misconfigured(f"{where}: passordet må være ASCII")
        self._outbox = Outbox(server)
        self._sender = _address(settings.get("sender"), f"{where} sender")
        self._to = _address(settings.get("to") or agreements.endpoint(surroundings), f"{where} to")
        self._domain = self._sender.rpartition("@")[2]
        self._subject = " ".join(str(settings.get("subject", "ebXML")).split())
        self._largest = int(settings.get("max_bytes", LARGEST))
        self._mailbox = Mailbox(settings["mailbox"], surroundings) if settings.get("mailbox") else None

    def send(self, parcel: Parcel) -> Parcel | None:
        """Hands one letter over, under a Message-ID and date of this try. 5xx to the letter: it will never be taken; anything else: later."""
        message_id = f"<{mail.name_of(parcel)}.{uuid.uuid4().hex}@{self._domain}>"
        message = mail.compose(parcel, self._sender, self._to, self._subject, message_id, datetime.now(UTC))
        if len(message) > self._largest:
            raise Refused(Problem.TOO_LARGE, f"more than {self._largest} bytes as a mail")
        self._outbox.hand_over(self._sender, self._to, message)
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """What lies in the mailbox, where there is one. Raises Unavailable."""
        return self._mailbox.collect() if self._mailbox else ()

    def close(self) -> None:
        self._outbox.close()


def _address(value: object, where: str) -> str:
    """One address, with or without the `mailto:` that CPAs have (facts/ebxml.md 8)."""
    text = address(str(value or "")).removeprefix("mailto:").strip()
    try:
        named = Address(addr_spec=text).addr_spec
    except (ValueError, IndexError, HeaderParseError) as wrong:
        raise Misconfigured(f"{where}: ingen e-postadresse") from wrong
    if not named.isascii() or "" in (named.partition("@")[0], named.partition("@")[2]):
        raise Misconfigured(f"{where}: ingen e-postadresse")
    return named


def smtp(surroundings: Surroundings) -> SmtpCarrier:
    """The entry point `smtp`. Raises Misconfigured."""
    return SmtpCarrier(surroundings)
