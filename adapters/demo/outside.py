"""Looks from outside, as a vendor, a person and an operator would: FHIR and portal over HTTP, the EPJs' own records."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.demo.home import EPJS, SHOP_FOLDER, DemoHome
from hub.booking.clock import read
from hub.booking.conventions import extension, points_to
from hub.message import Resource

WAITING = ("due", "sent", "arrived")


class Outside:
    """One client of everything."""

    def __init__(self, home: DemoHome) -> None:
        self._home = home
        self._client = httpx.Client(timeout=30, trust_env=False)
        self._fhir = {"authorization": f"Bearer {home.vendor_token}"}

    def waiting(self, partners: Collection[str] = (*EPJS, "tjenesteshop")) -> int:
        """Deliveries that the hub still owes these, by its own health page. (A notice waits for its hour.)"""
        found = self._client.get(f"{self._home.url}/health").json()["deliveries"]
        return sum(n for key, n in found.items() if key.partition("/")[0] in partners and key.rpartition("/")[2] in WAITING)

    def notices(self) -> dict[str, int]:
        """What people are told by SMS: how many were sent, and how many wait for morning or for the day before a visit."""
        found = self._client.get(f"{self._home.url}/health").json()["deliveries"]
        return {key.rpartition("/")[2]: n for key, n in found.items() if key.startswith("sms/")}

    def deliveries(self) -> dict[str, int]:
        """Letters to EPJs, per state."""
        counted: Counter[str] = Counter()
        for key, n in self._client.get(f"{self._home.url}/health").json()["deliveries"].items():
            name, _, state = key.partition("/")
            counted[state] += n if name in EPJS else 0
        return dict(+counted)

    def told_shop(self) -> dict[str, dict[str, Any]]:
        """The newest free times that the shop was told of each department."""
        told: dict[str, dict[str, Any]] = {}
        for path in (self._home.hub / SHOP_FOLDER).glob("*"):
            if not path.suffix and not path.name.startswith("."):
                letter = json.loads(path.read_bytes())
                told[letter["avdeling"]] = max(letter, told.get(letter["avdeling"], letter), key=lambda one: str(one["sendt"]))
        return told

    def records(self) -> dict[str, dict[str, Any]]:
        """Each EPJ's own records."""
        return {name: self._client.get(f"{self._home.epj_url(name)}/records").json() for name in EPJS}

    def resting(self) -> bool:
        """Nobody has anything left to tell or to send."""
        try:
            told = all(
                not any(visit["left"] for visit in record["visits"].values()) and not any(o["state"] == "due" for o in record["outbox"])
                for record in self.records().values()
            )
            return told and self.waiting() == 0
        except httpx.HTTPError:
            return False

    def search(self, type_: str, query: str = "") -> Iterator[Resource]:
        """Every match, page by page."""
        url: str | None = f"{self._home.url}/fhir/{type_}?_count=500{query}"
        while url is not None:
            bundle = self._client.get(url, headers=self._fhir).raise_for_status().json()
            yield from (e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match")
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)

    def history(self, appointment: str) -> list[Resource]:
        """Its versions, newest first."""
        url = f"{self._home.url}/fhir/Appointment/{appointment}/_history"
        return [e["resource"] for e in self._client.get(url, headers=self._fhir).raise_for_status().json()["entry"]]

    def portal(self, login: str) -> str:
        """The front page, or the page that asks whom to see, as somebody who logs in."""
        with httpx.Client(base_url=self._home.url, follow_redirects=True, timeout=30, trust_env=False) as client:
            return client.post("/logg-inn", data={"hvem": login}).raise_for_status().text

    def close(self) -> None:
        self._client.close()


def shown_visits(page: str) -> set[str]:
    """The visits a portal page links to."""
    return set(re.findall(r'href="/besok/([0-9a-f-]{36})"', page))


def seats_wrong(slots: list[Resource], appointments: list[Resource]) -> list[str]:
    """Slots whose count of taken places is not the number of appointments that point to them."""
    counted = Counter(ref["reference"].partition("/")[2] for a in appointments for ref in a.get("slot", ()))
    return [s["id"] for s in slots if int(extension(s, "taken") or 0) != counted[s["id"]]]


def times_wrong(slots: list[Resource], told: dict[str, dict[str, Any]]) -> list[str]:
    """Slots ahead of which a shop was told another number of free places than there is, or nothing."""
    places = {(name, read(time["fra"], "")): time["ledigePlasser"] for name, letter in told.items() for time in letter["tider"]}
    ahead = min((start for _, start in places), default=datetime.now(UTC)) + timedelta(hours=1)
    return [
        slot["id"] for slot in slots
        if (start := read(slot["start"], "")) > ahead
        and places.get((points_to(slot["schedule"], "Schedule"), start)) != int(extension(slot, "capacity")) - int(extension(slot, "taken") or 0)
    ]
