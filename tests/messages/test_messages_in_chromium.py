"""Messages in a real browser: accessible in light and dark, whole at 320 pixels, by keyboard, and without script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import TAGS, Watched, clipped
from files import JPEG, PDF, PNG, large
from hubs import World
from pages import application, served
from playwright.sync_api import Browser, Page
from settled import TOWN
from test_messages_flow import hear, stated
from writing import HELP, NURSING, faces

from hub.access import Ground, Reader
from hub.booking.attachments import File
from hub.dialogue import Draft

KARI = next(p for p in TOWN.bookable if set(p.departments) == {NURSING, HELP} and not p.protected)
LONG = "Hei!\n\nKanViSkriveEtVeldigLangtOrdSomIkkeKanDelesNoeStedUtenAtNoenDelerDetOpp?\nhttps://eksempel.no/" + "a" * 80


FILES = (File("ettnavnsomeraltforlangtogikkeharnoemellomrom" * 2 + ".pdf", large(1_234_000)), File("Bilde av såret.jpg", JPEG))


def write(world: World, key: str, code: str, said: str, thread: str = "", files: tuple[File, ...] = FILES) -> str:
    reader = Reader(KARI.reference, Ground.SELF)
    return world.messaging.write(reader, KARI.reference, Draft(key, said, thread, code, "Tidspunkt for besøk", files=files))


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the portal is, and the paths of what is looked at: one thread with an answer, one that did not arrive, one in the console."""
    home = tmp_path_factory.mktemp("messages")
    world = World(f"sqlite:///{home / 'hub.db'}", home)
    first = write(world, "1", NURSING, LONG)
    world.until_quiet()
    world.clock.now = world.clock.now.replace(minute=7)
    write(world, "2", NURSING, "Tusen takk!", first)
    hear(world, stated(KARI.national_id, "e1"))
    second = write(world, "3", HELP, LONG)
    paths = {"list": "/meldinger", "new": "/meldinger/ny", "thread": f"/meldinger/{first}", "staff": "/drift/brukermeldinger",
             "answering": f"/drift/brukermeldinger/{second}", "front": "/"}
    with served(application(faces(world, shown_first=(KARI.reference,)))) as url:
        yield url, paths
    world.close()


def opened(watched: Watched, paths: dict[str, str], name: str) -> Page:
    page = watched.page
    if paths[name].startswith("/drift"):
        page.goto(f"{watched.address}/drift/logg-inn")
        page.get_by_role("button").last.click()
    else:
        page.goto(f"{watched.address}/logg-inn")
        page.locator("button.person", has=page.locator("strong", has_text=KARI.name)).first.click()
    page.goto(f"{watched.address}{paths[name]}")
    return page


PAGES = ("front", "list", "new", "thread", "staff", "answering")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.spec("portal.md", "P26")
def test_axe_finds_nothing_in_messages(browser: Browser, threads: tuple[str, dict[str, str]], name: str, scheme: Any) -> None:
    with Watched(browser, threads[0], color_scheme=scheme) as watched:
        watched.axe(opened(watched, threads[1], name), TAGS)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.spec("portal.md", "P23")
def test_no_message_is_clipped_at_320_pixels(browser: Browser, threads: tuple[str, dict[str, str]], name: str) -> None:
    """Also not one with a word, or an address, that is wider than the screen."""
    with Watched(browser, threads[0], viewport={"width": 320, "height": 640}) as watched:
        assert clipped(opened(watched, threads[1], name)) == []


@pytest.mark.spec("portal.md", "P13")
@pytest.mark.spec("portal.md", "P14")
def test_a_message_is_written_and_answered_without_script_and_what_is_wrong_is_told(browser: Browser, threads: tuple[str, dict[str, str]]) -> None:
    with Watched(browser, threads[0], java_script_enabled=False) as watched:
        page = opened(watched, threads[1], "list")
        page.get_by_role("link", name="Skriv ny melding").click()
        page.locator("#tekst").evaluate("e => e.removeAttribute('required')")
        page.get_by_role("radio", name="Noe annet").last.check()
        page.get_by_role("button", name="Send meldingen").click()
        page.get_by_role("heading", name="Meldingen er ikke sendt").wait_for()
        page.get_by_role("link", name="Skriv en melding først.").click()
        assert page.evaluate("document.activeElement.id") == "tekst" and page.get_by_role("radio", name="Noe annet").last.is_checked()
        page.get_by_label("Melding", exact=True).fill("Kan jeg få et nytt tidspunkt?")
        page.get_by_role("button", name="Send meldingen").click()
        page.get_by_text("Meldingen er sendt.").wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == "Noe annet"
        page.get_by_role("link", name="Til meldinger").click()
        page.get_by_role("link", name="Noe annet").first.wait_for()


