"""Notices by e-mail: `{"to": …, "text": …}` as one plain message over SMTP."""

from __future__ import annotations

import json
import smtplib
import ssl
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from email.utils import formatdate

from hub.adapter import Surroundings
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

WAIT = 20.0


class EmailCarrier:
    """hub.adapter.Carrier. Settings: `host`, `port` (25), `sender`, `subject`, `tls` (`starttls`, the default, or `none`), `user` and
    `password_file` where the server wants a login."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._host, self._port = str(settings["host"]), int(settings.get("port", 25))
        self._sender, self._subject = str(settings["sender"]), str(settings.get("subject", f"Melding fra {surroundings.own_name}"))
        self._tls, self._user = settings.get("tls", "starttls") != "none", str(settings.get("user", ""))
        self._password = (surroundings.home / str(settings["password_file"])).read_text().strip() if self._user else ""

    def send(self, parcel: Parcel) -> Parcel | None:
        """Hands one message over. 5xx: it will never be taken like this; anything else: later."""
        notice = json.loads(parcel.body)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"], message["Date"] = self._sender, notice["to"], self._subject, formatdate()
        message["Message-ID"] = f"<{parcel.headers.get('x-message-id', '')}@{self._sender.rpartition('@')[2]}>"
        message.set_content(notice["text"])
        try:
            with smtplib.SMTP(self._host, self._port, timeout=WAIT) as server:
                if self._tls:
                    server.starttls(context=ssl.create_default_context())
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = {code for code, _ in refused.recipients.values()}
            if all(500 <= code < 600 for code in codes):
                raise Refused(Problem.NOT_DELIVERED, f"SMTP {max(codes)} to the recipient") from refused
            raise Unavailable("the mail server asks to try later") from refused
        except smtplib.SMTPResponseException as answer:
            if 500 <= answer.smtp_code < 600:
                raise Refused(Problem.NOT_DELIVERED, f"SMTP {answer.smtp_code} from the mail server") from answer
            raise Unavailable(f"SMTP {answer.smtp_code} from the mail server") from answer
        except (OSError, smtplib.SMTPException) as trouble:
            raise Unavailable(f"{type(trouble).__name__} from the mail server") from trouble
        return None

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        return


def email(surroundings: Surroundings) -> EmailCarrier:
    """The entry point `email`."""
    return EmailCarrier(surroundings)
