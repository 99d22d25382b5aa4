"""Ordering in the portal as a new user does, with plain forms: order, move, cancel, and each way it can go wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from customers import CODE, booking, customers, order, say, set_number, shop_of
from hubs import World
from starlette.testclient import TestClient
from visiting import csrf, text

from hub.booking import Status
from hub.booking.conventions import extension
from hub.faces import words
from hub.faces.portal.choosing import balance_said, service_key
from hub.keeping import Speaker
from hub.message import Resources
from hub.shop import HELD_FOR

PATH = f"/bestill/{service_key(CODE)}"


def log_in(client: TestClient, person: str) -> None:
    answer = client.post("/logg-inn", data={"hvem": person} | csrf(client, "/logg-inn"))
    assert answer.status_code == 303
    if answer.headers["location"] == "/velg":
        client.post("/velg", data={"hvem": "self"} | csrf(client, "/velg"))


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form with this action."""
    form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert form, f"no form to {action}"
    return {k: unescape(v) for k, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])}


def times(page: str) -> list[str]:
    return re.findall(r'name="tid" value="([^"]+)"', page)


def ordered(client: TestClient, path: str = PATH, number: int = 5) -> str:
    """Chooses a time and confirms; where the receipt is."""
    page = client.get(path).text
    held = client.post(path, data=fields(page, path) | {"tid": times(page)[number]})
    assert held.status_code == 200, text(held.text)
    answer = client.post(f"{path}/bekreft", data=fields(held.text, f"{path}/bekreft"))
    assert answer.status_code == 303, text(answer.text)
    return answer.headers["location"]


