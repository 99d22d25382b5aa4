"""The three templates with their blanks filled in, each against an EPJ in a box on its own transport: they differ in configuration and nothing else.

Visma Profil: HTTP under a CPA. Acos CosDoc: SMTP and IMAP under a CPA, Dialogmelding 1.0. Tieto Gerica: HTTP, no CPA, certificates by the register.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hubs import EPJ, FUNCTIONS, HUB, ROOT, World
from letters_by_mail import box_settings, secret
from postoffice import DOMAIN, HOST, PASSWORD, Office
from serving import served
from test_flow import booked, status

from adapters.demo.processes import free_ports, wait_for
from adapters.epj.__main__ import application
from adapters.epj.box import Box
from adapters.epj.settings import Faults, Settings
from ebxml.draft import Draft, Exchange, Side, make
from hub import making
from hub.config import Hub, read_adapter
from hub.delivery import State
from hub.faces.inbox import Inbox
from hub.worker import Worker

CPA = "cpa.xml"
NAME = "visma-profil"
"""The adapter that the world's department belongs to; the vendor is what its file says."""
VENDORS = ("visma-profil", "acos-cosdoc", "tieto-gerica")
FAULTS = Faults(duplicates=1.0, lost_receipts=1.0)
"""Everything the EPJ sends comes twice, and the first try of everything it gets is not answered."""


