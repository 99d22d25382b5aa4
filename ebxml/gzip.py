"""Payloads that were packed before they were encrypted (facts/ebxml.md 4.1, 4.4): the CPA's packaging says so, the first two bytes prove it."""

from __future__ import annotations

import zlib

from ebxml.errors import ErrorCode, Fault, Violation

MAGIC = b"\x1f\x8b"


def pack(data: bytes) -> bytes:
    """gzip without a time and a name, so that the same letter is the same bytes at every sealing."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def unpack(data: bytes, largest: int) -> bytes:
    """What was packed.

    Raises:
        Violation: broken, or it grows to more than `largest` bytes.
    """
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(data, largest)
    except zlib.error as wrong:
        raise Violation(ErrorCode.MIME_PROBLEM, "the packed content is broken") from wrong
    if unpacker.unconsumed_tail:
        raise Violation(ErrorCode.MIME_PROBLEM, f"the packed content is larger than {largest} bytes", fault=Fault.TOO_LARGE)
    if not unpacker.eof or unpacker.unused_data:
        raise Violation(ErrorCode.MIME_PROBLEM, "the packed content is cut short, or something follows it")
    return plain
