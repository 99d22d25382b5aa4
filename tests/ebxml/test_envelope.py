"""The envelope: ours is valid by the official schemas, theirs is read with all its oddities, and nothing but a Violation is raised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ebms_made import AT, CID, PAYLOAD, header, pair, signed
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from ebxml import apprec, cms, dialog, envelope, msghead, relation, signature, xcal, xml
from ebxml.envelope import ACKNOWLEDGMENT, MESSAGE_ERROR, SIGNAL_SERVICE, EbError, EbParty, Header, PartyId
from ebxml.errors import ErrorCode, Violation
from ebxml.inspect import inspect

DRIVER = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:import namespace="http://schemas.xmlsoap.org/soap/envelope/" schemaLocation="envelope.xsd"/>
<xs:import namespace="http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd" schemaLocation="msg-header-2_0.xsd"/>
<xs:import namespace="http://www.w3.org/2000/09/xmldsig#" schemaLocation="xmldsig-core-schema.xsd"/></xs:schema>"""
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)
"""Anything that UTF-8 can say, control characters too; a carriage return becomes a line feed in XML."""


@pytest.fixture(scope="module")
def schema(shared: Path) -> etree.XMLSchema:
    base = (shared / "standards" / "ebms" / "driver.xsd").as_uri()
    return etree.XMLSchema(etree.fromstring(DRIVER, etree.XMLParser(no_network=True), base_url=base))


def signal(**changes: object) -> Header:
    return header(**{
        "service": SIGNAL_SERVICE, "service_type": "", "time_to_live": None, "duplicate_elimination": False, "description": "",
        "ack_requested": "", "sync_reply": False, "manifest": (), "ref_to_message_id": "message-0@example.no", **changes,
    })


def acknowledgment() -> Header:
    """With the references of a signed message, as a signed receipt repeats them."""
    references = signature.examine(xml.parse(signed()), {CID: PAYLOAD}.get).references
    assert {uri for uri, _ in references} == {"", CID}
    return signal(action=ACKNOWLEDGMENT, acknowledges="message-0@example.no", references=references, acknowledged_at=AT,
                  acknowledged_by=(PartyId("8094866"),))


def message_error() -> Header:
    errors = (EbError("SecurityFailure", "Error", 'BB-105 <"&', "//Header/Signature"), EbError("Unknown", "Warning", "more"))
    return signal(action=MESSAGE_ERROR, errors=errors, highest_severity="Error")


@pytest.mark.spec("facts/ebxml", "2.2")
@pytest.mark.parametrize(
    "made",
    [
        header, lambda: header(sync_reply=False, ack_requested="unsigned", time_to_live=None, ref_to_message_id="r@x"),
        lambda: header(manifest=(), description="", ack_requested="", duplicate_elimination=False, sender=EbParty((PartyId("1"),))),
        lambda: header(manifest=(CID, "cid:b@x"), receiver=EbParty((PartyId("1"), PartyId("2", "ENH")), "Rolle")),
        acknowledgment, message_error,
    ],
)
def test_what_we_write_is_valid_unsigned_and_signed_and_read_back_the_same(made: Callable[[], Header], schema: etree.XMLSchema) -> None:
    want = made()
    alone = etree.fromstring(envelope.write(want))
    schema.assertValid(alone)
    read = envelope.read(alone)
    assert [uri for uri, _ in read.references] == [uri for uri, _ in want.references]
    assert without_references(read) == without_references(want)
    own = pair("partner")
    schema.assertValid(etree.fromstring(signature.sign(envelope.write(want), [], own.key, "AAAA")))


def without_references(read: Header) -> dict[str, Any]:
    return {name: getattr(read, name) for name in read.__slots__ if name not in ("references", "remarks")}


@pytest.mark.spec("facts/ebxml", "5.signed")
@pytest.mark.spec("facts/ebxml", "5")
def test_a_signed_acknowledgment_keeps_the_references_it_repeats_apart_from_its_own() -> None:
    own = pair("partner")
    data = signature.sign(envelope.write(acknowledgment()), [], own.key, signed().partition(b"X509Certificate>")[2].partition(b"<")[0].decode())
    examined = signature.verify(xml.parse(data), lambda uri: None, [], [own.certificate])
    assert examined.covers == ("",)
    want = signature.examine(xml.parse(signed()), {CID: PAYLOAD}.get).references
    for (_, repeated), (_, sent) in zip(envelope.read(xml.parse(data)).references, want, strict=True):
        assert digest(repeated) == digest(sent)


