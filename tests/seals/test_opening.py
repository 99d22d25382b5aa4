"""Letters that are rightly signed and still odd: each is read as what it is, or refused as what it is."""

from __future__ import annotations

import gzip
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dev_keys import dev_pki
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.registries import pki
from adapters.seals.ebms import EbmsSeal, ebms
from ebxml import certificate, cms, envelope, mime, signature, xml
from ebxml.envelope import ACKNOWLEDGMENT, MESSAGE_ERROR, NEXT_MSH, PING, SIGNAL_SERVICE, EbError, EbParty, Header, MessageStatus, PartyId, Status
from hub.adapter import Surroundings, Unopened
from hub.message import Enquiry, Envelope, Parcel, Receipt, ReceiptKind
from hub.problem import Problem

HUB, EPJ = "8100000", "8100101"
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
FUNCTIONS = tomllib.loads((Path(__file__).parents[2] / "mappings" / "functions.toml").read_text(encoding="utf-8"))
FIRST, SECOND = b"<First/>", b"<Second/>"


class Wire:
    """The EPJ's pen: it writes what no seal of ours would, and signs it rightly."""

    def __init__(self, home: Path) -> None:
        dev_pki(home / "pki", {HUB: "Solbakken kommune", EPJ: "Visma Profil"}, AT)
        pki.lay_out(home / "pki", home / "hub" / "certs", HUB, [EPJ])
        pki.lay_out(home / "pki", home / "epj" / "certs", EPJ, [HUB])
        self.home = home
        self.hub = self._seal("hub", HUB, EPJ)
        self.plain = self._seal("hub", HUB, EPJ, plain=True)
        self.epj = self._seal("epj", EPJ, HUB)

    def _seal(self, folder: str, own: str, partner: str, **more: object) -> EbmsSeal:
        return ebms(Surroundings(self.home / folder, folder, partner, own, folder, {"functions": FUNCTIONS, **more}))

    def encrypted(self, body: bytes) -> bytes:
        return cms.envelop(body, self.hub._ring().keys.decrypt[0].certificate)

    def written(
        self, parts: list[tuple[str, str, bytes]], manifest: tuple[str, ...] | None = None, change: Callable[[bytes], bytes] = bytes, **more: object,
    ) -> Parcel:
        """Parts are (content id, media type, bytes). `change` is done to the SOAP part before it is signed."""
        listed = tuple(f"cid:{cid}" for cid, _, _ in parts) if manifest is None else manifest
        values: dict[str, object] = {
            "sender": EbParty((PartyId(EPJ),), "Tjenesteyter"), "receiver": EbParty((PartyId(HUB),), "Bestiller"), "cpa_id": "c",
            "conversation_id": "c", "service": "HelsefagligDialog", "service_type": "string", "action": "Besok", "message_id": "m@epj", "timestamp": AT,
            "ack_requested": "signed", "manifest": listed, **more,
        }
        soap = change(envelope.write(Header(**values)))  # type: ignore[arg-type]
        keys = self.epj._ring().keys.sign
        signed = signature.sign(soap, [(f"cid:{cid}", body) for cid, _, body in parts], keys.key, certificate.b64(keys.certificate))
        return Parcel(*mime.write(signed, parts, "b", "root@epj"))


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Wire:
    return Wire(tmp_path_factory.mktemp("wire"))


def refused(wire: Wire, parcel: Parcel) -> Unopened:
    with pytest.raises(Unopened) as wrong:
        wire.hub.open(parcel, AT)
    return wrong.value


def code(wire: Wire, unopened: Unopened) -> str:
    answer = wire.hub.refusal(unopened, AT)
    assert answer is not None
    return envelope.read(xml.parse(answer.body)).errors[0].code


P7M = "application/pkcs7-mime; smime-type=enveloped-data"


