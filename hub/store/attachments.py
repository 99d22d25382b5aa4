"""Files of messages: encrypted, apart from the resource that tells of them, and kept until that is removed.

In pieces as large letters are (pieces.py), but smaller ones. Whose a piece is, its place and how large the whole is belong to what it opens
with: one that is missing, cut short, or stands in another's place or message is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from hub.problem import Problem, Refused
from hub.store import pieces
from hub.store.db import Connection, Database
from hub.store.secrets import Secrets
from hub.store.tables import BYTES, _number, _text

SIZE = 1024 * 1024
"""Bytes of a piece."""


class AttachmentRow(SQLModel, table=True):
    """A piece of a file of a message; most files are one, or a few."""

    __tablename__: ClassVar[Any] = "attachment"
    __table_args__ = (sa.Index("attachment_message", "message"),)
    id: str = _text(primary_key=True)
    """The Binary's."""
    number: int = _number(primary_key=True)
    message: str = _text()
    """Id of the Communication."""
    size: int = _number()
    """Bytes of the whole file."""
    content_key: str = _text()
    body: bytes = Field(sa_type=BYTES)


@dataclass(frozen=True, slots=True)
class Attachments:
    """Within a transaction, or a reading."""

    connection: Connection
    secrets: Secrets

    def keep(self, id_: str, message: str, body: bytes) -> None:
        """Keeps a file with its message, in the same transaction."""
        with self.connection.sparing():
            for number, sealed in pieces.seal(self.secrets, body, SIZE, lambda number: _about(id_, message, number, len(body))):
                self.connection.run(
                    "insert into attachment (id, number, message, size, content_key, body) values (?, ?, ?, ?, ?, ?)",
                    (id_, number, message, len(body), self.secrets.content_key_id, sealed),
                )

    def message(self, id_: str) -> str:
        """Id of the Communication that a file belongs to; empty: there is no such file."""
        row = self.connection.row("select message from attachment where id = ? and number = 0", (id_,))
        return str(row[0]) if row else ""

    def body(self, id_: str) -> bytes:
        """The whole file.

        Raises:
            Refused: UNKNOWN_RESOURCE: it went with its message.
            ValueError: a piece is missing, or is not what was put there.
        """
        row = self.connection.row("select message, size from attachment where id = ? and number = 0", (id_,))
        if row is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "the file of a message that was removed")
        message, size = str(row[0]), int(row[1])
        statement = "select body from attachment where id = ? and number = ?"
        return pieces.opened(
            self.secrets, pieces.counted(size, SIZE), lambda number: self.connection.row(statement, (id_, number)),
            lambda number: _about(id_, message, number, size),
        )

    def drop(self, message: str) -> None:
        """Lets go of a message's files, with the message."""
        self.connection.run("delete from attachment where message = ?", (message,))


@dataclass(frozen=True, slots=True)
class Files:
    """As `Attachments`, for whoever only reads."""

    database: Database
    secrets: Secrets

    def message(self, id_: str) -> str:
        return self.database.read(lambda c: Attachments(c, self.secrets).message(id_))

    def body(self, id_: str) -> bytes:
        return self.database.read(lambda c: Attachments(c, self.secrets).body(id_))


def _about(id_: str, message: str, number: int, size: int) -> str:
    return f"attachment {id_} of {message}.{number}/{size}"
