"""`besoksbro cert`: what is listed, what a check finds, and what an import leaves behind. The console's warning of an expiry."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat, pkcs12
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

from throwaway import DAY, ENCRYPT, HUB_TOML, PEM, SIGN, YEAR, Ca, authority, issuer_server, leaf, leaf_key, places, write

from adapters.registries import importing, inventory
from adapters.registries.certificates import own_keys
from hub import making
from hub.__main__ import main_command
from hub.adapter import Surroundings
from hub.config import read_adapters, read_hub

NOW = datetime.now(UTC)
SECRET = "hemmelig-passord"
ADAPTER = """
party = "8100101"
carrier = { kind = "memory" }
seal = { kind = "ebms" }
format = { kind = "msghead" }
"""


def made(above: Ca, who: str, **more: object) -> x509.Certificate:
    return leaf(above, who, start=NOW - DAY, **{"end": NOW + YEAR, **more})  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "adapters").mkdir(parents=True)
    (home / "hub.toml").write_text(HUB_TOML, encoding="utf-8")
    (home / "adapters" / "visma.toml").write_text(ADAPTER, encoding="utf-8")
    return home


def p12(path: Path, certificate: x509.Certificate, *more: x509.Certificate) -> Path:
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", leaf_key(), certificate, more, BestAvailableEncryption(SECRET.encode())))
    return path


def besoksbro(*given: object, **more: str) -> tuple[int, str]:
    result = CliRunner().invoke(main_command, [str(one) for one in given], **more)  # type: ignore[arg-type]
    assert SECRET not in result.output
    return result.exit_code, result.output


def test_a_pkcs12_file_becomes_our_own_pair_and_the_key_is_ours_alone(home: Path, tmp_path: Path) -> None:
    ca = authority("Utsteder")
    (tmp_path / "password").write_text(SECRET + "\n")
    for kind, uses in (("own-sign", SIGN), ("own-enc", ENCRYPT)):
        file = p12(tmp_path / f"{kind}.p12", made(ca, "Solbakken", uses=uses))
        code, told = besoksbro("cert", "import", file, "--home", home, "--as", kind, "--password-file", tmp_path / "password")
        assert code == 0 and f"{kind}.key" in told
    keys = own_keys(home / "certs")
    assert keys.sign.key.private_numbers() == leaf_key().private_numbers()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home / "certs").glob("*.key")} == {0o600}
    renewed = p12(tmp_path / "new.p12", made(ca, "Solbakken", uses=ENCRYPT))
    assert besoksbro("cert", "import", renewed, "--home", home, "--as", "own-enc", input=SECRET + "\n")[0] == 0
    assert len(own_keys(home / "certs").decrypt) == 2
    code, told = besoksbro("cert", "import", renewed, "--home", home, "--as", "own-enc", input=SECRET + "\n")
    assert code == 1 and "allerede" in told and len(own_keys(home / "certs").decrypt) == 2


def test_an_import_that_cannot_be_used_writes_nothing(home: Path, tmp_path: Path) -> None:
    ca = authority("Utsteder")
    sign, enc = made(ca, "Solbakken"), made(ca, "Solbakken", uses=ENCRYPT)
    (tmp_path / "not.p12").write_bytes(b"\x30\x03nei")
    tries = (
        (p12(tmp_path / "enc.p12", enc), "own-sign", "", SECRET), (p12(tmp_path / "sign.p12", sign), "own-sign", "", "feil passord"),
        (tmp_path / "sign.p12", "sign", "../../andre", SECRET), (tmp_path / "sign.p12", "sign", "", SECRET), (tmp_path / "sign.p12", "annet", "", SECRET),
        (write(tmp_path / "sign.pem", sign), "own-sign", "", ""), (tmp_path / "sign.pem", "trusted", "", ""), (tmp_path / "not.p12", "own-sign", "", SECRET),
        (tmp_path / "missing.p12", "own-sign", "", SECRET),
    )
    for file, kind, partner, password in tries:
        with pytest.raises(importing.CannotImport) as wrong:
            importing.take_in(home / "certs", file, kind, partner, password.encode())
        assert SECRET not in str(wrong.value)
    assert not (home / "certs").exists()


def test_a_partners_next_certificate_lies_beside_the_present_one(home: Path, tmp_path: Path) -> None:
    ca = authority("Utsteder")
    for number, file in enumerate(("sign.pem", "sign-neste.pem")):
        path = write(tmp_path / f"{number}.pem", made(ca, "Visma"))
        assert file in besoksbro("cert", "import", path, "--home", home, "--as", "sign", "--partner", "8100101")[1]
    assert sorted(path.name for path in (home / "certs" / "partners" / "8100101").iterdir()) == ["sign-neste.pem", "sign.pem"]


def laid_out(home: Path, tmp_path: Path, url: str) -> tuple[Ca, Ca, x509.Certificate]:
    root = authority("Rot")
    middle = authority("Utsteder", root, url=url)
    partner = made(middle, "Visma", extensions=places(url, "middle.crl"))
    certs = home / "certs"
    for kind, uses in (("own-sign", SIGN), ("own-enc", ENCRYPT)):
        path = p12(tmp_path / "own.p12", made(middle, "Solbakken", uses=uses, extensions=places(url, "middle.crl", False)))
        importing.take_in(certs, path, kind, "", SECRET.encode())
    write(certs / "partners" / "8100101" / "sign.pem", partner)
    write(certs / "partners" / "8100101" / "enc.pem", made(middle, "Visma", uses=ENCRYPT, end=NOW + 9 * DAY, extensions=places(url, "middle.crl", False)))
    importing.take_in(certs, write(tmp_path / "ca.pem", root.certificate, middle.certificate), "trusted")
    return root, middle, partner


def test_what_is_listed_and_checked_says_which_one_must_not_be_used(home: Path, tmp_path: Path) -> None:
    with issuer_server() as issuer:
        root, middle, partner = laid_out(home, tmp_path, issuer.url)
        issuer.files = {"/root.crl": root.crl(NOW), "/middle.crl": middle.crl(NOW)}
        issuer.answers = {partner.serial_number: middle.ocsp(partner, NOW)}
        code, told = besoksbro("cert", "list", "--home", home)
        first = told.splitlines()[0]
        assert code == 0 and "partners/8100101/enc.pem" in first and "8 dager igjen" in first
        assert len(told.splitlines()) == 4 and f"{partner.serial_number:x}" in told
        code, told = besoksbro("cert", "check", "--home", home)
        assert code == 0 and told.count("i orden") == 4
        middle.revoked[partner.serial_number] = NOW - DAY
        (home / "certs" / "revocation" / next(p.name for p in (home / "certs" / "revocation").glob("*.ocsp"))).unlink()
        issuer.answers = {partner.serial_number: middle.ocsp(partner, NOW)}
        code, told = besoksbro("cert", "check", "--home", home)
        assert code == 1 and told.count("er trukket tilbake") == 1
        assert "8100101" in next(line for line in told.splitlines() if "trukket tilbake" in line)


def test_a_home_without_anchors_is_told_what_was_not_checked(home: Path, tmp_path: Path) -> None:
    laid_out(home, tmp_path, "http://127.0.0.1:9")
    for path in (home / "certs" / "trusted").iterdir():
        path.unlink()
    (home / "certs" / "trusted").rmdir()
    code, told = besoksbro("cert", "check", "--home", home)
    assert code == 0 and "certs/trusted/ mangler" in told


def test_the_console_warns_thirty_days_ahead_and_of_missing_anchors_in_production(home: Path, tmp_path: Path) -> None:
    laid_out(home, tmp_path, "http://127.0.0.1:9")
    around = Surroundings(home, "visma", "8100101", "8100000", "Solbakken", {})
    (told,) = inventory.warnings([around], {}, NOW, True)
    assert told.startswith("Sertifikatet for kryptering til 8100101 utløper om 8 dager")
    assert "er utløpt" in inventory.warnings([around], {}, NOW + 20 * DAY, True)[0]
    assert inventory.warnings([replace(around, settings={"certificates": {"trusted": "."}})], {}, NOW - 30 * DAY, False) == []
    for path in (home / "certs" / "trusted").iterdir():
        path.unlink()
    (home / "certs" / "trusted").rmdir()
    assert "certs/trusted/ mangler" in inventory.warnings([around], {}, NOW, True)[0]
    assert len(inventory.warnings([around], {}, NOW, False)) == 1


def test_what_we_show_by_tls_is_listed_judged_by_its_time_and_warned_of(home: Path) -> None:
    """A product's own certificate that expires locks everybody out, so it is told as the partners' are."""
    end = {"server.pem": NOW + 8.5 * DAY, "client.pem": NOW - DAY, "line.pem": NOW + YEAR}
    for name, until in end.items():
        (home / name).write_bytes(leaf(authority("Noen"), "Solbakken", start=NOW - YEAR, end=until).public_bytes(PEM))
    (home / "server.key").touch()
    (home / "hub.toml").write_text(HUB_TOML + '\n[tls]\ncertificate = "server.pem"\nkey = "server.key"\n', encoding="utf-8")
    http = '{{ kind = "http", url = "https://epj.example/", certificate = "{0}.pem", key = "{0}.key" }}'
    (home / "adapters" / "visma.toml").write_text(
        ADAPTER.replace('{ kind = "memory" }', http.format("client")) + 'departments = ["x"]\nowner = "epj"\nmay = ["confirm"]\n'
        f'[ask]\ncarrier = {http.format("line")}\nseal = {{ kind = "plain" }}\nformat = {{ kind = "fhir" }}\nwithin = "1s"\nfresh = "10s"\n',
        encoding="utf-8",
    )
    code, told = besoksbro("cert", "list", "--home", home)
    assert code == 0 and [line.split("serienr.")[0].split() for line in told.splitlines()] == [
        ["kommunen", "TLS", "visma:", "client.pem"], ["kommunen", "TLS", "[tls]", "certificate"], ["kommunen", "TLS", "visma:", "line.pem"],
    ]
    code, told = besoksbro("cert", "check", "--home", home)
    assert code == 1 and "er utløpt" in told.splitlines()[0] and "utløpt" not in told.splitlines()[1]
    hub, texts = read_hub(home), read_adapters(home)
    warned = inventory.warnings(making.seals(hub, texts), making.tls_shown(hub, texts), NOW, False)
    assert [line.split(" (")[0] for line in warned] == ["Sertifikatet for TLS til kommunen er utløpt", "Sertifikatet for TLS til kommunen utløper om 8 dager"]


def test_an_encrypted_pem_key_asks_for_its_password_and_a_plain_one_does_not(tmp_path: Path) -> None:
    certificate = made(authority("Utsteder"), "Solbakken").public_bytes(PEM)
    for name, how in (("plain", None), ("secret", BestAvailableEncryption(SECRET.encode()))):
        key = leaf_key().private_bytes(PEM, PrivateFormat.PKCS8, how or NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(certificate + key)
        assert importing.needs_password(tmp_path / f"{name}.pem") == (how is not None)
        importing.take_in(tmp_path / name, tmp_path / f"{name}.pem", "own-sign", "", SECRET.encode())
        assert (tmp_path / name / "own-sign.key").exists()
