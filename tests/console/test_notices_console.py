"""The console's page of notices: a test to the operator's own number, seen to its end, and the number nowhere in the clear."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on

from hub.delivering import deliver

OPERATOR = f'[[operators]]\nname = "kari"\ntoken_digest = "{hashlib.sha256(b"kari-token").hexdigest()}"\n'
SMS = 'title = "SMS"\nparty = "sms"\ncarrier = { kind = "folder", out = "folders/sms" }\nseal = { kind = "plain" }\nformat = { kind = "notice" }\n' \
    'wants = ["notice-sms"]\nanswer_due = false\n'
NUMBER = "+47 999 00 123"


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    home = tmp_path / "home"
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "sms.toml").write_text(SMS)
    with hub_on(home, town_url, more=OPERATOR) as made:
        yield made


@pytest.fixture
def console(hub: Machines) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.url, trust_env=False, follow_redirects=True) as client:
        client.post("/drift/logg-inn", data={"nokkel": "kari-token", "csrf": csrf(client.get("/drift/logg-inn").text)})
        yield client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    return found[1] if found else ""


def test_a_test_is_sent_once_a_minute_and_its_number_is_nowhere(hub: Machines, console: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def send(to: str, channel: str = "sms") -> httpx.Response:
        page = console.get("/drift/varsler").text
        assert "Mobilnummer" in page and "E-postadresse" not in page, "only what is set up"
        return console.post("/drift/varsler", data={"kanal": channel, "til": to, "csrf": csrf(page)})

    assert send("ring meg").status_code == send("kari@example.no", "email").status_code == 422
    sent = send(NUMBER)
    assert sent.status_code == 200 and "notice-sms" in sent.text, "on to what becomes of it"
    again = send(NUMBER)
    assert again.status_code == 429 and "Vent et minutt" in again.text
    parts = hub.parts
    (delivery,) = parts.store.claim({"sms": 9}, hub.clock.now, timedelta(minutes=1), "test")
    deliver(parts.flow, parts.flow.adapters["sms"], [delivery])
    (file,) = [f for f in (hub.home / "folders" / "sms").rglob("*") if f.is_file() and NUMBER.encode() in f.read_bytes()]
    told = file.read_bytes().decode()
    assert "prøve" in (json.loads(told)["text"] if told.startswith("{") else told)
    page = console.get(f"/drift/melding/{delivery.id}").text
    assert "Godkjent" in page
    for shown in (page, sent.text, console.get("/drift/meldinger").text, console.get("/drift").text, caplog.text):
        assert "999 00" not in shown and "99900123" not in shown
    assert [(line.reader, line.kind, line.channel) for line in parts.store.audit_of("", 20) if line.kind.startswith("test-")] == [
        ("operator:kari", "test-sms", "console")]
    hub.clock.forward(minutes=1)
    assert send(NUMBER).status_code == 200
