"""Chain, validity, key usage and revocation of a certificate, by anchors of the home's own and by what its issuers say (facts/ebxml.md 4.2 rule 5)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from throwaway import AT, DAY, ENCRYPT, YEAR, Ca, authority, leaf, leaf_key, responder, write

from adapters.registries.trust import PROBLEMS, Standing, Trust, policy, trust
from hub.config import Misconfigured
from hub.problem import Problem, Refused, Unavailable

HOUR = timedelta(hours=1)


@dataclass
class World:
    """Two roots and three intermediates; only the first root and its first intermediate are in the home's folder."""

    certs: Path

    def __post_init__(self) -> None:
        self.root, self.strange_root = authority("Rot"), authority("Fremmed rot")
        self.middle = authority("Utsteder", self.root)
        self.other = authority("Annen utsteder", self.root)
        self.namesake = authority("Utsteder", self.strange_root)
        write(self.certs / "trusted" / "root.pem", self.root.certificate)
        write(self.certs / "trusted" / "middle.pem", self.middle.certificate)

    def trust(self, **told: str) -> Trust:
        return trust(policy(self.certs, told))

    def say(self, name: str, answer: bytes) -> None:
        (self.certs / "revocation").mkdir(exist_ok=True)
        (self.certs / "revocation" / name).write_bytes(answer)

    def say_good(self, about: x509.Certificate | None = None, at: datetime = AT) -> None:
        """The root says nothing against the intermediate; the intermediate's list, too, where no OCSP answer is wanted."""
        self.say("root.crl", self.root.crl(at))
        if about is None:
            self.say("middle.crl", self.middle.crl(at))
        else:
            self.say("one.ocsp", self.middle.ocsp(about, at))

    def standing(self, certificate: x509.Certificate, at: datetime = AT, purpose: str = "sign", **told: str) -> Standing:
        return self.trust(**told).standing(certificate, purpose, at)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "certs")


