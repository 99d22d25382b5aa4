"""Whom we believe: chain, validity, use and revocation of a certificate at a time (facts/ebxml.md 4.2 rule 5), by the home's own anchors.

The anchors lie in `certs/trusted/`. Where there is no such folder nothing is judged but validity, which is what the demo does with its own CA.
No network here: what the issuers say of revocation lies on disk (`revocation`), fetched by a chore (`refreshing`). A judgement is kept for some
minutes, so that a letter pays for a look in a dictionary and not for a chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import ExpiredError, InvalidCertificateError, NotYetValidError, PathBuildingError, ValidationError
from pyhanko_certvalidator.path import ValidationPath

from adapters.registries.revocation import Kept, Status, status
from ebxml import certificate as certs
from hub.config import Misconfigured, duration
from hub.problem import Problem, Refused, Unavailable

TRUSTED = "trusted"
KEPT = "revocation"
USES = {"sign": {"sign", "authenticate"}, "encrypt": {"encrypt"}}
"""Purpose → any of these key usages is enough (digitalSignature or nonRepudiation; keyEncipherment)."""
POLICIES = ("require", "if-available", "off")


class Standing(Enum):
    """How a certificate stands. The value is told to the sender's developers."""

    TRUSTED = "trusted"
    UNPROVEN = "trusted, but whether it is revoked is not known"
    NOT_YET = "the certificate is not valid yet"
    EXPIRED = "the certificate has expired"
    WRONG_USE = "the certificate's key usage does not allow this"
    UNKNOWN_ISSUER = "the certificate's issuer is not one that is trusted"
    BROKEN_CHAIN = "the certificate's chain does not hold"
    REVOKED = "the certificate, or one above it, is revoked"
    UNKNOWN = "whether the certificate is revoked cannot be known now"


