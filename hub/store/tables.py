"""The schema. Every table as an SQLModel class; queries are SQL in the modules that need them, the same text for both databases.

Times are microseconds since 1970 (bigint), flags 0 or 1, JSON is text. Text compares by bytes on both databases (collation C on
PostgreSQL), so that a prefix is a range and indexes are quick.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG: Any = sa.BigInteger()
SERIAL: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BYTES: Any = sa.LargeBinary()
NUMBERED = {"autoincrement": False}  # by the writer: Connection.number
_INDEX_ONLY = {"sqlite_with_rowid": False}
"""SQLite: the primary key is the table, which halves what an index entry costs. PostgreSQL ignores it."""

OPEN = "state in ('due', 'sent', 'arrived')"
"""Deliveries that something may still happen to by itself. Written out, never bound: see `deliveries.py`."""


def _text(default: str | None = None, **options: Any) -> Any:
    extra: dict[str, Any] = {**({} if default is None else {"default": default, "sa_column_kwargs": {"server_default": default}}), **options}
    return Field(sa_type=TEXT, **extra)


def _number(**options: Any) -> Any:
    return Field(sa_type=BIG, **options)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


class ResourceRow(SQLModel, table=True):
    """The current version of each resource."""

    __tablename__: ClassVar[Any] = "resource"
    __table_args__ = (
        sa.UniqueConstraint("type", "id", name="resource_type_id"),
        _partial("resource_at", "type", "at", "key", where="deleted = 0"),
        _partial("resource_updated", "type", "last_updated", "key", where="deleted = 0"),
    )
    key: int = Field(sa_type=SERIAL, primary_key=True, sa_column_kwargs=NUMBERED)
    type: str = _text()
    id: str = _text()
    version: int = _number()
    seq: int = _number()
    last_updated: int = _number()
    deleted: int = Field(sa_type=sa.SmallInteger)
    at: int = _number()
    """The main time (Entries.at)."""
    origin: str = _text()
    body: str = _text()


class VersionRow(SQLModel, table=True):
    """Every version ever, in the order of commits: history and change log in one. Never changed, never deleted."""

    __tablename__: ClassVar[Any] = "version"
    __table_args__ = (sa.UniqueConstraint("type", "id", "version", name="version_type_id_version"),)
    seq: int = Field(sa_type=SERIAL, primary_key=True, sa_column_kwargs=NUMBERED)
    type: str = _text()
    id: str = _text()
    version: int = _number()
    method: str = _text()
    """`create`, `put` (a PUT that made it, or brought it back), `update` or `delete`."""
    last_updated: int = _number()
    origin: str = _text()
    body: str = _text()


class TokenRow(SQLModel, table=True):
    """Search index. `param` is `Type.name`; `at` is the resource's main time, so that «this patient, this week» is one range."""

    __tablename__: ClassVar[Any] = "index_token"
    __table_args__ = (sa.Index("index_token_resource", "resource"), _INDEX_ONLY)
    param: str = _text(primary_key=True)
    value: str = _text(primary_key=True)
    at: int = _number(primary_key=True)
    resource: int = _number(primary_key=True)
    system: str = _text(primary_key=True)


class ReferenceRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "index_reference"
    __table_args__ = (sa.Index("index_reference_resource", "resource"), _INDEX_ONLY)
    param: str = _text(primary_key=True)
    target: str = _text(primary_key=True)
    at: int = _number(primary_key=True)
    resource: int = _number(primary_key=True)
    kind: str = _text(primary_key=True)
    """The target's type."""


class DateRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "index_date"
    __table_args__ = (sa.Index("index_date_resource", "resource", "param"), _INDEX_ONLY)
    param: str = _text(primary_key=True)
    low: int = _number(primary_key=True)
    high: int = _number(primary_key=True)
    resource: int = _number(primary_key=True)


class StringRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "index_string"
    __table_args__ = (sa.Index("index_string_resource", "resource", "param"), _INDEX_ONLY)
    param: str = _text(primary_key=True)
    value: str = _text(primary_key=True)
    resource: int = _number(primary_key=True)


class SeatRow(SQLModel, table=True):
    """Who has which seat in a slot, for good or held for a while. The primary key makes a double booking impossible."""

    __tablename__: ClassVar[Any] = "seat"
    __table_args__ = (
        sa.UniqueConstraint("holder", "slot", name="seat_holder_slot"), _partial("seat_until", "until", where="until is not null"), _INDEX_ONLY)
    slot: str = _text(primary_key=True)
    number: int = Field(sa_type=sa.Integer, primary_key=True)
    holder: str = _text()
    until: int | None = _number()
    """Held until then, and free from then on whether somebody swept or not; null: booked."""


class UsedRow(SQLModel, table=True):
    """What may be used once: proofs and assertions, until they would be too old anyway."""

    __tablename__: ClassVar[Any] = "used_once"
    __table_args__ = (sa.Index("used_once_until", "until"), _INDEX_ONLY)
    key: str = _text(primary_key=True)
    until: int = _number()


