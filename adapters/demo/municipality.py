"""Solbakken kommune: an invented municipality, the same for the same seed and day. Everything in it is synthetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from random import Random
from uuid import NAMESPACE_URL, uuid5

from adapters.demo.departments import PLANS, departments
from adapters.demo.persons import BOOK, EVERYTHING, NOTICES, READ, SEE, People, Person
from hub.message import Resource

PERSONS = 200
SHARES = (0.74, 0.14, 0.12)
"""Of elderly, adults and children among those who get help."""


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody to log in as in the demonstration, and why that is worth trying."""

    reference: str
    """`Patient/…` or `RelatedPerson/…`."""
    national_id: str
    name: str
    role: str
    """Norwegian, shown to whoever runs the demonstration."""


@dataclass(frozen=True)
class Municipality:
    """What is loaded, and who is in it."""

    resources: tuple[Resource, ...]
    """In load order: what a resource refers to comes before it."""
    persons: tuple[Person, ...]
    """Who gets help; `departments` tells where each can book."""
    relatives: tuple[Person, ...]
    logins: tuple[Login, ...]

    @property
    def bookable(self) -> tuple[Person, ...]:
        """Those with a decision in force."""
        return tuple(p for p in self.persons if p.departments)


def owners() -> dict[str, tuple[str, ...]]:
    """EPJ adapter name → its departments."""
    found: dict[str, tuple[str, ...]] = {}
    for plan in PLANS:
        found[plan.epj] = (*found.get(plan.epj, ()), plan.code)
    return found


def resources(seed: int, today: date) -> Municipality:
    """The whole municipality as of `today` (a Norwegian day)."""
    new_id = _ids(seed)
    people = _Town(People(Random(seed), today, new_id))
    people.settle()
    return Municipality(
        tuple(departments(today, new_id) + people.resources), tuple(people.persons), tuple(people.relatives), tuple(people.logins),
    )


def _ids(seed: int) -> Callable[[str, str], str]:
    def new_id(type_: str, key: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"solbakken|{seed}|{type_}|{key}"))
    return new_id


class _Town:
    """Settles people one household at a time: first those that the demonstration shows, then the rest by SHARES."""

    def __init__(self, people: People) -> None:
        self.people, self.rng = people, people.rng
        self.resources: list[Resource] = []
        self.persons: list[Person] = []
        self.relatives: list[Person] = []
        self.logins: list[Login] = []

    def settle(self) -> None:
        """Everybody, PERSONS in all."""
        self._couple_and_daughter()
        self._expired_and_limited()
        self._family()
        self._guarded()
        self._protected()
        self._without_decision()
        households = (self._elderly, self._adult, self._child)
        while len(self.persons) < PERSONS:
            self.rng.choices(households, SHARES)[0]()

    # Those that the demonstration shows

    def _couple_and_daughter(self) -> None:
        """Two elderly parents whose daughter may do everything for one and see the other's visits."""
        mother = self._moves_in((80, 90), {"hjemmesykepleie": 7, "praktisk-bistand": 2}, login="Tjenestemottaker med to tjenester")
        father = self._moves_in((82, 92), {"hjemmesykepleie": 5, "dagsenter": 2})
        daughter = self._relative(mother, "DAUC", EVERYTHING, login="Pårørende: full fullmakt for én, ser besøkene til en annen")
        self._relative(father, "DAUC", (SEE, NOTICES), same=daughter)

    def _expired_and_limited(self) -> None:
        """One whose son's mandate has run out, and whose friend may see but not book."""
        person = self._moves_in((70, 88), {"hjemmesykepleie": 4})
        self._relative(person, "SONC", EVERYTHING, days=(-700, -3), login="Pårørende med utløpt fullmakt")
        self._relative(person, "FRND", (SEE,), login="Pårørende som bare ser besøk")

    def _family(self) -> None:
        """A child with two parents."""
        child = self._moves_in((6, 11), {"avlastning": 3})
        self._parent(child, "MTH", login="Forelder")
        self._parent(child, "FTH")

    def _guarded(self) -> None:
        """A young adult with a guardian (verge) whose mandate is limited."""
        person = self._moves_in((19, 30), {"praktisk-bistand": 3, "avlastning": 2}, login="Ung voksen")
        self._relative(person, "GUARD", (SEE, BOOK, READ), ground="Vergemål", code="GUARD", login="Verge")

    def _protected(self) -> None:
        """Kode 6 and kode 7: no address, and nobody represents them."""
        self._moves_in((35, 50), {"praktisk-bistand": 2}, protection="strengtFortrolig", login="Tjenestemottaker med adressesperre")
        self._moves_in((25, 60), {"hjemmesykepleie": 3}, protection="fortrolig")

    def _without_decision(self) -> None:
        """One whose decision has run out: what was booked can be seen, nothing can be booked."""
        self._moves_in((67, 80), {"praktisk-bistand": 1}, days=(-500, -10), login="Tjenestemottaker uten gjeldende vedtak")

    # The rest

    def _elderly(self) -> None:
        grants = {"hjemmesykepleie": self.rng.randint(2, 10)}
        if self.rng.random() < 0.45:
            grants["praktisk-bistand"] = self.rng.randint(1, 2)
        if self.rng.random() < 0.25:
            grants["dagsenter"] = self.rng.randint(1, 3)
        ended = self.rng.random() < 0.04
        person = self._moves_in((67, 98), grants, days=(-500, -10) if ended else (-120, 400))
        if self.rng.random() < 0.4:
            kin = self.rng.choice(("DAUC", "SONC", "SPS", "SIB"))
            self._relative(person, kin, self.rng.choice((EVERYTHING, (SEE, NOTICES), (SEE, BOOK, NOTICES))))

    def _adult(self) -> None:
        grants = {self.rng.choice(("praktisk-bistand", "avlastning", "hjemmesykepleie")): self.rng.randint(1, 4)}
        person = self._moves_in((18, 66), grants)
        if self.rng.random() < 0.3:
            self._relative(person, "SPS", (SEE, NOTICES))

    def _child(self) -> None:
        child = self._moves_in((3, 15), {"avlastning": self.rng.randint(1, 4)})
        for kin in ("MTH", "FTH")[:self.rng.randint(1, 2)]:
            self._parent(child, kin)

    # One at a time

    def _moves_in(self, ages: tuple[int, int], grants: dict[str, int], *, days: tuple[int, int] = (-120, 400), protection: str = "",
                  login: str = "") -> Resource:
        patient, person = self.people.patient(self.people.born(*ages), protection)
        self.resources.append(patient)
        self.resources += [self.people.decision(patient, department, visits, days) for department, visits in grants.items()]
        self.persons.append(replace(person, departments=tuple(grants) if days[1] > 0 else (), protected=bool(protection)))
        self._shown(person, login)
        return patient

    def _relative(self, patient: Resource, kin: str, scopes: tuple[str, ...], *, ground: str = "Fullmakt", code: str = "DELEGATEE",
                  days: tuple[int, int | None] = (-200, None), same: Resource | None = None, login: str = "") -> Resource:
        resource, person = self.people.relative(patient, kin, same)
        self.resources += [resource, self.people.mandate(resource, scopes, ground=ground, code=code, days=days)]
        self.relatives.append(person)
        self._shown(person, login)
        return resource

    def _parent(self, child: Resource, kin: str, login: str = "") -> Resource:
        return self._relative(child, kin, EVERYTHING, ground="Foreldreansvar", code="PRN", login=login)

    def _shown(self, person: Person, role: str) -> None:
        if role:
            self.logins.append(Login(person.reference, person.national_id, person.name, role))
