"""R4's search modifiers: what is said in words, an identifier by its type, value sets, hierarchies and addresses. Both databases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from hub.fhir import definitions, search
from hub.fhir.query import CodeIn
from hub.fhir.terminology import ancestors, descendants
from hub.fhir.text import below
from hub.problem import Problem, Refused

D = definitions.load()
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
TYPES, CODES = "http://terminology.hl7.org/CodeSystem/v2-0203", "urn:oid:2.16.578.1.12.4.1.1.8116"
ROLE, ACT = "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VALUE_SET = "http://hl7.org/fhir/ValueSet"
PERSON = TOWN.persons[0]


def number_of(reference: str) -> str:
    resource = next(r for r in TOWN.resources if f"{r['resourceType']}/{r['id']}" == reference)
    return str(resource["identifier"][0]["value"])


def coded(*codings: tuple[str, str, str], text: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"coding": [{"system": s, "code": c, **({"display": d} if d else {})} for s, c, d in codings]} if codings else {}
    return {**made, **({"text": text} if text else {})}


KEPT: list[dict[str, Any]] = [
    {"resourceType": "Location", "id": "home", "name": "Hjemme", "type": [coded((ROLE, "PTRES", "Pasientens hjem"))]},
    {"resourceType": "Location", "id": "clinic", "name": "Legekontor", "type": [coded((ROLE, "PC", "Legekontor"), text="Fastlegens kontor")],
     "partOf": {"reference": "Location/home", "display": "Ås omsorgssenter"}},
    {"resourceType": "Location", "id": "worded", "name": "Ute", "type": [coded(text="Ångstrøms plass")],
     "meta": {"profile": ["http://a.example/fhir/StructureDefinition/place|1.0"], "source": "http://a.example/fhir/feed"}},
    {"resourceType": "Location", "id": "bare", "name": "Bare", "meta": {"source": "http://a.example/fhirother"}},
    {"resourceType": "Device", "id": "typed", "identifier": [
        {"type": coded((TYPES, "SNO", ""), text="Serienummer"), "system": "urn:serial", "value": "77"}, {"system": "urn:other", "value": "78"}]},
    {"resourceType": "Device", "id": "other", "identifier": [{"type": coded((TYPES, "MCN", "")), "value": "77"}]},
    {"resourceType": "RelatedPerson", "id": "next-of-kin", "patient": {"reference": PERSON.reference},
     "identifier": [{"type": coded((CODES, "FNR", "")), "system": FNR, "value": number_of(PERSON.reference)}]},
]


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000) as made:
        made.parts.store.write(lambda tx: [tx.keep(each, origin="test") for each in KEPT])
        yield made


def found(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", ())} & {each["id"] for each in KEPT}


FINDS = [
    ("Location?type:text=legek", {"clinic"}), ("Location?type:text=FASTLEGENS", {"clinic"}), ("Location?type:text=kontor", set()),
    ("Location?type:text=ang", {"worded"}), ("Location?type:text=pasient,legek", {"clinic", "home"}), ("Location?partof:text=as oms", {"clinic"}),
    ("Location?partof.type:text=pasientens", {"clinic"}), ("Device?identifier:text=serie", {"typed"}),
    (f"Device?identifier:of-type={TYPES}|SNO|77", {"typed"}), (f"Device?identifier:of-type={TYPES}|MCN|77,{TYPES}|SNO|78", {"other"}),
    (f"Device?identifier:of-type=urn:x|SNO|77,{TYPES}|SNO|7", set()),
    ("Location?type:in=http://terminology.hl7.org/ValueSet/v3-ServiceDeliveryLocationRoleType", {"home", "clinic"}),
    ("Location?type:not-in=http://terminology.hl7.org/ValueSet/v3-ServiceDeliveryLocationRoleType", {"worded", "bare"}),
    ("Location?type:in=http://terminology.hl7.org/ValueSet/v3-ServiceDeliveryLocationRoleType|2014-03-26", {"home", "clinic"}),
    (f"Location?type:in={VALUE_SET}/location-physical-type", set()), (f"Location?status:in={VALUE_SET}/location-status", set()),
    (f"Device?status:not-in={VALUE_SET}/device-status", {"typed", "other"}),
    (f"Location?type:below={ROLE}|_DedicatedServiceDeliveryLocationRoleType", {"clinic"}), (f"Location?type:below={ROLE}|_RoleCode", set()),
    (f"Location?type:below={ROLE}|_ServiceDeliveryLocationRoleType", {"home", "clinic"}), (f"Location?type:below={ROLE}|PC", {"clinic"}),
    (f"Location?type:above={ROLE}|PC", {"clinic"}), (f"Location?type:above={ROLE}|ALL", set()),
    ("Location?_source:below=http://a.example/fhir", {"worded"}), ("Location?_source:below=http://a.example/", {"worded", "bare"}),
    ("Location?_source:above=http://a.example/fhir/feed/today", {"worded"}), ("Location?_source:above=http://a.example/fhir", set()),
    ("Location?_profile:below=http://a.example/fhir/StructureDefinition", {"worded"}), ("Location?_profile:above=http://a.example/fhir", set()),
]


@pytest.mark.spec("facts/fhir", "1.4.modifiers")
def test_modifiers_find_what_r4_says(api: httpx.Client) -> None:
    """Each of FINDS by GET and by POST: a modifier that is refused, ignored or read as another finds something else."""
    for asked, wanted in FINDS:
        type_, _, query = asked.partition("?")
        name, _, value = query.partition("=")
        assert found(api.get(f"/{type_}", params={name: value, "_count": "200"})) == wanted, asked
        assert found(api.post(f"/{type_}/_search", data={name: value, "_count": "200"})) == wanted, asked


REFUSED = [
    f"Location?type:in={VALUE_SET}/nobody-has-it", "Location?type:in=http://terminology.hl7.org/ValueSet/v3-ServiceDeliveryLocationRoleType|1999",
    "Location?type:not-in=x", "Location?type:below=PTRES", "Location?type:below=urn:x|PTRES", "Location?type:above=http://snomed.info/sct|1", "Location?name:text=x",
    "Location?name:in=x", "Location?status:text=x", "Device?identifier:of-type=SNO|77", f"Device?identifier:of-type={TYPES}|SNO|", "Device?type:of-type=a|b|c",
    "Device?identifier:in=x", "Location?_source:below=urn:oid:1.2", "Location?_source:above=feed", "Location?_source:text=x", "Appointment?date:text=2026",
    f"Location?_source:below=http://a.example/{'x' * 200}", f"Location?_source:above=http://a.example{'/x' * 101}", "Location?endpoint:above=Endpoint/x",
]


@pytest.mark.parametrize("asked", REFUSED)
@pytest.mark.spec("facts/fhir", "1.4.unknown")
def test_what_a_modifier_cannot_do_is_refused_and_never_ignored(asked: str) -> None:
    """R4 3.1.1.4.4: a modifier that the server does not support for the parameter is refused, lenient or not."""
    type_, _, query = asked.partition("?")
    with pytest.raises(Refused) as refused:
        search.parse(type_, search.parameters_in(query), False, D, lambda s, v: v)
    assert refused.value.problem is Problem.BAD_SEARCH and refused.value.detail


@pytest.mark.spec("facts/fhir", "1.4.privacy")
def test_a_national_id_by_its_type_is_searched_by_post_only(api: httpx.Client) -> None:
    """By `:of-type` a number is no less a national id for not being called one, alone or among others."""
    number = number_of(PERSON.reference)
    for value in (f"{CODES}|FNR|{number}", f"{CODES}|FNR|1,{CODES}|FNR|{number}", f"{CODES}|FNR|{number},{CODES}|FNR|1"):
        assert api.get("/RelatedPerson", params={"identifier:of-type": value}).status_code == 400
        assert api.get("/RelatedPerson", params={"_has:RelatedPerson:patient:identifier:of-type": value}).status_code == 400
        answer = api.post("/RelatedPerson/_search", data={"identifier:of-type": value})
        assert found(answer) == {"next-of-kin"} and number not in answer.json()["link"][0]["url"]


def test_every_value_set_that_is_bound_here_can_be_searched_by(api: httpx.Client) -> None:
    """The longest among them, too: no statement is too long for either database."""
    held = D.terminology.sets
    assert len(held) > 150 and max(sum(len(codes or ()) for codes in each.values()) for each in held.values()) > 200
    longest = sorted(held, key=lambda url: -sum(len(codes or ()) for codes in held[url].values()))[:20]
    for modifier in ("in", "not-in"):
        assert api.get("/Location", params={f"type:{modifier}": ",".join(longest)}).status_code == 200
    ours = [url for url in held if url.startswith("ValueSet/")]
    assert ours and api.get("/Location", params={"type:in": f"{api.base_url}{ours[0]}"}).status_code == 200


def test_a_bare_code_is_in_the_value_set_of_its_binding(api: httpx.Client) -> None:
    """`Slot.status` has no system in the resource: its binding has it."""
    every = api.get("/Slot", params={"_summary": "count"}).json()["total"]
    within = api.get("/Slot", params={"status:in": f"{VALUE_SET}/slotstatus", "_summary": "count"}).json()["total"]
    assert every > 0 and within == every
    assert api.get("/Slot", params={"status:not-in": f"{VALUE_SET}/slotstatus", "_summary": "count"}).json()["total"] == 0


@given(st.sampled_from(sorted(D.terminology.parents[ROLE])), st.sampled_from(sorted(D.terminology.parents[ROLE])))
def test_below_and_above_are_each_others_inverse(one: str, other: str) -> None:
    parents = D.terminology.parents[ROLE]
    assert (other in descendants(one, parents)) is (one in ancestors(other, parents))


def test_a_value_set_is_what_its_includes_give_without_its_excludes() -> None:
    """ActEncounterCode includes all below _ActEncounterCode, and excludes that concept itself."""
    written = D.terminology.within("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode")
    assert written is not None and set(written) == {ACT}
    assert {"HH", "AMB", "ACUTE"} <= set(written[ACT] or ()) and "_ActEncounterCode" not in (written[ACT] or ())


def test_an_include_of_a_system_that_is_not_here_is_all_of_that_system() -> None:
    parsed = search.parse("Communication", [("medium:in", f"{VALUE_SET}/mimetypes")], True, D, lambda s, v: v)
    assert parsed.query.conditions == (CodeIn("medium", (("urn:ietf:bcp:13", None),)),)


_ADDRESSES = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(lambda steps: "/".join(["http://x.example", *steps]))


@given(_ADDRESSES, _ADDRESSES)
def test_an_address_is_below_another_when_that_is_above_it(one: str, other: str) -> None:
    """`:below` is a range in the index, `:above` a list of steps: they must mean the same, with and without a stroke at the end."""
    (condition,) = search.parse("Location", [("_source:above", one)], True, D, lambda s, v: v).query.conditions
    assert isinstance(condition, CodeIn) and condition.any_of[0][1] is not None
    assert (other in condition.any_of[0][1]) is (one == other or one.startswith(below(other)))
