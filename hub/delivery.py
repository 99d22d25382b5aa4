"""What is owed to a partner: one state table for ebXML, AMQP, EDI 2.0, FHIR and subscriptions alike. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

NOTICE = "notice-"
"""What the function of every notice begins with: it is looked at once more before it leaves."""


class State(StrEnum):
    """Where a delivery stands. Waiting states first, then the final ones."""

    DUE = "due"                # to be sent at `due_at`
    SENT = "sent"              # handed over, transport receipt awaited until `due_at`
    ARRIVED = "arrived"        # transport receipt came; application receipt awaited
    ACCEPTED = "accepted"      # the application has it (or: arrived, and no application receipt is due)
    REJECTED = "rejected"      # the application refused it
    FAILED = "failed"          # the transport refused it for good; a person must act
    EXPIRED = "expired"        # not delivered in time; a person must act
    SUPERSEDED = "superseded"  # a newer state of the same appointment was sent instead


class Step(StrEnum):
    """What happened to a delivery."""

    SENT = "sent"                # handed over; a transport receipt will come
    UNAVAILABLE = "unavailable"  # not handed over, or in doubt; later may work
    OVERDUE = "overdue"          # no transport receipt in time
    ARRIVED = "arrived"          # Acknowledgment, HTTP 2xx, AMQP accepted
    ACCEPTED = "accepted"        # AppRec OK
    REJECTED = "rejected"        # AppRec avvist
    REFUSED = "refused"          # MessageError severity Error, HTTP 4xx, SMTP 5xx
    EXPIRED = "expired"          # its time ran out
    SUPERSEDED = "superseded"    # a newer one replaced it before it was sent
    RESEND = "resend"            # an operator asked for it


FINAL = frozenset({State.ACCEPTED, State.REJECTED, State.FAILED, State.EXPIRED, State.SUPERSEDED})
BLOCKING = frozenset({State.DUE, State.SENT})
"""A delivery in one of these keeps later ones with the same key waiting."""

NEXT: dict[tuple[State, Step], State] = {
    (State.DUE, Step.SENT): State.SENT,
    (State.DUE, Step.UNAVAILABLE): State.DUE,
    (State.DUE, Step.ARRIVED): State.ARRIVED,
    (State.DUE, Step.ACCEPTED): State.ACCEPTED,      # a late receipt of an earlier try
    (State.DUE, Step.REJECTED): State.REJECTED,
    (State.DUE, Step.REFUSED): State.FAILED,
    (State.DUE, Step.EXPIRED): State.EXPIRED,
    (State.DUE, Step.SUPERSEDED): State.SUPERSEDED,
    (State.SENT, Step.ARRIVED): State.ARRIVED,
    (State.SENT, Step.OVERDUE): State.DUE,           # no Acknowledgment in time: same id again
    (State.SENT, Step.UNAVAILABLE): State.DUE,
    (State.SENT, Step.ACCEPTED): State.ACCEPTED,     # AppRec may arrive before the Acknowledgment
    (State.SENT, Step.REJECTED): State.REJECTED,
    (State.SENT, Step.REFUSED): State.FAILED,
    (State.SENT, Step.EXPIRED): State.EXPIRED,
    (State.ARRIVED, Step.ARRIVED): State.ARRIVED,    # the Acknowledgment of a second try
    (State.ARRIVED, Step.ACCEPTED): State.ACCEPTED,
    (State.ARRIVED, Step.REJECTED): State.REJECTED,
    (State.ARRIVED, Step.REFUSED): State.FAILED,     # it came, and could not be opened: an error instead of an AppRec
    (State.ARRIVED, Step.EXPIRED): State.EXPIRED,    # no AppRec by the deadline
    (State.ACCEPTED, Step.ARRIVED): State.ACCEPTED,
    (State.ACCEPTED, Step.ACCEPTED): State.ACCEPTED,
    (State.REJECTED, Step.ARRIVED): State.REJECTED,
    (State.REJECTED, Step.REJECTED): State.REJECTED,
    (State.EXPIRED, Step.ARRIVED): State.ARRIVED,    # better late than never
    (State.EXPIRED, Step.ACCEPTED): State.ACCEPTED,
    (State.EXPIRED, Step.REJECTED): State.REJECTED,
    (State.FAILED, Step.ARRIVED): State.ARRIVED,
    (State.FAILED, Step.ACCEPTED): State.ACCEPTED,
    (State.FAILED, Step.REJECTED): State.REJECTED,
    (State.REJECTED, Step.RESEND): State.DUE,
    (State.FAILED, Step.RESEND): State.DUE,
    (State.EXPIRED, Step.RESEND): State.DUE,
}
"""A pair that is not here is an error, never ignored."""


LONGEST_ASKED = timedelta(hours=1)
"""So long a partner may put off the next try; then it is asked again."""


class Impossible(ValueError):
    """This step cannot happen in this state: a late or contradicting receipt. Kept and shown, changes nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try. From the adapter's settings, or the CPA's Retries and RetryInterval (facts: NHN 12 h, 72 h)."""

    pauses: tuple[timedelta, ...] = (
        timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=4), timedelta(hours=12),
    )
    """Wait after the n-th unsuccessful try; the last one repeats."""
    receipt_within: timedelta = timedelta(hours=12)
    """How long a transport receipt may take before the same letter is sent again."""
    answer_within: timedelta = timedelta(hours=72)
    """How long an application receipt may take before a person is told."""
    give_up_after: timedelta = timedelta(hours=72)

    def pause(self, tries: int) -> timedelta:
        """The wait after `tries` unsuccessful tries (1 or more)."""
        return self.pauses[min(tries, len(self.pauses)) - 1]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One letter owed to one adapter."""

    id: str
    """UUID: the letter's id on every try and on every transport."""
    adapter: str
    function: str
    """A row in mappings/functions.toml."""
    subject: str
    """The resource it is about, e.g. `Appointment/…`; its versions order the deliveries."""
    state: State
    due_at: datetime
    expires: datetime
    created: datetime
    key: str | None = None
    """Deliveries with the same adapter and key leave in order of `number`; None: no order."""
    conversation: str = ""
    refers_to: str | None = None
    number: int = 0
    """Given by the store; rises."""
    version: int = 0
    """The subject's version that caused it."""
    tries: int = 0
    answer_due: bool = True
    """An application receipt is expected."""
    content: str | None = None
    """Id of the stored content when it is fixed (an AppRec); None: written from the subject's current state."""
    parcel: str | None = None
    """Id of the sealed bytes once they exist: every later try sends the same."""
    note: str = ""
    """What went wrong last: a Problem number, a partner's code; never personal."""

    def after(self, step: Step, now: datetime, patience: Patience, note: str = "", wait: float | None = None) -> Delivery:
        """The delivery after `step`. `wait`: seconds that the partner asks to be left alone for; of them LONGEST_ASKED are heeded.

        Raises:
            Impossible: the pair (state, step) is not in NEXT.
        """
        state = NEXT.get((self.state, step))
        if state is None:
            raise Impossible(f"{step} in state {self.state}")
        if state is State.ARRIVED and not self.answer_due:
            state = State.ACCEPTED
        tries = self.tries + (step in (Step.SENT, Step.UNAVAILABLE) and self.state is State.DUE)
        expires = self.expires
        if step is Step.RESEND:
            tries, expires = 0, now + patience.give_up_after
        match state:
            case State.DUE if step is Step.UNAVAILABLE:
                due = now + max(patience.pause(max(tries, 1)), min(timedelta(seconds=min(wait or 0.0, 1e6)), LONGEST_ASKED))
            case State.SENT:
                due = now + patience.receipt_within
            case State.ARRIVED:
                due = self.due_at if self.state is State.ARRIVED else now + patience.answer_within
            case _:
                due = now
        return replace(self, state=state, due_at=due, tries=tries, expires=expires, note=note or self.note)
