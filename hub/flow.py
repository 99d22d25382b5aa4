"""The story in two verbs: `receive` what came in, `deliver` what is owed; what a message causes is one commit. `ask`: hub/asking.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub import resuming
from hub.adapter import Adapter, Unopened
from hub.delivery import Delivery, State, Step
from hub.keeping import Keeping, Speaker
from hub.message import Answer, Envelope, Letter, Parcel, Receipt, Resources, Verdict, answer_parcel
from hub.problem import Problem, Refused, Unavailable
from hub.settling import Settling
from hub.store import Store, Transaction
from hub.store.failpoint import reach


@dataclass(frozen=True, slots=True)
class Flow:
    """Parcels in, deliveries out."""

    store: Store
    adapters: Mapping[str, Adapter]
    keeping: Keeping
    settling: Settling
    clock: Callable[[], datetime]

    def receive(self, adapter: Adapter, parcel: Parcel) -> Answer:
        """Opens, reads, weighs and keeps one parcel; what it causes and what is answered are one commit.

        Raises:
            Unavailable: nothing was kept; the sender's own retry brings it again.
        """
        now = self.clock()
        try:
            envelope = adapter.open(parcel, now)
        except Unopened as unopened:
            return self._unopened(adapter, parcel, unopened, now)
        if envelope.enquiry is not None:  # one message handler asks another: nothing is kept
            asked = replace(envelope, enquiry=self.store.enquired(envelope.sender, envelope.enquiry))
            return Answer(Verdict(), adapter.seal.receipt(asked, None, now))
        message: Any = envelope.receipt
        refused: Refused | None = None
        if message is None:
            try:
                message = adapter.format.read(envelope)
            except Refused as why:
                refused = why
        receipt = adapter.seal.receipt(envelope, None, now)
        letter_id = str(uuid.uuid4())

        def work(tx: Transaction) -> Answer:
            if (earlier := self.settling.before(tx, adapter, envelope)) is not None:
                return earlier
            verdict = self._verdict(tx, adapter, message, refused)
            reply = self._answered(tx, adapter, envelope, verdict, receipt, letter_id)
            tx.file(envelope, adapter.name, verdict, reply, parcel)
            return Answer(verdict, reply, later=adapter.seal.acknowledges and not envelope.wants_reply)

        try:
            return self.store.write(work)
        except Refused as altered:  # the id was used before with another content, or it came too late
            return self._unopened(adapter, parcel, Unopened(altered, envelope), now)

    def _verdict(self, tx: Transaction, adapter: Adapter, message: Any, refused: Refused | None) -> Verdict:
        if refused is not None:
            return Verdict(refused.problem, refused.detail, refused.where)
        try:
            match message:
                case Resources():
                    return Verdict(about=tx.attempt(lambda: self.keeping.keep(tx, Speaker.of(adapter), message)))
                case Receipt():
                    return Verdict(about=self.settling.receipt(tx, adapter, message))
                case _:
                    raise Refused(Problem.UNKNOWN_FUNCTION, "no answer to questions is set up for this partner")
        except Refused as why:
            return Verdict(why.problem, why.detail, why.where)

    def _answered(
        self, tx: Transaction, adapter: Adapter, envelope: Envelope, verdict: Verdict, receipt: Parcel | None, letter_id: str,
    ) -> Parcel | None:
        """What goes straight back; an application receipt that cannot is owed as a letter."""
        if envelope.receipt is not None:
            return None
        letter = Letter(letter_id, envelope.conversation, "receipt", tx.now, refers_to=envelope.id)
        content = adapter.format.answer(envelope, verdict, letter)
        if adapter.answers == "reply":
            return answer_parcel(content, verdict)
        if content is not None:
            subject = verdict.about[0] if verdict.about else f"Envelope/{envelope.id}"
            tx.owe(
                Delivery(
                    id=letter_id, adapter=adapter.name, function="receipt", subject=subject, state=State.DUE, due_at=tx.now,
                    expires=tx.now + adapter.patience_for("receipt", tx.now).give_up_after, created=tx.now, conversation=envelope.conversation,
                    refers_to=envelope.id, answer_due=False,
                ),
                content,
            )
        return receipt

    def _unopened(self, adapter: Adapter, parcel: Parcel, unopened: Unopened, now: datetime) -> Answer:
        """Nothing inside was believed. What could be read of the header is filed, so that an operator sees it; the sender is told."""
        reply = adapter.seal.refusal(unopened, now)
        verdict = Verdict(unopened.problem, unopened.detail, unopened.where)
        self.store.write(lambda tx: tx.file_refused(unopened.header, adapter.name, adapter.party, verdict, reply, parcel))
        header = unopened.header
        if reply is None and header is not None and header.receipt is None and adapter.answers == "reply":
            reply = answer_parcel(adapter.format.answer(header, verdict, Letter("", "", "receipt", now)), verdict)
        return Answer(verdict, reply)

    def deliver(self, delivery: Delivery) -> Delivery:
        """One try: the letter is written and sealed once, sent, and its fate kept. Returns the delivery as it then stands."""
        adapter, now = self.adapters[delivery.adapter], self.clock()
        if now >= delivery.expires:
            return self.settling.step(adapter, delivery, Step.EXPIRED, Problem.NOT_DELIVERED.value)
        if delivery.state is not State.DUE:  # its receipt is overdue: the same letter again
            delivery = self.settling.step(adapter, delivery, Step.OVERDUE if delivery.state is State.SENT else Step.EXPIRED)
        delivery = resuming.known(adapter, delivery, now, self)
        if delivery.state is not State.DUE:
            return delivery
        try:
            delivery, parcel = self._sealed(adapter, delivery, now)
            reply = adapter.carrier.send(parcel)
        except Unavailable as later:
            return self.settling.step(adapter, delivery, Step.UNAVAILABLE, f"{Problem.UNAVAILABLE.value} {later.detail}")
        except Refused as why:
            return self.settling.step(adapter, delivery, Step.REFUSED, f"{why.problem.value} {why.detail}")
        reach("after-remote-send")
        delivery = self.settling.step(adapter, delivery, Step.SENT)
        if not adapter.seal.acknowledges:
            return self.settling.step(adapter, delivery, Step.ARRIVED)
        if reply is not None:
            self.receive(adapter, reply)
        return delivery

    def _sealed(self, adapter: Adapter, delivery: Delivery, now: datetime) -> tuple[Delivery, Parcel]:
        """The parcel: the stored one on a later try, else written from the subject's state now and stored before it leaves."""
        if delivery.parcel is not None and (stored := self.store.parcel(delivery.parcel)) is not None:
            return delivery, stored
        letter = Letter(delivery.id, delivery.conversation, delivery.function, now, delivery.expires, delivery.refers_to)
        content = self.store.content(delivery.content) if delivery.content else None
        if content is None:
            content = adapter.format.write(self.keeping.stated(self.store, delivery.subject, delivery.version), letter)
        parcel = adapter.seal.close(content, letter, now)
        return self.store.write(lambda tx: tx.keep_parcel(delivery, parcel)), parcel
