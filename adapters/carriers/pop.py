"""One visit to a POP3 mailbox (RFC 1939; STLS: RFC 2595). What was let go of is deleted when the visit ends, and comes again when it ends badly."""

from __future__ import annotations

import contextlib
import poplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters.carriers.mailserver import STARTTLS, TLS, Server
from hub.problem import Unavailable

LONGEST = 10_000_000
"""Bytes of one line. The library stops at 2048, and would read the rest as another answer; an XML part in 8bit can be one line."""


class _LongLines(poplib.POP3):
    """poplib with lines as long as they come."""

    def _getline(self) -> tuple[bytes, int]:
        line: bytes = self.file.readline(LONGEST + 1)
        if len(line) > LONGEST or not line.endswith(b"\n"):
            raise poplib.error_proto("a line that is too long, or cut off")
        return line[:-2] if line.endswith(b"\r\n") else line[:-1], len(line)


class _LongLinesTls(_LongLines):
    """The same over TLS from the first byte."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        self._tls = context
        super().__init__(server.host, server.port, server.wait)

    def _create_socket(self, timeout: float) -> Any:
        return self._tls.wrap_socket(super()._create_socket(timeout), server_hostname=self.host)  # type: ignore[misc]


class PopSession:
    """adapters.carriers.mailbox.Session."""

    def __init__(self, server: Server) -> None:
        with _unavailable():
            tls = server.context if server.tls == TLS else None
            self._pop = _LongLinesTls(server, tls) if tls else _LongLines(server.host, server.port, server.wait)
        try:
            with _unavailable():
                self._enter(server)
                self._numbers = {key.decode(): int(number) for number, key in (line.split(None, 1) for line in self._pop.uidl()[1])}
        except Unavailable:
            self.close()
            raise

    def _enter(self, server: Server) -> None:
        if server.tls == STARTTLS:
            self._pop.stls(server.context)
        try:
            self._pop.user(server.user)
            self._pop.pass_(server.password)
        except poplib.error_proto:
            raise Unavailable("the mailbox does not let us in: user or password") from None

    def waiting(self) -> list[tuple[str, int]]:
        """Everything, in the mailbox's order. Keys are its unique ids (UIDL)."""
        with _unavailable():
            sizes = {int(number): int(size) for number, size in (line.split()[:2] for line in self._pop.list()[1])}
        return [(key, sizes[number]) for key, number in self._numbers.items() if number in sizes]

    def head(self, key: str) -> bytes:
        with _unavailable():
            return _joined(self._pop.top(self._numbers[key], 0)[1])

    def whole(self, key: str) -> bytes:
        with _unavailable():
            return _joined(self._pop.retr(self._numbers[key])[1])

    def let_go(self, key: str) -> None:
        """Raises Unavailable: it is still there, and will come again."""
        with _unavailable():
            self._pop.dele(self._numbers[key])

    def put_aside(self, key: str) -> None:
        """There is nowhere to put it: it stays."""

    def close(self) -> None:
        try:
            self._pop.quit()
        except (OSError, poplib.error_proto):
            with contextlib.suppress(OSError):
                self._pop.close()


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


@contextmanager
def _unavailable() -> Iterator[None]:
    """Whatever goes wrong with a mailbox may work later. Nothing of what the server said is repeated."""
    try:
        yield
    except (OSError, poplib.error_proto, ValueError) as trouble:
        raise Unavailable(f"{type(trouble).__name__} from the mailbox") from trouble
