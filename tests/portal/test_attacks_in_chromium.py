"""What a page could be made to do, tried in a real browser: marks in what others wrote, the way back after logging out, pages that frame ours or post to it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from browsing import browser_in
from pages import Clock, application, context, served
from playwright.sync_api import Browser, Page
from test_every_route import MARK
from town import resources, uid

from hub.fhir.query import Query
from hub.store import Store

SCRIPT = f'{MARK}<script>alert(2)</script><svg onload=alert(3)><a href="javascript:alert(4)">x</a>'


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from browser_in(chromium)


def spoiled(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: f"{v[:20]} {SCRIPT}" if isinstance(v, str) and k in ("text", "display", "family", "name", "comment", "contentString", "description")
                else spoiled(v) for k, v in node.items()}
    return [spoiled(each) for each in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def address(file_store: Store) -> Iterator[str]:
    from letters import fill

    file_store.write(lambda tx: [tx.keep(spoiled(each), origin="test") for each in resources()])
    file_store.write(fill)

    def spoil(tx: Any) -> None:
        for type_ in ("Communication", "Appointment"):
            for kept in tx.search(Query(type_, count=1000)).entries:
                tx.keep(spoiled(kept.resource), origin="test")
                tx.note(kept.reference, "received", f"note {SCRIPT}", origin="x")

    file_store.write(spoil)
    with served(application(context(file_store, Clock()))) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_context(locale="nb-NO").new_page()
    yield opened
    opened.context.close()


def log_in(page: Page, address: str, who: str = "kari") -> None:
    page.goto(f"{address}/logg-inn")
    page.locator(f'button[value="Patient/{uid(who)}"]').click()
    page.wait_for_load_state()
    if page.url.endswith("/velg"):
        page.locator("button[name=hvem]").first.click()
        page.wait_for_load_state()


def test_what_others_wrote_runs_nothing(page: Page, address: str) -> None:
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: ran.append(request.url) if request.url.endswith("/x") else None)
    log_in(page, address)
    shown = 0
    for path in ("/", "/tidligere", f"/besok/{uid('next')}", f"/besok/{uid('no')}", "/meldinger", "/hvem-har-sett", "/velg", "/varsler"):
        page.goto(f"{address}{path}")
        assert page.locator("img[src=x], svg[onload], main script").count() == 0
        shown += "&lt;script&gt;alert(2)" in page.content()
    page.goto(f"{address}/drift/logg-inn")
    page.locator("form button").last.click()
    for path in ("/drift", "/drift/meldinger", f"/drift/avtale/{uid('next')}", "/drift/brukermeldinger", "/drift/bestill", "/drift/avdelinger", "/drift/gevinst"):
        page.goto(f"{address}{path}")
        assert page.locator("img[src=x], svg[onload], main script").count() == 0
    assert ran == [] and shown > 3, "it is there, as text"


def test_after_logging_out_the_way_back_shows_nothing(page: Page, address: str) -> None:
    log_in(page, address)
    page.goto(f"{address}/besok/{uid('next')}")
    page.goto(f"{address}/")
    page.locator('form[action="/logg-ut"] button').first.click()
    page.wait_for_url("**/?logget-ut=1")
    for _ in range(3):
        page.go_back()
        page.wait_for_load_state()
        assert page.locator('a[href^="/besok/"], form[action="/logg-ut"]').count() == 0


@pytest.fixture
def elsewhere(address: str) -> Iterator[str]:
    """A page of an attacker's, on another host."""
    html = (f'<iframe src="{address}/" name="f"></iframe><form id="logout" method="post" action="{address}/logg-ut"><button>x</button></form>'
            f'<form id="choose" method="post" action="{address}/velg"><input name="hvem" value="self"><button>x</button></form>').encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=partial(server.serve_forever, 0.02))
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_elsewhere_can_neither_frame_ours_nor_send_its_forms(page: Page, address: str, elsewhere: str) -> None:
    log_in(page, address)
    page.goto(elsewhere)
    page.wait_for_load_state()
    framed = page.frame(name="f")
    assert framed is None or framed.locator('form[action="/logg-ut"]').count() == 0
    for form in ("logout", "choose"):
        page.goto(elsewhere)
        page.locator(f"#{form} button").click()
        page.wait_for_load_state()
        assert page.url.startswith(address)
    page.goto(f"{address}/")
    assert page.locator('form[action="/logg-ut"]').count() > 0, "and nobody was logged out"