@pytest.mark.spec("facts/ebxml", "5.along")
@pytest.mark.spec("facts/ebxml", "5")
def test_a_letter_that_an_acknowledgment_rides_on_is_read_as_the_letter_and_gets_its_own_receipt(wire: Wire) -> None:
    parcel = wire.written([("a", P7M, wire.encrypted(FIRST))], acknowledges="ours@besoksbro.example", ref_to_message_id="ours@besoksbro.example")
    opened = wire.hub.open(parcel, AT)
    assert (opened.content.body, opened.receipt, opened.wants_receipt) == (FIRST, None, True)
    assert opened.carried == Receipt(ReceiptKind.ARRIVED, "ours")
    assert wire.hub.receipt(opened, None, AT) is not None


@pytest.mark.spec("facts/ebxml", "6.warning")
@pytest.mark.spec("facts/ebxml", "6.DeliveryFailure")
@pytest.mark.spec("facts/ebxml", "6")
def test_a_warning_says_that_the_letter_was_processed(wire: Wire) -> None:
    receipt = about_x(wire, errors=(EbError("Inconsistent", "Warning", "odd"),), highest_severity="Warning").receipt
    assert receipt is not None
    assert (receipt.kind, receipt.refers_to, receipt.codes) == ("arrived", "x", ("Inconsistent",))


def about_x(wire: Wire, action: str = MESSAGE_ERROR, **said: object) -> Envelope:
    """What the EPJ's message handler says of our letter `x`."""
    signal = {"service": SIGNAL_SERVICE, "service_type": "", "action": action, "ack_requested": "", "ref_to_message_id": "x@besoksbro.example"}
    return wire.hub.open(wire.written([], **{**signal, **said}), AT)


@pytest.mark.spec("facts/ebxml", "6.DeliveryFailure")
def test_a_warning_that_a_letter_may_not_have_been_delivered_is_no_receipt(wire: Wire) -> None:
    """Taken for one, the letter would never be sent again, and might be lost."""
    opened = about_x(wire, errors=(EbError("DeliveryFailure", "Warning", "sent on, and no receipt"),), highest_severity="Warning")
    assert (opened.receipt, opened.enquiry) == (None, Enquiry())


@pytest.mark.spec("facts/ebxml", "6.warning")
@pytest.mark.parametrize("said", [{"highest_severity": "Warning"}, {"acknowledges": "x@besoksbro.example", "highest_severity": "Error"}])
def test_of_two_contradicting_words_about_a_letter_the_worse_one_counts(wire: Wire, said: dict[str, object]) -> None:
    receipt = about_x(wire, errors=(EbError("SecurityFailure", "Error"),), **said).receipt
    assert receipt == Receipt(ReceiptKind.FAILED, "x", ("SecurityFailure",))


@pytest.mark.spec("facts/ebxml", "2.2.status")
@pytest.mark.parametrize(("word", "there"), [("UnAuthorized", False), ("NotRecognized", False), ("Received", True), ("Forwarded", True)])
@pytest.mark.parametrize("when", [AT, None])
def test_the_word_of_a_status_decides_whether_a_letter_is_there_and_not_whether_a_time_stands_beside_it(
    wire: Wire, word: str, there: bool, when: datetime | None,
) -> None:
    opened = about_x(wire, "StatusResponse", status=Status(MessageStatus(word), "x@besoksbro.example", when))
    assert opened.receipt == (Receipt(ReceiptKind.ARRIVED, "x", (word,)) if there else None)


@pytest.mark.spec("facts/ebxml", "6.never")
@pytest.mark.spec("facts/ebxml", "5")
@pytest.mark.parametrize("action", [ACKNOWLEDGMENT, MESSAGE_ERROR])
def test_a_signal_that_says_nothing_is_refused_and_not_answered(wire: Wire, action: str) -> None:
    unopened = refused(wire, wire.written([], service=SIGNAL_SERVICE, service_type="", action=action, ack_requested=""))
    assert unopened.problem is Problem.UNREADABLE
    assert wire.hub.refusal(unopened, AT) is None


