"""What happened, to whom it may be told: the steps that were noted and the versions that were made, in one line of time."""

from __future__ import annotations

from datetime import datetime

from hub.store import resources
from hub.store.db import Connection
from hub.store.values import TimelineEntry, micros, moment


def of(connection: Connection, reference: str) -> list[TimelineEntry]:
    """Everything that happened to one resource, oldest first."""
    rows = connection.rows("select at, kind, text, delivery, envelope, origin from step where subject = ? order by key", (reference,))
    lines = [TimelineEntry(moment(at), kind, text, d, e, None, origin) for at, kind, text, d, e, origin in rows]
    type_, _, id_ = reference.partition("/")
    lines += [
        TimelineEntry(s.last_updated, "version", str(s.resource.get("status", "")), None, None, s.version, s.origin)
        for s in resources.history(connection, type_, id_)[::-1]
    ]
    return sorted(lines, key=lambda line: line.at)


def steps(connection: Connection, kinds: list[str], first: datetime, until: datetime) -> list[TimelineEntry]:
    """As `Store.steps`."""
    marks = ", ".join("?" * len(kinds))
    sql = f"select at, kind, subject, text, origin from step where kind in ({marks}) and at >= ? and at < ? order by key"
    rows = connection.rows(sql, [*kinds, micros(first), micros(until)])
    return [TimelineEntry(moment(at), kind, f"{subject} {text}", None, None, None, origin) for at, kind, subject, text, origin in rows]
