"""Messages handed over to a mail server (RFC 5321): what its answers mean is the same for a letter and for a notice.

A connection is kept for the next message, as mail servers do among themselves: greeting, TLS and login cost more than the letter.
"""

from __future__ import annotations

import contextlib
import smtplib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from adapters.carriers.mailserver import NONE, STARTTLS, TLS, Server
from hub.problem import Problem, Refused, Unavailable

PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
KEPT = 30.0
"""Seconds that a connection may have stood idle. Servers hang up after five minutes (RFC 5321 4.5.3.2.7), some sooner."""
MESSAGES = 50
"""By one connection. Some servers take no more."""
_OF_THE_LOGIN = {530, 534, 535, 538}
"""Login codes (RFC 4954 6): about us, not about the message."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A connection to the server, let in."""

    smtp: smtplib.SMTP
    handed_over: int = 0
    used: float = 0.0


class Outbox:
    """The way to one mail server, for any number of threads."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._clock = server, clock
        self._idle: deque[_Line] = deque()

    def hand_over(self, sender: str, to: str, message: bytes) -> None:
        """Returns once the server has it.

        Raises:
            Refused: NOT_DELIVERED: a 5xx to this message or its recipient; it will never be taken like this.
            Unavailable: anything else, such as a login that is not let in: later may work.
        """
        try:
            self._hand_over(sender, to, message)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _answer(max(code for code, _ in refused.recipients.values())) from refused
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError) as closed:
            raise Unavailable(f"SMTP {closed.smtp_code}: the mail server does not let us in") from closed
        except smtplib.SMTPResponseException as answer:
            raise _answer(answer.smtp_code) from answer
        except (OSError, smtplib.SMTPException, ValueError) as trouble:
            raise Unavailable(f"{type(trouble).__name__} from the mail server") from trouble

    def _hand_over(self, sender: str, to: str, message: bytes) -> None:
        line = self._kept() or _Line(_entered(self._server, sender.rpartition("@")[2]))
        try:
            line.smtp.sendmail(sender, [to], message)
        except BaseException:
            line.smtp.close()
            raise
        self._idle.append(replace(line, handed_over=line.handed_over + 1, used=self._clock()))

    def _kept(self) -> _Line | None:
        """One that stands open still: it is asked, since a server that hung up tells only who speaks to it."""
        while self._idle:
            line = self._idle.pop()
            if line.handed_over >= MESSAGES or self._clock() - line.used > KEPT:
                _leave(line)
                continue
            with contextlib.suppress(OSError, smtplib.SMTPException):
                if line.smtp.noop()[0] == 250:
                    return line
            line.smtp.close()
        return None

    def close(self) -> None:
        while self._idle:
            _leave(self._idle.pop())


def _leave(line: _Line) -> None:
    with contextlib.suppress(OSError, smtplib.SMTPException):  # it has every message: how it says goodbye changes nothing
        line.smtp.quit()


def _entered(at: Server, us: str) -> smtplib.SMTP:
    smtp = _connected(at, us)
    try:
        if at.tls == STARTTLS:
            smtp.starttls(context=at.context)
        if at.user:
            smtp.login(at.user, at.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _connected(at: Server, us: str) -> smtplib.SMTP:
    if at.tls == TLS:
        return smtplib.SMTP_SSL(at.host, at.port, local_hostname=us, timeout=at.wait, context=at.context)
    return smtplib.SMTP(at.host, at.port, local_hostname=us, timeout=at.wait)


def _answer(code: int) -> Refused | Unavailable:
    """What a code means for the message (RFC 5321 4.2.1)."""
    if 500 <= code < 600 and code not in _OF_THE_LOGIN:
        return Refused(Problem.NOT_DELIVERED, f"SMTP {code} from the mail server")
    return Unavailable(f"SMTP {code} from the mail server")
