"""The signature inside a MsgHead (facts/ebxml.md 4.3): enveloped, last child of the root, over the whole document."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from ebxml import certificate as certificates
from ebxml import signature
from ebxml.algorithms import C14N, ENVELOPED, RSA_SHA256, SHA256
from ebxml.envelope import DS
from ebxml.xml import parse

_INFO = (
    f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{C14N}"/><ds:SignatureMethod Algorithm="{RSA_SHA256}"/><ds:Reference URI="">'
    f'<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{C14N}"/></ds:Transforms>'
    f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{{}}</ds:DigestValue></ds:Reference></ds:SignedInfo>'
)


def sign_enveloped(document: bytes, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> bytes:
    """The document with its signature. Written as UTF-8; comments are left out, since no signature covers them.

    Raises:
        Violation: it is no well-formed XML.
    """
    root = parse(document)
    digest = base64.b64encode(hashlib.sha256(etree.tostring(root.getroottree(), method="c14n", with_comments=False)).digest()).decode()
    unsigned = etree.fromstring(f'<ds:Signature xmlns:ds="{DS}">{_INFO.format(digest)}<ds:SignatureValue/></ds:Signature>')
    root.append(unsigned)
    alone = etree.fromstring(etree.tostring(unsigned[0], with_tail=False))  # SignedInfo with the namespaces that are in scope there
    value = key.sign(etree.tostring(alone, method="c14n", with_comments=False), padding.PKCS1v15(), hashes.SHA256())
    unsigned[1].text = base64.b64encode(value).decode()
    info = f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificates.b64(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    unsigned.extend(etree.fromstring(f'<x xmlns:ds="{DS}">{info}</x>'))
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)


def verify_enveloped(document: bytes, pinned: Iterable[x509.Certificate], *, legacy: bool = False) -> signature.Examined:
    """Checks the one signature of a document against the signer's certificates. Everything in the document is covered.

    Raises:
        Violation: SecurityFailure with the Fault UNSIGNED, BAD_SIGNATURE, NOT_COVERED or WRONG_SIGNER.
    """
    return signature.verify(parse(document), lambda uri: None, (), pinned, legacy=legacy)
