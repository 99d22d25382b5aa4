"""What a person, or whoever represents them, writes, and what an employee answers; followed until the service has it.

One transaction for each: the Communication, the letter that takes it to the service, the notice and the access log's line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import NAMESPACE_URL, uuid5

from hub.access import AuditLine, Protection, Reader, protection
from hub.adapter import Adapter
from hub.booking import Department
from hub.booking.attachments import File, Limits
from hub.booking.clock import begin, local
from hub.booking.messages import (
    MOST_A_DAY,
    RECEIVED,
    SENDING,
    Post,
    Thread,
    begun,
    conversation,
    from_service,
    instant,
    is_message,
    not_taken,
    proper,
    read,
    taken,
    threads,
)
from hub.delivery import Delivery, State
from hub.dialogue.attaching import attach
from hub.dialogue.threads import MANY, begun_by, owned, thread_in, visit_of
from hub.fhir.query import Query, ReferenceIs, SortKey, TokenIs
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Change, Store, Stored, Transaction

FUNCTION = "message"
"""The function (a row in mappings/functions.toml) by which a message goes to the service's system; an adapter `wants` it."""
LIST = 5_000
"""Messages that the list of a department's threads is made of, beside all that nobody has opened."""
CLIENT = "vendor:"
"""What the origin begins with of what a client of the FHIR API wrote."""
_LOST = (State.REJECTED, State.FAILED, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wrote. `key` is the form's own: the same again is the same message, and other words in it are another."""

    key: str
    text: str
    thread: str = ""
    """Id of the thread that it belongs to; empty: a new one, with the rest."""
    department: str = ""
    topic: str = ""
    visit: str = ""
    """Id of the visit that it is about; empty: none."""
    files: tuple[File, ...] = ()

    def message(self, reader: Reader, person: str) -> str:
        """The id of the message that this is."""
        files = (sha256(file.body).hexdigest() for file in self.files)
        said = ("message", reader.reference, person, self.key, self.thread, self.department, self.topic, self.text, *files)
        return str(uuid5(NAMESPACE_URL, "|".join(said)))


@dataclass(frozen=True, slots=True)
class Messaging:
    """The verbs."""

    store: Store
    adapters: Mapping[str, Adapter]
    check: Callable[[Resource], None]
    """As `Keeping.check`."""
    notify: Callable[[Transaction, Change], None] = lambda *_: None
    """Owes the notices of a message from the service (hub.noticing)."""
    limits: Limits = Limits()

    def receiver(self, department: str) -> Adapter | None:
        """The partner that a department's messages are sent to: one alone, since what is written is for nobody else. None: its staff read
        them in the console."""
        found = (a for a in self.adapters.values() if FUNCTION in a.wants and (not a.departments or department in a.departments))
        return next(found, None)

    def open_to(self, department: Department, person: Protection) -> bool:
        """The department takes messages from somebody so protected. Who has a protected address is shown to nobody in the console, so there
        must be a system that takes them."""
        return department.active and bool(department.topics) and (person is Protection.OPEN or self.receiver(department.code) is not None)

    def of(self, person: str) -> list[Thread]:
        """A person's threads, the newest first."""
        kind, _, id_ = person.partition("/")
        return threads(s.resource for s in self.store.search(Query("Communication", (ReferenceIs("subject", ((kind, id_),)),), count=MANY)).entries)

    def to(self, departments: Iterable[str]) -> list[Thread]:
        """The threads of departments, the newest first: of what nobody opened all, of the rest those with the newest messages."""
        wanted = tuple(("HealthcareService", code) for code in departments)
        if not wanted:
            return []
        newest = (SortKey("at", descending=True),)
        found = [s for name in ("recipient", "sender")
                 for s in self.store.search(Query("Communication", (ReferenceIs(name, wanted),), count=LIST, sort=newest)).entries]
        return threads({s.id: s.resource for s in (*found, *self._unopened(wanted))}.values())

    def unopened(self, departments: Iterable[str]) -> int:
        """How many messages to these departments nobody has had before them."""
        wanted = tuple(("HealthcareService", code) for code in departments)
        return sum(is_message(s.resource) for s in self._unopened(wanted)) if wanted else 0

    def _unopened(self, wanted: tuple[tuple[str, str], ...]) -> list[Stored]:
        waiting = (ReferenceIs("recipient", wanted), TokenIs("status", ((None, SENDING),)))
        return self.store.search(Query("Communication", waiting, count=MANY)).entries

    def thread(self, id_: str) -> Thread | None:
        """One thread, whole; None: there is none."""
        return begun_by(self.store.get("Communication", id_), self.of)

    def write(self, reader: Reader, person: str, draft: Draft, signed: str = "") -> str:
        """Keeps what a person, or whoever represents them (`signed`), wrote, and sends it on; the thread's id.

        Raises:
            Refused: MESSAGE_LENGTH, MESSAGES_TODAY, NO_MESSAGES, UNKNOWN_THREAD, UNKNOWN_BOOKING, INVALID (no such topic), and as `attach`.
        """
        id_ = draft.message(reader, person)

        def work(tx: Transaction) -> str:
            if (again := tx.get("Communication", id_)) is not None:
                return Post.of(again.resource).thread
            text = proper(draft.text)
            self._today(tx, reader, person)
            thread = owned(tx, person, draft.thread) if draft.thread else None
            department = self._department(tx, thread.department if thread else draft.department, person)
            if thread is None and draft.topic not in department.topics:
                raise Refused(Problem.INVALID, "a topic that the department does not have", "Communication.topic")
            made: Resource = {
                **begun(id_, SENDING, person, thread, thread.topic if thread else draft.topic, text, tx.now),
                "sender": {"reference": reader.reference, **({"display": signed} if signed else {})},
                "recipient": [{"reference": f"HealthcareService/{department.code}"}],
            }
            if draft.visit:
                made["about"] = [{"reference": visit_of(tx, person, draft.visit)}]
            change = self._keep(tx, attach(tx, made, draft.files, self.limits), "portal", reader, "message-sent", "portal")
            tx.drafts.drop(reader.reference, person, draft.thread)
            self._owe(tx, change, thread)
            return thread.id if thread else id_

        return self.store.write(work)

    def begun(self, reader: Reader, person: str, thread: str = "") -> dict[str, str]:
        """What was begun in a thread, or as a new message, and saved: the fields of its form. Empty when nothing was."""
        return self.store.drafts(lambda drafts: drafts.get(reader.reference, person, thread))

    def save(self, reader: Reader, person: str, thread: str, fields: Mapping[str, str]) -> None:
        """Keeps what is begun, for whoever writes it alone, until it is sent; no `fields`: it is thrown away."""

        def work(tx: Transaction) -> None:
            if not fields:
                return tx.drafts.drop(reader.reference, person, thread)
            tx.drafts.keep(reader.reference, person, thread, fields)
            tx.audit(AuditLine(tx.now, person, reader.reference, reader.ground.value, "message-draft", reader.on_behalf_of, "portal"))

        self.store.write(work)

    def answer(self, reader: Reader, id_: str, draft: Draft) -> None:
        """Keeps what an employee answered in a thread.

        Raises:
            Refused: MESSAGE_LENGTH, UNKNOWN_THREAD, and as `attach`.
        """
        made_id = draft.message(reader, id_)

        def work(tx: Transaction) -> None:
            thread = thread_in(tx, id_)
            if thread is None:
                raise Refused(Problem.UNKNOWN_THREAD, "no such thread")
            if tx.get("Communication", made_id) is None:
                made = from_service(made_id, thread.messages[0].patient, thread.department, thread, thread.topic, proper(draft.text), tx.now)
                made = attach(tx, made, draft.files, self.limits)
                self.notify(tx, self._keep(tx, made, reader.reference, reader, "message-sent", "console"))

        self.store.write(work)

    def opened(self, thread: Thread) -> None:
        """An employee has the thread before them: the service has what was written."""
        if waiting := [m.id for m in thread.messages if m.status == SENDING and not m.from_service]:
            self.store.write(lambda tx: self._receive(tx, waiting, taken, "console"))

    def read(self, thread: Thread, reader: str) -> None:
        """`reader` has the thread before them: nothing in it is new to them any more."""
        ids = [m.id for m in thread.unread(reader)]

        def work(tx: Transaction) -> None:
            for kept in (tx.get("Communication", id_) for id_ in ids):
                if kept is not None and not kept.deleted and reader not in Post.of(kept.resource).read_by:
                    tx.keep(read(kept.resource, reader, instant(tx.now)), origin="portal")

        if ids:
            self.store.write(work)

    def follow(self, tx: Transaction) -> None:
        """After every transaction: what a client of the FHIR API wrote to a person is told like any other message (`Store.on_changed`)."""
        for change in tx.changes:
            if change.type == "Communication" and change.version == 1 and change.origin.startswith(CLIENT) and is_message(change.resource):
                self.notify(tx, change)

    def settled(self, tx: Transaction, before: Delivery, after: Delivery) -> None:
        """What became of the letter that a message went by (`Settling.moved`)."""
        if after.function != FUNCTION or after.state is before.state:
            return
        if after.state is State.ACCEPTED:
            self._receive(tx, [after.subject.partition("/")[2]], taken, after.adapter)
        elif after.state in _LOST:
            self._receive(tx, [after.subject.partition("/")[2]], lambda resource, _: not_taken(resource), after.adapter)

    def _keep(self, tx: Transaction, made: Resource, origin: str, reader: Reader, kind: str, channel: str) -> Change:
        self.check(made)
        change = tx.keep(made, origin=origin)
        tx.audit(AuditLine(tx.now, made["subject"]["reference"], reader.reference, reader.ground.value, kind, reader.on_behalf_of, channel))
        return change

    def _receive(self, tx: Transaction, ids: Iterable[str], how: Callable[[Resource, str], Resource], by: str) -> None:
        """A version more of each that is not known to be received already."""
        for kept in (tx.get("Communication", id_) for id_ in ids):
            if kept is not None and not kept.deleted and kept.resource.get("status") != RECEIVED:
                tx.keep(how(kept.resource, instant(tx.now)), origin=by)

    def _owe(self, tx: Transaction, change: Change, thread: Thread | None) -> None:
        """One letter to whom the department's messages go. Every message is sent, so none replaces another."""
        message = Post.of(change.resource)
        adapter = self.receiver(message.department)
        if adapter is None:
            return
        first = tx.get("Communication", thread.id) if thread else change
        tx.owe(Delivery(
            id=change.id, adapter=adapter.name, function=FUNCTION, subject=change.reference, state=State.DUE, due_at=tx.now,
            expires=tx.now + adapter.patience_for(FUNCTION, tx.now).give_up_after, created=tx.now, key=f"Communication/{message.thread}",
            conversation=conversation(first.resource if first else change.resource), version=change.version, answer_due=adapter.answer_due,
        ), replaces=())

    def _today(self, tx: Transaction, reader: Reader, person: str) -> None:
        day = local(tx.now).date()
        sent = [s.resource for s in tx.find("Communication", refers=("sender", reader.reference), patient=person)]
        if sum(is_message(r) and local(begin(r["sent"])).date() == day for r in sent) >= MOST_A_DAY:
            raise Refused(Problem.MESSAGES_TODAY, f"at most {MOST_A_DAY} messages a day")

    def _department(self, tx: Transaction, code: str, person: str) -> Department:
        """One that takes messages from this person. Raises Refused NO_MESSAGES."""
        kept, patient = tx.get("HealthcareService", code), tx.get("Patient", person.partition("/")[2])
        department = Department.of(kept.resource) if kept is not None and not kept.deleted else None
        if department is None or not self.open_to(department, protection(patient.resource if patient else None)):
            raise Refused(Problem.NO_MESSAGES, "the department takes no messages", "Communication.recipient")
        return department
