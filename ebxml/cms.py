"""CMS EnvelopedData (facts/ebxml.md 4.4): AES-256-CBC out; in, also what real partners still send. One uniform error, whatever went wrong."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as symmetric
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import pkcs7

from ebxml.errors import ErrorCode, Fault, Violation

FAILED = "the content could not be decrypted with our key"
"""The one text of every failure."""
_DATA, _ENVELOPED, _AES256_CBC = (bytes.fromhex(f"06{len(oid) // 2:02x}{oid}") for oid in (
    "2a864886f70d010701", "2a864886f70d010703", "60864801650304012a",
))
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
"""The algorithm identifier of key transport by RSA PKCS#1 v1.5."""
_VERSION = bytes.fromhex("020100")
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
    to = sorted(_der(0x30, who + _der(0x04, key.encrypt(session, _PKCS1))) for who, key in map(_recipient, recipients))
    size = len(data) // 16 * 16 + 16
    head = _der(0x30, _DATA + _der(0x30, _AES256_CBC + _der(0x04, iv)) + _der(0x80, b"", size), size)
    head = _der(0x30, _ENVELOPED + _der(0xA0, _der(0x30, _VERSION + _der(0x31, b"".join(to)) + head, size), size), size)
    encryptor, padder, whole = Cipher(algorithms.AES256(session), modes.CBC(iv)).encryptor(), symmetric.PKCS7(128).padder(), io.BytesIO()
    whole.write(head)
    for at in range(0, len(data), _BLOCK):  # so that no other copy of a large content is made
        whole.write(encryptor.update(padder.update(memoryview(data)[at:at + _BLOCK])))
    whole.write(encryptor.update(padder.finalize()) + encryptor.finalize())
    return whole.getvalue()


def _der(tag: int, content: bytes, follows: int = 0) -> bytes:
    """Tag, length and content, of which `follows` octets come later."""
    size = len(content) + follows
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


@lru_cache(maxsize=512)
def _recipient(certificate: x509.Certificate) -> tuple[bytes, rsa.RSAPublicKey]:
    """RecipientInfo up to the encrypted key, and what it is encrypted with: the same for every letter."""
    key, serial = certificate.public_key(), certificate.serial_number
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("a recipient without an RSA key")
    issued = certificate.issuer.public_bytes() + _der(0x02, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))
    return _VERSION + _der(0x30, issued) + _RSA, key


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
        if pairs:
            return pkcs7.pkcs7_decrypt_der(blob, pairs[0].certificate, pairs[0].key, [])
    except Exception:  # it knows AES-CBC to the present key in DER, and is ten times quicker at it; the rest is read below
        pass
    try:
        return _open(blob, pairs, triple_des)
    except Violation:
        raise
    except Exception as wrong:  # asn1crypto and OpenSSL raise many kinds; to the sender they are one
        raise _fail() from wrong


def _open(blob: bytes, own: list[Own], triple_des: bool) -> bytes:
    info = asn1.ContentInfo.load(blob)
    if info["content_type"].native != "enveloped_data":
        raise _fail()
    enveloped = info["content"]
    content = enveloped["encrypted_content_info"]
    pair, recipient = _ours(enveloped["recipient_infos"], own)
    session = pair.key.decrypt(recipient["encrypted_key"].native, _padding(recipient["key_encryption_algorithm"]))
    algorithm = content["content_encryption_algorithm"]
    name, iv = _name(algorithm), algorithm["parameters"].native
    if name in _AES and len(session) == _AES[name]:
        cipher = Cipher(algorithms.AES(session), modes.CBC(iv))
    elif name == "tripledes_3key" and triple_des:
        cipher = Cipher(TripleDES(session), modes.CBC(iv))
    else:
        raise _fail()
    decryptor = cipher.decryptor()
    padded = decryptor.update(content["encrypted_content"].native) + decryptor.finalize()
    unpadder = symmetric.PKCS7(cipher.algorithm.block_size).unpadder()  # type: ignore[attr-defined]
    return unpadder.update(padded) + unpadder.finalize()


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
                same = rid.chosen["serial_number"].native == pair.certificate.serial_number
                if same and rid.chosen["issuer"].dump() == pair.certificate.issuer.public_bytes():
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
