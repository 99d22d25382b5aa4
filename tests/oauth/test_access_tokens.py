"""Access tokens and DPoP proofs over HTTP: what is believed, and every way in which they are not."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from machines import AUDIENCE, MASKINPORTEN, Machines, ec, publish, rsa

from hub.oauth import jose


def number(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    code: str = body["issue"][0]["details"]["coding"][0]["code"]
    return code


def test_a_token_of_helseid_with_its_proof_is_let_in_and_limits_what_is_seen(hub: Machines) -> None:
    token = hub.outside()
    seen = hub.get(token)
    assert seen.status_code == 200
    assert {e["resource"]["schedule"]["reference"] for e in seen.json()["entry"]} == {"Schedule/dagsenter"}
    refused = hub.get(token, "/fhir/Patient")
    assert (refused.status_code, number(refused)) == (403, "BB-423")
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"] and 'scope="system/Patient.s"' in refused.headers["www-authenticate"]
    assert hub.get(token, "/fhir/Appointment").status_code == 200  # the issuer's own scope name
    assert number(hub.get(token, "/fhir/Encounter")) == "BB-423"


def test_an_include_shows_no_type_that_the_token_is_not_good_for(hub: Machines) -> None:
    token = hub.outside(scope="system/Slot.s")
    path = "/fhir/Slot?_include=Slot:schedule&_count=3"
    assert {e["resource"]["resourceType"] for e in hub.get(token, path).json()["entry"]} == {"Slot"}
    token = hub.outside(scope="system/Slot.s system/Schedule.r")
    assert {e["resource"]["resourceType"] for e in hub.get(token, path).json()["entry"]} == {"Slot", "Schedule"}


def test_maskinporten_names_the_organisation_and_needs_no_proof(hub: Machines) -> None:
    claims = {"consumer": {"authority": "iso6523-actorid-upis", "ID": "0192:999888777"}, "cnf": None, "aud": None, "client_id": "whatever",
              "scope": "solbakken:besok.les"}
    token = hub.outside(MASKINPORTEN, hub.maskinporten, "RS256", "JWT", **claims)
    assert hub.get(token, scheme="Bearer", proof=None).status_code == 200
    assert number(hub.get(token, proof=None)) == "BB-420"  # shown as DPoP, bound to nothing
    other = hub.outside(MASKINPORTEN, hub.maskinporten, "RS256", "JWT", **{**claims, "consumer": {"ID": "0192:111111111"}})
    assert hub.get(other, scheme="Bearer", proof=None).status_code == 401
    slashless = hub.outside(MASKINPORTEN.rstrip("/"), hub.maskinporten, "RS256", "JWT", **claims)
    assert hub.get(slashless, scheme="Bearer", proof=None).status_code == 401


def test_tokens_of_hub_toml_go_on_as_before_and_ids_are_mirrored(hub: Machines) -> None:
    answer = hub.get("simple-token", scheme="Bearer", proof=None)
    assert answer.status_code == 200 and len(answer.json()["entry"]) > 1
    nobody = hub.get("guess", scheme="Bearer", proof=None, **{"x-request-id": "r-1", "x-correlation-id": "c-1"})
    assert nobody.status_code == 401 and (nobody.headers["x-request-id"], nobody.headers["x-correlation-id"]) == ("r-1", "c-1")
    with hub.http() as client:
        bare = client.get("/fhir/Slot")
        assert bare.status_code == 401 and number(bare) == "BB-116"
        challenges = bare.headers.get_list("www-authenticate")
        assert any(c.startswith("Bearer ") for c in challenges) and any(c.startswith("DPoP ") and "PS256" in c for c in challenges)
        assert "error=" not in "".join(challenges)
        assert client.get("/fhir/metadata").status_code == 200
        twice = client.get("/fhir/Slot", headers=[("authorization", "Bearer simple-token"), ("authorization", "Bearer simple-token")])
        assert twice.status_code == 401


BROKEN: dict[str, dict[str, Any]] = {
    "expired": {"exp": -6}, "not yet": {"nbf": 6}, "made in the future": {"iat": 60}, "wrong audience": {"aud": "other"},
    "several audiences": {"aud": [AUDIENCE, "other"]}, "no audience": {"aud": None}, "no exp": {"exp": None}, "exp is text": {"exp": "soon"},
    "exp is true": {"exp": True}, "unknown client": {"client_id": "evil"}, "unknown issuer": {"iss": "https://evil.example"},
    "no client": {"client_id": None},
}


def test_a_token_with_a_wrong_claim_is_refused(hub: Machines) -> None:
    for what, wrong in BROKEN.items():
        claims = {k: hub.clock.seconds + v if isinstance(v, int) and not isinstance(v, bool) else v for k, v in wrong.items()}
        answer = hub.get(hub.outside(**claims))
        assert (answer.status_code, number(answer)) == (401, "BB-420"), what
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_clock_a_few_seconds_off_is_tolerated(hub: Machines) -> None:
    now = hub.clock.seconds
    assert hub.get(hub.outside(exp=now - 4)).status_code == 200
    assert hub.get(hub.outside(nbf=now + 4, iat=now + 4)).status_code == 200


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    return f"{part({'alg': 'none', 'typ': 'at+jwt'})}.{part(claims)}."


@pytest.mark.filterwarnings("ignore:Key size")
def test_signatures_that_prove_nothing_are_refused(hub: Machines) -> None:
    good = hub.outside()
    header, claims, signature = good.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    signing = f"{part({'alg': 'HS256', 'typ': 'at+jwt', 'kid': hub.helseid.kid})}.{part(decoded)}"
    mac = hmac.digest(hub.helseid.as_pem(private=False), signing.encode(), "sha256")
    confused = f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    changed = part({**decoded, "scope": "system/*.cruds"})
    weak = rsa(1024)
    publish(hub.home / "helseid.jwks", hub.helseid, weak)
    hub.clock.forward(hours=1)
    for token in (
        unsigned(decoded), confused, f"{header}.{changed}.{signature}", f"{header}.{claims}.", f"{header}.{claims}.{signature[:-4]}AAAA",
        hub.outside(key=rsa()), hub.outside(key=ec(), alg="ES256"), hub.outside(typ="dpop+jwt"), hub.outside(typ=None), "a.b.c", "..", "x.y.z" * 9000,
        hub.outside(key=weak), "e30.e30.e30",
        part({"alg": "PS256", "typ": "at+jwt", "crit": ["exp"], "exp": 1}) + f".{claims}.{signature}",
    ):
        answer = hub.get(token, proof=hub.proof(token))
        assert answer.status_code in (401, 431), token[:40]
        if answer.status_code == 401:
            assert number(answer) == "BB-420"


def test_a_bound_token_is_no_bearer_token_and_an_unbound_one_of_helseid_is_none_at_all(hub: Machines) -> None:
    token = hub.outside()
    assert number(hub.get(token, scheme="Bearer")) == "BB-420"
    assert number(hub.get(hub.outside(cnf=None), scheme="Bearer", proof=None)) == "BB-420"
    assert number(hub.get(hub.outside(cnf={"x5t#S256": "abc"}), scheme="Bearer", proof=None)) == "BB-420"
    for proof in (None, hub.proof(token, key=ec())):
        answer = hub.get(token, proof=proof)
        assert number(answer) == "BB-421" and answer.headers["www-authenticate"].startswith("DPoP ")


PROOFS: dict[str, dict[str, Any]] = {
    "another method": {"htm": "POST"}, "another path": {"htu": "{url}/fhir/Patient"}, "another host": {"htu": "https://evil.example/fhir/Slot"},
    "another scheme": {"htu": "https{rest}/fhir/Slot"}, "no htu": {"htu": None}, "htu is a number": {"htu": 7}, "no method": {"htm": None},
    "no jti": {"jti": None}, "an endless jti": {"jti": "x" * 257}, "too old": {"iat": -61}, "of the future": {"iat": 6}, "no iat": {"iat": None},
    "another token": {"ath": "AAAA"}, "no ath": {"ath": None},
}


def test_a_proof_of_something_else_is_refused(hub: Machines) -> None:
    token = hub.outside()
    for what, wrong in PROOFS.items():
        claims = dict(wrong)
        if isinstance(claims.get("htu"), str):
            claims["htu"] = claims["htu"].format(url=hub.url, rest=hub.url.removeprefix("http"))
        if isinstance(claims.get("iat"), int):
            claims["iat"] += hub.clock.seconds
        answer = hub.get(token, proof=hub.proof(token, **claims))
        assert (answer.status_code, number(answer)) == (401, "BB-421"), what
        assert 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"]


def test_a_proof_of_the_wrong_kind_is_refused(hub: Machines) -> None:
    token = hub.outside()
    private = hub.holder.as_dict(private=True)
    for proof in (
        hub.proof(token, typ="JWT"), hub.proof(token, typ=None), hub.proof(token, jwk=private), hub.proof(token, jwk={"kty": "oct", "k": "AAAA"}),
        hub.proof(token, jwk={}), hub.proof(token, jwk={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "no.jwt", hub.proof(token) + "x",
        hub.proof(token, jwk=ec().as_dict(private=False)),
    ):
        assert number(hub.get(token, proof=proof)) == "BB-421"
    query = hub.get(token, "/fhir/Slot?_count=1", proof=hub.proof(token, htu=f"{hub.url.upper().replace('HTTP', 'http')}/fhir/Slot?x=1#y"))
    assert query.status_code == 200  # query and fragment are ignored, host is compared without case


def test_an_address_is_the_same_however_it_is_escaped(hub: Machines) -> None:
    """RFC 9449 4.3, RFC 3986 6.2.2: a client that escapes the `$` of an operation in one of the two places was refused for its proof."""
    token = hub.outside()
    for asked, proven in (("/fhir/Slot/%24publish", "/fhir/Slot/$publish"), ("/fhir/Slot/$publish", "/fhir/Slot/%24publish"), ("/fhir/%53lot", "/fhir/Slot")):
        assert hub.get(token, asked, proof=hub.proof(token, path=proven)).status_code == 200, asked
    assert hub.get(token, "/fhir/Slot", proof=hub.proof(token, path="/fhir/Slot%2F")).status_code == 401


def test_a_proof_is_good_once_on_every_process_and_after_a_restart(either: Machines) -> None:
    token = either.outside()
    proof = either.proof(token)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: either.get(token, proof=proof).status_code, range(8)))
    assert sorted(answers) == [200] + [401] * 7
    again = either.outside()
    assert number(either.get(again, proof=either.proof(again, jti=json.loads(base64.urlsafe_b64decode(proof.split(".")[1] + "=="))["jti"]))) == "BB-421"
    either.clock.forward(minutes=2)
    assert either.parts.store.prune(either.clock.now) == 0


def test_a_new_key_of_an_issuer_is_found_and_an_old_one_forgotten(hub: Machines) -> None:
    assert hub.get(hub.outside()).status_code == 200
    new = rsa()
    publish(hub.home / "helseid.jwks", new)
    hub.clock.forward(seconds=31)
    assert hub.get(hub.outside(key=new)).status_code == 200
    assert hub.get(hub.outside()).status_code == 401
    assert hub.get(hub.outside(key=new, kid=None)).status_code == 200  # without a kid every key is tried


def test_keys_from_an_address_are_kept_while_it_is_down() -> None:
    key, served, asked = ec(), [True], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"keys": [key.as_dict(private=False)]}).encode() if served[0] else b"down"
            self.send_response(200 if served[0] else 500)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    from machines import Clock

    from hub.problem import Unavailable

    clock = Clock()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        keys = jose.Keys(jose.from_url(f"http://127.0.0.1:{server.server_port}/jwks"), clock)
        assert [k.kid for k in keys.of(key.kid)] == [key.kid] and keys.of("other") == [] and len(asked) == 1
        served[0] = False
        clock.forward(hours=23)
        assert [k.kid for k in keys.of(key.kid)] == [key.kid] and len(asked) == 2
        clock.forward(hours=1)
        with pytest.raises(Unavailable):
            keys.of(key.kid)
        server.shutdown()
        thread.join()


def test_who_asks_too_often_is_told_to_wait(hub: Machines) -> None:
    answers = [hub.get("simple-token", "/fhir/Slot?_count=1", scheme="Bearer", proof=None) for _ in range(21)]
    assert [a.status_code for a in answers] == [200] * 20 + [429]
    assert number(answers[-1]) == "BB-424" and answers[-1].json()["issue"][0]["code"] == "throttled"
    wait = int(answers[-1].headers["retry-after"])
    assert 1 <= wait <= 4 and hub.get(hub.outside()).status_code == 200  # one client's haste is not another's
    hub.clock.forward(seconds=wait)
    assert hub.get("simple-token", scheme="Bearer", proof=None).status_code == 200
