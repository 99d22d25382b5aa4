"""The console's page of subscriptions: from a number to the deliveries behind it, and one of them sent again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "subscriptions"))

from machines import TOWN
from receivers import receiving
from subscribers import Feeding, feeding


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feeding]:
    home = tmp_path / "home"
    with feeding(home, "sqlite:///hub.db", '\n[[operators]]\nname = "kari"\ntoken_digest = "{kari}"\n') as made:
        yield made


def test_a_failed_notification_is_found_and_sent_again(feed: Feeding) -> None:
    with receiving() as receiver, httpx.Client(base_url=feed.hub.url, trust_env=False, follow_redirects=True) as console:
        id_ = feed.subscribe(feed.subscription(f"{receiver.url}/a-key-in-the-path", filters=("Appointment?status=proposed,pending,booked",)))
        receiver.answers = 422
        feed.book("A")
        feed.deliver()
        console.post("/drift/logg-inn", data={"nokkel": "kari-token", "csrf": csrf(console.get("/drift/logg-inn").text)})
        page = console.get("/drift/abonnementer").text
        assert "simple" in page and "appointment-lifecycle" in page and "Aktivt" in page and receiver.url.split("/")[2] in page
        assert "a-key-in-the-path" not in page and "whsec_" not in page and "status=proposed" not in page and "usignert" not in page
        link = next(u for u in re.findall(r'href="([^"]+)"', page) if "trenger-deg" in u).replace("&amp;", "&")
        assert f"subscription-{id_}" in link
        letter = re.search(r'href="(/drift/melding/[^"]+)"', console.get(link).text)
        assert letter
        shown = console.get(letter[1]).text
        assert "BB-902 HTTP 422" in shown
        receiver.answers = 200
        console.post(f"{letter[1]}/send", data={"grunn": "rettet hos mottakeren", "csrf": csrf(shown)})
        feed.deliver()
        assert [g.number for g in receiver.events()] == [1]
        store = feed.hub.parts.store
        people = {line.person for p in TOWN.persons for line in store.audit_of(p.reference, 9) if (line.kind, line.reader) == ("resend", "operator:kari")}
        assert len(people) == 1, "the log of the person it was about"
        assert "Abonnement: simple" in console.get("/drift/koblinger").text


def test_an_operator_turns_one_off_and_on_and_deletes_it(feed: Feeding) -> None:
    with receiving() as receiver, httpx.Client(base_url=feed.hub.url, trust_env=False, follow_redirects=True) as console:
        id_ = feed.subscribe(feed.subscription(f"{receiver.url}/a-key-in-the-path"))
        feed.book("A")
        console.post("/drift/logg-inn", data={"nokkel": "kari-token", "csrf": csrf(console.get("/drift/logg-inn").text)})
        assert f'href="/drift/abonnement/{id_}"' in console.get("/drift/abonnementer").text

        def turn(choice: str, reason: str) -> httpx.Response:
            page = console.get(f"/drift/abonnement/{id_}").text
            assert "a-key-in-the-path" not in page
            return console.post(f"/drift/abonnement/{id_}", data={"valg": choice, "grunn": reason, "csrf": csrf(page)})

        def status() -> tuple[str, str]:
            kept = feed.api.get(f"/Subscription/{id_}").json()
            return kept["status"], kept.get("error", "")

        assert turn("av", " ").status_code == 422 and status() == ("active", "")
        assert turn("annet", "x").status_code == 404
        turn("av", "mottakeren er kompromittert")
        assert status() == ("off", "Slått av av kommunen: mottakeren er kompromittert") and feed.deliver() == 0, "what waited is gone too"
        turn("paa", "ny mottaker")
        assert status() == ("requested", "") and feed.deliver() == 1 and status() == ("active", "")
        assert receiver.got[-1].kind == "handshake"
        turn("slett", "avtalen er over")
        assert feed.api.get(f"/Subscription/{id_}").status_code == 410 and id_ not in console.get("/drift/abonnementer").text
        assert console.get(f"/drift/abonnement/{id_}").status_code == 404
        store = feed.hub.parts.store
        assert [(line.reader, line.ground, line.kind, line.channel) for line in reversed(store.audit_of("", 20)) if line.kind.startswith("subscription-")] == [
            ("operator:kari", "operator", f"subscription-{word}", "console") for word in ("off", "requested", "deleted")]


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    return found[1] if found else ""
