"""A municipality begins: a home from nothing, its first partner, and the hub that runs on it, by the commands alone."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.demo.processes import free_ports, wait_for
from hub import making, starting
from hub.config import Misconfigured, read_adapter, read_hub

TOLD = starting.Beginning("Solbakken kommune", "8100000", "https://besok.example", "55 00 00 00", "Hver dag", "kari")


def besoksbro(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hub", *words], env={**os.environ, "BESOKSBRO_HOME": str(home)}, capture_output=True, text=True)


def test_from_nothing_to_a_hub_that_lets_its_operator_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = ("--municipality", "Solbakken kommune", "--her-id", "8100000", "--base-url", "https://besok.example", "--phone", "55 00 00 00",
            "--opening-hours", "Hver dag", "--operator", "kari")
    made = besoksbro("init", *told, "--json", home=home)
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)["key"]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files == [home / "hub.toml"] and key not in files[0].read_text() and stat.S_IMODE(files[0].stat().st_mode) == 0o600
    again = besoksbro("init", *told, home=home)
    assert again.returncode == 2 and "ikke rørt" in again.stderr and json.loads(made.stdout)["key"] == key
    assert besoksbro("database", "migrate", home=home).returncode == 0
    assert besoksbro("adapter", "add", "sms", home=home).returncode == 0
    assert besoksbro("adapter", "add", "tjenesteshop", "--as", "butikken", home=home).returncode == 0
    checked = besoksbro("adapter", "check", home=home)
    assert checked.returncode == 2 and "adapters/butikken.toml: fyll inn party: <a name for the shop>" in checked.stderr
    shop = home / "adapters" / "butikken.toml"
    shop.write_text(re.sub(r"<SHA-256[^>]*>", "0" * 64, shop.read_text()).replace("<a name for the shop>", "butikken").replace(
        'kind = "http", url = "<where it takes status>", token_file = "secrets/tjenesteshop.token"', 'kind = "memory"'))
    assert besoksbro("adapter", "check", home=home).returncode == 0
    (port,) = free_ports(1)
    settings = home / "hub.toml"
    settings.write_text(settings.read_text().replace("port = 8080", f"port = {port}"))
    hub = subprocess.Popen([sys.executable, "-m", "hub", "run", "--home", str(home)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_for(lambda: answers(client), "the hub answering", 60)
            for shown, address in ((key, "/drift"), (key[:-1], None)):
                answer = client.post("/drift/logg-inn", data={"nokkel": shown}, headers={"sec-fetch-site": "same-origin"})
                assert answer.headers.get("location") == address
    finally:
        hub.terminate()
        assert hub.wait(60) in (0, -signal.SIGTERM)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("wrong", "said"), [
    ({"municipality": " "}, "navn"), ({"her_id": "81x"}, "HER-id"), ({"base_url": "besok.example"}, "http"), ({"base_url": "https://besok.example/hub"}, "sti"),
    ({"base_url": "http://besok.example"}, "https"), ({"environment": "prod"}, "demo, test, production"), ({"phone": "5\n5"}, "tegn"),
])
def test_what_cannot_be_is_told_and_nothing_is_made(wrong: dict[str, str], said: str, tmp_path: Path) -> None:
    told = starting.Beginning(**{name: getattr(TOLD, name) for name in starting.Beginning.__slots__} | wrong)
    with pytest.raises(Misconfigured, match=re.escape(said)):
        starting.begin(tmp_path / "home", told)
    assert not (tmp_path / "home").exists()


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), st.text(st.characters(exclude_categories=["C", "Z"])))
def test_whatever_the_municipality_is_called_the_file_says_it(name: str, phone: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        starting.begin(home, starting.Beginning(name, "1", "https://x.example", phone, "", "kari"))
        hub = read_hub(home)
        assert (hub.municipality, hub.phone, hub.operators[0].name) == (name, phone, "kari")


@pytest.mark.parametrize("template", starting.templates())
def test_a_template_with_blanks_is_not_used_before_they_are_filled_in(template: str, tmp_path: Path) -> None:
    starting.begin(tmp_path, TOLD)
    file = starting.add(tmp_path, template, "ny")
    settings = "\n".join(line.partition("#")[0] for line in file.read_text().splitlines())
    if "<" in settings:
        with pytest.raises(Misconfigured, match="fyll inn .*<"):
            making.make_adapter(read_hub(tmp_path), read_adapter(file))
    else:
        assert making.make_adapter(read_hub(tmp_path), read_adapter(file)).name == "ny"
    with pytest.raises(Misconfigured, match="ikke rørt"):
        starting.add(tmp_path, template, "ny")


def test_an_address_in_angle_brackets_is_no_blank(tmp_path: Path) -> None:
    starting.begin(tmp_path, TOLD)
    file = starting.add(tmp_path, "sms", "sms")
    file.write_text(file.read_text().replace('title = "SMS"', 'title = "SMS <svar@kommunen.example>"'))
    assert making.make_adapter(read_hub(tmp_path), read_adapter(file)).name == "sms"


@pytest.mark.parametrize(("template", "name", "said"), [("nix", "x", "det finnes"), ("sms", "../x", "navnet"), ("sms", "", "navnet"), ("sms", "x", "hjemmemappe")])
def test_a_partner_that_cannot_be_added_is_told_why(template: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=said):
        starting.add(tmp_path, template, name)
