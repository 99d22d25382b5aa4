"""The console in a real browser: accessibility at a desk and on the phone of whoever is on call, and the page that refreshes itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from pages import Clock, Resent, application, context, served
from playwright.sync_api import Browser, Page
from town import uid

PATHS = {
    "login": "/drift/logg-inn", "start": "/drift", "adapters": "/drift/koblinger", "messages": "/drift/meldinger", "none": "/drift/meldinger?feil=BB-901",
    "delivery": f"/drift/melding/{uid('letter failed')}", "timeline": f"/drift/avtale/{uid('moved')}", "problems": "/drift/feil", "missing": "/drift/avtale/0",
}


@pytest.fixture(scope="module")
def resent() -> Resent:
    return Resent()


@pytest.fixture(scope="module")
def address(busy_file_store: Any, resent: Resent) -> Iterator[str]:
    with served(application(context(busy_file_store, Clock(), resend=resent))) as url:
        yield url


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


def opened(watched: Watched, name: str) -> Page:
    page = watched.page
    if name != "login":
        page.goto(f"{watched.address}/drift/logg-inn")
        page.get_by_role("button", name="Logg inn").click()
    page.goto(f"{watched.address}{PATHS[name]}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PATHS)
def test_axe_finds_nothing(browser: Browser, address: str, name: str, scheme: Any) -> None:
    with Watched(browser, address, color_scheme=scheme, viewport={"width": 1280, "height": 900}) as watched:
        watched.axe(opened(watched, name), TAGS)


@pytest.mark.spec("portal.md", "A22")
@pytest.mark.parametrize("name", PATHS)
def test_nothing_is_clipped_on_a_small_phone(browser: Browser, address: str, name: str) -> None:
    with Watched(browser, address, viewport={"width": 320, "height": 640}) as watched:
        page = opened(watched, name)
        assert clipped(page) == []
        watched.axe(page, TAGS)


def test_it_works_without_javascript(browser: Browser, address: str, resent: Resent) -> None:
    with Watched(browser, address, java_script_enabled=False, viewport={"width": 1280, "height": 900}) as watched:
        page = opened(watched, "start")
        page.get_by_role("link", name="Feilet").click()
        page.locator("tbody a").first.click()
        page.get_by_label("Hvorfor?").fill("Sertifikatet er byttet")
        page.get_by_role("button", name="Send på nytt").click()
        page.get_by_role("heading", name="Melding ut til visma-profil").wait_for()
        assert resent.calls[-1] == (uid("letter failed"), "operator:demo", "Sertifikatet er byttet")


def test_the_first_page_refreshes_itself_within_the_content_policy(browser: Browser, address: str) -> None:
    with Watched(browser, address, viewport={"width": 1280, "height": 900}) as watched:
        page = opened(watched, "start")
        with page.expect_response(lambda r: r.url.endswith("/drift") and r.request.headers.get("hx-request") == "true") as answered:
            page.evaluate("htmx.trigger('#naa', 'refresh')")
        assert answered.value.status == 200
        page.get_by_role("heading", name="Trenger deg nå").wait_for()
        assert page.locator("#naa").count() == 1


def test_slash_goes_to_the_first_filter_and_focus_is_seen(browser: Browser, address: str) -> None:
    with Watched(browser, address, viewport={"width": 1280, "height": 900}) as watched:
        page = opened(watched, "messages")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "f-retning"
        stops = watched.tab_through(page)
        assert stops and all(seen for _, seen in stops), [name for name, seen in stops if not seen]
