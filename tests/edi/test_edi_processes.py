"""Hub, EPJ and Meldingstjener as processes of their own, by their files alone; the hub is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from edi_world import BLANKS, ROOT
from joserfc.jwk import ECKey

from adapters.demo.home import EPJS, HUB, DemoHome, make_home
from adapters.demo.municipality import owners
from adapters.demo.processes import free_ports, wait_for
from adapters.demo.shop import Shop, planner
from hub import commands

NAME = "visma-profil"
MANY = 12


def by_edi(home: DemoHome, nhn: Path, port: int) -> None:
    """The EPJ of a demo home is reached by a Meldingstjener: its template, filled in, and the EPJ's own line."""
    at, her = f"http://127.0.0.1:{port}", EPJS[NAME][0]
    nhn.mkdir()
    for who, folder in (("hub", home.hub / "secrets"), ("epj", home.epj(NAME))):
        key = json.dumps(ECKey.generate_key("P-256", {"kid": who}, private=True).as_dict(private=True))
        folder.mkdir(exist_ok=True)
        (folder / "helseid.jwk").write_text(key)
        (nhn / f"{who}.jwk").write_text(key)
    clients = "".join(f'[[client]]\nid = "{who}"\nkey_file = "{who}.jwk"\nher_ids = [{her_id}]\n' for who, her_id in (("hub", HUB), ("epj", her)))
    (nhn / "nhn.toml").write_text(f"port = {port}\n{clients}")
    text = (ROOT / "adapters" / "vendors" / "nhn-meldingstjener.toml").read_text(encoding="utf-8")
    blanks = {
        **BLANKS, "<the EPJ's HER-id>": her, '"15s"': '"100ms"', '"<HealthcareService ids that live in this EPJ>"': ", ".join(map(json.dumps, owners()[NAME])),
        "https://api.hn-tjener.prod.melding.nhn.no": at, "https://helseid-sts.nhn.no": at, '["1m", "5m", "30m", "4h", "12h"]': '["300ms", "1s"]',
    }
    for blank, value in blanks.items():
        assert blank in text, blank
        text = text.replace(blank, value)
    (home.hub / "adapters" / f"{NAME}.toml").write_text(text, encoding="utf-8")
    epj = home.epj(NAME) / "epj.toml"
    line = f'edi = {{ url = "{at}", every = "100ms", helseid = {{ issuer = "{at}", client_id = "epj", key_file = "helseid.jwk", scope = "nhn:msh/api" }} }}\n'
    epj.write_text(line + epj.read_text())


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.spec("facts/helsenorge", "15.6")
def test_every_booking_goes_to_its_end_though_the_hub_is_killed_on_the_way(tmp_path: Path) -> None:
    *ports, port = free_ports(5)
    home = make_home(tmp_path / "home", 1, None, ports[0], dict(zip(EPJS, ports[1:], strict=True)), datetime.now(UTC), quick=True, bits=2048)
    by_edi(home, tmp_path / "nhn", port)
    assert NAME in commands.adapter_check(home.hub).data["adapters"]
    orders = [o for o in planner(home.municipality, "edi", datetime.now(UTC)).orders("E") if o.department in owners()[NAME]][:MANY]
    hub, records = ("hub", "run", "--home", str(home.hub)), f"{home.epj_url(NAME)}/records"
    with running("adapters.epj.nhn", "--home", str(tmp_path / "nhn")), running("adapters.epj", "--home", str(home.epj(NAME))):
        wait_for(lambda: answers(f"{home.epj_url(NAME)}/health") and answers(f"http://127.0.0.1:{port}/.well-known/openid-configuration"), "the others", 60)
        booked, shop = [], Shop(home.url, home.shop_token)
        with running(*hub):
            wait_for(lambda: answers(f"{home.url}/health"), "the hub", 60)
            booked = [order.appointment for order in orders if shop.post(order.message("OPPRETT"))[0] == 200]
            wait_for(lambda: bool(httpx.get(records, trust_env=False).json()["visits"]), "the first document", 60)
        shop.close()
        assert len(booked) > MANY / 2
        with running(*hub):
            wait_for(lambda: ended(records, booked), "every visit's end at the EPJ", 120)
            told = lambda: {id_: commands.message_show(home.hub, id_).data for id_ in booked}
            wait_for(lambda: all(d["state"] == "accepted" for one in told().values() for d in one["deliveries"] if d["function"] == "booking"), "AppRecs", 60)
            said = httpx.get(records, trust_env=False).json()
    assert set(said["visits"]) == set(booked)
    assert all("accepted" in row["answer"] for row in said["outbox"] if row["kind"] == "visit"), said["outbox"]


def ended(records: str, booked: list[str]) -> bool:
    report = httpx.get(records, trust_env=False).json()
    visits = report["visits"]
    return all(id_ in visits and visits[id_]["status"] in ("fulfilled", "noshow", "cancelled") for id_ in booked) and not any(
        row["answer"] == "" for row in report["outbox"] if row["kind"] == "visit")
