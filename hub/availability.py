"""Tells shops which times are free: the whole picture of a department, owed when one of its slots changed, written as it is when it leaves.

One letter at most waits per shop and department: what changes meanwhile is in it. Nothing about a person is told: how many places are left.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta

from hub.adapter import Adapter
from hub.booking.conventions import points_to
from hub.delivery import Delivery, State
from hub.fhir.query import DateIs, Query, ReferenceIs
from hub.message import Resources
from hub.problem import Problem, Refused
from hub.store import Store, Transaction
from hub.store.values import micros

FREE_BUSY = "free-busy"
"""The function (a row in mappings/functions.toml) by which a shop is told."""
COLLECTED = timedelta(seconds=2)
"""How long changes are collected into one letter."""
MOST = 100_000


class Availability:
    """Owes the letters."""

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters

    @property
    def told(self) -> tuple[Adapter, ...]:
        """Those that are told."""
        return tuple(adapter for adapter in self._adapters.values() if FREE_BUSY in adapter.wants)

    def follow(self, tx: Transaction) -> None:
        """After every transaction that changed something."""
        departments = dict.fromkeys(points_to(c.resource["schedule"], "Schedule") for c in tx.changes if c.type == "Slot" and not c.deleted)
        for department in departments:
            for adapter in self._of(department):
                self._owe(tx, adapter, department)

    def introduce(self, store: Store) -> None:
        """A shop that was never told of a department hears of it, before anything changes there."""
        for service in store.search(Query("HealthcareService", count=MOST)).entries if self.told else ():
            for adapter in self._of(service.id):
                store.write(lambda tx, a=adapter, d=service.id: self._introduced(tx, a, d))  # type: ignore[misc]

    def _introduced(self, tx: Transaction, adapter: Adapter, department: str) -> None:
        name = f"{FREE_BUSY}:{adapter.name}:{department}"
        if not tx.recall(name):
            tx.remember(name, tx.now.isoformat())
            self._owe(tx, adapter, department)

    def _of(self, department: str) -> Iterable[Adapter]:
        return (adapter for adapter in self.told if not adapter.departments or department in adapter.departments)

    def _owe(self, tx: Transaction, adapter: Adapter, department: str) -> None:
        subject = f"HealthcareService/{department}"
        if tx.untried(adapter.name, subject, FREE_BUSY):
            return
        due = tx.now + COLLECTED
        tx.owe(
            Delivery(
                id=str(uuid.uuid4()), adapter=adapter.name, function=FREE_BUSY, subject=subject, state=State.DUE, due_at=due,
                expires=due + adapter.patience_for(FREE_BUSY, tx.now).give_up_after, created=tx.now, key=subject, conversation=department,
                answer_due=False,
            ),
            replaces=(),
        )


def times(store: Store, department: str) -> Resources:
    """A department and its slots from now on, in order of time. Raises Refused UNKNOWN_RESOURCE."""
    service = store.get("HealthcareService", department)
    if service is None:
        raise Refused(Problem.UNKNOWN_RESOURCE, "the department is not kept any more")
    now = micros(store.now())
    ahead = (ReferenceIs("schedule", (("Schedule", department),)), DateIs("start", (("ge", now, now),), main=True))
    return Resources((service.resource, *(slot.resource for slot in store.search(Query("Slot", ahead, count=MOST)).entries)))
