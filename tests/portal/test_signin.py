"""Login by a provider as ID-porten is: over real HTTP, at a provider that checks what it is sent; and everything that must not let anybody in."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from browsing import TAGS, Watched, browser_in
from joserfc import jwt
from joserfc.jwk import RSAKey
from pages import HOST, Clock, application, context, served
from playwright.sync_api import Browser
from provider import CLIENT, Issuer
from starlette.testclient import TestClient
from town import FNR, numbered, resources, uid
from visiting import csrf, text

from hub.config import Hub, Misconfigured
from hub.oauth.signin import HIGH, Provider, Settings, read_signin
from hub.store import Secrets, Store

IDS = {r["id"]: i["value"] for r in resources() for i in r.get("identifier", []) if i["system"] == FNR}
KARI, EVA = IDS[uid("kari")], IDS[uid("eva-kari")]
NOBODY = numbered("158582999")


@cache
def key(kid: str) -> RSAKey:
    """Made once: to make one is slow, and no test is about that."""
    return RSAKey.generate_key(2048, {"kid": kid})


@pytest.fixture
def issuer(clock: Clock) -> Iterator[Issuer]:
    made = Issuer(clock, key("ours"), key("one"))
    with served(made.application()) as made.url:
        yield made


def provider(issuer: Issuer, tmp_path: Path, base: str = HOST, levels: tuple[str, ...] = HIGH) -> Provider:
    return Provider(Settings(issuer.url, CLIENT, issuer.ours, levels), base, Secrets.open(tmp_path), issuer.clock)


@pytest.fixture
def client(town_store: Store, clock: Clock, issuer: Issuer, tmp_path: Path) -> Iterator[TestClient]:
    app = application(context(town_store, clock, "production", provider=provider(issuer, tmp_path)))
    with TestClient(app, base_url=HOST, follow_redirects=False) as made:
        yield made


def at_the_provider(client: TestClient) -> str:
    """Begins a login, and does at the provider what the browser does; the address that leads back."""
    begun = client.get("/logg-inn")
    assert begun.status_code == 303, begun.text
    answer = httpx.get(begun.headers["location"], trust_env=False)
    assert answer.status_code in (302, 307), answer.text
    return answer.headers["location"].removeprefix(HOST)


def log_in(client: TestClient, issuer: Issuer, person: str) -> Any:
    issuer.person = person
    return client.get(at_the_provider(client))


@pytest.mark.parametrize("pushes", [True, False])
def test_a_person_logs_in_and_sees_their_visits(client: TestClient, issuer: Issuer, pushes: bool) -> None:
    issuer.pushes = pushes
    assert 'href="/logg-inn"' in client.get("/").text
    answer = log_in(client, issuer, KARI)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Hei, Kari" in client.get("/").text
    (asked,) = issuer.asked
    assert (asked["acr_values"], asked["prompt"], asked["scope"], asked["response_type"]) == ("idporten-loa-high", "login", "openid", "code")


def test_a_relative_logs_in_as_themselves_and_sees_by_mandate(client: TestClient, issuer: Issuer) -> None:
    answer = log_in(client, issuer, EVA)
    assert answer.status_code == 303
    if answer.headers["location"] == "/velg":
        client.post("/velg", data={"hvem": re.findall(r'name="hvem" value="([^"]+)"', client.get("/velg").text)[0]} | csrf(client, "/velg"))
    assert "fullmakt" in text(client.get("/").text)


def test_whoever_is_not_known_here_gets_no_session_and_a_phone_number(client: TestClient, issuer: Issuer) -> None:
    answer = log_in(client, issuer, NOBODY)
    assert answer.status_code == 403 and "Vi finner ingen besøk" in answer.text and "55 00 00 00" in answer.text
    assert "portal" not in client.cookies and client.get("/tidligere").headers["location"] == "/logg-inn"


def test_who_turns_back_at_the_provider_is_told_so(client: TestClient, issuer: Issuer) -> None:
    answer = log_in(client, issuer, "")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?avbrutt=1")
    assert "Innloggingen ble avbrutt" in client.get("/?avbrutt=1").text


def written(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> dict[str, str]:
    """A token by hand: no library makes such ones."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signing = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return {"id_token": f"{signing}.{part(sign(signing.encode()))}"}


def confused(issuer: Issuer, claims: dict[str, Any]) -> dict[str, str]:
    """The public key as an HMAC secret."""
    return written({"alg": "HS256", "kid": "one"}, claims, lambda data: hmac.digest(issuer.key.as_pem(private=False), data, "sha256"))


