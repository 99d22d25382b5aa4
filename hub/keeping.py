"""Keeps what was stated: the rules of `hub.booking` between the facts in the store and the versions, seats and deliveries that follow."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub.access import AuditLine
from hub.adapter import Adapter
from hub.booking import Booking, Outcome, Statement, gather, statements, weigh, which, with_taken
from hub.delivery import Delivery, State
from hub.message import Resource, Resources
from hub.problem import Problem, Refused
from hub.store import Change, Store, Transaction

BOOKING = "booking"
"""The function (a row in mappings/functions.toml) by which partners are told of an appointment."""


class Speaker(Protocol):
    """Who states something: an adapter, or a client of the FHIR API."""

    @property
    def name(self) -> str: ...
    @property
    def may_state(self) -> frozenset[str]: ...
    @property
    def departments(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a statement changes, in the transaction it came in."""

    adapters: Mapping[str, Adapter]
    check: Any
    """`check(resource)`: validates against the FHIR definitions; raises Refused. (hub.fhir.validate)"""

    def keep(self, tx: Transaction, adapter: Speaker, message: Resources) -> tuple[str, ...]:
        """Weighs and keeps each statement; all or none.

        Returns:
            References of the resources the message was about.

        Raises:
            Refused: what hub.booking.weigh, the validation or the store says.
        """
        stated = statements(message.items)
        if not stated:
            raise Refused(Problem.INVALID, "the message states no appointment")
        return tuple(ref for statement in stated for ref in self._keep(tx, adapter, statement))

    def _keep(self, tx: Transaction, adapter: Speaker, statement: Statement) -> tuple[str, ...]:
        id_ = which(statement, adapter.name)
        kept = tx.get("Appointment", id_)
        stored = kept.resource if kept else None
        facts = gather(statement, stored, tx)
        outcome = weigh(
            statement, stored, facts,
            may=adapter.may_state, departments=adapter.departments, origin=adapter.name, now=tx.now,
        )
        about = [f"Appointment/{id_}"]
        tx.note(about[0], outcome.what.value, "already so" if outcome.nothing_new else "", origin=adapter.name)
        if outcome.nothing_new:
            return tuple(about)
        self._seat(tx, id_, outcome)
        if outcome.appointment is not None:
            self.check(outcome.appointment)
            self._owe(tx, tx.keep(outcome.appointment, origin=adapter.name), adapter)
        if outcome.encounter is not None:
            self.check(outcome.encounter)
            about.append(tx.keep(outcome.encounter, origin=adapter.name).reference)
        person = Booking.of(outcome.appointment or stored or {}).patient
        tx.audit(AuditLine(tx.now, person, f"adapter:{adapter.name}", "vendor", outcome.what.value, "", "inbox"))
        return tuple(about)

    def _seat(self, tx: Transaction, holder: str, outcome: Outcome) -> None:
        touched = dict.fromkeys(tx.free_seats(holder) if outcome.frees else ())
        for slot in outcome.takes:
            tx.take_seat(slot, holder, outcome.capacity)
            touched[slot] = None
        for slot in touched:
            kept = tx.get("Slot", slot)
            if kept is not None:
                tx.keep(with_taken(kept.resource, tx.seats_taken(slot)), origin="hub")

    def _owe(self, tx: Transaction, change: Change, origin: Speaker) -> None:
        """A delivery to every partner that wants to know and did not say it itself."""
        department = Booking.of(change.resource).department
        for adapter in self.adapters.values():
            if BOOKING not in adapter.wants or adapter.name == origin.name:
                continue
            if adapter.departments and department not in adapter.departments:
                continue
            tx.owe(
                Delivery(
                    id=str(uuid.uuid4()), adapter=adapter.name, function=BOOKING, subject=change.reference, state=State.DUE,
                    due_at=tx.now, expires=tx.now + adapter.patience.give_up_after, created=tx.now, key=change.reference,
                    conversation=change.id, version=change.version, answer_due=adapter.answer_due,
                ),
            )

    def stated(self, store: Store, reference: str, version: int) -> Resources:
        """What a letter about one version of an appointment says: that version, then whom and what it is for.

        Not the current one: that may be the partner's own word, come while the letter waited. A newer state of ours has a letter of its
        own, and supersedes this one while nobody has tried to send it.
        """
        type_, _, id_ = reference.partition("/")
        kept = store.version(type_, id_, version)
        if kept is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "the version that the letter is about is not kept")
        appointment = kept.resource
        booking = Booking.of(appointment)
        return Resources((appointment, self._read(store, booking.patient), self._read(store, f"HealthcareService/{booking.department}")))

    def _read(self, store: Store, reference: str) -> Resource:
        type_, _, id_ = reference.partition("/")
        kept = store.get(type_, id_)
        if kept is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"nothing is kept as a {type_} under the id that the letter is about")
        return kept.resource
