"""Our own keys and the partners' certificates in a home's `certs/`. Read when they change (`rotating`): a private key read anew costs 150
signatures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from adapters.registries.agreements import Agreement
from ebxml.cms import Own


class MissingCertificate(ValueError):
    """A file in certs/ is missing or no certificate or key: the operator must change it. Raised at start, never for a message."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What we sign with, and what is encrypted to us: the present pair, then the one before while it is being replaced."""

    sign: Own
    decrypt: tuple[Own, ...]


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner's certificates. `sign` may hold the next one beside the present one."""

    sign: tuple[x509.Certificate, ...]
    encrypt: x509.Certificate


def own_keys(folder: Path) -> OwnKeys:
    """`own-sign` and `own-enc` (`.pem` and `.key`), and `own-enc-old` where it exists. Raises MissingCertificate."""
    decrypt = [_pair(folder, "own-enc")]
    if (folder / "own-enc-old.key").exists():
        decrypt.append(_pair(folder, "own-enc-old"))
    return OwnKeys(_pair(folder, "own-sign"), tuple(decrypt))


def partner(folder: Path, party: str, agreed: Agreement) -> Partner:
    """`partners/<party>/sign*.pem` and `enc.pem`; where there are none, the CPA's. Raises MissingCertificate."""
    own = folder / "partners" / party
    if not own.exists() and agreed.signing and agreed.encryption:
        return Partner(agreed.signing, agreed.encryption[0])
    signing = tuple(_certificate(path) for path in sorted(own.glob("sign*.pem")))
    if not signing:
        raise MissingCertificate(f"{own}/sign.pem mangler")
    return Partner(signing, _certificate(own / "enc.pem"))


def _pair(folder: Path, name: str) -> Own:
    path = folder / f"{name}.key"
    try:
        key = _key(path.read_bytes())
    except (OSError, ValueError, TypeError) as wrong:
        raise MissingCertificate(f"{path}: {type(wrong).__name__}") from wrong
    if not isinstance(key, rsa.RSAPrivateKey):
        raise MissingCertificate(f"{path} er ingen RSA-nøkkel")
    certificate = _certificate(folder / f"{name}.pem")
    if certificate.public_key() != key.public_key():
        raise MissingCertificate(f"{name}.pem og {name}.key hører ikke sammen")
    return Own(certificate, key)


@lru_cache(maxsize=8)
def _key(pem: bytes) -> PrivateKeyTypes:
    """Checked once, though every adapter of a hub reads the same."""
    return serialization.load_pem_private_key(pem, None)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as wrong:
        raise MissingCertificate(f"{path}: {type(wrong).__name__}") from wrong