class Town:
    """One hub and one EPJ, each by its configuration alone."""

    def __init__(self, world: World, vendor: str, office: Office | None, faults: Faults) -> None:
        self.world, self.vendor = world, vendor
        self.hub_port, self.epj_port = free_ports(2)
        self.users = (office.user(), office.user()) if office else ("", "")
        addresses = [f"mailto:{user}@{DOMAIN}" for user in self.users] if office else [
            f"http://{HOST}:{self.hub_port}/inbox/{NAME}", f"http://{HOST}:{self.epj_port}/meldinger"]
        self._agree(addresses)
        text = (ROOT / "adapters" / "vendors" / f"{vendor}.toml").read_text(encoding="utf-8")
        path = world.home / "hub" / "adapters" / f"{NAME}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self._filled(text, office), encoding="utf-8")
        hub = Hub(world.home / "hub", "Solbakken", "test", HUB, "http://h", HOST, 0, "", "1", "1")
        adapter = making.make_adapter(hub, read_adapter(path))
        world.adapters[NAME] = replace(adapter, pause=timedelta(milliseconds=50))
        world.box.records.close()
        world.box = Box(self._settings(addresses[0], office, faults), world.clock)

    def _agree(self, addresses: list[str]) -> None:
        pem = [[x509.load_pem_x509_certificate((self.world.home / "pki" / her / f"{use}.pem").read_bytes()) for use in ("sign", "enc")]
               for her in (HUB, EPJ)]
        sides = (Side("Solbakken", HUB, addresses[0], *pem[0]), Side("EPJ", EPJ, addresses[1], *pem[1]))
        rows = [Exchange(row["service"], row["action"], row["from_role"], row["to_role"], sender)
                for name, senders in (("booking", [0]), ("visit", [1]), ("receipt", [0, 1])) for row in [FUNCTIONS[name]] for sender in senders]
        now = self.world.clock.now
        text = make(Draft("solbakken:epj:1", sides, rows, now - timedelta(days=1), now + timedelta(days=300)))
        for side in ("hub", "epj"):
            (self.world.home / side / "certs" / "agreements").mkdir(exist_ok=True)
            (self.world.home / side / "certs" / "agreements" / CPA).write_bytes(text.replace(b'"proposed"', b'"agreed"'))

    def _filled(self, text: str, office: Office | None) -> str:
        blanks = {
            "<the EPJ's HER-id>": EPJ, "<the CPA's file in certs/agreements/>": CPA, "<where its message handler takes letters>":
            f"http://{HOST}:{self.epj_port}/meldinger", "<our edi address>": f"{self.users[0]}@{DOMAIN}",
            "<the partner's edi address>": f"{self.users[1]}@{DOMAIN}", "<mail server>": HOST,
            "<HealthcareService ids that live in this EPJ>": "hjemmesykepleie",
        }
        for blank, value in blanks.items():
            text = text.replace(blank, value)
        if office is not None:  # a server of the test's own instead of the municipality's: other ports, no login to send, no TLS
            (self.world.home / "hub" / "secrets").mkdir(exist_ok=True)
            secret(self.world.home / "hub" / "secrets", "cosdoc-imap.txt", PASSWORD)
            for old, new in (('port = 587\ntls = "starttls"', f'port = {office.smtp}\ntls = "none"'), ('user = "<user>"\npassword_file = "secrets/cosdoc-smtp.txt"', ""),
                             ("port = 993\ntls = \"tls\"", f'port = {office.imap}\ntls = "none"'), ("<user>", self.users[0]), ('"15s"', '"0s"')):
                text = text.replace(old, new)
        return text

    def _settings(self, hub_url: str, office: Office | None, faults: Faults) -> Settings:
        home = self.world.home / "epj"
        mail: dict[str, Any] = {}
        if office is not None:
            mail = {"host": HOST, "port": office.smtp, "tls": "none", "sender": f"{self.users[1]}@{DOMAIN}", "to": f"{self.users[0]}@{DOMAIN}",
                    "mailbox": box_settings(office, home, self.users[1])}
        return Settings(
            home, NAME, "EPJ i boks", EPJ, HUB, hub_url, self.epj_port, dialog="1.0" if self.vendor == "acos-cosdoc" else "1.1", mail=mail,
            agreement="" if self.vendor == "tieto-gerica" else CPA, faults=faults, functions=FUNCTIONS,
        )


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.spec("facts/ebxml", "3")
@pytest.mark.parametrize("faults", [Faults(), FAULTS], ids=["all well", "with faults"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_booking_goes_to_its_end_by_each_vendors_template(vendor: str, faults: Faults, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    office = request.getfixturevalue("office") if vendor == "acos-cosdoc" else None
    world = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    town = Town(world, vendor, office, faults)
    id_, _ = booked(world)
    worker = Worker(replace(world.flow, adapters={NAME: world.adapters[NAME]}), 1)
    told = threading.Thread(target=world.box.run)
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        stack.enter_context(served(Inbox(world.flow, world.adapters, pool), town.hub_port))
        stack.enter_context(served(application(world.box), town.epj_port))
        worker.start()
        told.start()
        stack.callback(told.join, 10)
        stack.callback(worker.stop)
        stack.callback(world.box.stop)
        (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
        if faults.lost_receipts:
            wait_for(lambda: world.box.records.letter(f"{owed.id}@besoksbro.example") is not None, "the first try", 30)
            world.clock.now += timedelta(hours=13)  # no receipt in time: the same letter again
        wait_for(lambda: status(world, id_) in ("fulfilled", "noshow", "cancelled"), "the visit's end", 60)
        wait_for(lambda: world.store.delivery(owed.id).state is State.ACCEPTED, "the AppRec", 30)  # type: ignore[union-attr]
    report = world.box.records.report()
    assert report["letters"] >= 1 and world.box.records.visit(id_).status == status(world, id_)  # type: ignore[union-attr]
    assert bool(report["counters"].get("receipts withheld")) == bool(report["counters"].get("sent twice")) == bool(faults.lost_receipts)
    again = [e for e in world.store.timeline(f"Appointment/{id_}") if e.kind == "duplicate"]
    assert bool(again) == bool(faults.duplicates), "what came twice was taken in once"
    formal = world.adapters[NAME].seal.agreement.formal  # type: ignore[attr-defined]
    assert formal is (vendor != "tieto-gerica") and (office is None) is (vendor != "acos-cosdoc")
    world.close()
