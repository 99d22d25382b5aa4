"""Partners' files change while the hub runs: the next letter goes as they say, and what is wrong is told and not used."""

from __future__ import annotations

from pathlib import Path

import pytest
from dev_keys import dev_pki
from test_agreements import AT, CONTENT, EPJ, HUB, LETTER, cpa_text

from adapters.registries import pki
from ebxml import envelope, mime, xml
from hub.config import Hub, Misconfigured
from hub.partners import LEFT, Partners

TEXT = f"""party = "{EPJ}"
carrier = {{ kind = "http", agreement = "epj.xml" }}
seal = {{ kind = "ebms", agreement = "epj.xml" }}
format = {{ kind = "msghead" }}
"""
SMS = 'party = "sms"\ncarrier = { kind = "folder", out = "sms" }\nseal = { kind = "plain" }\nformat = { kind = "notice" }\n'


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def home(tmp_path: Path) -> Path:
    dev_pki(tmp_path / "pki", {HUB: "Solbakken kommune", EPJ: "Visma Profil"}, AT)
    pki.lay_out(tmp_path / "pki", tmp_path / "hub" / "certs", HUB, [])  # the partner's certificates are in the CPA
    put(tmp_path / "hub", "certs/agreements/epj.xml", cpa_text(tmp_path / "pki").decode())
    put(tmp_path / "hub", "adapters/epj.toml", TEXT)
    return tmp_path / "hub"


def put(home: Path, file: str, text: str) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.name}").write_text(text, encoding="utf-8")
    path.with_name(f".{path.name}").replace(path)


def partners(home: Path, clock: Seconds | None = None) -> Partners:
    return Partners(Hub(home, "Solbakken kommune", "test", HUB, "http://hub", "127.0.0.1", 0, "", "1", "1"), clock or Seconds())


def cpa_id(known: Partners) -> str:
    parcel = known["epj"].seal.close(CONTENT, LETTER, AT)
    return envelope.read(xml.parse(mime.read(parcel.headers, parcel.body).root.body)).cpa_id


def test_another_cpa_counts_from_the_next_letter_and_a_wrong_one_is_told_and_not_used(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = partners(home)
    old = cpa_text(home.parent / "pki").decode()
    for wrong in ("<no-cpa/>", old.replace('"agreed"', '"proposed"'), old.replace(EPJ, "8100999"), "&"):
        put(home, "certs/agreements/epj.xml", wrong)
        known.look()
        assert cpa_id(known) == "cpa:77" and "Endringen er ikke tatt i bruk; partneren er som før" in known.troubles["epj.toml"]
        assert "adapters/epj.toml" in caplog.text
    put(home, "certs/agreements/epj.xml", old.replace("cpa:77", "cpa:78"))
    known.look()
    assert cpa_id(known) == "cpa:78" and not known.troubles


def test_partners_come_and_change_while_the_hub_runs_and_none_is_forgotten_for_a_file_that_is_gone(home: Path) -> None:
    clock = Seconds()
    known = partners(home, clock)
    first, before = known["epj"], list(known.values())
    put(home, "adapters/sms.toml", f'{SMS}wants = ["notice-sms"]\n')
    put(home, "adapters/epj.toml", f'{TEXT}wants = ["booking"]\n')
    seen = iter(known.values())
    known.look()
    assert list(known) == ["epj", "sms"] and known["sms"].wants == {"notice-sms"} and known["epj"].wants == {"booking"} and known["epj"] is not first
    assert list(seen) == before, "who was going through them sees one state of them"
    sms = known["sms"]
    for wrong in ("party =", 'party = "x"\n', SMS.replace('"folder"', '"pigeon"'), f'{SMS}wants = ["tea"]\n'):
        put(home, "adapters/sms.toml", wrong)
        known.look()
        assert known["sms"] is sms and list(known.troubles) == ["sms.toml"]
    (home / "adapters" / "sms.toml").unlink()
    known.look()
    assert known["sms"] is sms and not known.troubles


def test_the_carrier_that_was_replaced_is_closed_when_what_was_under_way_has_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, closed = Seconds(), []
    known = partners(home, clock)
    monkeypatch.setattr(known["epj"].carrier, "close", lambda: closed.append("old"))
    put(home, "adapters/epj.toml", f'{TEXT}wants = ["booking"]\n')
    for _ in range(2):
        known.look()
    assert closed == []
    clock.now += LEFT
    known.look()
    assert closed == ["old"]


def test_at_the_start_every_file_must_be_right(home: Path) -> None:
    put(home, "certs/agreements/epj.xml", "<no-cpa/>")
    put(home, "adapters/sms.toml", "party =")
    with pytest.raises(Misconfigured) as wrong:
        partners(home)
    assert "epj.toml" in str(wrong.value) and "sms.toml" in str(wrong.value), "all of them at once"
