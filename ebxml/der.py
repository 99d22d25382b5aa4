"""DER, as little of it as a CMS envelope needs (X.690): written with room for what follows, read by offsets, so that nothing large is copied."""

from __future__ import annotations

INTEGER, OCTETS, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31


def write(tag: int, content: bytes, follows: int = 0) -> bytes:
    """Tag, length and content, of which `follows` octets come later."""
    size = len(content) + follows
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int) -> bytes:
    """A number that is not negative."""
    return write(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Reader:
    """What stands one after the other in a part of `data`."""

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data, self._at, self._end = data, start, len(data) if end is None else end

    @property
    def more(self) -> bool:
        return self._at < self._end

    def take(self, tag: int) -> tuple[int, int, int]:
        """(where the next element starts, where its content does, where both end).

        Raises:
            ValueError: it has another tag, no definite length (BER), or is cut short.
        """
        data, at = self._data, self._at
        if at + 2 > self._end or data[at] != tag or data[at + 1] in (0x80, 0xFF):
            raise ValueError("another element than expected")
        size, start = data[at + 1], at + 2
        if size > 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2:start], "big")
        self._at = start + size
        if self._at > self._end:
            raise ValueError("cut short")
        return at, start, self._at

    def whole(self, tag: int) -> bytes:
        """The next element, with tag and length. Raises ValueError."""
        start, _, end = self.take(tag)
        return self._data[start:end]

    def content(self, tag: int) -> bytes:
        """The content of the next element. Raises ValueError."""
        _, start, end = self.take(tag)
        return self._data[start:end]

    def inside(self, tag: int) -> Reader:
        """What stands in the next element. Raises ValueError."""
        _, start, end = self.take(tag)
        return Reader(self._data, start, end)
