"""The signature: right in every part or refused, with the Fault that says why. Ours is read by xmlsec1 and xmlsec."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from ebms_made import CID, PAYLOAD, header, pair, signed, xmlsec_agrees
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ebxml import algorithms, envelope, mime, reference, signature, xml
from ebxml import certificate as certs
from ebxml.compose import SYNC_REPLY
from ebxml.envelope import DS
from ebxml.errors import ErrorCode, Fault, Violation

PARTS = {CID: PAYLOAD}


def verify(data: bytes, parts: dict[str, bytes] | None = None, signer: str = "partner", *, legacy: bool = False) -> signature.Examined:
    root = xml.parse(data)
    manifest = envelope.read(root).manifest
    have = PARTS if parts is None else parts
    return signature.verify(root, have.get, manifest, [pair(signer).certificate], legacy=legacy)


def refused(data: bytes, fault: Fault, parts: dict[str, bytes] | None = None, code: ErrorCode = ErrorCode.SECURITY_FAILURE) -> None:
    with pytest.raises(Violation) as wrong:
        verify(data, parts)
    assert (wrong.value.fault, wrong.value.code) == (fault, code)


def resigned(data: bytes, old: str, new: str) -> bytes:
    """SignedInfo changed and signed anew with the partner's key: only the rules can refuse it."""
    root = etree.fromstring(data.replace(old.encode(), new.encode()))
    assert etree.tostring(root) != data
    info = root.find(f".//{{{DS}}}SignedInfo")
    value = root.find(f".//{{{DS}}}SignatureValue")
    assert info is not None
    assert value is not None
    octets = etree.tostring(etree.fromstring(etree.tostring(info, with_tail=False)), method="c14n")
    value.text = base64.b64encode(pair("partner").key.sign(octets, padding.PKCS1v15(), hashes.SHA256())).decode()
    return etree.tostring(root)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_our_own_signature_holds_and_covers_the_envelope_and_the_part() -> None:
    examined = verify(signed())
    assert examined.holds
    assert set(examined.covers) == {"", CID}
    assert examined.remarks == ()


