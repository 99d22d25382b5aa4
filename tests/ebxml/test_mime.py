"""MIME: the oddities that Norwegian traffic shows are read, everything else is a MimeProblem, and every byte of a part is kept."""

from __future__ import annotations

import base64
import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebxml import mime
from ebxml.errors import ErrorCode, Violation

RELATED = 'multipart/related; type="text/xml"; boundary="b"; start="<root>"'
SOAP = b"Content-Type: text/xml\r\nContent-ID: <root>\r\n\r\n<SOAP/>"
PAYLOAD = b"Content-Type: application/xml\r\nContent-ID: <p1>\r\n\r\n<a/>"


def together(*parts: bytes, boundary: bytes = b"b", line: bytes = b"\r\n") -> bytes:
    return b"".join(b"--" + boundary + line + part + line for part in parts) + b"--" + boundary + b"--" + line


def refused(content_type: str, body: bytes) -> Violation:
    with pytest.raises(Violation) as wrong:
        mime.read({"content-type": content_type}, body)
    assert wrong.value.code == ErrorCode.MIME_PROBLEM
    return wrong.value


def payload(encoding: str, body: bytes) -> bytes:
    return b"Content-Type: application/xml\r\nContent-ID: <p1>\r\nContent-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + body


@pytest.mark.spec("facts/ebxml", "2.1.related")
@pytest.mark.spec("facts/ebxml", "2.1")
def test_the_root_part_is_the_one_that_start_names_and_the_rest_are_payloads() -> None:
    package = mime.read({"content-type": RELATED}, together(PAYLOAD, SOAP))
    assert package.root.body == b"<SOAP/>"
    assert [part.body for part in package.parts] == [b"<a/>"]
    assert package.remarks == ()


@pytest.mark.spec("facts/ebxml", "2.1.related")
@pytest.mark.spec("facts/ebxml", "2.1")
def test_without_start_or_with_one_that_names_no_part_the_first_part_is_the_root() -> None:
    assert mime.read({"content-type": RELATED.replace('; start="<root>"', "")}, together(SOAP, PAYLOAD)).root.body == b"<SOAP/>"
    package = mime.read({"content-type": RELATED.replace("<root>", "<other>")}, together(SOAP, PAYLOAD))
    assert package.root.body == b"<SOAP/>"
    assert package.remarks == ("start names no part: the first one is the root",)


@pytest.mark.spec("facts/ebxml", "2.1.single")
@pytest.mark.spec("facts/ebxml", "2.1")
def test_a_soap_part_alone_is_a_whole_message() -> None:
    package = mime.read({"Content-Type": "text/xml; charset=UTF-8", "Content-Transfer-Encoding": "base64"}, b"PFNP\r\nQVAv\r\nPg==\r\n")
    assert package.root.body == b"<SOAP/>"
    assert package.parts == ()


@pytest.mark.spec("facts/ebxml", "12.mime")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    "content_type",
    [
        RELATED + ";", RELATED.upper().replace('"B"', '"b"').replace("<ROOT>", "<root>"), RELATED.replace('"b"', "b"),
        RELATED.replace("; ", ";"), RELATED.replace("; ", ";\r\n\t"), RELATED.replace('"text/xml"', "text/xml"), RELATED.replace("<root>", "root"),
        RELATED.replace("=", " = "),
    ],
)
def test_odd_ways_of_writing_content_type_are_read(content_type: str) -> None:
    package = mime.read({"CONTENT-TYPE": content_type}, together(SOAP, PAYLOAD))
    assert (package.root.body, len(package.parts)) == (b"<SOAP/>", 1)


@pytest.mark.spec("facts/ebxml", "12.mime")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("boundary", ["=_a", "a'b", "----=_Part_1_2.3", "a b", "(a)+/:?", "-"])
def test_odd_boundaries_are_read(boundary: str) -> None:
    headers = {"content-type": f'multipart/related; type="text/xml"; boundary="{boundary}"'}
    assert len(mime.read(headers, together(SOAP, PAYLOAD, boundary=boundary.encode())).parts) == 1


@pytest.mark.spec("facts/ebxml", "12.mime")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    "body",
    [
        b"This is a multi-part message.\r\n" + together(SOAP, PAYLOAD), together(SOAP, PAYLOAD) + b"an epilogue",
        together(SOAP.replace(b"\r\n", b"\n"), PAYLOAD.replace(b"\r\n", b"\n"), line=b"\n"), b"\r\n" + together(SOAP, PAYLOAD),
        together(SOAP, PAYLOAD).replace(b"--b--\r\n", b"--b--"), together(SOAP, PAYLOAD).replace(b"Content-ID", b"cOnTeNt-Id"),
    ],
)
def test_preamble_epilogue_bare_line_feeds_and_header_case_do_not_matter(body: bytes) -> None:
    package = mime.read({"content-type": RELATED}, body)
    assert (package.root.body, [p.body for p in package.parts]) == (b"<SOAP/>", [b"<a/>"])


