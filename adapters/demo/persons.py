"""The invented people of Solbakken: who gets help, their decisions (vedtak), their relatives and mandates (fullmakt)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from random import Random

from adapters.demo.departments import KOMMUNENUMMER, PLANS, Plan, service_type
from adapters.demo.names import names
from hub.booking.conventions import BASE, FNR, url
from hub.booking.national_id import synthetic_numbers
from hub.message import Resource

CONFIDENTIALITY = "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
SCOPES = f"{BASE}/CodeSystem/mandate-scope"
SEE, BOOK, READ, WRITE, NOTICES = "se-besok", "bestille", "lese-meldinger", "skrive-meldinger", "varsler"
EVERYTHING = (SEE, BOOK, READ, WRITE, NOTICES)
_STREETS = ("Solbakkveien", "Lyngstien", "Fjordgata", "Kirkebakken", "Skolegata", "Møllerveien", "Havneveien", "Granlia")
KIN = {
    # v3-RoleCode: (text, gender or empty, years older than the person from, to)
    "DAUC": ("Datter", "female", -36, -22), "SONC": ("Sønn", "male", -36, -22),
    "MTH": ("Mor", "female", 22, 40), "FTH": ("Far", "male", 22, 44), "GUARD": ("Verge", "", 15, 35),
    "SPS": ("Ektefelle", "", -5, 5), "SIB": ("Søsken", "", -8, 8), "FRND": ("Venn", "", -6, 6),
}
_BY_CODE = {plan.code: plan for plan in PLANS}


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person, for whoever plays the demonstration."""

    reference: str
    """`Patient/…` or `RelatedPerson/…`."""
    national_id: str
    """Synthetic: month + 80."""
    name: str
    departments: tuple[str, ...] = ()
    """Where a decision in force lets the person book."""
    protected: bool = False


class People:
    """Makes persons one after another from one source of randomness; no number and no name twice."""

    def __init__(self, rng: Random, today: date, new_id: Callable[[str, str], str]) -> None:
        self.rng, self.today, self.new_id = rng, today, new_id
        self._names: Iterator[tuple[str, str]] = iter(names(rng))
        self._taken: set[str] = set()
        self._mobiles = 0

    def born(self, youngest: int, oldest: int) -> date:
        """A birth date of somebody so many years old today."""
        return self.today - timedelta(days=self.rng.randint(youngest * 366, oldest * 365))

    def number(self, born: date, gender: str) -> str:
        """A synthetic national id that nobody has yet."""
        numbers = (n for n in synthetic_numbers(born) if n not in self._taken and (int(n[8]) % 2 == 0) == (gender == "female"))
        chosen = next(islice(numbers, self.rng.randrange(150), None))
        self._taken.add(chosen)
        return chosen

    def _human(self, type_: str, born: date, gender: str = "") -> tuple[Resource, Person]:
        given, family = next(self._names)
        gender = gender or self.rng.choice(("female", "male"))
        number = self.number(born, gender)
        id_ = self.new_id(type_, number)
        resource: Resource = {
            "resourceType": type_, "id": id_, "active": True, "identifier": [{"system": FNR, "value": number, "use": "official"}],
            "name": [{"use": "official", "family": family, "given": [given], "text": f"{given} {family}"}],
            "gender": gender, "birthDate": born.isoformat(),
        }
        return resource, Person(f"{type_}/{id_}", number, f"{given} {family}")

    def patient(self, born: date, protection: str = "") -> tuple[Resource, Person]:
        """A person who gets help. `protection`: `fortrolig` or `strengtFortrolig`, and then there is no address at all."""
        resource, person = self._human("Patient", born)
        if protection:
            return {**resource, "meta": {"security": [{"system": CONFIDENTIALITY, "code": protection}]}}, person
        return {**resource, "telecom": [self._mobile()], "address": [self._address()]}, person

    def _mobile(self) -> Resource:
        """A number that nobody has: no Norwegian one begins with 0. Drawn apart, so that the rest of the town stays as it is."""
        self._mobiles += 1
        return {"system": "phone", "use": "mobile", "value": f"+47 000 {self._mobiles // 1000:02} {self._mobiles % 1000:03}"}

    def _address(self) -> Resource:
        code = {"url": "http://hl7.no/fhir/StructureDefinition/no-basis-municipalitycode", "valueCoding": {
            "system": "https://register.geonorge.no/subregister/sosi-kodelister/kartverket/kommunenummer-alle", "code": KOMMUNENUMMER}}
        return {
            "use": "home", "line": [f"{self.rng.choice(_STREETS)} {self.rng.randint(1, 120)}"], "postalCode": "9999", "city": "Solbakken",
            "district": "Solbakken", "_district": {"extension": [code]}, "country": "NO",
        }

    def relative(self, patient: Resource, code: str, same: Resource | None = None) -> tuple[Resource, Person]:
        """A relative of one person; `same` is the relative as another person's: one human being, one national id, two resources."""
        display, gender, least, most = KIN[code]
        if same:
            resource = {**same, "id": self.new_id("RelatedPerson", f"{same['id']}|{patient['id']}")}
            person = Person(f"RelatedPerson/{resource['id']}", same["identifier"][0]["value"], same["name"][0]["text"])
        else:
            born = date.fromisoformat(patient["birthDate"]) - timedelta(days=self.rng.randint(least * 365, most * 365))
            resource, person = self._human("RelatedPerson", min(born, self.today - timedelta(days=19 * 366)), gender)
        kind = {"coding": [{"system": ROLE_CODE, "code": code, "display": display}], "text": display}
        return {**resource, "patient": {"reference": f"Patient/{patient['id']}"}, "relationship": [kind]}, person

    def mandate(self, relative: Resource, scopes: Iterable[str], *, ground: str = "Fullmakt", code: str = "DELEGATEE",
                days: tuple[int, int | None] = (-200, None)) -> Resource:
        """A Consent that lets a relative act, from and until so many days from today; no end is an open one."""
        first = self.today + timedelta(days=days[0])
        period = {"start": first.isoformat()}
        holder = {"role": {"coding": [{"system": ROLE_CODE, "code": code}]}, "reference": {"reference": f"RelatedPerson/{relative['id']}"}}
        if days[1] is not None:
            period["end"] = (self.today + timedelta(days=days[1])).isoformat()
        return {
            "resourceType": "Consent", "id": self.new_id("Consent", relative["id"]), "status": "active",
            "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
            "patient": relative["patient"], "dateTime": first.isoformat(), "policyRule": {"text": ground},
            "provision": {
                "type": "permit", "period": period, "actor": [holder],
                "code": [{"coding": [{"system": SCOPES, "code": scope}]} for scope in scopes],
            },
        }

    def decision(self, patient: Resource, department: str, visits: int, days: tuple[int, int] = (-120, 400)) -> Resource:
        """A vedtak: so many visits a week by a department, in force from and until so many days from today."""
        plan: Plan = _BY_CODE[department]
        start, end = (self.today + timedelta(days=n) for n in days)
        return {
            "resourceType": "ServiceRequest", "id": self.new_id("ServiceRequest", f"{patient['id']}|{department}"), "status": "active",
            "intent": "order", "code": service_type(plan), "subject": {"reference": f"Patient/{patient['id']}"},
            "authoredOn": start.isoformat(),
            "extension": [{"url": url("department"), "valueReference": {"reference": f"HealthcareService/{department}"}}],
            "occurrenceTiming": {"repeat": {
                "boundsPeriod": {"start": start.isoformat(), "end": end.isoformat()},
                "frequency": visits, "period": 1, "periodUnit": "wk",
            }},
        }
