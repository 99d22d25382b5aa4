"""HelseID as a client: what is shown to the issuer and to the service, when a token is renewed, and what is told when there is none."""

from __future__ import annotations

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from edi_wire import KEY, Wire
from hubs import EPJ
from joserfc.jwk import ECKey, RSAKey

from adapters.carriers import helseid
from adapters.epj.meldingstjener import Fault
from adapters.registries import rotating
from hub.config import Misconfigured
from hub.oauth import jose
from hub.problem import Problem, Unavailable


def asked(wire: Wire, carrier: Any) -> list[Any]:
    return list(carrier.collect())


@pytest.mark.spec("facts/helsenorge", "16.1.assertion")
def test_the_assertion_is_for_the_issuer_short_and_used_once(wire: Wire) -> None:
    carrier = wire.carrier()
    asked(wire, carrier)
    wire.clock.now += 3600
    asked(wire, carrier)
    first, second = (given["assertion"] for given in wire.service.sts.given)
    assert first["iss"] == first["sub"] == "hub" and first["aud"] == wire.url and first["exp"] - first["iat"] <= 60 and first["nbf"] == first["iat"]
    assert first["jti"] != second["jti"]


@pytest.mark.spec("facts/helsenorge", "16.1.token")
def test_one_token_serves_until_shortly_before_it_ends(wire: Wire) -> None:
    carrier = wire.carrier()
    for _ in range(5):
        asked(wire, carrier)
    assert wire.tokens() == 1
    wire.clock.now += wire.service.sts.lives - helseid.BEFORE_THE_END - 1
    asked(wire, carrier)
    assert wire.tokens() == 1
    wire.clock.now += 2
    asked(wire, carrier)
    assert wire.tokens() == 2
    assert not [answer for _, answer in wire.service.seen if answer is not None and answer[0] == 401]


@pytest.mark.spec("facts/helsenorge", "16.1.token")
def test_a_token_that_the_service_does_not_take_any_more_is_renewed_and_the_letter_goes(wire: Wire) -> None:
    """The issuer has changed its key: what it gave before is worth nothing, however long it said that it lives."""
    carrier = wire.carrier()
    asked(wire, carrier)
    wire.service.sts._key = ECKey.generate_key("P-256", private=True)
    carrier.send(wire.parcel())
    assert wire.tokens() == 2 and len(wire.service.to(EPJ)) == 1


@pytest.mark.spec("facts/helsenorge", "16.1.token")
def test_a_token_for_another_audience_is_renewed_once_and_then_said(wire: Wire) -> None:
    wire.service.sts.audience = "nhn:something-else"
    with pytest.raises(Unavailable, match="HTTP 401 .*does not take our token"):
        wire.carrier().send(wire.parcel())
    assert wire.tokens() == 2 and not wire.service.messages


def test_several_audiences_are_not_ours(wire: Wire) -> None:
    wire.service.sts.audience = ["nhn:msh", "another"]  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="HTTP 401"):
        wire.carrier().send(wire.parcel())


@pytest.mark.spec("facts/helsenorge", "16.1.dpop")
def test_every_request_has_a_proof_of_its_own_with_the_nonce_that_was_asked_for(wire: Wire) -> None:
    """At the token endpoint (RFC 9449 8) and at the service (9): asked for once each, and then known."""
    wire.service.sts.wants_nonce = True
    carrier = wire.carrier()
    carrier.send(wire.parcel())
    asked(wire, carrier)
    assert len(wire.service.to(EPJ)) == 1 and wire.tokens() == 2, "the first one without a nonce"
    proofs = [jose.peek(request.headers["dpop"], Problem.BAD_PROOF) for request, _ in wire.service.seen if "dpop" in request.headers]
    assert len({proof.claims["jti"] for proof in proofs}) == len(proofs)
    assert all("?" not in proof.claims["htu"] and set(proof.header["jwk"]) == {"kty", "crv", "x", "y"} for proof in proofs)
    refused = [request.path for request, answer in wire.service.seen if answer is not None and b"use_dpop_nonce" in answer[2]]
    assert refused == ["/connect/token"], "issuer and service are one server here, so that its nonce is known"


@pytest.mark.spec("facts/helsenorge", "16.1.dpop")
def test_a_service_that_begins_to_ask_for_a_nonce_gets_it_with_the_same_token_and_the_letter_goes_once(wire: Wire) -> None:
    carrier = wire.carrier()
    asked(wire, carrier)
    wire.service.sts.wants_nonce = True
    carrier.send(wire.parcel())
    answers = [answer[0] for request, answer in wire.service.seen if request.method == "POST" and request.path == "/Messages" and answer is not None]
    assert answers == [401, 201] and wire.tokens() == 1 and len(wire.service.to(EPJ)) == 1


