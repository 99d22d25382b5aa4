"""CMS SignedData, as the AMQP profile signs inside the encryption (facts/ebxml.md 4.4): made, and checked against the partner's certificates.

The signer is picked by the signer info, never by its place: CA certificates may be bundled, in any order. What the bundle holds proves nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from ebxml.certificate import is_named
from ebxml.errors import ErrorCode, Fault, Violation

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
_MOST = 10
"""Signers in one message; more is nobody's."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A content, and whose key vouches for it."""

    content: bytes
    signer: x509.Certificate
    signed_at: datetime | None
    """The signer's own word; None: not told."""


def _fail(text: str, fault: Fault = Fault.BAD_SIGNATURE) -> Violation:
    return Violation(ErrorCode.SECURITY_FAILURE, text, "", fault)


def sign(data: bytes, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> bytes:
    """DER; the content inside, SHA-256 with RSA PKCS#1 v1.5, signed attributes, the signer's certificate."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def verify(blob: bytes, pinned: Iterable[x509.Certificate], *, legacy: bool = False) -> Signed:
    """The content, when one of the partner's certificates signed all of it. DER and BER.

    Args:
        legacy: SHA-1 is accepted.

    Raises:
        Violation: SecurityFailure with the Fault UNSIGNED, WRONG_SIGNER or BAD_SIGNATURE.
    """
    trusted = list(pinned)
    try:
        info = asn1.ContentInfo.load(blob)
        if info["content_type"].native != "signed_data":
            raise _fail("no CMS SignedData", Fault.UNSIGNED)
        signed = info["content"]
        content, kind = signed["encap_content_info"]["content"].native, signed["encap_content_info"]["content_type"].native
        signers = list(signed["signer_infos"])
        if content is None or not signers or len(signers) > _MOST:
            raise _fail("a SignedData without its content, or without a signer", Fault.UNSIGNED)
        ours = [(certificate, signer) for signer in signers for certificate in trusted if _is(signer["sid"], certificate)]
        if not ours:
            raise _fail("signed with another certificate than the partner's", Fault.WRONG_SIGNER)
        times = [_holds(signer, certificate, content, kind, legacy) for certificate, signer in ours]
    except Violation:
        raise
    except Exception as wrong:  # asn1crypto raises many kinds; what is asked of it here is only to be read
        raise _fail("a SignedData that cannot be read") from wrong
    return Signed(content, ours[0][0], times[0])


def _is(sid: asn1.SignerIdentifier, certificate: x509.Certificate) -> bool:
    if sid.name == "issuer_and_serial_number":
        return is_named(certificate, sid.chosen)
    try:
        told = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        told = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return bool(sid.native == told)


def _holds(signer: asn1.SignerInfo, certificate: x509.Certificate, content: bytes, kind: str, legacy: bool) -> datetime | None:
    """Checks one signer info; the signing time it tells. RFC 5652, 5.4: signed attributes must tell the content's type and digest."""
    name = str(signer["digest_algorithm"]["algorithm"].native)
    if name not in _HASHES or (name == "sha1" and not legacy):
        raise _fail("a digest algorithm that is not accepted")
    attributes, at, covered = signer["signed_attrs"], None, content
    if attributes:
        told: dict[str, list[object]] = {}
        for attribute in attributes:
            told.setdefault(str(attribute["type"].native), []).extend(value.native for value in attribute["values"])
        digests = told.get("message_digest", [])
        right = len(digests) == 1 and isinstance(digests[0], bytes) and hmac.compare_digest(digests[0], hashlib.new(name, content).digest())
        if not right or told.get("content_type") != [kind]:
            raise _fail("the digest of the content does not hold")
        time = told.get("signing_time", [None])[0]
        at = time if isinstance(time, datetime) else None
        covered = b"\x31" + attributes.untag().dump(force=True)[1:]  # signed as a SET, sent with a tag of its own
    elif kind != "data" or content.startswith(b"\x31"):  # else somebody's signed attributes could be passed off as the content
        raise _fail("a content that must have signed attributes, and has none")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _fail("a key that is not RSA")
    try:
        key.verify(signer["signature"].native, covered, *_scheme(signer["signature_algorithm"], name))
    except InvalidSignature as wrong:
        raise _fail("the signature does not hold") from wrong
    return at


def _scheme(algorithm: asn1.SignedDigestAlgorithm, digest: str) -> tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]:
    """Padding and hash. The hash must be the one the content was digested with, or a weaker one could be slipped in."""
    name = str(algorithm["algorithm"].native)
    if name in ("rsassa_pkcs1v15", "rsa") or name == f"{digest}_rsa":
        return padding.PKCS1v15(), _HASHES[digest]()
    if name != "rsassa_pss":
        raise _fail("a signature algorithm that is not accepted")
    parameters = algorithm["parameters"]
    main, mask = (parameters[part]["algorithm"] for part in ("hash_algorithm", "mask_gen_algorithm"))
    mask_hash = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
    if mask.native != "mgf1" or main.native != digest or mask_hash not in _HASHES:
        raise _fail("a signature algorithm that is not accepted")
    return padding.PSS(padding.MGF1(_HASHES[mask_hash]()), int(parameters["salt_length"].native)), _HASHES[digest]()
