"""Owes the notices that a change of a booking causes, in its transaction: durable, tried again and seen like every letter."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from hub.access import AuditLine, Ground, Mandate, Person, Protection, Reader, Scope, may_see, protection
from hub.adapter import Adapter
from hub.booking import Booking
from hub.booking.life import What
from hub.booking.notices import GATHERED_FOR, Channel, Contact, Kind, Level, contacts, gathered, kind_of, loud, reaches, reminded_at, text
from hub.booking.notices import contact as contact_of
from hub.booking.views import is_booking
from hub.booking.waiting import Waiting
from hub.delivery import Delivery, State
from hub.message import Content, Resource
from hub.problem import Problem, Refused
from hub.store import Change, Store, Stored, Transaction
from hub.store.values import persons

PAUSE = timedelta(minutes=1)
PATIENT = timedelta(minutes=10)
"""How long a test is tried: whoever waits for it should hear soon."""
HEARD_BY = ("Patient", "RelatedPerson", "Consent")
"""What says who hears of a person, and where."""
AHEAD = timedelta(days=400)
"""Nothing is booked further ahead."""
TEST = "{}: Dette er en prøve fra drift. Du trenger ikke gjøre noe."


@dataclass(frozen=True, slots=True)
class Noticing:
    """Who is told what, over the adapters that want `notice-sms` or `notice-email`."""

    adapters: Mapping[str, Adapter]
    municipality: str
    phone: str

    def __call__(self, tx: Transaction, what: What, by_customer: bool, before: Resource | None, after: Resource) -> None:
        """Called once for each change that was kept. Without a carrier for notices nothing is owed."""
        wanted = self._wanted()
        kind = kind_of(what, by_customer, before)
        if not wanted or (kind is None and what is not What.MOVE):
            return
        booking = Booking.of(after)
        for contact in self._contacts(tx, booking.patient):
            if f"notice-{contact.channel}" not in wanted:
                continue
            if kind is not None:
                self._news(tx, contact, booking, kind)
            self._reminder(tx, contact, booking, after, booking.version > 1)

    def waiting(self, tx: Transaction, entry: Waiting, kind: Kind | None) -> None:
        """Tells somebody on the waiting list of an offer, or that the wait is over; None: an offer that they were not told of yet is off."""
        wanted = self._wanted()
        for contact in self._contacts(tx, entry.patient) if wanted else ():
            key, function, due = f"offer:{entry.id}:{contact.digest}", f"notice-{contact.channel}", loud(tx.now)
            for adapter in self._carriers(contact):
                if kind is None or not contact.wants(kind):
                    tx.withdraw(adapter.name, key, function)
                    continue
                ends = entry.offer.until if entry.offer else due + adapter.patience_for(function, tx.now).give_up_after
                tx.owe(self._delivery(tx, adapter, contact, entry, kind, key, due, ends), self._content(contact, kind))

    def missed(self, tx: Transaction, series: Stored) -> None:
        """Tells that visits of a series could not be booked; the newest such notice of a series counts."""
        wanted, person = self._wanted(), str(series.resource["subject"]["reference"])
        for contact in self._contacts(tx, person) if wanted else ():
            key, function, due = f"missed:{series.id}:{contact.digest}", f"notice-{contact.channel}", loud(tx.now)
            for adapter in self._carriers(contact) if contact.wants(Kind.MISSED) else ():
                ends = due + adapter.patience_for(function, tx.now).give_up_after
                tx.owe(self._delivery(tx, adapter, contact, series, Kind.MISSED, key, due, ends), self._content(contact, Kind.MISSED))

    def written(self, tx: Transaction, message: Stored) -> None:
        """Tells that the service wrote to somebody: them, and the relatives who may both hear of things and read messages. One notice for what
        comes to a thread within GATHERED_FOR."""
        wanted, person = self._wanted(), str(message.resource["subject"]["reference"])
        thread = next((str(r["reference"]) for r in message.resource.get("partOf") or ()), message.reference)
        for contact in self._contacts(tx, person, Scope.READ_MESSAGES) if wanted else ():
            key, function, due = f"message:{thread}:{contact.digest}", f"notice-{contact.channel}", loud(tx.now + GATHERED_FOR)
            for adapter in self._carriers(contact) if contact.wants(Kind.MESSAGE) else ():
                ends = due + adapter.patience_for(function, tx.now).give_up_after
                tx.owe(self._delivery(tx, adapter, contact, message, Kind.MESSAGE, key, due, ends), self._content(contact, Kind.MESSAGE))

    def follow(self, tx: Transaction) -> None:
        """After every transaction (`Store.on_changed`): whoever has another number, or wants to hear more, or hears of somebody by a new mandate, is
        reminded of what is booked already. What is owed to a number that nobody has any more does not leave."""
        if not self._wanted():
            return
        persons_ = dict.fromkeys(_heard_of(change) for change in tx.changes if change.type in HEARD_BY and _tells_anew(tx, change))
        for person in persons_:
            found = [k for k in tx.find("Appointment", patient=person, date=(tx.now, tx.now + AHEAD)) if is_booking(k.resource)]
            for contact in self._contacts(tx, person) if found else ():
                for kept in found:
                    self._reminder(tx, contact, Booking.of(kept.resource), kept.resource, True)

    def leaves(self, tx: Transaction, delivery: Delivery) -> datetime | None:
        """When a notice that is due may leave: now, or when the quiet hours are over, however long it was on its way. None: not any more.

        Who is told is asked again: meanwhile a mandate may have ended, a number may be somebody else's, and people change their minds.
        """
        if not delivery.key or delivery.key.startswith("test:"):
            return tx.now
        kept = tx.get(*delivery.subject.partition("/")[::2])
        if kept is None or kept.deleted:
            return None
        digest, kind = delivery.key.rpartition(":")[2], next((k for k in Kind if k == delivery.note), None)  # a failed try has its own note
        scope = Scope.READ_MESSAGES if delivery.key.startswith("message:") else Scope.NOTICES
        told = [c for person in persons([kept]) for c in self._contacts(tx, person, scope) if c.digest == digest]
        return loud(tx.now) if any(kind is None or c.wants(kind) for c in told) else None

    def channels(self) -> tuple[Channel, ...]:
        """Those that an adapter carries."""
        return tuple(channel for channel in Channel if f"notice-{channel}" in self._wanted())

    def test(self, store: Store, channel: str, address: str, by: str) -> str:
        """Sends an operator's test to a number or an e-mail address of their own; the delivery's id. The address is kept in the encrypted
        content alone. One a minute for each operator.

        Raises:
            Refused: INVALID: nothing carries this, or the address is none; TOO_MANY.
        """
        contact = Contact(Channel(channel), address, Level.NORMAL) if channel in self.channels() and reaches(channel, address) else None
        if contact is None:
            raise Refused(Problem.INVALID, "no number, or no e-mail address, that a notice can be sent to")
        (adapter, *_), made = self._carriers(contact), str(uuid.uuid4())

        def work(tx: Transaction) -> None:
            if not tx.first_time(f"notice-test|{by}|{tx.now:%Y%m%d%H%M}", tx.now + PAUSE):
                raise Refused(Problem.TOO_MANY, "one test a minute")
            content = orjson.dumps({"to": contact.address, "text": TEST.format(self.municipality)})
            tx.owe(Delivery(
                id=made, adapter=adapter.name, function=f"notice-{contact.channel}", subject="", state=State.DUE, due_at=tx.now,
                expires=tx.now + PATIENT, created=tx.now, key=f"test:{made}", conversation=made, answer_due=False, note="test",
            ), Content(content, "application/json"))
            tx.audit(AuditLine(tx.now, "", by, Ground.OPERATOR.value, f"test-{contact.channel}", "", "console"))

        store.write(work)
        return made

    def _wanted(self) -> set[str]:
        return {word for adapter in self.adapters.values() for word in adapter.wants if word.startswith("notice-")}

    def _contacts(self, tx: Transaction, person: str, scope: Scope = Scope.NOTICES) -> list[Contact]:
        patient = tx.get("Patient", person.partition("/")[2])
        if patient is None:
            return []
        return contacts(patient.resource, _told(tx, patient.resource, person, scope))

    def _news(self, tx: Transaction, contact: Contact, booking: Booking, kind: Kind) -> None:
        """What happened within GATHERED_FOR, or in a quiet night, as one notice (`gathered`), where that is wanted."""
        key, function = f"news:{booking.department}:{contact.digest}", f"notice-{contact.channel}"
        for adapter in self._carriers(contact):
            earlier = tx.untried(adapter.name, key, function)
            told = gathered(((d.note, d.conversation) for d in earlier), kind, booking.id)
            if not contact.wants(told):
                continue
            due = loud(tx.now + GATHERED_FOR)
            ends = due + adapter.patience_for(function, tx.now).give_up_after
            tx.owe(self._delivery(tx, adapter, contact, booking, told, key, due, ends), self._content(contact, told), replaces=earlier)

    def _reminder(self, tx: Transaction, contact: Contact, booking: Booking, after: Resource, owed: bool) -> None:
        """One per visit, at its newest time; gone with the visit. `owed`: there may be one already."""
        key, function = f"reminder:{booking.id}:{contact.digest}", f"notice-{contact.channel}"
        wanted = booking.active and not booking.planned and contact.wants(Kind.REMINDER)
        when = reminded_at(after, tx.now) if wanted else None
        for adapter in self._carriers(contact):
            earlier = tx.untried(adapter.name, key, function) if owed else []
            if when is None or booking.status not in ("pending", "booked"):
                if earlier:
                    tx.withdraw(adapter.name, key, function)
            elif not any(d.due_at == when[0] for d in earlier):
                made = self._delivery(tx, adapter, contact, booking, Kind.REMINDER, key, *when)
                tx.owe(made, self._content(contact, Kind.REMINDER), replaces=earlier)

    def _carriers(self, contact: Contact) -> list[Adapter]:
        return [adapter for adapter in self.adapters.values() if f"notice-{contact.channel}" in adapter.wants]

    def _content(self, contact: Contact, kind: Kind) -> Content:
        return Content(orjson.dumps({"to": contact.address, "text": text(kind, self.municipality, self.phone)}), "application/json")

    def _delivery(
        self, tx: Transaction, adapter: Adapter, contact: Contact, about: Booking | Waiting | Stored, kind: Kind, key: str, due: datetime,
        ends: datetime,
    ) -> Delivery:
        subject = about.reference if isinstance(about, Stored) else f"Appointment/{about.id}"
        return Delivery(
            id=str(uuid.uuid4()), adapter=adapter.name, function=f"notice-{contact.channel}", subject=subject, state=State.DUE,
            due_at=due, expires=ends, created=tx.now, key=key, conversation=about.id, version=about.version, answer_due=False,
            note=kind.value,
        )


def _tells_anew(tx: Transaction, change: Change) -> bool:
    """Somebody may hear now who did not: not of what moved in, which is no news, nor of a person whose contact is what it was."""
    if change.deleted or change.origin == "import":
        return False
    if change.type == "Consent":
        return True
    before = tx.version(change.type, change.id, change.version - 1) if change.version > 1 else None
    return before is not None and not before.deleted and contact_of(before.resource) != contact_of(change.resource)


def _heard_of(change: Change) -> str:
    """`Patient/…` whom it is about."""
    return change.reference if change.type == "Patient" else str((change.resource.get("patient") or {}).get("reference", ""))


def _told(tx: Transaction, patient: Resource, person: str, scope: Scope) -> list[Resource]:
    """The relatives whose mandate gives notices now, and what they are about (`scope`). Nobody is told of a protected person, and no
    protected person is told."""
    if protection(patient) is not Protection.OPEN:
        return []
    found = []
    for kept in tx.find("Consent", patient=person):
        mandate = Mandate.of(kept.resource)
        for holder in mandate.holders:
            relative = tx.get("RelatedPerson", holder.partition("/")[2])
            if relative is not None and not relative.deleted:
                reader = Reader(holder, mandate.ground, mandate, protection(relative.resource))
                if all(may_see(reader, Person.of(patient), each, tx.now) for each in (Scope.NOTICES, scope)):
                    found.append(relative.resource)
    return found
