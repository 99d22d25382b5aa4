"""Tjenesteshop, played: bookings that the rules allow, moves and cancellations, repetitions, and orders that must be refused."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import httpx

from adapters.demo.municipality import Municipality
from adapters.demo.persons import Person
from hub.booking import Decision, Department, slots_of
from hub.booking.clock import local, read
from hub.booking.conventions import appointment_id
from hub.message import Resource

ADAPTER = "tjenesteshop"


@dataclass(frozen=True, slots=True)
class Order:
    """One booking a person makes in the shop."""

    id: str
    person: Person
    department: str
    start: datetime
    end: datetime
    then: str = ""
    """`FLYTT` or `AVBESTILL` afterwards; empty: nothing."""
    moved_to: tuple[datetime, datetime] | None = None

    @property
    def appointment(self) -> str:
        """The Appointment id that it becomes."""
        return appointment_id(ADAPTER, self.id)

    def message(self, action: str) -> dict[str, Any]:
        """The shop's JSON, under a message id that says which message it is."""
        message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.id}|{action}"))
        made: dict[str, Any] = {"meldingsId": message_id, "handling": action, "bestillingsId": self.id}
        if action == "OPPRETT":
            made |= {"person": {"id": self.person.national_id, "idType": "FNR"}, "avdeling": self.department}
            made |= {"fra": self.start.isoformat(), "til": self.end.isoformat()}
        elif action == "FLYTT" and self.moved_to:
            made |= {"fra": self.moved_to[0].isoformat(), "til": self.moved_to[1].isoformat()}
        else:
            made["avbestiltAv"] = "BRUKER"
        return made


@dataclass
class Planner:
    """Finds times that every rule allows: opening hours, places, the decision's number, no two visits of one person at once."""

    municipality: Municipality
    rng: Random
    now: datetime
    reserve: int = 1
    """Places per slot that are left alone, for what the service itself moves."""
    _slots: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    _taken: Counter[tuple[str, datetime]] = field(default_factory=Counter)
    _weeks: Counter[tuple[str, tuple[int, int]]] = field(default_factory=Counter)
    _busy: defaultdict[str, list[tuple[datetime, datetime]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        by_type = defaultdict(list)
        for resource in self.municipality.resources:
            by_type[resource["resourceType"]].append(resource)
        self.departments = {r["id"]: Department.of(r) for r in by_type["HealthcareService"]}
        self.decisions: dict[str, list[Decision]] = defaultdict(list)
        for decision in map(Decision.of, by_type["ServiceRequest"]):
            self.decisions[decision.patient].append(decision)
        earliest = self.now + timedelta(hours=3)
        for code, department in self.departments.items():
            slots = slots_of(department, local(self.now).date(), department.horizon_days)
            times = [(read(slot["start"], ""), read(slot["end"], "")) for slot in slots]
            self._slots[code] = [(start, end) for start, end in times if start > earliest]

    def orders(self, prefix: str) -> Iterator[Order]:
        """Orders until nobody may book more, drawn at random."""
        wishes = [(person, department) for person in self.municipality.bookable for department in person.departments]
        number = 0
        for _ in range(40):
            self.rng.shuffle(wishes)
            for person, department in wishes:
                time = self.free(person, department)
                if time is not None:
                    number += 1
                    yield Order(f"{prefix}-{number:06d}", person, department, *time)

    def free(self, person: Person, code: str) -> tuple[datetime, datetime] | None:
        """A time for one more visit, booked; None when there is none."""
        department = self.departments[code]
        slots = self._slots.get(code, [])
        for start, end in self.rng.sample(slots, min(12, len(slots))):
            decision = next((d for d in self.decisions[person.reference] if d.covers(person.reference, department, start, end)), None)
            if decision is None:
                continue
            week = (decision.id, local(start).isocalendar()[:2])
            clear = all(end + timedelta(hours=2) <= s or e + timedelta(hours=2) <= start for s, e in self._busy[person.reference])
            room = self._taken[code, start] + self.reserve < department.capacity or self._taken[code, start] == 0
            if clear and room and self._weeks[week] < decision.grant.amount:
                self._taken[code, start] += 1
                self._weeks[week] += 1
                self._busy[person.reference].append((start, end))
                return start, end
        return None

    def changes(self, order: Order, moves: float, cancels: float) -> Order:
        """The same order, perhaps with a change to come. A move books a second time, as the rules count."""
        draw = self.rng.random()
        if draw < cancels:
            return replace(order, then="AVBESTILL")
        if draw < cancels + moves:
            time = self.free(order.person, order.department)
            if time is not None:
                return replace(order, then="FLYTT", moved_to=time)
        return order


def planner(municipality: Municipality, seed: str, now: datetime) -> Planner:
    """For a municipality; `seed` decides who books what."""
    return Planner(municipality, Random(seed), now)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A message that must be refused, and why."""

    what: str
    body: bytes | dict[str, Any]
    problem: str


def wrong_ones(plan: Planner, order: Order) -> list[Wrong]:
    """One of each kind, made from an order that would be right."""
    right = order.message("OPPRETT")

    def but(what: str, problem: str, **changes: Any) -> Wrong:
        return Wrong(what, {**right, "meldingsId": f"wrong-{what}", "bestillingsId": f"wrong-{what}", **changes}, problem)

    night = order.start.replace(hour=1, minute=0) + timedelta(days=1)
    far = order.start + timedelta(days=40)
    unknown = {**right["person"], "id": "01810112345"}
    return [
        Wrong("no-json", b'{"meldingsId": "wrong-json", ', "BB-101"),
        Wrong("twice-the-same-key", b'{"handling": "OPPRETT", "handling": "OPPRETT"}', "BB-101"),
        but("no-start", "BB-201", fra=None),
        but("unknown-action", "BB-202", handling="BYTT"),
        but("unknown-person", "BB-204", person=unknown),
        but("unknown-department", "BB-205", avdeling="finnes-ikke"),
        but("at-night", "BB-301", avdeling="dagsenter", person=_with(plan, "dagsenter", right), fra=night.isoformat(), til=None),
        but("too-far", "BB-303", fra=far.isoformat(), til=None),
        but("long-ago", "BB-321", fra=(order.start - timedelta(days=60)).isoformat(), til=None),
        but("no-decision", "BB-305", person={"id": _without(plan, order.department).national_id, "idType": "FNR"}),
        Wrong("unknown-booking", {"meldingsId": "wrong-cancel", "handling": "AVBESTILL", "bestillingsId": "finnes-ikke"}, "BB-206"),
    ]


def _with(plan: Planner, department: str, right: dict[str, Any]) -> dict[str, Any]:
    person = next(p for p in plan.municipality.bookable if department in p.departments)
    return {**right["person"], "id": person.national_id}


def _without(plan: Planner, department: str) -> Person:
    return next(p for p in plan.municipality.persons if department not in p.departments)


class Shop:
    """Posts to the hub's inbox, as a shop's server does."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}/inbox/{ADAPTER}"
        self._client = httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False)

    def post(self, body: bytes | dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, verdict). Tries again while the hub does not answer, under the same id: a shop's own durable retry."""
        headers = {"content-type": "application/json"}
        if isinstance(body, dict):
            headers["x-message-id"] = str(body["meldingsId"])
        answer = self._client.post(self._url, headers=headers, **({"json": body} if isinstance(body, dict) else {"content": body}))
        verdict: Resource = answer.json() if answer.content else {}
        return answer.status_code, verdict

    def close(self) -> None:
        self._client.close()