class EnvelopeRow(SQLModel, table=True):
    """What came in and what was answered."""

    __tablename__: ClassVar[Any] = "envelope"
    __table_args__ = (
        sa.UniqueConstraint("sender", "id", name="envelope_sender_id"),
        sa.Index("envelope_adapter", "adapter", "key"),
        _partial("envelope_problem", "problem", "key", where="problem is not null"),
    )
    key: int = Field(sa_type=SERIAL, primary_key=True)
    sender: str = _text()
    id: str = _text()
    digest: str = _text()
    adapter: str = _text()
    direction: str = _text()
    received: int = _number()
    function: str = _text()
    conversation: str = _text()
    refers_to: str | None = _text()
    problem: str | None = _text()
    verdict: str = _text()
    remarks: str = _text()
    content: str | None = _text()
    reply: str | None = _text()


class ContentRow(SQLModel, table=True):
    """Bytes, encrypted: raw parcels, sealed parcels, fixed contents. Own retention."""

    __tablename__: ClassVar[Any] = "content"
    __table_args__ = (sa.Index("content_expires", "expires"),)
    id: str = _text(primary_key=True)
    kind: str = _text()
    """`parcel` or `content`."""
    head: bytes = Field(sa_type=BYTES)
    """Encrypted JSON: media type, or headers and status."""
    body: bytes = Field(sa_type=BYTES)
    packed: int = Field(sa_type=sa.SmallInteger)
    """1: deflated before it was encrypted; 2: in pieces, and `body` says how many."""
    content_key: str = _text()
    expires: int = _number()


class PieceRow(SQLModel, table=True):
    """A part of a content that is too large for one row (pieces.py). Goes with it."""

    __tablename__: ClassVar[Any] = "piece"
    content: str = _text(primary_key=True, foreign_key="content.id", ondelete="CASCADE")
    number: int = _number(primary_key=True)
    body: bytes = Field(sa_type=BYTES)


class DeliveryRow(SQLModel, table=True):
    """What is owed (hub/delivery.py), and who is at it."""

    __tablename__: ClassVar[Any] = "delivery"
    __table_args__ = (
        sa.UniqueConstraint("id", name="delivery_id"),
        _partial("delivery_claim", "adapter", "due_at", "number", where=OPEN),
        _partial("delivery_order", "adapter", "key", "number", where="state in ('due', 'sent') and key is not null"),
        sa.Index("delivery_state", "state", "adapter", "number"),
        sa.Index("delivery_subject", "subject", "number"),
    )
    number: int = Field(sa_type=SERIAL, primary_key=True)
    id: str = _text()
    adapter: str = _text()
    function: str = _text()
    subject: str = _text()
    state: str = _text()
    due_at: int = _number()
    expires: int = _number()
    created: int = _number()
    key: str | None = _text()
    conversation: str = _text()
    refers_to: str | None = _text()
    version: int = _number()
    tries: int = Field(sa_type=sa.Integer)
    answer_due: int = Field(sa_type=sa.SmallInteger)
    content: str | None = _text()
    parcel: str | None = _text()
    note: str = _text()
    owner: str | None = _text()
    lease_until: int = _number()


class StepRow(SQLModel, table=True):
    """The timeline: what happened, to which resource, by which letter."""

    __tablename__: ClassVar[Any] = "step"
    __table_args__ = (
        sa.Index("step_subject", "subject", "key"), sa.Index("step_at", "kind", "at", "key"),
        _partial("step_delivery", "delivery", "key", where="delivery is not null"),
    )
    key: int = Field(sa_type=SERIAL, primary_key=True)
    at: int = _number()
    subject: str = _text()
    kind: str = _text()
    text: str = _text()
    delivery: str | None = _text()
    envelope: int | None = _number()
    origin: str = _text()


class AdapterVersionRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "adapter_version"
    adapter: str = _text(primary_key=True)
    version: int = Field(sa_type=sa.Integer, primary_key=True)
    text: str = _text()
    since: int = _number()
    by: str = _text()


class SessionRow(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "session"
    __table_args__ = (sa.Index("session_expires", "expires"), sa.Index("session_provider", "provider_session"))
    token: str = _text(primary_key=True)
    """SHA-256 of the token."""
    subject: str = _text()
    created: int = _number()
    seen: int = _number()
    expires: int = _number()
    provider_session: str = _text()
    data: str = _text()


class AuditRow(SQLModel, table=True):
    """The access log. Triggers refuse every change (migration 0001)."""

    __tablename__: ClassVar[Any] = "audit"
    __table_args__ = (sa.Index("audit_person", "person", "key"), sa.Index("audit_at", "at", "key"), sa.Index("audit_reader", "reader", "at", "key"))
    key: int = Field(sa_type=SERIAL, primary_key=True)
    at: int = _number()
    person: str = _text()
    reader: str = _text()
    ground: str = _text()
    kind: str = _text()
    on_behalf_of: str = _text()
    channel: str = _text()
    given: int = Field(sa_type=sa.SmallInteger)


class AuditSealRow(SQLModel, table=True):
    """One link of the chain: an HMAC over the seal before and the lines up to `upto`."""

    __tablename__: ClassVar[Any] = "audit_seal"
    number: int = Field(sa_type=SERIAL, primary_key=True)
    upto: int = _number()
    lines: int = _number()
    digest: str = _text()
    at: int = _number()


class NoteRow(SQLModel, table=True):
    """Small facts of the house: heartbeats, last backup, how far an audit journal was taken."""

    __tablename__: ClassVar[Any] = "house_note"
    name: str = _text(primary_key=True)
    value: str = _text()
    at: int = _number()


metadata = SQLModel.metadata
