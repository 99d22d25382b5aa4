"""A message and its files are kept in one transaction, or neither; what the municipality takes is its own to say."""

from __future__ import annotations

from collections.abc import Sequence

from hub.booking import attachments
from hub.booking.attachments import MOST_BYTES, MOST_FILES, File, Limits
from hub.config import Hub, Misconfigured
from hub.message import Resource
from hub.store import Attachments, Store, Transaction

_WHERE = "hub.toml [attachments]"
_MEGABYTE = 1_000_000


def read_limits(hub: Hub) -> Limits:
    """`[attachments]` in hub.toml: `files` (5; 0: none are taken) and `megabytes` (10), of one message together. Raises Misconfigured."""
    table, usual = hub.tables.get("attachments", {}), Limits()
    files, megabytes = table.get("files", usual.files), table.get("megabytes", usual.size // _MEGABYTE)
    if type(files) is not int or not 0 <= files <= MOST_FILES:
        raise Misconfigured(f"{_WHERE}: files er et helt tall fra 0 til {MOST_FILES}")
    if type(megabytes) is not int or not 1 <= megabytes <= MOST_BYTES // _MEGABYTE:
        raise Misconfigured(f"{_WHERE}: megabytes er et helt tall fra 1 til {MOST_BYTES // _MEGABYTE}")
    return Limits(files, megabytes * _MEGABYTE)


def attach(tx: Transaction, made: Resource, files: Sequence[File], limits: Limits) -> Resource:
    """The message, which tells of these files; they are kept, and it is the caller's to keep.

    Raises:
        Refused: ATTACHMENTS_TOO_LARGE, ATTACHMENT_KIND.
    """
    if not files:
        return made
    attachments.proper(files, limits)
    told = attachments.told(made["id"], files)
    kept = {**made, "payload": [*made["payload"], *told]}
    room = Attachments(tx.connection, tx.secrets)
    for attached, file in zip(attachments.of({"payload": told}), files, strict=True):
        room.keep(attached.id, made["id"], file.body)
    return kept


def let_go(tx: Transaction) -> None:
    """After every transaction: the files of a message that was removed go with it (`Store.on_changed`)."""
    for change in tx.changes:
        if change.type == "Communication" and change.deleted:
            Attachments(tx.connection, tx.secrets).drop(change.id)


def file_of(store: Store, message: str, id_: str) -> bytes | None:
    """The bytes of a file of the message with this id, which tells of it; None: it is not this one's, or went with it."""
    return store.attachments.body(id_) if store.attachments.message(id_) == message else None