@pytest.mark.spec("facts/ebxml", "4.2.6")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_right_digests_with_a_wrong_signature_value_are_refused() -> None:
    other = signed(signer="stranger").partition(b"<ds:SignatureValue>")[2].partition(b"<")[0]
    data = signed()
    own = data.partition(b"<ds:SignatureValue>")[2].partition(b"<")[0]
    examined = signature.examine(xml.parse(data.replace(own, other)), PARTS.get)
    assert all(right for _, right in examined.digests)
    assert not examined.value_holds
    refused(data.replace(own, other), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("value", ["", "!", "AAAA", "A", "=", "åå"])
def test_a_signature_value_that_is_no_base64_or_too_short_is_refused(value: str) -> None:
    data = signed()
    own = data.partition(b"<ds:SignatureValue>")[2].partition(b"<")[0]
    refused(data.replace(own, value.encode()), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("tag", ["<SOAP:Body", "<ds:SignedInfo"])
def test_xml_that_cannot_be_canonicalised_is_refused(tag: str) -> None:
    refused(signed().replace(f"{tag}>".encode(), f'{tag} xmlns:a="relative/uri">'.encode()), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2.6")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    ("old", "new"), [("conversation-1", "conversation-2"), ("message-1@", "message-2@"), ("8094866", "8094867"), ("<SOAP:Body>", "<SOAP:Body> ")],
)
def test_a_right_value_with_a_changed_envelope_is_refused(old: str, new: str) -> None:
    data = signed().replace(old.encode(), new.encode())
    assert signature.examine(xml.parse(data), PARTS.get).value_holds
    refused(data, Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2.6")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_right_value_with_a_changed_part_is_refused() -> None:
    refused(signed(), Fault.BAD_SIGNATURE, {CID: PAYLOAD + b" "})


@pytest.mark.spec("facts/ebxml", "12.cid")
def test_the_scheme_of_a_cid_may_be_written_in_any_case() -> None:
    root = xml.parse(signed(manifest=(CID.replace("cid:", "CID:"),)))
    assert signature.verify(root, {CID: PAYLOAD}.get, [CID.replace("cid:", "CID:")], [pair("partner").certificate]).holds


@pytest.mark.spec("facts/ebxml", "4.2.3")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_part_of_the_manifest_outside_the_signature_is_refused() -> None:
    refused(signed({}), Fault.NOT_COVERED)
    refused(signed(manifest=(CID, "cid:second@example.no")), Fault.NOT_COVERED)


@pytest.mark.spec("facts/ebxml", "4.2.3")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_an_envelope_outside_the_signature_is_refused() -> None:
    data = signed()
    first = data[data.index(b'<ds:Reference URI="">'):data.index(b'<ds:Reference URI="cid:')]
    refused(resigned(data, first.decode(), ""), Fault.NOT_COVERED)


@pytest.mark.spec("facts/ebxml", "6.MimeProblem")
@pytest.mark.spec("facts/ebxml", "2.2.manifest")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_signed_part_that_is_missing_is_a_mime_problem() -> None:
    refused(signed(), Fault.MISSING_PART, {}, ErrorCode.MIME_PROBLEM)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_part_that_is_referred_to_twice_is_refused() -> None:
    data = signed()
    second = data[data.index(b'<ds:Reference URI="cid:'):data.index(b"</ds:SignedInfo>")].decode()
    refused(resigned(data, second, second * 2), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "12.cid")
@pytest.mark.spec("facts/ebxml", "12")
def test_two_parts_with_the_same_content_id_are_refused_before_the_signature_is_looked_at() -> None:
    name = CID.removeprefix("cid:")
    headers, body = mime.write(signed(), [(name, "application/xml", PAYLOAD), (name, "application/xml", b"other")], "b", "root@x")
    with pytest.raises(Violation, match="same Content-ID") as wrong:
        mime.read(headers, body)
    assert wrong.value.code == ErrorCode.MIME_PROBLEM


@pytest.mark.spec("facts/ebxml", "4.2.1")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_two_signatures_are_refused() -> None:
    data = signed()
    one = data[data.index(b"<ds:Signature "):data.index(b"</ds:Signature>")] + b"</ds:Signature>"
    refused(data.replace(one, one + one), Fault.BAD_SIGNATURE)
    refused(data.replace(b"<SOAP:Body>", b"<SOAP:Body>" + one), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2.1")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_no_signature_is_unsigned() -> None:
    refused(envelope.write(header()), Fault.UNSIGNED)


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("place", ["</SOAP:Body>", "</eb:MessageHeader>", "</SOAP:Envelope>"])
def test_a_signature_that_was_moved_is_refused(place: str) -> None:
    data = signed()
    one = data[data.index(b"<ds:Signature "):data.index(b"</ds:Signature>")] + b"</ds:Signature>"
    refused(data.replace(one, b"").replace(place.encode(), one + place.encode()), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_signed_envelope_wrapped_in_another_one_is_refused() -> None:
    data = signed().decode()
    inner_body = data[data.index("<SOAP:Body>"):data.index("</SOAP:Envelope>")]
    wrapped = data.replace(inner_body, f"<SOAP:Body><wrapper>{data}</wrapper></SOAP:Body>")
    refused(wrapped.encode(), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "2.2.once")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_two_message_headers_or_a_second_header_are_refused() -> None:
    data = signed()
    start, end = data.index(b"<eb:MessageHeader"), data.index(b"</eb:MessageHeader>") + len(b"</eb:MessageHeader>")
    twice = data.replace(data[start:end], data[start:end] * 2)
    with pytest.raises(Violation, match="one MessageHeader"):
        envelope.read(xml.parse(twice))
    refused(data.replace(b"<SOAP:Header>", b"<SOAP:Header></SOAP:Header><SOAP:Header>"), Fault.UNREADABLE, None, ErrorCode.OTHER_XML)


@pytest.mark.spec("facts/ebxml", "4.2.2")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    "uri", ["file:///etc/hostname", "http://127.0.0.1:9/x", "https://example.no/x", "#id", "#xpointer(/)", "payload-1@example.no", "CID:x"],
)
def test_a_reference_to_anything_but_the_envelope_and_the_parts_is_refused_without_being_fetched(uri: str) -> None:
    asked = []
    root = xml.parse(resigned(signed(), f'URI="{CID}"', f'URI="{uri}"'))
    with pytest.raises(Violation, match="neither the envelope nor a part"):
        signature.verify(root, lambda wanted: asked.append(wanted) or PAYLOAD, [CID], [pair("partner").certificate])  # type: ignore[func-returns-value]
    assert uri not in asked


@pytest.mark.spec("facts/ebxml", "4.2.2")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (algorithms.XPATH, "http://www.w3.org/TR/1999/REC-xslt-19991116"), (algorithms.ENVELOPED, "http://www.w3.org/2000/09/xmldsig#base64"),
        ("not(ancestor-or-self::node()[@SOAP:actor=", "not(self::eb:Manifest or self::node()[@SOAP:actor="), (reference.FILTER, "false()"),
        (envelope.NEXT_MSH, envelope.TO_PARTY), (reference.FILTER, ""), (algorithms.XPATH, "http://www.w3.org/2002/06/xmldsig-filter2"),
    ],
)
def test_another_transform_or_another_xpath_is_refused_even_when_signed(old: str, new: str) -> None:
    refused(resigned(signed(), old, new), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_an_xpath_whose_prefix_is_not_soap_is_refused_even_when_signed() -> None:
    refused(resigned(signed(), "<ds:XPath>", '<ds:XPath xmlns:SOAP="urn:other">'), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_transform_on_a_part_is_refused_even_when_signed() -> None:
    old = f'<ds:Reference URI="{CID}">'
    transforms = f'<ds:Transforms><ds:Transform Algorithm="{algorithms.C14N}"/></ds:Transforms>'
    refused(resigned(signed(), old, old + transforms), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'DigestMethod Algorithm="{algorithms.SHA256}"', 'DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#md5"'),
        (algorithms.RSA_SHA256, "http://www.w3.org/2000/09/xmldsig#hmac-sha1"), (algorithms.RSA_SHA256, ""),
    ],
)
def test_another_algorithm_is_refused(old: str, new: str) -> None:
    refused(resigned(signed(), old, new), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_sha_1_is_accepted_only_from_a_partner_named_for_it() -> None:
    digest = base64.b64encode(hashlib.sha1(PAYLOAD).digest()).decode()
    data = signed().decode()
    part = data[data.index(f'<ds:Reference URI="{CID}">'):data.index("</ds:SignedInfo>")]
    new = part.replace(algorithms.SHA256, f"{DS}sha1").replace(base64.b64encode(hashlib.sha256(PAYLOAD).digest()).decode(), digest)
    refused(resigned(data.encode(), part, new), Fault.BAD_SIGNATURE)
    assert verify(resigned(data.encode(), part, new), legacy=True).remarks == ("a digest with SHA-1",)


@pytest.mark.spec("facts/ebxml", "4.2.2")
@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.spec("facts/ebxml", "12")
def test_a_document_type_declaration_is_refused() -> None:
    for data in (b"<!DOCTYPE x>" + signed(), b"\xff\xfe" + ("<!DOCTYPE x>" + signed().decode()).encode("utf-16-le")):
        with pytest.raises(Violation, match="document type declaration"):
            xml.parse(data)


@pytest.mark.spec("facts/ebxml", "12.c14n")
@pytest.mark.spec("facts/ebxml", "2.2.syncreply")
@pytest.mark.spec("facts/ebxml", "12")
def test_sync_reply_may_be_taken_away() -> None:
    data = signed()
    without = data.replace(SYNC_REPLY.encode(), b"")
    assert without != data
    assert verify(without).holds
    assert xmlsec_agrees(without, PARTS)


@pytest.mark.spec("facts/ebxml", "4.2.4")
@pytest.mark.spec("facts/ebxml", "4.2")
def test_the_certificate_in_key_info_must_be_the_partners() -> None:
    refused(signed(signer="stranger"), Fault.WRONG_SIGNER)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_certificate_with_an_unknown_kind_of_key_is_refused() -> None:
    der = certs.der(pair("partner").certificate)
    odd = der.replace(bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06092a864886f70d01017f"))
    refused(signed().replace(base64.b64encode(der), base64.b64encode(odd)), Fault.WRONG_SIGNER)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_without_a_certificate_in_key_info_the_partners_is_tried() -> None:
    data = signed()
    shown = data[data.index(b"<ds:KeyInfo>"):data.index(b"</ds:Signature>")]
    assert verify(data.replace(shown, b"")).holds
    strangers = signed(signer="stranger")
    refused(strangers.replace(strangers[strangers.index(b"<ds:KeyInfo>"):strangers.index(b"</ds:Signature>")], b""), Fault.BAD_SIGNATURE)


@pytest.mark.spec("facts/ebxml", "12.c14n")
@pytest.mark.spec("facts/ebxml", "12")
def test_line_breaks_in_the_value_and_the_certificate_do_not_matter() -> None:
    data = signed()
    for tag in (b"<ds:SignatureValue>", b"<ds:X509Certificate>"):
        value = data.partition(tag)[2].partition(b"<")[0]
        data = data.replace(value, b"\n" + b"&#xD;\n".join(value[at:at + 76] for at in range(0, len(value), 76)) + b"\n")
    assert verify(data).holds
    assert verify(data.replace(b"\n", b"\r\n")).holds


@pytest.mark.spec("facts/ebxml", "4.2")
@given(st.text("ab<>&\"'\t\n åæø€", max_size=20), st.booleans(), st.lists(st.binary(max_size=30), max_size=3))
def test_xmlsec_agrees_on_whatever_we_sign(words: str, sync: bool, bodies: list[bytes]) -> None:
    parts = {f"cid:{number}@example.no": body for number, body in enumerate(bodies)}
    data = signed(parts, description=words, conversation_id=words or "c", cpa_id=words or "c", sync_reply=sync, manifest=tuple(parts))
    assert verify(data, parts).holds
    assert xmlsec_agrees(data, parts)


@pytest.mark.spec("facts/ebxml", "4.2")
def test_the_xmlsec1_program_verifies_our_envelope(tmp_path: Path) -> None:
    program = shutil.which("xmlsec1")
    if program is None:
        pytest.skip("xmlsec1 not found: apt-get install xmlsec1")
    (tmp_path / "message.xml").write_bytes(signed({}, manifest=()))
    certificate = tmp_path / "signer.pem"
    certificate.write_bytes(pair("partner").certificate.public_bytes(serialization.Encoding.PEM))
    command = [program, "--verify", "--pubkey-cert-pem", str(certificate), str(tmp_path / "message.xml")]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    (tmp_path / "message.xml").write_bytes(signed({}, manifest=()).replace(b"message-1", b"message-2"))
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0
