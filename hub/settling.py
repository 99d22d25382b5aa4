"""Moves deliveries along the state table: by a partner's receipt, by what became of a try, by an operator's word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.access import AuditLine
from hub.adapter import Adapter
from hub.delivery import Delivery, Impossible, State, Step
from hub.message import Answer, Envelope, Receipt, ReceiptKind
from hub.problem import Problem, Refused
from hub.store import Store, Transaction
from hub.store.values import persons

STEPS = {
    ReceiptKind.ARRIVED: Step.ARRIVED,
    ReceiptKind.ACCEPTED: Step.ACCEPTED,
    ReceiptKind.REJECTED: Step.REJECTED,
    ReceiptKind.FAILED: Step.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Settling:
    """What happens to a delivery after it was owed."""

    store: Store
    adapters: Mapping[str, Adapter]
    rejected: Callable[[Transaction, Adapter, Delivery], None]
    """What an application's no means for what the letter was about (Keeping.rejected)."""
    moved: tuple[Callable[[Transaction, Delivery, Delivery], None], ...] = ()
    """Those told of each try and each receipt, in its transaction: the delivery before and after it (Feeds.moved, Messaging.settled)."""
    leaves: Callable[[Transaction, Delivery], datetime | None] = lambda tx, _: tx.now
    """When a notice that is due may really leave: now, later, or (None) not any more (`Noticing.leaves`)."""

    def before(self, tx: Transaction, adapter: Adapter, envelope: Envelope) -> Answer | None:
        """What comes before a letter is weighed: a duplicate gets the stored answer, however late it is; a receipt that rode along counts.

        Raises:
            Refused: ALTERED_DUPLICATE, EXPIRED.
        """
        earlier = tx.earlier(envelope)
        if earlier is not None:
            for about in earlier.verdict.about:
                tx.note(about, "duplicate", "the same message again: the stored answer", origin=adapter.name)
            return Answer(earlier.verdict, earlier.reply, True, later=adapter.seal.acknowledges and not envelope.wants_reply)
        if envelope.expires is not None and envelope.expires < tx.now:
            raise Refused(Problem.EXPIRED, "it came after its time to live", "//Header/MessageHeader/MessageData/TimeToLive")
        if envelope.carried is not None:
            try:
                self.receipt(tx, adapter, envelope.carried)
            except Refused as unknown:
                tx.note(f"Envelope/{envelope.id}", "odd-receipt", unknown.detail, origin=adapter.name)
        return None

    def receipt(self, tx: Transaction, adapter: Adapter, told: Receipt) -> tuple[str, ...]:
        """Moves the delivery a receipt speaks of; a contradicting one is kept and shown, and changes nothing.

        Raises:
            Refused: UNKNOWN_REFERENCE; RECEIPT_DIFFERS, when it proves that the partner got something else than we sent.
        """
        before = tx.delivery(told.refers_to)
        if before is None or before.adapter != adapter.name:
            raise Refused(Problem.UNKNOWN_REFERENCE, "no letter of ours to this partner has that id")
        sent = tx.parcel(before.parcel) if told.repeats and before.parcel else None
        if sent is not None and not adapter.seal.confirms(told, sent):
            tx.note(before.subject, "odd-receipt", f"{Problem.RECEIPT_DIFFERS.value} {told.kind}", delivery=before.id, origin=adapter.name)
            raise Refused(Problem.RECEIPT_DIFFERS, "the digests that the receipt repeats are not those of our letter", "//Header/Acknowledgment")
        note = " ".join(told.codes)  # the partner's own text could name a person: it stays in the stored letter
        try:
            after = before.after(STEPS[told.kind], tx.now, adapter.patience_for(before.function, before.created), note)
        except Impossible as odd:
            tx.note(before.subject, "odd-receipt", f"{told.kind}: {odd}", delivery=before.id, origin=adapter.name)
            return (before.subject,)
        self._settle(tx, after, before, STEPS[told.kind], note)
        if after.state is State.REJECTED and before.state is not State.REJECTED:
            self.rejected(tx, adapter, before)
        return (before.subject,)

    def step(self, tx: Transaction, adapter: Adapter, before: Delivery, step: Step, note: str = "", wait: float | None = None) -> Delivery:
        """What became of a try. The delivery as it then stands; untouched where a receipt was quicker than the try."""
        current = tx.delivery(before.id) or before
        if current.state is not before.state:
            return current
        after = current.after(step, tx.now, adapter.patience_for(current.function, current.created), note, wait)
        self._settle(tx, after, current, step, note)
        return after

    def _settle(self, tx: Transaction, after: Delivery, before: Delivery, step: Step, note: str) -> None:
        tx.settle(after, before, step, note)
        for tell in self.moved:
            tell(tx, before, after)

    def resend(self, delivery_id: str, by: str, reason: str) -> None:
        """An operator's word: the same letter once more. Raises Refused when it is unknown or already where it should be."""

        def work(tx: Transaction) -> None:
            before = tx.delivery(delivery_id)
            if before is None:
                raise Refused(Problem.UNKNOWN_REFERENCE, "no such delivery")
            adapter = self.adapters.get(before.adapter)
            if adapter is None:
                raise Refused(Problem.UNKNOWN_PARTNER, "this partner is not set up any more")
            try:
                after = before.after(Step.RESEND, tx.now, adapter.patience_for(before.function, tx.now))
            except Impossible as odd:
                raise Refused(Problem.IMPOSSIBLE_CHANGE, str(odd)) from odd
            tx.settle(after, before, Step.RESEND, reason)
            kept = tx.get(*before.subject.partition("/")[::2])
            whose = persons([kept]) if kept else ()
            tx.audit(*(AuditLine(tx.now, person, by, "operator", "resend", "", "console") for person in whose or ("",)))

        self.store.write(work)
