"""CMS EnvelopedData (facts/ebxml.md 4.4): AES-256-CBC out; in, also what real partners still send. One uniform error, whatever went wrong."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as symmetric
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ebxml import der
from ebxml.certificate import is_named, rsa_key
from ebxml.errors import ErrorCode, Fault, Violation

FAILED = "the content could not be decrypted with our key"
"""The one text of every failure."""
_DATA, _ENVELOPED, *_AES_CBC = (der.write(der.OID, bytes.fromhex(oid)) for oid in (
    "2a864886f70d010701", "2a864886f70d010703", "60864801650304012a", "608648016503040116", "608648016503040102",
))
_AES256_CBC = _AES_CBC[0]
_CIPHERS = dict(zip(_AES_CBC, ("aes256_cbc", "aes192_cbc", "aes128_cbc"), strict=True))
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
"""The algorithm identifier of key transport by RSA PKCS#1 v1.5."""
_VERSION = der.integer(0)
_EXPLICIT, _CONTENT = 0xA0, 0x80
"""`[0]` around EnvelopedData, and of the encrypted octets."""
_PKCS1 = padding.PKCS1v15()
_BLOCK = 1 << 20
_AES = {"aes128_cbc": 16, "aes192_cbc": 24, "aes256_cbc": 32}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


