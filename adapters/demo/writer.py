"""Somebody who writes to the home care service in the portal, as a person does: logs in, fills in the form, looks for the answer."""

from __future__ import annotations

import re
from html import unescape
from types import TracebackType
from typing import Self

import httpx

from adapters.demo.home import DemoHome
from adapters.demo.persons import Person

TEXT = "Hei! Jeg skal til tannlegen torsdag formiddag. Kan dere komme litt før klokka ni?"
ANSWERED = 'class="letter theirs"'


class Writer:
    """One person, logged in."""

    def __init__(self, home: DemoHome, person: Person) -> None:
        self._http = httpx.Client(base_url=home.url, follow_redirects=True, timeout=30, trust_env=False)
        page = self._http.post("/logg-inn", data={"hvem": person.reference}).raise_for_status()
        if page.url.path == "/velg":
            self._http.post("/velg", data={"hvem": "self", "csrf": _field(page.text, "csrf")}).raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._http.close()

    def threads(self) -> list[str]:
        """The paths of the person's threads, the newest first."""
        return re.findall(r'href="(/meldinger/[0-9a-f-]{36})"', self._http.get("/meldinger").raise_for_status().text)

    def ask(self, text: str = TEXT) -> str:
        """A new message, about the first thing there is to choose; the path of its thread."""
        page = self._http.get("/meldinger/ny").raise_for_status().text
        fields = {"csrf": _field(page, "csrf"), "nokkel": _field(page, "nokkel"), "emne": _field(page, "emne"), "tekst": text}
        return self._http.post("/meldinger/ny", data=fields).raise_for_status().url.path

    def page(self, thread: str) -> str:
        """A thread's page."""
        return self._http.get(thread).raise_for_status().text


def _field(page: str, name: str) -> str:
    """The value of the first field of this name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return unescape(found[1]) if found else ""