NOT_BELIEVED: dict[str, tuple[Callable[[World], x509.Certificate], Standing]] = {
    "expired": (lambda w: leaf(w.middle, start=AT - 2 * DAY, end=AT - DAY), Standing.EXPIRED),
    "not yet valid": (lambda w: leaf(w.middle, start=AT + DAY), Standing.NOT_YET),
    "for encryption only": (lambda w: leaf(w.middle, uses=ENCRYPT), Standing.WRONG_USE),
    "from a root that is not ours": (lambda w: leaf(w.strange_root), Standing.UNKNOWN_ISSUER),
    "from an intermediate that is not in the folder": (lambda w: leaf(w.other), Standing.UNKNOWN_ISSUER),
    "from a namesake of our intermediate": (lambda w: leaf(w.namesake), Standing.UNKNOWN_ISSUER),
    "its own issuer": (lambda w: w.strange_root.certificate, Standing.WRONG_USE),
    "issued by a company that is no issuer": (lambda w: leaf(Ca(leaf(w.middle), w.middle.key)), Standing.UNKNOWN_ISSUER),
}


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.parametrize("kind", NOT_BELIEVED)
def test_a_certificate_that_is_not_believed_is_refused_and_told_why(world: World, kind: str) -> None:
    make, standing = NOT_BELIEVED[kind]
    certificate = make(world)
    world.say_good()
    assert world.standing(certificate) is standing
    with pytest.raises(Refused) as wrong:
        world.trust().demand(certificate, "sign", AT)
    assert wrong.value.problem is PROBLEMS[standing]
    assert "Visma" not in str(wrong.value)


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_a_good_one_is_believed_by_ocsp_or_by_a_crl(world: World) -> None:
    certificate = leaf(world.middle)
    world.say_good()
    assert world.standing(certificate) is Standing.TRUSTED
    (world.certs / "revocation" / "middle.crl").unlink()
    assert world.standing(certificate) is Standing.UNKNOWN
    world.say_good(certificate)
    assert world.standing(certificate) is Standing.TRUSTED
    world.say("one.ocsp", world.middle.ocsp(certificate, responder=responder(world.middle)))
    assert world.standing(certificate) is Standing.TRUSTED
    assert world.standing(leaf(world.middle, uses=ENCRYPT), purpose="encrypt", revocation="off") is Standing.TRUSTED


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_an_intermediate_that_has_expired_breaks_the_chain(world: World) -> None:
    short = authority("Kort", world.root, end=AT - HOUR)
    write(world.certs / "trusted" / "short.pem", short.certificate)
    assert world.standing(leaf(short), revocation="off") is Standing.EXPIRED


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_a_chain_through_a_cross_certificate_holds_by_the_root_that_is_ours(world: World) -> None:
    """The same intermediate, certified by two roots: only one of the ways leads to an anchor."""
    crossed = authority("Utsteder", world.strange_root, key=world.middle.key)
    write(world.certs / "trusted" / "crossed.pem", crossed.certificate)
    assert world.standing(leaf(world.middle), revocation="off") is Standing.TRUSTED
    (world.certs / "trusted" / "middle.pem").unlink()
    assert world.standing(leaf(world.middle), revocation="off") in (Standing.UNKNOWN_ISSUER, Standing.BROKEN_CHAIN)


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.parametrize("by", ["crl", "ocsp", "a crl by hand"])
@pytest.mark.parametrize("told", ["require", "if-available"])
def test_what_is_revoked_is_refused_however_it_is_told(world: World, by: str, told: str) -> None:
    certificate = leaf(world.middle)
    world.middle.revoked[certificate.serial_number] = AT - HOUR
    world.say_good(certificate if by == "ocsp" else None)
    if by == "a crl by hand":
        (world.certs / "revocation" / "middle.crl").rename(world.certs / "trusted" / "middle.crl")
    with pytest.raises(Refused) as wrong:
        world.trust(revocation=told).demand(certificate, "sign", AT)
    assert wrong.value.problem is Problem.CERTIFICATE_REVOKED
    assert world.standing(certificate, revocation="off") is Standing.TRUSTED


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.parametrize("told", ["require", "if-available"])
def test_a_revoked_intermediate_takes_all_below_it_along_and_a_leaf_is_revoked_whatever_is_known_of_the_intermediate(world: World, told: str) -> None:
    certificate = leaf(world.middle)
    world.root.revoked[world.middle.certificate.serial_number] = AT - HOUR
    world.say_good(certificate)
    assert world.standing(certificate, revocation=told) is Standing.REVOKED
    world.root.revoked.clear()
    (world.certs / "revocation" / "root.crl").unlink()
    world.middle.revoked[certificate.serial_number] = AT - HOUR
    world.say("one.ocsp", world.middle.ocsp(certificate))
    assert world.standing(certificate, revocation=told) is Standing.REVOKED


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_when_nothing_is_known_the_policy_decides_and_nobody_is_blamed(world: World) -> None:
    certificate = leaf(world.middle)
    with pytest.raises(Unavailable):
        world.trust().demand(certificate, "sign", AT)
    assert world.trust(revocation="if-available").demand(certificate, "sign", AT) == (Standing.UNPROVEN.value,)
    assert world.trust(revocation="off").demand(certificate, "sign", AT) == ()


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.parametrize("kind", ["crl of a stranger", "ocsp of a stranger", "ocsp of a company", "ocsp about another", "from tomorrow", "garbage"])
def test_what_somebody_else_says_is_no_answer(world: World, kind: str) -> None:
    certificate = leaf(world.middle)
    world.say("root.crl", world.root.crl())
    stranger, other = (world.strange_root.certificate, world.strange_root.key), leaf(world.middle)
    name, answer = {
        "crl of a stranger": ("x.crl", world.middle.crl(key=world.strange_root.key)),
        "ocsp of a stranger": ("x.ocsp", world.middle.ocsp(certificate, responder=stranger)),
        "ocsp of a company": ("x.ocsp", world.middle.ocsp(certificate, responder=(other, leaf_key()))),
        "ocsp about another": ("x.ocsp", world.middle.ocsp(other)),
        "from tomorrow": ("x.ocsp", world.middle.ocsp(certificate, AT + DAY)),
        "garbage": ("x.crl", b"<html>logg inn</html>"),
    }[kind]
    world.say(name, answer)
    assert world.standing(certificate) is Standing.UNKNOWN


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.parametrize("by", ["crl", "ocsp"])
def test_the_last_good_answer_counts_within_the_grace_time_and_not_past_it(world: World, by: str) -> None:
    certificate = leaf(world.middle)
    world.say_good(certificate if by == "ocsp" else None)  # until AT + 1 day
    for at, standing in ((DAY - HOUR, Standing.TRUSTED), (DAY + 3 * HOUR, Standing.TRUSTED), (DAY + 5 * HOUR, Standing.UNKNOWN)):
        assert world.standing(certificate, AT + at, grace="4h") is standing
    assert world.standing(certificate, AT + DAY + HOUR, grace="0s") is Standing.UNKNOWN


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_revoked_is_believed_however_old_the_answer_is(world: World) -> None:
    certificate = leaf(world.middle)
    world.middle.revoked[certificate.serial_number] = AT - HOUR
    world.say_good()
    assert world.standing(certificate, AT + 90 * DAY, grace="0s") is Standing.REVOKED


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_a_judgement_is_kept_for_some_minutes_and_then_made_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, asked = leaf(world.middle), []
    world.say_good()
    trusting = world.trust(recheck="10m")
    judged = Trust._judged
    monkeypatch.setattr(Trust, "_judged", lambda self, *given: asked.append(1) or judged(self, *given))
    for minutes in (0, 3, 9):
        assert trusting.standing(certificate, "sign", AT + timedelta(minutes=minutes)) is Standing.TRUSTED
    assert len(asked) == 1
    world.middle.revoked[certificate.serial_number] = AT
    world.say_good(at=AT + timedelta(minutes=8))
    assert trusting.standing(certificate, "sign", AT + timedelta(minutes=11)) is Standing.REVOKED
    assert len(asked) == 2
    assert trusting.standing(certificate, "sign", AT + 2 * YEAR) is Standing.EXPIRED


