"""Hierarchies (R4 3.1.1.5.7), positions, lengths of time and value sets that another terminology tells: over HTTP, on both databases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

from hub.fhir import measures
from hub.problem import Refused

JSON = {"content-type": "application/fhir+json"}
PATIENT = TOWN.persons[0].reference
UCUM = "http://unitsofmeasure.org"


def put(api: httpx.Client, resource: dict[str, Any]) -> None:
    answer = api.put(f"/{resource['resourceType']}/{resource['id']}", json=resource, headers=JSON)
    assert answer.status_code in (200, 201), answer.text


def found(api: httpx.Client, type_: str, **params: str) -> set[str]:
    answer = api.get(f"/{type_}", params={**params, "_count": "1000"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json().get("entry", ())) if "_total" in params else True
    return {e["resource"]["id"] for e in answer.json().get("entry", ())}


@pytest.fixture
def houses(api: httpx.Client) -> httpx.Client:
    """town ← street ← house ← room, beside another town; and a ring, which R4 calls no hierarchy and somebody will make."""
    places = {"town": "", "street": "town", "house": "street", "room": "house", "other": "", "ring-a": "ring-b", "ring-b": "ring-a"}
    for round_ in range(2):  # a ring's first part points to what is not there yet
        for id_, above in places.items():
            put(api, {"resourceType": "Location", "id": id_, **({"partOf": {"reference": f"Location/{above}"}} if above and (round_ or above != "ring-b") else {})})
    for id_ in places:
        put(api, {"resourceType": "PractitionerRole", "id": f"at-{id_}", "location": [{"reference": f"Location/{id_}"}]})
    put(api, {"resourceType": "PractitionerRole", "id": "at-gone", "location": [{"reference": "Location/gone"}]})
    return api


def test_below_and_above_go_through_a_hierarchy(houses: httpx.Client) -> None:
    def at(modifier: str, *ids: str) -> set[str]:
        return {each.removeprefix("at-") for each in found(houses, "PractitionerRole", **{f"location:{modifier}": ",".join(ids)})}

    assert at("below", "street") == at("below", "Location/street") == {"street", "house", "room"}
    assert at("above", "house") == {"house", "street", "town"} and at("below", "room") == {"room"}
    assert at("below", "house", "other") == {"house", "room", "other"}
    assert at("below", "ring-a") == at("above", "ring-a") == {"ring-a", "ring-b"}
    assert at("below", "gone") == {"gone"} and at("below", "nowhere") == set()
    assert found(houses, "Location", **{"partof:below": "town"}) == {"street", "house", "room"}
    assert found(houses, "PractitionerRole", **{"location.partof:below": "street"}) == {"at-house", "at-room"}
    houses.delete("/PractitionerRole/at-house")
    houses.delete("/PractitionerRole/at-room")
    assert at("below", "street") == {"street"}


@pytest.mark.parametrize("wrong", [
    "/PractitionerRole?practitioner:below=1", "/Appointment?patient:below=1", "/Appointment?actor:below=Patient/1", "/Flag?subject:above=1",
    "/PractitionerRole?location:below=http://x.example/Location/1",
])
def test_what_has_no_hierarchy_is_refused(api: httpx.Client, wrong: str) -> None:
    assert api.get(wrong).status_code == 400


def test_versions_of_a_canonical_lie_below_each_other(api: httpx.Client) -> None:
    url = "http://x.example/PlanDefinition/a"
    for id_, canonical in (("v1", f"{url}|1"), ("v12", f"{url}|1.2"), ("v2", f"{url}|2.0"), ("none", url), ("beside", f"{url}b|1"), ("v11", f"{url}|11")):
        put(api, {"resourceType": "ServiceRequest", "id": id_, "status": "active", "intent": "order", "subject": {"reference": PATIENT},
                  "instantiatesCanonical": [canonical]})

    def by(modifier: str, value: str) -> set[str]:
        return found(api, "ServiceRequest", **{f"instantiates-canonical:{modifier}": value})

    assert by("below", f"{url}|1") == {"v1", "v12"} and by("below", url) == {"v1", "v12", "v2", "none", "v11"} and by("above", f"{url}|1.2.3") == {"v1", "v12"}


def test_an_encounter_is_found_by_its_length(hub: Machines, api: httpx.Client) -> None:
    lengths: dict[str, dict[str, Any]] = {
        "half": {"value": 30, "unit": "minutter", "system": UCUM, "code": "min"}, "hour": {"value": 1, "system": UCUM, "code": "h"},
        "long": {"value": 90.5, "system": UCUM, "code": "min"}, "words": {"value": 2, "unit": "timer"}, "over": {"value": 1, "system": UCUM, "code": "d", "comparator": ">"},
        "none": {},
    }

    def keep(tx: Any) -> None:
        for id_, length in lengths.items():
            tx.keep({"resourceType": "Encounter", "id": id_, "status": "finished", "class": {"code": "HH"}, "subject": {"reference": "Patient/nobody"},
                     **({"length": length} if length else {})}, origin="hub")

    hub.parts.store.write(keep)

    def by(value: str, name: str = "length") -> set[str]:
        return found(api, "Encounter", patient="nobody", **{name: value})

    assert by(f"60|{UCUM}|min") == {"hour"} and by(f"ge0.5|{UCUM}|h") == {"half", "hour", "long", "over"} and by(f"lt1|{UCUM}|h") == {"half"}
    assert by(f"gt86400|{UCUM}|s") == {"over"} and by(f"ap95|{UCUM}|min") == {"long"} and by(f"ne60|{UCUM}|min") == {"half", "long", "over"}
    assert by(f"90|{UCUM}|min") == set() and by(f"91|{UCUM}|min") == {"long"} and by(f"90.50|{UCUM}|min") == {"long"}
    assert by("30||min") == by("30||minutter") == {"half"} and by("2||timer") == by("2") == {"words"} and by("lt2") == {"hour", "over"}
    assert by("30||min,1||h") == {"half", "hour"} and by("true", "length:missing") == {"none"} and len(by("false", "length:missing")) == 5
    assert [e["resource"]["id"] for e in api.get("/Encounter?patient=nobody&length:missing=false&_sort=length").json()["entry"]] == [
        "half", "hour", "long", "over", "words"]
    for wrong in ("x", "30|min", "30||", "30|a|b|c", "--3"):
        assert api.get("/Encounter", params={"length": wrong}).status_code == 400, wrong


@given(st.decimals(-1000, 1000, places=2), st.sampled_from(["", "eq", "gt", "ge", "lt", "le", "sa", "eb"]), st.decimals(-1000, 1000, places=2))
def test_a_number_is_compared_as_it_is_written(kept: Any, prefix: str, asked: Any) -> None:
    ((_, low, high),) = list(measures.kept("n", {"value": float(kept)}))
    _, ((word, first, last),) = measures.quantity("n", [f"{prefix}{asked}"])
    met = {"eq": first <= low and high <= last, "gt": high > last, "ge": high > first, "lt": low < first, "le": low < last, "sa": low >= last,
           "eb": high <= first}[word]
    assert met == {"": abs(kept - asked) < 0.005, "eq": abs(kept - asked) < 0.005, "gt": kept > asked, "ge": kept >= asked, "lt": kept < asked,
                   "le": kept <= asked, "sa": kept > asked, "eb": kept < asked}[prefix]


def test_a_location_is_found_near_a_point(api: httpx.Client) -> None:
    """Oslo S and Lysaker are 6.6 km apart; Trondheim is 392 km away; the date line is no wall."""
    spots = {"oslo": (59.9111, 10.7528), "lysaker": (59.9146, 10.6352), "trondheim": (63.4364, 10.3989), "east": (-17.0, 179.99), "west": (-17.0, -179.99)}
    for id_, (north, east) in spots.items():
        put(api, {"resourceType": "Location", "id": id_, "position": {"latitude": north, "longitude": east}})
    put(api, {"resourceType": "Location", "id": "nowhere"})
    here = "59.9111|10.7528"
    assert found(api, "Location", near=f"{here}|6.5|km") == {"oslo"} and found(api, "Location", near=f"{here}|6.7|km") == {"oslo", "lysaker"}
    assert found(api, "Location", near=f"{here}|6700|m") == found(api, "Location", near=f"{here}|4.2|[mi_us]") == found(api, "Location", near=here) == {"oslo", "lysaker"}
    assert found(api, "Location", near=f"{here}|400") == {"oslo", "lysaker", "trondheim"} and found(api, "Location", near="-17|180|2") == {"east", "west"}
    assert found(api, "Location", near=f"{here}|0,63.4364|10.3989|1") == {"oslo", "trondheim"} and found(api, "Location", near=f"{here}|30000") == set(spots)
    assert found(api, "PractitionerRole", **{"location.near": here}) == set()
    assert {*spots} & found(api, "Location", **{"near:missing": "true"}) == set() and "nowhere" in found(api, "Location", **{"near:missing": "true"})
    for wrong in ("59.9", "59.9|x", "91|0", "0|181", f"{here}|-1", f"{here}|1|furlong", f"{here}|1|km|x", f"{here}|nan"):
        assert api.get("/Location", params={"near": wrong}).status_code == 400, wrong
    assert api.get("/Location?_sort=near").status_code == 400


def test_a_value_set_of_snomed_is_judged_where_it_can_be(api: httpx.Client) -> None:
    """All of a code system can be told without knowing it, one made by its hierarchy cannot: then the refusal says so."""
    sct = "http://snomed.info/sct"
    put(api, {"resourceType": "Basic", "id": "sct", "code": {"coding": [{"system": sct, "code": "84387000"}]}})
    put(api, {"resourceType": "Basic", "id": "own", "code": {"coding": [{"system": "urn:x", "code": "84387000"}]}})
    assert found(api, "Basic", **{"code:in": f"{sct}?fhir_vs"}) == {"sct"} and "own" in found(api, "Basic", **{"code:not-in": f"{sct}?fhir_vs"})
    for held in (f"{sct}?fhir_vs=isa/84387000", "http://hl7.org/fhir/ValueSet/flag-code"):
        refused = api.get("/Flag", params={"_tag:in": held})
        assert refused.status_code == 400 and sct in refused.json()["issue"][0]["diagnostics"], held


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(Refused):
        measures.quantity("n", ["1" * 30])