BAD = {
    "another issuer": lambda i, c: c.update(iss="https://idporten.example"),
    "another client": lambda i, c: c.update(aud="other"),
    "several clients and no azp": lambda i, c: c.update(aud=[CLIENT, "other"]),
    "made for another client": lambda i, c: c.update(aud=[CLIENT, "other"], azp="other"),
    "expired": lambda i, c: c.update(exp=c["iat"] - 11),
    "of the future": lambda i, c: c.update(iat=c["iat"] + 60, exp=c["exp"] + 60),
    "no expiry": lambda i, c: c.pop("exp") and None,
    "another nonce": lambda i, c: c.update(nonce="x" * 43),
    "no nonce": lambda i, c: c.pop("nonce") and None,
    "no person": lambda i, c: c.pop("pid") and None,
    "no national id": lambda i, c: c.update(pid="12345678901"),
    "a person that is a number": lambda i, c: c.update(pid=int(c["pid"])),
    "no level": lambda i, c: c.pop("acr") and None,
    "no token": lambda i, c: {},
    "a token that is none": lambda i, c: {"id_token": "a.b.c"},
    "a token that is a list": lambda i, c: {"id_token": ["a"]},
    "not signed": lambda i, c: written({"alg": "none"}, c, lambda data: b""),
    "signed with the public key": confused,
    "signed by somebody else": lambda i, c: {"id_token": jwt.encode({"alg": "RS256", "kid": "one"}, c, key("forged"))},
}


@pytest.mark.parametrize("what", BAD)
def test_a_token_that_proves_nothing_lets_nobody_in(client: TestClient, issuer: Issuer, what: str) -> None:
    issuer.spoil = lambda claims: BAD[what](issuer, claims)
    answer = log_in(client, issuer, KARI)
    assert answer.status_code == 403 and "Prøv igjen" in answer.text and "BB-12" in answer.text
    assert "portal" not in client.cookies and KARI not in answer.text


def test_a_login_that_is_too_weak_is_told_what_will_do(client: TestClient, issuer: Issuer) -> None:
    issuer.level = "idporten-loa-substantial"
    answer = log_in(client, issuer, KARI)
    assert answer.status_code == 403 and "høyeste sikkerhetsnivået" in answer.text and "BB-125" in answer.text
    assert "portal-login" not in client.cookies, "nothing of a login that failed is good for another"


def test_a_way_back_is_good_for_the_browser_that_began_and_once(client: TestClient, issuer: Issuer) -> None:
    issuer.person = KARI
    back = at_the_provider(client)
    stolen = dict(client.cookies)
    client.cookies.clear()
    assert client.get(back).status_code == 403, "another browser: a login is not planted on somebody"
    client.cookies.update(stolen)
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 403, "again, from the history"
    for wrong in ("", "?code=x", f"?{urlsplit(back).query.replace('state=', 'state=x')}", f"?{urlsplit(back).query}&iss=https://other.example"):
        assert client.get(f"/logg-inn/tilbake{wrong}").status_code == 403


def test_a_code_that_the_provider_does_not_take_lets_nobody_in(client: TestClient, issuer: Issuer) -> None:
    issuer.person = KARI
    query = dict(parse_qsl(urlsplit(at_the_provider(client)).query))
    answer = client.get("/logg-inn/tilbake", params=query | {"code": "made-up"})
    assert answer.status_code == 403 and "portal" not in client.cookies


def test_new_keys_of_the_provider_are_looked_up(client: TestClient, issuer: Issuer) -> None:
    assert log_in(client, issuer, KARI).status_code == 303
    issuer.key = key("two")
    issuer.clock.forward(seconds=31)
    assert log_in(client, issuer, KARI).status_code == 303


