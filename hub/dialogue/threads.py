"""What is read of messages within a transaction: threads, and what belongs to a person."""

from __future__ import annotations

from collections.abc import Callable

from hub.booking.conventions import points_to
from hub.booking.messages import Post, Thread, is_message, threads
from hub.booking.views import actors
from hub.problem import Problem, Refused
from hub.store import Stored, Transaction

MANY = 100_000


def begun_by(first: Stored | None, of_person: Callable[[str], list[Thread]]) -> Thread | None:
    """The thread that this message began, among its person's; None: it began none."""
    if first is None or first.deleted or not is_message(first.resource):
        return None
    return next((thread for thread in of_person(Post.of(first.resource).patient) if thread.id == first.id), None)


def thread_in(tx: Transaction, id_: str) -> Thread | None:
    """The thread with this first message, as the transaction sees it."""
    return begun_by(tx.get("Communication", id_), lambda person: threads(s.resource for s in tx.find("Communication", patient=person)))


def owned(tx: Transaction, person: str, id_: str) -> Thread:
    """A thread of this person's; somebody else's is answered as one that does not exist. Raises Refused UNKNOWN_THREAD."""
    thread = thread_in(tx, id_)
    if thread is None or thread.messages[0].patient != person:
        raise Refused(Problem.UNKNOWN_THREAD, "no such thread of this person's")
    return thread


def visit_of(tx: Transaction, person: str, id_: str) -> str:
    """`Appointment/…` of this person's. Raises Refused UNKNOWN_BOOKING."""
    kept = tx.get("Appointment", id_)
    if kept is None or kept.deleted or person not in [f"Patient/{points_to(a, 'Patient')}" for a in actors(kept.resource)]:
        raise Refused(Problem.UNKNOWN_BOOKING, "no such visit of this person's", "Communication.about")
    return kept.reference