@pytest.mark.spec("facts/ebxml", "7.1")
@pytest.mark.parametrize("action", [PING, "StatusRequest"])
def test_an_enquiry_from_the_partner_is_an_enquiry_and_nothing_to_read(wire: Wire, action: str) -> None:
    opened = wire.hub.open(wire.written([], service=SIGNAL_SERVICE, service_type="", action=action, ack_requested="", status_of="m@epj"), AT)
    assert (opened.enquiry, opened.receipt, opened.content.body) == (Enquiry("m@epj"), None, b"")


@pytest.mark.spec("facts/ebxml", "7.1")
def test_another_action_of_the_message_service_is_not_supported(wire: Wire) -> None:
    unopened = refused(wire, wire.written([], service=SIGNAL_SERVICE, service_type="", action="Dance", ack_requested=""))
    assert (unopened.problem, code(wire, unopened)) == (Problem.NOT_SUPPORTED, "NotSupported")


@pytest.mark.spec("facts/ebxml", "7.1")
def test_a_status_request_that_does_not_say_of_what_is_other_xml(wire: Wire) -> None:
    unopened = refused(wire, wire.written([], service=SIGNAL_SERVICE, service_type="", action="StatusRequest", ack_requested=""))
    assert code(wire, unopened) == "OtherXml"


@pytest.mark.spec("facts/ebxml", "7.1")
def test_our_ping_is_ponged_and_the_pong_says_nothing_more(wire: Wire) -> None:
    ping = wire.epj.open(wire.hub.enquire(AT), AT)
    assert ping.enquiry == Enquiry()
    pong = wire.epj.receipt(ping, None, AT)
    assert pong is not None
    header = envelope.read(xml.parse(pong.body))
    assert (header.action, header.ref_to_message_id, header.signed, header.ack_requested) == ("Pong", ping.id, True, "")
    heard = wire.hub.open(pong, AT)
    assert (heard.enquiry, heard.receipt) == (Enquiry(), None)
    assert wire.hub.receipt(heard, None, AT) is None


@pytest.mark.spec("facts/ebxml", "2.2.status")
@pytest.mark.spec("facts/ebxml", "7.1")
@pytest.mark.parametrize(("received", "accepted", "word"), [(None, False, "UnAuthorized"), (AT, False, "Received"), (AT, True, "Processed")])
def test_our_status_request_is_answered_with_the_fate_of_the_letter(wire: Wire, received: datetime | None, accepted: bool, word: str) -> None:
    asked = wire.epj.open(wire.hub.enquire(AT, "11"), AT)
    assert asked.enquiry == Enquiry("11@besoksbro.example")
    answer = wire.epj.receipt(replace(asked, enquiry=Enquiry("11@besoksbro.example", received, accepted)), None, AT)
    assert answer is not None
    told = envelope.read(xml.parse(answer.body)).status
    assert told == envelope.Status(envelope.MessageStatus(word), "11@besoksbro.example", received)
    heard = wire.hub.open(answer, AT)
    assert heard.receipt == (Receipt(ReceiptKind.ARRIVED, "11", (word,)) if received else None)
    assert (heard.enquiry is None) == (received is not None)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_an_attachment_that_cannot_be_opened_stops_the_whole_letter(wire: Wire) -> None:
    other = cms.envelop(SECOND, wire.epj._ring().keys.decrypt[0].certificate)
    for spoiled, media_type in ((other, P7M), (SECOND, "application/pdf")):
        unopened = refused(wire, wire.written([("a", P7M, wire.encrypted(FIRST)), ("b", media_type, spoiled)]))
        assert unopened.problem is Problem.NOT_DECRYPTABLE


def test_an_attachment_may_be_anything(wire: Wire) -> None:
    opened = wire.hub.open(wire.written([("a", P7M, wire.encrypted(FIRST)), ("b", P7M, wire.encrypted(b"%PDF-1.7"))]), AT)
    assert [(c.body, c.media_type) for c in opened.attachments] == [(b"%PDF-1.7", "application/octet-stream")]


