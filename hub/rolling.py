"""Keeps every department's slots as its hours, staff and horizon say: new days as they come, and all of them when it is changed.

A booking's seats lie in the slots of the grid that it was booked in. Where a change makes another grid, its seats move into the new slots in the
same transaction: else nobody would count them there, and its time would be given away twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from hub.booking import NO_LIMIT, Booking, Department, covering, slots_of, with_taken
from hub.booking.clock import MIDNIGHT, at, local, write
from hub.booking.conventions import extension, with_extension
from hub.booking.slots import fills, is_open, seats_over
from hub.booking.statement import LONGEST_VISIT
from hub.booking.views import is_booking
from hub.booking.waiting import GRACE, STATUS, Waiting, is_waiting
from hub.fhir.query import Query
from hub.keeping import before_move, count_seats
from hub.message import Resource
from hub.store import Store, Stored, Transaction

_DAY = timedelta(days=1)
FAR = timedelta(days=400)
"""Nothing is booked further ahead."""
TAKE_SEATS = ("pending", "booked", "arrived")
"""Status of a visit that takes, or will take, somebody's time."""


def roll_slots(store: Store) -> int:
    """Brings every department's slots up to its horizon, one commit each. Returns how many slots were made or changed."""
    services = store.search(Query("HealthcareService", count=100_000)).entries
    return sum(store.write(lambda tx, id_=kept.id: roll(tx, id_)) for kept in services)  # type: ignore[misc]


def follow(tx: Transaction) -> None:
    """Within every transaction that changed a department, by whatever road (`Store.on_changed`): its slots and seats fit it when it is kept."""
    for code in dict.fromkeys(change.id for change in tx.changes if change.type == "HealthcareService" and not change.deleted):
        roll(tx, code)


def seat_anew(tx: Transaction) -> None:
    """The next roll looks at every department as if it had changed: visits that moved in from another system have no seats yet."""
    for kept in tx.search(Query("HealthcareService", count=100_000)).entries:
        tx.remember(f"slots:{kept.id}", "")


def roll(tx: Transaction, code: str) -> int:
    """One department's. Up to which day it was done, for which version of it, is remembered: where nothing changed it costs one look."""
    service = tx.get("HealthcareService", code)
    if service is None:
        return 0
    department, today = Department.of(service.resource), local(tx.now).date()
    version, _, until = tx.recall(f"slots:{code}").partition(" ")
    last, changed = today + department.horizon_days * _DAY, version != str(service.version)
    first = today if changed else max(date.fromisoformat(until) + _DAY, today)
    days = max((last - first).days + 1, 0)
    wanted = {slot["id"]: slot for slot in slots_of(department, first, days)} if department.active else {}
    touched = sum(_fitted(tx, slot) for slot in wanted.values())
    if changed:
        touched += sum(_closed(tx, kept.resource) for kept in _ahead(tx, code) if kept.id not in wanted)
        touched += _reseat(tx, department)
    if changed or days:
        _booked_in(tx, service.resource, last)
        tx.remember(f"slots:{code}", f"{service.version} {last.isoformat()}")
    return touched


def _booked_in(tx: Transaction, service: Resource, last: date) -> None:
    """The department's Schedule, which its slots point to: made where there is none, and up to the horizon."""
    code, kept = service["id"], tx.get("Schedule", service["id"])
    begun = (kept.resource.get("planningHorizon") or {}) if kept else {"start": write(tx.now)}
    made: Resource = {
        "resourceType": "Schedule", "id": code, "active": service.get("active", True), "serviceType": service.get("type") or [],
        "actor": [{"reference": f"HealthcareService/{code}", "display": service.get("name", "")}],
        "planningHorizon": {**begun, "end": write(at(last + _DAY, MIDNIGHT))},
    }
    known = {} if kept is None else kept.resource
    tx.keep({**known, **{key: value for key, value in made.items() if value not in ("", [])}}, origin="hub")


def _fitted(tx: Transaction, slot: Resource) -> bool:
    """The slot made, or with the staff of today; what is taken stays taken. True when something changed."""
    kept = tx.get("Slot", slot["id"])
    if kept is not None:
        slot = with_extension(kept.resource, "capacity", "Integer", extension(slot, "capacity"))
    fitted = with_taken(slot, *tx.seats([slot["id"]])[slot["id"]])
    return tx.keep(fitted, origin="hub").version != (kept.version if kept else 0)


