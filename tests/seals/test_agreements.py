"""What a CPA lays down is what the seal does; without one the national defaults hold. The public CPAs are read as they are."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from dev_keys import dev_pki

from adapters.carriers.memory import MemoryCarrier
from adapters.registries import pki
from adapters.registries.agreements import BadAgreement, agreement, of_cpa
from adapters.registries.certificates import MissingCertificate
from adapters.seals.ebms import EbmsSeal, ebms
from ebxml import certificate, cms, cpa, envelope, mime, xml
from ebxml.envelope import EbError, EbParty, PartyId
from ebxml.errors import Violation
from hub.adapter import Adapter, Surroundings, Unopened
from hub.delivery import Patience
from hub.message import Content, Letter, Parcel, Receipt, ReceiptKind
from hub.problem import Problem, Refused

HUB, EPJ = "8100000", "8100101"
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
FUNCTIONS = tomllib.loads((Path(__file__).parents[2] / "mappings" / "functions.toml").read_text(encoding="utf-8"))
CONTENT = Content(b"<MsgHead/>", "application/xml")
LETTER = Letter("11111111-2222-4333-8444-555555555555", "conversation-1", "booking", AT, AT + timedelta(days=2))
SENDS, TAKES = ("CanSend", "CanReceive"), ("CanReceive", "CanSend")


def role(name: str, action: str, way: str, channel: str) -> str:
    return (
        f'<CollaborationRole><Role a:name="{name}"/><ApplicationCertificateRef a:certId="enc"/><ServiceBinding><Service a:type="string">HelsefagligDialog'
        f'</Service><{way}><ThisPartyActionBinding a:action="{action}"><ChannelId>{channel}</ChannelId></ThisPartyActionBinding></{way}></ServiceBinding></CollaborationRole>'
    )


def party(pki_: Path, id_: str, roles: str, channel: str) -> str:
    """A PartyInfo; the ids `sign`, `enc`, `c`, `t`, `d` are the same in both, as Helsenorge's CPAs have it."""
    certificates = "".join(
        f'<Certificate a:certId="{use}"><KeyInfo xmlns="{cpa.DS}"><X509Data><X509Certificate>'
        f"{certificate.b64(x509.load_pem_x509_certificate((pki_ / id_ / f'{use}.pem').read_bytes()))}</X509Certificate></X509Data></KeyInfo></Certificate>"
        for use in ("sign", "enc")
    )
    return (
        f'<PartyInfo a:partyName="{id_}"><PartyId a:type="ENH">999990000</PartyId><PartyId a:type="HER">{id_}</PartyId>{roles}{certificates}'
        f'<DeliveryChannel a:channelId="c" a:transportId="t" a:docExchangeId="d"><MessagingCharacteristics {channel}/></DeliveryChannel>'
        f'<Transport a:transportId="t"><TransportReceiver><TransportProtocol>HTTP</TransportProtocol><Endpoint a:uri="https://{id_}.example/inn"/>'
        '</TransportReceiver></Transport><DocExchange a:docExchangeId="d"><ebXMLSenderBinding><SenderNonRepudiation><SigningCertificateRef a:certId="sign"/>'
        "</SenderNonRepudiation></ebXMLSenderBinding></DocExchange></PartyInfo>"
    )


def cpa_text(
    pki_: Path, *, status: str = "agreed", end: str = "2027-01-01T00:00:00Z", action: str = "Bestilling",
    channel: str = 'a:syncReplyMode="mshSignalsOnly" a:ackRequested="always" a:ackSignatureRequested="always" a:duplicateElimination="always"',
) -> bytes:
    ours = role("Bestiller", action, "CanSend", "c") + role("Bestiller", "Besok", "CanReceive", "c")
    theirs = role("Tjenesteyter", "Bestilling", "CanReceive", "c") + role("Tjenesteyter", "Besok", "CanSend", "c")
    return (
        f'\ufeff<CollaborationProtocolAgreement xmlns="{cpa.NAMESPACE}" xmlns:a="{cpa.NAMESPACE}" a:cpaid="cpa:77"><Status a:value="{status}"/>'
        f"<Start>2026-01-01T00:00:00Z</Start><End>{end}</End>{party(pki_, HUB, ours, channel)}{party(pki_, EPJ, theirs, channel)}</CollaborationProtocolAgreement>"
    ).encode()


