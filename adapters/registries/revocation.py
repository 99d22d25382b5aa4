"""What the issuers say of revocation: CRLs and OCSP answers as they lie in a home's folders, and what they say of one certificate.

Nothing here asks anybody: `adapters.registries.refreshing` fetches, this reads what it left (facts/ebxml.md 4.2 rule 5). The judging of signatures,
scope and delegation (RFC 5280 6.3, RFC 6960 3.2) is pyhanko-certvalidator's; ours is only how long an answer counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from asn1crypto import crl, ocsp, pem, x509
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import CRLValidationError, OCSPValidationError, PathValidationError, RevokedError
from pyhanko_certvalidator.ltv.types import ValidationTimingParams
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer, RevinfoUsability, RevinfoUsabilityRating
from pyhanko_certvalidator.revinfo.validate_crl import verify_crl
from pyhanko_certvalidator.revinfo.validate_ocsp import verify_ocsp_response

SKEW = timedelta(minutes=5)
"""How much the issuer's clock may be ahead of ours."""
WITHOUT_END = timedelta(minutes=30)
"""How long an OCSP answer without nextUpdate counts: a newer one can always be had (RFC 6960 4.2.2.1)."""
FOR_EVER = timedelta(days=365 * 100)


class Status(StrEnum):
    """What is known of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


def _usable(this: datetime | None, until: datetime | None, at: datetime, grace: timedelta) -> RevinfoUsability:
    if this is None:
        return RevinfoUsability(RevinfoUsabilityRating.UNCLEAR)
    if at + SKEW < this:
        return RevinfoUsability(RevinfoUsabilityRating.TOO_NEW)
    last = (until or this + WITHOUT_END) + grace
    if at > last:
        return RevinfoUsability(RevinfoUsabilityRating.STALE, last, at)
    return RevinfoUsability(RevinfoUsabilityRating.OK)


@dataclass(frozen=True)
class _List(CRLContainer):
    """A CRL that counts until its nextUpdate and a grace time."""

    grace: timedelta = timedelta()

    def usable_at(self, policy: CertRevTrustPolicy, timing_params: ValidationTimingParams) -> RevinfoUsability:
        told = self.crl_data["tbs_cert_list"]
        return _usable(told["this_update"].native, told["next_update"].native, timing_params.validation_time, self.grace)


@dataclass(frozen=True)
class _Reply(OCSPContainer):
    """One certificate's OCSP answer, likewise."""

    grace: timedelta = timedelta()

    def usable_at(self, policy: CertRevTrustPolicy, timing_params: ValidationTimingParams) -> RevinfoUsability:
        told = self.extract_single_response()
        if told is None:
            return RevinfoUsability(RevinfoUsabilityRating.UNCLEAR)
        return _usable(told["this_update"].native, told["next_update"].native, timing_params.validation_time, self.grace)


@dataclass(frozen=True, slots=True)
class Evidence:
    """CRLs and OCSP answers, parsed; whose they are and whether they are true is judged when they are used."""

    lists: tuple[crl.CertificateList, ...] = ()
    replies: tuple[ocsp.OCSPResponse, ...] = ()


def parsed_list(data: bytes) -> crl.CertificateList:
    """A CRL, DER or PEM. Raises ValueError."""
    found = crl.CertificateList.load(pem.unarmor(data)[2] if pem.detect(data) else data, strict=True)
    _ = found["tbs_cert_list"]["this_update"].native
    return found


def parsed_reply(data: bytes) -> ocsp.OCSPResponse:
    """An OCSP answer that answers. Raises ValueError."""
    found = ocsp.OCSPResponse.load(data, strict=True)
    if found["response_status"].native != "successful" or not OCSPContainer.load_multi(found):
        raise ValueError("an OCSP answer that says nothing")
    return found


@dataclass(slots=True)
class Kept:
    """What lies in the folders; a file is parsed anew only when it has changed. `*.crl` in any folder, `*.ocsp` likewise."""

    folders: tuple[Path, ...]
    _parsed: dict[Path, tuple[tuple[int, int], Any]] = field(default_factory=dict)

    def read(self) -> Evidence:
        """Everything there is now. A file that cannot be read says nothing."""
        lists = tuple(self._all(".crl", parsed_list))
        return Evidence(lists, tuple(self._all(".ocsp", parsed_reply)))

    def _all(self, suffix: str, parse: Any) -> Iterable[Any]:
        for path in (found for folder in self.folders for found in sorted(folder.glob(f"*{suffix}"))):
            try:
                state = path.stat()
                stamp = (state.st_mtime_ns, state.st_size)
                if path not in self._parsed or self._parsed[path][0] != stamp:
                    self._parsed[path] = (stamp, parse(path.read_bytes()))
                yield self._parsed[path][1]
            except (OSError, ValueError, TypeError):
                continue


async def status(
    certificate: x509.Certificate, path: ValidationPath, evidence: Evidence, others: Sequence[x509.Certificate], at: datetime, grace: timedelta,
) -> Status:
    """What is known of one certificate of a path that holds.

    An answer counts until its nextUpdate and `grace` after; one that says «revoked» is believed however old it is, for nothing else revokes that.
    """
    found = await _told(certificate, path, evidence, others, at, grace)
    if found is Status.UNKNOWN and await _told(certificate, path, evidence, others, at, FOR_EVER) is Status.REVOKED:
        return Status.REVOKED
    return found


async def _told(
    certificate: x509.Certificate, path: ValidationPath, evidence: Evidence, others: Sequence[x509.Certificate], at: datetime, grace: timedelta,
) -> Status:
    context = ValidationContext(
        trust_roots=[path.trust_anchor], other_certs=[*others, *path.iter_certs(include_root=False)], moment=at.astimezone(UTC),
        crls=[_List(one, grace=grace) for one in evidence.lists],
        ocsps=[_Reply(one.ocsp_response_data, one.index, grace) for reply in evidence.replies for one in OCSPContainer.load_multi(reply)],
        revocation_mode="soft-fail",
    )
    for verify, silent in ((verify_ocsp_response, OCSPValidationError), (verify_crl, CRLValidationError)):
        try:
            await verify(certificate, path, context)
            return Status.GOOD
        except RevokedError:
            return Status.REVOKED
        except (silent, PathValidationError):
            continue
    return Status.UNKNOWN
