"""A hub, an EPJ and a stranger, each with keys of its own."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dev_keys import dev_pki

from adapters.registries import pki
from adapters.seals.ebms import EbmsSeal, ebms
from ebxml import envelope, mime, xml
from hub.adapter import Surroundings, Unopened
from hub.message import Content, Letter, Parcel

HUB, EPJ, STRANGER = "8100000", "8100101", "8100999"
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
FUNCTIONS = tomllib.loads((Path(__file__).parents[2] / "mappings" / "functions.toml").read_text(encoding="utf-8"))
CONTENT = Content(b"<MsgHead>bl\xc3\xa5b\xc3\xa6r &amp; \r\n</MsgHead>", "application/xml")
LETTER = Letter("11111111-2222-4333-8444-555555555555", "conversation-1", "booking", AT, AT + timedelta(days=2))


class Both:
    """A hub, an EPJ, and somebody who has keys but is neither."""

    def __init__(self, home: Path) -> None:
        self.home = home
        dev_pki(home / "pki", {HUB: "Solbakken kommune", EPJ: "Visma Profil", STRANGER: "Fremmed AS"}, AT)
        pki.lay_out(home / "pki", home / "hub" / "certs", HUB, [EPJ])
        pki.lay_out(home / "pki", home / "epj" / "certs", EPJ, [HUB, STRANGER])
        pki.lay_out(home / "pki", home / "stranger" / "certs", STRANGER, [HUB])
        self.hub = self.seal("hub", HUB, EPJ)
        self.epj = self.seal("epj", EPJ, HUB)

    def seal(self, folder: str, own: str, partner: str, **more: object) -> EbmsSeal:
        return ebms(Surroundings(self.home / folder, folder, partner, own, folder, {"functions": FUNCTIONS, **more}))

    def sent(self, **changes: object) -> Parcel:
        return self.hub.close(CONTENT, replace(LETTER, **changes), AT)  # type: ignore[arg-type]


def refused(seal: EbmsSeal, parcel: Parcel, at: datetime = AT) -> Unopened:
    with pytest.raises(Unopened) as wrong:
        seal.open(parcel, at)
    return wrong.value


def told(parcel: Parcel | None) -> envelope.Header:
    assert parcel is not None
    return envelope.read(xml.parse(mime.read(parcel.headers, parcel.body).root.body))