class Both:
    def __init__(self, home: Path) -> None:
        self.home, self.pki = home, home / "pki"
        dev_pki(self.pki, {HUB: "Solbakken kommune", EPJ: "Visma Profil"}, AT)
        pki.lay_out(self.pki, home / "hub" / "certs", HUB, [])  # the partner's certificates are in the CPA
        pki.lay_out(self.pki, home / "epj" / "certs", EPJ, [HUB])
        self.epj = self.seal("epj", EPJ, HUB, cpa_id="cpa:77")

    def seal(self, folder: str, own: str, partner: str, **more: object) -> EbmsSeal:
        return ebms(Surroundings(self.home / folder, folder, partner, own, folder, {"functions": FUNCTIONS, **more}))

    def hub(self, text: bytes, **more: object) -> EbmsSeal:
        folder = self.home / "hub" / "certs" / "agreements"
        folder.mkdir(exist_ok=True)
        (folder / "epj.xml").write_bytes(text)
        return self.seal("hub", HUB, EPJ, agreement="epj.xml", **more)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("agreement"))


def header(parcel: Parcel | None) -> envelope.Header:
    assert parcel is not None
    return envelope.read(xml.parse(mime.read(parcel.headers, parcel.body).root.body))


def visit(both: Both, **changes: str) -> Parcel:
    """The EPJ's statement under the agreement."""
    functions = {**FUNCTIONS, "visit": {**FUNCTIONS["visit"], **changes}}
    epj = ebms(Surroundings(both.home / "epj", "epj", HUB, EPJ, "epj", {"functions": functions, "cpa_id": "cpa:77"}))
    return epj.close(CONTENT, replace(LETTER, function="visit"), AT)


@pytest.mark.spec("facts/ebxml", "8")
def test_a_letter_under_a_cpa_says_what_the_cpa_says_and_is_encrypted_to_the_certificate_in_it(both: Both) -> None:
    hub = both.hub(cpa_text(both.pki))
    sent = hub.close(CONTENT, LETTER, AT)
    h = header(sent)
    assert (h.cpa_id, h.ack_requested, h.sync_reply, h.duplicate_elimination) == ("cpa:77", "signed", True, True)
    assert both.epj.open(sent, AT).content == CONTENT
    assert hub.open(visit(both), AT).content == CONTENT
    assert hub.agreement.endpoint == f"https://{EPJ}.example/inn"


@pytest.mark.spec("facts/ebxml", "8")
def test_what_the_cpa_never_asks_for_is_not_asked_for(both: Both) -> None:
    never = 'a:syncReplyMode="none" a:ackRequested="never" a:ackSignatureRequested="never" a:duplicateElimination="never"'
    h = header(both.hub(cpa_text(both.pki, channel=never)).close(CONTENT, LETTER, AT))
    assert (h.ack_requested, h.sync_reply, h.duplicate_elimination) == ("", False, False)
    plain = 'a:syncReplyMode="none" a:ackRequested="perMessage" a:ackSignatureRequested="never"'
    assert header(both.hub(cpa_text(both.pki, channel=plain)).close(CONTENT, LETTER, AT)).ack_requested == "unsigned"


@pytest.mark.spec("facts/ebxml", "6.ValueNotRecognized")
@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize("changes", [{"action": "Kvittering"}, {"service": "Legemelding"}, {"from_role": "Bestiller"}])
def test_role_service_and_action_must_all_be_agreed(both: Both, changes: dict[str, str]) -> None:
    hub = both.hub(cpa_text(both.pki))
    with pytest.raises(Unopened) as wrong:
        hub.open(visit(both, **changes), AT)
    assert (wrong.value.problem, wrong.value.where) == (Problem.UNKNOWN_AGREEMENT, "//Header/MessageHeader/Action")
    assert header(hub.refusal(wrong.value, AT)).errors[0].code == "ValueNotRecognized"


