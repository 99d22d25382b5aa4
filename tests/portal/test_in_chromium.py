"""The portal in a real browser: accessibility, small screens, keyboard, no script, and nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from letters import send
from pages import Clock, application, context, served
from playwright.sync_api import Browser, Page
from town import uid

PATHS = {
    "welcome": ("", "/"), "login": ("", "/logg-inn"), "visits": ("Kari Lindemann-Bjørnstad", "/"), "empty": ("Astrid Tom", "/"),
    "visit": ("Kari Lindemann-Bjørnstad", f"/besok/{uid('next')}"), "refused": ("Kari Lindemann-Bjørnstad", f"/besok/{uid('no')}"),
    "missed": ("Kari Lindemann-Bjørnstad", f"/besok/{uid('missed')}"), "past": ("Kari Lindemann-Bjørnstad", "/tidligere"),
    "log": ("Kari Lindemann-Bjørnstad", "/hvem-har-sett"), "choose": ("Ola Hansen", "/velg"), "relative": ("Eva Lie", "/"),
    "accessibility": ("Eva Lie", "/tilgjengelighet"), "privacy": ("", "/personvern"), "demo": ("", "/om-demoen"), "missing": ("", "/finnes-ikke"),
}


@pytest.fixture(scope="module")
def address(file_store: Any) -> Iterator[str]:
    file_store.write(lambda tx: send(tx, "rejected", "no"))
    with served(application(context(file_store, Clock()))) as url:
        yield url


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


def opened(watched: Watched, name: str) -> Page:
    someone, path = PATHS[name]
    page = watched.page
    if someone:
        page.goto(f"{watched.address}/logg-inn")
        page.locator("button.person", has=page.locator("strong", has_text=someone)).last.click()
    page.goto(f"{watched.address}{path}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PATHS)
@pytest.mark.spec("portal.md", "P26")
def test_axe_finds_nothing(browser: Browser, address: str, name: str, scheme: Any) -> None:
    with Watched(browser, address, color_scheme=scheme) as watched:
        watched.axe(opened(watched, name), TAGS)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.spec("portal.md", "P23")
def test_nothing_is_clipped_at_320_pixels(browser: Browser, address: str, name: str) -> None:
    with Watched(browser, address, viewport={"width": 320, "height": 640}) as watched:
        assert clipped(opened(watched, name)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_unfolded_list_of_persons_is_accessible_too(browser: Browser, address: str, scheme: Any) -> None:
    with Watched(browser, address, color_scheme=scheme, viewport={"width": 320, "height": 640}) as watched:
        page = opened(watched, "login")
        page.get_by_text("Vis 4 til").click()
        page.get_by_role("button", name="Øyvind 8 Ås").wait_for()
        watched.axe(page, TAGS)
        assert clipped(page) == []


@pytest.mark.spec("portal.md", "P24")
def test_everything_works_without_javascript(browser: Browser, address: str) -> None:
    with Watched(browser, address, java_script_enabled=False) as watched:
        page = watched.page
        page.goto(f"{address}/")
        page.get_by_role("link", name="Logg inn").click()
        page.get_by_role("button", name="Ola Hansen").click()
        page.get_by_role("button", name="Per Haugen").click()
        page.get_by_role("heading", name="Besøk for Per Haugen").wait_for()
        page.get_by_role("link", name="Bytt person").click()
        page.get_by_role("button", name="Kari Lindemann-Bjørnstad").click()
        page.get_by_role("link", name="Se mer om besøket").click()
        page.get_by_role("heading", name="hos Kari").wait_for()
        page.get_by_role("link", name="Til alle besøk").click()
        page.get_by_role("link", name="Vis eldre besøk").click()
        page.get_by_role("heading", name="Tidligere besøk for Kari").wait_for()
        page.get_by_role("button", name="Logg ut").click()
        page.get_by_role("link", name="Logg inn").wait_for()


@pytest.mark.spec("portal.md", "P25")
def test_the_keyboard_reaches_everything_in_order_and_focus_is_seen(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        page = opened(watched, "relative")
        order = watched.tab_through(page)
        names = [name for name, _ in order]
        wanted = ["Hopp til innholdet", "Solbakken kommune", "Besøk", "Logg ut", "Bytt person", "Se mer om besøket"]
        assert [next(n for n in names if n.startswith(w)) for w in wanted] == [n for n in names if n.startswith(tuple(wanted))][:len(wanted)]
        assert all(seen for _, seen in order), [name for name, seen in order if not seen]


def test_touch_targets_are_large_enough_for_an_old_hand(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        for name in ("visits", "choose", "visit"):
            page = opened(watched, name)
            small = page.evaluate("""() => [...document.querySelectorAll('a, button')].filter(e => !e.matches('.ds-skip-link'))
                .map(e => [e.textContent.trim(), e.getBoundingClientRect().height]).filter(([, h]) => h > 0 && h < 40)""")
            assert small == [], name
            page.context.clear_cookies()


def test_nothing_personal_is_left_in_the_browser(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        page = opened(watched, "relative")
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
        assert [(c["name"], c["httpOnly"], c["sameSite"]) for c in page.context.cookies()] == [("portal", True, "Lax")]


def test_print_hides_navigation_and_keeps_the_visits(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        page = opened(watched, "visits")
        page.emulate_media(media="print")
        assert not page.get_by_role("navigation").is_visible() and page.get_by_role("heading", name="Neste besøk").is_visible()
