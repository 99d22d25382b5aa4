"""A short fuzzing of every reader in the suite: what was once found, real messages spoiled by chance, and bombs. The long one is `make fuzz`."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import LARGEST, TARGETS, fuzz_one, own

from ebxml import cms, mime, msghead, xml
from ebxml import gzip as packed
from ebxml.errors import Fault, Violation

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*-*"))
NASTY = st.sampled_from([
    b"", b"<", b"&", b"&#x1;", b"\x00", b"\xff", b"\r\n\r\n", b"--b", b'" x="', b"<a>" * 60, b"]]>", b'xmlns:a="r" ', b"<!DOCTYPE a>", b"9" * 30,
    b"\x30\x80", b"\x04\x84\x7f\xff\xff\xff", "²".encode(), b"=", b"%00", b"\xef\xbb\xbf",
])


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("file", CORPUS, ids=lambda f: f.name)
def test_what_was_once_found_is_not_found_again(file: Path) -> None:
    fuzz_one(TARGETS[file.name.partition("-")[0]], file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read_for_what_it_is(name: str) -> None:
    for seed in TARGETS[name].seeds():
        fuzz_one(TARGETS[name], seed)


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150)
@given(data=st.data())
def test_real_messages_spoiled_by_chance_are_read_or_refused(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(TARGETS[name].seeds()))
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(seed))), data.draw(st.sampled_from([0, 1, 2, 8, 60, 400]))
        seed = seed[:at] + data.draw(NASTY) + seed[at + length:]
    fuzz_one(TARGETS[name], seed)


def growth(data: bytes, read: object) -> float:
    """Peak memory of one reading, as a multiple of the input's size. Only Python's own; lxml's trees are bounded by size and depth."""
    tracemalloc.start()
    try:
        read(data)  # type: ignore[operator]
    except Violation:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak / len(data)


MEGABYTES = 4 * 1024 * 1024
LONG = {
    "mime": b"Content-Type: multipart/related; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 90 + b"y" * MEGABYTES,
    "soap": b"<a>" + b"x" * MEGABYTES + b"</a>", "cpa": b"<a b='" + b"x" * MEGABYTES + b"'/>", "cms": b"\x30\x84\x00\x40\x00\x00" + b"\x04" * MEGABYTES,
    "msghead": f'<MsgHead xmlns="{msghead.NAMESPACE}">'.encode() + b"<MsgInfo/>" * (MEGABYTES // 10) + b"</MsgHead>",
}


@pytest.mark.spec("facts/ebxml", "12.bombs")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("name", TARGETS)
def test_a_long_input_takes_at_most_ten_times_its_size(name: str) -> None:
    assert growth(LONG[name], TARGETS[name].read) <= 10


@pytest.mark.spec("facts/ebxml", "12.bombs")
@pytest.mark.spec("facts/ebxml", "4.4.gzip")
@pytest.mark.spec("facts/ebxml", "12")
def test_a_gzip_bomb_is_stopped_at_the_limit_and_not_after_it() -> None:
    bomb = gzip.compress(b"\0" * (LARGEST * 200), mtime=0)
    assert len(bomb) < LARGEST // 4
    tracemalloc.start()
    with pytest.raises(Violation) as wrong:
        packed.unpack(bomb, LARGEST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert wrong.value.fault is Fault.TOO_LARGE
    assert peak < 10 * LARGEST
    sealed = cms.envelop(bomb, own().certificate)
    with pytest.raises(Violation, match="larger than"):
        packed.unpack(cms.open_(sealed, [own()]), LARGEST)


ENTITIES = b'<!DOCTYPE a [<!ENTITY a0 "ha">' + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)) + b"]><a>&a11;</a>"


@pytest.mark.spec("facts/ebxml", "12.bombs")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    "bomb",
    [
        ENTITIES, ENTITIES.decode().encode("utf-16"), b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', b"<a>" * 1000 + b"</a>" * 1000,
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]><a>&x;</a>', b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY % p SYSTEM "file:///x">%p;]><a/>',
    ],
)
def test_entity_and_depth_bombs_are_refused_before_they_grow(bomb: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Violation):
        xml.parse(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(bomb) + 100_000


@pytest.mark.spec("facts/ebxml", "12")
def test_parts_without_end_are_a_mime_problem() -> None:
    with pytest.raises(Violation, match="more than"):
        mime.read({"content-type": "multipart/related; boundary=b"}, b"--b\r\n\r\n\r\n" * 100_000)
