"""What somebody underway could do to a message that was rightly signed, or to one that was not: each is refused."""

from __future__ import annotations

import pytest
from ebms_made import CID, PAYLOAD, pair, signed, xmlsec_agrees
from lxml import etree

from ebxml import certificate as certs
from ebxml import envelope, mime, signature, xml
from ebxml.envelope import EB, NEXT, NEXT_MSH, SOAP
from ebxml.errors import ErrorCode, Fault, Violation

PARTS = {CID: PAYLOAD}


def fault_of(data: bytes) -> Fault:
    root = xml.parse(data)
    with pytest.raises(Violation) as wrong:
        signature.verify(root, PARTS.get, envelope.read(root).manifest, [pair("partner").certificate])
    return wrong.value.fault


@pytest.mark.spec("facts/ebxml", "4.2.4")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("order", ["{partner}{stranger}", "{stranger}{partner}"])
def test_a_stranger_who_also_shows_the_partners_certificate_is_a_stranger(order: str) -> None:
    shown = {name: f"<ds:X509Certificate>{certs.b64(pair(name).certificate)}</ds:X509Certificate>" for name in ("partner", "stranger")}
    data = signed(signer="stranger").decode().replace(shown["stranger"], order.format(**shown)).encode()
    assert fault_of(data) is Fault.WRONG_SIGNER


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("actor", [NEXT, NEXT_MSH])
@pytest.mark.parametrize(
    ("before", "put_in"),
    [
        ("<eb:MessageId>", "<eb:MessageId {actor}>another-id</eb:MessageId>"),
        ("<eb:PartyId", '<eb:PartyId eb:type="HER" {actor}>1</eb:PartyId>'),
        ("<eb:AckRequested", '<eb:Acknowledgment {actor}><eb:RefToMessageId>ours</eb:RefToMessageId></eb:Acknowledgment>'),
        ("<eb:AckRequested", '<eb:ErrorList {actor} eb:highestSeverity="Error"><eb:Error/></eb:ErrorList>'),
        ("<eb:AckRequested", "<eb:SyncReply {actor}><eb:MessageHeader/></eb:SyncReply>"),
        ("<eb:Manifest", "<eb:Manifest {actor}/>"),
        ("<SOAP:Body>", "<SOAP:Body {actor}/>"),
    ],
)
def test_what_stands_outside_the_signature_for_the_next_hop_cannot_say_anything(actor: str, before: str, put_in: str) -> None:
    data = signed().replace(before.encode(), (put_in.format(actor=f'SOAP:actor="{actor}"') + before).encode(), 1)
    assert xmlsec_agrees(data, PARTS)  # the digests and the value are right: only this rule refuses it
    assert fault_of(data) is (Fault.UNREADABLE if "eb:Manifest" in put_in else Fault.NOT_COVERED)  # a second Manifest is not even read


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_header_of_somebody_elses_for_the_next_hop_is_tolerated() -> None:
    other = f'<t:Trace xmlns:t="urn:trace" SOAP:actor="{NEXT}">1</t:Trace><eb:AckRequested'.encode()
    root = xml.parse(signed().replace(b"<eb:AckRequested", other, 1))
    assert signature.verify(root, PARTS.get, [CID], [pair("partner").certificate]).holds


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    "put_in", ["{0}<!--x-->{1}", "{0}<!---->{1}", "<!--a-->{0}{1}<!--b-->"],
)
def test_a_comment_which_no_signature_covers_changes_no_value(put_in: str) -> None:
    data = signed().decode()
    for value in ("8094866", "message-1@example.no", "HelsefagligDialog"):
        data = data.replace(f">{value}<", ">" + put_in.format(value[:3], value[3:]) + "<")
    assert envelope.read(xml.parse(data.encode())) == envelope.read(xml.parse(signed()))
    assert xmlsec_agrees(data.encode(), PARTS)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_what_is_hidden_inside_the_signature_is_not_read() -> None:
    hidden = f'<ds:Object><eb:Acknowledgment xmlns:eb="{EB}"><eb:RefToMessageId>x</eb:RefToMessageId></eb:Acknowledgment></ds:Object></ds:Signature>'
    data = signed().replace(b"</ds:Signature>", hidden.encode())
    assert envelope.read(xml.parse(data)).acknowledges == ""


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("many", [11, 400])
def test_a_key_info_full_of_certificates_is_refused(many: int) -> None:
    one = f"<ds:X509Certificate>{certs.b64(pair('partner').certificate)}</ds:X509Certificate>"
    assert fault_of(signed().decode().replace(one, one * many).encode()) is Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "12.bombs")
