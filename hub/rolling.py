"""Keeps every department's slots as its hours, staff and horizon say: new days as they come, and all of them when it is changed."""

from __future__ import annotations

from datetime import date, timedelta

from hub.booking import Booking, Department, slots_of, with_taken
from hub.booking.clock import local
from hub.booking.conventions import extension, with_extension
from hub.booking.slots import is_open, seats_over
from hub.fhir.query import Query
from hub.message import Resource
from hub.store import Store, Stored, Transaction

_DAY = timedelta(days=1)
FAR = timedelta(days=400)
"""Nothing is booked further ahead."""


def roll_slots(store: Store) -> int:
    """Brings every department's slots up to its horizon, one commit each. Returns how many slots were made or changed."""
    services = store.search(Query("HealthcareService", count=100_000)).entries
    return sum(store.write(lambda tx, id_=kept.id: roll(tx, id_)) for kept in services)  # type: ignore[misc]


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
    if changed or days:
        tx.remember(f"slots:{code}", f"{service.version} {last.isoformat()}")
    return touched


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


def hit_by(tx: Transaction, changed: Resource) -> list[Booking]:
    """The booked visits ahead that a department, changed like this, would not have taken: outside its hours or beyond its staff.

    Nothing is changed. They stay booked when the change is applied, and somebody must speak with these people. In order of time.
    """
    department = Department.of(changed)
    found = tx.find("Appointment", refers=("actor", f"HealthcareService/{department.code}"), date=(tx.now, tx.now + FAR))
    booked = [Booking.of(kept.resource) for kept in found if kept.resource.get("status") in ("pending", "booked")]
    return sorted((b for b in booked if not _fits(tx, department, b)), key=lambda b: b.start)


def _fits(tx: Transaction, department: Department, booking: Booking) -> bool:
    seats = seats_over(department, booking.start, booking.end)
    return bool(seats) and is_open(department, booking.start, booking.end) and all(
        tx.seats_taken(seat.slot) <= seat.capacity for seat in seats
    )


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