def _closed(tx: Transaction, slot: Resource) -> bool:
    """A slot outside today's opening hours: nobody can choose it, and who has a seat keeps it. True when that is new."""
    closed = with_taken(with_extension(slot, "capacity", "Integer", 0), tx.seats_taken(slot["id"]))
    if closed == slot:
        return False
    tx.keep(closed, origin="hub")
    return True


def _ahead(tx: Transaction, code: str) -> list[Stored]:
    return tx.find("Slot", refers=("schedule", f"Schedule/{code}"), date=(tx.now, tx.now + FAR))


def _booked(tx: Transaction, code: str) -> list[Resource]:
    """The visits that are not over, in no order."""
    found = tx.find("Appointment", refers=("actor", f"HealthcareService/{code}"), date=(tx.now - LONGEST_VISIT, tx.now + FAR))
    every = (kept.resource for kept in found if is_booking(kept.resource))
    return [r for r in every if r["status"] in TAKE_SEATS and Booking.of(r).end > tx.now]


def _seats_of(appointment: Resource, department: Department) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Holder → slots: of the visit, and of the confirmed time that stands while it asks for another."""
    booking = Booking.of(appointment)
    own = covering(department, booking.start, department.busy_until(booking.end))
    yield booking.id, own
    if booking.before is not None:
        before = covering(department, booking.before[0], department.busy_until(booking.before[1]))
        yield before_move(booking.id), tuple(slot for slot in before if slot not in own)


def _reseat(tx: Transaction, department: Department) -> int:
    """Moves the seats of visits, and of offers to who waits, into the slots of the grid as it is now; how many visits. Nobody loses a seat: there
    may be more of them than staff, as `hit_by` says; where the grid has no slot any more it stays where it is. What somebody only holds stays
    behind, and they are told that it ran out."""
    moved = 0
    for appointment in _booked(tx, department.code):
        (holder, own), *before = _seats_of(appointment, department)
        for old, slots in before:
            _hold(tx, old, slots, None)
        if own and own != Booking.of(appointment).slots:
            _hold(tx, holder, own, None)
            tx.keep({**appointment, "slot": [{"reference": f"Slot/{slot}"} for slot in own]}, origin="hub")
            moved += 1
    for kept in tx.find("Appointment", refers=("actor", f"HealthcareService/{department.code}"), status=STATUS):
        entry = Waiting.of(kept.resource) if is_waiting(kept.resource) else None
        if entry is not None and entry.offer is not None:
            end = entry.offer.start + timedelta(minutes=entry.minutes)
            _hold(tx, entry.holder, covering(department, entry.offer.start, department.busy_until(end)), entry.offer.until + GRACE)
    return moved


def _hold(tx: Transaction, holder: str, slots: tuple[str, ...], until: datetime | None) -> None:
    """These seats instead of those the holder has; nothing where there is none to have."""
    if not slots:
        return
    touched = dict.fromkeys((*tx.free_seats(holder), *slots))
    for slot in slots:
        tx.take_seat(slot, holder, NO_LIMIT, until)
    count_seats(tx, touched)


def hit_by(tx: Transaction, changed: Resource) -> list[Booking]:
    """The booked visits ahead that a department, changed like this, would not have taken: outside its hours or beyond its staff.

    Nothing is changed. They stay booked when the change is applied, and somebody must speak with these people. In order of time.
    """
    department = Department.of(changed)
    booked = _booked(tx, department.code)
    taken = Counter(slot for appointment in booked for _, slots in _seats_of(appointment, department) for slot in slots)
    ahead = [Booking.of(r) for r in booked if r["status"] in ("pending", "booked")]
    return sorted((b for b in ahead if b.start > tx.now and not _fits(department, b, taken)), key=lambda b: b.start)


def _fits(department: Department, booking: Booking, taken: Counter[str]) -> bool:
    seats = seats_over(department, booking.start, department.busy_until(booking.end))
    open_ = is_open(department, booking.start, booking.end) and fills(department, booking.start, booking.end)
    return open_ and all(taken[seat.slot] <= seat.capacity for seat in seats)


def change(store: Store, wanted: Resource, by: str) -> list[Booking]:
    """Applies a department's new settings: a new version, and slots that fit it. Gives what `hit_by` says of it.

    Raises:
        Refused: OUT_OF_DATE when its `meta.versionId` is not the kept one: somebody else changed it meanwhile.
    """

    def work(tx: Transaction) -> list[Booking]:
        hit = hit_by(tx, wanted)
        expect = int((wanted.get("meta") or {}).get("versionId", 0))
        tx.keep(wanted, origin=by, expect=expect)
        roll(tx, wanted["id"])
        return hit

    return store.write(work)
