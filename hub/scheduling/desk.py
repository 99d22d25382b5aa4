"""`$hold`, `$book` and `$cancel`, and an AppointmentResponse's word: each is one transaction under the rules of booking.

A hold is a seat with an expiry and nothing more: no Appointment is kept for it. What it held is read back from its seats, so that a client
may book by the hold's id alone. Booking gives the hold's seats back and takes them as the booking's in the same transaction.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from hub.access import ALL_DEPARTMENTS, Ground, Reader
from hub.booking import Statement, rules
from hub.booking.clock import read, write
from hub.booking.conventions import SHOP_BOOKING, identifier, points_to, with_extension
from hub.booking.draft import theirs
from hub.booking.slots import seats_over
from hub.booking.statement import times, which
from hub.booking.views import stated_department
from hub.keeping import Keeping, Speaker, count_seats
from hub.message import Resource, Resources
from hub.problem import Issue, Problem, Refused, asked_by
from hub.scheduling import said
from hub.store import Stored, Transaction

HOLD = timedelta(minutes=10)
"""How long a time is held."""
HOLD_PREFIX = "hold-"
ANSWERS = {"accepted": "booked", "declined": "cancelled"}
"""AppointmentResponse.participantStatus of the service → what it states of the booking; `tentative` and `needs-action` state nothing."""


def client(reader: Reader) -> Speaker:
    """A client of the API as somebody who states bookings.

    Raises:
        Refused: NOT_ALLOWED for one without a department: an empty set means all of them elsewhere.
    """
    if not reader.departments:
        raise Refused(Problem.NOT_ALLOWED, "no department is opened to this client")
    departments = frozenset() if reader.departments == ALL_DEPARTMENTS else reader.departments
    return Speaker(reader.reference, reader.may_state, reader.reference, Ground.VENDOR.value, departments, channel="fhir")


Require = Callable[[Stored | None], None]
"""Refuses a booking as it is now, or that there is none, when the client means another version."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where times are asked for."""

    keeping: Keeping
    elsewhen: Callable[[Exception], Exception] = lambda trouble: trouble
    """Tells other free times with a refusal (`hub.elsewhen.Elsewhen`); called when the transaction is over."""
    fresh_id: Callable[[], str] = lambda: str(uuid.uuid4())

    def hold(self, tx: Transaction, caller: Speaker, asked: Resource) -> Resource:
        """Holds the asked time for HOLD; again with the hold's id, it is held as long from now. Returns the pending Appointment.

        Raises:
            Refused: UNKNOWN_SERVICE, NOT_ALLOWED, INVALID, TOO_LATE, BEYOND_HORIZON, OUTSIDE_OPENING_HOURS, FULL.
        """
        self.keeping.check(asked)
        count_seats(tx, dict.fromkeys(tx.free_expired()))
        id_ = str(asked.get("id") or "")
        id_ = id_ if id_.startswith(HOLD_PREFIX) else f"{HOLD_PREFIX}{self.fresh_id()}"
        service = tx.get("HealthcareService", stated_department(asked))
        department = rules.known_department(service.resource if service else None)
        if caller.departments and department.code not in caller.departments:
            raise Refused(Problem.NOT_ALLOWED, "the department is not opened to this client", "Appointment.participant.actor")
        span = times(Statement(asked), None, department.visit_minutes)
        if span is None:
            raise Refused(Problem.INVALID, "no start", "Appointment.start")
        wanted = rules.Asked("", department, *span)
        with asked_by(caller, asked):
            return self._held(tx, caller, id_, asked, wanted)

    def _held(self, tx: Transaction, caller: Speaker, id_: str, asked: Resource, wanted: rules.Asked) -> Resource:
        department, span = wanted.department, (wanted.start, wanted.end)
        rules.bookable(wanted, tx.now)
        self.keeping.free_elsewhere(tx, caller, department.code, span)
        until = tx.now + HOLD
        touched = dict.fromkeys(tx.free_seats(_holder(caller, id_)))
        for seat in seats_over(department, span[0], wanted.busy_until):
            tx.take_seat(seat.slot, _holder(caller, id_), seat.capacity, until)
            touched[seat.slot] = None
        count_seats(tx, touched)
        _as_asked(asked, touched)
        held = {**asked, "id": id_, "status": "pending", "start": write(span[0]), "end": write(span[1])}
        return with_extension(held, "held-until", "Instant", write(until))

    def book(self, tx: Transaction, caller: Speaker, asked: Resource, require: Require = lambda _: None) -> Stored:
        """Books an offer or a hold, or moves a booking that is kept. The same again gives the same booking.

        Raises:
            Refused: what the rules say, and `require`; HOLD_EXPIRED when the hold ran out and somebody else took its time.
        """
        self.keeping.check(asked)
        id_ = str(asked.get("id") or "")
        if id_ and not id_.startswith(HOLD_PREFIX):
            require(self._own(tx, caller, id_))
            return self._kept(tx, caller, {**asked, "status": "proposed"})
        held = tx.free_seats(_holder(caller, id_)) if id_ else []
        stated = _stated(asked, id_ or _name(asked) or self.fresh_id())
        if asked["status"] == "booked" and "plan" in caller.may:
            stated["status"] = "booked"  # nobody asked for it: the service planned it
        known = tx.get("Appointment", which(Statement(stated), caller.name))
        require(known)
        try:
            booked = known or self._kept(tx, replace(caller, held=frozenset(held)), stated)
        except Refused as refused:
            if id_ and not held and refused.problem is Problem.FULL:
                raise Refused(Problem.HOLD_EXPIRED, "the hold ran out, and the time was taken", "Appointment.id") from refused
            raise
        count_seats(tx, dict.fromkeys(held))
        if known is None:
            _as_asked(asked, [points_to(slot, "Slot") for slot in booked.resource.get("slot", ())])
            said.whole(asked, booked.resource, planner="plan" in caller.may)
        return booked

    def named(self, caller: Speaker, asked: Resource) -> tuple[Resource, str]:
        """A new booking with the name it will have, and the id that follows from it: for references within one transaction."""
        stated = _stated(asked, _name(asked) or self.fresh_id())
        return {**asked, "identifier": stated["identifier"]}, which(Statement(stated), caller.name)

    def update(self, tx: Transaction, caller: Speaker, asked: Resource, version: str = "") -> Stored:
        """What a client makes of a booking by PUT or PATCH: another time, another status. Nothing it sends is dropped in silence; what it
        leaves out (slots, our extensions) stays as the hub has it.

        Raises:
            Refused: what the rules say; IMPOSSIBLE_CHANGE when an element was changed that is not the client's to change.
        """
        self.keeping.check(asked)
        before = self._own(tx, caller, str(asked.get("id") or ""))
        status = asked["status"]
        if status == "pending" or (status in ("proposed", "booked") and "confirm" not in caller.may):
            status = "proposed"  # the times are what is asked for; the service's yes is not theirs to state
        stated = {**{k: v for k, v in asked.items() if k not in ("meta", "extension")}, "status": status}
        kept = self._kept(tx, caller, {**stated, "meta": {"versionId": version}} if version else stated)
        if lost := said.lost_of(asked, before.resource, kept.resource):
            raise Refused(Problem.IMPOSSIBLE_CHANGE, f"an update cannot change {', '.join(lost)}", f"Appointment.{lost[0]}")
        return kept

    def cancel(self, tx: Transaction, caller: Speaker, id_: str, reason: Resource | None, require: Require = lambda _: None) -> Stored | None:
        """Cancels a booking, or gives back a hold (None).

        Raises:
            Refused: UNKNOWN_BOOKING, TOO_LATE, IMPOSSIBLE_CHANGE, NOT_ALLOWED, and as `require`.
        """
        if id_.startswith(HOLD_PREFIX):
            count_seats(tx, dict.fromkeys(tx.free_seats(_holder(caller, id_))))
            return None
        require(self._own(tx, caller, id_))
        stated: Resource = {"resourceType": "Appointment", "id": id_, "status": "cancelled"}
        if reason:
            stated["cancelationReason"] = reason
        return self._kept(tx, caller, stated)

    def respond(self, tx: Transaction, caller: Speaker, response: Resource) -> Stored:
        """Keeps an AppointmentResponse; the service's own yes or no confirms or cancels the booking, other times move it. Whoever answers, the
        booking says so of that participant.

        Raises:
            Refused: INVALID, also of a booking that is not there: it is named in what was sent, and not by the address; or what the rules say.
        """
        self.keeping.check(response)
        booking = self._meant(tx, caller, response["appointment"])
        actor = response.get("actor") or {}
        if (person := points_to(actor, "Patient")) and all(points_to(p.get("actor"), "Patient") != person for p in booking.resource["participant"]):
            raise Refused(Problem.INVALID, "the actor takes no part in this appointment", "AppointmentResponse.actor")
        of_service = bool(points_to(actor, "HealthcareService")) or "confirm" in caller.may
        status = ANSWERS.get(str(response.get("participantStatus")))
        if status == "cancelled" or (status == "booked" and of_service):
            moved = {key: response[key] for key in ("start", "end") if status == "booked" and key in response}
            booking = self._kept(tx, caller, {"resourceType": "Appointment", "id": booking.id, "status": status, **moved})
        answered = [_answered(each, actor, str(response["participantStatus"])) for each in booking.resource["participant"]]
        if answered != booking.resource["participant"]:
            tx.keep({**booking.resource, "participant": answered}, origin=caller.name)
        return tx.keep({**response, "id": self.fresh_id()}, origin=caller.name)

    def _own(self, tx: Transaction, caller: Speaker, id_: str) -> Stored:
        """A booking of the caller's departments; another's is as unknown as none."""
        kept = tx.get("Appointment", id_) if id_ else None
        if kept is None or not self._theirs(caller, kept):
            raise Refused(Problem.UNKNOWN_BOOKING, "no such booking", "Appointment.id")
        return kept

    def _meant(self, tx: Transaction, caller: Speaker, reference: Resource) -> Stored:
        """The booking that an answer means, by a literal reference or, without one, by an identifier."""
        known_as, id_ = reference.get("identifier") or {}, points_to(reference, "Appointment")
        by_name = "reference" not in reference and known_as.get("value")
        found = tx.find("Appointment", identifier=f"{known_as.get('system', '')}|{known_as['value']}") if by_name else [tx.get("Appointment", id_)]
        own = [kept for kept in found if kept is not None and self._theirs(caller, kept)]
        if len(own) != 1:
            where, text = "AppointmentResponse.appointment", "no such booking"
            raise Refused(Problem.INVALID, text, where, (Issue("not-found", where, text, Problem.UNKNOWN_BOOKING),))
        return own[0]

    def _theirs(self, caller: Speaker, kept: Stored) -> bool:
        return not kept.deleted and (not caller.departments or stated_department(kept.resource) in caller.departments)

    def _kept(self, tx: Transaction, caller: Speaker, stated: Resource) -> Stored:
        self.keeping.keep(tx, caller, Resources((stated,)))
        kept = tx.get("Appointment", which(Statement(stated), caller.name))
        assert kept is not None
        return kept

    def held(self, tx: Transaction, caller: Speaker, id_: str) -> Resource:
        """The Appointment that a hold holds, read back from its seats, to be booked by its id alone. Raises Refused HOLD_EXPIRED."""
        slots = [kept.resource for slot in tx.held(_holder(caller, id_)) if (kept := tx.get("Slot", slot)) is not None]
        if not slots:
            raise Refused(Problem.HOLD_EXPIRED, "no such hold, or it ran out", "Appointment.id")
        department = points_to(slots[0]["schedule"], "Schedule")
        return {
            "resourceType": "Appointment", "id": id_, "status": "pending", "start": min(s["start"] for s in slots),
            "end": max(s["end"] for s in slots),
            "participant": [{"actor": {"reference": f"HealthcareService/{department}", "type": "HealthcareService"}, "status": "needs-action"}],
        }


