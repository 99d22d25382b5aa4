"""Getting in and out of the portal: the test login, sessions, forms from elsewhere, and what goes wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pages import Clock, application, context
from starlette.testclient import TestClient
from town import resources, uid
from visiting import Person, choose, csrf

from hub.faces.portal.login import everyone


@pytest.mark.parametrize("environment", ["production", "test", "", "Demo"])
def test_outside_the_demo_there_is_no_test_login(town_store: Any, clock: Clock, environment: str) -> None:
    with TestClient(application(context(town_store, clock, environment)), follow_redirects=False) as client:
        assert client.get("/logg-inn").status_code == 404
        assert client.post("/logg-inn", data={"hvem": f"Patient/{uid('kari')}"}).status_code == 404
        assert client.get("/om-demoen").status_code == 404
        page = client.get("/")
        assert page.status_code == 200 and "logg-inn" not in page.text and "DEMO" not in page.text
        assert client.get(f"/besok/{uid('next')}").headers["location"] == "/"


@pytest.mark.parametrize("path", ["/tidligere", f"/besok/{uid('next')}", "/hvem-har-sett", "/velg"])
def test_without_login_there_is_nothing_to_see(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/logg-inn")


def test_an_unknown_person_cannot_log_in(client: TestClient) -> None:
    for whom in ("", "Patient/0", "operator:vakt", f"RelatedPerson/{uid('ola-vilde')}"):
        answer = client.post("/logg-inn", data={"hvem": whom})
        assert answer.headers["location"] == "/logg-inn" and "set-cookie" not in answer.headers


def test_the_cookie_is_opaque_and_only_its_digest_is_stored(client: TestClient, person: Person) -> None:
    person("Patient/kari")
    answer = client.post("/velg", data={"hvem": "self"} | csrf(client, "/velg"))
    cookie = answer.headers["set-cookie"]
    assert re.match(r"portal=[\w-]{43}; HttpOnly; Path=/; SameSite=lax$", cookie), cookie


def test_over_https_the_cookie_is_bound_to_host_and_scheme(town_store: Any, clock: Clock) -> None:
    app = application(context(town_store, clock, base_url="https://besok.solbakken.example"))
    with TestClient(app, base_url="https://besok.solbakken.example", follow_redirects=False) as client:
        answer = client.post("/logg-inn", data={"hvem": f"Patient/{uid('kari')}"})
        assert re.match(r"__Host-portal=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure$", answer.headers["set-cookie"])
        assert "max-age" in answer.headers["strict-transport-security"]
        assert "Hei, Kari" in client.get("/").text


def test_changing_person_gives_a_new_token_and_kills_the_old(person: Person) -> None:
    client = person("RelatedPerson/ola-kari")
    old = client.cookies["portal"]
    choose(client, "m-kari")
    new = client.cookies["portal"]
    assert old != new
    client.cookies.set("portal", old)
    assert client.get("/tidligere").headers["location"].startswith("/logg-inn")


def test_logging_out_ends_the_session_on_the_server(person: Person) -> None:
    client = person("Patient/kari")
    token = client.cookies["portal"]
    assert client.post("/logg-ut", data=csrf(client)).headers["location"] == "/?logget-ut=1"
    client.cookies.set("portal", token)
    assert client.get("/tidligere").headers["location"] == "/logg-inn?utlopt=1"


def test_a_session_ends_after_thirty_idle_minutes(person: Person, clock: Clock) -> None:
    client = person("Patient/kari")
    clock.forward(minutes=29, seconds=59)
    assert client.get("/tidligere").status_code == 200
    clock.forward(minutes=30)
    answer = client.get("/tidligere")
    assert answer.headers["location"] == "/logg-inn?utlopt=1"
    assert "Du er logget ut" in client.get("/logg-inn?utlopt=1").text


def test_a_session_ends_after_two_hours_however_busy_also_when_the_person_is_changed(person: Person, clock: Clock) -> None:
    client = person("RelatedPerson/ola-kari")
    choose(client, "m-kari")
    for _ in range(5):
        clock.forward(minutes=20)
        assert client.get("/tidligere").status_code == 200
    choose(client, "m-per")
    clock.forward(minutes=20)
    assert client.get("/tidligere").status_code == 303


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 4000, "../..", "æøå".encode().decode("latin-1")])
def test_a_made_up_cookie_opens_nothing(client: TestClient, token: str) -> None:
    assert client.get("/tidligere", headers={"cookie": f"portal={token}".encode("latin-1")}).status_code == 303


@pytest.mark.parametrize(("changes", "headers"), [
    ({"csrf": ""}, {}), ({"csrf": "0" * 64}, {}), ({}, {"origin": "https://evil.example"}), ({}, {"sec-fetch-site": "cross-site"}),
])
def test_a_form_from_elsewhere_changes_nothing(person: Person, changes: dict[str, str], headers: dict[str, str]) -> None:
    client = person("RelatedPerson/ola-kari")
    answer = client.post("/velg", data={"hvem": uid("m-kari")} | csrf(client, "/velg") | changes, headers=headers)
    assert answer.status_code == 403 and "Ingenting er endret" in answer.text
    assert client.get("/").headers["location"] == "/velg"


def test_a_form_without_its_csrf_value_is_refused(person: Person) -> None:
    client = person("Patient/kari")
    assert client.post("/logg-ut").status_code == 403
    assert client.get("/tidligere").status_code == 200


def test_a_form_larger_than_any_of_ours_is_refused(client: TestClient) -> None:
    assert client.post("/logg-inn", data={"hvem": "x" * 70_000}).status_code == 413
    assert client.post("/logg-inn", content=b"\xff\xfe" * 50).status_code == 303


def test_a_fault_of_ours_gives_a_calm_page_with_a_number_and_no_trace(town_store: Any, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name == "search":
                raise RuntimeError(f"no such row: {resources()[2]['name']}")
            return getattr(town_store, name)

    with TestClient(application(context(Broken(), clock)), follow_redirects=False) as client:
        answer = client.get("/logg-inn")
    assert answer.status_code == 500
    assert "Noe gikk galt hos oss" in answer.text and "55 00 00 00" in answer.text
    assert "no such row" not in answer.text and "Traceback" not in answer.text
    number = re.search(r"feilnummer <strong>([\w-]+)</strong>", answer.text)
    assert number and number[1] in caplog.text and "RuntimeError" in caplog.text and "login.py" in caplog.text
    assert "Kari" not in caplog.text, "what went wrong is told, not with which values"


def test_head_is_answered(client: TestClient) -> None:
    assert client.head("/").status_code == 200


def test_the_town_has_only_synthetic_numbers() -> None:
    numbers = [i["value"] for r in resources() for i in r.get("identifier", [])]
    assert numbers and all(int(n[2:4]) > 80 for n in numbers)


def test_those_worth_trying_are_shown_first(town_store: Any) -> None:
    persons, relatives = everyone(town_store)
    last_person, last_relative = persons[-1], relatives[-1]
    first = everyone(town_store, (last_person.key, last_relative.who[-1]))
    assert (first[0][0], first[1][0]) == (last_person, last_relative) and {s.key for s in first[0]} == {s.key for s in persons}