@pytest.mark.spec("facts/ebxml", "8")
def test_a_direction_that_only_one_side_has_is_not_agreed(both: Both) -> None:
    with pytest.raises(Refused) as wrong:
        both.hub(cpa_text(both.pki, action="Timebestilling")).close(CONTENT, LETTER, AT)
    assert wrong.value.problem is Problem.UNKNOWN_AGREEMENT


@pytest.mark.spec("facts/ebxml", "6.ValueNotRecognized")
@pytest.mark.spec("facts/ebxml", "8")
def test_another_cpa_id_and_an_agreement_out_of_force_are_refused(both: Both) -> None:
    other = both.hub(cpa_text(both.pki).replace(b"cpa:77", b"cpa:78"))
    ended = both.hub(cpa_text(both.pki, end="2026-11-30T00:00:00Z"))
    for hub in (other, ended):
        with pytest.raises(Unopened) as wrong:
            hub.open(visit(both), AT)
        assert (wrong.value.problem, wrong.value.where) == (Problem.UNKNOWN_AGREEMENT, "//Header/MessageHeader/CPAId")


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize("at", [AT, AT + timedelta(hours=20)], ids=["another id", "past its end"])
def test_what_is_said_of_a_letter_counts_under_another_cpa_id_and_past_the_agreements_end(both: Both, at: datetime) -> None:
    """A partner that does not know our CPA says so under an id of its own; and what was sent on the last day is acknowledged on the next."""
    hub = both.hub(cpa_text(both.pki, end="2026-12-01T12:00:00Z"))
    sent = both.epj.open(hub.close(CONTENT, LETTER, AT), AT)
    told = replace(sent, transport={**sent.transport, "cpa": "unknown" if at == AT else "cpa:77"})
    for refused, kind in ((None, "arrived"), (Refused(Problem.UNKNOWN_AGREEMENT, "no such CPA"), "failed")):
        parcel = both.epj.receipt(told, refused, at)
        assert parcel is not None
        receipt = hub.open(parcel, at).receipt
        assert receipt is not None and (receipt.kind, receipt.refers_to) == (kind, LETTER.id)


@pytest.mark.spec("facts/ebxml", "5")
def test_a_receipt_needs_no_row_in_the_cpa(both: Both) -> None:
    hub = both.hub(cpa_text(both.pki))
    receipt = both.epj.receipt(both.epj.open(hub.close(CONTENT, LETTER, AT), AT), None, AT)
    assert receipt is not None
    opened = hub.open(receipt, AT).receipt
    assert opened is not None
    assert opened.refers_to == LETTER.id


@pytest.mark.spec("facts/ebxml", "8")
def test_a_proposed_cpa_is_used_only_where_it_is_allowed(both: Both) -> None:
    with pytest.raises(BadAgreement, match="proposed"):
        both.hub(cpa_text(both.pki, status="proposed"))
    assert both.hub(cpa_text(both.pki, status="proposed"), agreement_status=["proposed"]).agreement.id == "cpa:77"


@pytest.mark.parametrize("text", [b"", b"<a/>", b"<!DOCTYPE a><a/>"])
def test_a_cpa_that_cannot_be_read_stops_the_start(both: Both, text: bytes) -> None:
    with pytest.raises(BadAgreement):
        both.hub(text)


def test_a_cpa_between_others_and_one_that_is_not_there_stop_the_start(both: Both) -> None:
    with pytest.raises(BadAgreement, match="8100999"):
        of_cpa(cpa.read(cpa_text(both.pki)), HUB, "8100999")
    with pytest.raises(BadAgreement, match=r"nowhere\.xml"):
        agreement(both.home, HUB, EPJ, {"agreement": "nowhere.xml"})


def test_the_operators_own_files_come_before_the_certificates_in_the_cpa(both: Both) -> None:
    theirs = both.home / "hub" / "certs" / "partners" / EPJ
    theirs.mkdir(parents=True)
    try:
        with pytest.raises(MissingCertificate, match=r"sign\.pem mangler"):
            both.hub(cpa_text(both.pki))
        for use in ("sign", "enc"):
            shutil.copy(both.pki / HUB / f"{use}.pem", theirs / f"{use}.pem")  # somebody else's: the partner is not believed any more
        with pytest.raises(Unopened) as wrong:
            both.hub(cpa_text(both.pki)).open(visit(both), AT)
        assert wrong.value.problem is Problem.WRONG_SIGNER
    finally:
        shutil.rmtree(theirs)


