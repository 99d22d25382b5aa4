"""JSON at the border: whichever parser reads it, the same is read and the same is kept."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.fhir import strict_json
from hub.problem import Problem, Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=12,
)
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", ":\t")])


def outcome(body: bytes, way: Any) -> Any:
    try:
        return strict_json.dump(way(body))
    except Refused as refused:
        return refused.problem


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), SPACES, st.booleans(), st.sampled_from([b"", b" ", b"\n", b"\xef\xbb\xbf"]))
def test_quick_or_thorough_the_same_is_read(value: dict[str, Any], spaces: tuple[str, str], escaped: bool, before: bytes) -> None:
    body = before + json.dumps(value, separators=spaces, ensure_ascii=escaped).encode("utf-8", "surrogatepass") + b"\n"
    read = outcome(body, strict_json.load)
    if isinstance(read, bytes):
        assert read == outcome(body, strict_json._looked_at)
        assert json.loads(read) == value
    else:
        assert read is Problem.UNREADABLE and (b"\\u" in body or any(ord(c) < 32 or c in "\ufffe\uffff" for c in texts(value)))


def texts(node: Any) -> str:
    if isinstance(node, str):
        return node
    return "".join(map(texts, [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else ()))


@pytest.mark.parametrize("number", ["72.50", "1E2", "1e16", "1.0", "-0.0", "-0", "0.10", "100000000000000000.5", "12345678901234567890", "1e-7", "5e-324"])
@pytest.mark.parametrize("around", ["{{\"a\":{}}}", "{{ \"a\": {} }}"], ids=["compact", "spaced"])
def test_a_number_keeps_the_digits_that_it_came_with(number: str, around: str) -> None:
    assert strict_json.dump(strict_json.load(around.format(number).encode())) == f'{{"a":{number}}}'.encode()


@pytest.mark.parametrize("body", [
    b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"x":{"a":[],"a":[]}}', b'{"a":NaN}', b'{"a":1e400}', b'{"a":"\xff"}', b"[]", b"1", b"", b"{}{}",
    b'{"a":"\\ud800"}', b'{"a":"\\u0001"}', b'{"a":"\x01"}', b"[" * 5000 + b"]" * 5000, b'{"a":' * 65 + b"1" + b"}" * 65,
])
def test_what_is_no_plain_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        strict_json.load(body)
    assert refused.value.problem is Problem.UNREADABLE


def test_brackets_in_texts_are_no_depth() -> None:
    body = orjson.dumps({"a": "[" * 500 + "{" * 500})
    assert strict_json.dump(strict_json.load(body)) == body
