"""The carrier `edi` and a Meldingstjener in a box, without a hub: for what one request is answered, and for tokens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hubs import EPJ, HUB
from joserfc.jwk import ECKey, RSAKey

from adapters.carriers.edi import EdiCarrier
from adapters.demo.processes import free_ports
from adapters.epj.meldingstjener import Kept, Service, serving
from adapters.epj.sts import Client, Sts
from adapters.seals.edi import EdiSeal
from ebxml import msghead
from ebxml.kith import HER, Coded, Ident, Party
from hub.adapter import Surroundings
from hub.message import Content, Letter, Parcel

AT = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
KEY = "secrets/helseid.jwk"


@dataclass
class Clock:
    """Seconds since 1970, for tokens and proofs of both sides."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Wire:
    home: Path
    url: str
    service: Service
    clock: Clock
    carriers: list[EdiCarrier] = field(default_factory=list)

    @classmethod
    @contextmanager
    def opened(cls, home: Path) -> Iterator[Wire]:
        (port,) = free_ports(1)
        clock, url = Clock(), f"http://127.0.0.1:{port}"
        wire = cls(home, url, Service(Sts(url, {}, clock=clock)), clock)
        wire.registers(ECKey.generate_key("P-256", {"kid": "one"}, private=True))
        with serving(wire.service, port):
            yield wire
            for carrier in wire.carriers:
                carrier.close()

    def registers(self, key: ECKey | RSAKey, file: str = KEY, pem: bool = False) -> None:
        """A key of ours is known to HelseID, and its private part lies in the home."""
        path = self.home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.as_pem(private=True) if pem else json.dumps(key.as_dict(private=True)).encode())
        public = type(key).import_key(key.as_dict(private=False))
        self.service.sts.clients = {"hub": Client("hub", public, frozenset({int(HUB)}))}  # type: ignore[arg-type]

    def around(self, helseid: dict[str, Any] | None = None, **settings: Any) -> Surroundings:
        told = {"issuer": self.url, "client_id": "hub", "key_file": KEY, "scope": "nhn:msh/api", **(helseid or {})}
        return Surroundings(self.home, "epj", EPJ, HUB, "Solbakken", {"url": self.url, "every": "0s", "helseid": told, **settings})

    def carrier(self, helseid: dict[str, Any] | None = None, **settings: Any) -> EdiCarrier:
        made = EdiCarrier(self.around(helseid, **settings), self.clock)
        self.carriers.append(made)
        return made

    def parcel(self, sender: str = HUB, receiver: str = EPJ, id_: str = "", **seal: Any) -> Parcel:
        letter = Letter(id_ or str(uuid.uuid4()), "c", "booking", AT)
        made = EdiSeal(Surroundings(self.home, "epj", EPJ, HUB, "Solbakken", seal))
        return made.close(Content(document(sender, receiver, letter.id), "application/xml"), letter, AT)

    def lies(self, body: bytes | None = None, sender: str = EPJ, generated: str = "2026-11-26T07:00:00") -> Kept:
        id_ = str(uuid.uuid4())
        kept = Kept(str(uuid.uuid4()), int(sender), int(HUB), id_, generated, document(sender, HUB, id_) if body is None else body)
        self.service.messages.append(kept)
        return kept

    def tokens(self) -> int:
        return sum(request.path == "/connect/token" for request, _ in self.service.seen)


def document(sender: str, receiver: str, id_: str) -> bytes:
    named = [Party("X", (Ident(her, HER),), Party("X", (Ident(her, HER),))) for her in (sender, receiver)]
    return msghead.write(msghead.MsgHead(Coded("DIALOG_HELSEFAGLIG"), id_, AT, *named, documents=()))  # type: ignore[misc]
