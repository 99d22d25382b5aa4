"""The invented municipality: valid, coherent, deterministic, and nobody in it lives."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.demo.departments import OWN_HER_ID, OWN_ORGNR, PLANS
from adapters.demo.municipality import PERSONS, Municipality, owners, resources
from adapters.demo.names import ADJECTIVES, NOUNS
from hub.access import Ground, Mandate, Protection, Scope, protection
from hub.booking import Booking, Decision, Department, Statement, slots_of, weigh
from hub.booking.conventions import DEPARTMENT, FNR, HER_ID, SHOP_BOOKING, identifier
from hub.booking.facts import Facts
from hub.booking.national_id import is_synthetic
from hub.message import Resource

TODAY = date(2026, 10, 19)


@pytest.fixture(scope="module")
def town() -> Municipality:
    return resources(7, TODAY)


def of_type(town: Municipality, type_: str) -> list[Resource]:
    return [r for r in town.resources if r["resourceType"] == type_]


def test_every_resource_is_r4(town: Municipality) -> None:
    for resource in town.resources:
        name = resource["resourceType"]
        model = getattr(import_module(f"fhir.resources.R4B.{name.lower()}"), name)
        model(**resource)


def test_whatever_is_referred_to_was_loaded_before(town: Municipality) -> None:
    loaded: set[str] = set()

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["reference"]] if isinstance(value.get("reference"), str) else []
            return own + [r for v in value.values() for r in references(v)]
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    for resource in town.resources:
        assert set(references(resource)) <= loaded
        reference = f"{resource['resourceType']}/{resource['id']}"
        assert reference not in loaded
        loaded.add(reference)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.dates(date(2026, 1, 1), date(2031, 12, 31)))
def test_the_same_seed_and_day_give_the_same_town_and_only_synthetic_people(seed: int, today: date) -> None:
    town = resources(seed, today)
    assert json.dumps(town.resources) == json.dumps(resources(seed, today).resources)
    numbers = [p.national_id for p in town.persons]
    assert len(numbers) == len(set(numbers)) == PERSONS
    assert not set(numbers) & {r.national_id for r in town.relatives}
    for resource in town.resources:
        if resource["resourceType"] in ("Patient", "RelatedPerson"):
            number = identifier(resource, FNR)
            born = date.fromisoformat(resource["birthDate"])
            assert is_synthetic(number) and int(number[2:4]) == born.month + 80
            assert number[:2] == f"{born.day:02}" and number[4:6] == f"{born.year % 100:02}" and born < today


def test_another_seed_is_another_town(town: Municipality) -> None:
    assert not {p.national_id for p in town.persons} & {p.national_id for p in resources(8, TODAY).persons}


def test_people_are_named_as_nobody_is(town: Municipality) -> None:
    for who in (*town.persons, *town.relatives):
        given_name, family = who.name.split()
        assert given_name in ADJECTIVES and family in NOUNS
    assert max(Counter(p.name for p in town.persons).values()) == 1


def test_four_departments_in_three_epjs(town: Municipality) -> None:
    assert owners() == {
        "visma-profil": ("hjemmesykepleie",), "acos-cosdoc": ("praktisk-bistand",), "tieto-gerica": ("avlastning", "dagsenter")}
    assert [s["id"] for s in of_type(town, "HealthcareService")] == [d for codes in owners().values() for d in codes]
    assert all(identifier(s, DEPARTMENT) == s["id"] for s in of_type(town, "HealthcareService"))
    numbers = [identifier(o, HER_ID) for o in of_type(town, "Organization")]
    assert len(set(numbers)) == 5 and all(n.startswith("81") and len(n) == 7 for n in numbers) and OWN_HER_ID in numbers
    weighted = sum(int(d) * w for d, w in zip(OWN_ORGNR, (3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True))
    assert weighted % 11 == 0, "mod 11, as organisation numbers are"


def test_slots_reach_through_the_fourteenth_day_and_are_those_the_hub_makes(town: Municipality) -> None:
    slots = {s["id"]: s for s in of_type(town, "Slot")}
    for service in of_type(town, "HealthcareService"):
        made = slots_of(Department.of(service), TODAY, 15)
        assert made and all(slots[s["id"]] == s for s in made)
        assert made[-1]["start"] < "2026-11-03" and made[-1]["start"] >= "2026-11-01"


def test_holidays_close_what_is_not_care() -> None:
    christmas = resources(7, date(2026, 12, 20))
    starts = {(s["schedule"]["reference"], s["start"][:10]) for s in of_type(christmas, "Slot")}
    assert ("Schedule/hjemmesykepleie", "2026-12-25") in starts and ("Schedule/avlastning", "2026-12-25") in starts
    assert ("Schedule/praktisk-bistand", "2026-12-25") not in starts and ("Schedule/praktisk-bistand", "2026-12-24") in starts


def test_ages_are_a_municipalitys(town: Municipality) -> None:
    ages = [TODAY.year - int(p["birthDate"][:4]) for p in of_type(town, "Patient")]
    assert sum(a >= 67 for a in ages) > 100 and sum(a < 18 for a in ages) >= 5 and sum(18 <= a < 35 for a in ages) >= 3
    relatives = [TODAY.year - int(r["birthDate"][:4]) for r in of_type(town, "RelatedPerson")]
    assert min(relatives) >= 18


def test_mandates_differ_in_scope_and_one_has_run_out(town: Municipality) -> None:
    mandates = [Mandate.of(c) for c in of_type(town, "Consent")]
    assert len({m.scopes for m in mandates}) >= 3
    assert {m.ground for m in mandates} == {Ground.MANDATE, Ground.PARENT, Ground.GUARDIAN}
    noon = datetime(2026, 10, 19, 10, tzinfo=UTC)
    assert [m.holds(noon) for m in mandates].count(False) == 1
    assert all(Scope.SEE in m.scopes for m in mandates)


def test_every_child_has_a_parent_who_may_act(town: Municipality) -> None:
    parents = {Mandate.of(c).person for c in of_type(town, "Consent") if Mandate.of(c).ground is Ground.PARENT}
    children = {f"Patient/{p['id']}" for p in of_type(town, "Patient") if TODAY.year - int(p["birthDate"][:4]) < 15}
    assert children and children <= parents


def test_protected_persons_have_no_address_and_nobody_represents_them(town: Municipality) -> None:
    protected = [p for p in of_type(town, "Patient") if protection(p) is not Protection.OPEN]
    assert {protection(p) for p in protected} == {Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL}
    represented = {c["patient"]["reference"] for c in of_type(town, "Consent")}
    for person in protected:
        assert "address" not in person and f"Patient/{person['id']}" not in represented
    assert [p.reference for p in town.persons if p.protected] == [f"Patient/{p['id']}" for p in protected]


def test_logins_show_each_case_once(town: Municipality) -> None:
    roles = [login.role for login in town.logins]
    assert len(roles) == len(set(roles)) == 9
    known = {p.national_id for p in (*town.persons, *town.relatives)}
    assert {login.national_id for login in town.logins} <= known
    assert Counter(r.national_id for r in town.relatives).most_common(1)[0] == (town.logins[1].national_id, 2)


def test_everybody_bookable_can_book_somewhere_in_the_fortnight(town: Municipality) -> None:
    """Each decision is of use: the first free slot of each of the person's departments is accepted."""
    services = {s["id"]: s for s in of_type(town, "HealthcareService")}
    patients = {f"Patient/{p['id']}": p for p in of_type(town, "Patient")}
    now = datetime(2026, 10, 19, 3, tzinfo=UTC)
    decisions = of_type(town, "ServiceRequest")
    assert len(town.bookable) < len(town.persons), "somebody's decision has run out"
    for person in town.persons:
        own = tuple(d for d in decisions if d["subject"]["reference"] == person.reference)
        assert person.departments == tuple(Decision.of(d).department for d in own if (Decision.of(d).ends or now) > now)
        for code in person.departments:
            times = [s["start"] for s in of_type(town, "Slot") if s["schedule"]["reference"] == f"Schedule/{code}"]
            start = next(t for t in times if t > "2026-10-19T08")
            stated: Resource = {
                "resourceType": "Appointment", "identifier": [{"system": SHOP_BOOKING, "value": "b"}], "status": "proposed", "start": start,
                "participant": [{"actor": {"reference": person.reference}}, {"actor": {"reference": f"HealthcareService/{code}"}}],
            }
            outcome = weigh(Statement(stated), None, Facts(patients[person.reference], services[code], own),
                            may=frozenset({"book"}), origin="portal", now=now)
            assert outcome.appointment is not None and Booking.of(outcome.appointment).patient == person.reference


def test_plans_name_services_of_the_code_list() -> None:
    assert {plan.service[0] for plan in PLANS} == {"15", "1", "7", "4"}
