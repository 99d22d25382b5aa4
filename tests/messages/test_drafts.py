"""What somebody began to write: kept for them alone, until it is sent, thrown away, or a month old."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hubs import World
from starlette.testclient import TestClient
from visiting import csrf, text
from writing import HELP, NURSING, as_relative, fields, log_in, messages, nursed, relative, send, somebody

from hub.access import Scope

BEGUN = "Hei! Jeg lurer på om "


def save(client: TestClient, path: str = "/meldinger/ny", said: str = BEGUN, **changes: str) -> str:
    to = path.partition("?")[0]
    answer = client.post(to, data=fields(client.get(path).text, to) | {"tekst": said, "gjor": "lagre"} | changes)
    assert answer.status_code == 303, text(answer.text)
    return answer.headers["location"]


def rows(world: World) -> list[bytes]:
    return world.store.write(lambda tx: [bytes(body) for (body,) in tx.connection.rows("select body from content where kind = 'draft'")])


@pytest.mark.spec("portal.md", "P13")
def test_a_draft_outlives_the_session_and_is_gone_when_it_is_sent(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING, HELP)
    log_in(client, kari.reference)
    last = fields(client.get("/meldinger/ny").text, "/meldinger/ny")["emne"]
    assert save(client, emne=last) == "/meldinger?lagret=1" and "Det er ikke sendt." in text(client.get("/meldinger?lagret=1").text)
    assert messages(world, kari.reference) == []
    client.post("/logg-ut", data=csrf(client, "/velg"))
    world.clock.now += timedelta(days=29)
    log_in(client, kari.reference)
    assert "Skriv ferdig utkastet" in client.get("/meldinger").text
    page = client.get("/meldinger/ny").text
    assert f"{BEGUN}</textarea>" in page and f'value="{last}"' in page and "Det er ikke sendt." in text(page)
    thread = send(client, BEGUN + "dere kan komme før ni.")
    assert rows(world) == [] and BEGUN not in client.get("/meldinger/ny").text and len(messages(world, kari.reference)) == 1
    save(client, thread, "Takk")
    assert "Utkast" in client.get("/meldinger").text and "Takk</textarea>" in client.get(thread).text
    assert client.get("/meldinger/ny").text.count("Takk") == 0, "each thread has its own"


def test_a_draft_is_encrypted_its_writers_alone_and_a_month_old_at_most(world: World, client: TestClient) -> None:
    mandate = relative(world, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES)
    assert nursed(world, mandate.person)
    as_relative(world, client, mandate)
    save(client, said="Pårørendes eget utkast")
    assert len(rows(world)) == 1 and b"eget" not in rows(world)[0] and "eget utkast" in client.get("/meldinger/ny").text
    log_in(client, mandate.person)
    assert "eget utkast" not in client.get("/meldinger/ny").text and "ferdig" not in text(client.get("/meldinger").text)
    assert "Lagret et utkast til en melding Fullmakt" in text(client.get("/hvem-har-sett").text)
    as_relative(world, client, mandate)
    world.clock.now += timedelta(days=31)
    as_relative(world, client, mandate)
    assert "eget utkast" not in client.get("/meldinger/ny").text
    world.store.prune(world.clock.now)
    assert rows(world) == []


@pytest.mark.parametrize("wish", [{"gjor": "forkast"}, {"gjor": "lagre", "tekst": "  "}])
def test_a_draft_is_thrown_away(world: World, client: TestClient, wish: dict[str, str]) -> None:
    log_in(client, somebody(world, NURSING, HELP).reference)
    save(client)
    assert save(client, **wish) == "/meldinger?forkastet=1" and rows(world) == []


def test_nothing_is_kept_in_a_thread_of_somebody_elses(world: World, client: TestClient) -> None:
    first, second = [p.reference for p in world.town.bookable if NURSING in p.departments and not p.protected][:2]
    log_in(client, first)
    thread = send(client)
    log_in(client, second)
    answer = client.post(thread, data={"tekst": "x", "gjor": "lagre"} | csrf(client, "/velg"))
    assert answer.status_code == 404 and rows(world) == []
