"""A browser that is watched: what it fetches, what it complains of, what axe and the ruler find."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CLIPPED = """() => {
  const wide = [];
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) wide.push('document ' + document.documentElement.scrollWidth);
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (box.width < 2 || box.height < 2 || style.clipPath !== 'none' || e.closest('svg, .ds-skip-link, thead')) continue;
    const card = e.parentElement.closest('.next, .visit-link, .person, .facts, .log, .number, .rows, .timeline, main, header, footer, .acting, body');
    if (box.right > card.getBoundingClientRect().right + 1 || box.right > innerWidth + 1) wide.push(e.tagName + ' ' + e.textContent.trim().slice(0, 40));
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && style.display !== 'inline') wide.push('inside ' + e.tagName + ' ' + e.className);
  }
  return wide;
}"""
def clipped(page: Page) -> list[str]:
    """What is wider than its place. Waits for the document: between two of them there is none to measure."""
    page.wait_for_load_state()
    found: list[str] = page.evaluate(CLIPPED)
    return found


FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const box = e.getBoundingClientRect();
  return [(e.innerText || e.getAttribute('aria-label') || e.name || '').trim(), ring && box.width > 1 && box.height > 1];
}"""


def browser_in(chromium: str) -> Iterator[Browser]:
    """Chromium for one module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """One window. Leaving it asserts: nothing went to another host, no script error, no violation of the content policy."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        settings = {"locale": "nb-NO", "timezone_id": "Europe/Oslo", "viewport": {"width": 390, "height": 844}} | options
        self.address = address
        self._context = browser.new_context(**settings)
        self.page = self._context.new_page()
        self._complaints: list[str] = []
        self._hosts: set[str] = set()
        self.page.on("console", lambda said: self._complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda trouble: self._complaints.append(str(trouble)))
        self._context.on("request", lambda request: self._hosts.add(urlsplit(request.url).netloc))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._context.close()
        if kind is None:
            assert {h for h in self._hosts if h} <= {urlsplit(self.address).netloc}
            assert [c for c in self._complaints if not any(f"status of {n}" in c for n in (403, 404, 409))] == []

    def axe(self, page: Page, tags: list[str]) -> None:
        """No violation, and no contrast that axe could not decide."""
        found = Axe().run(page, options={"runOnly": tags})
        assert found.violations_count == 0, found.generate_report()
        undecided = [i for i in found.response["incomplete"] if i["id"] == "color-contrast"]
        assert undecided == [], [n["html"] for i in undecided for n in i["nodes"]]

    def tab_through(self, page: Page, most: int = 80) -> list[tuple[str, bool]]:
        """Every stop of the Tab key from the top: its name, and whether its focus is visible."""
        page.evaluate("document.activeElement?.blur()")
        stops: list[tuple[str, bool]] = []
        for _ in range(most):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUS)
            if stop is None:
                break
            stops.append((stop[0], stop[1]))
        return stops
