"""Notices by e-mail: `{"to": …, "text": …}` as one plain message over SMTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from adapters.carriers.mailserver import Server
from adapters.carriers.posting import PORTS, Outbox
from hub.adapter import Surroundings
from hub.message import Parcel


class EmailCarrier:
    """hub.adapter.Carrier. Settings: those of a server (adapters/carriers/mailserver.py), `sender`, `subject`."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._outbox = Outbox(Server.of(settings, surroundings.home, f"adapters/{surroundings.name}.toml carrier", PORTS))
        self._sender, self._subject = str(settings["sender"]), str(settings.get("subject", f"Melding fra {surroundings.own_name}"))

    def send(self, parcel: Parcel) -> Parcel | None:
        """Hands one message over. 5xx to it: it will never be taken like this; anything else: later."""
        notice = json.loads(parcel.body)
        message = EmailMessage(SMTP)
        message["From"], message["To"], message["Subject"], message["Date"] = self._sender, notice["to"], self._subject, formatdate()
        message["Message-ID"] = f"<{parcel.headers.get('x-message-id', '')}@{self._sender.rpartition('@')[2]}>"
        message.set_content(notice["text"], cte="quoted-printable")
        self._outbox.hand_over(self._sender, str(notice["to"]), message.as_bytes())
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        self._outbox.close()


def email(surroundings: Surroundings) -> EmailCarrier:
    """The entry point `email`. Raises Misconfigured."""
    return EmailCarrier(surroundings)
