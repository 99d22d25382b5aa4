"""Customers of the demo municipality's shop, for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hubs import World

from hub.access import Ground
from hub.booking import Asker, Booking
from hub.booking.conventions import extension, with_extension
from hub.customer import Customer, Order
from hub.keeping import Speaker
from hub.message import Resources
from hub.shop import Shop

CODE = "hjemmesykepleie"


def shop_of(world: World) -> Shop:
    return Shop(world.store, world.keeping)


def customers(world: World, department: str = CODE) -> list[Customer]:
    """Everybody who may order there."""
    return [Customer(p.reference, p.reference, Ground.SELF) for p in world.town.bookable if department in p.departments]


def relative_of(customer: Customer, name: str = "RelatedPerson/r1") -> Customer:
    return Customer(customer.person, name, Ground.MANDATE, Asker.RELATIVE)


def first_free(world: World, customer: Customer, department: str = CODE, days_ahead: int = 1, **more: object) -> datetime:
    days = shop_of(world).free(customer, department, world.clock.now, **more)  # type: ignore[arg-type]
    return days[days_ahead].times[0].start


def order(key: str, start: datetime, department: str = CODE, minutes: int = 15, moves: str = "") -> Order:
    return Order(key, department, start, minutes, moves)


def set_number(world: World, name: str, value: int, department: str = CODE) -> None:
    """An administrator changes a number of the department."""
    kept = world.store.get("HealthcareService", department)
    assert kept is not None
    world.store.write(lambda tx: tx.keep(with_extension(kept.resource, name, "Integer", value), origin="hub"))


def booking(world: World, id_: str) -> Booking:
    kept = world.store.get("Appointment", id_)
    assert kept is not None
    return Booking.of(kept.resource)


def slot_numbers(world: World, slot: str) -> tuple[str, int]:
    """(status, taken) as the Slot resource tells."""
    kept = world.store.get("Slot", slot)
    assert kept is not None
    return kept.resource["status"], int(extension(kept.resource, "taken"))


def say(world: World, id_: str, **stated: Any) -> None:
    """The EPJ says something of a booking."""
    speaker = Speaker.of(world.adapters["visma-profil"])
    world.store.write(lambda tx: world.keeping.keep(tx, speaker, Resources(({"resourceType": "Appointment", "id": id_, **stated},))))


MINUTE = timedelta(minutes=1)