@pytest.mark.spec("facts/ebxml", "4.4.gzip")
def test_an_attachment_that_is_itself_packed_stays_so_unless_the_letter_was_packed_as_a_whole(wire: Wire) -> None:
    archive = gzip.compress(b"a diary")
    opened = wire.hub.open(wire.written([("a", P7M, wire.encrypted(FIRST)), ("b", P7M, wire.encrypted(archive))]), AT)
    assert opened.attachments[0].body == archive
    both = [("a", P7M, wire.encrypted(gzip.compress(FIRST))), ("b", P7M, wire.encrypted(archive))]
    opened = wire.hub.open(wire.written(both), AT)
    assert (opened.content.body, opened.attachments[0].body) == (FIRST, b"a diary")


def test_the_older_name_of_the_media_type_of_what_is_encrypted_is_known(wire: Wire) -> None:
    assert wire.hub.open(wire.written([("a", "application/x-pkcs7-mime", wire.encrypted(FIRST))]), AT).content.body == FIRST


@pytest.mark.spec("facts/ebxml", "6.MimeProblem")
def test_a_letter_without_a_payload_is_refused(wire: Wire) -> None:
    assert code(wire, refused(wire, wire.written([]))) == "MimeProblem"


@pytest.mark.spec("facts/ebxml", "4.2")
def test_the_payload_is_the_manifests_first_part_in_whatever_order_the_parts_travel(wire: Wire) -> None:
    parts = [("a", P7M, wire.encrypted(FIRST)), ("b", P7M, wire.encrypted(SECOND))]
    sent = wire.written(parts)
    package = mime.read(sent.headers, sent.body)
    turned = Parcel(*mime.write(package.root.body, [parts[1], parts[0]], "b", "root@epj"))
    for parcel in (sent, turned):
        opened = wire.hub.open(parcel, AT)
        assert opened.content.body == FIRST
        assert [c.body for c in opened.attachments] == [SECOND]
        assert opened.digest != opened.content.digest


@pytest.mark.spec("facts/ebxml", "2.2.manifest")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_part_that_is_signed_but_not_listed_is_refused_even_when_another_is_listed_twice(wire: Wire) -> None:
    parts = [("a", P7M, wire.encrypted(FIRST)), ("b", P7M, wire.encrypted(SECOND))]
    for manifest in (("cid:a",), ("cid:a", "cid:a"), ("cid:a", "cid:%61")):
        assert refused(wire, wire.written(parts, manifest)).problem is Problem.NOT_COVERED


@pytest.mark.spec("facts/ebxml", "12")
def test_a_manifest_may_write_a_content_id_percent_encoded(wire: Wire) -> None:
    assert wire.hub.open(wire.written([("a+b@epj", P7M, wire.encrypted(FIRST))], ("cid:a%2Bb%40epj",)), AT).content.body == FIRST


@pytest.mark.spec("facts/ebxml", "4.4.gzip")
@pytest.mark.spec("facts/ebxml", "4.4")
def test_a_packed_payload_is_unpacked_and_a_broken_one_refused(wire: Wire) -> None:
    packed = gzip.compress(FIRST)
    assert wire.hub.open(wire.written([("a", P7M, wire.encrypted(packed))]), AT).content.body == FIRST
    for broken in (packed[:-4], packed[:4] + b"x" * 20, packed + b"more"):
        assert refused(wire, wire.written([("a", P7M, wire.encrypted(broken))])).problem is Problem.UNREADABLE


@pytest.mark.spec("facts/ebxml", "4.4")
@pytest.mark.parametrize("noise", [b"", b"\x00\x01\x02", b"no XML at all", gzip.compress(b"nor this", mtime=0)])
def test_noise_where_xml_should_be_is_what_a_wrong_key_gives(wire: Wire, noise: bytes) -> None:
    assert refused(wire, wire.written([("a", P7M, wire.encrypted(noise))])).problem is Problem.NOT_DECRYPTABLE


@pytest.mark.spec("facts/ebxml", "12")
def test_a_packed_payload_that_grows_beyond_all_measure_is_refused(wire: Wire) -> None:
    bomb = gzip.compress(b" " * (xml.LARGEST + 1))
    assert refused(wire, wire.written([("a", P7M, wire.encrypted(bomb))])).problem is Problem.TOO_LARGE


