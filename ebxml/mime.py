"""MIME as ebMS 2.0 uses it: multipart/related, or one SOAP part alone. Exact bytes of every part are kept, since signatures cover them.

Reading tolerates what Norwegian traffic shows (facts/ebxml.md 12) and lists it; writing is strict: base64 for payloads, so that no mail
relay changes a byte.
"""

from __future__ import annotations

import base64
import binascii
import io
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from ebxml.errors import ErrorCode, Fault, Violation

_PARAMETER = re.compile(r';\s*([\w.-]+)\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;\s]*))', re.ASCII)
_ESCAPED, _FOLDED = re.compile(r"\\(.)"), re.compile(r"\r?\n[ \t]+")
_TRANSFER = re.compile(rb"(?im)^content-transfer-encoding:[^\n]*(?:\n[ \t][^\n]*)*\n?")
_COMMENT = re.compile(r"\([^()]*\)")
_LINE_END, _EMPTY_LINE_AFTER = re.compile(rb"\r?\n"), re.compile(rb"\r\n\r\n|\n\n")
_ALTERED = re.compile(rb"(?m)[\x00\x80-\xff]|\r(?!\n)|(?<!\r)\n|[ \t]\r\n|^(?:From |[^\n]{1000})")
"""What a mail relay may change: anything but ASCII and CRLF, a blank before the line break, mbox's `From `, a line of more than 998 characters
(RFC 5322 2.1.1)."""
_BLANKS = b" \t\r\n"
_BLOCK = 57 * 16_384
"""Bytes taken at a time where base64 is written or read: a whole number of its lines of 76 characters, and of its groups of four."""
_MAX_PARTS = 100
_MAX_HEADERS = 64_000


@dataclass(frozen=True, slots=True)
class Part:
    """One body part. `body` is after transfer decoding."""

    headers: Mapping[str, str]
    """Lower-case names; folded lines joined."""
    body: bytes
    media_type: str
    content_id: str
    """Without angle brackets; empty when there is none."""
    charset: str = ""
    """As its Content-Type tells it; empty when it does not."""


