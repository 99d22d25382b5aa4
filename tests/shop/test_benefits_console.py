"""The page, the CSV and the MeasureReports of self-booking, on bookings that were really made."""

from __future__ import annotations

import csv
import io
import json

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from customers import customers, order, shop_of
from fhir.resources.R4B.measurereport import MeasureReport
from hubs import World
from pages import application, context, served
from starlette.testclient import TestClient
from visiting import text

from hub.customer import ORIGIN
from hub.faces.console.benefits import COLUMNS


@pytest.fixture
def busy(world: World) -> World:
    """Seven people order, one cancels, two move."""
    shop, people = shop_of(world), customers(world)[:7]
    times = [t.start for day in shop.free(people[0], "hjemmesykepleie", world.clock.now)[1:3] for t in day.times]
    ids = [shop.book(who, order("k", times[n])) for n, who in enumerate(people)]
    shop.cancel(people[0], ids[0])
    for n in (1, 2):
        shop.book(people[n], order("m", times[n + 20], moves=ids[n]))
    return world


@pytest.fixture
def operator(busy: World) -> TestClient:
    made = TestClient(application(context(busy.store, busy.clock, shop=shop_of(busy), customers=lambda: frozenset({ORIGIN}))), follow_redirects=False)
    made.post("/drift/logg-inn")
    return made


def test_the_page_and_the_csv_tell_the_same_and_no_small_number(operator: TestClient) -> None:
    page = text(operator.get("/drift/gevinst").text)
    answer = operator.get("/drift/gevinst.csv")
    assert answer.headers["content-type"].startswith("text/csv") and "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    (row,) = [r for r in rows if (r["Avdeling"], r["Uke"]) == ("Hjemmesykepleie", "2026 uke 48")]
    assert (row["Bestilt"], row["Selvbestilt"], row["Flyttet av bruker"], row["Avbestilt av bruker"]) == ("6", "7", "under 5", "under 5")
    assert row["Andel selvbestilt"] == "–" and row["Telefoner spart (antatt)"] == "skjult", "seven ordered of six: one cancelled"
    assert row["Uke"] in page
    assert "Tall under 5 vises ikke" in page


def test_the_measure_reports_are_r4_and_mask_what_is_small(operator: TestClient) -> None:
    bundle = json.loads(operator.get("/drift/gevinst.json?uker=4").content)
    assert bundle["entry"]
    for entry in bundle["entry"]:
        report = MeasureReport(**entry["resource"])
        assert (report.reporter.type, report.reporter.reference) == ("Organization", None), "R4 lets no HealthcareService report"
    by = {(e["resource"]["reporter"]["identifier"]["value"], e["resource"]["period"]["start"]): e["resource"] for e in bundle["entry"]}
    groups = {g["code"]["text"]: g["measureScore"] for g in by["hjemmesykepleie", "2026-11-23"]["group"]}
    assert groups["self-booked"] == {"value": 7} and groups["cancelled-customer"]["extension"][0]["valueCode"] == "masked"
    rows = list(csv.DictReader(io.StringIO(operator.get("/drift/gevinst.csv?uker=4").content.decode("utf-8-sig")), delimiter=";"))
    assert len(rows) == len(bundle["entry"]) and any(r["Bestilt"] == "0" and r["Innvilget"] != "0" for r in rows), "what is not ordered at all"
    masked = sum("extension" in g["measureScore"] for e in bundle["entry"] for g in e["resource"]["group"])
    named = ("Innvilget", "Bestilt", *COLUMNS[4:12], "Svartid (median)", "Telefoner spart (antatt)")
    assert masked == sum(r[name] in ("under 5", "skjult", "–") for r in rows for name in named)


def test_nobody_gets_in_without_login(busy: World) -> None:
    with TestClient(application(context(busy.store, busy.clock)), follow_redirects=False) as client:
        for path in ("/drift/gevinst", "/drift/gevinst.csv", "/drift/gevinst.json"):
            assert client.get(path).headers["location"] == "/drift/logg-inn"


def test_axe_and_ruler_find_nothing(busy: World, chromium: str) -> None:
    with served(application(context(busy.store, busy.clock, shop=shop_of(busy)))) as address:
        for browser in browser_in(chromium):
            with Watched(browser, address, viewport={"width": 1280, "height": 900}) as watched:
                watched.page.goto(f"{address}/drift/logg-inn")
                watched.page.locator("main button").first.click()
                watched.page.goto(f"{address}/drift/gevinst")
                watched.axe(watched.page, TAGS)
                assert [c for c in clipped(watched.page) if "TABLE" not in c and "TD" not in c and "TH" not in c and "wide-table" not in c] == []
