"""What we write is its own canonical form, so that its digest is taken without canonicalising: whatever it says, and whoever wrote what it repeats."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ebms_made import CID, header, pair, signed, xmlsec_agrees
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from test_envelope import WORDS, acknowledgment, message_error, signal
from test_envelope_elements import FULL, MADE

from ebxml import certificate as certs
from ebxml import signature, xml
from ebxml.compose import HEADER_END, SYNC_REPLY, write
from ebxml.envelope import ACKNOWLEDGMENT, DS, EB, SOAP, EbError, EbParty, Header, Order, PartyId, Reference

DIGEST = '<{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><{p}DigestValue>AAAA</{p}DigestValue>'


def canonical(document: bytes) -> bytes:
    return etree.tostring(etree.fromstring(document), method="c14n")


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("made", [*MADE, header, acknowledgment, message_error])
def test_every_element_is_written_in_canonical_form(made: Callable[[], Header]) -> None:
    written = write(made())
    assert written == canonical(written)


@pytest.mark.spec("facts/ebxml", "4.2")
@given(WORDS, WORDS, st.booleans(), st.sampled_from(["signed", "unsigned", ""]), st.integers(0, 99_999_999))
@example("\x00\x1f\ufffe\uffff\t\n\x85\u2028<&>\"']]>", "\"'<&>\x0b\uffff\t\n", True, "signed", 0)
def test_whatever_is_said_is_written_in_canonical_form(words: str, other: str, sync: bool, ack: str, number: int) -> None:
    said = header(
        description=words, language=other, more_descriptions=((words, other),), cpa_id=f"c{words}", conversation_id=f"c{other}", sync_reply=sync,
        sender=EbParty((PartyId(f"1{words}", other), PartyId("2", words)), other), ack_requested=ack, order=Order(number, other or "Reset"),
        service=f"s{words}", service_type=other, action=f"a{other}", message_id=f"m{words}", ref_to_message_id=f"r{other}",
        errors=(EbError(words, other, words, other, words, other),), manifest=(f"cid:{words}", CID),
        described=(Reference(f"cid:{words}", other, words, ((words, other),), other), FULL), status_of=f"o{words}",
    )
    written = write(said)
    assert written == canonical(written)


@pytest.mark.spec("facts/ebxml", "5.signed")
@pytest.mark.parametrize("repeated", [
    f'<ds:Reference xmlns:ds="{DS}" URI="">{DIGEST.format(p="ds:")}</ds:Reference>',
    f'<Reference xmlns="{DS}" URI="a&gt;b&quot;">{DIGEST.format(p="")}</Reference>',
    f'<ds:Reference xmlns:xlink="urn:x" xmlns:SOAP="urn:other" xmlns:ds="{DS}" xmlns:eb="{EB}" URI=\'\'>{DIGEST.format(p="ds:")}</ds:Reference>',
    f'<Reference URI="" xmlns="{DS}"><Transforms><Transform Algorithm="x"><XPath xmlns:SOAP="{SOAP}" xmlns:a="urn:a">not(@SOAP:actor)</XPath>'
    f'</Transform></Transforms>{DIGEST.format(p="")}</Reference>',
    f'<d:Reference xmlns:d="{DS}" URI=""><x xmlns=""/><x xmlns="urn:y"><d:y xmlns=""/></x>{DIGEST.format(p="d:")}</d:Reference>',
    f'<d:Reference xmlns:d="{DS}" URI="">{HEADER_END.replace("/", "")}{SYNC_REPLY}{HEADER_END}{DIGEST.format(p="d:")}</d:Reference>',
])
def test_a_receipt_repeats_what_others_wrote_in_canonical_form_and_its_own_signature_holds(repeated: str) -> None:
    written = write(signal(action=ACKNOWLEDGMENT, acknowledges="m@x", references=(("", repeated.encode()),)))
    assert written == canonical(written)
    own = pair("partner")
    receipt = signature.sign(written, [], own.key, certs.b64(own.certificate))
    assert etree.fromstring(receipt)[0][-1].tag == f"{{{DS}}}Signature"
    if "SyncReply" not in repeated:
        assert signature.verify(xml.parse(receipt), lambda uri: None, (), [own.certificate]).holds
        assert xmlsec_agrees(receipt, {})


@pytest.mark.spec("facts/ebxml", "2.2.syncreply")
def test_what_is_for_the_next_hop_stands_last_and_is_the_only_thing_that_is_not_signed() -> None:
    without, whole = signed(sync_reply=False), signed(sync_reply=True)
    digests = [signature.examine(xml.parse(data), {CID: b""}.get).references[0] for data in (without, whole)]
    assert digests[0] == digests[1]
    assert whole.partition(b"<ds:Signature")[0].endswith(SYNC_REPLY.encode())
