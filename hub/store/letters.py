"""Bytes that came or go, encrypted, and the envelopes they belong to."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from hub.message import Content, Enquiry, Envelope, Parcel, Verdict
from hub.problem import Problem, Refused
from hub.store import pieces, resources
from hub.store.db import Connection
from hub.store.secrets import Secrets
from hub.store.tables import OPEN
from hub.store.values import UNOPENED, Earlier, Filed, micros, moment

KEPT = timedelta(days=30)
"""How long bytes are kept: longer than the slowest partner's last retry (facts/reliability.md 3.1). Envelopes stay."""
PRUNED_AT_ONCE = 1000
"""Contents deleted in one commit at most."""
_SMALLER = 0.9
_INSERT = "insert into content (id, kind, head, body, packed, content_key, expires) values (?, ?, ?, ?, ?, ?, ?)"
_IN_PIECES = 2
"""In `content.packed`."""
HEARTBEAT = "worker"
"""The note in which workers say that they run."""
WORTH_PACKING = 512
"""Bytes: what is smaller gains less than the packing costs."""
NAMED = 20
"""Parcels of one id that are told of: a partner may have tried as often with what could not be opened."""
FILED = "key, id, sender, adapter, direction, received, function, conversation, refers_to, verdict, remarks, digest, content, reply"


def put_content(connection: Connection, secrets: Secrets, content: Content, now: datetime) -> str:
    """Stores a content; its id."""
    return _put(connection, secrets, "content", {"media_type": content.media_type}, content.body, now)


def put_parcel(connection: Connection, secrets: Secrets, parcel: Parcel, now: datetime) -> str:
    """Stores a parcel; its id."""
    return _put(connection, secrets, "parcel", {"headers": dict(parcel.headers), "status": parcel.status}, parcel.body, now)


def _put(connection: Connection, secrets: Secrets, kind: str, head: Mapping[str, Any], body: bytes, now: datetime) -> str:
    id_, large = uuid.uuid4().hex, len(body) > pieces.SIZE
    small = zlib.compress(body, 1) if WORTH_PACKING <= len(body) < 1_000_000 else body
    packed = len(small) < len(body) * _SMALLER
    stored = pieces.told(secrets, id_, len(body)) if large else secrets.encrypt(small if packed else body, id_)
    row = (
        id_, kind, secrets.encrypt(orjson.dumps(head), f"{id_}.head"), stored, _IN_PIECES if large else int(packed), secrets.content_key_id,
        micros(now + KEPT),
    )
    if large:
        connection.run(_INSERT, row)
        pieces.put(connection, secrets, id_, body)
    else:
        connection.later(_INSERT, [row])
    return id_


def _take(connection: Connection, secrets: Secrets, id_: str) -> tuple[dict[str, Any], bytes] | None:
    row = connection.row("select head, body, packed from content where id = ?", (id_,))
    if row is None:
        return None
    head = orjson.loads(secrets.decrypt(bytes(row[0]), f"{id_}.head"))
    if row[2] == _IN_PIECES:
        return head, pieces.take(connection, secrets, id_, row[1])
    body = secrets.decrypt(bytes(row[1]), id_)
    return head, zlib.decompress(body) if row[2] else body


def content(connection: Connection, secrets: Secrets, id_: str) -> Content | None:
    taken = _take(connection, secrets, id_)
    return Content(taken[1], taken[0]["media_type"]) if taken else None


def parcel(connection: Connection, secrets: Secrets, id_: str) -> Parcel | None:
    taken = _take(connection, secrets, id_)
    return Parcel(taken[0]["headers"], taken[1], taken[0]["status"]) if taken else None


def _verdict_out(verdict: Verdict) -> str:
    problem = verdict.problem.name if verdict.problem else None
    return orjson.dumps({"problem": problem, "detail": verdict.detail, "where": verdict.where, "about": verdict.about}).decode()


def _verdict_in(text: str) -> Verdict:
    value = orjson.loads(text)
    return Verdict(Problem[value["problem"]] if value["problem"] else None, value["detail"], value["where"], tuple(value["about"]))


def earlier(connection: Connection, secrets: Secrets, envelope: Envelope) -> Earlier | None:
    """What was answered to this sender's message id before.

    Raises:
        Refused: ALTERED_DUPLICATE when it came with another content.
    """
    row = connection.row("select digest, verdict, reply from envelope where sender = ? and id = ?", (envelope.sender, envelope.id))
    if row is None:
        return None
    if row[0] != envelope.digest:
        raise Refused(Problem.ALTERED_DUPLICATE, "this message id came before with another content")
    return Earlier(_verdict_in(row[1]), parcel(connection, secrets, row[2]) if row[2] else None)


