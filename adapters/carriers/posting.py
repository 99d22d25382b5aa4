"""A message handed over to a mail server (RFC 5321): what its answers mean is the same for a letter and for a notice."""

from __future__ import annotations

import contextlib
import smtplib

from adapters.carriers.mailserver import NONE, STARTTLS, TLS, Server
from hub.problem import Problem, Refused, Unavailable

PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
_OF_THE_LOGIN = {530, 534, 535, 538}
"""Login codes (RFC 4954 6): about us, not about the message."""


def hand_over(server: Server, sender: str, to: str, message: bytes) -> None:
    """Returns once the server has it.

    Raises:
        Refused: NOT_DELIVERED: a 5xx to this message or its recipient; it will never be taken like this.
        Unavailable: anything else, such as a login that is not let in: later may work.
    """
    try:
        _hand_over(server, sender, to, message)
    except smtplib.SMTPRecipientsRefused as refused:
        raise _answer(max(code for code, _ in refused.recipients.values())) from refused
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError) as closed:
        raise Unavailable(f"SMTP {closed.smtp_code}: the mail server does not let us in") from closed
    except smtplib.SMTPResponseException as answer:
        raise _answer(answer.smtp_code) from answer
    except (OSError, smtplib.SMTPException, ValueError) as trouble:
        raise Unavailable(f"{type(trouble).__name__} from the mail server") from trouble


def _hand_over(server: Server, sender: str, to: str, message: bytes) -> None:
    connection = _connected(server, sender.rpartition("@")[2])
    try:
        if server.tls == STARTTLS:
            connection.starttls(context=server.context)
        if server.user:
            connection.login(server.user, server.password)
        connection.sendmail(sender, [to], message)
    except BaseException:
        connection.close()
        raise
    with contextlib.suppress(OSError, smtplib.SMTPException):  # it has the message: how it says goodbye changes nothing
        connection.quit()


def _connected(at: Server, us: str) -> smtplib.SMTP:
    if at.tls == TLS:
        return smtplib.SMTP_SSL(at.host, at.port, local_hostname=us, timeout=at.wait, context=at.context)
    return smtplib.SMTP(at.host, at.port, local_hostname=us, timeout=at.wait)


def _answer(code: int) -> Refused | Unavailable:
    """What a code means for the message (RFC 5321 4.2.1)."""
    if 500 <= code < 600 and code not in _OF_THE_LOGIN:
        return Refused(Problem.NOT_DELIVERED, f"SMTP {code} from the mail server")
    return Unavailable(f"SMTP {code} from the mail server")
