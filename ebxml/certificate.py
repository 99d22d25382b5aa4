"""Certificates as the Norwegian profile uses them: who it belongs to, for what, and when (facts/ebxml.md 4.5)."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from functools import lru_cache

from asn1crypto import cms as asn1
from asn1crypto.x509 import Name
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_NTRNO = re.compile(r"(?:NTRNO-)?(\d{9})", re.ASCII)


def load(der: bytes) -> x509.Certificate:
    """A certificate from DER, whose names and dates can be read. Raises ValueError."""
    try:
        found = x509.load_der_x509_certificate(der)
        _ = found.subject, found.issuer, found.not_valid_before_utc, found.not_valid_after_utc  # read lazily: else they would raise later
    except (x509.InvalidVersion, OverflowError) as wrong:
        raise ValueError("a certificate of an unknown version, or with times that cannot be") from wrong
    return found


@lru_cache(maxsize=512)
def of_b64(packed: str) -> x509.Certificate:
    """A certificate from base64 of DER, as KeyInfo shows it: the same ones come with every message. Raises ValueError."""
    return load(base64.b64decode(packed))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def b64(certificate: x509.Certificate) -> str:
    """For X509Certificate elements."""
    return base64.b64encode(der(certificate)).decode()


@lru_cache(maxsize=512)
def rsa_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    """Its public key, kept: what OpenSSL works out at its first use is not worked out again. Raises ValueError, UnsupportedAlgorithm."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_named(certificate: x509.Certificate, by: asn1.IssuerAndSerialNumber) -> bool:
    """Whether CMS means it. Some write the issuer's name in string types of their own: names are compared by what they say (RFC 5280, 7.1)."""
    same = by["serial_number"].native == certificate.serial_number
    return bool(same and by["issuer"] == Name.load(certificate.issuer.public_bytes()))


def valid_at(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def organisation(certificate: x509.Certificate) -> str:
    """The organisation number: organizationIdentifier `NTRNO-…` (SEID 2), else serialNumber (the older kind); empty when there is none."""
    for oid in (NameOID.ORGANIZATION_IDENTIFIER, NameOID.SERIAL_NUMBER):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            if match := _NTRNO.search(str(attribute.value)):
                return match[1]
    return ""


def holder(certificate: x509.Certificate) -> str:
    """Whose it is, for people: the organisation's name, else the common name."""
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            return str(attribute.value)
    return ""


def purposes(certificate: x509.Certificate) -> frozenset[str]:
    """Of `sign` (nonRepudiation), `authenticate` (digitalSignature) and `encrypt` (keyEncipherment); all where no key usage is stated."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset({"sign", "authenticate", "encrypt"})
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return frozenset()  # a usage that cannot be read allows nothing
    pairs = (("sign", usage.content_commitment), ("authenticate", usage.digital_signature), ("encrypt", usage.key_encipherment))
    return frozenset(name for name, has in pairs if has)
