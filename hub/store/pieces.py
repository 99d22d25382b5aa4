"""Bodies too large for one row: in pieces, each encrypted by itself, so that storing or reading one takes the memory of a piece and not of copies.

A piece's place and how many there are belong to what it opens with, and the content's own row holds their number, encrypted: a piece that is
missing, cut short, or stands in another's place is found out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from hub.store.db import Connection
from hub.store.secrets import Secrets

SIZE = 4 * 1024 * 1024
"""Bytes of a piece. A body up to that is one row, as nearly every letter's is."""
_MOST = 4
"""Octets of the number of pieces."""


def put(connection: Connection, secrets: Secrets, content: str, body: bytes) -> None:
    """Stores the pieces of a content whose row is there."""
    count = counted(len(body), SIZE)
    with connection.sparing():
        for number, sealed in seal(secrets, body, SIZE, lambda number: _about(content, number, count)):
            connection.run("insert into piece (content, number, body) values (?, ?, ?)", (content, number, sealed))


def told(secrets: Secrets, content: str, size: int) -> bytes:
    """What stands in the content's row instead of the body: how many pieces there are."""
    return secrets.encrypt(counted(size, SIZE).to_bytes(_MOST, "big"), content)


def take(connection: Connection, secrets: Secrets, content: str, told: bytes) -> bytes:
    """The whole body.

    Raises:
        ValueError: a piece is missing, or is not the one that was put there.
    """
    count = int.from_bytes(secrets.decrypt(told, content), "big")
    statement = "select body from piece where content = ? and number = ?"
    return opened(secrets, count, lambda number: connection.row(statement, (content, number)), lambda number: _about(content, number, count))


def seal(secrets: Secrets, body: bytes, size: int, about: Callable[[int], str]) -> Iterator[tuple[int, bytes]]:
    """Each piece of `size` bytes with its number, encrypted; `about` gives what a piece of this number opens with."""
    for number, at in enumerate(range(0, len(body), size)):
        yield number, secrets.encrypt(memoryview(body)[at:at + size], about(number))


def opened(secrets: Secrets, count: int, piece: Callable[[int], tuple[Any, ...] | None], about: Callable[[int], str]) -> bytes:
    """What was sealed in so many pieces; `piece` gives the row of one, by its number.

    Raises:
        ValueError: a piece is missing, or is not the one that was put there.
    """
    whole = io.BytesIO()
    for number in range(count):
        row = piece(number)
        if row is None:
            raise ValueError(f"piece {number + 1} of {count} of a stored content is missing")
        whole.write(secrets.decrypt(bytes(row[0]), about(number)))
    return whole.getvalue()


def counted(length: int, size: int) -> int:
    """How many pieces of `size` bytes that takes."""
    return -(-length // size)


def _about(content: str, number: int, count: int) -> str:
    return f"{content}.{number}/{count}"