def digest(reference: bytes) -> str | None:
    return etree.fromstring(reference).findtext(f"{{{envelope.DS}}}DigestValue")


@pytest.mark.spec("facts/ebxml", "2.2")
@given(WORDS, WORDS, WORDS)
@example("\x00\x1f\ufffe\uffff\t\n<&>\"']]>", "\"'<&\x0b\uffff", "\uffff")
def test_every_text_is_escaped_and_comes_back(words: str, role: str, location: str) -> None:
    errors = (EbError("Unknown", "Error", words, location),)
    want = header(description=words, cpa_id=f"c{words}", sender=EbParty((PartyId("1", role),), role), errors=errors, conversation_id=f"c{words}")
    read = envelope.read(xml.parse(envelope.write(want)))

    def kept(value: str) -> str:
        return "".join(c for c in value if (c >= " " or c in "\t\n") and c not in "\ufffe\uffff").strip()

    assert (read.description, read.cpa_id, read.sender.role) == (kept(words), kept(f"c{words}"), kept(role))
    assert read.errors[0].description == kept(words)


ODD = [
    ('SOAP:mustUnderstand="1"', 'SOAP:mustUnderstand="true"', "mustUnderstand of MessageHeader"),
    (' eb:type="string"', "", "Service is no URI"), (' eb:version="2.0"', ' eb:version="1.0"', "@version"),
    ("2026-12-01T08:00:00Z</eb:Timestamp>", "2026-12-01T09:00:00</eb:Timestamp>", "Timestamp has no time zone"),
    ("2026-12-03T08:00:00Z</eb:TimeToLive>", "P2D</eb:TimeToLive>", "TimeToLive is no dateTime"),
]


@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(("old", "new", "remark"), ODD)
def test_oddities_are_read_and_listed(old: str, new: str, remark: str) -> None:
    text = envelope.write(header()).decode()
    assert old in text
    read = envelope.read(xml.parse(text.replace(old, new).encode()))
    assert any(remark in told for told in read.remarks)
    assert read.message_id == "message-1@example.no"
    assert read.timestamp == AT


@pytest.mark.spec("facts/ebxml", "12.time")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-07-01T10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)), ("2026-07-01T10:00:00.1234567+02:00", datetime(2026, 7, 1, 8, 0, 0, 123456, UTC)),
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)), (" 2026-07-01T08:00:00Z ", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("in the morning", None), ("", None), ("0001-01-01T00:00:00", None), ("0001-01-01T00:00:00+14:00", None), ("9999-12-31T23:59:59-10:00", None),
    ],
)
def test_a_time_is_read_as_an_instant_or_not_at_all(written: str, read: datetime | None) -> None:
    text = envelope.write(header()).decode().replace("2026-12-01T08:00:00Z</eb:Timestamp>", f"{written}</eb:Timestamp>")
    assert envelope.read(xml.parse(text.encode())).timestamp == read


@pytest.mark.spec("facts/ebxml", "2.3")
def test_of_several_party_ids_the_her_id_decides() -> None:
    ids = (PartyId("999999999", "orgnummer"), PartyId("79768", "HER"), PartyId("999999999", "ENH"))
    assert envelope.read(xml.parse(envelope.write(header(sender=EbParty(ids))))).sender.her == "79768"
    assert EbParty((ids[0], ids[2])).her == "999999999"
    assert EbParty((ids[0], PartyId("79768", "urn:x:partyid-type:her"))).her == "79768"


@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.parametrize("charset", ["utf-8-sig", "iso-8859-1", "utf-16"])
def test_a_byte_order_mark_and_other_charsets_are_read(charset: str) -> None:
    text = envelope.write(header(description="Besøk")).decode()
    declared = "" if charset == "utf-8-sig" else f'<?xml version="1.0" encoding="{charset}"?>'
    assert envelope.read(xml.parse((declared + text).encode(charset))).description == "Besøk"


@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.parametrize(("declared", "told"), [("", "iso-8859-1"), ('<?xml version="1.0"?>', "windows-1252"), ("", "iso-8859-15")])
def test_the_transports_charset_counts_where_the_document_says_nothing_and_is_no_utf_8(declared: str, told: str) -> None:
    text = declared + envelope.write(header(description="Besøk")).decode()
    assert envelope.read(xml.parse(text.encode(told), charset=told)).description == "Besøk"
    assert envelope.read(xml.parse(text.encode(), charset=told)).description == "Besøk"
    with pytest.raises(Violation):
        xml.parse(text.encode(told))
    report = inspect(f"Content-Type: text/xml; charset={told}\r\n\r\n".encode() + text.encode(told))
    assert report.kind == "ebMS 2.0 user message", "`besoksbro read` reads it as the hub does"


