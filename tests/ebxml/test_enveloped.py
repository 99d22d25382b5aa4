"""The signature inside a MsgHead: ours is read by xmlsec, the published one by us, and nothing changed gets through."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from ebms_made import pair, xmlsec_agrees
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ebxml import signature, xml
from ebxml.envelope import DS
from ebxml.enveloped import sign_enveloped, verify_enveloped
from ebxml.errors import Fault, Violation

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead xmlns="urn:head" xmlns:x="urn:x"><A x:b="1"> tekst &amp; æøå </A><!-- c --></MsgHead>\n'.encode()


def fault_of(document: bytes, signer: str = "partner") -> Fault:
    with pytest.raises(Violation) as wrong:
        verify_enveloped(document, [pair(signer).certificate])
    return wrong.value.fault


def made(document: bytes = HEAD) -> bytes:
    own = pair("partner")
    return sign_enveloped(document, own.key, own.certificate)


@pytest.mark.spec("facts/ebxml", "4.3")
def test_a_signed_document_holds_for_us_and_for_xmlsec_and_the_signature_is_its_last_child() -> None:
    examined = verify_enveloped(made(), [pair("partner").certificate])
    assert examined.signer == pair("partner").certificate
    assert examined.covers == ("",)
    assert examined.remarks == ()
    assert xmlsec_agrees(made(), {})
    assert xml.parse(made())[-1].tag == f"{{{DS}}}Signature"


@pytest.mark.spec("facts/ebxml", "4.3")
def test_a_changed_document_another_signer_and_no_signature_are_told_apart() -> None:
    assert fault_of(made().replace("æøå".encode(), "æøa".encode())) is Fault.BAD_SIGNATURE
    assert fault_of(made(), "stranger") is Fault.WRONG_SIGNER
    assert fault_of(HEAD) is Fault.UNSIGNED
    assert fault_of(sign_enveloped(made(), pair("partner").key, pair("partner").certificate)) is Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "4.3")
@given(st.text("ab<>&\"'\t\n æ€", max_size=30), st.sampled_from(["utf-8", "iso-8859-1", "utf-16"]), st.booleans())
def test_xmlsec_agrees_on_every_document_we_sign(words: str, encoding: str, prefixed: bool) -> None:
    root = etree.Element("{urn:head}MsgHead", nsmap={"m" if prefixed else None: "urn:head"})
    etree.SubElement(root, "{urn:inner}Inner", nsmap={None: "urn:inner"}).text = words
    signed = made(etree.tostring(root, encoding=encoding, xml_declaration=True))
    assert verify_enveloped(signed, [pair("partner").certificate]).holds
    assert xmlsec_agrees(signed, {})


@pytest.mark.spec("facts/ebxml", "11")
def test_the_published_signed_msghead_holds_for_its_own_signer_alone(shared: Path) -> None:
    document = (shared / "standards" / "samples" / "msghead" / "signed-behandlerkrav.xml").read_bytes()
    shown: tuple[x509.Certificate, ...] = signature.examine(xml.parse(document), lambda uri: None).certificates
    assert verify_enveloped(document, shown[:1]).signer == shown[0]
    assert fault_of(document) is Fault.WRONG_SIGNER
