"""A form with files as it comes back (multipart/form-data, RFC 7578), read piece by piece. No more than the limits allow is held, nothing is
laid on a disk, and what is too large is read on for and let go of, so that whoever sent it gets the page back with what they wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from hub.booking.attachments import File, Limits
from hub.faces.forms import LARGEST, MOST_FIELDS, Sent

READ_ON = 96 * 1024 * 1024
"""Bytes of a body that are read at most of whoever is logged in; of others, not much more than what is taken."""
MOST_PARTS = 200
LONGEST_NAME = 1000
_ESCAPED = re.compile("%(22|0D|0A)")
"""What browsers write otherwise in a name (WHATWG HTML, multipart/form-data encoding)."""
_TYPE = b"multipart/form-data"


def carries_files(request: Request) -> bool:
    return parse_options_header(request.headers.get("content-type", ""))[0] == _TYPE


async def read(request: Request, limits: Limits, *, keeps: bool) -> Sent | None:
    """The form; None when its fields are larger than any of ours. One that cannot be read has no fields.

    Args:
        keeps: whoever sends it is logged in. Else what the files are is not looked at, and nothing of them is held.

    Raises:
        ClientDisconnect: as `Request.stream`.
    """
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"")
    form, read = _Form(limits, keeps), 0
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for part in request.stream():
            read += len(part)
            parser.write(part)
            if form.overflows:
                return None
            if read > (READ_ON if keeps else limits.size + LARGEST):
                form.let_go()
                break
    except ValueError:  # of the parser's own kinds
        return Sent({})
    if not form.ended and not form.too_large:  # cut short on the way: whose files were sent must not be told that they came
        return Sent({})
    return Sent(form.fields, tuple(form.files), form.too_large, form.chosen)


@dataclass(slots=True)
class _Form:
    """What the parser found so far."""

    limits: Limits
    keeps: bool
    fields: dict[str, str] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    too_large: bool = False
    overflows: bool = False
    ended: bool = False
    chosen: bool = False
    """Somebody chose a file: an empty choice comes as a file without a name."""
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _told: bytes = b""
    _name: str = ""
    _file: str | None = None
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0
    _written: int = 0
    _parts: int = 0

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin, "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]), "on_header_end": self._header_end,
            "on_headers_finished": self._named, "on_part_data": self._data, "on_part_end": self._end,
            "on_end": self._finish,
        }

    def let_go(self) -> None:
        """Of every file: they are too large, or too many."""
        self.too_large, self.files, self._body = True, [], bytearray()

    def _begin(self) -> None:
        self._told, self._body, self._parts = b"", bytearray(), self._parts + 1
        self.overflows = self.overflows or self._parts > MOST_PARTS

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._told = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _named(self) -> None:
        told = parse_options_header(self._told)[1]
        self._name = told.get(b"name", b"").decode("utf-8", "replace")
        self._file = told[b"filename"].decode("utf-8", "replace")[:LONGEST_NAME] if b"filename" in told else None
        self._file = _ESCAPED.sub(" ", self._file) if self._file else self._file
        self.chosen = self.chosen or bool(self._file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._written += end - start
            self.overflows = self.overflows or self._written > LARGEST
        else:
            self._size += end - start
            if self._size > self.limits.size and not self.too_large:
                self.let_go()
        if not self.overflows and (self._file is None or (self.keeps and not self.too_large)):
            self._body += memoryview(data)[start:end]

    def _end(self) -> None:
        if self._file is None:
            self.fields[self._name] = self._body.decode("utf-8", "replace").replace("\0", "")
            self.overflows = self.overflows or len(self.fields) > MOST_FIELDS
        elif self._file and self.keeps and not self.too_large:
            self.files.append(File(self._file, bytes(self._body)))
            if len(self.files) > self.limits.files:
                self.let_go()
        self._body = bytearray()

    def _finish(self) -> None:
        self.ended = True
