"""The story's first verb: `receive` what came in; what a message causes is one commit. `deliver`: hub/delivering.py. `ask`: hub/asking.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from hub.adapter import Adapter, Unopened
from hub.delivery import Delivery, State
from hub.keeping import Keeping, Speaker
from hub.message import Answer, Envelope, Letter, Parcel, Receipt, Resources, Verdict, answer_parcel
from hub.problem import Problem, Refused
from hub.settling import Settling
from hub.store import Lacking, Store, Transaction


@dataclass(frozen=True, slots=True)
class Flow:
    """Parcels in."""

    store: Store
    adapters: Mapping[str, Adapter]
    keeping: Keeping
    settling: Settling
    clock: Callable[[], datetime]
    elsewhen: Callable[[Exception], Exception] = lambda trouble: trouble
    """Tells other free times with a refusal (`hub.elsewhen`), where a shop waits for the answer; never within a transaction."""

    def receive(self, adapter: Adapter, parcel: Parcel) -> Answer:
        """Opens, reads, weighs and keeps one parcel; what it causes and what is answered are one commit.

        Raises:
            Unavailable: nothing was kept; the sender's own retry brings it again.
        """
        return self.store.write(self.opened(adapter, parcel))

    def receive_all(self, arrived: Iterable[tuple[Adapter, Parcel]]) -> list[Future[Answer]]:
        """As `receive`, each for itself and all in one commit. Done when it returns."""
        return self.store.write_all([self._opened(adapter, parcel) for adapter, parcel in arrived])

    def _opened(self, adapter: Adapter, parcel: Parcel) -> Callable[[Transaction], Answer]:
        """As `opened`; what that raises, the work raises."""
        try:
            return self.opened(adapter, parcel)
        except Exception as trouble:
            raised = trouble

        def work(tx: Transaction) -> Answer:
            raise raised

        return work

    def opened(self, adapter: Adapter, parcel: Parcel) -> Callable[[Transaction], Answer]:
        """One parcel, opened and read before any transaction begins; what is returned weighs and keeps it in one. Raises Unavailable."""
        now = self.clock()
        try:
            envelope = adapter.open(parcel, now)
        except Unopened as unopened:
            return self._unopened(adapter, parcel, unopened, now)
        if envelope.enquiry is not None:  # one message handler asks another: nothing is kept
            asked = replace(envelope, enquiry=self.store.enquired(envelope.sender, envelope.enquiry))
            told = Answer(Verdict(), adapter.seal.receipt(asked, None, now), later=adapter.answers_later(envelope))
            return lambda tx: told
        message: Any = envelope.receipt
        refused: Refused | None = None
        if message is None:
            try:
                message = adapter.format.read(envelope)
            except Refused as why:
                refused = why
        receipt = adapter.seal.receipt(envelope, None, now)
        letter_id = str(uuid.uuid4())
        looked: list[Exception] = []

        def work(tx: Transaction) -> Answer:
            try:
                earlier = self.settling.before(tx, adapter, envelope)
            except Refused as altered:  # the id was used before with another content, or it came too late
                return self._unopened(adapter, parcel, Unopened(altered, envelope), now)(tx)
            if earlier is not None:
                return earlier
            verdict = self._verdict(tx, adapter, message, refused, looked)
            reply = receipt if isinstance(message, Receipt) else self._answered(tx, adapter, envelope, verdict, receipt, letter_id)
            tx.file(envelope, adapter.name, verdict, reply, parcel)
            return Answer(verdict, reply, later=adapter.answers_later(envelope))

        return work

    def _verdict(self, tx: Transaction, adapter: Adapter, message: Any, refused: Refused | None, looked: list[Exception]) -> Verdict:
        """`looked`: the refusal of a run before, with what else was free. Raises Lacking until that was looked for."""
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
            if adapter.answers == "reply" and isinstance(why.asked, tuple) and not looked:
                raise Lacking("other free times", partial(_look, self.elsewhen, why, looked)) from why
            instead = next((earlier.instead for earlier in looked if isinstance(earlier, Refused) and earlier.problem is why.problem), why.instead)
            return Verdict(why.problem, why.detail, why.where, instead=instead)

    def _answered(
        self, tx: Transaction, adapter: Adapter, envelope: Envelope, verdict: Verdict, receipt: Parcel | None, letter_id: str,
    ) -> Parcel | None:
        """What goes straight back; an application receipt that cannot is owed as a letter. (A receipt is never answered.)"""
        letter = Letter(letter_id, envelope.conversation, envelope.answered_by, tx.now, refers_to=envelope.id)
        content = adapter.format.answer(envelope, verdict, letter)
        if adapter.answers == "reply":
            return answer_parcel(content, verdict)
        if content is None and verdict.problem is Problem.UNREADABLE:  # else the sender would only hear that it has arrived
            return adapter.seal.receipt(envelope, Refused(verdict.problem, verdict.detail, verdict.where), tx.now)
        if content is not None:
            subject = verdict.about[0] if verdict.about else f"Envelope/{envelope.id}"
            tx.owe(
                Delivery(
                    id=letter_id, adapter=adapter.name, function=envelope.answered_by, subject=subject, state=State.DUE, due_at=tx.now,
                    expires=tx.now + adapter.patience_for(envelope.answered_by, tx.now).give_up_after, created=tx.now,
                    conversation=envelope.conversation, refers_to=envelope.id, answer_due=False,
                ),
                content,
            )
        return receipt

    def _unopened(self, adapter: Adapter, parcel: Parcel, unopened: Unopened, now: datetime) -> Callable[[Transaction], Answer]:
        """Nothing inside was believed. What could be read of the header is filed, so that an operator sees it; the sender is told."""
        reply = adapter.seal.refusal(unopened, now)
        verdict = Verdict(unopened.problem, unopened.detail, unopened.where)
        header = unopened.header

        def work(tx: Transaction) -> Answer:
            tx.file_refused(header, adapter.name, adapter.party, verdict, reply, parcel)
            if reply is None and header is not None and header.receipt is None and adapter.answers == "reply":
                return Answer(verdict, answer_parcel(adapter.format.answer(header, verdict, Letter("", "", "receipt", now)), verdict))
            return Answer(verdict, reply, later=header is not None and adapter.answers_later(header))

        return work


def _look(elsewhen: Callable[[Exception], Exception], refused: Refused, looked: list[Exception]) -> None:
    looked.append(elsewhen(refused))