@pytest.mark.spec("facts/ebxml", "3")
def test_without_a_cpa_the_national_defaults_hold(both: Both) -> None:
    found = agreement(both.home, HUB, EPJ, {})
    assert (found.id, found.formal, found.ack, found.sync, found.duplicate_elimination) == (f"{HUB}:{EPJ}", False, "signed", True, True)
    assert found.in_force(AT)
    assert found.allows(("any", "thing", "at all"), ours=False)
    assert agreement(both.home, HUB, EPJ, {"cpa_id": "x", "sync": False}) == replace(found, id="x", sync=False)


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize(
    ("name", "own", "partner", "ack", "sync", "actions"),
    [
        ("nav-qass-35065.xml", "8141253", "79768", "signed", False, {("Lege", "Legemelding", "Legeerklaring")}),
        ("helsenorge-CPA_v2.xml", "8093238", "8093240", "", False, set()),
        ("ebf.rm.https.signed-sha256.xml", "0" * 19 + "1", "0" * 20, "unsigned", False, {("OVERHEID", "osb:aanleveren:1.1$1.0", "aanleveren")}),
    ],
)
def test_public_cpas_are_read_from_both_sides(
    shared: Path, name: str, own: str, partner: str, ack: str, sync: bool, actions: set[tuple[str, str, str]],
) -> None:
    read = cpa.read((shared / "standards" / "samples" / "cpa" / name).read_bytes())
    ours, theirs = (of_cpa(read, a, b, ("agreed", "proposed")) for a, b in ((own, partner), (partner, own)))
    assert (ours.we_send, ours.they_send) == (theirs.they_send, theirs.we_send)
    assert actions <= ours.we_send
    assert (ours.ack, ours.sync) == (ack, sync)
    assert ours.endpoint


@pytest.mark.spec("facts/ebxml", "7.2")
@pytest.mark.spec("facts/ebxml", "8")
def test_a_cpa_and_the_register_offer_the_same_terms(both: Both) -> None:
    formal = both.hub(cpa_text(both.pki)).agreement
    row = FUNCTIONS["booking"]
    action = (row["from_role"], row["service"], row["action"])
    terms = formal.terms(action, ours=True)
    assert (terms.endpoint, terms.ack, terms.sync) == (formal.endpoint, "signed", True)
    with pytest.raises(Violation):
        formal.terms(("Nobody", *action[1:]), ours=True)
    register = agreement(both.home, HUB, EPJ, {}).terms(action, ours=True)
    assert type(register) is type(terms)
    assert (register.ack, register.sign, register.encrypt, register.retries) == ("signed", True, True, 5)
    assert register.time_to_live(AT) == AT + timedelta(hours=72)


@pytest.mark.spec("facts/ebxml", "8")
def test_an_action_whose_channel_is_not_there_is_refused_before_anything_is_sent(both: Both) -> None:
    text = cpa_text(both.pki)
    broken = text.replace(b"a:channelId=", b"a:channelIdentity=")
    assert broken != text
    with pytest.raises(Refused) as wrong:
        both.hub(broken).close(CONTENT, LETTER, AT)
    assert wrong.value.problem is Problem.UNKNOWN_AGREEMENT


RELIABLE = "<ebXMLSenderBinding><ReliableMessaging><Retries>4</Retries><RetryInterval>{}</RetryInterval></ReliableMessaging><PersistDuration>{}</PersistDuration>"


