"""Claims and headers that nobody sends in good faith: every one with every odd value is refused in OAuth's words, never a fault of ours."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from machines import Machines, ec, rsa, signed

from hub.config import Misconfigured, read_hub
from hub.oauth import jose
from hub.oauth.settings import read_access
from hub.problem import Problem, Unavailable

ODD: tuple[Any, ...] = (
    "", 0, -1, -9e10, -1e11, 1e11 + 1, 9e99, True, False, [], {}, ["a"], {"a": 1}, "x" * 3000, "å", "a\r\nb", [[]], [None], " ", 2.0**63, 2**70,
)


@pytest.mark.parametrize("claim", ["iss", "aud", "client_id", "exp", "nbf", "iat", "cnf", "scope"])
def test_a_token_with_an_odd_claim_opens_nothing(hub: Machines, claim: str) -> None:
    for value in ODD:
        answer = hub.get(hub.outside(**{claim: value}))
        if claim in ("nbf", "iat") and value == 0 and value is not False:
            assert answer.status_code in (200, 429)
        elif claim == "scope":
            assert answer.status_code == 403 and 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        else:
            word = "invalid_dpop_proof" if claim == "cnf" else "invalid_token"  # no proof fits a binding that is none
            assert answer.status_code == 401 and f'error="{word}"' in answer.headers["www-authenticate"], (claim, value)
        hub.clock.forward(minutes=1)


@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat", "ath"])
def test_a_proof_with_an_odd_claim_proves_nothing(hub: Machines, claim: str) -> None:
    for value in ODD:
        token = hub.outside()
        answer = hub.get(token, proof=hub.proof(token, **{claim: value}))
        assert answer.status_code == 401 or (claim == "jti" and isinstance(value, str) and 0 < len(value) <= 256), (claim, value)
        if answer.status_code == 401:
            assert 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"] and "Bearer" not in answer.headers["www-authenticate"]
        hub.clock.forward(minutes=1)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "jti", "iat", "nbf", "exp"])
def test_an_assertion_with_an_odd_claim_gets_no_token(hub: Machines, claim: str) -> None:
    for value in ODD:
        answer = hub.ask(hub.assertion(**{claim: value}))
        good = (claim == "jti" and isinstance(value, str) and 0 < len(value) <= 256) or (claim == "nbf" and value == 0 and value is not False)
        assert answer.status_code == (200 if good else 401), (claim, value, answer.text)
        assert good or answer.json()["error"] == "invalid_client"
        hub.clock.forward(seconds=1)


def test_keys_that_a_token_brings_or_points_to_are_not_believed(hub: Machines) -> None:
    stranger = rsa()
    public = stranger.as_dict(private=False)
    for header in ({"jwk": public}, {"jku": f"{hub.url}/oauth/jwks"}, {"x5u": f"{hub.url}/oauth/jwks"}, {"kid": hub.helseid.kid, "jwk": public},
                   {"crit": ["b64"], "b64": False}, {"kid": ""}):
        token = signed(_claims(hub), stranger, "PS256", **{"kid": stranger.kid, **header})
        assert hub.get(token).status_code == 401, header


def test_an_address_that_is_no_type_is_not_repeated_in_a_header(hub: Machines) -> None:
    """It stood in WWW-Authenticate: a quotation mark broke it, and a line break the connection."""
    token = hub.ask(scope="system/Slot.rs").json()["access_token"]
    host, port = hub.url.removeprefix("http://").split(":")
    for path in ("A%0d%0aX-Evil:%201", "A%22%0d%0a%0d%0aevil", "%c3%a5", "A%22b", "A%5cb", "%ff", "A%00", "Foo"):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", f"/fhir/{path}", headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        assert answer.status == (403 if path == "Foo" else 404), path
        assert "x-evil" not in {name.lower() for name, _ in answer.getheaders()}
        connection.close()


@pytest.fixture
def dripping() -> Iterator[tuple[str, threading.Event, list[int]]]:
    """A key set's address that begins to answer and goes on when it is let: (url, let it go on, how often it was asked)."""
    go_on, asked = threading.Event(), [0]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            asked[0] += 1
            taken.recv(65536)
            taken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n")
            go_on.wait(30)
            taken.sendall(b'{"keys":[]}')
            taken.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/jwks", go_on, asked
    go_on.set()
    listener.close()


