"""Rows 1 and 2: sealing and opening a real letter as the hub does it, with all that it checks: parties, the CPA's terms, the signature in the full
profile and what it covers, the signer's chain to a trusted root and that it is not revoked, decryption, and whether the message came before.

Row 1b and 2b are the same without a CPA and without trust anchors, which is how the demo runs.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.formats.msghead import msghead_format
from adapters.registries import pki
from adapters.seals.ebms import ebms
from bench.measure import Row, bare_signature, ratios
from ebxml import draft
from hub.adapter import Surroundings
from hub.message import Content, Letter, Parcel, Resources
from hub.store import Secrets, letters
from hub.store.db import Database
from hub.store.migrating import upgrade

ROOT = Path(__file__).parents[1]
HUB, EPJ = "8100000", "8100101"
APPOINTMENT = {
    "resourceType": "Appointment", "id": "0593a17c-f190-5808-aeb8-518cc41c73c1", "status": "pending", "start": "2026-12-01T08:00:00Z",
    "end": "2026-12-01T08:30:00Z",
}
CPA = {"agreement": "cpa.xml", "agreement_status": ["proposed"], "certificates": {"revocation": "require"}}
"""What a seal is told where there is a CPA (one just drafted) and whoever signs must be proved not to be revoked."""


def rows() -> Iterator[Row]:
    """Seal, and open with a signed receipt, for three key sizes."""
    yield from _of(2048, CPA)
    yield from _of(2048, {})
    yield from _of(3072, CPA)
    yield from _of(4096, CPA)


def _of(bits: int, told: dict[str, Any]) -> list[Row]:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        sides = both(Path(folder), told, now, bits)
        (sealing, opening), unit = ratios(bare_signature(bits), [sides.seal, sides.open])
    against, detail = f"RSA-{bits} signatures of CPU", f"one signature {unit * 1e6:.0f} µs; letter {sides.size} bytes"
    held = bits == 2048 and bool(told)
    how, number = ("CPA, chain, revocation", "") if told else ("national defaults, no chain", "b")
    return [
        Row(f"1{number}", f"seal a letter, RSA-{bits}: {how}", sealing, against, "≤ 2.2" if held else "", "≤ 1.7" if held else "", detail),
        Row(f"2{number}", f"open it and sign the receipt, RSA-{bits}", opening, against, "≤ 4.2" if held else "", "≤ 3.4" if held else ""),
    ]


@dataclass(frozen=True, slots=True)
class Both:
    """The two sides of one letter."""

    content: bytes
    seal: Callable[[], Parcel]
    open: Callable[[], Parcel | None]
    """Opens it, looks whether it came before, and signs the receipt."""
    size: int
    """Bytes of the letter."""


def both(home: Path, told: dict[str, Any], now: datetime, bits: int = 2048) -> Both:
    """A hub and an EPJ in `home`, with a PKI of their own."""
    functions = tomllib.loads((ROOT / "mappings" / "functions.toml").read_text(encoding="utf-8"))
    pki.make_dev_pki(home / "pki", {HUB: "Solbakken", EPJ: "EPJ"}, now, bits)
    for own, partner in ((HUB, EPJ), (EPJ, HUB)):
        pki.lay_out(home / "pki", home / own / "certs", own, [partner])
        if told:
            _agree(home, home / own / "certs", functions["booking"], now)
    ours, theirs = (
        Surroundings(home / own, "partner", partner, own, own, {"functions": functions, **told}) for own, partner in ((HUB, EPJ), (EPJ, HUB))
    )
    seal, opener, writer = ebms(ours), ebms(theirs), msghead_format(ours)
    database, secrets = Database(f"sqlite:///{home / 'came.db'}"), Secrets.open(home)
    upgrade(database.url)
    connection = database.connect()
    connection.begin()  # as the hub does: it looks inside the transaction that keeps the letter
    letter = Letter("aaaaaaaa-2222-3333-4444-555555555555", APPOINTMENT["id"], "booking", now, now + timedelta(days=3))
    content: Content = writer.write(Resources((APPOINTMENT,)), letter)
    parcel = seal.close(content, letter, now)

    def opened() -> Parcel | None:
        envelope = opener.open(parcel, now)
        assert letters.earlier(connection, secrets, envelope) is None
        return opener.receipt(envelope, None, now)

    return Both(content.body, lambda: seal.close(content, letter, now), opened, len(parcel.body))


def _agree(home: Path, certs: Path, row: dict[str, str], now: datetime) -> None:
    """A CPA for one action, the CA as trust anchor, and its list of what is revoked: nothing."""
    sides = [
        draft.Side(party, party, "https://example.no/inbox", *(x509.load_pem_x509_certificate((home / "pki" / party / name).read_bytes())
                   for name in ("sign.pem", "enc.pem"))) for party in (HUB, EPJ)
    ]
    exchange = draft.Exchange(row["service"], row["action"], row["from_role"], row["to_role"], 0)
    day = timedelta(days=1)
    agreed = draft.make(draft.Draft("cpa:bench", (sides[0], sides[1]), [exchange], now - day, now + 365 * day))
    ca = x509.load_pem_x509_certificate((home / "pki" / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((home / "pki" / "ca.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    listed = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(now - day).next_update(now + 7 * day)
    files = {
        "agreements/cpa.xml": agreed, "trusted/ca.pem": ca.public_bytes(serialization.Encoding.PEM),
        "trusted/ca.crl": listed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
    }
    for name, data in files.items():
        (certs / name).parent.mkdir(exist_ok=True)
        (certs / name).write_bytes(data)
