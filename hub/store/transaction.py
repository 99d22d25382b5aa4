"""A Transaction: everything done in it is committed together, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from hub.access import AuditLine
from hub.delivery import BLOCKING, Delivery, State, Step
from hub.fhir.query import Entries, Query
from hub.message import LONGEST_ID, Content, Envelope, Parcel, Resource, Verdict
from hub.problem import Problem, Refused
from hub.store import auditing, deliveries, exporting, letters, loading, resources, searching, seats, trail
from hub.store.db import Connection
from hub.store.drafts import Drafts
from hub.store.exporting import Export
from hub.store.feeds import Feeds
from hub.store.secrets import Secrets
from hub.store.seen import Seen, finding
from hub.store.values import Bounds, Change, Earlier, Page, Stored, micros, moment

T = TypeVar("T")


@dataclass(slots=True)
class Transaction:
    """What a work function is given. Sees what was written before it in the same commit."""

    connection: Connection
    secrets: Secrets
    entries: Callable[[Resource], Entries]
    now: datetime
    owed: bool = field(default=False, init=False)
    """Something became due: the worker is woken after the commit."""
    changes: list[Change] = field(default_factory=list, init=False)
    """Every version that was made here, in order."""
    putting: bool = field(default=False, init=False)
    """What is made now, a client's PUT makes: the history says so of its first version."""
    _seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self._seen = Seen(self.connection, self.secrets)

    def get(self, type_: str, id_: str, /) -> Stored | None:
        if type_ == trail.TYPE:
            return trail.get(self.connection, id_)
        current = self._seen.current(type_, id_)
        return current[0] if current else None

    def version(self, type_: str, id_: str, number: int) -> Stored | None:
        return resources.version(self.connection, type_, id_, number)

    def history(self, type_: str, id_: str) -> list[Stored]:
        """Newest first."""
        return resources.history(self.connection, type_, id_)

    def log(self, type_: str, bounds: Bounds, before: int, limit: int) -> list[Stored]:
        """As `Store.log`."""
        return resources.log(self.connection, type_, bounds, before, limit)

    def newest(self) -> int:
        """The sequence number of the last change, those of this transaction included."""
        return self.stands()[0]

    def stands(self) -> tuple[int, datetime]:
        """The place of the last change, and the time of now: later than that of every change, and not later than any that comes."""
        following, at = resources.place(self.connection, self.now, 0)
        return following - 1, moment(at)

    def search(self, query: Query) -> Page:
        return searching.searched(self.connection, query, self.entries)

    def find(
        self, type_: str, /, *, identifier: str = "", patient: str = "", status: str = "", refers: tuple[str, str] | None = None,
        date: tuple[datetime, datetime] | None = None,
    ) -> list[Stored]:
        """Resources by index: `identifier` (alone) is `system|value`, `patient` a reference, `refers` (search parameter, reference), `date`
        bounds the main time, [from, until)."""
        bounds = (micros(date[0]), micros(date[1])) if date else None
        if identifier:
            return self._seen.named(type_, *identifier.rpartition("|")[::2])
        if patient and not status and not refers:
            return self._seen.of_patient(type_, patient.partition("/")[2], bounds)
        return self.search(finding(type_, patient, status, refers, bounds)).entries

    def keep(self, resource: Resource, *, origin: str, expect: int | None = None, fresh: bool = False) -> Change:
        """A new version; the stored one back when nothing but meta differs. `fresh`: its id was made just now, so nothing can be there.

        Raises:
            Refused: OUT_OF_DATE when `expect` is not the current version (0: there must be none).
        """
        type_, id_ = resource["resourceType"], resource["id"]
        before = None if fresh else self._seen.current(type_, id_)
        if expect is not None and expect != (before[0].version if before else 0):
            raise Refused(Problem.OUT_OF_DATE, f"the current version is {before[0].version if before else 0}")
        kept = resources.keep(self.connection, resource, origin, before, self.now, self.entries, self.putting)
        if kept is not before:
            self._seen.made(kept)
            self.changes.append(kept[0])
        return kept[0]

    def load(self, batch: Sequence[loading.Prepared], *, origin: str) -> loading.Loaded:
        """First versions of many new resources, as `keep` makes them, and much faster; what is there already stays as it is."""
        self._seen.forget()
        loaded = loading.load(self.connection, batch, origin, self.now)
        self.changes += loaded.kept
        return loaded

    def remove(self, kept: Stored, *, origin: str) -> Change:
        """Deletes a resource; its history stays. Raises Refused IN_USE while something that is kept points to it."""
        if resources.referred(self.connection, kept.type, kept.id):
            raise Refused(Problem.IN_USE, "other resources point to it")
        gone = resources.remove(self.connection, kept, origin, self.now)
        self._seen.forget()
        self.changes.append(gone)
        return gone

    def take_seat(self, slot: str, holder: str, capacity: int, until: datetime | None = None) -> None:
        """A seat in a slot, for good or held `until`; the one it already has counts.

        Raises:
            Refused: FULL when all `capacity` seats are taken or held.
        """
        seats.take(self.connection, slot, holder, capacity, self.now, until)

    def free_seats(self, holder: str) -> list[str]:
        """Gives back every seat of a holder; the slots they were in."""
        return seats.give_back(self.connection, holder)

    def move_seats(self, wanted: Mapping[str, tuple[Sequence[str], datetime | None]]) -> list[str]:
        """Holder → the slots of its seats from now on, beyond any capacity, and until when; the slots that were touched."""
        return seats.move(self.connection, wanted)

    def hand_seats(self, holder: str, slots: Iterable[str], to: str) -> None:
        """Gives the holder's seats in these slots to another holder, who has none there."""
        for slot in slots:
            self.connection.run("update seat set holder = ? where holder = ? and slot = ?", (to, holder, slot))

    def free_expired(self) -> list[str]:
        """Gives back seats whose hold ran out; the slots they were in."""
        return seats.expire(self.connection, self.now)

    def empty_seats(self) -> None:
        """Gives back every seat of everybody: only the sandbox does."""
        self.connection.run("delete from seat")

    def seats_taken(self, slot: str, /) -> int:
        """Taken for good, or held now."""
        return self.seats([slot])[slot][0]

    def seats(self, slots: Collection[str], /) -> dict[str, tuple[int, int]]:
        """For each of these slots how many seats are taken for good or held now, and how many of them only held."""
        return seats.counts(self.connection, slots, self.now)

    def seats_between(self, first: str, last: str) -> dict[str, int]:
        """Seats taken or held now per slot, for slot ids in [first, last]; a slot without any is not there."""
        return seats.taken_between(self.connection, first, last, self.now)

    def held(self, holder: str) -> dict[str, datetime]:
        """The slots in which this holder has a seat that is only held, and until when; what ran out is not there."""
        return seats.held(self.connection, holder, self.now)

    def attempt(self, work: Callable[[], T]) -> T:
        """Runs `work`; when it raises Refused, what it did so far is undone and the rest of the transaction goes on."""
        before = len(self.changes)
        try:
            return self.connection.attempt(work)
        except Refused:
            del self.changes[before:]
            raise

    def earlier(self, envelope: Envelope) -> Earlier | None:
        """What was answered the first time; None: it is new. Raises Refused ALTERED_DUPLICATE."""
        return letters.earlier(self.connection, self.secrets, envelope)

    def file(self, envelope: Envelope, adapter: str, verdict: Verdict, reply: Parcel | None, parcel: Parcel | None) -> int:
        """Files what came, what was thought of it and what went back, with the raw bytes; its key."""
        content_id = letters.put_parcel(self.connection, self.secrets, parcel, self.now) if parcel else None
        reply_id = letters.put_parcel(self.connection, self.secrets, reply, self.now) if reply else None
        key = letters.file(self.connection, envelope, adapter, verdict, self.now, content_id, reply_id)
        text = f"{verdict.problem.value} {verdict.detail}" if verdict.problem else envelope.function
        for about in verdict.about or (f"Appointment/{envelope.conversation}",):
            deliveries.step(
                self.connection, self.now, about, "refused" if verdict.problem else "received", text, None, key, adapter,
            )
        return key

    def file_refused(
        self, header: Envelope | None, adapter: str, party: str, verdict: Verdict, reply: Parcel | None, parcel: Parcel,
    ) -> int:
        """Files a parcel that could not be opened, under an id of its own: what failed its checks must never block a real id."""
        base = header or Envelope("", party, "", "", Content(parcel.body, ""))
        own = letters.fresh_id()
        content_id = letters.put_parcel(self.connection, self.secrets, parcel, self.now)
        reply_id = letters.put_parcel(self.connection, self.secrets, reply, self.now) if reply else None
        named = replace(base, id=f"{own} ({base.id[:LONGEST_ID]})" if base.id else own, sender=base.sender[:LONGEST_ID])
        return letters.file(self.connection, named, adapter, verdict, self.now, content_id, reply_id)

    def owe(self, delivery: Delivery, content: Content | None = None, *, replaces: Sequence[Delivery] | None = None) -> Delivery:
        """A new delivery. The newest state wins: those that it `replaces` are superseded (None: what is `untried` with its key)."""
        if content is not None:
            delivery = replace(delivery, content=letters.put_content(self.connection, self.secrets, content, self.now))
        if replaces is None:
            replaces = deliveries.untried(self.connection, delivery.adapter, delivery.key, delivery.function)
        deliveries.insert(self.connection, delivery)
        for old in replaces:
            deliveries.superseded(self.connection, old, delivery.id, self.now)
        deliveries.step(self.connection, self.now, delivery.subject, "owed", delivery.function, delivery.id, None, delivery.adapter)
        self.owed = True
        return delivery

    def untried(self, adapter: str, key: str, function: str) -> list[Delivery]:
        """Deliveries with this key that are due, never tried and in nobody's hands: what a newer one would replace."""
        return deliveries.untried(self.connection, adapter, key, function)

    def untouched(self, id_: str) -> Delivery | None:
        """A delivery, as long as it is due, never tried and in nobody's hands: what one with more in it may replace."""
        return deliveries.untouched(self.connection, id_)

    def withdraw(self, adapter: str, key: str, function: str) -> None:
        """What is untried is not sent any more, and nothing in its place."""
        for old in self.untried(adapter, key, function):
            deliveries.superseded(self.connection, old, "", self.now)

    def withdraw_all(self, adapter: str) -> None:
        """Nothing that is due or sent to this adapter is sent any more."""
        deliveries.withdraw(self.connection, "adapter", adapter, self.now)

    @property
    def feeds(self) -> Feeds:
        """The live subscriptions."""
        return Feeds(self.connection, self.secrets)

    @property
    def drafts(self) -> Drafts:
        return Drafts(self.connection, self.secrets, self.now)

    def delivery(self, id_: str) -> Delivery | None:
        return deliveries.get(self.connection, id_)

    def parcel(self, id_: str) -> Parcel | None:
        """Stored bytes; None when they are past their time."""
        return letters.parcel(self.connection, self.secrets, id_)

    def settle(self, after: Delivery, before: Delivery, step: Step, note: str = "") -> None:
        """The delivery's new state, and the line that tells of it."""
        deliveries.update(self.connection, after, before)
        deliveries.step(self.connection, self.now, after.subject, step.value, note, after.id, None, after.adapter)
        if after.state is State.DUE or (after.key is not None and before.state in BLOCKING and after.state not in BLOCKING):
            self.owed = True  # it goes again, or what waited behind it may go now

    def let_go(self, claimed: Iterable[Delivery], until: datetime | None = None) -> None:
        """What was claimed and not tried may be claimed by anybody, now or from `until` on."""
        deliveries.let_go(self.connection, [delivery.id for delivery in claimed], until)
        self.owed = True

    def keep_parcel(self, delivery: Delivery, parcel: Parcel) -> Delivery:
        """The sealed bytes, so that every later try sends the same."""
        sealed = replace(delivery, parcel=letters.put_parcel(self.connection, self.secrets, parcel, self.now))
        self.connection.run("update delivery set parcel = ? where id = ?", (sealed.parcel, sealed.id))
        return sealed

    def first_time(self, key: str, until: datetime) -> bool:
        """True when nobody used `key` before (shared by every process on this database); it is remembered until `until`."""
        return self.connection.run(
            "insert into used_once (key, until) values (?, ?) on conflict (key) do update set until = excluded.until"
            " where used_once.until <= ?", (key, micros(until), micros(self.now)),
        ) == 1

    def remember(self, name: str, value: str) -> None:
        """A small fact of the house."""
        self.connection.run(
            "insert into house_note (name, value, at) values (?, ?, ?) on conflict (name) do update set value = excluded.value, at = excluded.at",
            (name, value, micros(self.now)),
        )

    def recall(self, name: str) -> str:
        """What was remembered; empty when nothing was."""
        row = self.connection.row("select value from house_note where name = ?", (name,))
        return str(row[0]) if row else ""

    def export(self, export: Export) -> None:
        """A new export."""
        exporting.add(self.connection, export)

    def end_export(self, id_: str, owner: str) -> bool:
        """Lets go of an export of this owner; False: there is none."""
        return exporting.remove(self.connection, id_, owner)

    def note(self, reference: str, kind: str, text: str, *, delivery: str | None = None, origin: str = "") -> None:
        """A line of the timeline."""
        deliveries.step(self.connection, self.now, reference, kind, text, delivery, None, origin)

    def audit(self, *lines: AuditLine) -> None:
        """Lines of the access log that belong to this write."""
        auditing.insert(self.connection, lines)