@pytest.mark.spec("portal.md", "P25")
def test_the_keyboard_reaches_the_field_and_the_button_and_focus_is_seen(browser: Browser, threads: tuple[str, dict[str, str]]) -> None:
    with Watched(browser, threads[0]) as watched:
        stops = watched.tab_through(opened(watched, threads[1], "thread"))
        names = [name for name, _ in stops]
        order = [next(n for n, name in enumerate(names) if name.startswith(wanted)) for wanted in ("Til meldinger", "113", "tekst", "Send meldingen")]
        assert order == sorted(order) and all(seen for _, seen in stops), [name for name, seen in stops if not seen]


def test_every_target_of_messages_is_large_enough(browser: Browser, threads: tuple[str, dict[str, str]]) -> None:
    with Watched(browser, threads[0]) as watched:
        for name in ("list", "new", "thread"):
            page = opened(watched, threads[1], name)
            small = page.evaluate("""() => [...document.querySelectorAll('a, button, label.check, input.files')].filter(
                e => !e.matches('.ds-skip-link, .urgent a, .letter-about a'))
                .map(e => [e.textContent.trim(), e.getBoundingClientRect().height]).filter(([, h]) => h > 0 && h < 40)""")
            assert small == [], name
            page.context.clear_cookies()


@pytest.mark.spec("portal.md", "P13")
def test_files_are_chosen_refused_sent_and_fetched_without_script(browser: Browser, threads: tuple[str, dict[str, str]]) -> None:
    """What may be chosen is told beforehand; what is wrong stands by the field, and the text is there still."""
    with Watched(browser, threads[0], java_script_enabled=False, accept_downloads=True) as watched:
        page = opened(watched, threads[1], "new")
        field = page.get_by_label("Vedlegg (valgfritt)")
        told = page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text()
        assert told == "PDF, JPEG eller PNG. Høyst 5 filer, 10 MB til sammen. Filer lagres ikke i utkast."
        page.get_by_role("radio", name="Noe annet").first.check()
        page.get_by_label("Melding", exact=True).fill("Her er papirene.")
        field.set_input_files({"name": "brev.pdf", "mimeType": "application/pdf", "buffer": b"<html>"})
        page.get_by_role("button", name="Send meldingen").click()
        page.get_by_role("link", name="Filen «brev.pdf» er ikke en PDF, JPEG eller PNG. Velg filene på nytt.").click()
        assert page.evaluate("document.activeElement.id") == "vedlegg" and page.get_by_label("Melding", exact=True).input_value() == "Her er papirene."
        field.set_input_files([
            {"name": "Vedtak æøå.pdf", "mimeType": "application/pdf", "buffer": PDF}, {"name": "IMG_1.PNG", "mimeType": "image/png", "buffer": PNG}])
        page.get_by_role("button", name="Send meldingen").click()
        page.get_by_text("Meldingen er sendt.").wait_for()
        with page.expect_download() as fetched:
            page.get_by_role("link", name="Vedtak æøå.pdf (PDF, 1 kB)").click()
        assert fetched.value.suggested_filename == "Vedtak æøå.pdf" and fetched.value.path().read_bytes() == PDF


def test_more_than_is_taken_is_told_on_the_page_and_not_by_a_broken_connection(browser: Browser, threads: tuple[str, dict[str, str]]) -> None:
    with Watched(browser, threads[0]) as watched:
        page = opened(watched, threads[1], "thread")
        page.get_by_label("Melding", exact=True).fill("Her er et langt dokument.")
        page.get_by_label("Vedlegg (valgfritt)").set_input_files({"name": "stor.pdf", "mimeType": "application/pdf", "buffer": large(30_000_000)})
        page.get_by_role("button", name="Send meldingen").click()
        page.get_by_role("link", name="Det er for mange filer, eller de er for store.").wait_for()
        assert page.get_by_label("Melding", exact=True).input_value() == "Her er et langt dokument."
