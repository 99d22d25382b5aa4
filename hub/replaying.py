"""Receives once more what could not be opened the first time, when an operator has put right what was wrong on our side."""

from __future__ import annotations

from hub.access import AuditLine
from hub.flow import Flow
from hub.message import Verdict
from hub.problem import Problem, Refused
from hub.store import Transaction


def replay(flow: Flow, key: int, by: str, reason: str) -> Verdict:
    """The stored parcel through `Flow.receive` again: it is opened by today's certificates and agreements, kept once, and its application
    receipt is owed as usual. The transport receipt cannot go back on a connection that is gone: the sender gets it for its own next try.

    Args:
        key: the filed envelope's key, as the console shows it.
        by: who, for the access log.
        reason: why, for the timeline.

    Raises:
        Refused: UNKNOWN_REFERENCE (nothing filed under that key, or its bytes are past their time), IMPOSSIBLE_CHANGE (it was opened: its
            answer stands, and the sender sends again under a new id).
    """
    filed = flow.store.envelope(key)
    if filed is None or filed.adapter not in flow.adapters:
        raise Refused(Problem.UNKNOWN_REFERENCE, "no message in is filed under that key")
    if not filed.unopened:
        raise Refused(Problem.IMPOSSIBLE_CHANGE, "it was opened and answered: the sender corrects it and sends under a new id")
    parcel = flow.store.parcel(filed.content) if filed.content else None
    if parcel is None:
        raise Refused(Problem.UNKNOWN_REFERENCE, "the bytes are past their time and no longer kept")

    def noted(tx: Transaction) -> None:
        subject = f"Envelope/{filed.id}"
        tx.note(subject, "replayed", reason, origin=filed.adapter)
        tx.audit(AuditLine(tx.now, subject, by, "operator", "replay", "", "console"))

    flow.store.write(noted)
    return flow.receive(flow.adapters[filed.adapter], parcel).verdict