@pytest.mark.spec("facts/ebxml", "12.plain")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("media_type", ["application/xml", P7M])
def test_a_payload_in_the_clear_is_read_only_from_a_partner_named_for_it(wire: Wire, media_type: str) -> None:
    parcel = wire.written([("a", media_type, FIRST)])
    assert refused(wire, parcel).problem is Problem.NOT_DECRYPTABLE
    assert wire.plain.open(parcel, AT).content.body == FIRST


@pytest.mark.spec("facts/ebxml", "2.2.order")
@pytest.mark.spec("facts/ebxml", "6.NotSupported")
@pytest.mark.spec("facts/ebxml", "2.2")
def test_message_order_is_declined(wire: Wire) -> None:
    order = b'<eb:MessageOrder eb:version="2.0" SOAP:mustUnderstand="1"><eb:SequenceNumber>1</eb:SequenceNumber></eb:MessageOrder></SOAP:Header>'
    parcel = wire.written([("a", P7M, wire.encrypted(FIRST))], change=lambda soap: soap.replace(b"</SOAP:Header>", order))
    assert code(wire, refused(wire, parcel)) == "NotSupported"


NEXT_HOP = b'<eb:AckRequested SOAP:actor="%s" SOAP:mustUnderstand="1" eb:signed="false" eb:version="2.0"/>' % NEXT_MSH.encode()
HEADER_END = b"</SOAP:Header>"


@pytest.mark.spec("facts/ebxml", "6")
@pytest.mark.parametrize(
    ("old", "new", "told", "where"),
    [
        (HEADER_END, NEXT_HOP + HEADER_END, "NotSupported", "//Header/AckRequested"),
        (HEADER_END, NEXT_HOP.replace(b"next", b"toParty") + HEADER_END, "OtherXml", "//Header/AckRequested"),
        (HEADER_END, b'<eb:Via SOAP:mustUnderstand="1"/>' + HEADER_END, "NotSupported", "//Header"),
        (b"<eb:Action>Besok</eb:Action>", b"", "OtherXml", "//Header/MessageHeader"),
        (b"</SOAP:Body>", b'<eb:Manifest eb:version="2.0"/></SOAP:Body>', "OtherXml", "//Body/Manifest"),
        (b">8100000</eb:PartyId>", b">8100999</eb:PartyId>", "Inconsistent", "//Header/MessageHeader/To"),
        (b">8100101</eb:PartyId>", b">8100999</eb:PartyId>", "Inconsistent", "//Header/MessageHeader/From"),
    ],
    ids=["next hop", "two AckRequested", "unknown header", "no Action", "two Manifests", "To", "From"],
)
def test_what_is_wrong_in_an_envelope_that_says_whom_to_answer_is_told_in_a_message_error(
    wire: Wire, old: bytes, new: bytes, told: str, where: str,
) -> None:
    """A SOAP Fault says nothing of which letter it is about, and by mail it goes nowhere."""
    unopened = refused(wire, wire.written([("a", P7M, wire.encrypted(FIRST))], change=lambda soap: soap.replace(old, new)))
    answer = wire.hub.refusal(unopened, AT)
    assert answer is not None
    header = envelope.read(xml.parse(answer.body))
    assert (header.action, header.ref_to_message_id, header.signed) == (MESSAGE_ERROR, "m@epj", True)
    assert [(e.code, e.severity, e.location) for e in header.errors] == [(told, "Error", where)]


@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_document_in_utf_16_is_a_document(wire: Wire, encoding: str) -> None:
    body = ("\ufeff<?xml version='1.0' encoding='UTF-16'?><First>bl\xe5b\xe6r</First>\n").encode(encoding)
    opened = wire.hub.open(wire.written([("a", P7M, wire.encrypted(body))]), AT)
    assert (opened.content.body, opened.content.media_type) == (body, "application/xml")
    assert xml.parse(body).text == "bl\xe5b\xe6r"


