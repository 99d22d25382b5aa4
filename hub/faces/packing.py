"""Compression on the way (RFC 9110 8.4): bodies that come as gzip, within bounds, and files that leave as gzip where that is asked for.

Other answers leave as they are: to compress a page of a search costs about as much as to find it, and what stands before the hub does it better.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

from hub.faces.interaction import Asked, Header
from hub.problem import Problem, Refused

GZIP = 16 + zlib.MAX_WBITS
"""zlib's word for gzip's frame."""
NAMES = ("gzip", "x-gzip")
VARIES: tuple[Header, ...] = ((b"vary", b"accept-encoding"),)
PACKED: tuple[Header, ...] = ((b"content-encoding", b"gzip"), *VARIES)


def unpacked(asked: Asked, largest: int) -> Asked:
    """With its body as it was before it was compressed; never more than `largest` bytes are unpacked.

    Raises:
        Refused: WRONG_MEDIA_TYPE for another compression, UNREADABLE, TOO_LARGE.
    """
    coding = asked.header(b"content-encoding").strip().lower()
    if coding in ("", "identity") or not asked.body:
        return asked
    if coding not in NAMES:
        raise Refused(Problem.WRONG_MEDIA_TYPE, "a body is sent as it is, or as gzip")
    packing = zlib.decompressobj(GZIP)
    try:
        body = packing.decompress(asked.body, largest + 1)
    except zlib.error as wrong:
        raise Refused(Problem.UNREADABLE, "the body is not gzip") from wrong
    if len(body) > largest:
        raise Refused(Problem.TOO_LARGE, f"unpacked, the body has more than {largest} bytes")
    if not packing.eof or packing.unused_data:  # many members in one file would each be copied
        raise Refused(Problem.UNREADABLE, "the body is one gzip member, from its beginning to its end")
    return replace(asked, body=body, headers={name: value for name, value in asked.headers.items() if name != b"content-encoding"})


def wants(accept_encoding: str) -> bool:
    """`Accept-Encoding` takes gzip (RFC 9110 12.5.3)."""
    weights: dict[str, str] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = weight.replace(" ", "").removeprefix("q=") or "1"
    weight = next((weights[name] for name in (*NAMES, "*") if name in weights), "0")
    return weight.strip("0.") != ""


def packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a file, compressed as they come."""
    packer = zlib.compressobj(wbits=GZIP)
    for piece in pieces:
        if some := packer.compress(piece):
            yield some
    yield packer.flush()
