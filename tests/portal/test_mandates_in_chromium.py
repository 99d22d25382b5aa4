"""Mandates, drafts of forms and the end of a session, in a real browser: by keyboard, without script, in large type and with no style at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, browser_in, clipped
from pages import Clock, application, context, served
from playwright.sync_api import Browser, Page
from test_mandates import NEW
from town import uid

KARI, EVA = "Kari Lindemann-Bjørnstad", "Eva Lie"
PAGES = {"list": (KARI, "/fullmakt"), "new": (KARI, "/fullmakt/ny"), "wrong": (KARI, "/fullmakt/ny"), "held": (EVA, "/fullmakt"),
         "end": (KARI, f"/fullmakt/{uid('m-eva')}/avslutt"), "decline": (EVA, f"/fullmakt/{uid('m-eva')}/avslutt")}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def address(file_store: Any, clock: Clock) -> Iterator[str]:
    with served(application(context(file_store, clock))) as url:
        yield url


def log_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/logg-inn")
    page.locator("button.person", has=page.locator("strong", has_text=name)).last.click()


def opened(watched: Watched, name: str) -> Page:
    who, path = PAGES[name]
    log_in(watched.page, watched.address, who)
    watched.page.goto(f"{watched.address}{path}")
    if name == "wrong":
        watched.page.get_by_label("Siste dag").fill("2020-01-01")
        watched.page.get_by_role("button", name="Gi fullmakt").click()
        watched.page.get_by_role("heading", name="Fullmakten er ikke gitt").wait_for()
    return watched.page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.spec("portal.md", "P26")
def test_axe_finds_nothing_in_mandates(browser: Browser, address: str, name: str, scheme: Any) -> None:
    with Watched(browser, address, color_scheme=scheme) as watched:
        watched.axe(opened(watched, name), TAGS)


@pytest.mark.parametrize("size", ["100%", "200%"])
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.spec("portal.md", "P23")
def test_no_mandate_is_clipped_on_a_small_screen_or_in_large_type(browser: Browser, address: str, name: str, size: str) -> None:
    with Watched(browser, address, viewport={"width": 320 if size == "100%" else 390, "height": 640}) as watched:
        page = opened(watched, name)
        page.evaluate("size => { document.documentElement.style.fontSize = size; }", size)
        assert clipped(page) == []


@pytest.mark.spec("portal.md", "P25")
def test_the_keyboard_reaches_every_field_of_a_mandate_and_focus_is_seen(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        stops = watched.tab_through(opened(watched, "new"))
        names = [name for name, _ in stops]
        order = [names.index(wanted) for wanted in ("Til fullmakter", "navn", "nummer", "bestille", "varsler", "meldinger", "fra", "til", "Gi fullmakt")]
        assert order == sorted(order) and all(seen for _, seen in stops), [name for name, seen in stops if not seen]


def test_boxes_and_buttons_of_choice_are_large(browser: Browser, address: str) -> None:
    """WCAG 2.5.8: not the label's words alone, but what is seen to be the target, is 24 pixels or more."""
    with Watched(browser, address) as watched:
        sizes = opened(watched, "new").evaluate(
            "() => [...document.querySelectorAll('.check input')].map(e => e.getBoundingClientRect()).map(b => Math.min(b.width, b.height))")
        assert len(sizes) == 5 and min(sizes) >= 24


@pytest.mark.spec("portal.md", "P17")
@pytest.mark.spec("portal.md", "P24")
def test_a_mandate_is_given_and_ended_without_script(browser: Browser, address: str) -> None:
    with Watched(browser, address, java_script_enabled=False) as watched:
        page = opened(watched, "list")
        page.get_by_role("link", name="Gi fullmakt til en pårørende").click()
        page.get_by_label("Navn").fill("Sofie Dal")
        page.get_by_label("Fødselsnummer").fill("1")
        page.get_by_role("button", name="Gi fullmakt").click()
        page.get_by_role("link", name="Fødselsnummeret er ikke riktig.").click()
        assert page.evaluate("document.activeElement.id") == "nummer" and page.get_by_label("Navn").input_value() == "Sofie Dal"
        page.get_by_label("Fødselsnummer").fill(NEW)
        page.get_by_role("radio", name="Lese meldinger", exact=True).check()
        page.get_by_role("button", name="Gi fullmakt").click()
        page.get_by_text("Fullmakten er gitt.").wait_for()
        page.get_by_role("link", name="Avslutt fullmakten (Sofie Dal)").click()
        page.get_by_role("button", name="Avslutt fullmakten").click()
        page.get_by_text("Fullmakten er avsluttet.").wait_for()
        assert page.get_by_role("heading", name="Sofie Dal").count() == 0 and NEW not in page.content()


@pytest.mark.spec("portal.md", "P28")
def test_two_minutes_before_the_end_one_press_keeps_the_session(browser: Browser, address: str, clock: Clock) -> None:
    with Watched(browser, address) as watched:
        page = watched.page
        page.clock.install()
        log_in(page, address, KARI)
        page.goto(f"{address}/fullmakt/ny")
        soon = page.get_by_role("dialog", name="Du blir snart logget ut")
        page.clock.fast_forward("27:50")
        assert not soon.is_visible()
        page.clock.fast_forward("00:15")
        soon.wait_for()
        clock.forward(minutes=28)
        with page.expect_response(f"{address}/velg"):
            page.keyboard.press("Enter")
        soon.wait_for(state="hidden")
        clock.forward(minutes=28)
        page.get_by_role("button", name="Gi fullmakt").click()
        page.get_by_role("heading", name="Fullmakten er ikke gitt").wait_for()


@pytest.mark.spec("portal.md", "P28")
def test_what_is_sent_after_the_end_of_a_session_is_sent_after_the_login(browser: Browser, address: str, clock: Clock) -> None:
    with Watched(browser, address, java_script_enabled=False) as watched:
        page = opened(watched, "new")
        page.get_by_label("Navn").fill("Sent Ute")
        page.get_by_label("Fødselsnummer").fill(NEW)
        clock.forward(minutes=31)
        page.get_by_role("button", name="Gi fullmakt").click()
        page.locator("button.person", has=page.locator("strong", has_text=KARI)).last.click()
        page.get_by_role("heading", name="Det du skrev, er ikke sendt ennå").wait_for()
        page.get_by_role("button", name="Ja, send det nå").click()
        page.get_by_text("Fullmakten er gitt.").wait_for()


def test_with_no_style_the_drawings_stay_small_and_the_telephone_is_on_paper(browser: Browser, address: str) -> None:
    with Watched(browser, address) as watched:
        page = watched.page
        log_in(page, address, KARI)
        page.emulate_media(media="print")
        assert page.get_by_role("link", name="55 00 00 00").is_visible() and not page.get_by_role("link", name="Personvern").is_visible()
        page.evaluate("document.querySelectorAll('link[rel=stylesheet]').forEach(e => e.remove())")
        assert page.evaluate("() => Math.max(...[...document.querySelectorAll('svg.icon')].map(e => e.getBoundingClientRect().width))") <= 24