def test_a_nonce_that_grows_old_is_replaced(wire: Wire) -> None:
    wire.service.sts.wants_nonce, wire.service.sts.lives = True, 7200
    carrier = wire.carrier()
    asked(wire, carrier)
    wire.clock.now += 3600
    asked(wire, carrier)
    assert wire.tokens() == 2 and wire.service.seen[-1][1][0] == 200  # type: ignore[index]


def test_the_proof_is_of_a_key_that_is_on_no_disk_and_not_of_the_clients(wire: Wire) -> None:
    carrier = wire.carrier()
    asked(wire, carrier)
    (given,) = wire.service.sts.given
    registered = wire.service.sts.clients["hub"].key.thumbprint()
    assert given["cnf"]["jkt"] != registered


def test_a_client_without_dpop_shows_a_bearer_token(wire: Wire) -> None:
    asked(wire, wire.carrier({"dpop": False}))
    assert wire.service.seen[-1][0].headers["authorization"].startswith("Bearer ") and not any("dpop" in r.headers for r, _ in wire.service.seen)


@pytest.mark.parametrize("form", ["PEM", "JWK"])
@pytest.mark.parametrize("kind, alg", [("P-256", "ES256"), ("P-521", "ES512"), (2048, "PS256")])
def test_a_key_may_be_pem_or_jwk_rsa_or_ec(wire: Wire, kind: Any, alg: str, form: str) -> None:
    key = RSAKey.generate_key(kind, private=True) if isinstance(kind, int) else ECKey.generate_key(kind, private=True)
    wire.registers(key, "secrets/other", pem=form == "PEM")
    asked(wire, wire.carrier({"key_file": "secrets/other", "kid": "registered"}))
    (request,) = (request for request, _ in wire.service.seen if request.path == "/connect/token")
    header = jose.peek(parse_qs(request.body.decode())["client_assertion"][0], Problem.BAD_CLIENT).header
    assert header == {"alg": alg, "typ": "client-authentication+jwt", "kid": "registered"}


def test_a_key_is_changed_without_a_restart(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotating, "LOOKED", 0.0)
    carrier = wire.carrier()
    asked(wire, carrier)
    wire.registers(ECKey.generate_key("P-384", {"kid": "two"}, private=True))
    wire.clock.now += 3600
    asked(wire, carrier)
    assert wire.tokens() == 2
    (wire.home / KEY).write_text("half a key")
    wire.clock.now += 3600
    asked(wire, carrier)
    assert wire.tokens() == 3, "the last whole one stays"


