"""Letters in every state, about the visits of the town: made with the store's own words, as flow makes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from town import NOW, uid

from hub.delivery import Delivery, Patience, State, Step
from hub.message import Content, Envelope, Parcel, Verdict
from hub.problem import Problem

WAYS: dict[str, tuple[Step, ...]] = {
    "due": (), "sent": (Step.SENT,), "arrived": (Step.UNAVAILABLE, Step.SENT, Step.ARRIVED), "accepted": (Step.SENT, Step.ARRIVED, Step.ACCEPTED),
    "rejected": (Step.SENT, Step.ARRIVED, Step.REJECTED), "failed": (Step.REFUSED,), "expired": (Step.UNAVAILABLE, Step.EXPIRED),
}
"""Name of a delivery → what happened to it, in order."""


def owed(name: str, visit: str, minutes_ago: float = 45) -> Delivery:
    at = NOW - timedelta(minutes=minutes_ago)
    return Delivery(
        id=uid(f"letter {name}"), adapter="visma-profil", function="booking", subject=f"Appointment/{uid(visit)}", state=State.DUE, due_at=at,
        expires=at + timedelta(hours=72), created=at, key=f"Appointment/{uid(visit)}/{name}", conversation=uid("talk"), version=1,
    )


def send(tx: Any, name: str, visit: str) -> None:
    """Owes a letter and lets happen to it what WAYS says."""
    delivery = tx.owe(owed(name, visit))
    for step in WAYS[name]:
        note = "BB-105 SecurityFailure" if step is Step.REFUSED else ""
        after = delivery.after(step, NOW, Patience(), note)
        tx.settle(after, delivery, step, note)
        delivery = after


def came_in(tx: Any, number: int, problem: Problem | None, visit: str = "next") -> None:
    """Files an envelope from a partner, with our verdict."""
    content = Content(b"{}", "application/json")
    envelope = Envelope(id=f"in-{number}", sender="8094866", receiver="1", conversation=f"talk-{number}", content=content, function="visit")
    about = () if problem else (f"Appointment/{uid(visit)}",)
    tx.file(envelope, "visma-profil", Verdict(problem, "detail", about=about), None, Parcel({}, b"{}"))


def fill(tx: Any) -> None:
    """One letter in each state, about as many visits; three refused envelopes and two good ones."""
    for name, visit in zip(WAYS, ("next", "wait", "moved", "next", "no", "mine-off", "off"), strict=True):
        send(tx, name, visit)
    for number, problem in enumerate([Problem.FULL, Problem.FULL, Problem.BAD_SIGNATURE, None, None]):
        came_in(tx, number, problem)
    tx.file_refused(None, "visma-profil", "8094866", Verdict(Problem.WRONG_SIGNER, "the signer is not the partner", "//Signature"), None, Parcel({}, b"noise"))
