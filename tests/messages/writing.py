"""People who write to the home care service, and what they find: as a browser without script does it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from customers import shop_of
from hubs import World
from pages import context
from starlette.testclient import TestClient
from visiting import csrf, text

from adapters.demo.persons import Person
from hub.access import Mandate, Scope
from hub.booking.messages import Post
from hub.faces.context import Context
from hub.faces.portal.login import everyone

NURSING, HELP, RELIEF = "hjemmesykepleie", "praktisk-bistand", "avlastning"
"""The first is the EPJ's; nobody's system takes messages for the others."""
HELLO = "Hei! Kan dere komme litt før klokka ni på torsdag?"


def faces(world: World, environment: str = "demo", **changes: Any) -> Context:
    return context(world.store, world.clock, environment, shop=shop_of(world), messaging=world.messaging, **changes)


def somebody(world: World, *departments: str, protected: bool = False) -> Person:
    """The first person whom exactly these departments serve."""
    return next(p for p in world.town.bookable if set(p.departments) == set(departments) and p.protected is protected)


def mandates(world: World) -> list[Mandate]:
    return [Mandate.of(s.resource) for s in world.store.write(lambda tx: tx.find("Consent"))]


def nursed(world: World, person: str) -> bool:
    """The EPJ's department serves this person."""
    return any(p.reference == person and NURSING in p.departments for p in world.town.persons)


def relative(world: World, *scopes: Scope, without: tuple[Scope, ...] = ()) -> Mandate:
    """A mandate that holds, with these scopes and without those."""
    return next(m for m in mandates(world) if m.holds(world.clock.now) and set(scopes) <= m.scopes and not m.scopes & set(without))


def as_relative(world: World, client: TestClient, mandate: Mandate) -> None:
    """Logs in as the holder, who may be several RelatedPersons, and chooses whom to see."""
    (holder,) = mandate.holders
    persons, relatives = everyone(world.store)
    log_in(client, next(someone.key for someone in persons + relatives if holder in someone.who), mandate.id)


def log_in(client: TestClient, reference: str, whom: str = "self") -> None:
    answer = client.post("/logg-inn", data={"hvem": reference} | csrf(client, "/logg-inn"))
    assert answer.status_code == 303, text(answer.text)
    if answer.headers["location"] == "/velg":
        client.post("/velg", data={"hvem": whom} | csrf(client, "/velg"))


def fields(page: str, action: str) -> dict[str, str]:
    """What the form with this action sends when its first choice is taken."""
    form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert form, f"no form to {action}"
    found = {k: unescape(v) for k, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])}
    topics = [unescape(v) for v in re.findall(r'name="emne" value="([^"]+)"', form[0])]
    return found | ({"emne": topics[0]} if topics else {}) | ({"gjelder": "ja"} if 'name="gjelder"' in form[0] else {})


def send(client: TestClient, said: str = HELLO, path: str = "/meldinger/ny", **changes: str) -> str:
    """Fills in the form there and sends it; the thread's address."""
    page = client.get(path).text
    to = path.partition("?")[0]
    answer = client.post(to, data=fields(page, to) | {"tekst": said} | changes)
    assert answer.status_code == 303, text(answer.text)
    return answer.headers["location"].partition("?")[0]


def messages(world: World, person: str) -> list[Post]:
    """All of a person's, oldest first."""
    return sorted((m for thread in world.messaging.of(person) for m in thread.messages), key=lambda m: m.sent)
