"""Ordering in a real browser: on a phone, without script, with the keyboard, and by axe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, clipped
from customers import customers
from hubs import World
from pages import application, context, served
from playwright.sync_api import Browser, Page


@pytest.fixture
def address(town: World) -> Iterator[str]:
    with served(application(context(town.store, town.clock))) as url:
        yield url


def enter(page: Page, address: str, town: World) -> None:
    page.goto(f"{address}/logg-inn")
    page.locator(f'button[value="{customers(town)[0].person}"]').dispatch_event("click")
    page.wait_for_url(lambda url: "logg-inn" not in url)
    if page.url.endswith("/velg"):
        page.locator('button[value="self"]').click()


def steps(page: Page) -> Iterator[str]:
    """From the front page to the receipt, and to the question before cancelling; the name of each page as it is shown."""
    yield "front"
    page.get_by_role("link", name="Bestill besøk").click()
    yield "services"
    page.locator("a.person").first.click()
    yield "times"
    page.locator("button[name=tid]").nth(3).click()
    yield "confirm"
    page.locator("#bekreft").click()
    yield "receipt"
    page.get_by_role("link", name="Flytt besøket").click()
    yield "move"
    page.go_back()
    page.get_by_role("link", name="Avbestill besøket").click()
    yield "cancel"
    page.locator("#avbestill").click()
    yield "cancelled"
    assert "Besøket er avbestilt." in page.locator(".receipt").inner_text()


@pytest.mark.spec("portal.md", "P24")
@pytest.mark.parametrize("options", [
    {"java_script_enabled": False}, {"viewport": {"width": 320, "height": 640}}, {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
], ids=["no script", "320 px", "dark"])
def test_order_and_cancel(browser: Browser, address: str, town: World, options: dict[str, Any]) -> None:
    with Watched(browser, address, **options) as watched:
        page = watched.page
        if options.get("java_script_enabled", True):
            enter(page, address, town)
        else:
            page.goto(f"{address}/logg-inn")
            for summary in page.locator("summary").all():
                summary.click()
            page.locator(f'button[value="{customers(town)[0].person}"]').click()
            if page.url.endswith("/velg"):
                page.locator('button[value="self"]').click()
        seen = []
        for name in steps(page):
            seen.append(name)
            if options.get("java_script_enabled", True):
                assert clipped(page) == [], name
                watched.axe(page, TAGS)
        assert len(seen) == 8


def test_the_keyboard_reaches_every_day_and_time_and_shows_where_it_is(browser: Browser, address: str, town: World) -> None:
    with Watched(browser, address) as watched:
        enter(watched.page, address, town)
        watched.page.goto(f"{address}/bestill")
        watched.page.locator("a.person").first.click()
        stops = watched.tab_through(watched.page, 120)
        days = watched.page.locator("a.day").count()
        times = watched.page.locator("button[name=tid]").count()
        names = [name for name, _ in stops]
        assert all(visible for _, visible in stops) and days > 3 and times > 3
        assert len([n for n in names if n.startswith("kl. ")]) == times
        assert len([n for n in names if "ledig" in n]) == days
