"""A whole booking by mail: hub and EPJ under a CPA and Dialogmelding 1.0, each with its own mailbox, through real servers."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hubs import EPJ, FUNCTIONS, HUB, ROOT, World
from letters_by_mail import box_settings, secret
from postoffice import DOMAIN, HOST, PASSWORD, Office
from test_flow import booked, status
from test_letters_as_mail import BOUNCE

from adapters.carriers.smtp import smtp
from adapters.demo.processes import wait_for
from adapters.epj.box import Box
from adapters.epj.settings import Settings
from adapters.epj.settings import read as read_settings
from adapters.formats.msghead import msghead_format
from adapters.seals.ebms import ebms
from ebxml import dialog
from ebxml.draft import Draft, Exchange, Side, make
from hub.config import read_adapter
from hub.delivery import State
from hub.problem import Problem, Unavailable
from hub.worker import Worker

CPA = "solbakken-cosdoc.xml"


class Posted:
    """A world whose EPJ is reached by mail only. `round()` lets each side do what it has to; nobody waits for anybody."""

    def __init__(self, world: World, office: Office, kind: str) -> None:
        self.world, self.office, self.name = world, office, "visma-profil"
        self.hub_user, self.epj_user = office.user(), office.user()
        self._agree()
        around = world._around(self.name, EPJ)
        hub_mail = self._mail(world.home / "hub", self.hub_user, self.epj_user, kind)
        adapter = world.adapters[self.name]
        world.adapters[self.name] = replace(
            adapter, carrier=smtp(replace(around, settings={**hub_mail, "agreement": CPA})),
            seal=ebms(replace(around, settings={"functions": FUNCTIONS, "agreement": CPA})),
            format=msghead_format(replace(around, settings={"functions": FUNCTIONS, "dialog": "1.0"})), pause=timedelta(milliseconds=50),
        )
        epj_mail = {**self._mail(world.home / "epj", self.epj_user, self.hub_user, kind), "to": f"{self.hub_user}@{DOMAIN}"}
        world.box.records.close()
        world.box = Box(Settings(world.home / "epj", self.name, "Acos CosDoc", EPJ, HUB, "", 0, dialog="1.0", functions=FUNCTIONS, mail=epj_mail,
                                 agreement=CPA), world.clock)
        self.worker = Worker(world.flow, 1)

    def _mail(self, home: Path, own: str, to: str, kind: str) -> dict[str, Any]:
        return {"host": HOST, "port": self.office.smtp, "tls": "none", "sender": f"{own}@{DOMAIN}", "mailbox": box_settings(self.office, home, own, kind)}

    def _agree(self) -> None:
        """Both have the same CPA, with the addresses in it."""
        sides = [Side(name, her, f"mailto:{user}@{DOMAIN}", *(x509.load_pem_x509_certificate((self.world.home / "pki" / her / f"{use}.pem").read_bytes())
                 for use in ("sign", "enc"))) for name, her, user in (("Solbakken", HUB, self.hub_user), ("CosDoc", EPJ, self.epj_user))]
        rows = [Exchange(row["service"], row["action"], row["from_role"], row["to_role"], sender)
                for name, senders in (("booking", [0]), ("visit", [1]), ("receipt", [0, 1])) for row in [FUNCTIONS[name]] for sender in senders]
        now = self.world.clock.now
        text = make(Draft("solbakken:cosdoc:1", (sides[0], sides[1]), rows, now - timedelta(days=1), now + timedelta(days=300)))
        for side in ("hub", "epj"):
            (self.world.home / side / "certs" / "agreements").mkdir(exist_ok=True)
            (self.world.home / side / "certs" / "agreements" / CPA).write_bytes(text.replace(b'"proposed"', b'"agreed"'))

    def collect(self) -> int:
        adapter, taken = self.world.adapters[self.name], 0
        for parcel, done in adapter.carrier.collect():
            self.worker._take(adapter, parcel, done)
            taken += 1
        return taken

    def round(self) -> int:
        box = self.world.box
        return self.world.deliver() + box._collect() + box._tell() + box._send() + self.collect()

    def until_quiet(self) -> None:
        for _ in range(100):
            if not self.round():
                return
        raise AssertionError("they never stop writing")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["imap", "pop3"])
@pytest.mark.spec("facts/ebxml", "12.250")
def test_a_booking_goes_by_mail_to_the_epj_and_its_visits_come_back(world: World, office: Office, kind: str) -> None:
    posted = Posted(world, office, kind)
    id_, _ = booked(world)
    world.deliver()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.SENT, "that the mail server took it settles nothing"
    assert posted.collect() == 0
    world.box._collect()
    wait_for(lambda: posted.collect() > 0, "the Acknowledgment", 10)
    assert world.store.delivery(owed.id).state is State.ARRIVED  # type: ignore[union-attr]
    posted.until_quiet()
    assert world.store.delivery(owed.id).state is State.ACCEPTED  # type: ignore[union-attr]
    visit = world.box.records.visit(id_)
    assert visit is not None and visit.steps == [] and status(world, id_) == visit.status and visit.status in ("fulfilled", "noshow", "cancelled")
    report = world.box.records.report()
    assert {row["state"] for row in report["outbox"]} == {"arrived"} and report["duplicates_dropped"] == 0
    assert office.lying(posted.hub_user) == office.lying(posted.epj_user) == []
    sent = office.counter.wire[f"{posted.epj_user}@{DOMAIN}"]
    assert all(b"SOAPAction" in mail and b"\r\nContent-Transfer-Encoding: base64\r\n" in mail and max(map(ord, mail.decode("latin-1"))) < 128 for mail in sent)


def test_the_same_letter_by_mail_again_is_one_booking_and_gets_the_same_receipt(world: World, office: Office) -> None:
    posted = Posted(world, office, "imap")
    booked(world)
    world.deliver()
    world.clock.now += timedelta(hours=13)  # no Acknowledgment in time: by the CPA the same letter again
    world.deliver()
    first, second = office.counter.wire[f"{posted.epj_user}@{DOMAIN}"]
    assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2] and first != second
    world.box._collect()
    assert world.box.records.report()["duplicates_dropped"] == 1 and world.box.records.report()["letters"] == 1
    assert posted.collect() == 2, "the receipt, twice"


def test_a_letter_stays_in_the_mailbox_while_the_hub_cannot_store_or_answer(world: World, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    posted = Posted(world, office, "imap")
    booked(world)
    world.deliver()
    world.box._collect()
    before = len(office.lying(posted.hub_user))
    assert before

    def full(*_: object) -> None:
        raise Unavailable("the store does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(type(world.store), "write", full)
        with pytest.raises(Unavailable):
            posted.collect()
    assert len(office.lying(posted.hub_user)) == before
    posted.until_quiet()
    assert office.lying(posted.hub_user) == []


def test_bounces_holidays_and_nonsense_are_shown_and_the_letter_between_them_is_taken(world: World, office: Office) -> None:
    posted = Posted(world, office, "pop3")
    booked(world)
    world.deliver()
    office.put(posted.hub_user, BOUNCE.format(action="failed", status="5.1.1").encode())
    office.put(posted.hub_user, b"Auto-Submitted: auto-replied\r\nContent-Type: text/plain\r\n\r\nPaa ferie\r\n")
    office.put(posted.hub_user, b"Content-Type: text/html\r\n\r\n<p>Kjop\r\n")
    world.box._collect()
    sent = len(office.counter.wire[f"{posted.epj_user}@{DOMAIN}"])
    assert posted.collect() >= 4 and office.lying(posted.hub_user) == []
    assert len(office.counter.wire[f"{posted.epj_user}@{DOMAIN}"]) == sent, "nobody is answered"
    shown = [filed.verdict for filed in world.store.envelopes(posted.name, None, True, None, 50)]
    assert [v.problem for v in shown].count(Problem.UNREADABLE) == 2 and [v.problem for v in shown].count(Problem.NOT_DELIVERED) == 1
    assert any("failed 5.1.1, of letter" in verdict.detail for verdict in shown) and any("automatic reply" in verdict.detail for verdict in shown)


def test_the_first_document_is_a_dialogmelding_1_0(world: World, office: Office) -> None:
    posted = Posted(world, office, "imap")
    booked(world)
    world.deliver()
    (parcel, _), *_ = list(posted.world.box._carrier.collect())  # type: ignore[union-attr]
    envelope = posted.world.box.seal.open(parcel, world.clock.now)
    assert dialog.NAMESPACES["1.0"].encode() in envelope.content.body and dialog.NAMESPACES["1.1"].encode() not in envelope.content.body


def test_a_real_worker_and_a_real_epj_do_the_same_in_threads(world: World, office: Office) -> None:
    Posted(world, office, "imap")
    id_, _ = booked(world)
    worker, thread = Worker(replace(world.flow, adapters={"visma-profil": world.adapters["visma-profil"]}), 1), threading.Thread(target=world.box.run)
    worker.start()
    thread.start()
    try:
        wait_for(lambda: status(world, id_) in ("fulfilled", "noshow", "cancelled"), "the visit's end", 30)
    finally:
        world.box.stop()
        worker.stop()
        thread.join(10)


def test_a_wrong_password_is_told_without_it_and_without_stopping_the_worker(world: World, office: Office, caplog: pytest.LogCaptureFixture) -> None:
    posted = Posted(world, office, "imap")
    around = world._around(posted.name, EPJ)
    mail = {**posted._mail(world.home / "hub", posted.hub_user, posted.epj_user, "imap"), "agreement": CPA}
    secret(world.home / "hub", "box.txt", "feil-passord")
    adapter = replace(world.adapters[posted.name], carrier=smtp(replace(around, settings=mail)))
    worker = Worker(replace(world.flow, adapters={posted.name: adapter}), 1)
    worker.start()
    wait_for(lambda: "could not be emptied" in caplog.text, "the log tells", 10)
    worker.stop()
    assert "user or password" in caplog.text and "feil-passord" not in caplog.text and posted.hub_user not in caplog.text and PASSWORD not in caplog.text


def test_the_vendors_template_with_its_blanks_filled_in_is_a_whole_adapter(world: World, office: Office) -> None:
    Posted(world, office, "imap")
    home = world.home / "hub"
    (home / "secrets").mkdir(exist_ok=True)
    for name in ("cosdoc-smtp.txt", "cosdoc-imap.txt"):
        secret(home / "secrets", name, PASSWORD if "imap" in name else "hemmelig")
    text = (ROOT / "adapters" / "vendors" / "acos-cosdoc.toml").read_text(encoding="utf-8")
    filled = {"<the CPA's file in certs/agreements/>": CPA, "<the EPJ's HER-id>": EPJ, "<mail server>": HOST, "<our edi address>": f"hub@{DOMAIN}"}
    for blank, value in filled.items():
        text = text.replace(blank, value)
    (home / "acos-cosdoc.toml").write_text(text, encoding="utf-8")
    read = read_adapter(home / "acos-cosdoc.toml")
    around = replace(world._around("acos-cosdoc", EPJ), settings={**read.carrier.settings, "functions": FUNCTIONS})
    assert smtp(around)._mailbox is not None
    seal = ebms(replace(around, settings={**read.seal.settings, "functions": FUNCTIONS}))
    assert seal.agreement.formal and not seal.agreement.sync and read.format.settings["dialog"] == "1.0"
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    for group, part in (("carriers", read.carrier), ("seals", read.seal), ("formats", read.format)):
        assert part.kind in entry_points[f"besoksbro.{group}"]


def test_an_epj_in_a_box_reads_its_mail_settings(tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "functions.toml").write_text("")
    (tmp_path / "epj.toml").write_text('name = "n"\ntitle = "t"\nparty = "1"\nhub_party = "2"\nhub_url = ""\nport = 0\nagreement = "a.xml"\n'
                                       '[mail]\nhost = "h"\n[mail.mailbox]\nkind = "pop3"\n')
    settings = read_settings(tmp_path)
    assert settings.agreement == "a.xml" and settings.mail == {"host": "h", "mailbox": {"kind": "pop3"}}
