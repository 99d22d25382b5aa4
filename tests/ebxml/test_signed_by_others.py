"""Messages that xmlsec signs, as other systems write them: indented, with other prefixes and algorithms. Ours reads them all alike."""

from __future__ import annotations

import itertools

import pytest
import xmlsec
from cryptography.hazmat.primitives import serialization
from ebms_made import CID, PAYLOAD, header, pair, serve, xmlsec_agrees
from lxml import etree

from ebxml import algorithms, envelope, signature, xml
from ebxml.envelope import DS, NEXT, NEXT_MSH, SOAP
from ebxml.errors import Fault, Violation

PARTS = {CID: PAYLOAD}
XPATH = f"""<ds:Transform Algorithm="{algorithms.XPATH}"><ds:XPath xmlns:s="{SOAP}">
  not(ancestor-or-self::node()[@s:actor='{NEXT}'] | ancestor-or-self::node()[@s:actor='{NEXT_MSH}'])
</ds:XPath></ds:Transform>"""
FOREIGN = f'<x:Trace xmlns:x="urn:x" SOAP:actor="{NEXT_MSH}">hop</x:Trace>'


def signed(canonical: str, method: str, digest: str, xpath: str, indent: bool = True, prefixes: str = "", **changes: object) -> bytes:
    """By xmlsec, in its own way. `prefixes` stands inside both canonicalisations."""
    transform = f'<ds:Transform Algorithm="{canonical}">{prefixes}</ds:Transform>'
    how = f'<ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/>'
    template = (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{canonical}">{prefixes}</ds:CanonicalizationMethod><ds:SignatureMethod '
        f'Algorithm="{method}"/><ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{algorithms.ENVELOPED}"/>{xpath}{transform}'
        f'</ds:Transforms>{how}</ds:Reference><ds:Reference URI="{CID}">{how}</ds:Reference></ds:SignedInfo><ds:SignatureValue/>'
        "<ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>"
    )
    text = envelope.write(header(**changes)).decode().replace("</SOAP:Header>", f"{FOREIGN if xpath else ''}{template}</SOAP:Header>")
    root = etree.fromstring(text)
    if indent:
        etree.indent(root, "\t")
    own = pair("partner")
    private = own.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(private, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(own.certificate.public_bytes(serialization.Encoding.PEM), xmlsec.constants.KeyDataFormatPem)
    serve(PARTS)
    context.sign(next(root.iter(f"{{{DS}}}Signature")))
    return etree.tostring(root)


def verify(data: bytes, *, legacy: bool = False) -> signature.Examined:
    return signature.verify(xml.parse(data), PARTS.get, [CID], [pair("partner").certificate], legacy=legacy)


ALL = list(itertools.product(
    algorithms.CANONICAL, [m for m in algorithms.METHODS if m not in algorithms.LEGACY], [d for d in algorithms.DIGESTS if d not in algorithms.LEGACY],
    [XPATH, ""], [True, False],
))


@pytest.mark.spec("facts/ebxml", "4.2.filter")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(("canonical", "method", "digest", "xpath", "indent"), ALL)
def test_every_accepted_way_of_signing_holds_and_the_missing_filter_is_remarked(
    canonical: str, method: str, digest: str, xpath: str, indent: bool,
) -> None:
    data = signed(canonical, method, digest, xpath, indent, sync_reply=bool(xpath))
    assert xmlsec_agrees(data, PARTS)
    assert verify(data).remarks == (() if xpath else ("signed without the XPath transform",))
    with pytest.raises(Violation) as wrong:
        verify(data.replace(b"message-1", b"message-2"))
    assert wrong.value.fault == Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(("method", "digest"), [(f"{DS}rsa-sha1", algorithms.SHA256), (algorithms.RSA_SHA256, f"{DS}sha1")])
def test_sha_1_by_others_is_accepted_only_from_a_partner_named_for_it(method: str, digest: str) -> None:
    data = signed(algorithms.C14N, method, digest, XPATH)
    with pytest.raises(Violation, match="SHA-1"):
        verify(data)
    assert verify(data, legacy=True).holds


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("told", ["SOAP", "SOAP eb xlink", "xlink unknown"])
def test_an_exclusive_canonicalisation_may_name_prefixes_for_what_is_signed_and_for_signedinfo(told: str) -> None:
    prefixes = f'<ec:InclusiveNamespaces xmlns:ec="{algorithms.EXCLUSIVE}" PrefixList="{told}"/>'
    data = signed(algorithms.EXCLUSIVE, algorithms.RSA_SHA256, algorithms.SHA256, XPATH, prefixes=prefixes)
    assert xmlsec_agrees(data, PARTS)
    assert verify(data).holds


@pytest.mark.spec("facts/ebxml", "12.c14n")
@pytest.mark.spec("facts/ebxml", "12")
def test_what_is_for_the_next_hop_may_be_taken_out_of_an_indented_envelope() -> None:
    root = etree.fromstring(signed(algorithms.C14N, algorithms.RSA_SHA256, algorithms.SHA256, XPATH))
    head = root[0]
    for element in [e for e in head if e.get(f"{{{SOAP}}}actor") in (NEXT, NEXT_MSH)]:
        before = element.getprevious()
        assert before is not None
        before.tail = (before.tail or "") + (element.tail or "")
        head.remove(element)
    data = etree.tostring(root)
    assert b"SyncReply" not in data
    assert b"urn:x" not in data
    assert xmlsec_agrees(data, PARTS)
    assert verify(data).holds
