"""The portal over HTTP: what is shown to whom, and what is kept in the access log."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from letters import owed, send
from pages import Clock
from starlette.testclient import TestClient
from stores import audited
from town import consent, uid
from visiting import Person, choose, csrf, text


@pytest.mark.spec("portal.md", "P1")
def test_the_first_screen_shows_the_next_visit(person: Person) -> None:
    page = person("Patient/kari").get("/").text
    first = text(page[page.index('class="next"'):page.index("</section>", page.index('class="next"'))])
    assert "I dag, mandag 23. november kl. 14:15–14:45 Hjemmesykepleien Solbakken nord Anne kommer Bekreftet" in first
    assert "Bekreftet av journalsystemet kl. 12:03" in first
    assert "Berg" not in page, "the first name only"


@pytest.mark.spec("portal.md", "P2")
def test_coming_and_past_visits_are_two_lists_and_past_ones_tell_planned_and_actual_time(person: Person) -> None:
    page = person("Patient/kari").get("/").text
    coming, past = text(page[page.index('id="kommende"'):page.index('id="tidligere"')]), text(page[page.index('id="tidligere"'):])
    assert "I morgen, tirsdag 24. november kl. 14:15–16:15 Praktisk bistand Venter på svar Ikke bekreftet ennå" in coming
    assert "Venter på svar Endring på vei til journalsystemet" in coming
    assert "Avlyst av oss" in coming and "Avbestilt av deg" in coming
    assert "I går, søndag 22. november Planlagt kl. 14:03–14:33 Hjemmesykepleien Solbakken nord · Marius kom Utført Faktisk tid: kl. 14:09–14:39" in past
    assert "Vi fikk ikke kontakt" in past and "Ikke meldt utført" in past


def test_a_letter_that_the_epj_refused_is_told_in_plain_words(person: Person, town_store: Any) -> None:
    town_store.write(lambda tx: send(tx, "rejected", "no"))
    page = text(person("Patient/kari").get(f"/besok/{uid('no')}").text)
    assert "Ikke avklart" in page
    assert "Hjemmetjenesten kunne ikke ta imot den siste endringen på nett. Ring oss" in page


def test_older_visits_come_page_by_page_and_none_twice(person: Person) -> None:
    client, seen = person("Patient/kari"), list[str]()
    page = client.get("/").text
    page = page[page.index('id="tidligere"'):]
    while True:
        seen += re.findall(r'href="/besok/([0-9a-f-]+)"', page)
        more = re.search(r'href="(/tidligere[^"]+)"', page)
        if more is None:
            break
        page = client.get(unescape(more[1])).text
    assert sorted(seen) == sorted(map(uid, ["done", "missed", "silent", *(f"old{n}" for n in range(14))]))


def test_a_change_that_is_not_answered_yet_is_told(person: Person, town_store: Any) -> None:
    town_store.write(lambda tx: send(tx, "arrived", "next"))
    assert "Bekreftet Endring på vei til journalsystemet" in text(person("Patient/kari").get(f"/besok/{uid('next')}").text)


def test_an_answer_of_ours_that_is_on_its_way_is_no_change(person: Person, town_store: Any) -> None:
    town_store.write(lambda tx: tx.owe(replace(owed("due", "next"), function="receipt", answer_due=False, refers_to="their-id")))
    assert "Bekreftet av journalsystemet kl. 12:03" in text(person("Patient/kari").get(f"/besok/{uid('next')}").text)


@pytest.mark.parametrize("cursor", ["x", "-", "1", "1-2-3", "9" * 400 + "-1", "%00", "-5--5"])
def test_a_strange_cursor_harms_nothing(person: Person, cursor: str) -> None:
    assert person("Patient/kari").get(f"/tidligere?fra={cursor}").status_code == 200


@pytest.mark.spec("portal.md", "P15")
def test_a_relative_chooses_whom_and_every_page_says_it(person: Person) -> None:
    client = person("RelatedPerson/ola-kari")
    assert client.get("/").headers["location"] == "/velg"
    offered = text(client.get("/velg").text)
    assert "Kari Lindemann-Bjørnstad Fullmakt" in offered and "Per Haugen Fullmakt" in offered
    assert "Vilde" not in offered
    choose(client, "m-kari")
    for path in ("/", f"/besok/{uid('next')}", "/tidligere", "/personvern", "/tilgjengelighet", "/velg", "/finnes-ikke"):
        page = client.get(path).text
        if path != "/finnes-ikke":
            assert "Du ser besøk for Kari Lindemann-Bjørnstad (fullmakt) Bytt person" in text(page), path
    choose(client, "m-per")
    page = text(client.get("/").text)
    assert "Du ser besøk for Per Haugen" in page and "Kari" not in page
    assert "På vei / hos Per nå" in page


def test_a_relative_with_one_mandate_goes_straight_to_the_visits(person: Person) -> None:
    assert "Besøk for Kari Lindemann-Bjørnstad" in text(person("RelatedPerson/eva-kari").get("/").text)


@pytest.mark.spec("portal.md", "P32")
def test_no_title_and_no_address_names_anybody(person: Person) -> None:
    client = person("RelatedPerson/eva-kari")
    for path in ("/", f"/besok/{uid('next')}", "/tidligere", "/velg"):
        page = client.get(path).text
        title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
        assert title is not None
        assert not re.search("kari|linde|eva|sykepl", title[1], re.IGNORECASE), title[1]
        for address in re.findall(r'(?:href|action|src)="([^"]+)"', page):
            assert not re.search(r"kari|linde|eva|sykepl|(?<!\d)\d{11}(?!\d)", address, re.IGNORECASE), address


def test_somebody_elses_visit_is_not_found_and_the_attempt_is_kept(person: Person, town_store: Any) -> None:
    answer = person("Patient/kari").get(f"/besok/{uid('per1')}")
    assert answer.status_code == 404
    assert "Haugen" not in answer.text and "24. november" not in answer.text
    tried = [line for line in audited(town_store, f"Patient/{uid('per')}", 10) if not line.given]
    assert [(line.reader, line.kind) for line in tried] == [(f"Patient/{uid('kari')}", "visit")]


@pytest.mark.parametrize("id", ["0", "a" * 3000, "..%2f..%2fetc", "%00", uid("kari"), "'; drop table resource; --"])
def test_an_id_that_is_no_visits_is_not_found(person: Person, id: str) -> None:
    assert person("Patient/kari").get(f"/besok/{id}").status_code == 404


def test_a_relative_sees_nothing_of_others_they_do_not_represent_now(person: Person) -> None:
    client = person("RelatedPerson/ola-kari")
    choose(client, "m-kari")
    assert client.get(f"/besok/{uid('per1')}").status_code == 404, "Per is another choice, not this one"
    assert client.get(f"/besok/{uid('vilde1')}").status_code == 404


def test_a_protected_person_is_nobodys_to_choose(client: TestClient, person: Person) -> None:
    assert "pårørende til Kari Lindemann-Bjørnstad og Per Haugen" in text(client.get("/logg-inn").text)
    client = person("RelatedPerson/ola-kari")
    answer = client.post("/velg", data={"hvem": uid("m-vilde")} | csrf(client, "/velg"))
    assert answer.headers["location"] == "/velg"
    assert "Vilde" not in client.get("/velg").text


def test_a_protected_persons_own_page_tells_neither_department_nor_employee(person: Person) -> None:
    page = text(person("Patient/vilde").get("/").text)
    assert "kl. 14:15–14:45 Hjemmesykepleie Bekreftet" in page
    assert "nord" not in page and "Anne" not in page


def test_a_mandate_that_is_withdrawn_ends_at_the_next_click(person: Person, town_store: Any) -> None:
    client = person("RelatedPerson/eva-kari")
    assert client.get("/").status_code == 200
    town_store.write(lambda tx: tx.keep(consent("m-eva", "kari", "eva-kari", status="inactive"), origin="portal"))
    for path in ("/", f"/besok/{uid('next')}", "/tidligere"):
        answer = client.get(path)
        assert answer.status_code == 403
        assert "Fullmakten er avsluttet" in text(answer.text) and "Kari" not in answer.text


def test_a_mandate_that_runs_out_ends_to_the_second(person: Person, clock: Clock) -> None:
    client = person("RelatedPerson/ola-kari")
    choose(client, "m-per")
    clock.forward(days=7, hours=11, minutes=56, seconds=59)
    client = person("RelatedPerson/ola-kari")
    assert "Per Haugen" in text(client.get("/velg").text)
    choose(client, "m-per")
    clock.forward(seconds=1)
    assert client.get("/").status_code == 403
    assert "Per Haugen" not in text(client.get("/velg").text)


def test_every_page_with_health_data_has_its_line_before_it_leaves(person: Person, town_store: Any) -> None:
    client = person("RelatedPerson/eva-kari")
    before = len(audited(town_store, f"Patient/{uid('kari')}", 100))
    for path in ("/", f"/besok/{uid('next')}", "/tidligere"):
        client.get(path)
    lines = audited(town_store, f"Patient/{uid('kari')}", 100)
    assert len(lines) == before + 3
    newest = lines[:3]
    assert [line.kind for line in newest] == ["past-visits", "visit", "visits"]
    assert {(line.reader, line.ground, line.on_behalf_of, line.channel) for line in newest} == {
        (f"RelatedPerson/{uid('eva-kari')}", "mandate", f"Patient/{uid('kari')}", "portal")}


@pytest.mark.spec("portal.md", "P18")
def test_the_person_sees_who_has_seen_and_a_relative_does_not(person: Person, town_store: Any) -> None:
    client = person("RelatedPerson/eva-kari")
    client.get("/")
    answer = client.get("/hvem-har-sett")
    assert answer.status_code == 404
    assert "Hvem har sett" not in text(answer.text)
    client = person("Patient/kari")
    client.get("/")
    audited(town_store, f"Patient/{uid('kari')}")
    page = text(client.get("/hvem-har-sett").text)
    assert "I dag kl. 12:03 Du Oversikt over besøk Egne opplysninger" in page
    assert "I dag kl. 12:03 Eva Lie Oversikt over besøk Fullmakt" in page


def test_the_same_again_and_again_is_one_line_of_the_log(person: Person, town_store: Any) -> None:
    client = person("Patient/kari")
    before = len(re.findall('class="log-at"', client.get("/hvem-har-sett").text))
    for path in ("/", "/", "/", f"/besok/{uid('next')}", "/"):
        client.get(path)
    audited(town_store, f"Patient/{uid('kari')}")
    page = client.get("/hvem-har-sett").text
    assert "Du Oversikt over besøk (3 ganger siden kl. 12:03)" in text(page)
    assert len(re.findall('class="log-at"', page)) == before + 4, "this log, the visits three times, the visit, the visits"


@pytest.mark.spec("portal.md", "P22")
@pytest.mark.spec("portal.md", "P30")
def test_phone_and_hours_and_the_statements_are_on_every_page(client: TestClient, person: Person) -> None:
    paths = ["/", "/logg-inn", "/tilgjengelighet", "/personvern", "/om-demoen", "/finnes-ikke"]
    pages = [client.get(p).text for p in paths]
    pages += [person("Patient/kari").get(p).text for p in ("/", f"/besok/{uid('next')}", "/besok/0", "/hvem-har-sett", "/velg")]
    for page in pages:
        assert 'href="tel:55000000"' in page and "Hver dag kl. 08:00–20:00" in page
        assert ("/tilgjengelighet" in page and "/personvern" in page and "DEMO" in page) or "TESTINNLOGGING" in page


@pytest.mark.spec("portal.md", "P31")
def test_somebody_without_visits_gets_a_page_that_says_so(person: Person) -> None:
    page = text(person("Patient/alene").get("/").text)
    assert "Ingen besøk er avtalt akkurat nå." in page and "Ingen besøk så langt." in page


@pytest.mark.parametrize("path", ["/", "/logg-inn", "/tilgjengelighet", "/finnes-ikke", "/besok/0"])
@pytest.mark.spec("portal.md", "2.4")
def test_every_answer_has_the_security_headers(person: Person, path: str) -> None:
    headers = person("Patient/kari").get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_static_files_are_kept_for_ever_under_names_that_change_with_them(client: TestClient) -> None:
    names = re.findall(r'"(/static/[^"]+)"', client.get("/").text)
    assert len(names) >= 6
    for name in names:
        answer = client.get(name)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert re.search(r"\.[0-9a-f]{12}\.", name)
    assert client.get("/static/../context.py").status_code == 404
    assert client.get("/static/portal.000000000000.css").status_code == 404


def test_no_page_asks_for_anything_from_elsewhere_or_carries_inline_code(person: Person) -> None:
    client = person("Patient/kari")
    for path in ("/", f"/besok/{uid('next')}", "/hvem-har-sett", "/velg", "/logg-inn"):
        page = client.get(path).text
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style|javascript:", page)
