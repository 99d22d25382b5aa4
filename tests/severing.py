"""A wire to a server that breaks at a word that goes to it (before the word has arrived, or when it was answered and the answer is under way), or
on which nothing moves any more and nobody is told, as when a machine is gone."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from urllib.parse import urlsplit


class Wire:
    """A port of ours that leads to a server's. `url`: the server's, by this port."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname or "", parts.port or 0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{self._listening.getsockname()[1]}").geturl()
        self._word, self._arrives, self._stays = b"", False, False
        self.down = False
        """From when it broke until it is said otherwise nobody gets through."""
        self.deaden_new = False
        """Nothing ever moves on connections that are made from now on."""
        self._dead: set[socket.socket] = set()
        self._leading: dict[socket.socket, socket.socket] = {}
        self.broken = threading.Semaphore(0)
        threading.Thread(target=self._listen, daemon=True).start()

    def break_at(self, word: bytes, *, arrives: bool, stays: bool = False) -> None:
        """Once, at the next connection that says it. `stays`: it is `down` then."""
        self._arrives, self._stays, self._word = arrives, stays, word

    def deaden(self) -> None:
        """The server forgets the connections that there are, and nobody is told; new ones live."""
        self._dead |= self._leading.keys()
        for server in self._leading.values():
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._lead, args=(self._listening.accept()[0],), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._to) as server:
            self._leading[client] = server
            if self.deaden_new:
                threading.Event().wait()
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if client in self._dead:
                        threading.Event().wait()
                    data = ready.recv(65536)
                    if self.down or not data:
                        return
                    if ready is client and self._word and self._word in data:
                        self._word = b""
                        if self._arrives:
                            server.sendall(data)
                            server.recv(65536)
                        self.down = self._stays
                        self.broken.release()
                        return
                    (server if ready is client else client).sendall(data)
