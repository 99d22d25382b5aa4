"""The Norwegian seal between a hub and an EPJ with keys of their own: what is closed is opened, and each wrong thing is told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from two_parties import AT, CONTENT, EPJ, FUNCTIONS, HUB, LETTER, STRANGER, Both, refused, told

from adapters.registries import pki
from adapters.seals.codes import EBMS, FAULTS
from adapters.seals.ebms import EbmsSeal
from ebxml import envelope, mime, signature, xml
from ebxml.errors import ErrorCode, Fault
from hub.adapter import Unopened
from hub.message import Parcel, ReceiptKind
from hub.problem import Problem, Refused


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("seal"))


def digest(reference: bytes) -> str | None:
    return etree.fromstring(reference).findtext(f"{{{envelope.DS}}}DigestValue")


def unsigned(parcel: Parcel) -> Parcel:
    start, end = parcel.body.index(b"<ds:Signature "), parcel.body.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    return replace(parcel, body=parcel.body[:start] + parcel.body[end:])


@pytest.mark.spec("facts/ebxml", "4.1")
def test_what_the_hub_closes_the_epj_opens(both: Both) -> None:
    opened = both.epj.open(both.sent(refers_to="earlier@epj"), AT)
    assert opened.content == CONTENT
    assert (opened.id, opened.sender, opened.receiver) == (f"{LETTER.id}@besoksbro.example", HUB, EPJ)
    assert (opened.conversation, opened.refers_to, opened.sent_at, opened.expires) == ("conversation-1", "earlier@epj", AT, LETTER.expires)
    assert (opened.function, opened.wants_receipt, opened.wants_reply, opened.remarks) == ("HelsefagligDialog/Bestilling", True, True, ())


@pytest.mark.spec("facts/ebxml", "5.swap")
@pytest.mark.spec("facts/ebxml", "5.signed")
@pytest.mark.spec("facts/ebxml", "5")
def test_the_acknowledgment_is_signed_repeats_what_was_signed_and_says_that_the_letter_arrived(both: Both) -> None:
    parcel = both.sent()
    answer = both.epj.receipt(both.epj.open(parcel, AT), None, AT)
    header = told(answer)
    assert answer is not None
    assert (header.service, header.action) == (envelope.SIGNAL_SERVICE, envelope.ACKNOWLEDGMENT)
    assert (header.ref_to_message_id, header.acknowledges) == (f"{LETTER.id}@besoksbro.example",) * 2
    assert (header.conversation_id, header.cpa_id) == ("conversation-1", f"{HUB}:{EPJ}")
    assert (header.sender.role, header.receiver.role) == ("Tjenesteyter", "Bestiller")
    package = mime.read(parcel.headers, parcel.body)
    sent = signature.examine(xml.parse(package.root.body), lambda uri: package.parts[0].body).references
    assert len(header.references) == len(sent) == 2
    assert [(uri, digest(e)) for uri, e in header.references] == [(uri, digest(e)) for uri, e in sent]
    opened = both.hub.open(answer, AT)
    assert opened.receipt is not None
    assert (opened.receipt.kind, opened.receipt.refers_to) == (ReceiptKind.ARRIVED, LETTER.id)
    assert both.hub.receipt(opened, None, AT) is None


@pytest.mark.spec("facts/ebxml", "7.3")
def test_the_same_letter_has_the_same_message_id_at_every_closing(both: Both) -> None:
    first, second = both.sent(), both.hub.close(CONTENT, LETTER, AT + timedelta(hours=1))
    assert first.body != second.body
    assert both.epj.open(first, AT).id == both.epj.open(second, AT).id
    assert told(first).manifest == told(second).manifest


CASES: dict[str, tuple[Callable[[Both], tuple[EbmsSeal, Parcel, datetime]], Problem]] = {
    "to another party": (lambda b: (b.seal("epj", EPJ, STRANGER), b.sent(), AT), Problem.WRONG_PARTY),
    "from another party": (
        lambda b: (b.hub, b.seal("stranger", STRANGER, HUB).close(CONTENT, LETTER, AT), AT), Problem.WRONG_PARTY,
    ),
    "unsigned": (lambda b: (b.epj, unsigned(b.sent()), AT), Problem.UNSIGNED),
    "by another signer": (lambda b: (b.hub, forged(b), AT), Problem.WRONG_SIGNER),
    "changed": (lambda b: (b.epj, swapped(b.sent(), b"conversation-1", b"conversation-2"), AT), Problem.BAD_SIGNATURE),
    "another payload": (lambda b: (b.epj, other_payload(b), AT), Problem.BAD_SIGNATURE),
    "a part too many": (lambda b: (b.epj, extra_part(b), AT), Problem.NOT_COVERED),
    "a part too few": (lambda b: (b.epj, without_part(b), AT), Problem.MISSING_PART),
    "with an expired certificate": (lambda b: (b.epj, b.sent(expires=None), AT + timedelta(days=4 * 365)), Problem.CERTIFICATE_EXPIRED),
    "before the certificate": (lambda b: (b.epj, b.sent(), AT - timedelta(days=2)), Problem.CERTIFICATE_EXPIRED),
    "encrypted to another": (lambda b: (encrypted_to_another(b), b.sent(), AT), Problem.NOT_DECRYPTABLE),
}


def swapped(parcel: Parcel, old: bytes, new: bytes) -> Parcel:
    assert old in parcel.body
    return replace(parcel, body=parcel.body.replace(old, new))


def forged(both: Both) -> Parcel:
    """The stranger says that it is the EPJ, and signs with its own key."""
    return both.seal("stranger", EPJ, HUB).close(CONTENT, LETTER, AT)


def other_payload(both: Both) -> Parcel:
    first, second = both.sent(), both.sent()
    package, other = (mime.read(p.headers, p.body) for p in (first, second))
    parts = [(package.parts[0].content_id, "application/pkcs7-mime", other.parts[0].body)]
    return Parcel(*mime.write(package.root.body, parts, "b", "r@x"))


def extra_part(both: Both) -> Parcel:
    parcel = both.sent()
    package = mime.read(parcel.headers, parcel.body)
    parts = [(p.content_id, "application/pkcs7-mime", p.body) for p in package.parts]
    return Parcel(*mime.write(package.root.body, [*parts, ("extra@x", "application/xml", b"<a/>")], "b", "r@x"))


def without_part(both: Both) -> Parcel:
    parcel = both.sent()
    return Parcel(*mime.write(mime.read(parcel.headers, parcel.body).root.body, [], "b", "r@x"))


def encrypted_to_another(both: Both) -> EbmsSeal:
    """An EPJ that has lost its encryption key and got another."""
    home = both.home / "epj-new"
    shutil.copytree(both.home / "epj", home, dirs_exist_ok=True)
    for kind in ("pem", "key"):
        shutil.copy(both.home / "pki" / STRANGER / f"enc.{kind}", home / "certs" / f"own-enc.{kind}")
    return both.seal("epj-new", EPJ, HUB)


@pytest.mark.spec("facts/ebxml", "6.SecurityFailure")
@pytest.mark.spec("facts/ebxml", "6.Inconsistent")
@pytest.mark.spec("facts/ebxml", "6.MimeProblem")
@pytest.mark.spec("facts/ebxml", "7.4")
@pytest.mark.parametrize("case", list(CASES))
def test_each_wrong_thing_is_refused_as_itself_and_the_sender_is_told_its_number(both: Both, case: str) -> None:
    make, problem = CASES[case]
    seal, parcel, at = make(both)
    unopened = refused(seal, parcel, at)
    assert unopened.problem == problem
    assert unopened.header is not None
    answer = seal.refusal(unopened, at)
    header = told(answer)
    assert (header.action, header.highest_severity, header.signed) == (envelope.MESSAGE_ERROR, "Error", True)
    assert header.ref_to_message_id == told(parcel).message_id
    (error,) = header.errors
    assert error.code == EBMS[problem]
    assert error.description.startswith(problem.value)


@pytest.mark.spec("facts/ebxml", "6")
def test_a_message_error_says_to_its_receiver_that_the_letter_failed_and_is_never_answered(both: Both) -> None:
    opened = both.epj.open(both.sent(), AT)
    error = both.epj.receipt(opened, Refused(Problem.NOT_ALLOWED, "not yours", "//x"), AT)
    assert error is not None
    read = both.hub.open(error, AT)
    assert read.receipt is not None
    assert (read.receipt.kind, read.receipt.refers_to) == (ReceiptKind.FAILED, LETTER.id)
    assert read.receipt.codes == ("SecurityFailure",)
    assert read.receipt.detail == f"{Problem.NOT_ALLOWED.value} not yours"
    assert both.hub.receipt(read, Refused(Problem.UNKNOWN_REFERENCE, "unknown"), AT) is None


@pytest.mark.spec("facts/ebxml", "6.never")
@pytest.mark.spec("facts/ebxml", "6")
def test_an_error_or_a_receipt_that_cannot_be_opened_is_not_answered(both: Both) -> None:
    opened = both.epj.open(both.sent(), AT)
    for signal in (both.epj.receipt(opened, None, AT), both.epj.receipt(opened, Refused(Problem.INVALID, "x"), AT)):
        assert signal is not None
        unopened = refused(both.hub, unsigned(signal))
        assert unopened.problem == Problem.UNSIGNED
        assert both.hub.refusal(unopened, AT) is None


@pytest.mark.spec("facts/ebxml", "6.nobody")
@pytest.mark.spec("facts/ebxml", "2.1.fault")
@pytest.mark.spec("facts/ebxml", "2.1.answer")
@pytest.mark.spec("facts/ebxml", "6")
@pytest.mark.parametrize("body", [b"", b"{}", b"<a", b"<a/>", b"<!DOCTYPE a><a/>", b"<a>&lt;x&gt;</a>"])
def test_what_cannot_be_read_is_answered_with_a_soap_fault_and_500(both: Both, body: bytes) -> None:
    unopened = refused(both.hub, Parcel({"content-type": "text/xml"}, body))
    assert unopened.header is None
    answer = both.hub.refusal(unopened, AT)
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (500, "text/xml; charset=UTF-8")
    fault = etree.fromstring(answer.body).find(f"{{{envelope.SOAP}}}Body/{{{envelope.SOAP}}}Fault/faultstring")
    assert fault is not None
    assert fault.text is not None
    assert fault.text.startswith(Problem.UNREADABLE.value)


def test_a_soap_fault_stays_xml_whatever_its_detail_says(both: Both) -> None:
    answer = both.hub.refusal(Unopened(Refused(Problem.UNREADABLE, 'a < b & "c" \x00 {}')), AT)
    assert answer is not None
    assert b"a &lt; b &amp;" in etree.tostring(etree.fromstring(answer.body))


@pytest.mark.spec("facts/ebxml", "6")
def test_a_soap_fault_from_the_partner_is_not_answered_with_another(both: Both) -> None:
    fault = both.hub.refusal(refused(both.hub, Parcel({}, b"")), AT)
    assert fault is not None
    assert both.epj.refusal(refused(both.epj, fault), AT) is None


@pytest.mark.spec("facts/ebxml", "4.5")
def test_while_a_partner_changes_its_certificate_both_are_accepted_and_each_has_its_own_time(both: Both) -> None:
    home = both.home / "epj-change"
    shutil.copytree(both.home / "epj", home, dirs_exist_ok=True)
    ca = pki_ca(both.home / "pki")
    theirs = home / "certs" / "partners" / HUB
    pki.issue(both.home / "pki" / "new", "sign", "Solbakken kommune", "999990000", *ca, AT + timedelta(days=4 * 365))
    shutil.copy(both.home / "pki" / "new" / "sign.pem", theirs / "sign-next.pem")
    changing = both.seal("epj-change", EPJ, HUB)
    assert changing.open(both.sent(), AT).content == CONTENT
    assert refused(changing, both.sent(expires=None), AT + timedelta(days=4 * 365)).problem == Problem.CERTIFICATE_EXPIRED


def pki_ca(folder: Path) -> tuple[x509.Name, rsa.RSAPrivateKey]:
    (folder / "new").mkdir(exist_ok=True)
    key = serialization.load_pem_private_key((folder / HUB / "sign.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()).subject, key


@pytest.mark.spec("facts/ebxml", "6")
def test_every_problem_has_an_ebms_row_and_every_fault_a_problem() -> None:
    assert set(EBMS) == set(Problem)
    assert set(FAULTS) == set(Fault)
    assert all(isinstance(code, ErrorCode) for code in EBMS.values())


@given(st.binary(max_size=200), st.sampled_from(["text/xml", 'multipart/related; type="text/xml"; boundary=b', "", "application/json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused_and_never_crash(both: Both, body: bytes, media_type: str) -> None:
    answer = both.hub.refusal(refused(both.hub, Parcel({"content-type": media_type}, body)), AT)
    assert answer is not None
    assert answer.status == 500
    etree.fromstring(answer.body)


@pytest.mark.spec("facts/ebxml", "2.4")
def test_role_service_and_action_are_the_functions_row_and_nothing_in_code(both: Both) -> None:
    row = {**FUNCTIONS["booking"], "service": "PLO", "action": "Innlagt", "from_role": "Sykehus", "to_role": "Kommune"}
    header = told(both.seal("hub", HUB, EPJ, functions={"booking": row}).close(CONTENT, LETTER, AT))
    assert (header.service, header.action, header.sender.role, header.receiver.role) == ("PLO", "Innlagt", "Sykehus", "Kommune")