@pytest.mark.parametrize("content, settings", [
    (b"", {}), (b"nonsense", {}), (b"{}", {}), (b'{"kty": "oct", "k": "c2VjcmV0"}', {}), ("public", {}), ("private", {"alg": "HS256"}), ("private", {"alg": "ES512"}),
    (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", {}), (None, {}),
])
def test_a_key_that_is_none_is_named_by_its_file_and_never_shown(wire: Wire, content: Any, settings: dict[str, Any]) -> None:
    key = ECKey.generate_key("P-256", private=True)
    if isinstance(content, str):
        content = json.dumps(key.as_dict(private=content == "private")).encode()
    if content is None:
        os.remove(wire.home / KEY)
    else:
        (wire.home / KEY).write_bytes(content)
    with pytest.raises(Misconfigured) as wrong:
        wire.carrier(settings)
    assert "helseid.jwk" in str(wrong.value) and "c2VjcmV0" not in str(wrong.value) and str(key.as_dict(private=True).get("d")) not in str(wrong.value)


@pytest.mark.parametrize("settings, error", [
    ({"client_id": "somebody"}, "invalid_client"), ({"scope": "nhn:other"}, "invalid_scope"), ({"typ": "JWT"}, "invalid_client"),
])
def test_what_helseid_refuses_is_said_by_its_code(wire: Wire, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(Unavailable, match=f"HTTP 400, {error};"):
        wire.carrier(settings).send(wire.parcel())
    assert wire.tokens() == 1 and not wire.service.messages


@pytest.mark.parametrize("answer", [
    (200, {}, b"[]"), (200, {}, b"{}"), (200, {}, b'{"access_token": "\xc3\xa6", "expires_in": 9}'), (200, {}, b'{"access_token": "a", "expires_in": "soon"}'),
    (500, {}, b"Kari Nordmann"), (400, {}, b'{"error": "Kari Nordmann"}'), (302, {"location": "http://elsewhere"}, b""),
])
def test_an_answer_that_is_no_token_is_none(wire: Wire, answer: Any) -> None:
    wire.service.sts.token = lambda *_: answer  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as later:
        asked(wire, wire.carrier())
    assert "Kari" not in later.value.detail


@pytest.mark.parametrize("metadata", [b"{}", b"nonsense", b'{"issuer": "https://another", "token_endpoint": "http://x/"}', b'{"issuer": "%b", "token_endpoint": "file:///x"}'])
def test_metadata_of_another_issuer_are_not_used(wire: Wire, metadata: bytes) -> None:
    wire.service.sts.metadata = lambda: (200, {}, metadata.replace(b"%b", wire.url.encode()))  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="another issuer's"):
        asked(wire, wire.carrier())
    assert wire.tokens() == 0


def test_metadata_are_asked_for_once_a_day(wire: Wire) -> None:
    carrier = wire.carrier()
    for hours in (1, 1, 23):
        asked(wire, carrier)
        wire.clock.now += hours * 3600
    asked(wire, carrier)
    assert sum(r.path.startswith("/.well-known/") for r, _ in wire.service.seen) == 2 and wire.tokens() == 4


@pytest.mark.parametrize("settings, identifier", [
    ({"organisation": "999999999:888888888"}, {"system": "urn:oid:1.0.6523", "type": "ENH", "value": "NO:ORGNR:999999999:888888888"}),
    ({"organisation": "999999999"}, {"system": "urn:oid:1.0.6523", "type": "ENH", "value": "NO:ORGNR:999999999:"}),
    ({"organisation": "999999999:888888888", "tenancy": "single"}, {"system": "urn:oid:2.16.578.1.12.4.1.2.101", "type": "ENH", "value": "888888888"}),
])
def test_a_client_for_several_organisations_says_for_which(wire: Wire, settings: dict[str, Any], identifier: dict[str, str]) -> None:
    asked(wire, wire.carrier(settings))
    (details,) = wire.service.sts.given[0]["assertion"]["assertion_details"]
    assert details == {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}


@pytest.mark.parametrize("settings", [{"organisation": "Solbakken"}, {"organisation": "1:x"}, {"organisation": "1", "tenancy": "none"}, {"issuer": "helseid"}])
def test_a_mistake_in_the_clients_settings_is_named(wire: Wire, settings: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=next(iter(settings))):
        wire.carrier(settings)


def test_threads_that_need_a_token_at_once_wait_for_the_same_one(wire: Wire) -> None:
    carrier = wire.carrier()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: carrier.send(wire.parcel()), range(8)))
    assert wire.tokens() == 1 and len(wire.service.to(EPJ)) == 8


def test_no_token_key_or_assertion_is_in_the_log(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        carrier = wire.carrier()
        carrier.send(wire.parcel())
        wire.service.fault = lambda request: Fault(500)
        with pytest.raises(Unavailable):
            asked(wire, carrier)
    assert "eyJ" not in caplog.text and "client_assertion" not in caplog.text


def test_an_expired_token_is_refused_by_the_box_so_that_renewing_is_worth_something(wire: Wire) -> None:
    """The judge is judged: had the box taken anything, the tests above would prove nothing."""
    sts, carrier = wire.service.sts, wire.carrier()
    asked(wire, carrier)
    request = wire.service.seen[-1][0]
    admitted = sts.admit("GET", request.host + request.path, request.headers, "nhn:msh")
    assert not hasattr(admitted, "her_ids"), "the same proof twice"
    wire.clock.now += sts.lives + 1
    fresh = {**request.headers, "dpop": carrier._service._helseid._proof("GET", f"{wire.url}/Messages", ath=helseid.token_hash(request.headers["authorization"][5:]))}
    assert sts.admit("GET", f"{wire.url}/Messages", fresh, "nhn:msh")[0] == 401  # type: ignore[index]
    bearer = {**request.headers, "authorization": request.headers["authorization"].replace("DPoP", "Bearer")}
    wire.clock.now -= sts.lives + 1
    assert sts.admit("GET", f"{wire.url}/Messages", bearer, "nhn:msh")[0] == 401, "a bound token shown as Bearer"  # type: ignore[index]
