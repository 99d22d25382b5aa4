"""Bodies too large for one row: in pieces, each encrypted by itself, so that storing or reading one takes the memory of a piece and not of copies.

A piece's place and how many there are belong to what it opens with, and the content's own row holds their number, encrypted: a piece that is
missing, cut short, or stands in another's place is found out.
"""

from __future__ import annotations

import io

from hub.store.db import Connection
from hub.store.secrets import Secrets

SIZE = 4 * 1024 * 1024
"""Bytes of a piece. A body up to that is one row, as nearly every letter's is."""
_MOST = 4
"""Octets of the number of pieces."""


def put(connection: Connection, secrets: Secrets, content: str, body: bytes) -> None:
    """Stores the pieces of a content whose row is there."""
    with connection.sparing():
        for number, at in enumerate(range(0, len(body), SIZE)):
            sealed = secrets.encrypt(memoryview(body)[at:at + SIZE], _about(content, number, _count(len(body))))
            connection.run("insert into piece (content, number, body) values (?, ?, ?)", (content, number, sealed))


def told(secrets: Secrets, content: str, size: int) -> bytes:
    """What stands in the content's row instead of the body: how many pieces there are."""
    return secrets.encrypt(_count(size).to_bytes(_MOST, "big"), content)


def take(connection: Connection, secrets: Secrets, content: str, told: bytes) -> bytes:
    """The whole body.

    Raises:
        ValueError: a piece is missing, or is not the one that was put there.
    """
    count, whole = int.from_bytes(secrets.decrypt(told, content), "big"), io.BytesIO()
    for number in range(count):
        row = connection.row("select body from piece where content = ? and number = ?", (content, number))
        if row is None:
            raise ValueError(f"piece {number + 1} of {count} of a stored content is missing")
        whole.write(secrets.decrypt(row[0], _about(content, number, count)))
    return whole.getvalue()


def _count(size: int) -> int:
    return -(-size // SIZE)


def _about(content: str, number: int, count: int) -> str:
    return f"{content}.{number}/{count}"
