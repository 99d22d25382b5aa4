"""`besoksbro cert import`: a PKCS#12 or PEM file into a home's `certs/`, where the hub looks. Keys are readable by their owner alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from adapters.registries.trust import TRUSTED, USES
from ebxml import certificate as certs

PLACES = {"own-sign": "sign", "own-enc": "encrypt", "sign": "sign", "enc": "encrypt", "trusted": ""}
"""What a file can be taken in as, and what its key usage must allow."""


class CannotImport(ValueError):
    """Norwegian, one line: what the operator must do. Never holds a password or a key."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held."""

    certificates: tuple[x509.Certificate, ...]
    """The key's own first, where there is a key."""
    key: rsa.RSAPrivateKey | None


def needs_password(file: Path) -> bool:
    """PKCS#12, and PEM keys that are encrypted."""
    data = _bytes(file)
    return b"-----BEGIN" not in data[:10_000] or b"ENCRYPTED" in data


def take_in(certs_folder: Path, file: Path, kind: str, partner: str = "", password: bytes | None = None) -> list[str]:
    """Writes what the file holds to its place; what lay there is kept beside it. Returns what was done, Norwegian lines.

    Args:
        kind: a key of PLACES; `sign` and `enc` are a partner's.

    Raises:
        CannotImport: nothing was written.
    """
    if kind not in PLACES:
        raise CannotImport(f"--as er en av {', '.join(PLACES)}")
    if (kind in ("sign", "enc")) != bool(partner) or (partner and not (partner.isascii() and partner.isdigit())):
        raise CannotImport("--partner <HER-id> hører til --as sign og --as enc, og bare dem")
    read = _read(file, password)
    if kind == "trusted":
        return _trusted(certs_folder / TRUSTED, read)
    certificate = read.certificates[0]
    if not USES[PLACES[kind]] & certs.purposes(certificate):
        raise CannotImport(f"sertifikatet er ikke utstedt for {'signering' if PLACES[kind] == 'sign' else 'kryptering'}")
    if partner:
        return [_partner(certs_folder / "partners" / partner, kind, certificate)]
    if read.key is None:
        raise CannotImport("filen har ingen privat nøkkel, og kommunens egne sertifikater trenger den")
    return _own(certs_folder, kind, certificate, read.key)


def _own(folder: Path, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> list[str]:
    done = []
    present = folder / f"{name}.pem"
    if present.exists() and x509.load_pem_x509_certificate(present.read_bytes()) == certificate:
        raise CannotImport(f"{name}.pem er allerede dette sertifikatet")
    if (folder / f"{name}.key").exists():
        for ending in ("key", "pem"):
            (folder / f"{name}.{ending}").replace(folder / f"{name}-old.{ending}")
        done.append(f"Det forrige ligger nå i {name}-old.")
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / f"{name}.key", private, 0o600)
    _write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return [*done, f"La inn {name}.pem og {name}.key ({_told(certificate)}). Start tjenesten på nytt."]


def _partner(folder: Path, kind: str, certificate: x509.Certificate) -> str:
    path = folder / f"{kind}.pem"
    if kind == "sign" and path.exists() and x509.load_pem_x509_certificate(path.read_bytes()) != certificate:
        path = folder / "sign-neste.pem"
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return f"La inn partners/{folder.name}/{path.name} ({_told(certificate)}). Start tjenesten på nytt."


def _trusted(folder: Path, read: Read) -> list[str]:
    authorities = [one for one in read.certificates if _is_authority(one)]
    if not authorities:
        raise CannotImport("filen har ingen utstedersertifikater (CA)")
    for one in authorities:
        _write(folder / f"{certs.fingerprint(one)[:16]}.pem", one.public_bytes(serialization.Encoding.PEM), 0o644)
    return [f"Stoler nå på {_told(one)}. Kontroller fingeravtrykket mot utstederen: {certs.fingerprint(one)}" for one in authorities]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _told(certificate: x509.Certificate) -> str:
    number = certs.organisation(certificate)
    return f"{certs.holder(certificate)}, {f'org. {number}, ' if number else ''}gyldig til {certificate.not_valid_after_utc:%d.%m.%Y}"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as wrong:
        raise CannotImport(f"{file} kan ikke leses: {wrong.strerror}") from None


def _read(file: Path, password: bytes | None) -> Read:
    data = _bytes(file)
    try:
        found = _pem(data, password) if b"-----BEGIN" in data[:10_000] else _pkcs12(data, password)
    except (ValueError, TypeError):  # not chained: a library's text could tell of the password
        raise CannotImport(f"{file} er verken PKCS#12 eller PEM, eller passordet er feil") from None
    if not found.certificates:
        raise CannotImport(f"{file} har ingen sertifikater")
    if found.key is not None and found.certificates[0].public_key() != found.key.public_key():
        raise CannotImport("nøkkelen i filen hører ikke til noe sertifikat i den")
    return found


def _pkcs12(data: bytes, password: bytes | None) -> Read:
    key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    return Read(((certificate,) if certificate else ()) + tuple(more), _rsa(key))


def _pem(data: bytes, password: bytes | None) -> Read:
    found = x509.load_pem_x509_certificates(data)
    key = _rsa(serialization.load_pem_private_key(data, password if b"ENCRYPTED" in data else None)) if b"PRIVATE KEY-----" in data else None
    if key is not None:
        found.sort(key=lambda one: one.public_key() != key.public_key())
    return Read(tuple(found), key)


def _rsa(key: object) -> rsa.RSAPrivateKey | None:
    if key is not None and not isinstance(key, rsa.RSAPrivateKey):
        raise CannotImport("nøkkelen er ikke RSA")
    return key


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and never for a moment readable by more than `mode` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, path)
