"""Files as people, and those who mean no good, send them."""

from __future__ import annotations

import struct
import zlib

from hub.booking.attachments import File


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + _chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + _chunk(b"IEND", b"")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
POLYGLOT = b"%PDF-1.4\n<script>alert(document.domain)</script><!doctype html><svg onload=alert(1)>\n" + PDF
"""A PDF to whoever reads PDF, and a page to whoever guesses."""
HOSTILE = {
    "a page": b"<!doctype html><script>alert(1)</script>", "a drawing with script": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "a PDF further down": b"<html>" + PDF, "an archive": b"PK\x03\x04" + bytes(26), "a program": b"MZ" + bytes(64), "a picture of another kind": b"GIF89a" + bytes(20),
    "half a mark": PNG[:8], "a jpeg without more": b"\xff\xd8", "spaces before": b" " + PDF, "nothing": b"",
}


def large(size: int) -> bytes:
    """A PDF of this many bytes that no packing makes smaller."""
    return (PDF + bytes(range(256)) * (size // 256 + 1))[:size]


def form(*files: File) -> list[tuple[str, tuple[str, bytes, str]]]:
    """As httpx sends them; what they say of their kind is a lie."""
    return [("vedlegg", (file.name, file.body, "text/html")) for file in files]
