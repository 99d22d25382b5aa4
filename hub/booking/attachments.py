"""Files that go with a message: what kinds, how many and how large they may be, what they are called, and how the message tells of them. Pure.

What a file is, its first bytes say, and never its sender. Bytes are kept apart (hub.store.attachments); the message has their
size, digest and name, and where they are read: `Binary/<id>`. A *stated* message has its files' bytes with it, in `data`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hub.message import Resource
from hub.problem import Problem, Refused

PAYLOAD, ELEMENT = "Communication.payload", "contentAttachment"
MOST_FILES, MOST_BYTES = 20, 18_000_000
"""No municipality can allow more: what KS takes of attachments, decoded (facts/helsenorge.md 12.1)."""
LONGEST_NAME = 100
"""Characters."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that is taken."""

    media_type: str
    word: str
    """What people call it."""
    magic: bytes
    """How every such file begins."""
    suffixes: tuple[str, ...]


KINDS = (
    Kind("application/pdf", "PDF", b"%PDF-", (".pdf",)),
    Kind("image/jpeg", "JPEG-bilde", b"\xff\xd8\xff", (".jpg", ".jpeg")),
    Kind("image/png", "PNG-bilde", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", (".png",)),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a municipality takes with one message (`[attachments]` in hub.toml)."""

    files: int = 5
    """0: none at all."""
    size: int = 10_000_000
    """Bytes, all together."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as somebody sent it."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that a kept message tells of."""

    id: str
    """Of its Binary."""
    media_type: str
    title: str
    size: int

    @property
    def word(self) -> str:
        """`PDF`, `JPEG-bilde`."""
        return next((kind.word for kind in KINDS if kind.media_type == self.media_type), "Fil")


def kind_of(body: bytes) -> Kind | None:
    """What a file is, by its first bytes; None: nothing that is taken."""
    return next((kind for kind in KINDS if body.startswith(kind.magic)), None)


def called(name: str, kind: Kind) -> str:
    """The name as it is kept and shown: the last part of a path, nothing that cannot be seen or that turns the text around, and the kind's ending."""
    plain = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    seen = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in plain if unicodedata.category(c) not in ("Cf", "Cs"))
    kept = " ".join(re.sub(r'[<>:"|?*;%]', " ", seen).split()).rstrip(". ")
    stem, dot, ending = kept.rpartition(".")
    own = dot + ending if dot and (dot + ending).lower() in kind.suffixes else ""
    stem = (stem if own else kept)[:LONGEST_NAME - len(own or kind.suffixes[0])].strip(". ")
    return f"{stem or 'vedlegg'}{own or kind.suffixes[0]}"


def proper(files: Sequence[File], limits: Limits) -> None:
    """Nothing, of files that may go with one message.

    Raises:
        Refused: ATTACHMENTS_TOO_LARGE, ATTACHMENT_KIND.
    """
    if len(files) > limits.files or sum(len(file.body) for file in files) > limits.size:
        raise Refused(Problem.ATTACHMENTS_TOO_LARGE, f"at most {limits.files} files and {limits.size} bytes in all", PAYLOAD)
    for place, file in enumerate(files):
        if kind_of(file.body) is None:
            what = "no PDF, JPEG or PNG by its first bytes" if file.body else "of no bytes"
            raise Refused(Problem.ATTACHMENT_KIND, f"file {place + 1} is {what}", PAYLOAD)


def told(message: str, files: Iterable[File]) -> tuple[Resource, ...]:
    """The payloads that tell of these `proper` files of the message with this id."""
    return tuple(_told(message, number, file) for number, file in enumerate(files))


def _told(message: str, number: int, file: File) -> Resource:
    kind = kind_of(file.body)
    assert kind is not None
    return {ELEMENT: {
        "contentType": kind.media_type, "url": f"Binary/{uuid5(NAMESPACE_URL, f'attachment|{message}|{number}')}", "size": len(file.body),
        "hash": _digest(file.body), "title": called(file.name, kind),
    }}


def _digest(body: bytes) -> str:
    """R4 Attachment.hash."""
    return base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def elements(communication: Resource) -> list[dict[str, Any]]:
    """The Attachments of the files that it tells of, or has with it."""
    return [attachment for _, attachment in _placed(communication)]


def _placed(communication: Resource) -> Iterator[tuple[int, dict[str, Any]]]:
    """With the place of each among the payloads."""
    return ((place, p[ELEMENT]) for place, p in enumerate(communication.get("payload") or ()) if ELEMENT in p)


def of(communication: Resource) -> tuple[Attached, ...]:
    """The files that a kept message tells of."""
    return tuple(
        Attached(str(a["url"]).removeprefix("Binary/"), str(a.get("contentType", "")), str(a.get("title", "")), int(a.get("size", 0)))
        for a in elements(communication) if str(a.get("url", "")).startswith("Binary/")
    )


def stated(file: File, media_type: str = "") -> Resource:
    """The payload of a stated message that has this file with it."""
    typed = {"contentType": media_type} if media_type else {}
    return {ELEMENT: {**typed, "title": file.name, "data": base64.b64encode(file.body).decode()}}


def files_of(communication: Resource) -> tuple[File, ...]:
    """The files that a stated message has with it.

    Raises:
        Refused: INVALID: no base64, not what its `size` or `hash` says, or a file that is elsewhere, whose address nobody here looks up;
            ATTACHMENTS_TOO_LARGE: more than any municipality takes.
    """
    every = list(_placed(communication))
    if len(every) > MOST_FILES or sum(len(str(a.get("data", ""))) for _, a in every) > 2 * MOST_BYTES:
        raise Refused(Problem.ATTACHMENTS_TOO_LARGE, f"more than {MOST_FILES} files or {MOST_BYTES} bytes", PAYLOAD)
    return tuple(File(str(a.get("title", "")), _bytes(a, f"{PAYLOAD}[{place}]")) for place, a in every)


def _bytes(attachment: dict[str, Any], where: str) -> bytes:
    if "data" not in attachment:
        raise Refused(Problem.INVALID, "a file of a message is sent in `data`", where)
    try:
        body = binascii.a2b_base64("".join(str(attachment["data"]).split()).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as wrong:
        raise Refused(Problem.INVALID, "`data` is no base64", where) from wrong
    digest = _digest(body)
    if attachment.get("size", len(body)) != len(body) or attachment.get("hash", digest) != digest:
        raise Refused(Problem.INVALID, "`data` is not what `size` or `hash` says", where)
    return body


def filled(communication: Resource, body: Callable[[str], bytes]) -> Resource:
    """A kept message as a stated one: with the bytes of its files, which `body` gives by their ids."""
    if not of(communication):
        return communication
    return {**communication, "payload": [_filled(payload, body) for payload in communication["payload"]]}


def _filled(payload: Resource, body: Callable[[str], bytes]) -> Resource:
    found = of({"payload": [payload]})
    if not found:
        return payload
    kept = {key: value for key, value in payload[ELEMENT].items() if key != "url"}
    return {ELEMENT: {**kept, "data": base64.b64encode(body(found[0].id)).decode()}}


def without(communication: Resource) -> Resource:
    """A stated message without the files that it has with it."""
    return {**communication, "payload": [p for p in communication.get("payload") or () if ELEMENT not in p]}