@pytest.mark.spec("facts/ebxml", "12.xml")
def test_the_name_of_a_root_element_is_told_without_reading_what_stands_inside() -> None:
    start = b'\n<?xml version="1.0"?><!-- <no:t/> --><?pi x?><a:Root xmlns:a="urn:a">'
    assert xml.root_name(start + b"<never closed") == ("urn:a", "Root")
    assert [xml.root_name(data) for data in (b"", b"no XML")] == [("", "")] * 2


@pytest.mark.spec("facts/ebxml", "6.OtherXml")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SOAP:Envelope", "SOAP:Other"), ("eb:From>", "eb:Other>"), ("eb:To>", "eb:Other>"), ("eb:MessageId>", "eb:Other>"),
        ("eb:MessageHeader", "eb:Other"), ("SOAP:Header", "SOAP:Other"), ("http://schemas.xmlsoap.org/soap/", "urn:other/"),
    ],
)
def test_an_envelope_that_nobody_could_answer_is_other_xml(old: str, new: str) -> None:
    with pytest.raises(Violation) as wrong:
        envelope.read(xml.parse(envelope.write(header()).decode().replace(old, new).encode()))
    assert wrong.value.code == ErrorCode.OTHER_XML


def test_a_time_without_a_zone_is_never_written() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        envelope.write(header(timestamp=datetime(2026, 1, 1)))
    assert envelope.write(header(timestamp=AT + timedelta(microseconds=5))) == envelope.write(header())


READERS: list[Callable[[bytes], object]] = [
    lambda data: envelope.read(xml.parse(data)), msghead.read, msghead.read_info, apprec.read, dialog.read, xcal.read, relation.read, lambda data: cms.open_(data, [pair("us")]),
    lambda data: signature.examine(xml.parse(data), lambda uri: None),
]


@pytest.mark.spec("facts/ebxml", "12")
@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode), WORDS.map(lambda w: f"<{w}/>".encode())))
def test_any_bytes_make_every_reader_raise_only_a_violation(data: bytes) -> None:
    for reader in READERS:
        with pytest.raises(Violation):
            reader(data)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A real message with a piece cut out, doubled, moved or overwritten."""
    namespaces = [f'<{tag} xmlns="{space}">' for tag, space in (("MsgHead", msghead.NAMESPACE), ("AppRec", apprec.NAMESPACES["1.1"]),
                                                                ("Dialogmelding", dialog.NAMESPACES["1.1"]), ("icalendar", xcal.NAMESPACE))]
    tags = st.sampled_from([
        "MsgInfo", "Type", "MsgId", "Sender", "Receiver", "Organisation", "Document", "RefDoc", "Content", "GenDate", "Status", "OriginalMsgId", "Id",
        "vcalendar", "components", "vevent", "properties", "uid", "dtstart", "date-time", "sequence", "Notat", "RollerRelatertNotat", "HCP", "Inst",
    ])
    inner = draw(st.lists(st.tuples(tags, st.sampled_from(["1", "0001-01-01T00:00:00", "", "<!--c-->", "<?p i?>", "²", "99999999999"])), max_size=12))
    attribute = st.sampled_from(["", ' V="1"', ' V=""', ' xmlns=""', ' xmlns="urn:x"', ' xmlns:a="rel"'])
    opened = [f"<{tag}{draw(attribute)}>{text}" for tag, text in inner]
    start = draw(st.sampled_from(namespaces))
    return (start + "".join(opened) + "".join(f"</{tag}>" for tag, _ in reversed(inner)) + "</" + start[1:].split()[0] + ">").encode()


@pytest.mark.spec("facts/ebxml", "12")
@given(spoiled())
def test_elements_nested_anyhow_make_every_reader_read_or_raise_only_a_violation(data: bytes) -> None:
    for reader in READERS:
        try:
            reader(data)
        except Violation:
            continue


@pytest.mark.spec("facts/ebxml", "12")
@given(st.integers(0, 3000), st.integers(0, 200), st.sampled_from([b"", b"<", b"&#x1;", b"<a>", b"\xc3", b'" x="', b'xmlns:a="r" ', "²".encode()]))
def test_a_signed_envelope_with_a_hole_is_read_or_raises_only_a_violation(at: int, length: int, instead: bytes) -> None:
    data = signed()
    data = data[:at] + instead + data[at + length:]
    for reader in (READERS[0], READERS[-1]):
        try:
            reader(data)
        except Violation:
            continue
