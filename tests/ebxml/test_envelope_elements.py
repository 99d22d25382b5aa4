"""Every element of the ebMS 2.0 schema, written validly and read back; what may not stand twice; what is tolerated, each with its remark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from ebms_made import AT, CID, header
from lxml import etree
from test_envelope import DRIVER, signal

from ebxml import envelope, mime, xml
from ebxml.compose import SYNC_REPLY
from ebxml.envelope import (
    ACKNOWLEDGMENT,
    MESSAGE_ERROR,
    NEXT_MSH,
    PING,
    PONG,
    STATUS_REQUEST,
    STATUS_RESPONSE,
    EbError,
    EbParty,
    Header,
    MessageStatus,
    Order,
    PartyId,
    Reference,
    Status,
)
from ebxml.errors import ErrorCode, Fault, Violation

FULL = Reference(CID, "urn:role", "r1", (("http://example.no/a.xsd", "1"), ("http://example.no/b.xsd", "")), "det som følger")
STATUSES = [Status(status, "m-9@x", AT - timedelta(days=1)) for status in MessageStatus] + [Status(MessageStatus.NOT_RECOGNIZED, "m-9@x")]
MADE: list[Callable[[], Header]] = [
    lambda: signal(action=PING, ref_to_message_id=""), lambda: signal(action=PONG),
    lambda: signal(action=STATUS_REQUEST, ref_to_message_id="", status_of="m-9@x"),
    *((lambda status=status: signal(action=STATUS_RESPONSE, status=status)) for status in STATUSES),
    lambda: header(order=Order(7)), lambda: header(order=Order(0, "Reset")),
    lambda: header(described=(FULL,)), lambda: header(manifest=("cid:a@x", CID), described=(FULL,)),
    lambda: header(language="nb", more_descriptions=(("en", "a second one"), ("se", "ja"))),
    lambda: header(acknowledges="m-9@x", acknowledged_at=AT, acknowledged_by=(PartyId("1"), PartyId("2", "ENH"))),
    lambda: signal(action=MESSAGE_ERROR, errors=(EbError("X", "Warning", "", "", "urn:other:codes", "e1"),), highest_severity="Warning"),
    lambda: header(service="urn:a:service", service_type=""),
]


@pytest.fixture(scope="module")
def schema(shared: Path) -> etree.XMLSchema:
    base = (shared / "standards" / "ebms" / "driver.xsd").as_uri()
    return etree.XMLSchema(etree.fromstring(DRIVER, etree.XMLParser(no_network=True), base_url=base))


@pytest.mark.spec("facts/ebxml", "2.2")
@pytest.mark.parametrize("made", MADE)
def test_every_element_is_written_validly_and_read_back_the_same(made: Callable[[], Header], schema: etree.XMLSchema) -> None:
    want = made()
    alone = etree.fromstring(envelope.write(want))
    schema.assertValid(alone)
    read = envelope.read(alone)
    assert read == want
    assert read.remarks == ()


@pytest.mark.spec("facts/ebxml", "2.2")
@pytest.mark.parametrize(
    "changes",
    [
        {"cpa_id": ""}, {"conversation_id": ""}, {"service": ""}, {"action": "\x00"}, {"message_id": ""}, {"timestamp": None},
        {"sender": EbParty(())}, {"receiver": EbParty((PartyId(""),))}, {"order": Order(1), "duplicate_elimination": False},
    ],
)
def test_what_the_schema_would_refuse_is_not_written(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a message needs|MessageOrder needs"):
        envelope.write(header(**changes))


@pytest.mark.spec("facts/ebxml", "2.2.ackrequested")
@pytest.mark.spec("facts/ebxml", "2.2")
def test_no_receipt_is_asked_for_a_receipt() -> None:
    with pytest.raises(ValueError, match="for a receipt"):
        envelope.write(signal(action=ACKNOWLEDGMENT, acknowledges="m@x", ack_requested="signed"))


@pytest.mark.spec("facts/ebxml", "7.1")
def test_what_is_asked_of_a_message_handler_and_what_is_never_answered_are_told_apart() -> None:
    assert [h.enquiry for h in (signal(action=PING), signal(action=STATUS_REQUEST), signal(action=PONG), header(action=PING))] == [
        True, True, False, False,
    ]
    assert [signal(action=a).signal for a in (ACKNOWLEDGMENT, MESSAGE_ERROR, PONG, STATUS_RESPONSE, PING)] == [True] * 4 + [False]


ACK = (
    f'<eb:AckRequested SOAP:actor="{envelope.TO_PARTY}" SOAP:mustUnderstand="1" eb:signed="true" eb:version="2.0"></eb:AckRequested>'
)
TOLERATED = [
    (ACK, ACK.replace("eb:signed", "signed"), "@signed without its namespace", {"ack_requested": "signed"}),
    (ACK, ACK.replace(' eb:signed="true"', ""), "AckRequested/@signed is no boolean", {"ack_requested": "unsigned"}),
    (ACK, ACK.replace(' SOAP:mustUnderstand="1"', ""), "AckRequested does not say mustUnderstand", {"ack_requested": "signed"}),
    ("<eb:CPAId>cpa:1</eb:CPAId>", "", "MessageHeader has no CPAId", {"cpa_id": ""}),
    ("<eb:ConversationId>conversation-1</eb:ConversationId>", "<eb:ConversationId/>", "no ConversationId", {"conversation_id": ""}),
    ('<eb:PartyId eb:type="HER">8094866</eb:PartyId>', '<eb:PartyId eb:type="HER">8094866</eb:PartyId>' * 2, "a PartyId is repeated",
     {"sender": EbParty((PartyId("8094866"),), "Bestiller")}),
    (' xlink:type="simple"', "", "", {"manifest": (CID,)}),
    (f'xlink:href="{CID}" xlink:type="simple"></eb:Reference>', f'xlink:href="{CID}"><eb:Schema eb:location="a.xsd" eb:version=""/></eb:Reference>', "",
     {"described": (Reference(CID, schemas=(("a.xsd", ""),)),)}),
]


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(("old", "new", "remark", "values"), TOLERATED)
def test_each_tolerance_is_a_remark(old: str, new: str, remark: str, values: dict[str, object]) -> None:
    text = envelope.write(header()).decode()
    assert old in text
    read = envelope.read(xml.parse(text.replace(old, new, 1).encode()))
    assert {name: getattr(read, name) for name in values} == values
    assert any(remark in told for told in read.remarks) if remark else not read.remarks


@pytest.mark.spec("facts/ebxml", "2.2.syncreply")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("order", ["{ack}{sync}", "{sync}{ack}"])
def test_sync_reply_and_ack_requested_stand_in_either_order(order: str) -> None:
    written = envelope.write(header()).decode()
    assert ACK + SYNC_REPLY in written
    text = written.replace(ACK + SYNC_REPLY, order.format(ack=ACK, sync=SYNC_REPLY))
    read = envelope.read(xml.parse(text.encode()))
    assert read == header()


@pytest.mark.spec("facts/ebxml", "5.read")
@pytest.mark.spec("facts/ebxml", "5")
@pytest.mark.parametrize(
    ("inside", "outside", "want"), [("m-1", "m-1", "m-1"), ("m-1", "", "m-1"), ("", "m-1", "m-1"), ("m-1", "m-2", "m-1")],
)
def test_the_acknowledgments_own_reference_counts_first(inside: str, outside: str, want: str) -> None:
    text = envelope.write(signal(action=ACKNOWLEDGMENT, acknowledges="inside", ref_to_message_id="outside")).decode()
    for old, new in (("inside", inside), ("outside", outside)):
        whole = f"<eb:RefToMessageId>{old}</eb:RefToMessageId>"
        text = text.replace(whole, whole.replace(old, new) if new else "")
    read = envelope.read(xml.parse(text.encode()))
    assert read.acknowledges == want
    assert any("same message" in told for told in read.remarks) == (inside != outside and bool(outside))


@pytest.mark.spec("facts/ebxml", "2.2.once")
@pytest.mark.spec("facts/ebxml", "2.2")
@pytest.mark.parametrize("name", ["AckRequested", "Acknowledgment", "ErrorList", "MessageOrder", "Manifest", "StatusRequest", "StatusResponse"])
def test_what_may_stand_once_is_refused_when_it_stands_twice(name: str) -> None:
    """Of two, a signer and a reader could each mean another."""
    full = header(acknowledges="m@x", errors=(EbError("Unknown", "Error"),), order=Order(1))
    root = etree.fromstring(envelope.write(full))
    place = next(root.iter(f"{{{envelope.SOAP}}}{'Body' if name in ('Manifest', 'StatusRequest', 'StatusResponse') else 'Header'}"))
    for _ in range(2 - len(place.findall(f"{{{envelope.EB}}}{name}"))):
        etree.SubElement(place, f"{{{envelope.EB}}}{name}")
    with pytest.raises(Violation, match=f"more than one {name}") as wrong:
        envelope.read(root)
    assert wrong.value.code is ErrorCode.OTHER_XML


@pytest.mark.spec("facts/ebxml", "6.OtherXml")
@pytest.mark.spec("facts/ebxml", "6")
@pytest.mark.parametrize("spoil", [("<eb:Action>Bestilling</eb:Action>", ""), (">HelsefagligDialog<", "><")])
def test_without_service_or_action_it_is_other_xml(spoil: tuple[str, str]) -> None:
    with pytest.raises(Violation) as wrong:
        envelope.read(xml.parse(envelope.write(header()).decode().replace(*spoil).encode()))
    assert (wrong.value.code, wrong.value.location) == (ErrorCode.OTHER_XML, "//Header/MessageHeader")


@pytest.mark.spec("facts/ebxml", "6.NotSupported")
@pytest.mark.spec("facts/ebxml", "6")
def test_a_receipt_by_the_next_hop_is_not_supported() -> None:
    text = envelope.write(header()).decode().replace(envelope.TO_PARTY, NEXT_MSH)
    with pytest.raises(Violation) as wrong:
        envelope.read(xml.parse(text.encode()))
    assert (wrong.value.code, wrong.value.fault) == (ErrorCode.NOT_SUPPORTED, Fault.NOT_SUPPORTED)


@pytest.mark.spec("facts/ebxml", "6")
@pytest.mark.parametrize(("severity", "read"), [("Error", "Error"), ("Warning", "Warning"), ("Fatal", "Fatal")])
def test_an_error_list_without_an_error_still_says_that_something_is_wrong(severity: str, read: str) -> None:
    text = envelope.write(signal(action=MESSAGE_ERROR, errors=(EbError("Unknown", "Error"),), highest_severity=severity)).decode()
    start, end = text.index("<eb:Error "), text.index("</eb:ErrorList>")
    found = envelope.read(xml.parse((text[:start] + text[end:]).encode()))
    assert found.errors == (EbError("Unknown", read),)
    assert any("without an Error" in told for told in found.remarks)


def test_an_unknown_message_status_is_not_guessed() -> None:
    text = envelope.write(signal(action=STATUS_RESPONSE, status=STATUSES[0])).decode().replace("UnAuthorized", "Vanished")
    with pytest.raises(Violation) as wrong:
        envelope.read(xml.parse(text.encode()))
    assert wrong.value.code is ErrorCode.VALUE_NOT_RECOGNIZED


@pytest.mark.parametrize("number", ["", "-1", "²", "9" * 40, "x"])
def test_a_sequence_number_that_is_none_is_remarked(number: str) -> None:
    text = envelope.write(header(order=Order(7))).decode().replace(">7<", f">{number}<")
    read = envelope.read(xml.parse(text.encode()))
    assert read.order == Order(0)
    assert "SequenceNumber is no number" in read.remarks


@pytest.mark.spec("facts/ebxml", "2.2.manifest")
@pytest.mark.spec("facts/ebxml", "2.2")
@pytest.mark.parametrize("href", ["http://example.no/part", "file:///etc/passwd", "part@x", "", "#part@x"])
def test_a_part_that_is_elsewhere_is_missing_and_never_fetched(href: str) -> None:
    package = mime.Package(mime.Part({}, b"", "text/xml", ""), (mime.Part({}, b"x", "a/b", "part@x"), mime.Part({}, b"x", "a/b", href)))
    assert package.part(href) is None
    assert package.part("CID:part@x") is package.parts[0]