@dataclass(frozen=True, slots=True)
class Own:
    """A key pair of ours that letters are encrypted to. Several stand side by side while one is being replaced."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Described:
    """What an EnvelopedData says of itself without being opened."""

    algorithm: str
    recipients: tuple[str, ...]
    """Issuer and serial, or the key identifier, of each."""
    transport: tuple[str, ...]


def _fail() -> Violation:
    return Violation(ErrorCode.SECURITY_FAILURE, FAILED, "", Fault.NOT_DECRYPTABLE)


def envelop(data: bytes, *recipients: x509.Certificate) -> bytes:
    """DER; AES-256-CBC, RSA PKCS#1 v1.5 key transport, each recipient by issuer and serial (RFC 5652 6). The session key is fresh.

    Raises:
        ValueError: no recipient, or one whose key is not RSA's.
    """
    if not recipients:
        raise ValueError("no recipient")
    session, iv = os.urandom(32), os.urandom(16)
    keys = ((one, rsa_key(one).encrypt(session, _PKCS1)) for one in recipients)
    to = sorted(der.write(der.SEQUENCE, _VERSION + _issued(one) + _RSA + der.write(der.OCTETS, key)) for one, key in keys)
    size = len(data) // 16 * 16 + 16
    algorithm = der.write(der.SEQUENCE, _AES256_CBC + der.write(der.OCTETS, iv))
    head = der.write(der.SEQUENCE, _DATA + algorithm + der.write(_CONTENT, b"", size), size)
    head = der.write(der.SEQUENCE, _VERSION + der.write(der.SET, b"".join(to)) + head, size)
    head = der.write(der.SEQUENCE, _ENVELOPED + der.write(_EXPLICIT, head, size), size)
    encryptor, padder, whole = Cipher(algorithms.AES256(session), modes.CBC(iv)).encryptor(), symmetric.PKCS7(128).padder(), io.BytesIO()
    whole.write(head)
    for at in range(0, len(data), _BLOCK):  # so that no other copy of a large content is made
        whole.write(encryptor.update(padder.update(memoryview(data)[at:at + _BLOCK])))
    whole.write(encryptor.update(padder.finalize()) + encryptor.finalize())
    return whole.getvalue()


@lru_cache(maxsize=512)
def _issued(certificate: x509.Certificate) -> bytes:
    """IssuerAndSerialNumber: the same for every letter."""
    return der.write(der.SEQUENCE, certificate.issuer.public_bytes() + der.integer(certificate.serial_number))


def open_(blob: bytes, own: Iterable[Own], *, triple_des: bool = False) -> bytes:
    """The plain content.

    Args:
        own: our key pairs, the present one first.
        triple_des: 3DES is accepted; only for partners switched on by name.

    Raises:
        Violation: SecurityFailure, the same in every case, so that nobody learns what failed.
    """
    pairs = list(own)
    try:
        return _opened(_usual(blob, pairs) or _unusual(blob, pairs), triple_des)
    except Violation:
        raise
    except Exception as wrong:  # asn1crypto and OpenSSL raise many kinds; to the sender they are one
        raise _fail() from wrong


class _Locked(NamedTuple):
    """What is needed to open one envelope."""

    pair: Own
    key: bytes
    transport: padding.AsymmetricPadding
    algorithm: str
    iv: bytes
    content: memoryview


def _usual(blob: bytes, own: list[Own]) -> _Locked | None:
    """Of what nearly everybody sends: DER, AES-CBC, RSA PKCS#1 v1.5, recipients by issuer and serial. None: it is something else, or to others.
    Read by hand: ten times quicker than by asn1crypto, which copies the content at every level besides."""
    try:
        info = der.Reader(blob).inside(der.SEQUENCE)
        if info.whole(der.OID) != _ENVELOPED:
            return None
        enveloped = info.inside(_EXPLICIT).inside(der.SEQUENCE)
        enveloped.take(der.INTEGER)
        recipients, sealed = enveloped.inside(der.SET), enveloped.inside(der.SEQUENCE)
        found: tuple[Own, bytes] | None = None
        while recipients.more and found is None:
            recipient = recipients.inside(der.SEQUENCE)
            recipient.take(der.INTEGER)
            who, how = recipient.whole(der.SEQUENCE), recipient.whole(der.SEQUENCE)
            pair = next((pair for pair in own if _issued(pair.certificate) == who), None) if how == _RSA else None
            found = (pair, recipient.content(der.OCTETS)) if pair else None
        sealed.take(der.OID)
        algorithm = sealed.inside(der.SEQUENCE)
        name, iv = _CIPHERS.get(algorithm.whole(der.OID)), algorithm.content(der.OCTETS)
        _, start, end = sealed.take(_CONTENT)
    except ValueError:
        return None
    return _Locked(*found, _PKCS1, name, iv, memoryview(blob)[start:end]) if found and name else None


def _unusual(blob: bytes, own: list[Own]) -> _Locked:
    """Of whatever else may be read."""
    info = asn1.ContentInfo.load(blob)
    if info["content_type"].native != "enveloped_data":
        raise _fail()
    enveloped = info["content"]
    content = enveloped["encrypted_content_info"]
    pair, recipient = _ours(enveloped["recipient_infos"], own)
    algorithm = content["content_encryption_algorithm"]
    return _Locked(
        pair, recipient["encrypted_key"].native, _padding(recipient["key_encryption_algorithm"]), _name(algorithm), algorithm["parameters"].native,
        memoryview(content["encrypted_content"].native),
    )


def _opened(locked: _Locked, triple_des: bool) -> bytes:
    session = locked.pair.key.decrypt(locked.key, locked.transport)
    if locked.algorithm in _AES and len(session) == _AES[locked.algorithm]:
        cipher, block = Cipher(algorithms.AES(session), modes.CBC(locked.iv)), 128
    elif locked.algorithm == "tripledes_3key" and triple_des:
        cipher, block = Cipher(TripleDES(session), modes.CBC(locked.iv)), 64
    else:
        raise _fail()
    decryptor, unpadder, plain = cipher.decryptor(), symmetric.PKCS7(block).unpadder(), io.BytesIO()
    for at in range(0, len(locked.content), _BLOCK):
        plain.write(unpadder.update(decryptor.update(locked.content[at:at + _BLOCK])))
    plain.write(unpadder.update(decryptor.finalize()) + unpadder.finalize())
    return plain.getvalue()


def _name(algorithm: asn1.EncryptionAlgorithm) -> str:
    return str(algorithm["algorithm"].native)


def _ours(recipients: asn1.RecipientInfos, own: list[Own]) -> tuple[Own, asn1.KeyTransRecipientInfo]:
    """The recipient that is us, by issuer and serial or by key identifier."""
    for choice in recipients:
        if choice.name != "ktri":
            continue
        rid = choice.chosen["rid"]
        for pair in own:
            if rid.name == "issuer_and_serial_number":
                if is_named(pair.certificate, rid.chosen):
                    return pair, choice.chosen
            elif rid.native == x509.SubjectKeyIdentifier.from_public_key(pair.key.public_key()).digest or rid.native == _key_id(pair):
                return pair, choice.chosen
    raise _fail()


def _key_id(pair: Own) -> bytes:
    try:
        return pair.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return b""


def _padding(algorithm: asn1.KeyEncryptionAlgorithm) -> padding.AsymmetricPadding:
    if algorithm["algorithm"].native == "rsaes_pkcs1v15":
        return padding.PKCS1v15()
    if algorithm["algorithm"].native != "rsaes_oaep":
        raise _fail()
    parameters = algorithm["parameters"]
    main = _HASHES[parameters["hash_algorithm"]["algorithm"].native]()
    mask = _HASHES[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native]()
    return padding.OAEP(padding.MGF1(mask), main, None)


def describe(blob: bytes) -> Described:
    """Recipients and algorithms.

    Raises:
        Violation: it is no EnvelopedData.
    """
    try:
        info = asn1.ContentInfo.load(blob)
        enveloped = info["content"]
        recipients = [r.chosen for r in enveloped["recipient_infos"] if r.name == "ktri"]
        return Described(
            _name(enveloped["encrypted_content_info"]["content_encryption_algorithm"]), tuple(_who(r["rid"]) for r in recipients),
            tuple(str(r["key_encryption_algorithm"]["algorithm"].native) for r in recipients),
        )
    except Exception as wrong:
        raise Violation(ErrorCode.SECURITY_FAILURE, "no CMS EnvelopedData", fault=Fault.NOT_DECRYPTABLE) from wrong


def _who(rid: asn1.RecipientIdentifier) -> str:
    if rid.name == "issuer_and_serial_number":
        return f"{rid.chosen['issuer'].human_friendly}, serial {rid.chosen['serial_number'].native:x}"
    return f"key {rid.native.hex()}"
