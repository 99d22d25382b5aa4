"""Rows 1 and 2: sealing and opening a real letter with the seal the hub uses: parties, signature, certificate and time to live checked."""

from __future__ import annotations

import tempfile
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.formats.msghead import msghead_format
from adapters.registries import pki
from adapters.seals.ebms import ebms
from bench.measure import Row, bare_signature, ratios
from hub.adapter import Surroundings
from hub.message import Content, Letter, Resources

ROOT = Path(__file__).parents[1]
HUB, EPJ = "8100000", "8100101"
APPOINTMENT = {
    "resourceType": "Appointment", "id": "0593a17c-f190-5808-aeb8-518cc41c73c1", "status": "pending", "start": "2026-12-01T08:00:00Z",
    "end": "2026-12-01T08:30:00Z",
}


def rows() -> list[Row]:
    """Seal, and open with a signed receipt, for three key sizes."""
    return [row for bits in (2048, 3072, 4096) for row in _of(bits)]


def _of(bits: int) -> list[Row]:
    now = datetime.now(UTC)
    functions = tomllib.loads((ROOT / "mappings" / "functions.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        pki.make_dev_pki(home / "pki", {HUB: "Solbakken", EPJ: "EPJ"}, now, bits)
        pki.lay_out(home / "pki", home / "hub" / "certs", HUB, [EPJ])
        pki.lay_out(home / "pki", home / "epj" / "certs", EPJ, [HUB])
        ours = Surroundings(home / "hub", "epj", EPJ, HUB, "Solbakken", {"functions": functions})
        theirs = Surroundings(home / "epj", "hub", HUB, EPJ, "EPJ", {"functions": functions})
        seal, opener, writer = ebms(ours), ebms(theirs), msghead_format(ours)
    letter = Letter("aaaaaaaa-2222-3333-4444-555555555555", APPOINTMENT["id"], "booking", now, now + timedelta(days=3))
    content: Content = writer.write(Resources((APPOINTMENT,)), letter)
    parcel = seal.close(content, letter, now)
    (sealing, opening), unit = ratios(
        bare_signature(bits), [lambda: seal.close(content, letter, now), lambda: opener.receipt(opener.open(parcel, now), None, now)],
    )
    against, detail = f"RSA-{bits} signatures of CPU", f"one signature {unit * 1e6:.0f} µs; letter {len(parcel.body)} bytes"
    first = bits == 2048
    return [
        Row("1", f"seal a letter, RSA-{bits}", sealing, against, "≤ 2.2" if first else "", "≤ 1.7" if first else "", detail),
        Row("2", f"open it and sign the receipt, RSA-{bits}", opening, against, "≤ 4.2" if first else "", "≤ 3.4" if first else ""),
    ]
