"""The constraints of Norwegian profiles, by their keys (`hn-basis-appointment` 2.5.5 and no-basis 2.2.2; facts/fhir.md 2).

Each is given the node that it stands on and the whole resource, and says whether it holds. Left out, and why: `hn-app-primary-4` and `-5` speak
of elements that R4 does not have; `inv-1` of no-basis-AppointmentResponse in effect demands an extension of everybody (a fault of the profile).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Json = dict[str, Any]
Rule = Callable[[Any, Json], bool]
SPECIALIST = frozenset({"27", "30"})
MUNICIPAL = frozenset({"3", "4", "5", "6", "7", "8", "9", "10", "16", "17", "18", "19"})
HOME_CARE = "7"
LEVEL_1, LEVEL_2 = "urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:2.16.578.1.12.4.1.4.102"
"""What the profile's invariants look for as HER-id levels (they are the OIDs of organisation number and RESH-id)."""
MUNICIPAL_REASONS = "urn:oid:2.16.578.1.12.4.1.1.7621"
SPECIALIST_REASONS = frozenset({"urn:oid:2.16.578.1.12.4.1.1.8445", "urn:oid:2.16.578.1.12.4.1.1.9179"})
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
VIRTUAL = "http://helsenorge.no/fhir/StructureDefinition/hn-basis-virtual-service"
"""The url that the invariants test; it is not that of the extension itself."""
CONVERSING = "http://helsenorge.no/fhir/StructureDefinition/kommunikasjonspart-Organization"
TAGS = frozenset({"http://helsenorge.no/fhir/varsling", "http://helsenorge.no/fhir/paminnelse"})
DIALOG_FLAGS = frozenset({"canAcknowledge", "canChangeAppointmentDialog", "canHaveAppointmentDetails", "canInitiateDialog"})
FLAGS = DIALOG_FLAGS | {"cancel", "cancelWithComment", "canCancelServiceRequest", "canChangeAppointment"}
OPEN_ENDED = frozenset({"proposed", "cancelled", "entered-in-error"})
"""The statuses that go with a requestedPeriod."""


def _codings(concepts: Iterable[Any]) -> Iterator[Json]:
    for concept in concepts:
        yield from (c for c in concept.get("coding") or () if isinstance(c, dict))


def _categories(a: Json) -> set[str]:
    return {str(c.get("code")) for c in _codings(a.get("serviceCategory") or ())}


def _contained(a: Json, type_: str) -> list[Json]:
    return [c for c in a.get("contained") or () if c.get("resourceType") == type_]


def _roles(location: Json) -> set[str]:
    return {str(c.get("code")) for c in _codings(location.get("type") or ()) if c.get("system") == ROLE}


def _virtual(a: Json) -> bool:
    return any(e.get("url") == VIRTUAL for e in a.get("extension") or ())


def _elsewhere(a: Json) -> bool:
    """The rules for where a municipal visit takes place do not apply."""
    return not _categories(a) & MUNICIPAL or _virtual(a)


def _flags(a: Json) -> list[str]:
    return [str(c.get("code")) for c in _codings(f.get("code") or {} for f in _contained(a, "Flag"))]


def _reasons(a: Json) -> set[str]:
    return {str(c.get("system")) for c in (a.get("cancelationReason") or {}).get("coding") or ()}


def _supporting(a: Json, type_: str) -> list[Json]:
    """What supportingInformation points to among the contained resources."""
    wanted = {r.get("reference") for r in a.get("supportingInformation") or ()}
    return [c for c in _contained(a, type_) if f"#{c.get('id')}" in wanted]


def _systems(organization: Json) -> set[str]:
    return {str(i.get("system")) for i in organization.get("identifier") or ()}


def _asked_for(a: Json) -> bool:
    """hn-app-reqperiod-1: what is proposed says when it is wanted, from and to."""
    periods = a.get("requestedPeriod") or []
    return (a.get("status") != "proposed" or bool(periods)) and all("start" in p and "end" in p for p in periods)


def _specialist_places(a: Json) -> bool:
    roles = [_roles(location) for location in _contained(a, "Location")]
    every = set().union(*roles) if roles else set()
    return not _categories(a) & SPECIALIST or (all(r & {"HU", "HOSP"} for r in roles) and {"HU", "HOSP"} <= every)


def _own_levels(a: Json) -> bool:
    """supportinginformation-organization-partof: level 2 carries level 1 as its partOf. Without a declared profile the rule says nothing."""
    for organization in _supporting(a, "Organization"):
        declared = (organization.get("meta") or {}).get("profile") or []
        if not declared or declared == [CONVERSING]:
            continue
        above = [o for o in _contained(a, "Organization") if f"#{o.get('id')}" == (organization.get("partOf") or {}).get("reference")]
        if LEVEL_2 not in _systems(organization) or not any(LEVEL_1 in _systems(o) for o in above):
            return False
    return True


