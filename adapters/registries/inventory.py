"""Which certificates a home has: our own, each partner's, those in agreements, and those of TLS. For `besoksbro cert`, the console's warnings, the
metrics, and for what is asked of the issuers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from adapters.registries import agreements
from adapters.registries import trust as trusting
from adapters.registries.agreements import BadAgreement
from adapters.registries.trust import Standing, Trust
from ebxml import certificate as certs
from hub.adapter import Surroundings

SOON = timedelta(days=30)
"""When the console begins to warn of an expiry."""
OWN = {"own-sign": "sign", "own-enc": "encrypt", "own-enc-old": "encrypt"}
USE_NB = {"sign": "signering", "encrypt": "kryptering", "tls": "TLS"}
STANDING_NB: dict[Standing, str] = {
    Standing.TRUSTED: "i orden",
    Standing.UNPROVEN: "i orden, men utstederen har ikke sagt om det er trukket tilbake",
    Standing.NOT_YET: "er ikke gyldig ennå",
    Standing.EXPIRED: "er utløpt",
    Standing.WRONG_USE: "er ikke utstedt for denne bruken (nøkkelbruk)",
    Standing.UNKNOWN_ISSUER: "er utstedt av noen som ikke ligger i certs/trusted",
    Standing.BROKEN_CHAIN: "har en kjede som ikke holder",
    Standing.REVOKED: "er trukket tilbake, eller utstederens sertifikat er det",
    Standing.UNKNOWN: "kan ikke kontrolleres: utstederen svarer ikke, og siste svar er for gammelt",
}


@dataclass(frozen=True, slots=True)
class Held:
    """One certificate of a home."""

    whose: str
    """`kommunen`, or the partner's HER-id."""
    purpose: str
    where: str
    """The file, below `certs/`; of TLS: as the settings name it."""
    certificate: x509.Certificate

    def days_left(self, at: datetime) -> int:
        return (self.certificate.not_valid_after_utc - at).days


def held(seal: Surroundings) -> list[Held]:
    """Our own, and those of a seal's partner: the files', else the agreement's. What cannot be read is left out; starting the hub names it."""
    folder = seal.home / "certs"
    return [*_own(folder), *_partner(folder, seal)]


def _own(folder: Path) -> Iterator[Held]:
    for name, purpose in OWN.items():
        yield from _read(folder / f"{name}.pem", f"{name}.pem", "kommunen", purpose)


def _partner(folder: Path, seal: Surroundings) -> Iterator[Held]:
    own = folder / "partners" / seal.party
    if own.is_dir():
        for path in sorted(own.glob("*.pem")):
            yield from _read(path, str(path.relative_to(folder)), seal.party, "sign" if path.name.startswith("sign") else "encrypt")
    elif "agreement" in seal.settings:
        try:
            agreed = agreements.agreement(folder / "agreements", seal.own_party, seal.party, seal.settings)
        except BadAgreement:
            return
        for purpose, found in (("sign", agreed.signing), ("encrypt", agreed.encryption)):
            for one in found:
                yield Held(seal.party, purpose, f"agreements/{seal.settings['agreement']}", one)


def _read(path: Path, where: str, whose: str, purpose: str) -> Iterator[Held]:
    try:
        yield Held(whose, purpose, where, x509.load_pem_x509_certificate(path.read_bytes()))  # of a chain the first, whose the others are
    except (OSError, ValueError):
        return


@dataclass(frozen=True, slots=True)
class Line:
    """One certificate as `besoksbro cert list` and `check` tell it."""

    whose: str
    use: str
    file: str
    serial: str
    organisation: str
    valid_from: datetime
    valid_to: datetime
    days_left: int
    standing: str = ""
    """Norwegian; empty: not judged."""
    ok: bool = True

    @property
    def replaced(self) -> bool:
        """It stays only for what still comes under it, and may expire in peace."""
        return self.file == "own-enc-old.pem"

    @property
    def text(self) -> str:
        told = f"  {self.standing}" if self.standing else ""
        return (
            f"{self.whose:10s} {self.use:11s} {self.file:32s} serienr. {self.serial}  org. {self.organisation or '–'}  "
            f"{self.valid_from:%d.%m.%Y}–{self.valid_to:%d.%m.%Y}  {self.days_left} dager igjen{told}"
        )


def lines(seals: Iterable[Surroundings], tls: Mapping[str, Path], at: datetime, judge: bool = False) -> list[Line]:
    """Every certificate once, the one that expires first on top. Raises Misconfigured.

    Args:
        tls: what we show by TLS: the file, by what the settings call it. Of these nothing but the time is judged: whoever connects judges them.
    """
    found: dict[tuple[str, str], Line] = {}
    for where, path in tls.items():
        for one in _read(path, where, "kommunen", "tls"):
            line = _line(one, at, None)
            expired = judge and line.valid_to < at
            found[where, line.serial] = replace(line, ok=not expired, standing=STANDING_NB[Standing.EXPIRED] if expired else "")
    for seal in seals:
        trust = trusting.of_seal(seal.home, seal.settings) if judge else None
        for one in held(seal):
            line = _line(one, at, trust)
            if (one.where, line.serial) not in found or not line.ok:
                found[one.where, line.serial] = line
    return sorted(found.values(), key=lambda line: line.valid_to)


def _line(one: Held, at: datetime, trust: Trust | None) -> Line:
    standing = trust.standing(one.certificate, one.purpose, at) if trust else None
    return Line(
        one.whose, USE_NB[one.purpose], one.where, f"{one.certificate.serial_number:x}", certs.organisation(one.certificate),
        one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc, one.days_left(at),
        STANDING_NB[standing] if standing else "", standing in (None, Standing.TRUSTED, Standing.UNPROVEN),
    )


def warnings(seals: Sequence[Surroundings], tls: Mapping[str, Path], at: datetime, strict: bool) -> list[str]:
    """Norwegian, for the console: what has expired, or expires within thirty days.

    Args:
        strict: in production: that there are no trust anchors is a warning too.
    """
    told = []
    if strict and any(held(seal) for seal in seals) and not all(trusting.of_seal(s.home, s.settings).roots for s in seals):
        told.append("Sertifikater kontrolleres ikke mot utsteder og tilbaketrekking: certs/trusted/ mangler.")
    for line in lines(seals, tls, at):
        if line.valid_to - at <= SOON and not line.replaced:
            when = f"utløper om {line.days_left} dager" if line.valid_to > at else "er utløpt"
            told.append(f"Sertifikatet for {line.use} til {line.whose} {when} ({line.valid_to:%d.%m.%Y}, {line.file}).")
    return told