@pytest.mark.spec("facts/ebxml", "6.Inconsistent")
def test_an_envelope_of_another_version_is_inconsistent(wire: Wire) -> None:
    parts = [("a", P7M, wire.encrypted(FIRST))]
    unopened = refused(wire, wire.written(parts, change=lambda soap: soap.replace(b'eb:version="2.0"', b'eb:version="3.0"', 1)))
    assert (code(wire, unopened), unopened.where) == ("Inconsistent", "//Header/MessageHeader/@version")


@pytest.mark.spec("facts/ebxml", "2.2.understand")
def test_a_header_that_must_be_understood_and_is_not_gets_the_soap_fault_for_it(wire: Wire) -> None:
    other = b'<t:Other xmlns:t="urn:t" SOAP:mustUnderstand="%d"></t:Other></SOAP:Header>'
    parts = [("a", P7M, wire.encrypted(FIRST))]
    unopened = refused(wire, wire.written(parts, change=lambda soap: soap.replace(b"</SOAP:Header>", other % 1)))
    answer = wire.hub.refusal(unopened, AT)
    assert answer is not None
    assert b"<faultcode>SOAP:MustUnderstand</faultcode>" in answer.body
    opened = wire.hub.open(wire.written(parts, change=lambda soap: soap.replace(b"</SOAP:Header>", other % 0)), AT)
    assert opened.remarks == ("a header that is not ebMS 2.0's",)
    elsewhere = other.replace(b" SOAP:", b' SOAP:actor="urn:somebody" SOAP:', 1) % 1
    opened = wire.hub.open(wire.written(parts, change=lambda soap: soap.replace(b"</SOAP:Header>", elsewhere)), AT)
    assert opened.remarks == ("a header that is not ebMS 2.0's",)


@pytest.mark.spec("facts/ebxml", "5.signed")
@pytest.mark.spec("facts/ebxml", "5")
def test_an_unsigned_receipt_is_given_without_references_and_still_signed(wire: Wire) -> None:
    opened = wire.hub.open(wire.written([("a", P7M, wire.encrypted(FIRST))], ack_requested="unsigned"), AT)
    receipt = wire.hub.receipt(opened, None, AT)
    assert receipt is not None
    header = envelope.read(xml.parse(receipt.body))
    assert (header.signed, header.references, header.acknowledges) == (True, (), "m@epj")


def test_the_certificate_that_counts_is_the_one_that_signed(wire: Wire) -> None:
    """A valid second certificate beside an expired one does not lend it its validity."""
    seal = wire._seal("hub", HUB, EPJ)
    valid = wire.hub._ring().keys.sign.certificate
    ring = seal._ring()
    both = replace(ring, partner=replace(ring.partner, sign=(valid, *ring.partner.sign)))
    seal._ring = lambda: both  # type: ignore[assignment]
    assert seal.open(wire.written([("a", P7M, wire.encrypted(FIRST))]), AT).content.body == FIRST
    late = AT + timedelta(days=4 * 365)
    with pytest.raises(Unopened) as wrong:
        seal.open(wire.written([("a", P7M, wire.encrypted(FIRST))]), late)
    assert wrong.value.problem is Problem.CERTIFICATE_EXPIRED


@given(st.integers(0, 20_000), st.binary(min_size=1, max_size=12), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_whatever_is_changed_underway_is_refused_or_changes_nothing(wire: Wire, at: int, put_in: bytes, instead: bool) -> None:
    """Only Unopened escapes, and what is opened all the same says what the sender said."""
    sent = wire.written([("a", P7M, wire.encrypted(FIRST))])
    place = at % len(sent.body)
    body = sent.body[:place] + put_in + sent.body[place + (len(put_in) if instead else 0):]
    try:
        opened = wire.hub.open(Parcel(sent.headers, body), AT)
    except Unopened as unopened:
        wire.hub.refusal(unopened, AT)
        return
    whole = wire.hub.open(sent, AT)
    assert replace(opened, remarks=(), transport={}) == replace(whole, remarks=(), transport={})
