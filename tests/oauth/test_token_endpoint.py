"""Our token endpoint over HTTP: private_key_jwt, DPoP, scopes, replay, the metadata, and the test issuer that production does not have."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import KeySet
from machines import ASSERTION, Machines, ec, hub_on, rsa

from hub.config import Misconfigured, read_hub
from hub.oauth.settings import read_access
from hub.scopes import Scopes, needed


def test_a_client_gets_a_token_and_uses_it(either: Machines) -> None:
    answer = either.ask(scope="system/Appointment.rs system/Patient.rs", proof=either.proof(None, "POST", "/oauth/token"))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert (given["token_type"], given["scope"], given["expires_in"]) == ("DPoP", "system/Appointment.rs", 300)
    assert either.get(given["access_token"], "/fhir/Appointment").status_code == 200
    assert either.get(given["access_token"], "/fhir/Slot").status_code == 403
    either.clock.forward(seconds=306)
    assert either.get(given["access_token"], "/fhir/Appointment").status_code == 401
    bearer = either.ask().json()
    assert bearer["token_type"] == "Bearer" and bearer["scope"] == "system/Appointment.cruds system/Slot.rs"
    assert either.get(bearer["access_token"], scheme="Bearer", proof=None).status_code == 200


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://other.example"}, "two audiences": {"aud": ["https://other.example", "x"]}, "expired": {"exp": -11, "iat": -60},
    "valid too long": {"exp": 300}, "of the future": {"iat": 20, "exp": 40}, "no jti": {"jti": None}, "jti is a number": {"jti": 5},
    "another subject": {"sub": "other"}, "an unknown client": {"iss": "evil", "sub": "evil"}, "no exp": {"exp": None}, "no iat": {"iat": None},
    "not yet": {"nbf": 60},
}


def test_an_assertion_with_a_wrong_claim_is_refused(hub: Machines) -> None:
    times = ("exp", "iat", "nbf")
    for what, wrong in WRONG.items():
        claims = {k: hub.clock.seconds + v if k in times and v is not None else v for k, v in wrong.items()}
        answer = hub.ask(hub.assertion(**claims))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), what


def test_who_proves_itself_in_the_head_is_answered_in_its_own_scheme(hub: Machines) -> None:
    """RFC 6749 5.2."""
    for tried, told in (("Basic dmlzbWE6eA==", "Basic"), ("DPoP x", "DPoP"), ('B"ad x', "Bearer"), ("", "Bearer")):
        answer = hub.ask("x", headers={"authorization": tried})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, f'{told} realm="besoksbro"')


def test_an_assertion_that_proves_nothing_is_refused(hub: Machines) -> None:
    for assertion in (
        hub.assertion(key=ec()), hub.assertion(key=rsa(), alg="RS256"), hub.assertion(typ="at+jwt"), "x", "a.b.c", hub.assertion() + "A",
        hub.assertion().rpartition(".")[0] + ".", "y" * 20_000,
    ):
        refused = hub.ask(assertion)
        assert refused.json()["error"] == "invalid_client" and refused.headers["www-authenticate"] == 'Bearer realm="besoksbro"'
    assert hub.ask(client_assertion_type="urn:other").json()["error"] == "invalid_client"
    assert hub.ask(client_id="another").json()["error"] == "invalid_client"
    assert hub.ask(client_id="visma").status_code == 200


def test_an_assertion_is_good_once(either: Machines) -> None:
    assertion = either.assertion()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: either.ask(assertion).status_code, range(6)))
    assert sorted(answers) == [200] + [401] * 5


def test_what_is_no_token_request_is_told_so(hub: Machines) -> None:
    assert hub.ask(grant_type="password").json()["error"] == "unsupported_grant_type"
    assert hub.ask(scope="system/Patient.rs user/Appointment.rs").json()["error"] == "invalid_scope"
    with hub.http() as client:
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client.get("/oauth/token").status_code == 405
        assert client.post("/oauth/token", json={}).json()["error"] == "invalid_request"
        assert client.post("/oauth/token", content=b"a=1&a=2", headers=form).json()["error"] == "invalid_request"
        assert client.post("/oauth/token", content=b"\xff\xfe=1", headers=form).json()["error"] == "invalid_request"
        assert client.post("/oauth/token", content=b"&".join(b"f%d=1" % n for n in range(60)), headers=form).status_code == 400
        assert client.post("/oauth/token", content=b"a=" + b"x" * 70_000, headers=form).status_code == 413


def test_a_proof_at_the_token_endpoint_must_be_for_it_and_is_good_once(hub: Machines) -> None:
    good = hub.proof(None, "POST", "/oauth/token")
    assert hub.ask(proof=good).status_code == 200
    for proof in (good, hub.proof(None, "GET", "/oauth/token"), hub.proof(None, "POST", "/fhir"), "x"):
        assert hub.ask(proof=proof).json()["error"] == "invalid_dpop_proof"


def test_with_nonces_on_a_proof_needs_ours(tmp_path: Path) -> None:
    with hub_on(tmp_path / "home", "sqlite:///hub.db", more="nonce = true") as hub:
        first = hub.ask(proof=hub.proof(None, "POST", "/oauth/token"))
        assert first.json()["error"] == "use_dpop_nonce"
        nonce = first.headers["dpop-nonce"]
        token = hub.ask(proof=hub.proof(None, "POST", "/oauth/token", nonce=nonce)).json()["access_token"]
        assert hub.get(token, proof=hub.proof(token, nonce=nonce)).status_code == 200
        for wrong in (None, "1." + "0" * 32, nonce[:-1] + ("0" if nonce[-1] != "0" else "1"), 7):
            answer = hub.get(token, proof=hub.proof(token, nonce=wrong))
            assert answer.status_code == 401 and 'error="use_dpop_nonce"' in answer.headers["www-authenticate"] and "dpop-nonce" in answer.headers
        hub.clock.forward(seconds=301)
        token = hub.outside()
        assert hub.get(token, proof=hub.proof(token, nonce=nonce)).status_code == 401


def test_the_metadata_say_what_is_so(hub: Machines) -> None:
    with hub.http() as client:
        plain, smart = client.get("/.well-known/oauth-authorization-server").json(), client.get("/fhir/.well-known/smart-configuration").json()
        assert plain["issuer"] == hub.url and plain["token_endpoint"] == smart["token_endpoint"] == f"{hub.url}/oauth/token"
        assert "client-confidential-asymmetric" in smart["capabilities"] and "private_key_jwt" in smart["token_endpoint_auth_methods_supported"]
        keys = client.get(plain["jwks_uri"].removeprefix(hub.url)).json()
    assert all("d" not in key for key in keys["keys"]) and KeySet.import_key_set(keys).keys
    assert oct((hub.home / "secrets" / "oauth.jwks").stat().st_mode)[-3:] == "600"


def test_our_own_key_may_be_rotated_while_old_tokens_live(hub: Machines) -> None:
    old = hub.ask().json()["access_token"]
    file = hub.home / "secrets" / "oauth.jwks"
    keys = json.loads(file.read_text())["keys"]
    file.write_text(json.dumps({"keys": [ec().as_dict(private=True), *keys]}))
    hub.clock.forward(seconds=61)
    new = hub.ask().json()["access_token"]
    assert [hub.get(t, scheme="Bearer", proof=None).status_code for t in (old, new)] == [200, 200]
    file.write_text(json.dumps({"keys": json.loads(file.read_text())["keys"][:1]}))
    hub.clock.forward(seconds=200)
    third = hub.ask().json()["access_token"]
    assert hub.get(third, scheme="Bearer", proof=None).status_code == 200


def ask_test_issuer(hub: Machines, **form: str) -> httpx.Response:
    with hub.http() as client:
        return client.post("/oauth/test/token", data={"grant_type": "client_credentials", "client_id": "nybegynner", **form})


def test_the_test_issuer_gives_tokens_for_the_asking_and_is_not_there_in_production(hub: Machines, tmp_path: Path) -> None:
    token = ask_test_issuer(hub, scope="system/Slot.s").json()["access_token"]
    assert hub.get(token, scheme="Bearer", proof=None).status_code == 200
    assert ask_test_issuer(hub, client_id="visma").status_code == 401  # a real client is none of the test issuer's
    with hub_on(tmp_path / "real", "sqlite:///hub.db", "production") as real:
        assert ask_test_issuer(real).status_code == 404
        assert real.get(token, scheme="Bearer", proof=None).status_code == 401
        text = (real.home / "hub.toml").read_text()
        (real.home / "hub.toml").write_text(text + '\n[[clients]]\nid = "x"\nissuer = "test"\nscopes = "system/*.rs"\n')
        with pytest.raises(Misconfigured):
            read_access(read_hub(real.home))


def test_a_client_that_asks_for_tokens_all_the_time_is_told_to_wait(hub: Machines) -> None:
    answers = [hub.ask("x.y.z" if n else None) for n in range(3)]
    assert [a.status_code for a in answers] == [200, 401, 401]
    many = [hub.ask().status_code for _ in range(121)]
    assert many[-1] == 429 and many[0] == 200
    assert ASSERTION.startswith("urn:")


def test_scopes_are_read_in_both_syntaxes_and_nothing_else_gives_anything() -> None:
    assert str(Scopes.of("system/Appointment.read system/Slot.rs")) == "system/Appointment.rs system/Slot.rs"
    assert str(Scopes.of("system/*.*")) == "system/*.cruds" and str(Scopes.of("system/Task.write")) == "system/Task.cud"
    for nothing in ("user/Slot.rs", "system/Slot.sr", "system/Slot.", "system/slot.rs", "system/Slot.rs?status=free", "openid", "system/Slot", "x" * 9999):
        assert not Scopes.of(nothing), nothing
    both = Scopes.of("system/*.rs") & Scopes.of("system/Slot.cruds")
    assert str(both) == "system/Slot.rs" and not both.may("Patient", "r")


@pytest.mark.parametrize(("method", "path", "wanted"), [
    ("GET", "Slot", ("Slot", "s")), ("POST", "Slot/_search", ("Slot", "s")), ("GET", "Slot/1", ("Slot", "r")), ("HEAD", "Slot/1", ("Slot", "r")),
    ("GET", "Slot/1/_history/2", ("Slot", "r")), ("GET", "Slot/_history", ("Slot", "s")), ("POST", "Slot", ("Slot", "c")),
    ("PUT", "Slot/1", ("Slot", "u")), ("PUT", "Slot", ("Slot", "u")), ("PATCH", "Slot/1", ("Slot", "u")), ("DELETE", "Slot/1", ("Slot", "d")),
    ("DELETE", "Slot", ("Slot", "d")), ("POST", "Appointment/$book", ("Appointment", "c")), ("GET", "Appointment/$find", ("Appointment", "s")),
    ("POST", "Appointment/1/$cancel", ("Appointment", "u")), ("POST", "Appointment/$unknown", ("Appointment", "u")), ("POST", "", None),
    ("GET", "_history", None), ("GET", "$export", None),
])
def test_each_interaction_needs_its_letter(method: str, path: str, wanted: Any) -> None:
    assert needed(method, tuple(p for p in path.split("/") if p)) == wanted
