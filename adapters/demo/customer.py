"""A shop that uses the booking API, played: holds and books in a calendar that the EPJ owns, starts a series, waits for a full hour and gets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.demo.home import DemoHome
from adapters.demo.persons import Person
from adapters.demo.processes import wait_for
from adapters.demo.shop import Order
from hub.booking.clock import local, read

ASKED, REPEATED, WAITED = "avlastning", "praktisk-bistand", "avlastning"
"""The department whose calendar the EPJ owns; the one of the series; the one with few places an hour."""
OFFERED_WITHIN = 40.0


@dataclass
class ApiShop:
    """The story, and what came of it."""

    home: DemoHome
    orders: list[Order] = field(default_factory=list)
    """What was booked, as bookings of the day."""
    counts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def play(self) -> None:
        """All of it, in order; what does not hold stands in `wrong`."""
        self._http = httpx.Client(
            base_url=f"{self.home.url}/booking/v1", headers={"authorization": f"Bearer {self.home.vendor_token}"}, timeout=30, trust_env=False,
        )
        with self._http:
            self._hold_and_book()
            self._series()
            self._wait()

    def _call(self, path: str, person: Person, **fields: Any) -> tuple[int, Any]:
        answer = self._http.post(path, json={"person": {"value": person.national_id}, **fields})
        return answer.status_code, answer.json() if answer.content else {}

    def _expect(self, what: str, told: tuple[int, Any], *statuses: int) -> Any:
        if told[0] not in statuses:
            self.wrong.append(f"booking API, {what}: {told[0]} {told[1].get('code', '')}")
        return told[1]

    def _free(self, department: str, days: int = 0) -> Iterator[tuple[Person, list[str]]]:
        """Who can book there by all the rules, and when, at least so many days ahead."""
        earliest = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
        for person in self.home.municipality.bookable:
            if department in person.departments:
                told = self._expect("times", self._call("/times", person, department=department), 200)
                if found := [t["start"] for day in told.get("days", ()) if day["day"] >= earliest for t in day["times"]]:
                    yield person, found

    def _booked(self, person: Person, booking: Any) -> None:
        if booking.get("id"):
            self.orders.append(Order(booking["id"], person, booking["department"], read(booking["start"], ""), read(booking["end"], "")))

    def _hold_and_book(self) -> None:
        person, times = next(self._free(ASKED, 1), (None, []))
        self.counts["booked by API"] = int(person is not None)
        if person is None:  # so many bookings that nobody there may book more
            return
        asked = {"request": "demo-1", "department": ASKED, "start": times[0]}
        self._expect("hold", self._call("/holds", person, **asked), 200)
        booking = self._expect("book", self._call("/bookings", person, **asked, held=True), 201)
        again = self._expect("book again", self._call("/bookings", person, **asked), 200)
        if booking.get("id") != again.get("id"):
            self.wrong.append("booking API: the same request became two bookings")
        self._booked(person, booking)

    def _series(self) -> None:
        person, times = next(self._free(REPEATED, 1), (None, []))
        self.counts |= {"visits of a series": 0, "skipped in a series": 0}
        if person is None:
            return
        before = {b["id"] for b in self._call("/bookings/search", person)[1].get("bookings", ())}
        made = self._expect("series", self._call("/series", person, request="demo-2", department=REPEATED, start=times[0]), 201)
        after = [b for b in self._call("/bookings/search", person)[1].get("bookings", ()) if b["id"] not in before]
        if len(after) != len(made.get("booked", ())):
            self.wrong.append(f"booking API: a series of {len(made.get('booked', ()))} visits became {len(after)}")
        for booking in after:
            self._booked(person, booking)
        self.counts |= {"visits of a series": len(after), "skipped in a series": len(made.get("skipped", ()))}

    def _wait(self) -> None:
        """Holds take every place of an hour; who waits for it is offered it when one is let go."""
        free = list(self._free(WAITED, 2))
        self.counts["offered and taken from the waiting list"] = 0
        if len(free) < 2:
            return
        taken = {order.start for order in self.orders}
        start = max({t for _, times in free for t in times if read(t, "") not in taken}, key=lambda t: sum(t in times for _, times in free))
        able, holders = [person for person, times in free if start in times], list[Person]()
        while able and self._call("/holds", able[-1], request="demo-3", department=WAITED, start=start)[0] == 200:
            holders.append(able.pop())
        if not able or not holders:
            self.wrong.append("booking API: no hour could be filled")
            return
        waiter, first = able[0], local(read(start, ""))
        window = {"days": [f"{first:%Y-%m-%d}"], "from": f"{first:%H:%M}", "to": f"{first + timedelta(hours=1):%H:%M}"}
        wait = self._expect("wait", self._call("/waiting", waiter, request="demo-4", department=WAITED, **window), 201)
        self._expect("release", self._call("/holds/release", holders[0]), 204)
        wait_for(lambda: self._offered(waiter), "the waiting list offers what became free", OFFERED_WITHIN, 0.25)
        self._booked(waiter, self._expect("accept", self._call(f"/waiting/{wait.get('id')}/accept", waiter), 200))
        for holder in holders[1:]:
            self._expect("release", self._call("/holds/release", holder), 204)
        self.counts["offered and taken from the waiting list"] = 1

    def _offered(self, person: Person) -> bool:
        return any("offer" in entry for entry in self._call("/waiting/search", person)[1].get("waiting", ()))