def test_logins_that_nobody_finishes_do_not_all_reach_the_provider(
    town_store: Store, clock: Clock, issuer: Issuer, tmp_path: Path,
) -> None:
    few = Provider(Settings(issuer.url, CLIENT, issuer.ours, a_minute=3), HOST, Secrets.open(tmp_path), clock)
    with TestClient(application(context(town_store, clock, "production", provider=few)), base_url=HOST, follow_redirects=False) as client:
        answers = [client.get("/logg-inn") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [303, 303, 303, 503, 503, 503]
        assert answers[-1].headers["retry-after"] == "20" and len(issuer._pushed) == 3
        clock.forward(seconds=21)
        assert client.get("/logg-inn").status_code == 303


def test_while_the_provider_is_down_people_are_told_to_try_later(client: TestClient, issuer: Issuer) -> None:
    issuer.person, issuer.down = KARI, True
    assert client.get("/logg-inn").status_code == 503
    issuer.down = False
    assert client.get("/logg-inn").status_code == 503, "nobody waits in a row for one that is slow"
    issuer.clock.forward(seconds=11)
    back = at_the_provider(client)
    issuer.down = True
    assert client.get(back).status_code == 503
    issuer.down = False
    assert log_in(client, issuer, KARI).status_code == 303


def test_logging_out_ends_it_here_and_leads_there(client: TestClient, issuer: Issuer) -> None:
    log_in(client, issuer, KARI)
    cookie = client.cookies["portal"]
    page = client.post("/logg-ut", data=csrf(client))
    assert page.status_code == 200 and 'http-equiv="refresh"' in page.text and "portal" not in client.cookies
    there = re.search(r'class="ds-button" href="([^"]+)"', page.text)
    assert there and there[1].startswith(f"{issuer.url}/logout?id_token_hint=")
    back = httpx.get(there[1].replace("&amp;", "&"), trust_env=False)
    assert back.headers["location"] == f"{HOST}/?logget-ut=1"
    assert "Du er logget ut." in client.get("/?logget-ut=1").text
    client.cookies["portal"] = cookie
    assert client.get("/tidligere").headers["location"].startswith("/logg-inn")


def test_a_hub_that_began_while_the_provider_was_down_logs_out_all_the_same(
    client: TestClient, issuer: Issuer, town_store: Store, tmp_path: Path,
) -> None:
    log_in(client, issuer, KARI)
    issuer.down = True
    app = application(context(town_store, issuer.clock, "production", provider=provider(issuer, tmp_path)))
    with TestClient(app, base_url=HOST, cookies=dict(client.cookies), follow_redirects=False) as again:
        answer = again.post("/logg-ut", data=csrf(again))
        assert (answer.status_code, answer.headers["location"]) == (303, "/?logget-ut=1")
        assert "Logg inn" in again.get("/").text


@pytest.mark.parametrize("lie", [{"issuer": "https://other.example"}, {"token_endpoint": None}, {"authorization_endpoint": 7}])
def test_a_provider_that_describes_itself_as_another_is_not_used(client: TestClient, issuer: Issuer, lie: dict[str, Any]) -> None:
    issuer.lie = lie
    assert client.get("/logg-inn").status_code == 503


def test_the_provider_ends_a_login_from_elsewhere(client: TestClient, issuer: Issuer, town_store: Store) -> None:
    log_in(client, issuer, KARI)
    mine = {"iss": issuer.url, "sid": f"sid-of-{KARI[:4]}"}
    for not_mine in ({**mine, "iss": "https://other.example"}, {**mine, "sid": ""}, {**mine, "sid": "sid-of-another"}, {"sid": mine["sid"]}):
        assert client.get("/logg-ut/fra-andre", params=not_mine).status_code == 200
        assert "Hei, Kari" in client.get("/").text
    with TestClient(client.app, base_url=HOST) as frame:  # without a cookie, in a frame of the provider's page
        answer = frame.get("/logg-ut/fra-andre", params=mine)
    assert "frame-ancestors https:" in answer.headers["content-security-policy"] and "x-frame-options" not in answer.headers
    assert client.get("/tidligere").headers["location"].startswith("/logg-inn")


def test_whoever_ends_logins_that_are_not_there_writes_nothing(
    client: TestClient, issuer: Issuer, town_store: Store, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address needs no login: written for each call, it kept everybody's bookings waiting."""
    written: list[object] = []
    monkeypatch.setattr(town_store._writer, "write", written.append)
    for sid in ("", "made-up", "x" * 5000):
        assert client.get("/logg-ut/fra-andre", params={"iss": issuer.url, "sid": sid}).status_code == 200
    assert not written


def test_the_national_id_stands_nowhere_in_what_a_login_leaves(client: TestClient, issuer: Issuer, town_store: Store) -> None:
    log_in(client, issuer, KARI)
    (row,) = town_store._database.read(lambda c: c.rows("select token, subject, provider_session, data from session"))
    kept = " ".join(map(str, row))
    assert KARI not in kept and "eyJ" not in kept and row[2] == f"sid-of-{KARI[:4]}"


def test_over_https_both_cookies_are_bound_to_host_and_scheme(town_store: Store, clock: Clock, issuer: Issuer, tmp_path: Path) -> None:
    base = "https://besok.solbakken.example"
    app = application(context(town_store, clock, "production", base_url=base, provider=provider(issuer, tmp_path, base)))
    with TestClient(app, base_url=base, follow_redirects=False) as client:
        begun = client.get("/logg-inn")
        assert re.match(r"__Host-portal-login=[\w-]{43}; HttpOnly; Max-Age=900; Path=/; SameSite=lax; Secure$", begun.headers["set-cookie"])
        issuer.person = KARI
        back = httpx.get(begun.headers["location"], trust_env=False).headers["location"]
        cookies = client.get(back.removeprefix(base)).headers.get_list("set-cookie")
    assert any(re.match(r"__Host-portal=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure$", c) for c in cookies)
    assert any(c.startswith('__Host-portal-login=""; ') and "Max-Age=0" in c for c in cookies)


def test_where_a_provider_is_set_up_the_demo_has_no_other_login(town_store: Store, clock: Clock, issuer: Issuer, tmp_path: Path) -> None:
    with TestClient(application(context(town_store, clock, "demo", provider=provider(issuer, tmp_path))), follow_redirects=False) as client:
        assert client.post("/logg-inn", data={"hvem": f"Patient/{uid('kari')}"}).status_code == 405
        assert client.get("/logg-inn").headers["location"].startswith(issuer.url)


def settings(tmp_path: Path, **changes: Any) -> Settings | None:
    ours = key("ours")
    (tmp_path / "key.pem").write_bytes(ours.as_pem(private=True))
    (tmp_path / "key.jwk").write_text(json.dumps(ours.as_dict(private=True)))
    (tmp_path / "public.jwk").write_text(json.dumps(ours.as_dict(private=False)))
    (tmp_path / "broken").write_text("{")
    table = {"issuer": "https://test.idporten.no", "client_id": "c", "key_file": "key.jwk"} | changes
    table = {name: value for name, value in table.items() if value is not None}
    return read_signin(Hub(tmp_path, "S", "production", "1", HOST, "127.0.0.1", 1, "", "", "", tables={"signin": table}))


def test_a_key_is_a_jwk_or_pem(tmp_path: Path) -> None:
    by_jwk, by_pem = settings(tmp_path), settings(tmp_path, key_file="key.pem", kid="registered", levels=["Level4"])
    assert by_jwk is not None and by_jwk.key.kid == "ours" and by_jwk.levels == HIGH
    assert by_pem is not None and by_pem.key.kid == "registered" and by_pem.levels == ("Level4",)


@pytest.mark.parametrize("changes", [
    {"issuer": None}, {"client_id": None}, {"key_file": None}, {"key_file": "missing"}, {"key_file": "broken"}, {"key_file": "public.jwk"},
    {"levels": []}, {"levels": [4]}, {"issuer": "http://test.idporten.no"},
])
def test_what_is_wrong_in_the_settings_is_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=r"hub\.toml signin"):
        settings(tmp_path, **changes)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


def test_in_a_browser(browser: Browser, file_store: Store, tmp_path: Path) -> None:
    """Away to the provider and back, and out again by way of it, under our content policy and without a line of script."""
    clock = Clock()
    issuer = Issuer(clock, key("ours"), key("one"), person=KARI)
    made: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # it must know its address, which is known when it is served
        await made[0](scope, receive, send)

    with served(issuer.application()) as issuer.url, served(app) as address:  # type: ignore[arg-type]
        made.append(application(context(file_store, clock, "production", base_url=address, provider=provider(issuer, tmp_path, address))))
        with browser.new_context(java_script_enabled=False) as window:
            page = window.new_page()
            page.goto(address)
            page.get_by_role("link", name="Logg inn").click()
            page.get_by_text("Hei, Kari").wait_for()
            page.get_by_role("button", name="Logg ut").click()
            page.get_by_text("Du er logget ut.").wait_for()
            assert page.url == f"{address}/?logget-ut=1" and not [c for c in window.cookies() if c["value"]]
        with Watched(browser, address) as watched:
            watched.page.goto(f"{address}/logg-inn/tilbake")
            assert "Du er ikke logget inn" in watched.page.content()
            watched.axe(watched.page, TAGS)