@pytest.mark.parametrize(("data", "allowed"), [
    (b"<a><![CDATA[<!DOCTYPE html>]]></a>", True), (b"<a><!-- <!DOCTYPE html> --></a>", True), (b"<?x <!DOCTYPE a> ?><a/>", True),
    (b" <?xml-x?> <!-- <a> --><!DOCTYPE a><a/>", False), (b"\xef\xbb\xbf<!DOCTYPE a><a/>", False), (b"<!-- -->" * 50_000 + b"<!DOCTYPE a><a/>", False),
])
def test_a_document_type_declaration_is_refused_where_it_is_one_and_not_where_a_text_speaks_of_it(data: bytes, allowed: bool) -> None:
    if allowed:
        xml.parse(data)
    else:
        with pytest.raises(Violation, match="document type declaration"):
            xml.parse(data)


@pytest.mark.spec("facts/ebxml", "12.bombs")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-7"])
def test_a_large_document_cannot_hide_an_entity_bomb_behind_its_encoding(encoding: str) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "' + "x" * 1000 + '">]>' + '<a b="' + "&a;" * 100_000 + '"/>'
    padded = f'<?xml version="1.0" encoding="{encoding}"?>{bomb}<!--{"y" * xml.HUGE}-->'
    hidden = padded.replace("<!D", "+ADwAIQ-D") if encoding == "utf-7" else padded
    with pytest.raises(Violation) as wrong:
        xml.parse(hidden.encode("ascii" if encoding == "utf-7" else encoding))
    assert wrong.value.code is ErrorCode.OTHER_XML


@pytest.mark.parametrize("start", ["<a>", '<?xml version="1.0"?><a>', "<?xml version='1.0' encoding='ISO-8859-1'?>\n<a>", "﻿<a>"])
def test_a_large_document_in_an_ordinary_encoding_is_read(start: str) -> None:
    encoding = "latin-1" if "8859" in start else "utf-8"
    root = xml.parse((start + "å" * (xml.HUGE + 1) + "</a>").encode(encoding))
    assert isinstance(root, etree._Element)
    assert len(root.text or "") == xml.HUGE + 1


def test_the_soap_header_itself_cannot_be_addressed_away() -> None:
    data = signed().replace(b"<SOAP:Header>", f'<SOAP:Header SOAP:actor="{NEXT}">'.encode())
    assert xml.parse(data).find(f"{{{SOAP}}}Header") is not None
    assert fault_of(data) in (Fault.NOT_COVERED, Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "12")
def test_a_signed_info_beyond_all_measure_is_refused_and_never_crashes() -> None:
    padded = f"<ds:SignedInfo><ds:Object>{'x' * 11_000_000}</ds:Object>"
    assert fault_of(signed().decode().replace("<ds:SignedInfo>", padded).encode()) is Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "12.time")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("when", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z", "now"])
def test_a_time_that_cannot_be_is_no_time(when: str) -> None:
    data = signed(time_to_live=None).replace(b"</eb:Timestamp>", f"</eb:Timestamp><eb:TimeToLive>{when}</eb:TimeToLive>".encode())
    header = envelope.read(xml.parse(data))
    assert header.time_to_live is None
    assert any(remark.startswith("TimeToLive is") for remark in header.remarks)


@pytest.mark.spec("facts/ebxml", "12")
def test_a_boundary_in_letters_that_no_header_can_hold_is_a_mime_problem() -> None:
    with pytest.raises(Violation) as wrong:
        mime.read({"content-type": 'multipart/related; boundary="€ł"'}, b"--x\r\n\r\n")
    assert wrong.value.code is ErrorCode.MIME_PROBLEM


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("piece", [';a="\\"', ';a=" ', "; a", ";a=b"])
def test_a_content_type_without_end_is_read_in_no_time(piece: str) -> None:
    """Reading is linear in what is looked at: this would take minutes if the rest were looked at as well."""
    part = f"--b\r\nContent-Type: text/xml{piece * 6000}\r\n\r\n<a/>\r\n".encode()
    assert len(mime.read({"content-type": "multipart/related; boundary=b"}, part * 90 + b"--b--").parts) == 89
    with pytest.raises(Violation, match="headers of more than"):
        mime.read({"content-type": "multipart/related; boundary=b"}, part.replace(b"\r\n\r\n", b"x" * 70_000 + b"\r\n\r\n"))