@dataclass(frozen=True, slots=True)
class Package:
    """A message as it travelled: the SOAP part and the payload parts in order."""

    root: Part
    parts: tuple[Part, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def part(self, href: str) -> Part | None:
        """The payload part a `cid:` URI points to: decoded form first, then as it stands (RFC 2392)."""
        scheme, _, raw = href.partition(":")
        if scheme.lower() != "cid":  # a part of the Manifest that is elsewhere is never fetched
            return None
        named = {part.content_id: part for part in reversed(self.parts)}
        return named.get(unquote(raw)) or named.get(raw)


def read(headers: Mapping[str, str], body: bytes) -> Package:
    """Takes a message apart.

    Args:
        headers: the transport's, names in any case. Without a content-type the body's own are looked for.

    Raises:
        Violation: MimeProblem.
    """
    remarks: list[str] = []
    known = {name.lower(): value for name, value in headers.items()}
    if known.get("soapaction", "ebxml").strip().strip('"').lower() not in ("ebxml", ""):
        remarks.append("SOAPAction is not ebXML")
    if "content-type" not in known:
        known, body = _own_headers(body, known, remarks)
    media_type, parameters = content_type(known.get("content-type", ""))
    if media_type.startswith("multipart/"):
        return _multipart(parameters, body, remarks)
    if media_type not in ("text/xml", "application/xml", "application/soap+xml"):
        raise Violation(ErrorCode.MIME_PROBLEM, "neither multipart/related nor text/xml", "Content-Type")
    return Package(_decoded(known, body, remarks), (), tuple(remarks))


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """Media type in lower case and its parameters by lower-case name. Of a value longer than 2000 characters the rest is not looked at."""
    value = value[:2000]
    found = {name.lower(): plain if quoted == "" else _ESCAPED.sub(r"\1", quoted) for name, quoted, plain in _PARAMETER.findall(value)}
    return value.partition(";")[0].strip().lower(), found


def _own_headers(body: bytes, known: dict[str, str], remarks: list[str]) -> tuple[dict[str, str], bytes]:
    """A stored message: its headers stand before the first empty line, or it starts at the boundary."""
    start = body.lstrip(b"\r\n")
    if start.startswith(b"--"):
        boundary = start.partition(b"\n")[0].strip()[2:].decode("latin-1")
        remarks.append("no top-level headers: the boundary was taken from the first line")
        return {**known, "content-type": f'multipart/related; boundary="{boundary}"'}, start
    if start.startswith((b"<", b"\xef\xbb\xbf<")):
        remarks.append("no top-level headers: read as text/xml")
        return {**known, "content-type": "text/xml"}, start
    boundary_at = start.find(b"\n--")
    if 0 <= boundary_at < min(i for i in (start.find(b"\n\n"), start.find(b"\r\n\r\n"), len(start)) if i >= 0):
        remarks.append("no empty line between the headers and the first boundary")
        start = start[:boundary_at] + b"\n\n" + start[boundary_at + 1:]
    found, rest = _split(memoryview(start))
    return {**known, **found}, bytes(rest)


def _split(part: memoryview) -> tuple[dict[str, str], memoryview]:
    """Headers and body of a part. Nothing is copied but the headers: a body may be 50 MB."""
    if (empty := _LINE_END.match(part)) is not None:
        return {}, part[empty.end():]
    found = _EMPTY_LINE_AFTER.search(part)
    if found is None:
        return {}, part
    if found.start() > _MAX_HEADERS:
        raise Violation(ErrorCode.MIME_PROBLEM, f"headers of more than {_MAX_HEADERS} bytes")
    pairs = (line.partition(":") for line in _FOLDED.sub(" ", str(part[:found.start()], "latin-1")).splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}, part[found.end():]


def _multipart(parameters: dict[str, str], body: bytes, remarks: list[str]) -> Package:
    boundary = parameters.get("boundary", "").encode("latin-1", "backslashreplace")
    if not boundary or len(boundary) > 200:
        raise Violation(ErrorCode.MIME_PROBLEM, "multipart without a boundary", "Content-Type")
    parts = [_decoded(*_split(piece), remarks) for piece in _pieces(body, boundary)]
    if not parts:
        raise Violation(ErrorCode.MIME_PROBLEM, "no part inside the boundary", "Content-Type")
    ids = [p.content_id for p in parts if p.content_id]
    if len(set(ids)) != len(ids):
        raise Violation(ErrorCode.MIME_PROBLEM, "two parts have the same Content-ID", "Content-ID")
    if "type" not in parameters:
        remarks.append("multipart without type")
    elif parameters["type"].partition(";")[0].strip().lower() != "text/xml":
        raise Violation(ErrorCode.MIME_PROBLEM, "the type of the root part is not text/xml", "Content-Type")
    start = parameters.get("start", "").strip().strip("<>")
    root = next((p for p in parts if start and p.content_id == start), None)
    if root is None:
        if start:
            remarks.append("start names no part: the first one is the root")
        root = parts[0]
    return Package(root, tuple(p for p in parts if p is not root), tuple(remarks))


def _pieces(body: bytes, boundary: bytes) -> list[memoryview]:
    """What stands between the boundary lines; the line break before a boundary belongs to it (RFC 2046 5.1.1)."""
    pieces: list[memoryview] = []
    view = memoryview(body)
    delimiter = b"--" + boundary
    at = 0 if body.startswith(delimiter) else body.find(b"\n" + delimiter) + 1
    if at == 0 and not body.startswith(delimiter):
        return pieces
    while len(pieces) <= _MAX_PARTS:
        at += len(delimiter)
        line_end = body.find(b"\n", at)
        if body[at:at + 2] == b"--" or line_end < 0:
            return pieces
        after = body.find(b"\n" + delimiter, line_end)
        if after < 0:
            pieces.append(view[line_end + 1:])
            return pieces
        end = after - 1 if body[after - 1:after] == b"\r" else after
        pieces.append(view[line_end + 1:max(end, line_end + 1)])
        at = after + 1
    raise Violation(ErrorCode.MIME_PROBLEM, f"more than {_MAX_PARTS} parts")


def _decoded(headers: Mapping[str, str], body: bytes | memoryview, remarks: list[str]) -> Part:
    media_type, parameters = content_type(headers.get("content-type", "text/plain"))
    told = headers.get("content-id", "").strip()
    _, opened, rest = told.partition("<")
    inside, closed, _ = rest.partition(">")
    if told and not (opened and closed):
        remarks.append("a Content-ID without angle brackets")
    encoding = headers.get("content-transfer-encoding", "8bit")
    if (plain := _COMMENT.sub("", encoding[:200]).strip('"; \t')) != encoding:
        remarks.append("Content-Transfer-Encoding is more than a word")
    content_id = inside.strip() if closed else told.strip("<>")
    return Part(headers, decode(plain, body), media_type, content_id, parameters.get("charset", "").strip().lower())


def decode(encoding: str, body: bytes | memoryview) -> bytes:
    """A part's bytes. Lenient on blanks, strict on everything else.

    Raises:
        Violation: MimeProblem.
    """
    match encoding.strip().lower():
        case "base64":
            try:
                return _unpacked(memoryview(body))
            except binascii.Error as wrong:
                raise Violation(ErrorCode.MIME_PROBLEM, "not base64, or of the wrong length", "Content-Transfer-Encoding") from wrong
        case "quoted-printable":
            return quopri.decodestring(bytes(body))
        case "7bit" | "8bit" | "binary" | "":
            return bytes(body)
    raise Violation(ErrorCode.MIME_PROBLEM, "unknown transfer encoding", "Content-Transfer-Encoding", Fault.NOT_SUPPORTED)


def _unpacked(body: memoryview) -> bytes:
    """Base64 undone a block at a time, so that no other copy of a large part is made. Raises binascii.Error."""
    if len(body) <= _BLOCK:
        return binascii.a2b_base64(bytes(body).translate(None, _BLANKS), strict_mode=True)
    plain, rest, ended = io.BytesIO(), b"", False
    for at in range(0, len(body), _BLOCK):
        packed = rest + bytes(body[at:at + _BLOCK]).translate(None, _BLANKS)
        if ended and packed:
            raise binascii.Error("something follows the padding")
        whole = len(packed) - len(packed) % 4
        plain.write(binascii.a2b_base64(packed[:whole], strict_mode=True))
        rest, ended = packed[whole:], ended or packed[:whole].endswith(b"=")
    if rest:
        raise binascii.Error("of the wrong length")
    return plain.getvalue()


def write(soap: bytes, parts: list[tuple[str, str, bytes]], boundary: str, root_id: str) -> tuple[dict[str, str], bytes]:
    """Headers and body to send.

    Args:
        parts: (content id, media type with parameters, bytes) of each payload; none: the SOAP part travels alone.
        boundary, root_id: fresh randomness of the caller's.
    """
    if not parts:
        return {"content-type": "text/xml; charset=UTF-8"}, soap
    line = b"\r\n--" + boundary.encode() + b"\r\n"
    head = f"Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{root_id}>\r\n\r\n".encode()
    whole = io.BytesIO()
    whole.writelines((line[2:], head, soap))
    for content_id, media_type, body in parts:
        whole.write(line)
        whole.write(f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <{content_id}>\r\n\r\n".encode())
        whole.writelines(lines(body))
    whole.write(b"\r\n--" + boundary.encode() + b"--\r\n")
    return {"content-type": f'multipart/related; type="text/xml"; boundary="{boundary}"; start="<{root_id}>"'}, whole.getvalue()


def lines(body: bytes, width: int = 76) -> Iterator[bytes]:
    """Base64 in lines of 76 characters (RFC 2045 6.8), a block at a time."""
    for at in range(0, len(body), _BLOCK):
        packed = base64.b64encode(memoryview(body)[at:at + _BLOCK])
        yield (b"\r\n" if at else b"") + b"\r\n".join(packed[n:n + width] for n in range(0, len(packed), width))


def travels(body: bytes) -> bool:
    """Whether every mail relay brings these bytes through unchanged."""
    return (not body or body.endswith(b"\r\n")) and _ALTERED.search(body) is None


def for_mail(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """The same message as mail carries it (facts/ebxml.md 12): what would not come through unchanged becomes base64. Of a multipart that is
    each part by itself, since the whole may not be encoded (RFC 2045 6.4): its parts keep their bytes, and the signature covers those.

    Raises:
        Violation: MimeProblem, of a multipart without parts or with a part that cannot be decoded.
    """
    known = {name.lower(): value for name, value in headers.items()}
    media_type, parameters = content_type(known.get("content-type", ""))
    if travels(body):
        return ({"content-transfer-encoding": "7bit"} | known), body
    if not media_type.startswith("multipart/"):
        plain = decode(known.get("content-transfer-encoding", ""), body)
        return {**known, "content-transfer-encoding": "base64"}, b"".join(lines(plain)) + b"\r\n"
    boundary = parameters.get("boundary", "").encode("latin-1", "backslashreplace")
    pieces = _pieces(body, boundary) if boundary else []
    if not pieces:
        raise Violation(ErrorCode.MIME_PROBLEM, "no part inside the boundary", "Content-Type")
    line = b"--" + boundary + b"\r\n"
    packed = b"".join(line + (piece if travels(piece + b"\r\n") else _packed(piece)) + b"\r\n" for piece in map(bytes, pieces))
    return {**known, "content-transfer-encoding": "7bit"}, packed + b"--" + boundary + b"--\r\n"


def _packed(piece: bytes) -> bytes:
    """A part in base64; its other headers stay as they are."""
    headers, body = _split(memoryview(piece))
    raw = piece[:len(piece) - len(body)].strip(b"\r\n")
    head = b"\r\n".join(line.rstrip() for line in _TRANSFER.sub(b"", raw + b"\n").splitlines() if line.strip())
    plain = decode(headers.get("content-transfer-encoding", ""), body)
    return (head + b"\r\n" if head else b"") + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"".join(lines(plain))
