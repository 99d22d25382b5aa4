"""The console over HTTP: who gets in, what needs somebody, messages, an appointment's way, sending again, and never a person."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from letters import WAYS, owed
from pages import HOST, TOKEN, Clock, Replayed, Resent, application, context
from starlette.testclient import TestClient
from stores import audited
from town import resources, uid

from hub.booking.life import What
from hub.delivery import State, Step
from hub.faces.console import names
from hub.message import Verdict
from hub.problem import Problem

PATHS = ["/drift", "/drift/koblinger", "/drift/meldinger", "/drift/feil", f"/drift/melding/{uid('letter failed')}", f"/drift/avtale/{uid('next')}"]


@pytest.fixture
def resent() -> Resent:
    return Resent()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replayed() -> Replayed:
    return Replayed()


@pytest.fixture
def client(busy_store: Any, clock: Clock, resent: Resent, replayed: Replayed) -> Iterator[TestClient]:
    with TestClient(application(context(busy_store, clock, resend=resent, replay=replayed)), follow_redirects=False) as made:
        yield made


@pytest.fixture
def operator(client: TestClient) -> TestClient:
    assert client.post("/drift/logg-inn").headers["location"] == "/drift"
    return client


def csrf(client: TestClient, path: str = "/drift") -> dict[str, str]:
    found = re.search(r'name="csrf" value="(\w+)"', client.get(path).text)
    return {"csrf": found[1]} if found else {}


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.spec("portal.md", "A1")
def test_the_first_page_says_what_needs_somebody_and_each_number_opens_its_list(operator: TestClient) -> None:
    page = operator.get("/drift").text
    numbers = re.findall(r'<a class="number" href="([^"]+)"[^>]*><span class="count">(\d+)</span><span class="number-what">([^<]+)</span>', page)
    assert [(int(n), what) for _, n, what in numbers] == [(1, "Feilet"), (1, "Utløpt"), (1, "Avvist av mottakeren"), (4, "Avvist av oss")]
    for url, count, _ in numbers:
        assert operator.get(unescape(url)).text.count('data-label="Tid"') == int(count), url
    assert "BB-302" in page and "2 meldinger" in page and "BB-105" in page and "1 melding<" in page


def test_a_calm_day_says_so(town_store: Any, clock: Clock) -> None:
    with TestClient(application(context(town_store, clock)), follow_redirects=False) as client:
        client.post("/drift/logg-inn")
        assert "Ingenting. Alle meldinger er framme, eller på vei." in text(client.get("/drift").text)


@pytest.mark.spec("portal.md", "A2")
def test_the_first_page_says_which_certificate_expires_soon(town_store: Any, clock: Clock) -> None:
    with TestClient(application(context(town_store, clock, warnings=lambda: ["Sertifikatet utløper om 8 dager."]))) as client:
        client.post("/drift/logg-inn")
        assert "Sertifikatet utløper om 8 dager." in text(client.get("/drift").text)


def test_the_first_page_says_that_a_clock_was_ahead(town_store: Any, clock: Clock) -> None:
    """Until it is caught up with, `lastUpdated` lies ahead of every clock."""
    newest = town_store.standing().newest
    clock.now = newest - timedelta(hours=3)
    with TestClient(application(context(town_store, clock))) as client:
        client.post("/drift/logg-inn")
        assert "En klokke går feil: siste endring er merket 180 minutter fram i tid" in text(client.get("/drift").text)


def test_adapters_tell_what_waits_and_since_when(operator: TestClient) -> None:
    page = text(operator.get("/drift/koblinger").text)
    assert "Visma Profil http · ebms · msghead · HER-id 8094866 · hjemmesykepleie · innstillinger versjon 1 3 kl. 11:18 3 1" in page
    assert "Tjenesteshop http · plain · mapped · innstillinger versjon 1 0 – 0 0" in page


@pytest.mark.spec("portal.md", "A4")
@pytest.mark.parametrize(("query", "count"), [
    ("", 13), ("retning=ut", 7), ("retning=inn", 6), ("status=venter", 3), ("status=trenger-deg", 3), ("status=accepted", 1), ("feil=BB-302", 2),
    ("feil=BB-302&retning=ut", 0), ("status=avvist", 4), ("status=mottatt", 2), ("partner=visma-profil", 13), ("partner=tjenesteshop", 0),
    ("status=trenger-deg&retning=ut&partner=visma-profil", 3),
])
def test_filters_are_in_the_address(operator: TestClient, query: str, count: int) -> None:
    page = operator.get(f"/drift/meldinger?{query}").text
    assert page.count('data-label="Tid"') == count
    for name, value in re.findall(r"(retning|partner|status|feil)=([\w-]+)", query):
        assert re.search(rf'name="{name}">.*?<option value="{value}" selected', page, re.DOTALL)


@pytest.mark.parametrize("query", ["fra=x", "fra=-", "fra=" + "9" * 400, "fra=1-2-3", "status=%00", "partner=%00%27", "feil=BB-999", "retning=x"])
def test_strange_filters_harm_nothing(operator: TestClient, query: str) -> None:
    assert operator.get(f"/drift/meldinger?{query}").status_code == 200


def test_pages_go_on_where_the_one_before_ended(busy_store: Any, operator: TestClient) -> None:
    def many(tx: Any) -> None:
        for n in range(120):
            tx.owe(owed(f"many {n}", "next", minutes_ago=n / 10))

    busy_store.write(many)
    seen: list[str] = []
    url = "/drift/meldinger"
    while url:
        page = operator.get(url).text
        seen += re.findall(r'href="(/drift/melding/[0-9a-f-]+)"', page)
        more = re.search(r'href="(/drift/meldinger\?[^"]*fra=[^"]+)"', page)
        url = unescape(more[1]) if more else ""
    assert len(seen) == len(set(seen)) == 127


@pytest.mark.spec("portal.md", "A5")
def test_one_page_shows_the_whole_way_of_an_appointment_oldest_first(operator: TestClient) -> None:
    page = operator.get(f"/drift/avtale/{uid('moved')}").text
    way = [text(h) for h in re.findall(r'<p class="t-head">(.*?)</p>', page)]
    assert [w.split(" · ")[0] for w in way][-3:] == [
        "Mottakeren svarte ikke, prøves igjen", "Sendt, transportkvittering ventes", "Transportkvittering: framme"]
    assert "forsøk 1" in way[-3] and "forsøk 2" in way[-2]
    assert way[0].startswith("Ny versjon lagret")
    assert uid("letter arrived") in page and "Versjon 1" in text(page)
    assert "Framme, venter på svar – visma-profil" in text(page)


def test_looking_at_a_way_is_written_in_the_persons_log(operator: TestClient, busy_store: Any) -> None:
    operator.get(f"/drift/avtale/{uid('next')}")
    line = audited(busy_store, f"Patient/{uid('kari')}", 1)[0]
    assert (line.reader, line.ground, line.kind, line.channel) == ("operator:demo", "operator", "timeline", "console")


@pytest.mark.parametrize("path", ["/drift/avtale/0", "/drift/avtale/%00", "/drift/mottatt/0", f"/drift/mottatt/{10**30}", "/drift/mottatt/x", "/drift/melding/0", "/drift/melding/%00", f"/drift/avtale/{'a' * 900}"])
def test_what_does_not_exist_is_not_found(operator: TestClient, path: str) -> None:
    assert operator.get(path).status_code == 404


@pytest.mark.spec("portal.md", "A6")
@pytest.mark.spec("portal.md", "A18")
@pytest.mark.parametrize("path", PATHS)
def test_no_page_shows_a_person(operator: TestClient, path: str) -> None:
    page = operator.get(path).text
    for resource in resources():
        for name in resource.get("name", []) if isinstance(resource.get("name"), list) else []:
            assert name["family"] not in page and f" {name['given'][0]} " not in text(page)
        for identifier in resource.get("identifier", []):
            assert identifier["value"] not in page
        if resource["resourceType"] in ("Patient", "RelatedPerson"):
            assert resource["id"] not in page
    assert not re.search(r"(?<![\w-])\d{11}(?![\w-])", page)


@pytest.mark.spec("portal.md", "A20")
def test_the_problem_page_has_every_number_with_its_text_and_anchor(operator: TestClient) -> None:
    page = operator.get("/drift/feil").text
    for problem in Problem:
        assert f'<tr id="{problem.value}">' in page and unescape(problem.text) in unescape(page)


@pytest.mark.spec("portal.md", "A21")
@pytest.mark.parametrize(("environment", "said"), [("demo", "DEMO – oppdiktede personer"), ("test", "TEST – bare oppdiktede personer"), ("production", "PRODUKSJON")])
def test_a_band_says_which_environment_it_is(town_store: Any, clock: Clock, environment: str, said: str) -> None:
    with TestClient(application(context(town_store, clock, environment))) as client:
        assert f'<p class="band env-{environment}" role="note">{said}</p>' in client.get("/drift/logg-inn").text


def test_sending_again_needs_a_reason_and_tells_who(operator: TestClient, resent: Resent) -> None:
    path = f"/drift/melding/{uid('letter failed')}"
    answer = operator.post(f"{path}/send", data={"grunn": "  "} | csrf(operator, path))
    assert answer.status_code == 422 and "Skriv en begrunnelse" in answer.text and resent.calls == []
    answer = operator.post(f"{path}/send", data={"grunn": "Sertifikatet er byttet"} | csrf(operator, path))
    assert answer.headers["location"] == path
    assert resent.calls == [(uid("letter failed"), "operator:demo", "Sertifikatet er byttet")]


@pytest.mark.parametrize("name", ["due", "sent", "arrived", "accepted"])
def test_what_moves_by_itself_or_is_done_cannot_be_sent_again(operator: TestClient, resent: Resent, name: str) -> None:
    path = f"/drift/melding/{uid(f'letter {name}')}"
    assert "Send på nytt" not in operator.get(path).text
    assert operator.post(f"{path}/send", data={"grunn": "x"} | csrf(operator)).status_code == 409
    assert resent.calls == []


def test_sending_again_from_another_site_is_refused(operator: TestClient, resent: Resent) -> None:
    path = f"/drift/melding/{uid('letter failed')}"
    assert operator.post(f"{path}/send", data={"grunn": "x"}).status_code == 403
    assert operator.post(f"{path}/send", data={"grunn": "x"} | csrf(operator, path), headers={"origin": "https://evil.example"}).status_code == 403
    assert operator.get(f"{path}/send").status_code in (404, 405)
    assert resent.calls == []


def incoming(client: TestClient, problem: Problem) -> str:
    """The address of a message in that was refused for this."""
    page = client.get(f"/drift/meldinger?feil={problem.value}").text
    found = re.search(r'href="(/drift/mottatt/\d+)"', page)
    assert found
    return found[1]


def test_a_message_in_tells_why_it_was_refused_and_where(operator: TestClient) -> None:
    page = text(operator.get(incoming(operator, Problem.WRONG_SIGNER)).text)
    assert "BB-108" in page and Problem.WRONG_SIGNER.text in page and "the signer is not the partner" in page and "//Signature" in page
    assert "Behandle på nytt" in page and "noise" not in page


def test_receiving_again_needs_a_reason_and_tells_who(operator: TestClient, replayed: Replayed) -> None:
    path = incoming(operator, Problem.WRONG_SIGNER)
    answer = operator.post(f"{path}/behandle", data={"grunn": " "} | csrf(operator, path))
    assert answer.status_code == 422 and "Skriv en begrunnelse" in answer.text and replayed.calls == []
    assert operator.post(f"{path}/behandle", data={"grunn": "x"}).status_code == 403
    replayed.verdict = Verdict(about=(f"Appointment/{uid('next')}",))
    answer = operator.post(f"{path}/behandle", data={"grunn": "Nytt sertifikat lagt inn"} | csrf(operator, path))
    assert answer.headers["location"] == f"/drift/avtale/{uid('next')}"
    assert replayed.calls == [(int(path.rpartition("/")[2]), "operator:demo", "Nytt sertifikat lagt inn")]


def test_a_message_in_that_was_opened_keeps_its_answer(operator: TestClient, replayed: Replayed) -> None:
    path = incoming(operator, Problem.FULL)
    assert "Behandle på nytt" not in operator.get(path).text
    assert operator.post(f"{path}/behandle", data={"grunn": "x"} | csrf(operator)).status_code == 409 and replayed.calls == []


@pytest.mark.parametrize("path", PATHS)
def test_without_login_there_is_nothing_to_see(client: TestClient, path: str) -> None:
    assert client.get(path).headers["location"] == "/drift/logg-inn"


def test_a_portal_login_is_no_console_login_and_the_other_way_round(client: TestClient) -> None:
    client.post("/logg-inn", data={"hvem": f"Patient/{uid('kari')}"})
    token = client.cookies["portal"]
    client.cookies.set("console", token)
    assert client.get("/drift").headers["location"].startswith("/drift/logg-inn")


@pytest.mark.parametrize("environment", ["production", "test"])
def test_outside_the_demo_only_a_known_token_opens(busy_store: Any, clock: Clock, environment: str) -> None:
    with TestClient(application(context(busy_store, clock, environment)), follow_redirects=False) as client:
        for wrong in ("", "feil", TOKEN + "x", "0" * 64):
            answer = client.post("/drift/logg-inn", data={"nokkel": wrong})
            assert answer.status_code == 403 and "set-cookie" not in answer.headers
        assert client.post("/drift/logg-inn").status_code == 403
        assert client.post("/drift/logg-inn", data={"nokkel": TOKEN}).headers["location"] == "/drift"
        client.get(f"/drift/avtale/{uid('next')}")
        assert audited(busy_store, f"Patient/{uid('kari')}", 1)[0].reader == "operator:vakt"


def test_a_page_that_refreshes_itself_does_not_keep_its_session_alive(operator: TestClient, clock: Clock) -> None:
    for _ in range(29):
        clock.forward(minutes=1)
        assert operator.get("/drift", headers={"hx-request": "true"}).status_code == 200
    clock.forward(minutes=1)
    assert operator.get("/drift", headers={"hx-request": "true"}).status_code == 303


@pytest.mark.parametrize("path", [*PATHS, "/drift/logg-inn", "/drift/melding/0"])
def test_every_answer_has_the_security_headers(operator: TestClient, path: str) -> None:
    headers = operator.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'") and headers["cache-control"] == "no-store"


def test_logging_out_ends_it(operator: TestClient) -> None:
    assert operator.post("/drift/logg-ut", data=csrf(operator)).headers["location"] == "/drift/logg-inn"
    assert operator.get("/drift").status_code == 303


def test_a_national_id_in_a_partners_words_is_masked() -> None:
    assert names.masked("E35 12814512345 og 128145 12345 finnes ikke, se 123456789012") == "E35 ··········· og ··········· finnes ikke, se 123456789012"


def test_every_state_and_step_has_its_words() -> None:
    assert set(names.STATES) == set(State) and set(names.STEPS) == set(Step) and set(names.STATED) == set(What)
    assert set(WAYS) == {s.value for s in State} - {State.SUPERSEDED.value}


@pytest.mark.parametrize(("name", "said"), [
    ("booking", "Bestilling"), ("urn:oasis:names:tc:ebxml-msg:service/Acknowledgment", "Transportkvittering"),
    ("HelsefagligDialog/Besok", "HelsefagligDialog/Besok"), ("", ""),
])
def test_what_a_message_is_for_is_said_in_words_and_the_partners_own_stays(name: str, said: str) -> None:
    assert names.function(name) == said


def test_every_function_that_the_product_knows_has_words() -> None:
    functions = tomllib.loads((Path(__file__).parents[2] / "mappings" / "functions.toml").read_text(encoding="utf-8"))
    assert {name for name in functions if names.function(name) == name} == set()


def test_keys_are_tried_so_often_and_no_more_and_who_was_let_in_before_is_not_kept_out(busy_store: Any, clock: Clock) -> None:
    app, key = application(context(busy_store, clock, "production")), {"nokkel": TOKEN}
    with TestClient(app, base_url=HOST, follow_redirects=False) as operators, TestClient(app, base_url=HOST, follow_redirects=False) as guesser:
        assert operators.post("/drift/logg-inn", data=key).status_code == 303
        operators.post("/drift/logg-ut", data=csrf(operators))
        answers = [guesser.post("/drift/logg-inn", data={"nokkel": f"sommer{n}"}) for n in range(12)]
        assert [answer.status_code for answer in answers] == [403] * 9 + [429] * 3, "ten a minute from one address, one of them the operator's"
        assert "Vent et minutt" in answers[-1].text and "set-cookie" not in answers[-1].headers
        assert guesser.post("/drift/logg-inn", data=key).status_code == 429, "nobody is told whether it was right"
        assert operators.post("/drift/logg-inn", data=key).status_code == 303, "from the same address, in a browser that was let in before"
        guesser.cookies.set("console-welcome", "0" * 64)
        assert guesser.post("/drift/logg-inn", data=key).status_code == 429
        clock.forward(minutes=1)
        assert guesser.post("/drift/logg-inn", data=key).status_code == 303


def test_keys_are_tried_so_often_from_all_addresses_together(busy_store: Any, clock: Clock) -> None:
    app = application(context(busy_store, clock, "production"))
    codes = []
    for n in range(70):
        with TestClient(app, base_url=HOST, client=(f"192.0.2.{n}", 1), follow_redirects=False) as client:
            codes.append(client.post("/drift/logg-inn", data={"nokkel": "feil"}).status_code)
    assert codes == [403] * 60 + [429] * 10
