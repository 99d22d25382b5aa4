"""Allowed transforms in another order or spelling: accepted when xmlsec finds them valid and nothing is left out, refused in every other case."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import xmlsec
from cryptography.hazmat.primitives import serialization
from ebms_made import CID, PAYLOAD, header, pair, serve, xmlsec_agrees
from lxml import etree

from ebxml import algorithms, envelope, signature, xml
from ebxml.envelope import DS, NEXT, NEXT_MSH, SOAP
from ebxml.errors import Fault, Violation

PARTS = {CID: PAYLOAD}
ENVELOPED, EXCLUSIVE = (f'<ds:Transform Algorithm="{a}"/>' for a in (algorithms.ENVELOPED, algorithms.EXCLUSIVE))
C14N = f'<ds:Transform Algorithm="{algorithms.C14N}"/>'


def xpath(text: str) -> str:
    return f'<ds:Transform Algorithm="{algorithms.XPATH}"><ds:XPath xmlns:s="{SOAP}" xmlns:eb="{envelope.EB}">{text}</ds:XPath></ds:Transform>'


FILTER = xpath(f"not(ancestor-or-self::node()[@s:actor='{NEXT}'] | ancestor-or-self::node()[@s:actor='{NEXT_MSH}'])")
OR = xpath(f"not(ancestor-or-self::*[@s:actor='{NEXT}' or @s:actor='{NEXT_MSH}'])")
EACH = xpath(f"not(ancestor-or-self::*[@s:actor='{NEXT}'])") + xpath(f"not(ancestor-or-self::*[@s:actor='{NEXT_MSH}'])")
ALL = xpath("true()")
LEGAL = {
    "the filter first": FILTER + ENVELOPED + C14N, "canonical in between": ENVELOPED + C14N + FILTER + C14N, "one or": ENVELOPED + OR + C14N,
    "two filters": ENVELOPED + EACH + C14N, "exclusive": FILTER + ENVELOPED + EXCLUSIVE, "no canonicalisation": FILTER + ENVELOPED,
}


def signed(transforms: str, signer: str = "partner", **changes: object) -> bytes:
    """By xmlsec, with a foreign header for the next hop that the filter takes out."""
    how = f'<ds:DigestMethod Algorithm="{algorithms.SHA256}"/><ds:DigestValue/>'
    template = (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{algorithms.C14N}"/><ds:SignatureMethod '
        f'Algorithm="{algorithms.RSA_SHA256}"/><ds:Reference URI=""><ds:Transforms>{transforms}</ds:Transforms>{how}</ds:Reference>'
        f'<ds:Reference URI="{CID}">{how}</ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>'
    )
    root = etree.fromstring(envelope.write(header(**changes)).decode().replace("</SOAP:Header>", f"{template}</SOAP:Header>"))
    own = pair(signer)
    private = own.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(private, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(own.certificate.public_bytes(serialization.Encoding.PEM), xmlsec.constants.KeyDataFormatPem)
    serve(PARTS)
    context.sign(next(root.iter(f"{{{DS}}}Signature")))
    return etree.tostring(root)


def verify(data: bytes) -> signature.Examined:
    return signature.verify(xml.parse(data), PARTS.get, [CID], [pair("partner").certificate])


@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("name", LEGAL)
def test_allowed_transforms_in_another_order_hold_and_are_remarked(name: str, sync: bool) -> None:
    data = signed(LEGAL[name], sync_reply=sync)
    assert xmlsec_agrees(data, PARTS)
    examined = verify(data)
    assert examined.holds
    assert examined.covers == (CID, "")
    assert "transforms in another order or spelling than the profile's" in examined.remarks
    for spoiled in (data.replace(b"message-1", b"message-2"), data.replace(b"Bestiller", b"Betaler")):
        assert not xmlsec_agrees(spoiled, PARTS)
        with pytest.raises(Violation) as wrong:
            verify(spoiled)
        assert wrong.value.fault is Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "4.2.3")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    "leaves_out",
    [
        "not(ancestor-or-self::eb:MessageData)", "not(ancestor-or-self::eb:Manifest)", "not(self::text())", "false()", "not(parent::eb:Action)",
        "ancestor-or-self::eb:MessageHeader", "not(local-name()='type')", "count(ancestor-or-self::node()) &lt; 6",
    ],
)
def test_a_valid_signature_that_leaves_something_out_is_refused(leaves_out: str) -> None:
    """xmlsec says valid, and says nothing of what is covered: this is why its word alone never counts."""
    for order in (ENVELOPED + xpath(leaves_out) + C14N, xpath(leaves_out) + ENVELOPED + C14N, ENVELOPED + FILTER + xpath(leaves_out) + C14N):
        data = signed(order)
        assert xmlsec_agrees(data, PARTS)
        with pytest.raises(Violation) as wrong:
            verify(data)
        assert wrong.value.fault is Fault.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_filter_that_takes_nothing_out_covers_everything() -> None:
    assert verify(signed(ENVELOPED + ALL + C14N)).holds


@pytest.mark.spec("facts/ebxml", "4.2.2")
@pytest.mark.spec("facts/ebxml", "4.2")
@pytest.mark.parametrize(
    "transforms",
    [
        f'{ENVELOPED}<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>{FILTER}', FILTER + C14N, ENVELOPED * 2 + FILTER,
        f'{ENVELOPED}<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>', ENVELOPED + FILTER * 9, ENVELOPED + xpath("1" * 2001),
        f'{ENVELOPED}<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>', FILTER, "",
    ],
)
def test_what_is_not_allowed_is_refused_and_never_reaches_xmlsec(transforms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebxml import longway

    data = signed(LEGAL["one or"])
    start, end = data.index(b"<ds:Transforms>") + len(b"<ds:Transforms>"), data.index(b"</ds:Transforms>")
    asked: list[object] = []
    monkeypatch.setattr(longway, "holds", lambda *given: asked.append(given) or True)
    with pytest.raises(Violation):
        verify(data[:start] + transforms.encode() + data[end:])
    assert asked == []


@pytest.mark.spec("facts/ebxml", "4.2")
def test_a_strangers_transforms_are_never_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An XPath that takes an hour costs a stranger nothing to send."""
    from ebxml import longway

    asked: list[object] = []
    monkeypatch.setattr(longway, "holds", lambda *given: asked.append(given) or True)
    for pinned in ([pair("partner").certificate], []):
        with pytest.raises(Violation):
            signature.verify(xml.parse(signed(LEGAL["one or"], signer="stranger")), PARTS.get, [CID], pinned)
    assert asked == []


@pytest.mark.spec("facts/ebxml", "4.6")
def test_many_at_once_each_find_their_own_parts() -> None:
    """xmlsec's callbacks are global to the process."""
    good = signed(LEGAL["two filters"])

    def one(number: int) -> bool:
        body = PAYLOAD if number % 2 else b"another part"
        try:
            return signature.verify(xml.parse(good), {CID: body}.get, [CID], [pair("partner").certificate]).holds
        except Violation:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [bool(number % 2) for number in range(40)]


@pytest.mark.spec("facts/ebxml", "4.6")
@pytest.mark.parametrize("uri", ["file:///etc/hostname", "http://127.0.0.1:9/x"])
def test_no_file_and_no_network_is_ever_opened(uri: str) -> None:
    from ebxml import longway

    data = signed(LEGAL["one or"]).replace(f'URI="{CID}"'.encode(), f'URI="{uri}"'.encode())
    assert not longway.holds(xml.parse(data), pair("partner").certificate, {CID: PAYLOAD}.get)
    with pytest.raises(Violation, match="neither the envelope nor a part"):
        verify(data)
