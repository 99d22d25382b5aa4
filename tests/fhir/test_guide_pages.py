"""The guide's pages: read without a login, whole, without script, and without fault for who reads by keyboard or screen reader."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on
from playwright.sync_api import sync_playwright

from hub.faces import guide
from hub.fhir.outcome import OUTCOME

ADDRESSES = [f"/docs/{page}".rstrip("/") for page in guide.PAGES]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    home = tmp_path_factory.mktemp("guide")
    with hub_on(home / "home", f"sqlite:///{home / 'hub.db'}") as made:
        yield made


def test_every_page_is_there_without_a_login_and_its_links_lead_somewhere(hub: Machines) -> None:
    with hub.http() as client:
        for address in ADDRESSES:
            page = client.get(address)
            assert page.status_code == 200 and "<script" not in page.text and "script-src 'self'" in page.headers["content-security-policy"]
            for to in set(re.findall(r'href="(?!tel:|#|https?:)([^"]*)"', page.text)):
                assert to.startswith("/"), (address, to)
                path, _, place = to.partition("#")
                there = client.get(path)
                assert there.status_code == 200 and (not place or f'id="{place}"' in there.text), (address, to)
        assert all(problem.value in client.get("/docs/problems").text for problem in OUTCOME)
        assert "hn-app-reqperiod-1" in client.get("/docs/profiles").text
        assert client.get("/docs/operations").status_code == 404, "what is for operators is not the vendors'"


def test_a_document_brings_no_html_of_its_own() -> None:
    shown = guide.rendered("# A <script>x</script>\n\n<b>b</b> [c](javascript:x) [d](booking.md) `<e>`\n\n```\n<f>\n```\n\n| g |\n|---|\n| <h> |\n")
    assert set(re.findall(r"<(\w+)", shown)) <= {"h1", "p", "a", "code", "pre", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert "javascript" not in re.sub(r"\[c\]\(javascript:x\)", "", shown) and 'href="/docs/booking"' in shown


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_the_pages_have_no_fault_that_axe_finds(hub: Machines, chromium: str, width: int, scheme: Any) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        for address in ADDRESSES:
            page.goto(f"{hub.url}{address}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
            found = Axe().run(page)
            assert found.violations_count == 0, (address, found.generate_report())
        browser.close()


def test_a_hub_without_its_documents_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        guide.routes(None, None, tmp_path)  # type: ignore[arg-type]


def test_unknown_pages_are_the_portals(hub: Machines) -> None:
    assert httpx.get(f"{hub.url}/docs/none", trust_env=False).status_code == 404
