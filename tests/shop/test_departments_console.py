"""An administrator changes a department in the console: sees whom it hits, applies it, and it stands in the history."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from customers import CODE, booking, customers, first_free, order, shop_of
from hubs import World
from pages import application, context, served
from starlette.testclient import TestClient
from visiting import text

from hub.booking.clock import local
from hub.booking.conventions import extension, without_extension

PATH = f"/drift/avdelinger/{CODE}"


def filled(page: str) -> dict[str, str]:
    """The form as a browser would send it."""
    fields = {k: unescape(v) for k, v in re.findall(r'name="([\w.-]+)"[^>]*? value="([^"]*)"', page) if not k.startswith(("hvem.", "tjeneste.")) and k not in ("aktiv", "helligdager")}
    fields |= {k: unescape(v) for k, v in re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>([^<]*)</textarea>', page)}
    fields |= dict(re.findall(r'<input type="radio" name="(\w+)" value="([\w-]+)" checked', page))
    return fields | dict.fromkeys(re.findall(r'name="((?:(?:hvem|tjeneste)\.\w+)|aktiv)" value="ja" checked', page), "ja")


@pytest.fixture
def operator(client: TestClient) -> TestClient:
    assert client.post("/drift/logg-inn").headers["location"] == "/drift"
    return client


def test_a_change_is_shown_before_it_is_applied_and_stands_in_the_history(world: World, operator: TestClient) -> None:
    shop, kari = shop_of(world), customers(world)[0]
    id_ = shop.book(kari, order("k", first_free(world, kari)))
    assert "Hjemmesykepleie" in operator.get("/drift/avdelinger").text
    form = filled(operator.get(PATH).text) | {"capacity": "0"}
    shown = operator.post(PATH, data=form)
    assert shown.status_code == 200 and "Endringen treffer 1 bestilt besøk" in text(shown.text) and f"/drift/avtale/{id_}" in shown.text
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None and extension(kept.resource, "capacity") != 0
    assert operator.post(f"{PATH}/lagre", data=filled(shown.text)).headers["location"] == f"{PATH}?lagret=1"
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None and extension(kept.resource, "capacity") == 0 and kept.origin == "operator:demo"
    assert "Versjon 2" in text(operator.get(PATH).text) and booking(world, id_).slots
    assert not [t for day in shop.free(kari, CODE, world.clock.now) for t in day.times]


def test_saving_without_a_change_changes_nothing_that_rules_read(world: World, operator: TestClient) -> None:
    from hub.booking import Department

    before = Department.of(world.store.get("HealthcareService", CODE).resource)  # type: ignore[union-attr]
    operator.post(f"{PATH}/lagre", data=filled(operator.get(PATH).text))
    after = Department.of(world.store.get("HealthcareService", CODE).resource)  # type: ignore[union-attr]
    assert {f: getattr(after, f) for f in Department.__slots__ if f != "openings"} == {
        f: getattr(before, f) for f in Department.__slots__ if f != "openings"}


@pytest.mark.spec("facts/planning", "4.5")
def test_holidays_and_half_days_are_set_and_shown_again(world: World, operator: TestClient) -> None:
    world.clock.now = datetime(2026, 12, 20, 8, tzinfo=UTC)
    operator.post("/drift/logg-inn")
    page = operator.get(PATH).text
    assert "Fredag 25. desember: Første juledag" in text(page)
    half = "2026-12-31 12:00 – 2026-12-31 23:00 Kort dag\n2027-01-04 – 9999-12-31 Lagt ned"
    form = filled(page) | {"helligdager": "closed", "stengt": half}
    assert operator.post(f"{PATH}/lagre", data=form).headers["location"] == f"{PATH}?lagret=1"
    again = filled(operator.get(PATH).text)
    assert again["helligdager"] == "closed" and again["stengt"] == half.replace("9999-12-31", "2200-12-30")
    days = {d.day.isoformat(): d for d in shop_of(world).free(customers(world)[0], CODE, world.clock.now)}
    assert [day for day in days if not days[day].open] == ["2026-12-25", "2026-12-26", "2027-01-01"]
    evening = [local(t.start).hour for t in days["2026-12-31"].times]
    assert evening and max(evening) < 12
    for wrong in ("2026-12-31 16:00 – 12:00", "2026-12-31 25:00 – 26:00", "2026-13-01"):
        assert 'name="stengt" rows="5" aria-invalid="true"' in operator.post(PATH, data=again | {"stengt": wrong}).text
    assert operator.post(PATH, data=again | {"helligdager": "kanskje"}).status_code == 422


def test_a_new_department_is_made_set_up_and_booked_from(world: World, operator: TestClient) -> None:
    """TS-16: another group of people is a department more, and no code."""
    assert 'href="/drift/avdelinger/ny"' in operator.get("/drift/avdelinger").text
    form = filled(operator.get("/drift/avdelinger/ny").text)
    for wrong, field in (({}, "kode"), ({"kode": "Stua Nord"}, "kode"), ({"kode": "ny"}, "kode"), ({"kode": CODE}, "tjeneste"),
                         ({"kode": CODE, "tjeneste.9": "ja"}, "kode"), ({"kode": "stua", "navn": " "}, "navn")):
        answer = operator.post("/drift/avdelinger/ny", data={**form, "navn": "Stua", **wrong})
        assert answer.status_code == 422 and ('aria-describedby="feil"' in answer.text), (wrong, field)
    made = operator.post("/drift/avdelinger/ny", data={**form, "kode": "stua", "navn": "Stua  nord", "tjeneste.1": "ja"})
    assert made.headers["location"] == "/drift/avdelinger/stua"
    page = filled(operator.get("/drift/avdelinger/stua").text)
    assert (page["navn"], page["tjeneste.1"], page.get("aktiv")) == ("Stua nord", "ja", None)
    hours = {f"aapent.{day}": "08:00–16:00" for day in ("mon", "tue", "wed", "thu", "fri")}
    assert operator.post("/drift/avdelinger/stua/lagre", data={**page, **hours, "capacity": "1", "aktiv": "ja"}).status_code == 303
    kari = customers(world, "praktisk-bistand")[0]
    granted = next(r for r in shop_of(world)._of("ServiceRequest", kari.person) if "praktisk-bistand" in str(r))
    anywhere = {**without_extension(granted, "department"), "id": "hvor-som-helst"}
    world.store.write(lambda tx: tx.keep(anywhere, origin="test"))
    assert "stua" in [s.department.code for s in shop_of(world).services(kari.person, world.clock.now)]
    start = next(t.start for day in shop_of(world).free(kari, "stua", world.clock.now)[1:] for t in day.times)
    assert booking(world, shop_of(world).book(kari, order("k", start, "stua", 30))).slots
    schedule = world.store.get("Schedule", "stua")
    assert schedule is not None and schedule.resource["actor"][0]["reference"] == "HealthcareService/stua"
    nothing = filled(operator.get("/drift/avdelinger/stua").text)
    del nothing["tjeneste.1"]
    assert operator.post("/drift/avdelinger/stua", data=nothing).status_code == 422


def test_what_another_system_wrote_of_hours_is_shown_and_kept(world: World, operator: TestClient) -> None:
    kept = world.store.get("HealthcareService", CODE)
    assert kept is not None
    odd = {**kept.resource, "availableTime": [{"daysOfWeek": ["mon"]}], "notAvailable": [{"description": "Flom", "during": {"start": "2026-12-01"}}]}
    world.store.write(lambda tx: tx.keep(odd, origin="Client/x"))
    form = filled(operator.get(PATH).text)
    assert form["aapent.mon"] == "hele dagen" and form["stengt"].startswith("2026-12-01 – 2200-")
    operator.post(f"{PATH}/lagre", data=form)
    days = shop_of(world).free(customers(world)[0], CODE, world.clock.now)
    assert [d.day.isoformat() for d in days if d.open] == ["2026-11-30"]


def test_a_wrong_field_is_named_and_nothing_is_lost(world: World, operator: TestClient) -> None:
    answer = operator.post(f"{PATH}/lagre", data=filled(operator.get(PATH).text) | {"stengt": "julaften", "capacity": "7"})
    assert answer.status_code == 422 and "julaften" in answer.text and 'name="capacity" inputmode="numeric" value="7"' in answer.text
    assert 'name="stengt" rows="5" aria-invalid="true" aria-describedby="feil"' in answer.text


def test_two_at_once_do_not_overwrite_each_other(world: World, operator: TestClient) -> None:
    form = filled(operator.get(PATH).text)
    operator.post(f"{PATH}/lagre", data=form | {"capacity": "5"})
    late = operator.post(f"{PATH}/lagre", data=form | {"capacity": "6"})
    assert late.status_code == 422 and "endret siden du leste" in text(late.text)


def test_only_operators_get_in(client: TestClient) -> None:
    assert client.get(PATH).headers["location"] == "/drift/logg-inn"
    assert client.post(f"{PATH}/lagre", data={"capacity": "0"}).status_code in (303, 403)


def test_axe_and_ruler_find_nothing(world: World, chromium: str) -> None:
    with served(application(context(world.store, world.clock, shop=shop_of(world)))) as address:
        for browser in browser_in(chromium):
            with Watched(browser, address, viewport={"width": 320, "height": 640}) as watched:
                watched.page.goto(f"{address}/drift/logg-inn")
                watched.page.locator("main button").first.click()
                for path in ("/drift/avdelinger", PATH):
                    watched.page.goto(f"{address}{path}")
                    assert clipped(watched.page) == []
                    watched.axe(watched.page, TAGS)
