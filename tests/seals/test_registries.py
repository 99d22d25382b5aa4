"""A home's `certs/`: what is laid out is read, what is missing or does not fit stops the start, and private keys stay private."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from adapters.registries import certificates, pki
from adapters.registries.agreements import Agreement
from ebxml import certificate

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
NONE = Agreement("x")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.make_dev_pki(folder, {"1": "Solbakken kommune", "2": "Visma Profil"}, AT)
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    pki.lay_out(made, tmp_path / "certs", "1", ["2"])
    return tmp_path / "certs"


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.spec("facts/ebxml", "4.5")
def test_the_demo_certificates_say_whose_they_are_and_for_what(made: Path) -> None:
    for use, purpose in (("sign", "sign"), ("enc", "encrypt")):
        one = load(made / "1" / f"{use}.pem")
        assert certificate.holder(one) == "Solbakken kommune"
        assert certificate.organisation(one) == "999990000"
        assert certificate.purposes(one) == {purpose}
        assert certificate.valid_at(one, AT)
        assert not certificate.valid_at(one, AT + timedelta(days=4 * 365))
        one.verify_directly_issued_by(load(made / "ca.pem"))


def test_openssl_trusts_the_demo_chain(made: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl not found: apt-get install openssl")
    command = ["openssl", "verify", "-attime", str(int(AT.timestamp())), "-CAfile", str(made / "ca.pem"), str(made / "2" / "sign.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_no_private_key_can_be_read_by_others_and_no_partners_key_is_in_a_home(made: Path, home: Path) -> None:
    keys = [*made.rglob("*.key"), *home.rglob("*.key")]
    assert len(keys) == 7
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in keys)
    assert sorted(path.name for path in (home / "partners" / "2").iterdir()) == ["enc.pem", "sign.pem"]


def test_a_party_that_comes_later_gets_the_same_ca_and_those_before_keep_their_keys(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "pki")
    before = {path: path.read_bytes() for path in (tmp_path / "pki").rglob("*.*")}
    pki.make_dev_pki(tmp_path / "pki", {"1": "Solbakken kommune", "2": "Visma Profil", "3": "Acos CosDoc"}, AT)
    assert {path: path.read_bytes() for path in before} == before
    load(tmp_path / "pki" / "3" / "sign.pem").verify_directly_issued_by(load(made / "ca.pem"))


def test_what_is_laid_out_is_read(home: Path, made: Path) -> None:
    own, partner = certificates.own_keys(home), certificates.partner(home, "2", NONE)
    assert own.sign.certificate == load(made / "1" / "sign.pem")
    assert [pair.certificate for pair in own.decrypt] == [load(made / "1" / "enc.pem")]
    assert (partner.sign, partner.encrypt) == ((load(made / "2" / "sign.pem"),), load(made / "2" / "enc.pem"))


def test_the_old_encryption_key_stands_behind_the_present_one(home: Path, made: Path) -> None:
    for kind in ("pem", "key"):
        shutil.copy(made / "2" / f"enc.{kind}", home / f"own-enc-old.{kind}")
    assert [pair.certificate for pair in certificates.own_keys(home).decrypt] == [load(made / "1" / "enc.pem"), load(made / "2" / "enc.pem")]


@pytest.mark.parametrize("name", ["own-sign.pem", "own-sign.key", "own-enc.pem", "own-enc.key"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_a_missing_or_broken_file_of_ours_is_named(home: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (home / name).unlink()
    else:
        (home / name).write_bytes(content)
    with pytest.raises(certificates.MissingCertificate, match=name.replace(".", r"\.")):
        certificates.own_keys(home)


@pytest.mark.parametrize("name", ["sign.pem", "enc.pem"])
def test_a_missing_certificate_of_a_partners_is_named(home: Path, name: str) -> None:
    (home / "partners" / "2" / name).unlink()
    with pytest.raises(certificates.MissingCertificate, match=rf"2/{name[:-4]}\.pem"):
        certificates.partner(home, "2", NONE)


def test_a_key_that_does_not_fit_its_certificate_is_told(home: Path) -> None:
    shutil.copy(home / "own-enc.key", home / "own-sign.key")
    with pytest.raises(certificates.MissingCertificate, match="hører ikke sammen"):
        certificates.own_keys(home)
