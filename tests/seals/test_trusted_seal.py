"""The seal and the chore together: who signs is the partner's own, issued by somebody we know, and not revoked by what the issuers said lately."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))

from throwaway import AT, DAY, ENCRYPT, SIGN, Ca, Issuer, authority, issuer_server, leaf, places, write, write_key

from adapters.registries import inventory, refreshing
from adapters.registries.trust import Trust, of_seal
from adapters.seals.ebms import EbmsSeal, ebms
from ebxml import envelope, mime, xml
from hub.adapter import Surroundings, Unopened
from hub.message import Content, Letter, Parcel
from hub.problem import Problem, Refused, Unavailable

FUNCTIONS = tomllib.loads((Path(__file__).parents[2] / "mappings" / "functions.toml").read_text(encoding="utf-8"))
CONTENT = Content(b"<MsgHead/>", "application/xml")
LETTER = Letter("11111111-2222-4333-8444-555555555555", "conversation-1", "booking", AT, AT + timedelta(days=20))
HUB, EPJ = "8100000", "8100101"
HOUR = timedelta(hours=1)


class Two:
    """A hub and an EPJ whose certificates name the issuers' server."""

    def __init__(self, home: Path, issuer: Issuer) -> None:
        self.home, self.issuer = home, issuer
        self.root = authority("Rot")
        self.middle = authority("Utsteder", self.root, url=issuer.url)
        self.of = {(who, use): self._pair(who, use) for who in (HUB, EPJ) for use in ("sign", "enc")}
        for own, other in ((HUB, EPJ), (EPJ, HUB)):
            certs = home / own / "certs"
            for use in ("sign", "enc"):
                write(certs / f"own-{use}.pem", self.of[own, use])
                write_key(certs / f"own-{use}.key")
                write(certs / "partners" / other / f"{use}.pem", self.of[other, use])
        write(home / HUB / "certs" / "trusted" / "all.pem", self.root.certificate, self.middle.certificate)
        self.epj = self.seal(EPJ, HUB)

    def _pair(self, who: str, use: str) -> x509.Certificate:
        return leaf(self.middle, who, uses=SIGN if use == "sign" else ENCRYPT, extensions=places(self.issuer.url, "middle.crl", use == "sign"))

    def around(self, own: str, partner: str, **told: str) -> Surroundings:
        return Surroundings(self.home / own, "partner", partner, own, own, {"functions": FUNCTIONS, "certificates": told})

    def seal(self, own: str, partner: str, **told: str) -> EbmsSeal:
        return ebms(self.around(own, partner, **told))

    def issue(self, at: object = AT) -> None:
        """The issuers' server has what is true now."""
        self.issuer.files = {"/root.crl": self.root.crl(at), "/middle.crl": self.middle.crl(at)}  # type: ignore[arg-type]
        self.issuer.answers = {one.serial_number: self.middle.ocsp(one, at) for (_, use), one in self.of.items() if use == "sign"}  # type: ignore[arg-type]

    def ask(self, at: object = AT) -> list[str]:
        """One round of the chore, in the hub's home."""
        around = self.around(HUB, EPJ)
        with refreshing.asking() as client:
            return refreshing.refresh(of_seal(around.home, around.settings), inventory.held(around), at, client)  # type: ignore[arg-type]

    def letter(self, at: object = AT) -> Parcel:
        return self.epj.close(CONTENT, LETTER, at)  # type: ignore[arg-type]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with issuer_server() as issuer:
        made = Two(tmp_path, issuer)
        made.issue()
        yield made


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_a_letter_is_opened_once_the_issuers_have_been_asked_and_not_before(two: Two) -> None:
    hub = two.seal(HUB, EPJ, recheck="0s")
    with pytest.raises(Unavailable):
        hub.open(two.letter(), AT)
    assert two.ask() == []
    assert hub.open(two.letter(), AT).content == CONTENT
    assert two.epj.open(hub.close(CONTENT, LETTER, AT), AT).content == CONTENT
    assert sorted(set(two.issuer.asked)) == ["GET /middle.crl", "GET /root.crl", "POST /ocsp"]