@pytest.mark.spec("facts/ebxml", "7.2")
@pytest.mark.parametrize(("made", "interval", "persist", "expected"), [
    (datetime(2026, 11, 26, tzinfo=UTC), "PT720M", "P4D", (timedelta(hours=12), timedelta(hours=60))),
    (datetime(2026, 11, 26, tzinfo=UTC), "PT720M", "P2D", (timedelta(hours=12), timedelta(hours=48))),
    (datetime(2027, 1, 31, tzinfo=UTC), "P1M", "P2M", (timedelta(days=28), timedelta(days=59))),
])
def test_how_long_to_try_is_the_cpas_word_by_the_calendar(
    both: Both, made: datetime, interval: str, persist: str, expected: tuple[timedelta, timedelta],
) -> None:
    text = cpa_text(both.pki).replace(b"<ebXMLSenderBinding>", RELIABLE.format(interval, persist).encode())
    seal = both.hub(text)
    agreed = seal.agreed("booking", made)
    assert agreed is not None and (agreed.interval, agreed.lives_for) == expected
    adapter = Adapter("epj", EPJ, MemoryCarrier(), seal, None, frozenset(), patience=Patience(answer_within=timedelta(hours=5)))  # type: ignore[arg-type]
    patience = adapter.patience_for("booking", made)
    assert patience.pause(1) == patience.pause(9) == patience.receipt_within == expected[0] and patience.give_up_after == expected[1]
    assert patience.answer_within == timedelta(hours=5), "a CPA says nothing of the application's answer"


def test_without_a_cpa_the_adapters_own_patience_decides_and_a_function_may_have_its_own(both: Both) -> None:
    own, mine = Patience(give_up_after=timedelta(hours=1)), Patience(answer_within=timedelta(minutes=9))
    adapter = Adapter("hub", HUB, MemoryCarrier(), both.epj, None, frozenset(), patience=own, patience_of={"receipt": mine})  # type: ignore[arg-type]
    assert adapter.patience_for("booking", AT) == own and adapter.patience_for("receipt", AT) == mine


@pytest.mark.spec("facts/ebxml", "6.Inconsistent")
@pytest.mark.parametrize(
    ("word", "changes", "where"),
    [
        ("always", {"ack": ""}, "//Header/AckRequested"), ("always", {"ack": "unsigned"}, "//Header/AckRequested/@signed"),
        ("always", {"duplicate_elimination": False}, "//Header/MessageHeader/DuplicateElimination"), ("never", {}, "//Header/AckRequested"),
        ("never", {"ack": ""}, "//Header/MessageHeader/DuplicateElimination"), ("perMessage", {"ack": ""}, ""), ("perMessage", {}, ""),
        ("never", {"ack": "", "duplicate_elimination": False}, ""), ("always", {}, ""),
    ],
)
def test_what_both_sides_always_or_never_do_must_be_kept(both: Both, word: str, changes: dict[str, object], where: str) -> None:
    promises = " ".join(f'a:{name}="{word}"' for name in ("ackRequested", "ackSignatureRequested", "duplicateElimination"))
    hub = both.hub(cpa_text(both.pki, channel=f'{promises} a:syncReplyMode="mshSignalsOnly"'))
    epj = both.seal("epj", EPJ, HUB, cpa_id="cpa:77")
    epj.agreement = replace(epj.agreement, **changes)  # type: ignore[arg-type]
    parcel = epj.close(CONTENT, replace(LETTER, function="visit"), AT)
    if not where:
        assert hub.open(parcel, AT).content == CONTENT
        return
    with pytest.raises(Unopened) as wrong:
        hub.open(parcel, AT)
    assert (wrong.value.problem, wrong.value.where) == (Problem.NOT_AS_AGREED, where)
    (error,) = header(hub.refusal(wrong.value, AT)).errors
    assert (error.code, error.location) == ("Inconsistent", where)


@pytest.mark.spec("facts/ebxml", "6.Inconsistent")
@pytest.mark.parametrize(
    ("mode", "role_to", "where"),
    [
        ("mshSignalsOnly", "Bestiller", ""), ("mshSignalsOnly", "", ""), ("none", "Bestiller", "//Header/SyncReply"),
        ("mshSignalsOnly", "Saksbehandler", "//Header/MessageHeader/To/Role"),
    ],
)
def test_an_answer_on_the_same_connection_and_the_receivers_role_are_as_agreed(both: Both, mode: str, role_to: str, where: str) -> None:
    hub = both.hub(cpa_text(both.pki, channel=f'a:syncReplyMode="{mode}"'))
    parcel = visit(both, to_role=role_to)
    if not where:
        assert hub.open(parcel, AT).content == CONTENT
        return
    with pytest.raises(Unopened) as wrong:
        hub.open(parcel, AT)
    (error,) = header(hub.refusal(wrong.value, AT)).errors
    assert (error.code, error.location) == ("Inconsistent", where)


