"""What an operator types, on a demo home."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.demo.home import EPJS, make_home
from hub import commands
from hub.__main__ import main
from hub.config import Misconfigured
from hub.problem import Refused

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    return make_home(folder, 1, None, 1, dict.fromkeys(EPJS, 1), datetime.now(UTC), quick=True).hub


def test_a_sample_is_shown_through_the_mapping_field_by_field(home: Path) -> None:
    tried = commands.adapter_try(home, "tjenesteshop", ROOT / "mappings" / "samples" / "tjenesteshop-opprett.json")
    rows = {row["to"]: row for row in tried.data["fields"]}
    assert tried.ok and rows["start"]["source"] == "fra" and rows["start"]["rule"] == "form"
    assert "participant.1.actor.identifier.value" in tried.text and "← avdeling" in tried.text


def test_a_hub_does_not_start_on_a_database_of_another_version(home: Path, tmp_path: Path) -> None:
    """It asks before it serves, and takes in what the access log of dead processes left (`Store.ready`)."""
    other = tmp_path / "hub"
    other.mkdir()
    (other / "hub.toml").write_text((home / "hub.toml").read_text())
    for start in (lambda: commands.run(other, work=False), lambda: commands.work(other)):
        with pytest.raises(Refused):
            start()


def test_an_adapter_without_a_mapping_says_so(home: Path) -> None:
    tried = commands.adapter_try(home, "visma-profil", ROOT / "mappings" / "samples" / "tjenesteshop-opprett.json")
    assert not tried.ok and "tjenesteshop" in tried.text


def test_every_adapter_of_the_demo_is_well_set_up(home: Path) -> None:
    assert commands.adapter_check(home).ok and {r["name"] for r in commands.adapter_list(home).data["adapters"]} == {"tjenesteshop", "sms", *EPJS}


@pytest.mark.parametrize(("kind", "wrong"), [("carrier", "pigeon"), ("wants", "free-buzy")])
def test_an_adapter_that_asks_for_what_there_is_not_is_named_with_what_there_is(home: Path, tmp_path: Path, kind: str, wrong: str) -> None:
    text = (home / "adapters" / "tjenesteshop.toml").read_text().replace('["free-busy"]', f'["{wrong}"]' if kind == "wants" else '["booking"]')
    other = shutil.copytree(home, tmp_path / "hub")
    (other / "adapters" / "tjenesteshop.toml").write_text(text.replace('kind = "folder"', f'kind = "{wrong}"') if kind == "carrier" else text)
    with pytest.raises(Misconfigured, match=f"tjenesteshop.toml: .*'{wrong}'.*; det finnes .*{'folder' if kind == 'carrier' else 'free-busy'}"):
        commands.adapter_check(other)


def test_a_login_that_lacks_its_key_is_named_before_anybody_needs_it(home: Path, tmp_path: Path) -> None:
    other = shutil.copytree(home, tmp_path / "hub")
    with (other / "hub.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[signin]\nissuer = "https://idporten.no"\nclient_id = "c"\nkey_file = "secrets/idporten.jwk"\n')
    with pytest.raises(Misconfigured, match="signin: .*idporten.jwk"):
        commands.adapter_check(other)


@pytest.mark.parametrize("given", [
    ["read", "/no/such/file"], ["import", "/no/such/file", "--home", "{home}"], ["adapter", "try", "tjenesteshop", "/no/such/file", "--home", "{home}"],
    ["database", "backup", "/no/such/folder/copy.db", "--home", "{home}"], ["adapter", "check", "--home", "/no/such/home"],
])
def test_what_cannot_be_read_or_written_is_one_line_and_no_traceback(
    home: Path, given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["besoksbro", *(word.format(home=home) for word in given)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code in (1, 2) and len((said.err + said.out).splitlines()) == 1 and "/no/such" in said.err + said.out


def test_a_copy_for_which_there_is_no_room_is_not_there_and_is_made_when_there_is(home: Path, tmp_path: Path) -> None:
    """Half a copy with its name would be taken for one when it is needed."""
    command = [sys.executable, "-m", "hub", "database", "backup", str(tmp_path / "copy.db"), "--home", str(home)]
    little = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))}
    refused = subprocess.run(command, capture_output=True, text=True, check=False, **little)  # type: ignore[call-overload]
    assert refused.returncode == 1 and "ble ikke skrevet" in refused.stdout + refused.stderr and list(tmp_path.iterdir()) == []
    subprocess.run(command, capture_output=True, check=True)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"] and (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "copy.db").read_bytes()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1 and (tmp_path / "copy.db").read_bytes() == before


def test_a_number_that_no_message_can_have_is_a_wrong_argument(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["besoksbro", "message", "replay", "9" * 25, "--reason", "x", "--home", str(home)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and "9223372036854775807" in capsys.readouterr().err
