"""«Meldinger» in the portal, as forms without script: who may read and write what, how much, and what stands in the access log."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hubs import World
from starlette.testclient import TestClient
from stores import audited
from town import visit
from visiting import csrf, text
from writing import HELLO, HELP, NURSING, as_relative, fields, log_in, messages, relative, send, somebody

from hub.access import Mandate, Scope
from hub.booking.conventions import extension, without_extension
from hub.booking.messages import LONGEST, MOST_A_DAY
from hub.faces.portal.choosing import service_key


def lines(world: World, person: str) -> list[tuple[str, str, str]]:
    """(what, who, on whose behalf) of a person's log about messages, newest first."""
    return [(a.kind, a.reader, a.on_behalf_of) for a in audited(world.store, person) if a.kind.startswith("message")]


def of_mandate(world: World, client: TestClient, *scopes: Scope, without: tuple[Scope, ...] = ()) -> Any:
    """Logs in as a relative with such a mandate; the mandate."""
    found = relative(world, Scope.SEE, *scopes, without=without)
    as_relative(world, client, found)
    return found


def test_a_message_is_asked_for_its_topic_sent_and_told_with_the_answer_time(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    assert 'href="/meldinger"' in client.get("/").text
    page = client.get("/meldinger/ny").text
    assert "113" in page and "116 117" in page and "innen 2 virkedager" in text(page)
    answer = client.post("/meldinger/ny", data=fields(page, "/meldinger/ny") | {"tekst": f" {HELLO}\r\n<b>Hei</b> "})
    assert re.fullmatch(r"/meldinger/[0-9a-f-]{36}\?sendt=1", answer.headers["location"])
    shown = client.get(answer.headers["location"]).text
    assert "Meldingen er sendt. Du får vanligvis svar innen 2 virkedager." in text(shown)
    assert "<b>Hei</b>" not in shown and "&lt;b&gt;Hei&lt;/b&gt;" in shown, "what people write is text"
    (kept,) = messages(world, kari.reference)
    assert (kept.text, kept.topic, kept.department, kept.author) == (f"{HELLO}\n<b>Hei</b>", "Tidspunkt for besøk", NURSING, kari.reference)


def test_whoever_has_two_services_chooses_among_the_topics_of_both(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING, HELP)
    log_in(client, kari.reference)
    page = client.get("/meldinger/ny").text
    assert "Hjemmesykepleie: hva gjelder det?" in text(page) and "Praktisk bistand: hva gjelder det?" in text(page)
    topics = re.findall(r'name="emne" value="([^"]+)"', page)
    thread = send(client, emne=topics[-1])
    (kept,) = messages(world, kari.reference)
    assert (kept.department, kept.topic) == (HELP, "Noe annet") and "Praktisk bistand" in text(client.get(thread).text)


@pytest.mark.parametrize(("changes", "told"), [
    ({"tekst": " \r\n "}, "Skriv en melding først."), ({"tekst": "æ" * (LONGEST + 7)}, f"Meldingen er på {LONGEST + 7} tegn. Den kan være på høyst {LONGEST}."),
    ({"emne": ""}, "Velg hva meldingen gjelder."), ({"emne": "0000000000:Tidspunkt for besøk"}, "Velg hva meldingen gjelder."),
    ({"emne": "{key}:Et emne som ikke finnes"}, "Velg hva meldingen gjelder."),
])
def test_what_is_wrong_is_told_kindly_and_the_text_is_kept(world: World, client: TestClient, changes: dict[str, str], told: str) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    page = client.get("/meldinger/ny").text
    right = fields(page, "/meldinger/ny")
    wrong = {k: v.replace("{key}", right["emne"].partition(":")[0]) for k, v in changes.items()}
    answer = client.post("/meldinger/ny", data=right | {"tekst": HELLO} | wrong)
    assert answer.status_code == 409 and f"Meldingen er ikke sendt {told}" in text(answer.text)
    field = "emne" if "emne" in changes else "tekst"
    assert f'<a class="ds-link" href="#{field}">' in answer.text and f'id="{field}"' in answer.text
    assert (wrong.get("tekst") or HELLO).strip() in text(answer.text) and messages(world, kari.reference) == []
    assert fields(answer.text, "/meldinger/ny")["nokkel"] == right["nokkel"]


def test_pressing_twice_sends_once_and_the_same_words_again_are_another_message(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    page = client.get("/meldinger/ny").text
    answers = [client.post("/meldinger/ny", data=fields(page, "/meldinger/ny") | {"tekst": HELLO}) for _ in range(3)]
    assert len({a.headers["location"] for a in answers}) == 1 and len(messages(world, kari.reference)) == 1
    send(client)
    assert len(messages(world, kari.reference)) == 2
    client.post("/meldinger/ny", data=fields(page, "/meldinger/ny") | {"tekst": "Back, og andre ord i det samme skjemaet"})
    assert len(messages(world, kari.reference)) == 3, "what is told as sent is sent"


def test_so_many_a_day_and_not_more_until_tomorrow(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    for n in range(MOST_A_DAY - 1):
        send(client, f"Melding {n}", thread)
    page = client.get(thread).text
    answer = client.post(thread, data=fields(page, thread) | {"tekst": "En til"})
    assert answer.status_code == 409 and "Du kan ikke sende flere meldinger i dag. Ring oss" in text(answer.text) and "En til" in answer.text
    world.clock.now += timedelta(days=1)
    log_in(client, kari.reference)
    send(client, "En til", thread)
    assert len(messages(world, kari.reference)) == MOST_A_DAY + 1


def test_a_form_of_somebody_elses_page_changes_nothing(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    for path in ("/meldinger/ny", thread):
        right = fields(client.get(path).text, path) | {"tekst": HELLO}
        assert client.post(path, data={k: v for k, v in right.items() if k != "csrf"}).status_code == 403
        assert client.post(path, data=right | {"csrf": "0" * 32}).status_code == 403
        assert client.post(path, data=right, headers={"origin": "https://evil.example"}).status_code == 403
    assert len(messages(world, kari.reference)) == 1


def test_somebody_elses_thread_does_not_exist(world: World, client: TestClient) -> None:
    kari, other = [p for p in world.town.bookable if p.departments == (NURSING,)][:2]
    log_in(client, kari.reference)
    thread = send(client)
    reply = fields(client.get(thread).text, thread)
    client.cookies.clear()
    log_in(client, other.reference)
    for path in (thread, "/meldinger/finnes-ikke", "/meldinger/%00"):
        assert client.get(path).status_code == 404
        assert client.post(path, data=reply | csrf(client) | {"tekst": HELLO}).status_code == 404
    assert HELLO not in client.get("/meldinger").text and len(messages(world, kari.reference)) == 1


def test_nobody_sees_a_message_without_logging_in(client: TestClient) -> None:
    for path in ("/meldinger", "/meldinger/ny", "/meldinger/x"):
        assert client.get(path).headers["location"].startswith("/logg-inn")


def test_a_relative_reads_and_writes_by_the_mandate_and_the_person_sees_who_wrote(world: World, client: TestClient) -> None:
    mandate = of_mandate(world, client, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)
    thread = send(client)
    assert "Du" in text(client.get(thread).text)
    (kept,) = messages(world, mandate.person)
    assert kept.author in mandate.holders and kept.signed
    behalf = ("message-sent", kept.author, mandate.person)
    assert behalf in lines(world, mandate.person) and ("message", kept.author, mandate.person) in lines(world, mandate.person)
    client.cookies.clear()
    log_in(client, mandate.person)
    assert f"{kept.signed} (pårørende)" in text(client.get(thread).text)


def test_who_may_only_read_gets_no_form_and_no_way_to_send_one(world: World, client: TestClient) -> None:
    mandate = of_mandate(world, client, Scope.READ_MESSAGES, without=(Scope.WRITE_MESSAGES,))
    page = client.get("/meldinger")
    assert page.status_code == 200 and "men ikke skrive" in text(page.text) and "/meldinger/ny" not in page.text
    assert client.get("/meldinger/ny").status_code == 404
    assert client.post("/meldinger/ny", data=csrf(client) | {"tekst": HELLO}).status_code == 404 and messages(world, mandate.person) == []


def test_without_the_scope_to_read_there_are_no_messages_and_no_place_for_them(world: World, client: TestClient) -> None:
    of_mandate(world, client, without=(Scope.READ_MESSAGES,))
    assert 'href="/meldinger"' not in client.get("/").text
    for path in ("/meldinger", "/meldinger/ny"):
        assert client.get(path).status_code == 404


def test_a_mandate_that_ends_takes_the_messages_with_it(world: World, client: TestClient) -> None:
    mandate = of_mandate(world, client, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)
    thread = send(client)
    kept = world.store.get("Consent", mandate.id)
    assert kept is not None
    world.store.write(lambda tx: tx.keep({**kept.resource, "status": "inactive"}, origin="test"))
    assert client.get(thread).status_code == 403 and client.post(thread, data=csrf(client, "/velg") | {"tekst": HELLO}).status_code == 403
    assert len(messages(world, mandate.person)) == 1


def test_one_relative_learns_nothing_of_another(world: World, client: TestClient) -> None:
    """Who else has a mandate is the person's to know (facts/portal.md 3.5)."""
    first = relative(world, Scope.SEE, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)
    consent, holder = world.store.get("Consent", first.id), world.store.get(*next(iter(first.holders)).split("/"))
    assert consent is not None and holder is not None
    another = {**holder.resource, "id": "en-annen", "name": [{"text": "En Annen"}], "identifier": []}
    actor = {**consent.resource["provision"]["actor"][0], "reference": {"reference": "RelatedPerson/en-annen"}}
    second = {**consent.resource, "id": "annen-fullmakt", "provision": {**consent.resource["provision"], "actor": [actor]}}
    world.store.write(lambda tx: (tx.keep(another, origin="test"), tx.keep(second, origin="test")))
    as_relative(world, client, first)
    thread = send(client)
    (kept,) = messages(world, first.person)
    client.cookies.clear()
    as_relative(world, client, Mandate.of(second))
    page = text(client.get(thread).text)
    assert "En annen pårørende" in page and kept.signed not in page


def test_a_protected_person_writes_to_a_department_whose_system_takes_it_and_no_place_is_told(world: World, client: TestClient) -> None:
    vilde = next(p for p in world.town.bookable if p.protected and p.departments == (NURSING,))
    log_in(client, vilde.reference)
    page = client.get("/meldinger/ny").text
    assert "Hjemmesykepleie" not in text(page)
    thread = send(client)
    world.until_quiet()
    shown = text(client.get(thread).text)
    assert "Mottatt av hjemmetjenesten" in shown and "Helsetjenester i hjemmet" in shown and "Hjemmesykepleie" not in shown
    answer = messages(world, vilde.reference)[-1]
    assert answer.from_service and answer.signed and answer.signed not in shown, "who works there could tell where"


def test_a_protected_person_is_asked_to_ring_where_only_employees_would_read_it(world: World, client: TestClient) -> None:
    vilde = next(p for p in world.town.bookable if p.protected and p.departments == (HELP,))
    log_in(client, vilde.reference)
    page = client.get("/meldinger").text
    assert "/meldinger/ny" not in page and "tar ikke imot nye meldinger fra deg her. Ring oss" in text(page)
    assert client.get("/meldinger/ny").status_code == 404
    crafted = {"emne": f"{service_key(HELP)}:Noe annet", "tekst": HELLO, "nokkel": "k"}
    assert client.post("/meldinger/ny", data=csrf(client) | crafted).status_code == 404 and messages(world, vilde.reference) == []


def test_a_department_without_topics_takes_no_messages_and_what_was_written_stays(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    reply = fields(client.get(thread).text, thread)
    service = world.store.get("HealthcareService", NURSING)
    assert service is not None and extension(service.resource, "message-topic")
    world.store.write(lambda tx: tx.keep(without_extension(service.resource, "message-topic"), origin="test"))
    assert "/meldinger/ny" not in client.get("/meldinger").text and client.get("/meldinger/ny").status_code == 404
    assert HELLO in client.get(thread).text and "tar ikke imot flere meldinger her" in text(client.get(thread).text)
    answer = client.post(thread, data=reply | {"tekst": "Hallo?"})
    assert answer.status_code == 409 and len(messages(world, kari.reference)) == 1


def test_a_message_about_a_visit_says_so_and_only_about_ones_own(world: World, client: TestClient) -> None:
    kari, other = [p for p in world.town.bookable if p.departments == (NURSING,)][:2]
    start = world.clock.now + timedelta(days=2)
    own, theirs = (
        {**visit(key, "kari", start), "participant": [{"actor": {"reference": who.reference}, "status": "accepted"},
                                                      {"actor": {"reference": f"HealthcareService/{NURSING}"}, "status": "accepted"}]}
        for key, who in (("own", kari), ("theirs", other))
    )
    world.store.write(lambda tx: (tx.keep(own, origin="test"), tx.keep(theirs, origin="test")))
    log_in(client, kari.reference)
    path = f"/meldinger/ny?besok={own['id']}"
    assert path in client.get(f"/besok/{own['id']}").text and "Meldingen gjelder besøket lørdag 28. november" in text(client.get(path).text)
    thread = send(client, path=path)
    assert messages(world, kari.reference)[0].visit == own["id"] and f'href="/besok/{own["id"]}"' in client.get(thread).text
    world.clock.now += timedelta(minutes=1)
    send(client, path=path, gjelder="")
    assert messages(world, kari.reference)[-1].visit == ""
    form = client.get(f"/meldinger/ny?besok={theirs['id']}").text
    assert "gjelder besøket" not in text(form)
    crafted = client.post("/meldinger/ny", data=fields(form, "/meldinger/ny") | {"tekst": HELLO, "besok": theirs["id"], "gjelder": "ja"})
    assert crafted.status_code == 409 and len(messages(world, kari.reference)) == 2


def test_each_reading_is_in_the_persons_log_in_plain_words(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    client.get("/meldinger")
    client.get(thread)
    assert [kind for kind, _, _ in lines(world, kari.reference)][:3] == ["message", "messages", "message-sent"]
    page = text(client.get("/hvem-har-sett").text)
    for said in ("En samtale med hjemmetjenesten", "Oversikt over meldinger", "Skrev en melding"):
        assert said in page
    assert HELLO not in page
