"""The rules of booking: pure functions on FHIR R4 resources, with the clock as an argument. Imports only message and problem.

How a statement is weighed, inside one transaction `tx` (see `hub.flow`):

    for statement in statements(message.items):
        id = which(statement, adapter.name)
        kept = tx.get("Appointment", id)
        stored = kept.resource if kept else None
        facts = gather(statement, stored, tx)                 # reads only what this statement needs
        outcome = weigh(statement, stored, facts, may=adapter.may_state, departments=adapter.departments,
                        origin=adapter.name, now=tx.now)      # or Refused
        touched = tx.free_seats(id) if outcome.frees else []
        for seat in outcome.takes:
            tx.take_seat(seat.slot, id, seat.capacity)        # the constraint that no race can pass
        for slot in {*touched, *(seat.slot for seat in outcome.takes)}:
            tx.keep(with_taken(tx.get("Slot", slot).resource, tx.seats_taken(slot)), origin="hub")
        if outcome.appointment:
            tx.keep(outcome.appointment, origin=adapter.name)
        if outcome.encounter:
            tx.keep(outcome.encounter, origin=adapter.name)

`outcome.nothing_new` means that the statement was already true: accepted, nothing kept, nothing owed. `outcome.what` is the word for
the timeline and for the letter. Each kept Appointment bears the extension `sequence`: what goes out as xCal SEQUENCE and comes back
with the answer, so that an answer to an older state is OUT_OF_DATE.
"""

from hub.booking.decision import Balance, Decision, Grant, Per, Unit
from hub.booking.department import Asker, Department, Staffing
from hub.booking.facts import Facts, Shelf, gather
from hub.booking.life import NEXT, What
from hub.booking.opening import Closure, Opening
from hub.booking.slots import Seat, covering, slots_of, with_taken
from hub.booking.statement import Statement, statements, which
from hub.booking.views import MOVED_FROM, Booking, Status, Visit
from hub.booking.weigh import ANSWER, NO_LIMIT, Outcome, weigh

__all__ = [
    "ANSWER", "MOVED_FROM", "NEXT", "NO_LIMIT", "Asker", "Balance", "Booking", "Closure", "Decision", "Department", "Facts", "Grant",
    "Opening", "Outcome", "Per", "Seat", "Shelf", "Staffing", "Statement", "Status", "Unit", "Visit", "What", "covering", "gather",
    "slots_of", "statements", "weigh", "which", "with_taken",
]
