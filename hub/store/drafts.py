"""What somebody began to write and has not sent: encrypted like letters, one for each writer, person and place, and gone after KEPT.

A row of `content` under an id of its own, made by the keyed hash: it tells nobody who writes about whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from hub.store.db import Connection
from hub.store.secrets import Secrets
from hub.store.values import micros

KEPT = timedelta(days=30)
"""Of what is not written on; one that was sent or thrown away is gone at once."""


@dataclass(frozen=True, slots=True)
class Drafts:
    """`writer` and `person` are references; `place` is a thread, or whatever else somebody writes in."""

    connection: Connection
    secrets: Secrets
    now: datetime

    def keep(self, writer: str, person: str, place: str, fields: Mapping[str, str], kept: timedelta = KEPT) -> None:
        """In place of what was kept there."""
        id_ = self._id(writer, person, place)
        self.drop(writer, person, place)
        self.connection.run(
            "insert into content (id, kind, head, body, packed, content_key, expires) values (?, 'draft', ?, ?, 0, ?, ?)",
            (id_, b"", self.secrets.encrypt(orjson.dumps(dict(fields)), id_), self.secrets.content_key_id, micros(self.now + kept)),
        )

    def get(self, writer: str, person: str, place: str) -> dict[str, str]:
        """Empty when there is none, or its time is past."""
        id_ = self._id(writer, person, place)
        row = self.connection.row("select body from content where id = ? and expires > ?", (id_, micros(self.now)))
        fields: dict[str, str] = orjson.loads(self.secrets.decrypt(bytes(row[0]), id_)) if row else {}
        return fields

    def drop(self, writer: str, person: str, place: str) -> None:
        """Where there is none, nothing happens."""
        self.connection.run("delete from content where id = ?", (self._id(writer, person, place),))

    def drop_all(self, writer: str, person: str) -> None:
        """All that this writer began about this person."""
        mine = self._of(writer, person)
        self.connection.run("delete from content where id > ? and id < ?", (f"{mine}.", f"{mine}/"))

    def _of(self, writer: str, person: str) -> str:
        return f"draft-{self.secrets.hash_id('draft', f'{writer}|{person}')}"

    def _id(self, writer: str, person: str, place: str) -> str:
        return f"{self._of(writer, person)}.{self.secrets.hash_id('draft', place)}"
