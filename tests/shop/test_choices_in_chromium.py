"""The pages where people choose a visit's length and their notices, in a browser: nothing is clipped on a phone, and axe finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, clipped
from customers import customers
from hubs import World
from pages import application, context, served
from playwright.sync_api import Browser
from test_choices import lengths
from test_ordering_in_chromium import enter
from test_ordering_pages import PATH


@pytest.fixture
def address(town: World) -> Iterator[str]:
    with served(application(context(town.store, town.clock))) as url:
        yield url


@pytest.mark.parametrize("options", [
    {"viewport": {"width": 320, "height": 640}}, {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
], ids=["320 px", "dark"])
def test_a_length_and_the_notices_are_chosen(browser: Browser, address: str, town: World, options: dict[str, Any]) -> None:
    lengths(town, "30 60")
    kari = town.store.get("Patient", customers(town)[0].person.partition("/")[2])
    assert kari is not None
    both = [{"system": "phone", "value": "+47 000 00 001"}, {"system": "email", "value": "en.ganske.lang.adresse@eksempel.example"}]
    town.store.write(lambda tx: tx.keep({**kari.resource, "telecom": both}, origin="hub"))
    with Watched(browser, address, **options) as watched:
        page = watched.page
        enter(page, address, town)
        page.goto(f"{address}{PATH}")
        page.get_by_role("link", name="1 time").click()
        assert page.locator('.lengths [aria-current="true"]').inner_text() == "1 time"
        assert clipped(page) == []
        watched.axe(page, TAGS)
        page.get_by_role("link", name="Varsler").click()
        page.get_by_label("E-post til").check()
        page.get_by_label("Bare endringer").check()
        assert clipped(page) == []
        watched.axe(page, TAGS)
        page.locator("#lagre").click()
        assert "Valget er lagret." in page.locator(".receipt").inner_text() and page.get_by_label("Bare endringer").is_checked()
        assert clipped(page) == []
