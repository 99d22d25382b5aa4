"""Mandates in the portal: given, seen, ended and declined by those they concern, and by nobody else."""

from __future__ import annotations

import logging
import re
from datetime import date
from itertools import islice
from typing import Any

import pytest
from pages import Clock, application, context
from starlette.testclient import TestClient
from stores import audited
from town import DNR, consent, patient, related, uid
from visiting import Person, choose, csrf, text

from hub.access import Mandate, Scope
from hub.booking.national_id import synthetic_numbers
from hub.mandates import MOST
from hub.store import Store

KARI = f"Patient/{uid('kari')}"
NEW, DNUMBER = "06927500181", "46927512300"
NUMBERS = list(islice(synthetic_numbers(date(1980, 2, 3)), MOST))
FORM = {"navn": "Sofie  Dal", "nummer": f"{NEW[:6]} {NEW[6:]}", "fra": "2026-11-23", "til": "", "varsler": "ja"}


def give(client: TestClient, **changes: str) -> Any:
    """Fills in the form there and sends it."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', client.get("/fullmakt/ny").text))
    return client.post("/fullmakt/ny", data=hidden | FORM | changes)


def mandates(store: Store) -> list[Mandate]:
    return store.write(lambda tx: [Mandate.of(kept.resource) for kept in tx.find("Consent", patient=KARI)])


def holders(store: Store, number: str = NEW) -> list[Any]:
    return store.write(lambda tx: tx.find("RelatedPerson", identifier=f"urn:oid:2.16.578.1.12.4.1.4.1|{number}"))


def path_of(client: TestClient, name: str) -> str:
    """Where the mandate under this name is ended."""
    found = re.search(rf'<h3 class="mandate-name">{name}.*?href="(/fullmakt/[^"]+/avslutt)"', client.get("/fullmakt").text, re.DOTALL)
    assert found, name
    return found[1]


def end(client: TestClient, name: str) -> Any:
    path = path_of(client, name)
    return client.post(path, data=csrf(client, path))


@pytest.mark.spec("portal.md", "P17")
def test_a_person_gives_a_mandate_and_the_relative_sees_by_it(client: TestClient, person: Person, town_store: Store) -> None:
    person("Patient/kari")
    assert [h in text(client.get("/fullmakt").text) for h in ("Hvem kan se besøkene mine?", "Ola Hansen", "Eva Lie", "Se besøkene dine")] == [True] * 4
    answer = give(client, bestille="ja", meldinger="skrive", til="31.12.2026")
    assert (answer.status_code, answer.headers["location"]) == (303, "/fullmakt?gitt=1")
    shown = text(client.get("/fullmakt?gitt=1").text)
    assert "Fullmakten er gitt." in shown and "Sofie Dal Fullmakt. Til og med torsdag 31. desember." in shown
    (relative,), given = holders(town_store), next(m for m in mandates(town_store) if m.scopes == frozenset(Scope))
    assert given.holders == {relative.reference} and given.holds(Clock().now)
    client.post("/logg-ut", data=csrf(client, "/fullmakt"))
    client.post("/logg-inn", data={"hvem": relative.reference})
    assert "Besøk for Kari Lindemann-Bjørnstad" in client.get("/").text
    held = text(client.get("/fullmakt").text)
    assert "Hvem ser jeg besøk for?" in held and "Kari" in held and "Ola Hansen" not in held, "no relative learns of another"
    kinds = [(line.kind, line.reader) for line in audited(town_store, KARI)]
    assert ("mandate-given", KARI) in kinds and ("mandates", KARI) in kinds


@pytest.mark.spec("portal.md", "P17")
def test_an_ended_mandate_ends_in_the_next_request_and_takes_what_was_begun_with_it(
    town_store: Store, clock: Clock, person: Person, client: TestClient,
) -> None:
    with TestClient(application(context(town_store, clock)), follow_redirects=False) as eva:
        eva.post("/logg-inn", data={"hvem": f"RelatedPerson/{uid('eva-kari')}"})
        assert eva.get("/").status_code == 200
        eva_ref = f"RelatedPerson/{uid('eva-kari')}"
        town_store.write(lambda tx: [tx.drafts.keep(who, KARI, "new", {"tekst": "Hei"}) for who in (eva_ref, KARI)])
        person("Patient/kari")
        assert "Vil du avslutte fullmakten til Eva Lie?" in text(client.get(path_of(client, "Eva Lie")).text)
        assert end(client, "Eva Lie").headers["location"] == "/fullmakt?avsluttet=1"
        assert eva.get("/").status_code == 403 and "Fullmakten er avsluttet" in eva.get("/").text
        assert town_store.drafts(lambda d: (d.get(eva_ref, KARI, "new"), d.get(KARI, KARI, "new"))) == ({}, {"tekst": "Hei"})
    assert "Eva Lie" not in client.get("/fullmakt").text
    assert ("mandate-ended", KARI) in [(line.kind, line.reader) for line in audited(town_store, KARI)]
    assert "Avsluttet en fullmakt" in text(client.get("/hvem-har-sett").text)


def test_a_relative_declines_and_the_person_reads_who_did(person: Person, client: TestClient, town_store: Store) -> None:
    person("RelatedPerson/eva-kari")
    assert end(client, "Kari Lindemann-Bjørnstad").status_code == 303
    assert "Du har ingen fullmakt akkurat nå." in text(client.get("/fullmakt").text)
    client.post("/logg-ut", data=csrf(client, "/fullmakt"))
    person("Patient/kari")
    assert "Eva Lie Sa fra seg en fullmakt Fullmakt" in text(client.get("/hvem-har-sett").text)


def test_nobody_gives_or_ends_in_anothers_place(person: Person, client: TestClient, town_store: Store) -> None:
    """A relative sees neither form nor other relatives' mandates; somebody else's mandate does not exist."""
    person("RelatedPerson/ola-kari")
    choose(client, "m-kari")
    before = town_store.write(lambda tx: tx.newest())
    assert client.get("/fullmakt/ny").status_code == 404
    token = csrf(client, "/fullmakt")
    assert client.post("/fullmakt/ny", data=FORM | token).status_code == 404
    for id_ in (uid("m-eva"), "finnes-ikke"):
        path = f"/fullmakt/{id_}/avslutt"
        assert (client.get(path).status_code, client.post(path, data=token).status_code) == (404, 404)
    assert town_store.write(lambda tx: tx.newest()) == before and "Eva Lie" not in client.get("/fullmakt").text


@pytest.mark.parametrize(("who", "born"), [("vilde", ""), ("barn", "2012-01-01")])
def test_neither_a_child_nor_a_protected_person_gives(town_store: Store, person: Person, client: TestClient, who: str, born: str) -> None:
    if born:
        town_store.write(lambda tx: tx.keep(patient(who, "Liv", "Ung", NUMBERS[-1], born), origin="test"))
    person(f"Patient/{who}")
    assert "Du kan ikke gi fullmakt her." in text(client.get("/fullmakt").text) and client.get("/fullmakt/ny").status_code == 404
    assert client.post("/fullmakt/ny", data=FORM | csrf(client, "/fullmakt")).status_code == 404
    assert holders(town_store) == []


@pytest.mark.parametrize(("changes", "told"), [
    ({"navn": " "}, "Skriv navnet"), ({"navn": "x" * 81}, "Skriv navnet"), ({"nummer": "123"}, "elleve siffer"), ({"nummer": "06927500182"}, "elleve siffer"),
    ({"nummer": "12814512329"}, "til deg selv"), ({"nummer": "15897522222"}, "fullmakt fra deg fra før"), ({"fra": "2026-11-22"}, "i dag eller senere"),
    ({"fra": "snart"}, "i dag eller senere"), ({"til": "2026-11-22"}, "siste dagen, etter den første"), ({"til": "9. mai"}, "siste dagen, etter den første"),
])
def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_lost(
    person: Person, client: TestClient, town_store: Store, changes: dict[str, str], told: str,
) -> None:
    person("Patient/kari")
    before = len(mandates(town_store))
    answer = give(client, meldinger="lese", **changes)
    field = next(iter(changes))
    assert answer.status_code == 409 and told in text(answer.text) and f'href="#{field}"' in answer.text
    assert re.search(rf'id="{field}"[^>]*aria-describedby="[^"]*feil-{field}"[^>]*aria-invalid="true"', answer.text)
    kept = FORM | changes
    assert all(f'value="{kept[name]}"' in answer.text for name in ("navn", "nummer", "fra", "til") if kept[name].strip())
    assert 'value="lese" checked' in answer.text and len(mandates(town_store)) == before


def test_the_same_form_twice_is_one_mandate_and_a_later_one_begins_on_its_day(
    person: Person, client: TestClient, town_store: Store, clock: Clock,
) -> None:
    person("Patient/kari")
    before = len(mandates(town_store))
    for _ in range(2):
        assert give(client, nokkel="same", fra="2026-11-25").status_code == 303
    (new,) = [m for m in mandates(town_store) if m.holders == {holders(town_store)[0].reference}]
    assert len(mandates(town_store)) == before + 1 and not new.holds(clock.now)
    assert "Fra onsdag 25. november til den avsluttes." in text(client.get("/fullmakt").text)
    clock.forward(days=2)
    assert new.holds(clock.now)


def test_a_protected_relative_is_given_a_mandate_that_gives_nothing_and_nobody_is_told(
    person: Person, client: TestClient, town_store: Store, clock: Clock,
) -> None:
    """Whether somebody has a protected address must not be found out by giving them a mandate."""
    person("Patient/kari")
    vilde = "05916011158"
    assert give(client, nummer=vilde).status_code == 303
    (relative,) = holders(town_store, vilde)
    client.post("/logg-ut", data=csrf(client, "/fullmakt"))
    client.post("/logg-inn", data={"hvem": f"Patient/{uid('vilde')}"})
    assert "Kari" not in client.get("/velg").text and "Kari" not in client.get("/fullmakt").text
    assert relative.resource["meta"]["security"][0]["code"] == "strengtFortrolig"


def test_a_national_id_stands_in_no_address_no_log_and_no_refusal(
    person: Person, client: TestClient, town_store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    person("Patient/kari")
    with caplog.at_level(logging.DEBUG):
        answer = give(client)
        monkeypatch.setattr("hub.mandates.Mandates._keep", lambda *_: 1 / 0)
        assert give(client, nummer=DNUMBER).status_code == 500
    assert NEW not in answer.headers["location"] and not any(number in caplog.text for number in (NEW, DNUMBER, "Sofie"))
    assert NEW not in client.get("/fullmakt").text
    lines = [repr(line) for line in audited(town_store, KARI)]
    assert lines and not any(NEW in line or "Sofie" in line for line in lines)


def test_a_d_number_is_kept_as_one(person: Person, client: TestClient, town_store: Store) -> None:
    person("Patient/kari")
    assert give(client, nummer=DNUMBER).status_code == 303
    assert len(town_store.write(lambda tx: tx.find("RelatedPerson", identifier=f"{DNR}|{DNUMBER}"))) == 1


def test_so_many_mandates_and_not_more(person: Person, client: TestClient, town_store: Store) -> None:
    made = [(related(f"r{n}", "kari", "Liv", f"Nr {n:02}", NUMBERS[n]), consent(f"c{n}", "kari", f"r{n}")) for n in range(MOST - 2)]
    town_store.write(lambda tx: [tx.keep(each, origin="test") for pair in made for each in pair])
    person("Patient/kari")
    answer = give(client)
    assert answer.status_code == 409 and "så mange fullmakter som det går an" in text(answer.text)
    assert client.get("/fullmakt").text.count('class="mandate"') == MOST


@pytest.mark.parametrize(("end", "told"), [
    ("2026-11-30", "Til og med mandag 30. november."), ("2026-11-30T12:00:00+01:00", "Til og med mandag 30. november."), ("2027-01", "Til og med søndag 31. januar 2027."),
    ("2027-03-28", "Til og med søndag 28. mars 2027."), ("9999-12-31", "Til den avsluttes."),
])
def test_the_last_day_is_told_as_it_was_meant(person: Person, client: TestClient, town_store: Store, end: str, told: str) -> None:
    """Whatever way it was imported; also the day when clocks change."""
    made = (related("r", "per", "Liv", "Lang", NUMBERS[0]), consent("c", "per", "r", end=end))
    town_store.write(lambda tx: [tx.keep(each, origin="test") for each in made])
    person("Patient/per")
    assert f"Liv Lang Fullmakt. {told}" in text(client.get("/fullmakt").text)


def test_what_the_law_gives_is_shown_and_not_ended_here(person: Person, client: TestClient, town_store: Store) -> None:
    guardian = consent("verge", "kari", "v-kari")
    guardian["provision"]["actor"][0]["role"]["coding"][0]["code"] = "GUARD"
    town_store.write(lambda tx: [tx.keep(r, origin="test") for r in (related("v-kari", "kari", "Vera", "Verge", NUMBERS[0]), guardian)])
    person("Patient/kari")
    page = client.get("/fullmakt").text
    assert "Vera Verge Verge." in text(page) and f"/fullmakt/{uid('verge')}/avslutt" not in page
    assert client.post(f"/fullmakt/{uid('verge')}/avslutt", data=csrf(client, "/fullmakt")).status_code == 404
