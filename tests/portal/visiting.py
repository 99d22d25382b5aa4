"""Somebody who visits the portal over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from pages import Clock, application, context
from starlette.testclient import TestClient
from town import uid

Person = Callable[[str], TestClient]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(town_store: Any, clock: Clock) -> Iterator[TestClient]:
    with TestClient(application(context(town_store, clock)), follow_redirects=False) as made:
        yield made


@pytest.fixture
def person(client: TestClient) -> Person:
    """Logs in as one of the town: `Patient/<key>` or `RelatedPerson/<key>`."""

    def log_in(reference: str) -> TestClient:
        kind, _, key = reference.partition("/")
        answer = client.post("/logg-inn", data={"hvem": f"{kind}/{uid(key)}"} | csrf(client, "/logg-inn"))
        assert answer.status_code == 303, answer.text
        return client

    return log_in


def csrf(client: TestClient, path: str = "/") -> dict[str, str]:
    found = re.search(r'name="csrf" value="(\w+)"', client.get(path).text)
    return {"csrf": found[1]} if found else {}


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def choose(client: TestClient, key: str) -> None:
    answer = client.post("/velg", data={"hvem": uid(key)} | csrf(client, "/velg"))
    assert answer.status_code == 303


__all__ = ["client", "clock", "person"]
