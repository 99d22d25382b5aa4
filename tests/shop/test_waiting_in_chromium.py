"""The waiting list in a real browser: without script, at 320 px, in the dark, by axe and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, clipped
from hubs import World
from pages import application, context, served
from playwright.sync_api import Browser, Page
from test_ordering_in_chromium import enter
from test_ordering_pages import PATH
from test_waiting_list import Line


def steps(page: Page, address: str, line: Line) -> Iterator[str]:
    page.goto(f"{address}{PATH}")
    yield "times"
    page.get_by_role("link", name="Sett deg på venteliste").click()
    yield "form"
    page.locator(f'input[name="dag.{line.day}"]').check()
    page.locator("#fra").select_option("11:00")
    page.locator("#til").select_option("10:00")
    page.locator("#vent").click()
    assert "tidsrom som er langt nok" in page.get_by_role("alert").inner_text()
    yield "wrong"
    page.locator("#fra").select_option("10:00")
    page.locator("#til").select_option("11:00")
    page.locator("#vent").click()
    assert "Du står på venteliste." in page.get_by_role("status").inner_text()
    yield "waiting"
    line.free(0)
    page.goto(f"{address}/")
    yield "front"
    page.get_by_role("link", name="Se tilbudet").click()
    yield "offer"
    page.locator("#ja-1").click()
    assert "Bestillingen er sendt" in page.get_by_role("status").inner_text()
    yield "receipt"


@pytest.mark.parametrize("options", [
    {"java_script_enabled": False}, {"viewport": {"width": 320, "height": 640}}, {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
], ids=["no script", "320 px", "dark"])
def test_from_full_to_a_booked_visit(browser: Browser, town: World, options: dict[str, Any]) -> None:
    line = Line(town)
    script = options.get("java_script_enabled", True)
    with served(application(context(town.store, town.clock, shop=line.shop, waiting=line.list))) as address, Watched(browser, address, **options) as watched:
        page = watched.page
        if script:
            enter(page, address, town)
        else:
            page.goto(f"{address}/logg-inn")
            for summary in page.locator("summary").all():
                summary.click()
            page.locator(f'button[value="{line.kari.person}"]').click()
            if page.url.endswith("/velg"):
                page.locator('button[value="self"]').click()
        for name in steps(page, address, line):
            if script:
                assert clipped(page) == [], name
                watched.axe(page, TAGS)
                assert [stop for stop, seen in watched.tab_through(page, 120) if not seen] == [], name
