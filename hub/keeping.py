"""Keeps what was stated: the rules of `hub.booking` between the facts in the store and the versions, seats and deliveries that follow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub.access import AuditLine
from hub.adapter import Adapter, Owner, owning
from hub.availability import times
from hub.booking import ANSWER, MOVED_FROM, Asker, Booking, Department, Outcome, Statement, Status, gather, statements, weigh, which, with_taken
from hub.booking.attachments import filled
from hub.booking.conventions import SHOP_BOOKING, appointment_id, extension, identifier, with_extension
from hub.booking.free import Span, covered
from hub.booking.life import What
from hub.booking.stays import after, stay_id
from hub.booking.views import is_booking, stated_department
from hub.delivery import Delivery, State
from hub.message import Resource, Resources
from hub.problem import Problem, Refused, Unavailable, asked_by
from hub.store import Change, Lacking, Store, Stored, Transaction

BOOKING = "booking"
"""The function (a row in mappings/functions.toml) by which partners are told of an appointment."""
Calendar = Callable[[Department, datetime, AuditLine | None], tuple[Span, ...] | None]
"""When whoever owns a department's calendar is free, from today to the horizon; None: the hub's seats decide. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who states something, and what their word is good for: a partner's adapter, or a person in the hub's own shop."""

    name: str
    """The origin of what is kept: the adapter's name, or `portal`."""
    may: frozenset[str]
    """As `Adapter.may_state`."""
    reader: str
    """For the access log, as `AuditLine.reader`."""
    ground: str
    departments: frozenset[str] = frozenset()
    on_behalf_of: str = ""
    channel: str = "inbox"
    asker: Asker = Asker.PERSON
    overrules: str = ""
    """Staff's reason for passing the rules of booking; it stands on the timeline. Empty: they bind."""
    held: frozenset[str] = frozenset()
    """Slots that were held for whoever speaks: the calendar's owner was asked then."""
    waits: bool = True
    """Somebody waits for the answer. A letter is not kept waiting while a calendar's owner is down: its answer to the booking decides."""

    @classmethod
    def of(cls, adapter: Adapter) -> Speaker:
        return cls(adapter.name, adapter.may_state, f"adapter:{adapter.name}", "vendor", adapter.departments, waits=False)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a statement changes, in the transaction it came in."""

    adapters: Mapping[str, Adapter]
    check: Any
    """`check(resource)`: validates against the FHIR definitions; raises Refused. (hub.fhir.validate)"""
    notify: Callable[[Transaction, What, bool, Resource | None, Resource], None] = lambda *_: None
    """Owes the notices that a change causes: what, whether a customer asked for it, the Appointment before and after (hub.noticing)."""
    freed: Callable[[Transaction, str], object] = lambda *_: None
    """A time of this department became free: whoever waits longest for it is offered it, in the same transaction (hub.offering)."""
    calendar: Calendar = lambda *_: None
    """What the owner of a department's calendar said lately (`hub.asking.Asking.known`)."""
    hear: Callable[[Transaction, Speaker, Resource], tuple[str, ...]] | None = None
    """Keeps what the service wrote to a person (`hub.dialogue.Hearing.state`); None: this hub takes no messages."""

    def keep(self, tx: Transaction, speaker: Speaker, message: Resources) -> tuple[str, ...]:
        """Weighs and keeps each statement; all or none.

        Returns:
            References of the resources the message was about.

        Raises:
            Refused: what hub.booking.weigh, the validation or the store says.
        """
        flags = [item for item in message.items if item.get("resourceType") == "Flag"]
        if flags and len(flags) == len(message.items):
            return tuple(ref for flag in flags for ref in self._away(tx, speaker, flag))
        written = [item for item in message.items if item.get("resourceType") == "Communication"]
        if written and len(written) == len(message.items) and self.hear is not None:
            return tuple(ref for each in written for ref in self.hear(tx, speaker, each))
        stated = statements(message.items)
        if not stated:
            raise Refused(Problem.INVALID, "the message states no appointment")
        return tuple(ref for statement in stated for ref in self._keep(tx, speaker, statement))

    def _keep(self, tx: Transaction, speaker: Speaker, statement: Statement) -> tuple[str, ...]:
        with asked_by(speaker, statement.appointment):
            return self._kept(tx, speaker, statement)

    def _kept(self, tx: Transaction, speaker: Speaker, statement: Statement) -> tuple[str, ...]:
        id_, kept = _found(tx, speaker, statement)
        stored = kept.resource if kept else None
        facts = gather(statement, stored, tx)
        outcome = weigh(
            statement, stored, facts,
            may=speaker.may, departments=speaker.departments, origin=speaker.name, now=tx.now, asker=speaker.asker,
            overrules=bool(speaker.overrules), settles=self._settles(statement, stored),
        )
        about = [f"Appointment/{id_}"]
        passed = ", ".join(problem.value for problem in outcome.overruled)
        reason = f"{passed}: {speaker.overrules}" if passed else speaker.overrules
        tx.note(about[0], outcome.what.value, "already so" if outcome.nothing_new else reason, origin=speaker.name)
        if outcome.nothing_new:
            return tuple(about)
        if outcome.takes and outcome.appointment is not None and not {seat.slot for seat in outcome.takes} <= speaker.held:
            asked = Booking.of(outcome.appointment)
            self.free_elsewhere(tx, speaker, asked.department, (asked.start, asked.end), asked.patient, own_times(stored))
        self._seat(tx, id_, outcome)
        if outcome.appointment is not None:
            self.check(outcome.appointment)
            change = tx.keep(outcome.appointment, origin=speaker.name)
            self._owe(tx, change, speaker)
            self.notify(tx, outcome.what, "confirm" not in speaker.may, stored, change.resource)
        if outcome.encounter is not None:
            self.check(outcome.encounter)
            about.append(tx.keep(outcome.encounter, origin=speaker.name).reference)
        changed = Booking.of(outcome.appointment or stored or {})
        tx.audit(AuditLine(tx.now, changed.patient, speaker.reader, speaker.ground, outcome.what.value, speaker.on_behalf_of, speaker.channel))
        if outcome.frees or outcome.drops_old:
            self.freed(tx, changed.department)
        return tuple(about)

    def free_elsewhere(
        self, tx: Transaction, speaker: Speaker, code: str, span: Span, person: str = "", own: Sequence[Span] = (),
    ) -> None:
        """The owner of the department's calendar, where it is not the hub, has this time free; `own` counts as free. Who speaks for the service
        is not asked.

        Raises:
            Refused: FULL.
            Unavailable: the owner must be asked first (`Lacking`), or does not answer.
        """
        if "confirm" in speaker.may or owning(self.adapters, Owner.EPJ, code) is None or (service := tx.get("HealthcareService", code)) is None:
            return
        department = Department.of(service.resource)
        line = AuditLine(tx.now, person, speaker.reader, speaker.ground, "free-times", speaker.on_behalf_of, speaker.channel)
        try:
            spans = self.calendar(department, tx.now, line)
        except Lacking:
            raise
        except Unavailable:
            if speaker.waits:
                raise
            return
        if spans is not None and tx.now <= span[0] and not covered([*spans, *own], *span):
            raise Refused(Problem.FULL, "the calendar of the service is not free then", "Appointment.start")

    def _settles(self, statement: Statement, stored: Resource | None) -> bool:
        """The hub itself decides over this department's bookings: a row of the partner's adapter (`owner`)."""
        department = stated_department(stored or statement.appointment)
        return owning(self.adapters, Owner.HUB, department) is not None

    def _away(self, tx: Transaction, speaker: Speaker, stated: Resource) -> tuple[str, ...]:
        """Keeps that somebody is away, or home again: the rules of booking read it, and the portal shows the visits as paused."""
        if "pause" not in speaker.may:
            raise Refused(Problem.NOT_ALLOWED, "the sender may not state: pause", "Flag.status")
        named = (stated.get("subject") or {}).get("identifier") or {}
        found = tx.find("Patient", identifier=f"{named.get('system', '')}|{named.get('value', '')}") if named.get("value") else []
        if not found:
            raise Refused(Problem.UNKNOWN_PERSON, "no such person", "Flag.subject")
        patient = f"Patient/{found[0].id}"
        kept = tx.get("Flag", stay_id(patient))
        flag = after(kept.resource if kept else None, stated, patient)
        if flag is not None:
            self.check(flag)
            tx.keep(flag, origin=speaker.name)
        tx.audit(AuditLine(tx.now, patient, speaker.reader, speaker.ground, "pause", speaker.on_behalf_of, speaker.channel))
        return (f"Flag/{stay_id(patient)}",)

    def rejected(self, tx: Transaction, adapter: Adapter, letter: Delivery) -> None:
        """The service's application said no to what a letter asked for: a new time falls back to the confirmed one, a new booking is off.

        Nothing happens when the booking has changed since: the newer state has a letter of its own.
        """
        type_, _, id_ = letter.subject.partition("/")
        kept = tx.get(type_, id_) if letter.function == BOOKING else None
        if kept is None or kept.resource["status"] != Status.PENDING or not _same(kept, tx.version(type_, id_, letter.version)):
            return
        before = extension(kept.resource, MOVED_FROM)
        stated: Resource = {"resourceType": "Appointment", "id": id_, "status": "booked" if before else "cancelled", **(before or {})}
        speaker = replace(Speaker.of(adapter), may=frozenset({"move", "confirm", "cancel"}), departments=frozenset())
        self._keep(tx, speaker, Statement(stated))
        settled = tx.get(type_, id_)
        if settled is not None:
            tx.keep(with_extension(settled.resource, ANSWER, "Code", "move-refused" if before else "refused"), origin=adapter.name)

    def _seat(self, tx: Transaction, holder: str, outcome: Outcome) -> None:
        """First what is given back, then what is taken; each Slot that was touched tells its new count."""
        taken = [seat.slot for seat in outcome.takes]
        tx.hand_seats(holder, [slot for slot in outcome.keeps if slot not in taken], before_move(holder))
        touched = dict.fromkeys(tx.free_seats(holder) if outcome.frees else ())
        touched |= dict.fromkeys(tx.free_seats(before_move(holder)) if outcome.drops_old else ())
        if outcome.frees:
            tx.hand_seats(before_move(holder), taken, holder)  # back to its confirmed time: its own seats there
        for seat in outcome.takes:
            tx.take_seat(seat.slot, holder, seat.capacity)
            touched[seat.slot] = None
        count_seats(tx, touched)

    def _owe(self, tx: Transaction, change: Change, origin: Speaker) -> None:
        """A delivery to every partner that wants to know and did not say it itself."""
        department = Booking.of(change.resource).department
        for adapter in self.adapters.values():
            if BOOKING not in adapter.wants or adapter.name == origin.name:
                continue
            if adapter.departments and department not in adapter.departments:
                continue
            if adapter.only_own and change.id != appointment_id(adapter.name, identifier(change.resource, SHOP_BOOKING)):
                continue
            tx.owe(
                Delivery(
                    id=str(uuid.uuid4()), adapter=adapter.name, function=BOOKING, subject=change.reference, state=State.DUE,
                    due_at=tx.now, expires=tx.now + adapter.patience_for(BOOKING, tx.now).give_up_after, created=tx.now, key=change.reference,
                    conversation=change.id, version=change.version, answer_due=adapter.answer_due,
                ),
                replaces=() if change.version == 1 else None,
            )

    def stated(self, store: Store, reference: str, version: int) -> Resources:
        """What a letter about one version of an appointment says: that version, then whom and what it is for. About a department: its times.
        About a message: that, with its files, and what it points to: the person, who wrote it, the department, what it answers, the visit.

        Not the current one: that may be the partner's own word, come while the letter waited. A newer state of ours has a letter of its
        own, and supersedes this one while nobody has tried to send it.
        """
        type_, _, id_ = reference.partition("/")
        if type_ == "HealthcareService":
            return times(store, id_)
        kept = store.version(type_, id_, version)
        if kept is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, "the version that the letter is about is not kept")
        if type_ == "Communication":
            pointed = [r for key in ("recipient", "inResponseTo", "about") for r in kept.resource.get(key) or ()]
            told = (r["reference"] for r in (kept.resource["subject"], kept.resource["sender"], *pointed))
            references = dict.fromkeys(told)
            message = filled(kept.resource, store.attachments.body)
            return Resources((message, *(self._read(store, reference) for reference in references)))
        appointment = kept.resource
        booking = Booking.of(appointment)
        return Resources((appointment, self._read(store, booking.patient), self._read(store, f"HealthcareService/{booking.department}")))

    def _read(self, store: Store, reference: str) -> Resource:
        type_, _, id_ = reference.partition("/")
        kept = store.get(type_, id_)
        if kept is None:
            raise Refused(Problem.UNKNOWN_RESOURCE, f"nothing is kept as a {type_} under the id that the letter is about")
        return kept.resource


