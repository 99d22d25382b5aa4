"""Signs an ebMS envelope in the full Norwegian profile (facts/ebxml.md 4.2): a template, since both what is signed and SignedInfo are written in
canonical form to begin with."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ebxml import reference
from ebxml.algorithms import C14N, RSA_SHA256
from ebxml.compose import HEADER_END, SYNC_REPLY, Canonical
from ebxml.header import DS, EB, SOAP, XLINK

_PKCS1 = padding.PKCS1v15()
_PREHASHED = Prehashed(hashes.SHA256())
_INFO_ALONE = f'<ds:SignedInfo xmlns:SOAP="{SOAP}" xmlns:ds="{DS}" xmlns:eb="{EB}" xmlns:xlink="{XLINK}">'.encode()
"""As it is signed: with the namespaces in scope in an envelope of `envelope.write`, in canonical order."""
_INFO = f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>'.encode()
_METHODS = (
    f'<ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
    f'<ds:SignatureMethod Algorithm="{RSA_SHA256}"></ds:SignatureMethod>'
).encode()
_HEADER_END, _SYNC_REPLY = HEADER_END.encode(), SYNC_REPLY.encode()


def sign(soap: Canonical, parts: Iterable[tuple[str, bytes]], key: rsa.RSAPrivateKey, certificate: str) -> bytes:
    """Signs an envelope of `envelope.write` and its parts, in the full profile.

    Args:
        soap: as `envelope.write` leaves it: its digest is taken as it stands, but for the SyncReply that no signature covers.
        parts: (`cid:` URI, bytes before transfer encoding).
        certificate: the signer's, base64 of DER.
    """
    head, end, rest = soap.rpartition(_HEADER_END)
    signed = [("", head.removesuffix(_SYNC_REPLY) + end + rest), *parts]
    info = b"".join((_METHODS, *(reference.write(uri, _digest(octets)).encode() for uri, octets in signed), b"</ds:SignedInfo>"))
    value = key.sign(hashlib.sha256(_INFO_ALONE + info).digest(), _PKCS1, _PREHASHED)
    return b"".join((
        head, _INFO, info, b"<ds:SignatureValue>", binascii.b2a_base64(value, newline=False),
        b"</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>", certificate.encode(),
        b"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>", end, rest,
    ))


def _digest(octets: bytes) -> str:
    return binascii.b2a_base64(hashlib.sha256(octets).digest(), newline=False).decode()
