"""One visit to an IMAP mailbox (RFC 3501; MOVE: RFC 6851; UIDPLUS: RFC 4315). Looking at a message leaves it as it was."""

from __future__ import annotations

import contextlib
import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters.carriers.mailserver import STARTTLS, TLS, Server
from hub.problem import Unavailable

_SIZE = re.compile(rb"UID (\d+)")
_BYTES = re.compile(rb"RFC822\.SIZE (\d+)")


class ImapSession:
    """adapters.carriers.mailbox.Session. `done` is where let-go letters move to; empty: they are deleted. `aside` likewise, and never empty."""

    def __init__(self, server: Server, folder: str, done: str, aside: str) -> None:
        self._done, self._aside = done, aside
        with _unavailable():
            self._imap = _connected(server)
        try:
            with _unavailable():
                _enter(self._imap, server)
                _, can = self._imap.capability()  # asked again: most servers tell only after the login
                self._can = frozenset(can[0].decode("ascii", "replace").upper().split()) if can and can[0] else frozenset()
                self._validity = self._select(folder)
        except Unavailable:
            self.close()
            raise

    def _select(self, folder: str) -> str:
        """Opens the folder; what makes a uid mean the same message as last time is part of each key."""
        answer, _ = self._imap.select(_quoted(folder))
        if answer != "OK":
            raise Unavailable("the mailbox has no such folder")
        _, validity = self._imap.response("UIDVALIDITY")
        return validity[0].decode() if validity and validity[0] else ""

    def waiting(self) -> list[tuple[str, int]]:
        """Everything that is not marked as deleted, in the order it came."""
        with _unavailable():
            _, found = self._imap.uid("SEARCH", "UNDELETED")
            uids = found[0].split() if found and found[0] else []
            if not uids:
                return []
            _, lines = self._imap.uid("FETCH", f"{min(map(int, uids))}:{max(map(int, uids))}", "(RFC822.SIZE)")
        sizes = {}
        for line in lines:
            said = line[0] if isinstance(line, tuple) else line
            if isinstance(said, bytes) and (uid := _SIZE.search(said)) and (size := _BYTES.search(said)):
                sizes[uid[1]] = int(size[1])
        return [(f"{self._validity}:{uid.decode()}", sizes[uid]) for uid in uids if uid in sizes]

    def head(self, key: str) -> bytes:
        return self._fetched(key, "(BODY.PEEK[HEADER])")

    def whole(self, key: str) -> bytes:
        return self._fetched(key, "(BODY.PEEK[])")

    def _fetched(self, key: str, what: str) -> bytes:
        with _unavailable():
            _, lines = self._imap.uid("FETCH", _uid(key), what)
        found = next((line[1] for line in lines if isinstance(line, tuple)), b"")
        return bytes(found)

    def let_go(self, key: str) -> None:
        """Raises Unavailable: it is still there, and will come again."""
        with _unavailable():
            if self._done:
                self._move(_uid(key), self._done)
            else:
                self._delete(_uid(key))

    def put_aside(self, key: str) -> None:
        """Raises Unavailable."""
        with _unavailable():
            self._move(_uid(key), self._aside)

    def _move(self, uid: str, folder: str) -> None:
        """MOVE where the server can; else a copy, and the first one deleted. The folder is made when it is not there."""
        command = "MOVE" if "MOVE" in self._can else "COPY"
        answer, _ = self._imap.uid(command, uid, _quoted(folder))
        if answer != "OK":
            self._imap.create(_quoted(folder))
            answer, _ = self._imap.uid(command, uid, _quoted(folder))
        if answer != "OK":
            raise Unavailable("the mailbox's folder for what is done takes nothing")
        if command == "COPY":
            self._delete(uid)

    def _delete(self, uid: str) -> None:
        self._imap.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")
        if "UIDPLUS" in self._can:
            self._imap.uid("EXPUNGE", uid)
        else:
            self._imap.expunge()

    def close(self) -> None:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self._imap.logout()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Whatever goes wrong with a mailbox may work later. Nothing of what the server said is repeated: it can hold what we sent it."""
    try:
        yield
    except (OSError, imaplib.IMAP4.error, EOFError) as trouble:
        raise Unavailable(f"{type(trouble).__name__} from the mailbox") from trouble


def _connected(server: Server) -> imaplib.IMAP4:
    if server.tls == TLS:
        return imaplib.IMAP4_SSL(server.host, server.port, ssl_context=server.context, timeout=server.wait)
    return imaplib.IMAP4(server.host, server.port, timeout=server.wait)


def _enter(imap: imaplib.IMAP4, server: Server) -> None:
    if server.tls == STARTTLS:
        imap.starttls(ssl_context=server.context)
    try:
        if "AUTH=PLAIN" in imap.capabilities:  # takes any password; LOGIN only ASCII
            answer: Any = f"\0{server.user}\0{server.password}".encode()
            imap.authenticate("PLAIN", lambda _: answer)
        else:
            imap.login(server.user, server.password)
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, UnicodeError):
        raise Unavailable("the mailbox does not let us in: user or password") from None


def _uid(key: str) -> str:
    return key.rpartition(":")[2]


def _quoted(folder: str) -> str:
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
