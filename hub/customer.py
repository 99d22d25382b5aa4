"""Who orders in the hub's own shop, for whom, and what they order: the values that every face of it makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from hub.access import Ground, Reader
from hub.booking import Asker, Balance, Department
from hub.booking.conventions import appointment_id
from hub.keeping import Speaker

ORIGIN = "tjenesteshop-egen"
"""The origin of what is ordered here; an adapter of this name would be somebody else."""
STAFF_ORIGIN = "tjenesteshop-ansatt"
"""The origin of what staff order for somebody, so that it is not counted as self-service."""
ORDERS = frozenset({"book", "move", "cancel"})


@dataclass(frozen=True, slots=True)
class Customer:
    """Who orders, for whom, in what capacity."""

    person: str
    """`Patient/…`: whom the visit is for."""
    reader: str
    """As `AuditLine.reader`: who orders."""
    ground: Ground
    asker: Asker = Asker.PERSON
    channel: str = "portal"
    overrules: str = ""
    """Staff's reason for passing the rules; empty: they bind."""
    may: frozenset[str] = ORDERS
    """What is theirs to do; a shop that calls from outside may be let do less."""
    departments: frozenset[str] = frozenset()
    """Where they may order; empty: anywhere."""

    @classmethod
    def of(cls, reader: Reader, person: str, channel: str = "portal") -> Customer:
        """A person for themself, or whoever represents them."""
        return cls(person, reader.reference, reader.ground, Asker.PERSON if reader.ground is Ground.SELF else Asker.RELATIVE, channel)

    @property
    def origin(self) -> str:
        return STAFF_ORIGIN if self.asker is Asker.STAFF else ORIGIN

    @property
    def speaker(self) -> Speaker:
        behalf = self.person if self.asker is Asker.RELATIVE else ""
        return Speaker(self.origin, self.may, self.reader, self.ground.value, self.departments, on_behalf_of=behalf, channel=self.channel,
                       asker=self.asker, overrules=self.overrules)

    @property
    def holder(self) -> str:
        """Who holds a time for this customer: one at a time, for whoever orders and whom it is for."""
        return f"hold:{uuid5(NAMESPACE_URL, f'{self.reader}|{self.person}')}"


@dataclass(frozen=True, slots=True)
class Order:
    """A visit that is asked for."""

    key: str
    """The maker's own id for this order, unique per person."""
    department: str
    start: datetime
    minutes: int
    moves: str = ""
    """The Appointment that gets this time instead of its own; empty: a new one."""
    comment: str = ""
    version: str = ""
    """The version of the moved booking that its maker saw; empty: whichever."""

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.minutes)

    def reference(self, customer: Customer) -> str:
        """What it is known by: the key made unique over all persons, and telling nothing."""
        return str(uuid5(NAMESPACE_URL, f"order|{customer.person}|{self.key}"))

    def appointment(self, customer: Customer) -> str:
        """The id of the Appointment that it becomes, or changes."""
        return self.moves or appointment_id(customer.origin, self.reference(customer))


@dataclass(frozen=True, slots=True)
class Held:
    """A time that is held for a customer."""

    order: Order
    until: datetime


@dataclass(frozen=True, slots=True)
class Service:
    """A department that a person may order from, and what is granted there now."""

    department: Department
    balances: tuple[Balance, ...]
