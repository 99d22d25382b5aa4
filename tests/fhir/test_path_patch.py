"""FHIRPath Patch (R4 fhirpatch.html): the cases of HL7's own test suite, as they are remembered, and what was once done wrongly. Pure; HTTP elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.fhir import definitions, patch
from hub.fhir.validate import check
from hub.problem import Problem, Refused

D = definitions.load()
PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": "1", "birthDate": "1990-01-01", "_birthDate": {"extension": [{"url": "http://t.example", "valueString": "x"}]},
    "deceasedBoolean": True, "contact": [{"name": {"text": "n"}, "gender": "male"}],
    "name": [{"use": "official", "family": "A", "given": ["x", "y", "z"], "_given": [None, {"id": "q"}, None]}, {"use": "usual", "family": "B"}],
    "extension": [{"url": "http://e.example/a(1)", "valueString": "v"}, {"url": "http://e.example/b", "valueString": "w"}],
    "identifier": [{"system": "urn:a", "value": "1"}, {"system": "urn:a", "value": "2"}, {"system": "urn:b", "value": "3"}],
}
OFFICIAL = {key: value for key, value in PATIENT["name"][0].items() if not key.endswith("given")}
ONE, TWO, THREE = PATIENT["identifier"]


def operation(type_: str, path: str, value: Any = None, name: str = "", **numbers: int) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}, *([{"name": "name", "valueString": name}] if name else []),
             *([{"name": "value", **value}] if value else []), *[{"name": key, "valueInteger": number} for key, number in numbers.items()]]
    return {"name": "operation", "part": parts}


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    body = {"resourceType": "Parameters", **({"parameter": list(operations)} if operations else {})}
    return patch.apply(PATIENT, json.dumps(body).encode(), "application/fhir+json", D)


URL, TEXT = {"name": "url", "valueUri": "http://n.example"}, {"name": "value", "valueString": "q"}


@pytest.mark.parametrize(("operations", "changed"), [
    ([], {}),
    ([operation("replace", "Patient.birthDate", {"valueDate": "2000-01-01"})], {"birthDate": "2000-01-01", "_birthDate": None}),
    ([operation("replace", "Patient.birthDate", {"_valueDate": {"id": "a"}, "valueDate": "2000"})], {"birthDate": "2000", "_birthDate": {"id": "a"}}),
    ([operation("delete", "Patient.birthDate")], {"birthDate": None, "_birthDate": None}),
    ([operation("delete", "Patient.birthDate.extension")], {"_birthDate": None}),
    ([operation("replace", "Patient.contact[0].gender", {"valueCode": "female"})], {"contact": [{"name": {"text": "n"}, "gender": "female"}]}),
    ([operation("delete", "Patient.contact[0].gender")], {"contact": [{"name": {"text": "n"}}]}),
    ([operation("add", "Patient", {"valueCodeableConcept": {"text": "m"}}, "maritalStatus")], {"maritalStatus": {"text": "m"}}),
    ([operation("add", "Patient", {"part": [{"name": "name", "valueHumanName": {"text": "z"}}]}, "contact")],
     {"contact": [*PATIENT["contact"], {"name": {"text": "z"}}]}),
    ([operation("delete", "Patient.contact[0]")], {"contact": None}),
    ([operation("insert", "Patient.identifier", {"valueIdentifier": {"value": "n"}}, index=1)], {"identifier": [ONE, {"value": "n"}, TWO, THREE]}),
    ([operation("insert", "Patient.identifier", {"valueIdentifier": {"value": "n"}}, index=3)], {"identifier": [ONE, TWO, THREE, {"value": "n"}]}),
    ([operation("insert", "Patient.photo", {"valueAttachment": {"title": "n"}}, index=0)], {"photo": [{"title": "n"}]}),
    ([operation("move", "Patient.identifier", source=2, destination=0)], {"identifier": [THREE, ONE, TWO]}),
    ([operation("move", "Patient.identifier", source=0, destination=2)], {"identifier": [TWO, THREE, ONE]}),
    ([operation("replace", "Patient.deceased", {"valueBoolean": False})], {"deceasedBoolean": False}),
    ([operation("replace", "Patient.deceased", {"valueDateTime": "2020"})], {"deceasedBoolean": None, "deceasedDateTime": "2020"}),
    ([operation("delete", "Patient.deceased")], {"deceasedBoolean": None}),
    ([operation("delete", "Patient.deceased"), operation("add", "Patient", {"valueDateTime": "2020"}, "deceased")],
     {"deceasedBoolean": None, "deceasedDateTime": "2020"}),
    ([operation("replace", "Patient.deceased.ofType(boolean)", {"valueBoolean": False})], {"deceasedBoolean": False}),
    ([operation("add", "Patient", {"part": [URL, TEXT]}, "extension")],
     {"extension": [*PATIENT["extension"], {"url": "http://n.example", "valueString": "q"}]}),
    ([operation("replace", "Patient.extension('http://e.example/b').value", {"valueCode": "c"})],
     {"extension": [PATIENT["extension"][0], {"url": "http://e.example/b", "valueCode": "c"}]}),
    ([operation("delete", "Patient.extension.where(url = 'http://e.example/a(1)')")], {"extension": [PATIENT["extension"][1]]}),
    ([operation("delete", "Patient.identifier.where(system = 'urn:a' and value = '2')")], {"identifier": [ONE, THREE]}),
    ([operation("delete", "Patient.identifier.where(system='urn:a')[1]")], {"identifier": [ONE, THREE]}),
    ([operation("delete", "Patient.name.last()")], {"name": [PATIENT["name"][0]]}),
    ([operation("delete", "Patient.name.where(use = 'usual').single()")], {"name": [PATIENT["name"][0]]}),
    ([operation("delete", "Patient.name[0].given[0]")], {"name": [{**OFFICIAL, "given": ["y", "z"], "_given": [{"id": "q"}, None]}, PATIENT["name"][1]]}),
    ([operation("delete", "Patient.name[0].given[1]")], {"name": [{**OFFICIAL, "given": ["x", "z"]}, PATIENT["name"][1]]}),
    ([operation("move", "Patient.name[0].given", source=1, destination=0)],
     {"name": [{**OFFICIAL, "given": ["y", "x", "z"], "_given": [{"id": "q"}, None, None]}, PATIENT["name"][1]]}),
    ([operation("insert", "Patient.name[0].given", {"valueString": "n"}, index=0)],
     {"name": [{**OFFICIAL, "given": ["n", "x", "y", "z"], "_given": [None, None, {"id": "q"}, None]}, PATIENT["name"][1]]}),
    ([operation("delete", "Patient.photo")], {}),
])
@pytest.mark.spec("facts/fhir", "1.4.patch")
def test_a_patch_does_what_it_says_and_nothing_else(operations: list[Any], changed: dict[str, Any]) -> None:
    """Choices were not known (`deceased` was deleted in words only), an extension could not be added, `_given` stayed behind when `given` moved."""
    made = patched(*operations)
    assert made == {key: value for key, value in {**PATIENT, **changed}.items() if value is not None} and check(made, D) == []


@pytest.mark.parametrize("wrong", [
    operation("delete", "Patient.identifier"), operation("replace", "Patient.identifier", {"valueIdentifier": {"value": "x"}}),
    operation("delete", "Patient"), operation("replace", "Patient", {"valueString": "x"}), operation("add", "Patient", {"valueBoolean": True}, "active2"),
    operation("add", "Patient", {"valueBoolean": True}, "deceased"), operation("add", "Patient", {"valueDate": "2020-01-01"}, "birthDate"),
    operation("replace", "Patient.deceased", {"valueString": "x"}), operation("add", "Patient", name="gender"), operation("add", "Patient.birthDate", {"valueString": "x"}, "id2"),
    operation("insert", "Patient.identifier", {"valueIdentifier": {"value": "x"}}, index=4), operation("insert", "Patient.gender", {"valueCode": "male"}, index=0),
    operation("move", "Patient.identifier", source=3, destination=0), operation("move", "Patient.identifier", source=0), operation("delete", "Observation.status"),
    operation("delete", "Patient..name"), operation("delete", "Patient.name."), operation("delete", "Patient.name.where(use)"),
    operation("delete", "Patient.name.where(use = 'x"), operation("delete", "Patient.name.resolve()"), operation("delete", "Patient.bogus"),
    operation("delete", "Patient." + "name." * 300), operation("upsert", "Patient.name"), {"name": "other", "valueString": "x"},
])
def test_what_names_nothing_that_can_be_done_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused) as told:
        patched(wrong)
    assert told.value.problem is Problem.BAD_PATCH and told.value.where == "Parameters.parameter[0]"


def test_there_are_only_so_many_operations() -> None:
    with pytest.raises(Refused):
        patched(*[operation("delete", "Patient.photo")] * 501)