def _supported(a: Json) -> bool:
    """The slices of supportingInformation, which stand by the type of what is pointed to."""
    most = {"Organization": 1, "DocumentReference": 1, "Flag": 4}
    counts = {type_: len(_supporting(a, type_)) for type_ in most}
    return counts["Organization"] == 1 and all(counts[type_] <= number for type_, number in most.items())


def _coded(coding: Any, _: Json) -> bool:
    return not isinstance(coding, dict) or "code" not in coding or bool(coding.get("system"))


def _by_identifier(participant: Json, _: Json) -> bool:
    actor = participant.get("actor") or {}
    return actor.get("type") != "Patient" or "identifier" in actor


def _not_by_reference(participant: Json, _: Json) -> bool:
    actor = participant.get("actor") or {}
    return actor.get("type") != "Patient" or "reference" not in actor


def _of_resource(rule: Callable[[Json], bool]) -> Rule:
    return lambda _, resource: rule(resource)


def _cancelled(a: Json) -> bool:
    return a.get("status") == "cancelled"


RULES: dict[str, Rule] = {
    "cancelationReason-inv": _of_resource(lambda a: not _cancelled(a) or "cancelationReason" in a),
    "contained-location-must-have-managingorganization": _of_resource(
        lambda a: not _categories(a) & SPECIALIST or all("managingOrganization" in c for c in _contained(a, "Location"))),
    "hn-app-primary-2": _of_resource(lambda a: not a.get("basedOn") or bool(_categories(a) & SPECIALIST)),
    "start-required-inv": _of_resource(lambda a: "start" in a or (bool(a.get("requestedPeriod")) and a.get("status") in OPEN_ENDED)),
    "hn-app-reqperiod-1": _of_resource(_asked_for),
    "hn-app-reqperiod-2": _of_resource(lambda a: not a.get("requestedPeriod") or a.get("status") in OPEN_ENDED),
    "serviceCategory-location-type": _of_resource(_specialist_places),
    "community-services-location-requires-ptres-or-of": _of_resource(
        lambda a: _elsewhere(a) or any(_roles(c) & {"PTRES", "OF"} for c in _contained(a, "Location"))),
    "community-services-location-not-both-ptres-and-of": _of_resource(
        lambda a: _elsewhere(a) or not {"PTRES", "OF"} <= set().union(*(_roles(c) for c in _contained(a, "Location")))),
    "community-services-no-dialog-flags": _of_resource(lambda a: not _categories(a) & MUNICIPAL or not DIALOG_FLAGS & set(_flags(a))),
    "contained-flag-allowed-codes": _of_resource(lambda a: set(_flags(a)) <= FLAGS and len(_flags(a)) == len(set(_flags(a)))),
    "serviceCategory-7-ptres-no-varsling-or-paminnelse": _of_resource(
        lambda a: HOME_CARE not in _categories(a) or not any("PTRES" in _roles(c) for c in _contained(a, "Location"))
        or not TAGS & {t.get("system") for t in (a.get("meta") or {}).get("tag") or ()}),
    "supportinginformation-organization-partof": _of_resource(_own_levels),
    "community-services-requires-kommunikasjonspart-organization": _of_resource(
        lambda a: bool(_categories(a) & SPECIALIST) or any(LEVEL_2 in _systems(o) for o in _supporting(a, "Organization"))),
    "virtualservice-or-location-required": _of_resource(lambda a: _virtual(a) or bool(_contained(a, "Location"))),
    "hn-app-proposed-only-servicecategory-7": _of_resource(lambda a: a.get("status") != "proposed" or HOME_CARE in _categories(a)),
    "hn-app-entered-in-error-requires-start-and-end": _of_resource(
        lambda a: a.get("status") != "entered-in-error" or ("start" in a and "end" in a)),
    "hn-app-specialist-cancelation-reason": _of_resource(
        lambda a: not _cancelled(a) or not _categories(a) & SPECIALIST or bool(_reasons(a) & SPECIALIST_REASONS)),
    "hn-app-community-cancelation-reason": _of_resource(
        lambda a: not _cancelled(a) or bool(_categories(a) & SPECIALIST) or MUNICIPAL_REASONS in _reasons(a)),
    "hn-supporting-information": _of_resource(_supported),
    "inv-4": _coded,
    "appointment-participant-actor-patient-reference-identifier": _by_identifier,
    "appointment-participant-actor-patient-reference-reference": _not_by_reference,
    "no-basis-providedBy-identifier": lambda provided, _: "identifier" in provided,
    "no-basis-identifier-system": lambda system, _: system in (LEVEL_1, LEVEL_2),
}
"""Key → whether it holds."""
