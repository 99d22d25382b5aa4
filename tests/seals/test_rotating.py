"""Certificates change while the hub runs: the next letter is sealed and opened with the new ones, and half a change stops nothing."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from dev_keys import dev_pki
from two_parties import AT, CONTENT, EPJ, HUB, LETTER, Both, refused

from adapters.registries import pki
from adapters.registries.rotating import LOOKED, Rotating
from hub.problem import Problem

VISIT = replace(LETTER, function="visit")


class Minutes:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Minutes:
    return Minutes()


@pytest.fixture
def both(tmp_path: Path, clock: Minutes) -> Both:
    made = Both(tmp_path)
    for seal in (made.hub, made.epj):
        seal._ring._clock = clock
        seal._ring._looked = 0.0
    dev_pki(tmp_path / "next", {HUB: "Solbakken kommune", EPJ: "Visma Profil", "8100998": "Ny"}, AT)
    pki.lay_out(tmp_path / "next", tmp_path / "new", HUB, [EPJ])
    return made


def put(new: Path, old: Path) -> None:
    """As `cert import` and `mv` do: another file in its place."""
    shutil.copy(new, old.with_name(f"{old.name}.new"))
    old.with_name(f"{old.name}.new").replace(old)


@pytest.mark.spec("facts/ebxml", "4.4.keys")
def test_a_new_pair_is_used_without_a_restart_and_the_old_one_still_opens(both: Both, clock: Minutes) -> None:
    certs, new, partners = both.home / "hub" / "certs", both.home / "new", both.home / "epj" / "certs" / "partners" / HUB
    to_the_old = both.epj.close(CONTENT, VISIT, AT)
    for kind in ("pem", "key"):
        put(certs / f"own-enc.{kind}", certs / f"own-enc-old.{kind}")
        put(new / f"own-enc.{kind}", certs / f"own-enc.{kind}")
        put(new / f"own-sign.{kind}", certs / f"own-sign.{kind}")
    put(new / "own-enc.pem", partners / "enc.pem")
    put(new / "own-sign.pem", partners / "sign-neste.pem")
    clock.now += LOOKED
    to_the_new = both.epj.close(CONTENT, VISIT, AT)
    assert both.hub.open(to_the_old, AT).content == both.hub.open(to_the_new, AT).content == CONTENT
    assert both.epj.open(both.sent(), AT).content == CONTENT
    assert both.hub._ring().keys.sign.certificate in both.epj._ring().partner.sign


def test_half_a_change_is_told_and_not_used_until_it_is_whole(both: Both, clock: Minutes, caplog: pytest.LogCaptureFixture) -> None:
    certs, before = both.home / "hub" / "certs", both.hub._ring()
    put(both.home / "new" / "own-sign.pem", certs / "own-sign.pem")
    clock.now += LOOKED
    with caplog.at_level(logging.INFO):
        assert both.hub._ring() is before
        assert both.epj.open(both.sent(), AT).content == CONTENT
        clock.now += LOOKED
        assert both.hub._ring() is before
        assert caplog.text.count("own-sign.pem og own-sign.key hører ikke sammen") == 1  # told once, not every five seconds
        put(both.home / "new" / "own-sign.key", certs / "own-sign.key")
        clock.now += LOOKED
        assert both.hub._ring() is not before
    assert "changed certificates are in use" in caplog.text


def test_a_partners_certificate_that_is_taken_away_is_not_believed_any_more(both: Both, clock: Minutes) -> None:
    partners = both.home / "hub" / "certs" / "partners" / EPJ
    put(both.home / "new" / "own-sign.pem", partners / "sign.pem")
    parcel = both.epj.close(CONTENT, VISIT, AT)
    assert both.hub.open(parcel, AT).content == CONTENT  # nobody has looked yet
    clock.now += LOOKED
    assert refused(both.hub, parcel).problem is Problem.WRONG_SIGNER


def test_the_disk_is_looked_at_every_few_seconds_and_not_for_every_letter(tmp_path: Path, clock: Minutes) -> None:
    file, read = tmp_path / "a.pem", []
    rotating = Rotating(lambda: read.append(file.read_text() if file.exists() else "") or len(read), [file, tmp_path / "folder"], clock)
    file.write_text("one")
    assert rotating() == 1
    clock.now += LOOKED
    assert rotating() == 2
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.pem").write_text("b")
    assert rotating() == 2
    clock.now += LOOKED
    assert [rotating(), rotating()] == [3, 3]
    clock.now += LOOKED
    assert rotating() == 3
    assert read == ["", "one", "one"]
