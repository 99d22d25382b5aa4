"""Keeps every department's slots as its hours, staff and horizon say: new days as they come, and all of them when it is changed.

A booking's seats lie in the slots of the grid that it was booked in. Where a change makes another grid, its seats move into the new slots in the
same transaction: else nobody would count them there, and its time would be given away twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from hub.booking import Booking, Department, covering, slots_of, with_taken
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
AT_ONCE = 500
"""Visits that get a new version in one commit, and the rest of a day."""
_UNNAMED = "slots-unnamed:{}"
"""A fact of the house: from when on a department's visits may not name the slots of their seats yet."""
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
    moved = _reseat(tx, department) if changed else []  # first: each slot then tells at once how many are in it
    touched = sum(_fitted(tx, slot) for slot in wanted.values())
    if changed:
        ahead = {kept.id: kept.resource for kept in _ahead(tx, code)}
        touched += sum(_closed(tx, slot) for id_, slot in ahead.items() if id_ not in wanted)
        count_seats(tx, [slot for slot in moved if slot not in wanted and slot not in ahead])
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


def _booked(tx: Transaction, code: str, first: datetime | None = None, until: datetime | None = None) -> list[Booking]:
    """The visits that are not over, those that begin in [first, until), in no order."""
    found = tx.find("Appointment", refers=("actor", f"HealthcareService/{code}"), date=(first or tx.now - LONGEST_VISIT, until or tx.now + FAR))
    booked = [Booking.of(k.resource) for k in found if k.resource["status"] in TAKE_SEATS and is_booking(k.resource)]
    return [booking for booking in booked if booking.end > tx.now]


def _seats_of(booking: Booking, department: Department) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Holder → slots: of the visit, and of the confirmed time that stands while it asks for another."""
    own = covering(department, booking.start, department.busy_until(booking.end))
    yield booking.id, own
    if booking.before is not None:
        before = covering(department, booking.before[0], department.busy_until(booking.before[1]))
        yield before_move(booking.id), tuple(slot for slot in before if slot not in own)


def _reseat(tx: Transaction, department: Department) -> list[str]:
    """Moves the seats of visits, and of offers to who waits, into the slots of the grid as it is now; the slots that were touched. Nobody loses a
    seat: there may be more of them than staff, as `hit_by` says; where the grid has no slot any more it stays where it is. What somebody only
    holds stays behind, and they are told that it ran out.

    All seats move in this transaction. The slots that a visit names decide over nothing: here the first AT_ONCE do, `name_slots` does the others.
    """
    moved: dict[str, tuple[tuple[str, ...], datetime | None]] = {}
    unnamed: list[Booking] = []
    for booking in _booked(tx, department.code):
        (holder, own), *before = _seats_of(booking, department)
        moved |= {old: (slots, None) for old, slots in before if slots}
        if own and own != booking.slots:
            moved[holder] = own, None
            unnamed.append(booking)
    for kept in tx.find("Appointment", refers=("actor", f"HealthcareService/{department.code}"), status=STATUS):
        entry = Waiting.of(kept.resource) if is_waiting(kept.resource) else None
        if entry is not None and entry.offer is not None:
            end = entry.offer.start + timedelta(minutes=entry.minutes)
            if slots := covering(department, entry.offer.start, department.busy_until(end)):
                moved[entry.holder] = slots, entry.offer.until + GRACE
    unnamed.sort(key=lambda booking: booking.start)
    for booking in unnamed[:AT_ONCE]:
        _names(tx, booking.id, moved[booking.id][0])
    tx.remember(_UNNAMED.format(department.code), unnamed[AT_ONCE].start.isoformat() if unnamed[AT_ONCE:] else "")
    return tx.move_seats(moved)


def _names(tx: Transaction, id_: str, slots: tuple[str, ...]) -> None:
    kept = tx.get("Appointment", id_)
    if kept is not None:
        tx.keep({**kept.resource, "slot": [{"reference": f"Slot/{slot}"} for slot in slots]}, origin="hub")


def name_slots(store: Store) -> int:
    """Visits whose seats were moved name their slots, AT_ONCE or a day in a commit: a grid may change under tens of thousands, and every other
    write would wait for all of them. How many; those of a hub that was killed meanwhile are among them."""
    services = store.search(Query("HealthcareService", count=100_000)).entries
    return sum(done for kept in services for done in iter(lambda id_=kept.id: store.write(lambda tx: _name(tx, id_)), None))  # type: ignore[misc]


def _name(tx: Transaction, code: str) -> int | None:
    """Some of one department's, in order of time; None: all do."""
    begun, service = tx.recall(_UNNAMED.format(code)), tx.get("HealthcareService", code)
    if not begun or service is None:
        return None
    department, first, named, until = Department.of(service.resource), datetime.fromisoformat(begun), 0, tx.now + FAR
    while named < AT_ONCE and first < until:
        for booking in _booked(tx, code, first, first + _DAY):
            (_, own), *_ = _seats_of(booking, department)
            if own and own != booking.slots:
                _names(tx, booking.id, own)
                named += 1
        first += _DAY
    tx.remember(_UNNAMED.format(code), first.isoformat() if first < until else "")
    return named


def hit_by(tx: Transaction, changed: Resource) -> list[Booking]:
    """The booked visits ahead that a department, changed like this, would not have taken: outside its hours or beyond its staff.

    Nothing is changed. They stay booked when the change is applied, and somebody must speak with these people. In order of time.
    """
    department = Department.of(changed)
    booked = _booked(tx, department.code)
    taken = Counter(slot for booking in booked for _, slots in _seats_of(booking, department) for slot in slots)
    ahead = [booking for booking in booked if booking.status in ("pending", "booked")]
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
