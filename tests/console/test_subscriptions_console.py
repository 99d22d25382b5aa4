"""The console's page of subscriptions: from a number to the deliveries behind it, and one of them sent again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "subscriptions"))

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
        assert "Abonnement: simple" in console.get("/drift/koblinger").text


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    return found[1] if found else ""
