"""Signs an ebMS envelope in the full Norwegian profile (facts/ebxml.md 4.2): a template, since both what is signed and SignedInfo are written in
canonical form to begin with."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ebxml.algorithms import C14N, ENVELOPED, RSA_SHA256, SHA256, XPATH
from ebxml.compose import HEADER_END, SYNC_REPLY, Canonical
from ebxml.header import DS, EB, NEXT, NEXT_MSH, SOAP, XLINK
from ebxml.kith import attribute

_PKCS1 = padding.PKCS1v15()
_PREHASHED = Prehashed(hashes.SHA256())
_FILTER_TEXT = (
    f'not(ancestor-or-self::node()[@SOAP:actor="{NEXT_MSH}"] | ancestor-or-self::node()[@SOAP:actor="{NEXT}"])'
)
_INFO_ALONE = f'<ds:SignedInfo xmlns:SOAP="{SOAP}" xmlns:ds="{DS}" xmlns:eb="{EB}" xmlns:xlink="{XLINK}">'.encode()
"""As it is signed: with the namespaces in scope in an envelope of `envelope.write`, in canonical order."""
_INFO = f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>'.encode()
_METHODS = (
    f'<ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
    f'<ds:SignatureMethod Algorithm="{RSA_SHA256}"></ds:SignatureMethod>'
).encode()
_ENVELOPE = (
    f'<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"></ds:Transform>'
    f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>{_FILTER_TEXT}</ds:XPath></ds:Transform>'
    f'<ds:Transform Algorithm="{C14N}"></ds:Transform></ds:Transforms>'
).encode()
_DIGEST = f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue>'.encode()
_HEADER_END, _SYNC_REPLY = HEADER_END.encode(), SYNC_REPLY.encode()


def sign(soap: Canonical, parts: Iterable[tuple[str, bytes]], key: rsa.RSAPrivateKey, certificate: str) -> bytes:
    """Signs an envelope of `envelope.write` and its parts, in the full profile.

    Args:
        soap: as `envelope.write` leaves it: its digest is taken as it stands, but for the SyncReply that no signature covers.
        parts: (`cid:` URI, bytes before transfer encoding).
        certificate: the signer's, base64 of DER.
    """
    head, end, rest = soap.rpartition(_HEADER_END)
    info = _reference(_ENVELOPE, head.removesuffix(_SYNC_REPLY) + end + rest)
    info += b"".join(_reference(b"<ds:Reference URI=" + attribute(uri).encode() + b">", body) for uri, body in parts)
    info = _METHODS + info + b"</ds:SignedInfo>"
    value = key.sign(hashlib.sha256(_INFO_ALONE + info).digest(), _PKCS1, _PREHASHED)
    return b"".join((
        head, _INFO, info, b"<ds:SignatureValue>", binascii.b2a_base64(value, newline=False),
        b"</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>", certificate.encode(),
        b"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>", end, rest,
    ))


def _reference(start: bytes, octets: bytes) -> bytes:
    return start + _DIGEST + binascii.b2a_base64(hashlib.sha256(octets).digest(), newline=False) + b"</ds:DigestValue></ds:Reference>"
