"""A small municipality for tests of hub.booking: resources as the store would hold them, and a shelf (a store in a dictionary)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hub.booking import Booking, Outcome, gather, statements, weigh, which
from hub.booking.clock import at, write
from hub.booking.conventions import DEPARTMENT, FNR, SERVICE_TYPE, SHOP_BOOKING, extension, identifier, url
from hub.message import Resource

NOW = datetime(2026, 10, 19, 6, 0, tzinfo=UTC)
"""A Monday, 08:00 in Norway; the clock goes back on the Sunday that follows."""
SHOP = frozenset({"book", "move", "cancel"})
EPJ = frozenset({"book", "move", "cancel", "confirm", "assign", "complete"})
PERSON = "13812212345"


def service(code: str = "hjelp", **changes: Any) -> Resource:
    """A department open 08 to 16 on weekdays and 10 to 14 on Saturdays, two at a time, half-hour grid."""
    numbers = {"capacity": 2, "slot-minutes": 30, "horizon-days": 14, "notice-minutes": 120}
    numbers.update({key.replace("_", "-"): changes.pop(key) for key in list(changes) if key.replace("_", "-") in numbers})
    return {
        "resourceType": "HealthcareService", "id": code, "active": True, "name": "Hjelp hjemme",
        "providedBy": {"reference": "Organization/o1"},
        "type": [{"coding": [{"system": SERVICE_TYPE, "code": "1"}]}],
        "availableTime": [
            {"daysOfWeek": ["mon", "tue", "wed", "thu", "fri"], "availableStartTime": "08:00:00", "availableEndTime": "16:00:00"},
            {"daysOfWeek": ["sat"], "availableStartTime": "10:00:00", "availableEndTime": "14:00:00"},
        ],
        "extension": [{"url": url(name), "valueInteger": value} for name, value in numbers.items()],
        **changes,
    }


def patient(id_: str = "p1", number: str = PERSON) -> Resource:
    return {"resourceType": "Patient", "id": id_, "active": True, "identifier": [{"system": FNR, "value": number}]}


def decision(id_: str = "d1", who: str = "p1", visits: int = 3, department: str = "hjelp", **changes: Any) -> Resource:
    return {
        "resourceType": "ServiceRequest", "id": id_, "status": "active", "intent": "order", "subject": {"reference": f"Patient/{who}"},
        "code": {"coding": [{"system": SERVICE_TYPE, "code": "1"}]},
        "extension": [{"url": url("department"), "valueReference": {"reference": f"HealthcareService/{department}"}}],
        "occurrenceTiming": {"repeat": {
            "boundsPeriod": {"start": "2026-01-01", "end": "2027-12-31"}, "frequency": visits, "period": 1, "periodUnit": "wk"}},
        **changes,
    }


def book(shop_id: str, start: datetime | str, number: str = PERSON, department: str = "hjelp", **more: Any) -> Resource:
    """What the shop states of a new booking."""
    return {
        "resourceType": "Appointment", "identifier": [{"system": SHOP_BOOKING, "value": shop_id}], "status": "proposed",
        "start": start if isinstance(start, str) else write(start),
        "participant": [
            {"actor": {"type": "Patient", "identifier": {"system": FNR, "value": number}}, "status": "accepted"},
            {"actor": {"type": "HealthcareService", "identifier": {"system": DEPARTMENT, "value": department}}, "status": "needs-action"},
        ],
        **more,
    }


def said(status: str, *, shop_id: str = "", id_: str = "", performer: str = "", **more: Any) -> Resource:
    """What shop or EPJ states of a booking that exists."""
    made: Resource = {"resourceType": "Appointment", "status": status, **more}
    if shop_id:
        made["identifier"] = [{"system": SHOP_BOOKING, "value": shop_id}]
    if id_:
        made["id"] = id_
    if performer:
        made["participant"] = [{"actor": {"type": "Practitioner", "display": performer}, "status": "accepted"}]
    return made


def numbered(resource: Resource, sequence: int) -> Resource:
    return {**resource, "extension": [{"url": url("sequence"), "valueInteger": sequence}]}


def oslo(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """The instant of a Norwegian wall time that exists."""
    return at(date(year, month, day), datetime(2000, 1, 1, hour, minute).time())


@dataclass
class Kept:
    resource: Resource


@dataclass
class World:
    """Kept resources and seats, with the flow's way of applying an outcome."""

    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)
    seats: dict[tuple[str, str], int] = field(default_factory=dict)
    """(slot, holder) → seat number."""
    now: datetime = NOW

    @classmethod
    def of(cls, *resources: Resource) -> World:
        return cls({(r["resourceType"], r["id"]): r for r in resources})

    def get(self, type_: str, id_: str, /) -> Kept | None:
        found = self.resources.get((type_, id_))
        return Kept(found) if found else None

    def find(self, type_: str, /, **equals: Any) -> Sequence[Kept]:
        found = [r for (t, _), r in self.resources.items() if t == type_]
        if named := equals.pop("identifier", None):
            system, _, value = named.partition("|")
            found = [r for r in found if identifier(r, system) == value]
        if who := equals.pop("patient", None):
            found = [r for r in found if who in str(r)]
        if between := equals.pop("date", None):
            found = [r for r in found if between[0] <= Booking.of(r).start < between[1]]
        assert not equals
        return [Kept(r) for r in found]

    def seats_taken(self, slot: str, /) -> int:
        return sum(s == slot for s, _ in self.seats)

    def states(self, *items: Resource, may: frozenset[str] = SHOP, origin: str = "shop", **more: Any) -> Outcome:
        """Weighs one statement and applies what follows."""
        (statement,) = statements(items)
        id_ = which(statement, origin)
        stored = self.resources.get(("Appointment", id_))
        outcome = weigh(statement, stored, gather(statement, stored, self), may=may, origin=origin, now=self.now, **more)
        self._apply(id_, outcome)
        return outcome

    def _apply(self, id_: str, outcome: Outcome) -> None:
        taken, old = {seat.slot for seat in outcome.takes}, f"before-move:{id_}"
        self._hand(id_, old, set(outcome.keeps) - taken)
        gone = ({id_} if outcome.frees else set()) | ({old} if outcome.drops_old else set())
        self.seats = {key: seat for key, seat in self.seats.items() if key[1] not in gone}
        self._hand(old, id_, taken)
        for seat_ in outcome.takes:
            slot = seat_.slot
            if (slot, id_) in self.seats:
                continue
            used = {seat for (s, _), seat in self.seats.items() if s == slot}
            seat = next(n for n in range(10_001) if n not in used)
            assert seat < seat_.capacity, "weigh let a booking through that the store must refuse"
            self.seats[slot, id_] = seat
        for new in (outcome.appointment, outcome.encounter):
            if new:
                before = self.resources.get((new["resourceType"], new["id"]), {})
                version = int(before.get("meta", {}).get("versionId", 0)) + 1
                self.resources[new["resourceType"], new["id"]] = {**new, "meta": {"versionId": str(version)}}

    def _hand(self, holder: str, to: str, slots: set[str]) -> None:
        self.seats = {(slot, to if who == holder and slot in slots else who): seat for (slot, who), seat in self.seats.items()}

    def booking(self, id_: str) -> Booking:
        return Booking.of(self.resources["Appointment", id_])

    def sequence(self, id_: str) -> int:
        return int(extension(self.resources["Appointment", id_], "sequence"))


def tomorrow(hour: int, minute: int = 0) -> datetime:
    return oslo(2026, 10, 20, hour, minute)


def later(start: datetime, minutes: int) -> datetime:
    return start + timedelta(minutes=minutes)