@pytest.mark.spec("facts/ebxml", "4.2.5")
@settings(max_examples=60)
@given(at=st.integers(-72, 24 * 400), listed=st.integers(-48, 72), revoked=st.none() | st.integers(-96, 96), grace=st.integers(0, 48))
def test_only_what_is_valid_and_freshly_known_not_to_be_revoked_is_trusted(
    tmp_path_factory: pytest.TempPathFactory, at: int, listed: int, revoked: int | None, grace: int,
) -> None:
    """Hours from AT. What holds of every certificate that is trusted, and what is trusted always."""
    world = _shared(tmp_path_factory)
    certificate = leaf(world.middle)
    if revoked is not None:
        world.middle.revoked[certificate.serial_number] = AT + revoked * HOUR
    world.say("root.crl", world.root.crl(AT - 80 * HOUR, 500 * DAY))
    world.say("middle.crl", world.middle.crl(AT + listed * HOUR))
    standing = world.standing(certificate, AT + at * HOUR, grace=f"{grace}h")
    valid = certificate.not_valid_before_utc <= AT + at * HOUR <= certificate.not_valid_after_utc
    fresh = listed <= at <= listed + 24 + grace
    assert (standing is Standing.TRUSTED) == (valid and fresh and not (revoked is not None and revoked < at))
    if valid and revoked is not None and listed <= at and revoked < at:
        assert standing is Standing.REVOKED


_made: list[World] = []


def _shared(factory: pytest.TempPathFactory) -> World:
    if not _made:
        _made.append(World(factory.mktemp("property") / "certs"))
    return _made[0]


def test_without_a_folder_only_validity_is_judged_and_what_cannot_be_checked_is_not_promised(tmp_path: Path, world: World) -> None:
    lonely = trust(policy(tmp_path / "other", {}))
    assert lonely.standing(leaf(world.strange_root), "sign", AT) is Standing.TRUSTED
    assert lonely.standing(leaf(world.strange_root), "sign", AT + 2 * YEAR) is Standing.EXPIRED
    for told in ({"revocation": "require"}, {"trusted": "andre"}):
        with pytest.raises(Misconfigured):
            policy(tmp_path / "other", told)


def test_settings_that_mean_nothing_stop_the_start(world: World) -> None:
    for told in ({"revocation": "sometimes"}, {"grace": "en uke"}):
        with pytest.raises(Misconfigured):
            policy(world.certs, told)
    (world.certs / "trusted" / "root.pem").unlink()
    with pytest.raises(Misconfigured, match="intet rot"):
        world.trust()
    (world.certs / "trusted" / "root.crt").write_bytes(b"not a certificate")
    with pytest.raises(Misconfigured, match=r"root\.crt"):
        world.trust()
    assert replace(policy(world.certs, {}), trusted=None).revocation == "require"
