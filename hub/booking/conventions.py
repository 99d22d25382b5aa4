"""How our FHIR R4 resources spell things: systems, extensions, ids. Reading and writing of single elements, never mutating."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from uuid import NAMESPACE_URL, uuid5

from hub.message import Resource

View = TypeVar("View")

BASE = "https://besoksbro.example/fhir"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
DNR = "urn:oid:2.16.578.1.12.4.1.4.2"
HER_ID = "urn:oid:2.16.578.1.12.4.1.2"
ORGNR = "urn:oid:2.16.578.1.12.4.1.4.101"
SHOP_BOOKING = f"{BASE}/sid/tjenesteshop"
DEPARTMENT = f"{BASE}/sid/department"
VISIT = f"{BASE}/sid/visit"
"""Identifier of a visit that the service planned itself: what its system calls it (xCal UID)."""
SERVICE_TYPE = "urn:oid:2.16.578.1.12.4.1.1.9151"
SERVICE_CATEGORY = "urn:oid:2.16.578.1.12.4.1.1.7619"
APPOINTMENT_TYPE = "urn:oid:2.16.578.1.12.4.1.1.7617"
CANCELATION = "urn:oid:2.16.578.1.12.4.1.1.7621"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

HOME_SERVICES: Resource = {"coding": [{"system": SERVICE_CATEGORY, "code": "7", "display": "Hjemmetjenester"}]}
HOME_VISIT: Resource = {"coding": [{"system": APPOINTMENT_TYPE, "code": "Hjemmebesok", "display": "Hjemmebesøk"}]}
HOME_HEALTH: Resource = {"system": ACT_CODE, "code": "HH", "display": "home health"}
BY_SERVICE: Resource = {"coding": [{"system": CANCELATION, "code": "AAT", "display": "Avlyst av tjenesten"}]}
BY_CITIZEN: Resource = {"coding": [{"system": CANCELATION, "code": "AAI", "display": "Avlyst av innbygger"}]}
BY_REPRESENTATIVE: Resource = {"coding": [{"system": CANCELATION, "code": "APVAI", "display": "Avlyst på vegne av innbygger"}]}
NOT_AT_HOME: Resource = {"coding": [{"system": CANCELATION, "code": "AIH", "display": "Ikke hjemme"}]}


class Remembered(Generic[View]):
    """Makes the view of a resource once, as long as the same object is asked about: resources are never changed, copies are."""

    def __init__(self, make: Callable[[Resource], View], most: int = 1024) -> None:
        self._make, self._most = make, most
        self._made: dict[int, tuple[Resource, View]] = {}

    def __call__(self, resource: Resource) -> View:
        made = self._made.get(id(resource))
        if made is None or made[0] is not resource:
            if len(self._made) >= self._most:
                self._made.clear()
            made = self._made[id(resource)] = resource, self._make(resource)  # kept with it, so that its id stays its own
        return made[1]


def appointment_id(origin: str, shop_id: str) -> str:
    """The Appointment id of what `origin` (an adapter, or the portal) calls `shop_id`: the same at every repetition."""
    return str(uuid5(NAMESPACE_URL, f"{origin}|{shop_id}"))


def encounter_id(appointment: str) -> str:
    """The id of the one Encounter that belongs to an Appointment."""
    return str(uuid5(NAMESPACE_URL, f"encounter|{appointment}"))


def url(name: str) -> str:
    """The canonical address of one of our extensions."""
    return f"{BASE}/StructureDefinition/{name}"


def extension(resource: Mapping[str, Any], name: str) -> Any:
    """The value of one of our extensions, whatever its type; None when it is not there."""
    wanted = url(name)
    for item in resource.get("extension") or ():
        if item.get("url") == wanted:
            return _value(item)
    return None


def parts(resource: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Each of our nested extensions of this name, as part name → value."""
    return [
        {str(part.get("url")): _value(part) for part in item.get("extension") or ()}
        for item in resource.get("extension") or () if item.get("url") == url(name)
    ]


def every(resource: Mapping[str, Any], name: str) -> list[Any]:
    """The values of each of our extensions of this name."""
    return [_value(item) for item in resource.get("extension") or () if item.get("url") == url(name)]


def _value(item: Mapping[str, Any]) -> Any:
    for key, value in item.items():
        if key.startswith("value"):
            return value
    return None


def with_extension(resource: Resource, name: str, kind: str, value: Any) -> Resource:
    """A copy in which our extension `name` has this value (`kind` as in FHIR: `Integer`, `Instant`, `Reference`)."""
    new = {"url": url(name), f"value{kind}": value}
    before = list(resource.get("extension") or ())
    at = next((n for n, item in enumerate(before) if item.get("url") == new["url"]), len(before))
    return {**resource, "extension": [*before[:at], new, *before[at + 1:]]}


def without_extension(resource: Resource, *names: str) -> Resource:
    """A copy without our extensions of these names."""
    gone = {url(name) for name in names}
    left = [item for item in resource.get("extension") or () if item.get("url") not in gone]
    made = {key: value for key, value in resource.items() if key != "extension"}
    return {**made, "extension": left} if left else made


def identifier(resource: Mapping[str, Any], system: str) -> str:
    """The first identifier of this system; empty when there is none."""
    return next((str(i.get("value", "")) for i in resource.get("identifier") or () if i.get("system") == system), "")


def first(texts: Iterable[str]) -> str:
    """The first that says something; empty when none does."""
    return next((text for text in texts if text), "")


def codes(concepts: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None, system: str) -> frozenset[str]:
    """The codes of one system in a CodeableConcept, or in several."""
    many: Iterable[Mapping[str, Any]] = [concepts] if isinstance(concepts, Mapping) else concepts or ()
    return frozenset(str(c["code"]) for concept in many for c in concept.get("coding") or () if c.get("system") == system and "code" in c)


def points_to(reference: Mapping[str, Any] | None, type_: str) -> str:
    """The id in a literal reference to a resource of this type; empty when it points elsewhere, also at another server."""
    kind, _, id_ = str((reference or {}).get("reference", "")).partition("/_history/")[0].rpartition("/")
    return id_ if kind == type_ else ""


def kind_of(reference: Mapping[str, Any] | None) -> str:
    """The resource type a reference speaks of, from `type` or from the literal reference; empty when untold."""
    actor = reference or {}
    return str(actor.get("type") or str(actor.get("reference", "")).rpartition("/")[0].rpartition("/")[2])