def enquired(connection: Connection, sender: str, enquiry: Enquiry) -> Enquiry:
    """An enquiry with the fate of the message that it is about; only the asker's own messages are looked at."""
    row = connection.row("select received, problem from envelope where sender = ? and id = ?", (sender, enquiry.about))
    return enquiry if row is None else replace(enquiry, received=moment(row[0]), accepted=row[1] is None)


def file(
    connection: Connection, envelope: Envelope, adapter: str, verdict: Verdict, now: datetime, content_id: str | None, reply_id: str | None,
) -> int:
    """Files an envelope; its key. The unique (sender, id) refuses a second one."""
    row = connection.row(
        "insert into envelope (sender, id, digest, adapter, direction, received, function, conversation, refers_to, problem, verdict,"
        " remarks, content, reply) values (?, ?, ?, ?, 'in', ?, ?, ?, ?, ?, ?, ?, ?, ?) returning key",
        (envelope.sender, envelope.id, envelope.digest, adapter, micros(now), envelope.function, envelope.conversation,
         envelope.refers_to, verdict.problem.name if verdict.problem else None, _verdict_out(verdict),
         orjson.dumps(envelope.remarks).decode(), content_id, reply_id),
    )
    assert row is not None
    return int(row[0])


def filed(row: tuple[Any, ...]) -> Filed:
    """A row of FILED as a value."""
    return Filed(
        row[0], row[1], row[2], row[3], row[4], moment(row[5]), row[6], row[7], row[8], _verdict_in(row[9]),
        tuple(orjson.loads(row[10])), row[11], row[12], row[13],
    )


def get(connection: Connection, key: int) -> Filed | None:
    row = connection.row(f"select {FILED} from envelope where key = ?", (key,))
    return filed(row) if row else None


def page(
    connection: Connection, adapter: str, problem: Problem | None, refused: bool | None, before: int | None, limit: int,
) -> list[Filed]:
    """Envelopes, newest first, for the console."""
    wheres: list[str] = ["1 = 1"]
    values: list[Any] = []
    if adapter:
        wheres.append("adapter = ?")
        values.append(adapter)
    if problem is not None:
        wheres.append("problem = ?")
        values.append(problem.name)
    if refused is not None:
        wheres.append("problem is not null" if refused else "problem is null")
    if before is not None:
        wheres.append("key < ?")
        values.append(before)
    return [filed(r) for r in connection.rows(f"select {FILED} from envelope where {' and '.join(wheres)} order by key desc limit ?",
                                              [*values, limit])]


def named(connection: Connection, id_: str, adapters: Iterable[str]) -> list[Filed]:
    """What came by these adapters under this id, opened or not, newest first; at most NAMED."""
    wanted = list(adapters)
    marks = ", ".join("?" * len(wanted))
    claimed = id_.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = connection.rows(
        f"select {FILED} from envelope where adapter in ({marks}) and (id = ? or (problem is not null and id like ? escape '\\'))"
        " order by key desc limit ?", [*wanted, id_, f"{UNOPENED}%({claimed})", NAMED],
    )
    return [filed(row) for row in rows]


def problems(connection: Connection) -> dict[Problem, int]:
    """Refused envelopes by problem."""
    rows = connection.rows("select problem, count(*) from envelope where problem is not null group by problem")
    return {Problem[name]: n for name, n in rows}


def totals(connection: Connection) -> tuple[dict[str, int], datetime | None, datetime | None]:
    """The highest number of each log; when a worker last said that it runs; and the time that the last change bears."""
    logs = {"changes": "max(seq) from version", "envelopes": "max(key) from envelope", "deliveries": "max(number) from delivery"}
    found = {name: connection.row(f"select {what}") for name, what in logs.items()}
    seen = connection.row("select at from house_note where name = ?", (HEARTBEAT,))
    last = resources.newest(connection)
    numbers = {name: int(row[0] or 0) if row else 0 for name, row in found.items()}
    return numbers, moment(seen[0]) if seen else None, moment(last) if last else None


def prune(connection: Connection, now: datetime) -> int:
    """Lets go of bytes past their time that no open delivery needs, PRUNED_AT_ONCE of them at most; how many."""
    return connection.run(
        "delete from content where id in (select id from content where expires <= ? and id not in ("
        f"select content from delivery where {OPEN} and content is not null"
        f" union all select parcel from delivery where {OPEN} and parcel is not null) limit {PRUNED_AT_ONCE})", (micros(now),),
    )


def fresh_id() -> str:
    """An id for what has none that can be trusted."""
    return f"{UNOPENED}{uuid.uuid4().hex}"
