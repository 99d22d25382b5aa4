"""Logins, found by the digest of their token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import orjson

from hub.store.db import Connection
from hub.store.values import micros

KEPT = timedelta(days=1)
"""The longest that a row stays; how long a login is good for, hub/faces/sessions.py knows."""


def create(connection: Connection, digest: str, data: dict[str, Any], now: datetime) -> None:
    subject = (data.get("who") or [""])[0]
    connection.run(
        "insert into session (token, subject, created, seen, expires, provider_session, data) values (?, ?, ?, ?, ?, ?, ?)",
        (digest, subject, micros(now), micros(now), micros(now + KEPT), data.get("provider_session", ""), orjson.dumps(data).decode()),
    )


def get(connection: Connection, digest: str) -> dict[str, Any] | None:
    row = connection.row("select data from session where token = ?", (digest,))
    return orjson.loads(row[0]) if row else None


def touch(connection: Connection, digest: str, data: dict[str, Any], now: datetime) -> None:
    """Seen again, with what is remembered now."""
    connection.run("update session set seen = ?, data = ? where token = ?", (micros(now), orjson.dumps(data).decode(), digest))


def end(connection: Connection, digest: str) -> None:
    connection.run("delete from session where token = ?", (digest,))


def at_provider(connection: Connection, name: str) -> bool:
    """The provider knows a login by this name."""
    return name != "" and connection.row("select 1 from session where provider_session = ? limit 1", (name,)) is not None


def end_at_provider(connection: Connection, name: str) -> None:
    """Every login that the provider knows by this name."""
    connection.run("delete from session where provider_session = ? and provider_session <> ''", (name,))


def prune(connection: Connection, now: datetime) -> None:
    """Lets go of those past their time."""
    connection.run("delete from session where expires <= ?", (micros(now),))