@pytest.mark.spec("facts/ebxml", "12.mime")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("stored", "remark"),
    [
        (together(SOAP, PAYLOAD), "the boundary was taken from the first line"), (b"\xef\xbb\xbf<SOAP/>", "read as text/xml"),
        (b"Content-Type: " + RELATED.encode() + b"\r\n" + together(SOAP, PAYLOAD), "no empty line between the headers"),
    ],
)
def test_a_stored_message_without_its_headers_is_read_and_said_to_be(stored: bytes, remark: str) -> None:
    package = mime.read({}, stored)
    assert b"<SOAP/>" in package.root.body
    assert any(remark in told for told in package.remarks)


@pytest.mark.spec("facts/ebxml", "12.mime")
@pytest.mark.spec("facts/ebxml", "12")
def test_a_long_header_of_a_part_may_be_folded() -> None:
    folded = b"Content-Type: application/xml;\r\n\tname=a.xml\r\nContent-ID:\r\n  <p1>\r\n\r\n<a/>"
    (part,) = mime.read({"content-type": RELATED}, together(SOAP, folded)).parts
    assert (part.content_id, part.media_type) == ("p1", "application/xml")


@pytest.mark.spec("facts/ebxml", "12.cid")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("content_id", "href"),
    [
        ("<a@b>", "cid:a@b"), ("<a@b>", "cid:a%40b"), ("<a%40b>", "cid:a%40b"), ("<a/b c.xml>", "cid:a%2Fb%20c.xml"), ("a@b", "cid:a@b"),
        ("<å@b>", "cid:å@b"), ("  < a@b > ", "cid:a@b"), ("<a@b> (letter.p7m)", "cid:a@b"), ("\r\n <a@b>", "cid:a@b"),
    ],
)
def test_cid_is_compared_decoded_then_raw_without_brackets(content_id: str, href: str) -> None:
    part = PAYLOAD.replace(b"<p1>", content_id.encode("latin-1"))
    found = mime.read({"content-type": RELATED}, together(SOAP, part)).part(href)
    assert found is not None
    assert found.body == b"<a/>"


@pytest.mark.spec("facts/ebxml", "12.cid")
@pytest.mark.spec("facts/ebxml", "12")
def test_the_case_of_a_cid_counts() -> None:
    assert mime.read({"content-type": RELATED}, together(SOAP, PAYLOAD)).part("cid:P1") is None


@pytest.mark.spec("facts/ebxml", "2.1.encoding")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("encoding", "sent"), [("base64", b"PGEv\r\n \tPg=="), ("BASE64", b"PGEvPg=="), ("quoted-printable", b"=3Ca=\r\n/>"), ("binary", b"<a/>")],
)
def test_transfer_encodings_are_undone_leniently_on_blanks(encoding: str, sent: bytes) -> None:
    (part,) = mime.read({"content-type": RELATED}, together(SOAP, payload(encoding, sent))).parts
    assert part.body == b"<a/>"


@pytest.mark.spec("facts/ebxml", "2.1.encoding")
@pytest.mark.parametrize("encoding", ["base64;", '"base64"', "base64 (RFC 2045)"])
def test_a_transfer_encoding_with_more_than_its_word_is_undone_and_remarked(encoding: str) -> None:
    package = mime.read({"content-type": RELATED}, together(SOAP, payload(encoding, b"PGEvPg==")))
    assert [part.body for part in package.parts] == [b"<a/>"]
    assert "Content-Transfer-Encoding is more than a word" in package.remarks


@pytest.mark.spec("facts/ebxml", "2.1.encoding")
@pytest.mark.spec("facts/ebxml", "6.MimeProblem")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("encoding", "sent"), [("base64", b"PGEv!Pg=="), ("base64", b"PGEvP"), ("base64", "PGå=".encode()), ("x-uuencode", b"x"), ("base64", b"PG=Ev")],
)
def test_transfer_encodings_are_strict_on_everything_else(encoding: str, sent: bytes) -> None:
    refused(RELATED, together(SOAP, payload(encoding, sent)))


@pytest.mark.spec("facts/ebxml", "6.MimeProblem")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"), ("", b"{}"), ("multipart/related", together(SOAP)), (RELATED, b"no boundary at all"), (RELATED, b""),
        (RELATED.replace("text/xml", "application/xop+xml"), together(SOAP)), (RELATED, together(SOAP, PAYLOAD, PAYLOAD)),
        (RELATED, together(*[SOAP.replace(b"root", str(n).encode()) for n in range(102)])),
        ("multipart/related; boundary=" + "b" * 201, together(SOAP, boundary=b"b" * 201)),
    ],
)
def test_what_is_no_ebms_package_is_a_mime_problem(content_type: str, body: bytes) -> None:
    refused(content_type, body)


