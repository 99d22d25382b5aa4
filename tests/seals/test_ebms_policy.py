"""What a partner is allowed beyond the profile, and only when its settings say so; and that a spoiled parcel is refused, never a crash."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from two_parties import AT, CONTENT, EPJ, HUB, Both, refused, told

from ebxml import certificate as certs
from ebxml import cms, envelope, mime, signature
from ebxml.envelope import EbParty, Header, PartyId
from hub.adapter import Unopened
from hub.message import Parcel
from hub.problem import Problem


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("policy"))


def from_hub(both: Both, body: bytes, media_type: str, *, before: tuple[str, str] = ("", ""), **changes: object) -> Parcel:
    """Signed by the hub's key, with a part as it is."""
    values: dict[str, object] = {
        "sender": EbParty((PartyId(HUB),), "Bestiller"), "receiver": EbParty((PartyId(EPJ),), "Tjenesteyter"), "cpa_id": f"{HUB}:{EPJ}",
        "conversation_id": "c", "service": "HelsefagligDialog", "service_type": "string", "action": "Bestilling", "message_id": "m-1@x",
        "timestamp": AT, "ack_requested": "signed", "manifest": ("cid:p@x",), **changes,
    }
    sign = both.hub._ring().keys.sign
    soap = envelope.write(Header(**values)).replace(*(text.encode() for text in before))  # type: ignore[arg-type]
    soap = signature.sign(soap, [("cid:p@x", body)], sign.key, certs.b64(sign.certificate))
    return Parcel(*mime.write(soap, [("p@x", media_type, body)], "b", "r@x"))


@pytest.mark.spec("facts/ebxml", "12.plain")
@pytest.mark.spec("facts/ebxml", "6.SecurityFailure")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("media_type", ["application/xml", "text/xml", "application/pkcs7-mime"])
def test_a_payload_that_is_not_encrypted_is_read_only_where_the_settings_say_so(both: Both, media_type: str) -> None:
    parcel = from_hub(both, CONTENT.body, media_type)
    assert refused(both.epj, parcel).problem == Problem.NOT_DECRYPTABLE
    assert both.seal("epj", EPJ, HUB, plain=True).open(parcel, AT).content == CONTENT


@pytest.mark.spec("facts/ebxml", "4.4")
def test_an_encrypted_payload_is_read_whatever_the_settings_say(both: Both) -> None:
    sealed = cms.envelop(CONTENT.body, both.hub._ring().partner.encrypt)
    for plain in (False, True):
        assert both.seal("epj", EPJ, HUB, plain=plain).open(from_hub(both, sealed, "application/pkcs7-mime"), AT).content == CONTENT


def test_message_order_is_not_supported_and_the_sender_is_told(both: Both) -> None:
    order = '<eb:MessageOrder eb:version="2.0" SOAP:mustUnderstand="1"><eb:SequenceNumber>1</eb:SequenceNumber></eb:MessageOrder></SOAP:Header>'
    unopened = refused(both.epj, from_hub(both, b"x", "application/xml", before=("</SOAP:Header>", order)))
    assert unopened.problem == Problem.NOT_SUPPORTED
    (error,) = told(both.epj.refusal(unopened, AT)).errors
    assert error.code == "NotSupported"


def test_no_receipt_is_sent_where_none_is_asked_for_but_a_refusal_is(both: Both) -> None:
    sealed = cms.envelop(CONTENT.body, both.hub._ring().partner.encrypt)
    parcel = from_hub(both, sealed, "application/pkcs7-mime", ack_requested="")
    opened = both.epj.open(parcel, AT)
    assert not opened.wants_receipt
    assert both.epj.receipt(opened, None, AT) is None
    assert both.epj.refusal(refused(both.epj, replace(parcel, body=parcel.body.replace(b">c<", b">d<"))), AT) is not None


@pytest.mark.spec("facts/ebxml", "7.4")
def test_time_to_live_is_told_and_left_to_whoever_knows_what_came_before(both: Both) -> None:
    """A duplicate that comes late is still a duplicate: the flow looks for it first."""
    sealed = cms.envelop(CONTENT.body, both.hub._ring().partner.encrypt)
    parcel = from_hub(both, sealed, "application/pkcs7-mime", time_to_live=AT)
    assert both.epj.open(parcel, AT + timedelta(days=1)).expires == AT


@given(st.integers(0, 6000), st.integers(1, 300), st.sampled_from([b"", b"<", b"&#x1;", b"\r\n\r\n", b"\r\n--b", b"\xc3", b"A", b"<a/>"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_parcel_with_a_hole_is_opened_whole_or_refused_and_never_crashes(both: Both, at: int, length: int, instead: bytes) -> None:
    parcel = both.sent()
    spoiled = replace(parcel, body=parcel.body[:at] + instead + parcel.body[at + length:])
    try:
        opened = both.epj.open(spoiled, AT)
    except Unopened as unopened:
        answer = both.epj.refusal(unopened, AT)
        assert answer is not None
        assert answer.status == (500 if unopened.header is None else 200)
    else:
        assert opened.content == CONTENT