def _same(kept: Stored, told: Stored | None) -> bool:
    """The booking says what the letter said: which slots its time lies in is the hub's own matter."""
    return told is not None and all(kept.resource.get(k) == told.resource.get(k) for k in {*kept.resource, *told.resource} - {"meta", "slot"})


def _found(tx: Transaction, speaker: Speaker, statement: Statement) -> tuple[str, Stored | None]:
    """The booking that is spoken of: by our id, which some write back in capitals, else by what the speaker calls a visit that it planned itself."""
    id_, named = which(statement, speaker.name), str(statement.appointment.get("id") or "")
    kept = tx.get("Appointment", id_)
    if kept is None and (kept := tx.get("Appointment", id_.lower())) is not None:
        return id_.lower(), kept
    if kept is None and named:
        theirs = appointment_id(speaker.name, named)
        planned = tx.get("Appointment", theirs)
        if planned is not None or "plan" in speaker.may:
            return theirs, planned
    return id_, kept


def own_times(stored: Resource | None) -> list[Span]:
    """The times that a booking has already: its own, and the confirmed one from before a move that is not answered."""
    return list(Booking.of(stored).times) if stored is not None and is_booking(stored) else []


def before_move(appointment: str) -> str:
    """Who holds the seats of a booking's confirmed time while another one is asked for."""
    return f"before-move:{appointment}"


def count_seats(tx: Transaction, slots: Collection[str]) -> None:
    """Each Slot resource as its seats are now."""
    for slot, (taken, held) in tx.seats(slots).items():
        kept = tx.get("Slot", slot)
        if kept is not None:
            tx.keep(with_taken(kept.resource, taken, held), origin="hub")