@pytest.mark.spec("facts/ebxml", "9.2.service")
def test_an_apprec_goes_by_the_row_that_the_cpa_agrees_to(both: Both) -> None:
    other = both.hub(cpa_text(both.pki))
    assert other.open(visit(both), AT).answered_by == "receipt", "the CPA does not have the receipt's own row"
    text = cpa_text(both.pki).decode()
    for role_, may in (("Bestiller", "CanSend"), ("Tjenesteyter", "CanReceive")):
        first = role(role_, "Bestilling", may, "c")
        assert first in text
        text = text.replace(first, first + role(role_, "Kvittering", may, "c"))
    assert both.hub(text.encode()).open(visit(both), AT).answered_by == "visit-receipt"


@pytest.mark.spec("facts/ebxml", "4.2.1")
@pytest.mark.parametrize(("signed", "counts"), [("never", True), ("perMessage", False), ("always", False)])
def test_a_receipt_without_a_signature_counts_only_where_the_cpa_says_that_receipts_have_none(both: Both, signed: str, counts: bool) -> None:
    hub = both.hub(cpa_text(both.pki, channel=f'a:ackRequested="always" a:ackSignatureRequested="{signed}"'))
    bare = unsigned(both, hub, acknowledges="ours@besoksbro.example")
    if counts:
        opened = hub.open(bare, AT)
        assert opened.receipt == Receipt(ReceiptKind.ARRIVED, "ours")
        assert "not signed, as the agreement has it of receipts" in opened.remarks
    else:
        with pytest.raises(Unopened) as wrong:
            hub.open(bare, AT)
        assert wrong.value.problem is Problem.UNSIGNED
    for more in ({"errors": (EbError("Unknown", "Error"),)}, {"acknowledges": "ours@x", "errors": (EbError("Unknown", "Warning"),)}):
        with pytest.raises(Unopened) as wrong:
            hub.open(unsigned(both, hub, **more), AT)
        assert wrong.value.problem is Problem.UNSIGNED


def unsigned(both: Both, hub: EbmsSeal, **said: object) -> Parcel:
    """A signal from the EPJ as it is before it is signed."""
    action = "Acknowledgment" if said.get("acknowledges") else "MessageError"
    bare = envelope.Header(
        sender=EbParty((PartyId(EPJ),), "Tjenesteyter"), receiver=EbParty((PartyId(HUB),), "Bestiller"), cpa_id=hub.agreement.id,
        conversation_id="c", service=envelope.SIGNAL_SERVICE, action=action, message_id="s@epj", timestamp=AT,
        ref_to_message_id="ours@besoksbro.example", **said,  # type: ignore[arg-type]
    )
    return Parcel(*mime.write(envelope.write(bare), [], "", ""))


@pytest.mark.spec("facts/ebxml", "4.1")
@pytest.mark.spec("facts/ebxml", "4.4.gzip")
@pytest.mark.parametrize("packed", [True, False])
def test_a_letter_is_packed_when_the_cpas_packaging_says_so(both: Both, packed: bool) -> None:
    inner = '<Encapsulation a:id="z" a:mimetype="application/x-gzip"><Constituent a:idref="x"/></Encapsulation>' if packed else ""
    packaging = f'<Packaging a:id="p"><CompositeList>{inner}</CompositeList></Packaging></CollaborationProtocolAgreement>'
    text = cpa_text(both.pki).decode().replace("</CollaborationProtocolAgreement>", packaging)
    text = text.replace("<ThisPartyActionBinding ", '<ThisPartyActionBinding a:packageId="p" ')
    hub = both.hub(text.encode())
    sent = hub.close(CONTENT, LETTER, AT)
    (part,) = mime.read(sent.headers, sent.body).parts
    opened = cms.open_(part.body, both.epj._ring().keys.decrypt)
    assert opened.startswith(b"\x1f\x8b") == packed
    assert both.epj.open(sent, AT).content == CONTENT