@pytest.mark.spec("portal.md", "P4")
def test_order_move_and_cancel_as_a_new_user(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    log_in(client, kari.person)
    assert 'href="/bestill"' in client.get("/").text
    offered = client.get("/bestill").text
    assert PATH in offered and re.search(r"0 av \d+ besøk brukt denne uken", text(offered))
    receipt = ordered(client)
    page = text(client.get(receipt).text)
    assert "Bestillingen er sendt til hjemmetjenesten." in page and "Venter på svar" in page and "Referanse:" in page
    id_ = receipt.split("/")[2].partition("?")[0]
    before = booking(world, id_).start
    moved = ordered(client, f"/besok/{id_}/flytt", 9)
    assert "Ønsket om ny tid er sendt" in text(client.get(moved).text) and booking(world, id_).start != before
    ask = client.get(f"/besok/{id_}/avbestill").text
    answer = client.post(f"/besok/{id_}/avbestill", data=fields(ask, f"/besok/{id_}/avbestill") | {"grunn": "Reiser bort"})
    assert "Besøket er avbestilt." in text(client.get(answer.headers["location"]).text)
    assert booking(world, id_).status is Status.CANCELLED
    assert [line.kind for line in world.store.audit_of(kari.person, 50) if line.kind in ("book", "move", "cancel")] == ["cancel", "move", "book"]


@pytest.mark.spec("portal.md", "P5")
def test_days_say_how_many_times_are_free_and_closed_days_say_so(world: World, client: TestClient) -> None:
    log_in(client, customers(world, "praktisk-bistand")[0].person)
    page = client.get(f"/bestill/{service_key('praktisk-bistand')}").text
    labels = [unescape(label) for label in re.findall(r'class="day" href="[^"]+" aria-label="([^"]+)"', page)]
    assert labels and all(re.fullmatch(r"\w+ \d+\. \w+, \d+ ledige?", label) for label in labels)
    assert page.count("Stengt") >= 4, "two weekends"
    dates = re.findall(r"\bdag=([\d-]+)", page)
    other = client.get(f"/bestill/{service_key('praktisk-bistand')}?dag={dates[3]}").text
    assert re.search(rf'href="[^"]+{dates[3]}#tider"[^>]+aria-current="date"', other) and set(times(other)).isdisjoint(times(page))


@pytest.mark.spec("portal.md", "P7")
def test_the_last_place_taken_meanwhile_is_told_kindly_with_the_nearest_times(world: World, client: TestClient) -> None:
    set_number(world, "capacity", 1)
    kari, ola = customers(world)[:2]
    log_in(client, kari.person)
    page = client.get(PATH).text
    wish = times(page)[4]
    shop_of(world).book(ola, order("o", world.clock.now.fromisoformat(wish.replace("Z", "+00:00"))))
    answer = client.post(PATH, data=fields(page, PATH) | {"tid": wish})
    assert answer.status_code == 409 and "Denne tiden ble nettopp tatt av noen andre." in text(answer.text)
    near = times(answer.text)[:3]
    assert wish not in near
    again = client.post(PATH, data=fields(answer.text, PATH) | {"tid": near[0]})
    assert again.status_code == 200 and "Stemmer dette?" in text(again.text)


@pytest.mark.spec("portal.md", "P8")
def test_a_hold_that_ran_out_is_told_and_nothing_is_booked(world: World, client: TestClient) -> None:
    log_in(client, customers(world)[0].person)
    page = client.get(PATH).text
    held = client.post(PATH, data=fields(page, PATH) | {"tid": times(page)[3]})
    assert "Tiden holdes av for deg i 5 minutter" in text(held.text)
    world.clock.now += HELD_FOR + timedelta(seconds=1)
    answer = client.post(f"{PATH}/bekreft", data=fields(held.text, f"{PATH}/bekreft"))
    assert answer.status_code == 409 and "holdes ikke av for deg lenger" in text(answer.text) and times(answer.text)
    assert "Ingen besøk er avtalt" in text(client.get("/").text)


def test_pressing_twice_books_once(world: World, client: TestClient) -> None:
    log_in(client, customers(world)[0].person)
    page = client.get(PATH).text
    held = client.post(PATH, data=fields(page, PATH) | {"tid": times(page)[3]})
    answers = [client.post(f"{PATH}/bekreft", data=fields(held.text, f"{PATH}/bekreft")) for _ in range(3)]
    assert [a.status_code for a in answers] == [303] * 3 and len({a.headers["location"] for a in answers}) == 1
    assert client.get("/").text.count('class="visit-link"') + client.get("/").text.count("next-more") == 1


@pytest.mark.spec("portal.md", "P9")
def test_after_the_deadline_there_is_a_phone_number_and_no_button(world: World, client: TestClient) -> None:
    log_in(client, customers(world)[0].person)
    receipt = ordered(client, number=0).partition("?")[0]
    assert f'href="{receipt}/avbestill"' in client.get(receipt).text
    world.clock.now += timedelta(minutes=20)
    page = client.get(receipt).text
    assert "/avbestill" not in page and "Ring oss på" in text(page)
    for wish, said in (("avbestill", "kan ikke avbestilles på nett lenger"), ("flytt", "kan ikke flyttes på nett lenger")):
        late = client.get(f"{receipt}/{wish}")
        assert late.status_code == 303 and said in text(client.get(late.headers["location"]).text), "told kindly, on the visit's own page"
    assert "lenger" not in text(client.get(f"{receipt}?stengt=tull").text)
    answer = client.post(f"{receipt}/avbestill", data=csrf(client, receipt))  # whose page was open when the deadline passed
    assert answer.headers["location"] == f"{receipt}?stengt=avbestill" and booking(world, receipt.split("/")[2]).status is Status.PENDING


def test_what_is_cancelled_already_is_said_to_be_that(world: World, client: TestClient) -> None:
    log_in(client, customers(world)[0].person)
    receipt = ordered(client).partition("?")[0]
    form = fields(client.get(f"{receipt}/avbestill").text, f"{receipt}/avbestill")
    assert [client.post(f"{receipt}/avbestill", data=form).status_code for _ in range(2)] == [303, 303], "twice is once"
    for wish in ("avbestill", "flytt"):
        assert client.get(f"{receipt}/{wish}").headers["location"] == receipt
    page = text(client.get(receipt).text)
    assert "Avbestilt av deg" in page
    for odd in ("lenger", "Ikke bekreftet ennå", "Ikke bestemt ennå", "Hvem kommer"):
        assert odd not in page, odd


@pytest.mark.spec("portal.md", "P10")
def test_the_time_that_stands_is_told_and_none_is_promised_that_does_not(world: World, client: TestClient) -> None:
    log_in(client, customers(world)[0].person)
    receipt = ordered(client, number=12).partition("?")[0]
    id_, old = receipt.split("/")[2], booking(world, receipt.split("/")[2]).start
    assert "Du beholder" not in text(client.get(f"{receipt}/flytt").text), "nothing is confirmed yet"
    say(world, id_, status="booked")
    assert "Du beholder den til den nye er bekreftet." in text(client.get(f"{receipt}/flytt").text)
    ordered(client, f"{receipt}/flytt", 40)
    said = f"{words.day(old, world.clock.now)} {words.clock(old)}"
    assert f"Den bekreftede tiden gjelder til vi har svart: {said}" in text(client.get(receipt).text)
    assert f"Du beholder den bekreftede tiden, {said}" in text(client.get(f"{receipt}/flytt").text)
    say(world, id_, status="booked")
    assert "Den bekreftede tiden" not in text(client.get(receipt).text)


def test_a_relative_orders_only_with_the_mandate_to_and_the_page_says_for_whom(world: World, client: TestClient) -> None:
    seen = {"booked": 0, "refused": 0}
    for login in world.town.logins:
        relative = next((r for r in world.town.relatives if r.national_id == login.national_id), None)
        if relative is None or "Pårørende" not in login.role:
            continue
        client.post("/logg-inn", data={"hvem": relative.reference} | csrf(client, "/logg-inn"))
        whom = re.findall(r'name="hvem" value="([^"]+)"', client.get("/velg").text)
        for choice in whom:
            client.post("/velg", data={"hvem": choice} | csrf(client, "/velg"))
            page = client.get("/bestill")
            if page.status_code == 404:
                seen["refused"] += 1
                assert "/bestill" not in client.get("/").text
                continue
            path = re.search(r'href="(/bestill/\w+)"', page.text)
            assert path and "bestille for" in text(page.text)
            receipt = ordered(client, path[1])
            assert booking(world, receipt.split("/")[2].partition("?")[0]).status is Status.PENDING
            seen["booked"] += 1
    assert seen["booked"] >= 1 and seen["refused"] >= 1


def test_somebody_elses_visit_cannot_be_moved_or_cancelled(world: World, client: TestClient) -> None:
    kari, ola = customers(world)[:2]
    days = shop_of(world).free(ola, CODE, world.clock.now)
    theirs = shop_of(world).book(ola, order("o", days[1].times[0].start))
    log_in(client, kari.person)
    for path in (f"/besok/{theirs}/flytt", f"/besok/{theirs}/avbestill"):
        assert client.get(path).status_code == 404
        assert client.post(path, data=csrf(client) | {"tid": "2026-11-27T09:00:00Z"}).status_code == 404
    assert booking(world, theirs).status is Status.PENDING


@pytest.mark.parametrize("tid", ["", "x", "2026-13-01T10:00:00Z", "2027-03-28T02:30:00+01:00", "2020-01-01T10:00:00Z", "9" * 400, "2026-11-27T09:07:00Z"])
def test_a_strange_time_is_answered_with_the_times_there_are(world: World, client: TestClient, tid: str) -> None:
    log_in(client, customers(world)[0].person)
    page = client.get(PATH).text
    answer = client.post(PATH, data=fields(page, PATH) | {"tid": tid})
    assert answer.status_code == 409 and times(answer.text) and "Velg dag" in text(answer.text)


@pytest.mark.parametrize("path", ["/bestill/0000000000", "/bestill/hjemmesykepleie", "/besok/0/flytt", "/besok/%00/avbestill"])
def test_what_cannot_be_ordered_does_not_exist(world: World, client: TestClient, path: str) -> None:
    log_in(client, customers(world)[0].person)
    assert client.get(path).status_code == 404


@pytest.mark.spec("portal.md", "P32")
def test_no_address_of_ordering_tells_a_service_or_a_person(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    log_in(client, kari.person)
    for path in ("/", "/bestill", PATH):
        links = " ".join(re.findall(r'(?:href|action)="([^"]*)"', client.get(path).text))
        assert CODE not in links and kari.person.partition("/")[2] not in links


def test_what_the_service_said_no_to_is_said_kindly(world: World, client: TestClient) -> None:
    kari = customers(world)[0]
    log_in(client, kari.person)
    id_ = ordered(client, number=30).split("/")[2].partition("?")[0]
    visma = world.adapters["visma-profil"]
    stated = {"resourceType": "Appointment", "id": id_, "status": "booked"}
    world.store.write(lambda tx: world.keeping.keep(tx, Speaker.of(visma), Resources((stated,))))
    ordered(client, f"/besok/{id_}/flytt", 33)
    assert "Du beholder den til den nye er bekreftet." not in text(client.get("/").text)
    letter = world.store.deliveries_about(f"Appointment/{id_}")[-1]
    world.store.write(lambda tx: world.keeping.rejected(tx, visma, letter))
    assert "kunne ikke flytte besøket. Det gamle tidspunktet gjelder fortsatt." in text(client.get(f"/besok/{id_}").text)
    second = ordered(client, number=20).split("/")[2].partition("?")[0]
    letter = world.store.deliveries_about(f"Appointment/{second}")[-1]
    world.store.write(lambda tx: world.keeping.rejected(tx, visma, letter))
    kept = world.store.get("Appointment", second)
    assert kept is not None and extension(kept.resource, "answer") == "refused"
    assert "kunne ikke ta imot bestillingen" in text(client.get(f"/besok/{second}").text)


def test_balances_are_said_in_words() -> None:
    from datetime import UTC, datetime, timedelta

    from hub.booking import Balance, Grant, Per, Unit

    first, until = datetime(2026, 11, 22, 23, tzinfo=UTC), datetime(2026, 11, 29, 23, tzinfo=UTC)
    said = {
        (3, 2, Unit.VISITS, Per.WEEK): "2 av 3 besøk brukt denne uken", (180, 120, Unit.MINUTES, Per.WEEK): "2 av 3 timer brukt denne uken",
        (60, 0, Unit.MINUTES, Per.MONTH): "0 av 1 time brukt denne måneden", (90, 30, Unit.MINUTES, Per.ALL): "30 min av 1 t 30 min brukt i alt",
    }
    for (granted, used, unit, per), wanted in said.items():
        assert balance_said(Balance(Grant(granted, unit, per), granted, used, first, until), first) == wanted
    for grant, wanted in ((Grant(1), "i uke 48"), (Grant(1, per=Per.MONTH), "i november"), (Grant(1, per=Per.YEAR), "i 2026"), (Grant(1, every=4), "i uke 48–48")):
        assert balance_said(Balance(grant, 1, 0, first, until), until) == f"0 av 1 besøk brukt {wanted}"
    four = Balance(Grant(1, every=4), 1, 0, first, first + timedelta(days=28))
    assert balance_said(four, first) == "0 av 1 besøk brukt i uke 48–51"