@pytest.mark.spec("facts/ebxml", "2.1")
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_written_is_read_back_byte_for_byte_by_us_and_by_pythons_own_parser(soap: bytes, sealed: bytes) -> None:
    soap = b"<SOAP>" + soap.replace(b"\n--", b"").replace(b"\r", b"") + b"</SOAP>"
    headers, body = mime.write(soap, [("p@x", "application/pkcs7-mime; smime-type=enveloped-data", sealed)], "=_0123456789abcdef", "r@x")
    package = mime.read(headers, body)
    found = package.part("cid:p@x")
    assert found is not None
    assert (package.root.body, found.body, package.remarks) == (soap, sealed, ())
    whole = b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body
    _, second = email.message_from_bytes(whole, policy=email.policy.HTTP).iter_parts()
    assert (second.get_content(), second["Content-ID"]) == (sealed, "<p@x>")


@pytest.mark.spec("facts/ebxml", "2.1.encoding")
@pytest.mark.spec("facts/ebxml", "12")
def test_payloads_travel_as_base64_in_short_lines() -> None:
    _, body = mime.write(b"<SOAP/>", [("p@x", "application/pkcs7-mime", bytes(1000))], "b", "r@x")
    assert b"Content-Transfer-Encoding: base64" in body
    assert max(map(len, body.split(b"\r\n"))) <= 76


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_a_violation(body: bytes) -> None:
    for headers in ({}, {"content-type": RELATED}, {"content-type": "text/xml", "content-transfer-encoding": "base64"}):
        try:
            mime.read(headers, body)
        except Violation as wrong:
            assert wrong.code == ErrorCode.MIME_PROBLEM


@given(st.text(max_size=80), st.lists(st.sampled_from([SOAP, PAYLOAD, b"\n--b", b"--b--", b"\r\n", b"\n\n", b"--", b"\n", b": ", b"\xff"])))
def test_any_content_type_and_any_jumble_of_pieces_raise_only_a_violation(content_type: str, pieces: list[bytes]) -> None:
    for told in ({"content-type": content_type}, {"content-type": RELATED + content_type}, {"content-type": f"multipart/x; boundary={content_type}"}, {}):
        try:
            mime.read(told, b"".join(pieces))
        except Violation:
            continue


@pytest.mark.spec("facts/ebxml", "2.1.soapaction")
@pytest.mark.parametrize(
    ("name", "value", "told"), [("SOAPAction", '"ebXML"', False), ("SOAPACTION", "ebxml", False), ("soapaction", '"EBXML"', False), ("Soapaction", "x", True)],
)
def test_soapaction_is_compared_without_case_and_quotes_and_another_is_remarked(name: str, value: str, told: bool) -> None:
    package = mime.read({"Content-Type": "text/xml", name: value}, b"<a/>")
    assert ("SOAPAction is not ebXML" in package.remarks) == told


@pytest.mark.spec("facts/ebxml", "2.1.size")
def test_a_message_of_the_largest_size_is_written_and_read() -> None:
    payload = bytes(range(256)) * 146_000  # 37 MB: 51 200 000 bytes as base64 in lines
    headers, body = mime.write(b"<a/>", [("p@x", "application/pkcs7-mime", payload)], "b", "r@x")
    assert 51_000_000 < len(body) < 51_300_000
    assert mime.read(headers, body).parts[0].body == payload


BLOCK = mime._BLOCK


@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, BLOCK // 4 * 3 - 1, BLOCK // 4 * 3, BLOCK // 4 * 3 + 1, BLOCK, BLOCK * 2 + 5])
def test_base64_is_the_same_however_many_blocks_it_takes(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    packed = b"".join(mime.lines(body))
    assert packed.replace(b"\r\n", b"") == base64.b64encode(body) and all(len(line) == 76 for line in packed.split(b"\r\n")[:-1])
    assert mime.decode("base64", packed) == mime.decode("base64", b" " * (BLOCK - 1) + packed) == body


@pytest.mark.parametrize("left", range(5))
def test_base64_whose_last_group_lies_in_two_blocks_is_undone(left: int) -> None:
    assert mime.decode("base64", b" " * (BLOCK - left) + b"QQ==") == b"A"


@pytest.mark.parametrize("packed", [
    b"QQ==" + b" " * BLOCK + b"QQ==", b"QUJD" * (BLOCK // 4 - 1) + b"QQ==" + b"QUJD", b"QUJD" * (BLOCK // 4) + b"Q", b"QUJD" * (BLOCK // 4) + b"=", b"=",
])
def test_base64_with_something_behind_its_end_is_refused_also_where_a_block_ends(packed: bytes) -> None:
    with pytest.raises(Violation):
        mime.decode("base64", packed)
