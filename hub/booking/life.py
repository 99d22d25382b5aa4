"""The life of a booking: one table for Appointment and Encounter. What is not in it is refused, never ignored.

What the service reports of a visit beats what was planned, and a report that comes late never undoes a later one.
"""

from __future__ import annotations

from enum import StrEnum

from hub.booking.views import Status
from hub.problem import Problem, Refused


class What(StrEnum):
    """What somebody states about a booking."""

    BOOK = "book"              # asks for a visit
    MOVE = "move"              # asks for, or decides, another time
    CANCEL = "cancel"
    CONFIRM = "confirm"        # the service will come
    ASSIGN = "assign"          # and this employee will
    ON_THE_WAY = "on-the-way"
    COMPLETE = "complete"
    NOT_HOME = "not-home"
    PLAN = "plan"              # the service will come, and nobody asked for it: daily care


NEEDS_RIGHT = {what: what.value for what in What} | {What.ON_THE_WAY: "complete", What.NOT_HOME: "complete"}
"""The word of `Adapter.may_state` that each takes: who may say how a visit went may say all of it."""

NEW = None
"""The status of a booking that is not kept yet."""

_P, _B, _A, _F, _N, _C = Status.PENDING, Status.BOOKED, Status.ARRIVED, Status.FULFILLED, Status.NOSHOW, Status.CANCELLED

NEXT: dict[tuple[Status | None, What], Status] = {
    (NEW, What.BOOK): _P,
    (NEW, What.PLAN): _B,
    (_P, What.MOVE): _P,
    (_P, What.CONFIRM): _B,
    (_P, What.ASSIGN): _B,        # who is sent is confirmed
    (_P, What.CANCEL): _C,
    (_B, What.MOVE): _P,          # the new time waits for an answer; the service's own move is a move and a confirmation
    (_B, What.CONFIRM): _B,
    (_B, What.ASSIGN): _B,
    (_B, What.CANCEL): _C,
    (_B, What.ON_THE_WAY): _A,
    (_A, What.ON_THE_WAY): _A,
    (_A, What.ASSIGN): _A,        # a colleague took over
    (_A, What.CANCEL): _C,        # called away on the road
    (_A, What.COMPLETE): _F,
    (_A, What.NOT_HOME): _N,
    (_C, What.CANCEL): _C,        # both sides cancelled, or the EPJ says that it has heard: the first reason stands
    # An EPJ need not report every stage: a visit can be reported without a confirmation or a departure.
    (_P, What.ON_THE_WAY): _A,
    (_P, What.COMPLETE): _F,
    (_P, What.NOT_HOME): _N,
    (_B, What.COMPLETE): _F,
    (_B, What.NOT_HOME): _N,
    # The same said again, or a correction of actual times.
    (_P, What.BOOK): _P,
    (_B, What.BOOK): _B,
    (_A, What.BOOK): _A,
    (_F, What.BOOK): _F,
    (_N, What.BOOK): _N,
    (_F, What.COMPLETE): _F,
    (_N, What.NOT_HOME): _N,
    # Late: true when it was said, overtaken by what was reported since. Accepted, and the later report stands.
    (_A, What.CONFIRM): _A,
    (_F, What.CONFIRM): _F,
    (_N, What.CONFIRM): _N,
    (_F, What.ASSIGN): _F,        # who was there may be told afterwards
    (_N, What.ASSIGN): _N,
    (_F, What.ON_THE_WAY): _F,
    (_N, What.ON_THE_WAY): _N,
    # The visit took place although the cancellation was kept: the employee did not hear of it in time. A clinical fact is
    # never refused; it becomes «utført», and the cancellation remains in the history.
    (_C, What.COMPLETE): _F,
    # The employee came to somebody who had cancelled: the booking stays cancelled, since the person did nothing wrong and must
    # not be counted as not at home; that somebody came is kept as a cancelled Encounter.
    (_C, What.NOT_HOME): _C,
    # A second try the same day succeeded. The other way (done → not at home) denies a documented visit: refused.
    (_N, What.COMPLETE): _F,
}
"""(from, what) → to. On purpose absent, besides the nonsensical: confirming, assigning, moving or setting out to a cancelled
booking (the EPJ must be told, so that it turns its employee round), and moving or cancelling what is done."""

ENCOUNTER: dict[What, str] = {What.ON_THE_WAY: "in-progress", What.COMPLETE: "finished", What.NOT_HOME: "cancelled"}
"""What an Encounter (class HH) becomes by each report of a visit. A cancelled booking cancels one that is in progress."""


def after(status: Status | None, what: What) -> Status:
    """The next status.

    Raises:
        Refused: IMPOSSIBLE_CHANGE when the table has no such step.
    """
    try:
        return NEXT[status, what]
    except KeyError:
        raise Refused(Problem.IMPOSSIBLE_CHANGE, f"{what} does not follow {status or 'nothing'}", "Appointment.status") from None
