"""A PKI for demo and tests: one CA, a signing and an encryption pair per party. Never for production, and its names say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

BITS = 2048
LASTS = timedelta(days=3 * 365)
"""As virksomhetssertifikater do."""


def make_dev_pki(folder: Path, parties: Mapping[str, str], now: datetime, bits: int = BITS) -> None:
    """`ca.pem` and `ca.key`, and per party `<party>/{sign,enc}.{pem,key}`. What exists stays, so that a later party has the same CA.

    Args:
        parties: party id → name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Besøksbro DEMO CA, ikke for produksjon")])
    if (folder / "ca.key").exists():
        ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        assert isinstance(ca_key, rsa.RSAPrivateKey)
    else:
        ca_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        ca = _builder(ca_name, ca_name, ca_key.public_key(), now).add_extension(x509.BasicConstraints(True, 0), True).sign(ca_key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        _keep(ca_key, folder / "ca.key")
    for number, (party, name) in enumerate(parties.items()):
        own = folder / party
        own.mkdir(exist_ok=True)
        for use in ("sign", "enc"):
            if not (own / f"{use}.key").exists():
                issue(own, use, name, f"99999{number:04d}", ca_name, ca_key, now, bits)


def issue(
    folder: Path, use: str, name: str, orgnr: str, ca_name: x509.Name, ca_key: rsa.RSAPrivateKey, now: datetime, bits: int = BITS,
    lasts: timedelta = LASTS,
) -> None:
    """One pair into `folder`: `sign` has nonRepudiation, `enc` keyEncipherment (facts/ebxml.md 4.5)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    subject = x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
        x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, f"NTRNO-{orgnr}"), x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (demo)"),
    ])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=use == "sign", key_encipherment=use == "enc", data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )
    certificate = (
        _builder(subject, ca_name, key.public_key(), now, lasts).add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False).sign(ca_key, hashes.SHA256())
    )
    (folder / f"{use}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _keep(key, folder / f"{use}.key")


def _keep(key: rsa.RSAPrivateKey, path: Path) -> None:
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(private)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, now: datetime, lasts: timedelta = LASTS,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + lasts)
    )


def lay_out(pki: Path, certs: Path, own: str, partners: Iterable[str]) -> None:
    """A home's `certs/` from a PKI: our own pairs, and the partners' certificates without their keys."""
    certs.mkdir(parents=True, exist_ok=True)
    for use in ("sign", "enc"):
        for kind in ("pem", "key"):
            shutil.copy(pki / own / f"{use}.{kind}", certs / f"own-{use}.{kind}")
    for party in partners:
        folder = certs / "partners" / party
        folder.mkdir(parents=True, exist_ok=True)
        for use in ("sign", "enc"):
            shutil.copy(pki / party / f"{use}.pem", folder / f"{use}.pem")
