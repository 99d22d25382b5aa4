"""Asks the issuers what is revoked, ahead of the letters: OCSP first, else the CRL that the certificate names (facts/ebxml.md 4.2 rule 5).

A chore of the worker's, and `besoksbro cert check`. What comes is kept in `certs/revocation/` only when it truly says something of the certificate
that it was fetched for, so an issuer that is down, or somebody in between, never takes the last good answer away.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from pyhanko_certvalidator.path import ValidationPath

from adapters.registries import trust as trusting
from adapters.registries.inventory import Held, Line, held, lines
from adapters.registries.revocation import Evidence, Status, parsed_list, parsed_reply, status
from adapters.registries.trust import Trust
from ebxml import certificate as certs
from hub.adapter import Surroundings

log = logging.getLogger(__name__)
FRESH = timedelta(hours=1)
"""How old an answer may be before the issuer is asked again."""
LARGEST = {".ocsp": 100_000, ".crl": 32_000_000}


class Silent(Exception):
    """An issuer did not answer, or said nothing of use. Never leaves this module."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place that can be asked about one certificate."""

    suffix: str
    url: str
    body: bytes | None
    file: str

    def ask(self, client: httpx.Client) -> bytes:
        """The answer's bytes. Raises Silent."""
        headers = {"content-type": "application/ocsp-request"} if self.body is not None else {}
        try:
            with client.stream("GET" if self.body is None else "POST", self.url, content=self.body, headers=headers) as answer:
                if answer.status_code != 200:
                    raise Silent(f"HTTP {answer.status_code}")
                got = bytearray()
                for chunk in answer.iter_bytes():
                    got += chunk
                    if len(got) > LARGEST[self.suffix]:
                        raise Silent("an answer larger than any")
                return bytes(got)
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            raise Silent(type(trouble).__name__) from trouble


def sources(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[Source]:
    """Where the certificate says that one can ask, over HTTP. Raises nothing: what cannot be read names no place."""
    try:
        about = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        named = [d.access_location.value for d in about if d.access_method == AuthorityInformationAccessOID.OCSP]
    except (x509.ExtensionNotFound, ValueError):
        named = []
    for url in filter(_over_http, named):
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # SHA-1 names the issuer here, no more
        yield Source(".ocsp", url, asked.public_bytes(serialization.Encoding.DER), f"{certs.fingerprint(certificate)}.ocsp")
    try:
        points = list(certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    except (x509.ExtensionNotFound, ValueError):
        points = []
    for url in filter(_over_http, (name.value for point in points for name in point.full_name or ())):
        yield Source(".crl", url, None, f"{hashlib.sha256(url.encode()).hexdigest()}.crl")


def _over_http(url: object) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://"))


def refresh(trust: Trust, all_held: Iterable[Held], now: datetime, client: httpx.Client) -> list[str]:
    """Asks about every certificate and what is above it, where the last answer is older than an hour.

    Returns:
        Who did not answer, one line each: the server's name, never whose certificate.
    """
    silent: list[str] = []
    seen: set[bytes] = set()
    for one in all_held:
        path = trust.path(one.certificate, now)
        for certificate in path.iter_certs(include_root=False) if path else ():
            if path is not None and certificate.sha256 not in seen:
                seen.add(certificate.sha256)
                silent += _about(trust, certificate, path, now, client)
    return silent


def _about(trust: Trust, certificate: asn1.Certificate, path: ValidationPath, now: datetime, client: httpx.Client) -> list[str]:
    """One certificate: the first source that truly says something is enough."""
    own, issuer = (x509.load_der_x509_certificate(one.dump()) for one in (certificate, path.find_issuing_authority(certificate).certificate))
    silent: list[str] = []
    for source in sources(own, issuer):
        file = trust.policy.kept / source.file
        if file.exists() and timedelta() <= now - datetime.fromtimestamp(file.stat().st_mtime, now.tzinfo) < FRESH:
            return []
        try:
            answer = source.ask(client)
            _keep_if_good(file, answer, certificate, path, trust.others, now)
            return []
        except (Silent, ValueError, TypeError) as trouble:
            silent.append(f"{httpx.URL(source.url).host}: {trouble if isinstance(trouble, Silent) else 'no answer that can be read'}")
    return silent


def _keep_if_good(
    file: Path, answer: bytes, certificate: asn1.Certificate, path: ValidationPath, others: Sequence[asn1.Certificate], now: datetime,
) -> None:
    evidence = Evidence((parsed_list(answer),)) if file.suffix == ".crl" else Evidence(replies=(parsed_reply(answer),))
    if asyncio.run(status(certificate, path, evidence, others, now, timedelta())) is Status.UNKNOWN:
        raise Silent("an answer that does not hold, or is about another certificate")
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f"{file.suffix}.new")
    fresh.write_bytes(answer)
    os.utime(fresh, (now.timestamp(), now.timestamp()))
    os.replace(fresh, file)


def asking() -> httpx.Client:
    """A client for issuers: nothing of ours goes along, no redirects."""
    return httpx.Client(timeout=httpx.Timeout(15, connect=5), follow_redirects=False, trust_env=False, headers={"user-agent": "besoksbro"})


def check(seals: Sequence[Surroundings], tls: Mapping[str, Path], at: datetime, ask: bool) -> tuple[list[Line], list[str]]:
    """`besoksbro cert check`: every certificate judged, its issuers asked first; and remarks, Norwegian. Raises Misconfigured."""
    told: list[str] = []
    trusts = [(trusting.of_seal(one.home, one.settings), held(one)) for one in seals]
    if any(trust.policy.trusted is None for trust, _ in trusts):
        told.append("certs/trusted/ mangler for minst én kobling: der er bare gyldighetstiden kontrollert, ikke utsteder eller tilbaketrekking.")
    if ask:
        with asking() as client:
            silent = {line for trust, all_held in trusts if trust.policy.revocation != "off" for line in refresh(trust, all_held, at, client)}
        told += [f"Fikk ikke svar om tilbaketrekking fra {line}" for line in sorted(silent)]
    return lines(seals, tls, at, judge=True), told


def chore(seals: Callable[[], Iterable[Surroundings]]) -> Callable[[datetime], None]:
    """The entry point `revocation` of `besoksbro.chores`; `seals`: those there are now."""

    def work(now: datetime) -> None:
        with asking() as client:
            watched = [(trusting.of_seal(one.home, one.settings), one) for one in seals()]
            for trust, one in [each for each in watched if each[0].policy.revocation != "off"]:
                for line in refresh(trust, held(one), now, client):  # as they lie now: certificates are rotated while the hub runs
                    log.warning("revocation is not known anew: %s", line)

    return work