def _holder(caller: Speaker, id_: str) -> str:
    """Whose seats these are: another client cannot use, or end, a hold by guessing its id."""
    return f"{id_}/{caller.name}"


def _name(asked: Resource) -> str:
    """The client's own name for the booking, when it has one: then a repeated `$book` is the same booking."""
    own = next((i for i in asked.get("identifier") or () if i.get("value") and i.get("system")), None)
    return hashlib.sha256(f"{own['system']}|{own['value']}".encode()).hexdigest()[:32] if own else ""


def _stated(asked: Resource, name: str) -> Resource:
    """The offer or hold as a statement that asks for a new booking, under a name that is the same at every repetition."""
    stated = {key: value for key, value in asked.items() if key not in ("id", "meta", "slot", "extension")}
    if others := theirs(asked):
        stated["extension"] = others
    if not identifier(asked, SHOP_BOOKING):
        stated["identifier"] = [*(asked.get("identifier") or ()), {"system": SHOP_BOOKING, "value": name}]
    read(str(asked.get("start", "")), "Appointment.start")
    return {**stated, "status": "proposed"}


def _answered(participant: Resource, actor: Resource, status: str) -> Resource:
    """A participant of a booking, when this actor has answered."""
    theirs = participant.get("actor") or {}
    same = any(key in actor and theirs.get(key) == actor[key] for key in ("reference", "identifier"))
    return {**participant, "status": status} if same else participant


def _as_asked(asked: Resource, slots: Iterable[str]) -> None:
    """Raises Refused IMPOSSIBLE_CHANGE where slots were asked for by name that are not those of the times that were asked for."""
    named = {points_to(slot, "Slot") for slot in asked.get("slot", ())}
    if not named <= set(slots):
        raise Refused(Problem.IMPOSSIBLE_CHANGE, "the slots are not those of these times: name those, or none", "Appointment.slot")