PROBLEMS = {
    Standing.NOT_YET: Problem.CERTIFICATE_EXPIRED, Standing.EXPIRED: Problem.CERTIFICATE_EXPIRED,
    Standing.WRONG_USE: Problem.CERTIFICATE_UNTRUSTED, Standing.UNKNOWN_ISSUER: Problem.CERTIFICATE_UNTRUSTED,
    Standing.BROKEN_CHAIN: Problem.CERTIFICATE_UNTRUSTED, Standing.REVOKED: Problem.CERTIFICATE_REVOKED,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The table `[certificates]` of hub.toml, and a seal's own `certificates = { … }` over it."""

    trusted: Path | None
    """Anchors, intermediates and CRLs by hand. None: there is no folder, and only validity is judged."""
    kept: Path
    """Where the chore leaves what it fetched."""
    revocation: str = "require"
    """`require`: what is not known to be good is not taken now (Unavailable: the partner's own retry brings it again).
    `if-available`: only what is known to be revoked is refused. `off`: not asked."""
    grace: timedelta = timedelta(days=1)
    """How long after its nextUpdate the last good answer counts when no newer one can be had."""
    recheck: timedelta = timedelta(minutes=10)
    """How long a judgement is kept in memory."""


def policy(folder: Path, settings: Mapping[str, Any]) -> Policy:
    """From settings `trusted` (below `certs/`), `revocation`, `grace`, `recheck`. Raises Misconfigured.

    Args:
        folder: the home's `certs/`.
    """
    told = str(settings.get("revocation", "require"))
    trusted = folder / str(settings.get("trusted", TRUSTED))
    if told not in POLICIES:
        raise Misconfigured(f"certificates: revocation er en av {', '.join(POLICIES)}")
    if not trusted.is_dir():
        if "trusted" in settings or settings.get("revocation", "off") != "off":
            raise Misconfigured(f"{trusted} mangler: sertifikater kan ikke kontrolleres uten rotsertifikater")
        return Policy(None, folder / KEPT, "off")
    try:
        grace, recheck = (duration(str(settings.get(name, usual))) for name, usual in (("grace", "1d"), ("recheck", "10m")))
        return Policy(trusted, folder / KEPT, told, grace, recheck)
    except ValueError as wrong:
        raise Misconfigured(f"certificates: {wrong}") from wrong


@dataclass(slots=True)
class Trust:
    """One policy's anchors, and what was found lately."""

    policy: Policy
    roots: tuple[asn1.Certificate, ...] = ()
    others: tuple[asn1.Certificate, ...] = ()
    _kept: Kept = field(default_factory=lambda: Kept(()))
    _found: dict[tuple[x509.Certificate, str], tuple[datetime, Standing]] = field(default_factory=dict)

    def demand(self, certificate: x509.Certificate, purpose: str, at: datetime) -> tuple[str, ...]:
        """Remarks on a certificate that may be used.

        Raises:
            Refused: CERTIFICATE_EXPIRED, CERTIFICATE_UNTRUSTED, CERTIFICATE_REVOKED.
            Unavailable: nobody can say now whether it is revoked, and the policy wants to know.
        """
        found = self.standing(certificate, purpose, at)
        if found is Standing.UNKNOWN:
            raise Unavailable(found.value)
        if found in PROBLEMS:
            raise Refused(PROBLEMS[found], found.value)
        return (found.value,) if found is Standing.UNPROVEN else ()

    def standing(self, certificate: x509.Certificate, purpose: str, at: datetime) -> Standing:
        """How it stands, as found lately or found now."""
        if not certs.valid_at(certificate, at):
            return Standing.NOT_YET if at < certificate.not_valid_before_utc else Standing.EXPIRED
        if self.policy.trusted is None:
            return Standing.TRUSTED
        known = self._found.get((certificate, purpose))
        if known is not None and abs(at - known[0]) < self.policy.recheck:
            return known[1]
        if not USES[purpose] & certs.purposes(certificate):
            return Standing.WRONG_USE
        found = asyncio.run(self._judged(asn1.Certificate.load(certs.der(certificate)), at))
        self._found[certificate, purpose] = (at, found)
        return found

    async def _judged(self, certificate: asn1.Certificate, at: datetime) -> Standing:
        try:
            path = await self._path(certificate, at)
        except NotYetValidError:
            return Standing.NOT_YET
        except ExpiredError:
            return Standing.EXPIRED
        except (PathBuildingError, InvalidCertificateError):
            return Standing.UNKNOWN_ISSUER
        except (ValidationError, ValueError):
            return Standing.BROKEN_CHAIN
        if self.policy.revocation == "off":
            return Standing.TRUSTED
        evidence = self._kept.read()
        told = [await status(one, path, evidence, self.others, at, self.policy.grace) for one in path.iter_certs(include_root=False)]
        if Status.REVOKED in told:
            return Standing.REVOKED
        if Status.UNKNOWN in told:
            return Standing.UNKNOWN if self.policy.revocation == "require" else Standing.UNPROVEN
        return Standing.TRUSTED

    async def _path(self, certificate: asn1.Certificate, at: datetime) -> ValidationPath:
        context = ValidationContext(trust_roots=list(self.roots), other_certs=self.others, moment=at.astimezone(UTC), revocation_mode="none")
        return await CertificateValidator(certificate, validation_context=context).async_validate_path()

    def path(self, certificate: x509.Certificate, at: datetime) -> ValidationPath | None:
        """The chain to an anchor, whatever is said of revocation; None: there is none that holds."""
        try:
            return asyncio.run(self._path(asn1.Certificate.load(certs.der(certificate)), at))
        except (PathBuildingError, ValidationError, ValueError):
            return None


def trust(told: Policy) -> Trust:
    """Reads the anchors: self-issued certificates are anchors, others are links on the way. Raises Misconfigured."""
    if told.trusted is None:
        return Trust(told)
    found: list[x509.Certificate] = []
    for file in sorted(path for path in told.trusted.iterdir() if path.suffix in (".pem", ".crt", ".cer", ".der")):
        try:
            data = file.read_bytes()
            found += x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        except (OSError, ValueError) as wrong:
            raise Misconfigured(f"{file}: {type(wrong).__name__}") from wrong
    if not any(one.issuer == one.subject for one in found):
        raise Misconfigured(f"{told.trusted} har intet rotsertifikat")
    roots = tuple(asn1.Certificate.load(certs.der(one)) for one in found if one.issuer == one.subject)
    others = tuple(asn1.Certificate.load(certs.der(one)) for one in found if one.issuer != one.subject)
    return Trust(told, roots, others, Kept((told.trusted, told.kept)))


def of_seal(home: Path, settings: Mapping[str, Any]) -> Trust:
    """The trust of one seal: the municipality's table, and the seal's own over it (`hub.app` lays them together). Raises Misconfigured."""
    return trust(policy(home / "certs", dict(settings.get("certificates", {}))))