@pytest.mark.spec("facts/ebxml", "4.2.5")
@pytest.mark.spec("facts/ebxml", "6.SecurityFailure")
def test_a_revoked_signer_is_told_so_in_a_message_error_and_nothing_is_read(two: Two) -> None:
    two.middle.revoked[two.of[EPJ, "sign"].serial_number] = AT - HOUR
    two.issue()
    two.ask()
    hub = two.seal(HUB, EPJ)
    with pytest.raises(Unopened) as wrong:
        hub.open(two.letter(), AT)
    assert wrong.value.problem is Problem.CERTIFICATE_REVOKED and wrong.value.where == "//Header/Signature"
    assert wrong.value.header is not None and wrong.value.header.content.body == b""
    answer = hub.refusal(wrong.value, AT)
    assert answer is not None
    (told,) = envelope.read(xml.parse(mime.read(answer.headers, answer.body).root.body)).errors
    assert told.code == "SecurityFailure" and told.description.startswith("BB-118")


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_nothing_is_encrypted_to_a_certificate_that_is_revoked_or_expired(two: Two) -> None:
    two.ask()
    hub = two.seal(HUB, EPJ, recheck="0s")
    hub.close(CONTENT, LETTER, AT)
    with pytest.raises(Refused) as late:
        hub.close(CONTENT, LETTER, AT + 400 * DAY)
    assert late.value.problem is Problem.CERTIFICATE_EXPIRED
    two.middle.revoked[two.of[EPJ, "enc"].serial_number] = AT + HOUR
    two.issue(AT + 2 * HOUR)
    two.ask(AT + 2 * HOUR)
    with pytest.raises(Refused) as wrong:
        hub.close(CONTENT, LETTER, AT + 3 * HOUR)
    assert wrong.value.problem is Problem.CERTIFICATE_REVOKED


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_the_issuers_are_down_letters_go_on_within_the_grace_time_and_wait_past_it(two: Two) -> None:
    two.ask()
    two.issuer.down = True
    hub = two.seal(HUB, EPJ, recheck="0s", grace="2d")
    for at in (AT + HOUR, AT + DAY + HOUR, AT + 3 * DAY - HOUR):
        silent = two.ask(at)
        assert all(line.startswith("127.0.0.1: HTTP 503") for line in silent)
        assert hub.open(two.letter(at), at).content == CONTENT
    with pytest.raises(Unavailable):
        hub.open(two.letter(AT + 3 * DAY + HOUR), AT + 3 * DAY + HOUR)
    two.issuer.down = False
    two.issue(AT + 3 * DAY + HOUR)
    assert two.ask(AT + 3 * DAY + HOUR) == []
    assert hub.open(two.letter(AT + 3 * DAY + HOUR), AT + 3 * DAY + HOUR).content == CONTENT


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_an_answer_that_is_no_answer_never_takes_the_last_good_one_away(two: Two) -> None:
    two.ask()
    stranger = Ca(two.root.certificate, authority("Fremmed").key)
    kept = {path.name: path.read_bytes() for path in (two.home / HUB / "certs" / "revocation").iterdir()}
    for answer in (b"<html>logg inn</html>", stranger.crl(AT + 2 * HOUR), b""):
        two.issuer.files = {"/root.crl": answer, "/middle.crl": answer}
        two.issuer.answers = dict.fromkeys(two.issuer.answers, answer)
        assert two.ask(AT + 2 * HOUR)
        assert {path.name: path.read_bytes() for path in (two.home / HUB / "certs" / "revocation").iterdir()} == kept


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_the_issuers_are_asked_once_an_hour_and_ocsp_is_enough_where_there_is_one(two: Two) -> None:
    two.ask()
    asked = len(two.issuer.asked)
    two.ask(AT + 20 * timedelta(minutes=1))
    assert len(two.issuer.asked) == asked
    two.ask(AT + HOUR)
    assert len(two.issuer.asked) > asked
    two.issuer.answers, two.issuer.asked = {}, []
    two.ask(AT + 3 * HOUR)
    assert "GET /middle.crl" in two.issuer.asked


@pytest.mark.spec("facts/ebxml", "4.2.5")
def test_a_hundred_letters_cost_one_judgement(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.ask()
    hub, letter, judged, real = two.seal(HUB, EPJ), two.letter(), [], Trust._judged
    monkeypatch.setattr(Trust, "_judged", lambda self, *given: judged.append(1) or real(self, *given))
    for _ in range(100):
        hub.open(letter, AT)
    assert len(judged) == 1


def test_the_chore_asks_for_every_seal_and_for_none_where_revocation_is_off(two: Two) -> None:
    refreshing.chore(lambda: [two.around(HUB, EPJ, revocation="off")])(AT)
    assert two.issuer.asked == []
    refreshing.chore(lambda: [two.around(HUB, EPJ), two.around(EPJ, HUB)])(AT)
    assert two.issuer.asked
    assert two.seal(HUB, EPJ).open(two.letter(), AT).content == CONTENT


def test_addresses_that_are_not_http_are_never_asked(two: Two) -> None:
    odd = leaf(two.middle, extensions=places("ldap://127.0.0.1", "middle.crl"))
    assert list(refreshing.sources(odd, two.middle.certificate)) == []