def test_a_made_up_kid_makes_nobody_wait_for_a_source_that_is_slow(dripping: tuple[str, threading.Event, list[int]]) -> None:
    import json

    url, go_on, asked = dripping
    key, now = ec(), datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    good = json.dumps({"keys": [key.as_dict(private=False)]}).encode()
    slow = jose.from_url(url)
    answers = iter([lambda: good, slow])
    keys = jose.Keys(lambda: next(answers)(), lambda: now)
    assert [k.kid for k in keys.of(key.kid)] == [key.kid]
    now += timedelta(minutes=1)
    found: list[Any] = []
    stranger = threading.Thread(target=lambda: found.append(keys.of("made-up")))
    stranger.start()
    while not asked[0]:
        assert stranger.is_alive()
    assert [k.kid for k in keys.of(key.kid)] == [key.kid], "while somebody waits"
    with pytest.raises(Unavailable):
        keys.of("another")
    go_on.set()
    stranger.join()
    assert found == [[]]


def test_a_key_set_that_comes_in_drops_is_given_up(dripping: tuple[str, threading.Event, list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, go_on, _ = dripping
    go_on.set()
    monkeypatch.setattr(jose, "LONGEST_READ", -1.0)
    with pytest.raises(ValueError, match="drops"):
        jose.from_url(url)()


def test_a_redirect_of_a_key_set_is_not_followed(hub: Machines) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        jose.from_url(f"{hub.url}/drift/")()


def test_who_only_knows_a_clients_name_uses_up_nothing_of_its_turn(hub: Machines) -> None:
    stranger = ec()
    for _ in range(150):
        assert hub.ask(hub.assertion(stranger)).status_code == 401
    assert hub.ask().status_code == 200


def test_a_time_is_one_of_our_era() -> None:
    for value in (-1, -1e11, 1e11 + 1, float("nan"), float("inf"), "1", None, True):
        with pytest.raises(Exception, match="not a time"):
            jose.number({"exp": value}, "exp", Problem.BAD_TOKEN)
    assert jose.number({"exp": 1e11}, "exp", Problem.BAD_TOKEN) == 1e11


def _claims(hub: Machines) -> dict[str, Any]:
    now = hub.clock.seconds
    return {"iss": "https://helseid.example", "aud": "besoksbro:solbakken", "client_id": "acos", "scope": "system/Slot.rs", "iat": now,
            "exp": now + 600, "cnf": {"jkt": hub.holder.thumbprint()}}


@pytest.mark.parametrize(("old", "new"), [
    ("{simple}", hashlib.sha256(b"").hexdigest()), ("{simple}", hashlib.sha256(b"").hexdigest().upper()), ("{simple}", ""), ("{simple}", "simple-token"),
    ('environment = "{environment}"', 'environment = "production"'),
])
def test_settings_that_let_anybody_in_or_listen_are_refused(tmp_path: Path, old: str, new: str) -> None:
    """The digest of nothing is what an unset variable gives; a key shown over http is everybody's."""
    import machines

    assert old in machines.SETTINGS
    text = machines.SETTINGS.replace(old, new).format(
        environment="test", url="http://besok.example.no", database="sqlite:///hub.db", simple=hashlib.sha256(b"k").hexdigest(), more="", per_minute=1, tests="")
    tmp_path.joinpath("hub.toml").write_text(text)
    with pytest.raises(Misconfigured):
        read_access(read_hub(tmp_path))
