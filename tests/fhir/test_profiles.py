"""Profiles: ours say what the Norwegian ones say (the official files judge), and what a resource declares is checked."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhirpathpy import compile as fhirpath
from fhirpathpy.models import models

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines, hub_on

from hub.fhir import definitions, profile_rules, validate

Json = dict[str, Any]
D = definitions.load()
HN = "http://helsenorge.no/fhir/StructureDefinition/hn-basis-appointment"
OURS = "https://besoksbro.example/fhir/StructureDefinition/helsenorge-appointment"
NO = "http://hl7.no/fhir/StructureDefinition/no-basis-"
OID = "urn:oid:2.16.578.1.12.4.1."
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
LEFT_OUT = {
    "hn-app-primary-4": "of an element that R4 does not have", "hn-app-primary-5": "of an element that R4 does not have",
    "inv-1": "a fault of no-basis: it demands the extension of everybody", "must-be-max-1000-chars": "told as maxLength",
}
RESOLVING = {"supportinginformation-organization-partof", "community-services-requires-kommunikasjonspart-organization"}
"""Fhirpathpy has no resolve(): these two are tried by hand."""


def place(*codes: str) -> Json:
    return {"resourceType": "Location", "id": "place", "type": [{"coding": [{"system": ROLE, "code": code} for code in codes]}]}


def organization(id_: str, system: str, **more: Any) -> Json:
    return {"resourceType": "Organization", "id": id_, "identifier": [{"system": system, "value": "1"}], **more}


def flag(*codes: str) -> Json:
    return {"resourceType": "Flag", "id": "flag", "status": "active", "subject": {"display": "x"}, "code": {"coding": [{"code": c} for c in codes]}}


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{OID}1.{system}", "code": code}]}


GOOD: Json = {
    "resourceType": "Appointment", "meta": {"lastUpdated": "2026-11-26T09:00:00Z", "profile": [HN]},
    "identifier": [{"system": "urn:x", "value": "1", "assigner": {"display": "Solbakken"}}],
    "status": "booked", "start": "2026-12-01T09:00:00+01:00", "end": "2026-12-01T09:30:00+01:00",
    "serviceCategory": [concept("7619", "7")], "appointmentType": concept("7617", "Hjemmebesok"),
    "contained": [organization("l1", f"{OID}4.101"), organization("l2", f"{OID}4.102", partOf={"reference": "#l1"}), place("PTRES"), flag("cancel")],
    "supportingInformation": [{"reference": "#l2"}, {"reference": "#flag"}],
    "participant": [
        {"actor": {"type": "Patient", "identifier": {"system": f"{OID}4.1", "value": "1"}}, "status": "accepted"},
        {"actor": {"reference": "#place", "type": "Location"}, "status": "accepted"},
    ],
}
PERIOD = [{"start": "2026-12-01T09:00:00+01:00", "end": "2026-12-01T11:00:00+01:00"}]


def but(**changes: Any) -> Json:
    made = {**copy.deepcopy(GOOD), **changes}
    return {key: value for key, value in made.items() if value is not ...}


def held(*contained: Json, **changes: Any) -> Json:
    """Another set of contained resources than the two organizations alone."""
    kept = GOOD["contained"][:2]
    return but(contained=[*kept, *contained], **changes)


FLAGLESS = {"supportingInformation": [{"reference": "#l2"}]}
CASES: dict[str, tuple[Json, set[str]]] = {
    "right": (GOOD, set()),
    "a window that is asked for": (but(status="proposed", start=..., end=..., requestedPeriod=PERIOD), set()),
    "cancelled with a reason": (but(status="cancelled", cancelationReason=concept("7621", "AAI")), set()),
    "cancelled without": (but(status="cancelled"), {"cancelationReason-inv", "hn-app-community-cancelation-reason"}),
    "cancelled with a hospital's reason": (but(status="cancelled", cancelationReason=concept("8445", "1")), {"hn-app-community-cancelation-reason"}),
    "based on a decision": (but(basedOn=[{"reference": "ServiceRequest/1"}]), {"hn-app-primary-2"}),
    "no start": (but(start=..., end=...), {"start-required-inv"}),
    "asked for without an end": (but(status="proposed", start=..., end=..., requestedPeriod=[{"start": "2026-12-01"}]), {"hn-app-reqperiod-1"}),
    "asked for without a period": (but(status="proposed"), {"hn-app-reqperiod-1"}),
    "a period of what is booked": (but(requestedPeriod=PERIOD), {"hn-app-reqperiod-2"}),
    "proposed by a health station": (but(status="proposed", requestedPeriod=PERIOD, serviceCategory=[concept("7619", "3")]), {"hn-app-proposed-only-servicecategory-7"}),
    "entered in error without times": (but(status="entered-in-error", start=..., end=..., requestedPeriod=PERIOD), {"hn-app-entered-in-error-requires-start-and-end"}),
    "nowhere": (held(flag("cancel")), {"virtualservice-or-location-required", "community-services-location-requires-ptres-or-of"}),
    "at a hospital": (held(place("HOSP"), flag("cancel")), {"community-services-location-requires-ptres-or-of"}),
    "at home and at the office": (held(place("PTRES", "OF"), flag("cancel")), {"community-services-location-not-both-ptres-and-of"}),
    "a dialog flag": (held(place("PTRES"), flag("canInitiateDialog")), {"community-services-no-dialog-flags"}),
    "an unknown flag": (held(place("PTRES"), flag("canUseShortNotice")), {"contained-flag-allowed-codes"}),
    "a flag twice": (held(place("PTRES"), flag("cancel", "cancel")), {"contained-flag-allowed-codes"}),
    "a reminder of a home visit": (but(meta={**GOOD["meta"], "tag": [{"system": "http://helsenorge.no/fhir/paminnelse", "code": "1"}]}),
                                   {"serviceCategory-7-ptres-no-varsling-or-paminnelse"}),
    "specialist care at home": (but(serviceCategory=[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-category", "code": "27"}]}]),
                                {"serviceCategory-location-type", "contained-location-must-have-managingorganization"}),
    "specialist care, cancelled the municipal way": (
        held({**place("HU", "HOSP"), "managingOrganization": {"reference": "#l1"}}, status="cancelled", cancelationReason=concept("7621", "AAI"),
             serviceCategory=[concept("7619", "30")], **FLAGLESS), {"hn-app-specialist-cancelation-reason"}),
    "a patient by reference": (but(participant=[{"actor": {"type": "Patient", "reference": "Patient/1"}, "status": "accepted"}]), {
        "appointment-participant-actor-patient-reference-identifier", "appointment-participant-actor-patient-reference-reference"}),
    "a code without a system": (but(appointmentType={"coding": [{"code": "x"}]}), {"inv-4"}),
}
BY_HAND: dict[str, tuple[Json, str]] = {
    "no level 2": (but(contained=[organization("l2", f"{OID}2"), place("PTRES"), flag("cancel")]), "community-services-requires-kommunikasjonspart-organization"),
    "no supporting organization": (but(supportingInformation=[{"reference": "#flag"}], contained=[place("PTRES"), flag("cancel")]), "hn-supporting-information"),
    "a level 2 that is part of nothing": (but(contained=[organization("l2", f"{OID}4.102", meta={"profile": [f"{NO}Organization"]}), place("PTRES"), flag("cancel")]),
                                          "supportinginformation-organization-partof"),
}
PLAIN: dict[str, tuple[Json, str]] = {
    "a slot": (but(slot=[{"reference": "Slot/1"}]), "Appointment.slot"), "a comment": (but(comment="x"), "Appointment.comment"),
    "a service type": (but(serviceType=[{"text": "x"}]), "Appointment.serviceType"), "no type": (but(appointmentType=...), "Appointment.appointmentType"),
    "pending": (but(status="pending"), "Appointment.status"), "no identifier": (but(identifier=...), "Appointment.identifier"),
    "an identifier without assigner": (but(identifier=[{"system": "urn:x", "value": "1"}]), "Appointment.identifier[0].assigner"),
    "two identifiers": (but(identifier=GOOD["identifier"] * 2), "Appointment.identifier"),
    "an unknown category": (but(serviceCategory=[concept("7619", "99")]), "Appointment.serviceCategory[0]"),
    "a long text": (but(description="x" * 1001), "Appointment.description"),
    "a relative takes part": (but(participant=[{"actor": {"reference": "RelatedPerson/1"}, "status": "accepted"}]), "Appointment.participant[0].actor"),
    "an unknown restriction": (but(meta={**GOOD["meta"], "security": [{"system": f"{OID}1.9603", "code": "X"}]}), "Appointment.meta.security[0]"),
}


def rules(resource: Json) -> set[str]:
    return {issue.rule for issue in D.profiles.check(resource, [HN]) if issue.rule}


@pytest.mark.spec("facts/fhir", "2.3")
@pytest.mark.parametrize("name", CASES)
def test_helsenorges_rules_are_judged_as_their_own_expressions_judge(name: str, official: Json) -> None:
    """Each constraint of the official file, run by another FHIRPath engine, against ours."""
    resource, broken = CASES[name]
    assert rules(resource) == broken
    theirs: set[str] = set()
    for element in official["differential"]["element"]:
        for constraint in element.get("constraint", ()):
            key, path = constraint["key"], element["path"].partition(".")[2]
            if key in LEFT_OUT or key in RESOLVING:
                continue
            for node in along(resource, path):
                judged = evaluate(constraint["expression"], node)
                theirs |= set() if judged == [True] else {key}
    assert theirs == broken - RESOLVING


def along(resource: Json, path: str) -> Iterator[Json]:
    nodes: list[Any] = [resource]
    for step in path.split(".") if path else ():
        values = [node.get(step, []) for node in nodes]
        nodes = [item for value in values for item in (value if isinstance(value, list) else [value])]
    yield from nodes


def evaluate(expression: str, node: Json, known: dict[str, Callable[..., Any]] = {}) -> Any:  # noqa: B006
    if expression not in known:
        known[expression] = fhirpath(expression, models["r4"])
    return known[expression](node)


@pytest.fixture(scope="module")
def official(shared: Path) -> Json:
    path = shared / "standards/fhir-no/helsenorge-2.5.8-beta/StructureDefinition-hn-basis-appointment.json"
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_what_is_right_by_the_profile_is_right_by_r4() -> None:
    for name in ("right", "a window that is asked for", "cancelled with a reason"):
        assert validate.check(CASES[name][0], D) == []


@pytest.mark.parametrize("name", BY_HAND)
def test_rules_that_follow_references(name: str) -> None:
    resource, rule = BY_HAND[name]
    assert rule in rules(resource)


@pytest.mark.parametrize("name", PLAIN)
def test_helsenorges_elements_are_bound(name: str) -> None:
    resource, expression = PLAIN[name]
    assert expression in [issue.expression for issue in D.profiles.check(resource, [HN]) if issue.severity == "error"]


def norwegian(shared: Path) -> Iterator[Json]:
    folder = shared / "standards/fhir-no"
    yield json.loads((folder / "helsenorge-2.5.8-beta/StructureDefinition-hn-basis-appointment.json").read_text(encoding="utf-8"))
    for path in (folder / "no-basis-2.2.2").glob("*.json"):
        resource = json.loads(path.read_text(encoding="utf-8"))
        if resource.get("resourceType") == "StructureDefinition":
            yield resource


@pytest.mark.spec("facts/fhir", "2.2")
def test_ours_hold_every_rule_of_the_norwegian_files(shared: Path) -> None:
    """Element by element: cardinality, fixed values, slices and constraints. What is tightened there is tightened here."""
    checked = {structure["url"]: structure for structure in norwegian(shared) if structure["url"] in D.profiles.by_url}
    assert len(checked) == 11
    missing: list[str] = []
    for url, structure in checked.items():
        ours = {element["id"]: element for element in D.profiles.by_url[url].resource["differential"]["element"]}
        for element in structure["differential"]["element"]:
            mine = ours.get(element["id"], {})
            forbidden = ours.get(element["id"].rpartition(".")[0], {}).get("max") == "0"
            for key, value in element.items():
                wanted = (key in ("min", "max") and value not in (0, "*")) or key.startswith(("fixed", "pattern"))
                if wanted and mine.get(key) != value and (element["id"], key) not in TOLD_OTHERWISE:
                    missing.append(f"{url} {element['id']}.{key}")
            for constraint in element.get("constraint", ()):
                key = constraint["key"]
                if key not in LEFT_OUT and key not in [c["key"] for c in mine.get("constraint", ())] and not forbidden:
                    missing.append(f"{url} {element['id']} {key}")
    assert missing == []


TOLD_OTHERWISE = {
    ("Appointment.meta.lastUpdated", "min"): "set by whoever keeps the resource, so a client cannot leave it out",
    ("Appointment.supportingInformation:kommunikasjonspart", "min"): "hn-supporting-information",
    ("Appointment.supportingInformation:kommunikasjonspart", "max"): "hn-supporting-information",
    ("Appointment.supportingInformation:documentReference", "max"): "hn-supporting-information",
    ("Appointment.supportingInformation:flag", "max"): "hn-supporting-information",
    ("Appointment.appointmentType.coding:omsorgsNiva", "max"): "told by its value set alone, and the slicing is open: an unlisted coding is right",
    ("Appointment.appointmentType.coding:kontaktType", "max"): "as above", ("Appointment.appointmentType.coding:innbygger", "max"): "as above",
}


def test_the_norwegian_examples_are_right_by_the_profiles_they_declare(shared: Path) -> None:
    declared = 0
    for path in sorted((shared / "standards/fhir-no/no-basis-2.2.2/examples").glob("*.json")):
        resource = json.loads(path.read_text(encoding="utf-8"))
        issues = D.profiles.check(resource, resource["meta"]["profile"]) if resource.get("meta", {}).get("profile") else []
        declared += bool(resource.get("meta", {}).get("profile"))
        assert [i for i in issues if i.severity == "error"] == [], path.name
    assert declared >= 5


@pytest.mark.parametrize(("resource", "expression"), [
    ({"resourceType": "Patient", "identifier": [{"system": f"{OID}4.1"}]}, "Patient.identifier.value"),
    ({"resourceType": "Patient", "identifier": [{"type": {"coding": [{"system": f"{OID}1.8327", "code": "HNR"}]}, "system": "urn:x", "value": "1"}]}, "Patient.identifier[0].system"),
    ({"resourceType": "Patient", "name": [{"extension": [{"url": f"{NO}middlename", "valueBoolean": True}]}]}, "Patient.name[0].extension[0].value"),
    ({"resourceType": "Patient", "address": [{"extension": [{"url": f"{NO}urban-district", "valueCoding": {"code": "1"}}] * 2}]}, "Patient.address[0].extension"),
    ({"resourceType": "Organization", "type": [{"coding": [{"system": f"{OID}1.8628"}]}]}, "Organization.type[0].coding[0].code"),
    ({"resourceType": "Appointment", "extension": [{"url": f"{NO}group", "valueString": "x"}]}, "Appointment.extension[0].value"),
    ({"resourceType": "HealthcareService", "providedBy": {"reference": "Organization/1"}}, "HealthcareService.providedBy"),
])
@pytest.mark.spec("facts/fhir", "2.2")
def test_no_basis_is_checked(resource: Json, expression: str) -> None:
    url = f"{NO}{resource['resourceType']}"
    assert expression in [issue.expression.replace("identifier[0].value", "identifier.value") for issue in D.profiles.check(resource, [url])]


def test_every_constraint_of_a_profile_has_its_rule() -> None:
    keys = {c["key"] for r in D.profiles.resources for e in r.get("differential", {}).get("element", ()) for c in e.get("constraint", ())}
    assert keys == set(profile_rules.RULES)


def test_our_profiles_are_structure_definitions() -> None:
    assert len({r["id"] for r in D.profiles.resources}) == len(D.profiles.resources)
    for profile in D.profiles.by_url.values():
        assert profile.type in D.types or profile.type in D.served
        for element in profile.resource["differential"]["element"]:
            assert element["path"] == ".".join(step.partition(":")[0] for step in element["id"].split("."))
            binding = element.get("binding")
            assert binding is None or binding["valueSet"] in D.profiles.sets


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}", per_minute=100_000) as hub, vendor(hub) as client:
        yield client


def vendor(hub: Machines) -> httpx.Client:
    return httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30)


def test_profiles_are_read_declared_and_validated_against(api: httpx.Client) -> None:
    statement = api.get("/metadata").json()
    supported = {row["type"]: row.get("supportedProfile", []) for row in statement["rest"][0]["resource"]}
    assert {OURS, HN, f"{NO}Appointment"} <= set(supported["Appointment"]) and not supported["Task"]
    bare = httpx.Client(base_url=api.base_url, trust_env=False)
    for url in supported["Appointment"]:
        (entry,) = bare.get("/StructureDefinition", params={"url": url}).json()["entry"]
        assert bare.get(f"/StructureDefinition/{entry['resource']['id']}").json() == entry["resource"]
    assert bare.get("/ValueSet/helsenorge-status").json()["compose"]["include"][0]["system"] == "http://hl7.org/fhir/appointmentstatus"
    assert bare.get("/StructureDefinition", headers={"accept": "application/fhir+xml"}).status_code == 200
    everything = bare.get("/StructureDefinition", params={"status": "active"}).json()
    assert everything["link"] == [{"relation": "self", "url": f"{api.base_url}StructureDefinition"}] and everything["total"] == 11
    assert bare.get("/StructureDefinition", params={"status": "active"}, headers={"prefer": "handling=strict"}).status_code == 400
    assert bare.get("/StructureDefinition/none").status_code == 404 and bare.post("/StructureDefinition", json={}).status_code == 405

    def told(resource: Json, **parameters: str) -> set[tuple[str, str]]:
        answer = api.post(f"/{resource['resourceType']}/$validate", json=resource, params=parameters)
        assert answer.status_code == 200
        return {(i["severity"], i.get("expression", [""])[0]) for i in answer.json()["issue"]}

    plain = but(meta=..., comment="x")
    assert told(plain) == {("information", "")}
    assert told(plain, profile=OURS) == told(plain, profile=f"{HN}|2.5.5") == {("error", "Appointment.comment")}
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": plain}, {"name": "profile", "valueUri": HN}]}
    assert api.post("/Appointment/$validate", json=wrapped).json()["issue"][0]["expression"] == ["Appointment.comment"]
    assert told(but(meta={"profile": ["urn:unknown"]}, comment="x")) == {("warning", "Appointment.meta.profile[0]")}
    assert api.post("/Appointment/$validate", json=plain, params={"profile": "urn:unknown"}).status_code == 422
    assert told(plain, profile=f"{NO}Patient") == {("error", "Appointment.meta.profile[0]")}


def test_a_write_is_held_to_the_known_profiles_it_declares_and_to_no_others(api: httpx.Client) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": f"{OID}4.2"}], "meta": {"profile": [f"{NO}Patient"]}}
    refused = api.post("/Patient", json=patient)
    assert refused.status_code == 422 and refused.json()["issue"][0]["expression"] == ["Patient.identifier[0].value"]
    kept = api.post("/Patient", json={**patient, "meta": {"profile": ["urn:unknown"]}})
    assert kept.status_code == 201 and kept.json()["meta"]["profile"] == ["urn:unknown"]
    batch = api.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "StructureDefinition?url=urn:x"}}]})
    assert batch.json()["entry"][0]["resource"]["total"] == 0
