"""A small invented town: Kari and others, Ola with a mandate, visits in every state. Resources by the project's conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hub.booking.national_id import check_digits

BASE = "https://besoksbro.example/fhir"
FNR, DNR = "urn:oid:2.16.578.1.12.4.1.4.1", "urn:oid:2.16.578.1.12.4.1.4.2"
NOW = datetime(2026, 11, 23, 11, 3, tzinfo=UTC)
"""Monday 23 November 2026, 12:03 in Norway."""
Resource = dict[str, Any]


def uid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def numbered(nine: str) -> str:
    """A synthetic national id, whole."""
    return nine + check_digits(nine)[0]


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def patient(key: str, given: str, family: str, number: str, born: str, label: str = "") -> Resource:
    made: Resource = {
        "resourceType": "Patient", "id": uid(key), "identifier": [{"system": FNR, "value": number}],
        "name": [{"given": [given], "family": family}], "gender": "female", "birthDate": born,
    }
    if label:
        made["meta"] = {"security": [{"system": "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality", "code": label}]}
    return made


def related(key: str, of: str, given: str, family: str, number: str) -> Resource:
    return {
        "resourceType": "RelatedPerson", "id": uid(key), "patient": {"reference": f"Patient/{uid(of)}"}, "active": True,
        "identifier": [{"system": FNR, "value": number}], "name": [{"given": [given], "family": family}],
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "CHILD"}]}],
    }


def consent(key: str, of: str, holder: str, *scopes: str, end: str = "2027-06-01", status: str = "active") -> Resource:
    return {
        "resourceType": "Consent", "id": uid(key), "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{uid(of)}"}, "policyRule": {"text": "Fullmakt"},
        "provision": {
            "type": "permit", "period": {"start": "2026-01-01", "end": end},
            "actor": [{"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
                       "reference": {"reference": f"RelatedPerson/{uid(holder)}"}}],
            "code": [{"coding": [{"system": f"{BASE}/CodeSystem/mandate-scope", "code": s}]} for s in (scopes or ("se-besok",))],
        },
    }


def visit(key: str, of: str, start: datetime, status: str = "booked", *, minutes: int = 30, who: str = "", dept: str = "hjemmesykepleie",
          reason: str = "", confirmed: datetime | None = NOW) -> Resource:
    participants: list[Resource] = [
        {"actor": {"reference": f"Patient/{uid(of)}"}, "status": "accepted"},
        {"actor": {"reference": f"HealthcareService/{dept}"}, "status": "needs-action" if status == "pending" else "accepted"},
    ]
    if who:
        participants.append({"actor": {"type": "Practitioner", "display": who}, "status": "accepted"})
    made: Resource = {
        "resourceType": "Appointment", "id": uid(key), "status": status, "start": instant(start), "end": instant(start + timedelta(minutes=minutes)),
        "minutesDuration": minutes, "participant": participants,
        "serviceType": [{"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9151", "code": "1", "display": "Hjemmesykepleie"}]}],
    }
    if reason:
        made["cancelationReason"] = {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7621", "code": reason}]}
    if confirmed:
        made["extension"] = [{"url": f"{BASE}/StructureDefinition/confirmed-at", "valueInstant": instant(confirmed)}]
    return made


def encounter(of_visit: str, of: str, status: str, start: datetime, end: datetime | None = None) -> Resource:
    return {
        "resourceType": "Encounter", "id": uid(f"encounter|{of_visit}"), "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HH"},
        "subject": {"reference": f"Patient/{uid(of)}"}, "appointment": [{"reference": f"Appointment/{uid(of_visit)}"}],
        "period": {"start": instant(start)} | ({"end": instant(end)} if end else {}),
    }


def department(id: str, name: str) -> Resource:
    return {"resourceType": "HealthcareService", "id": id, "active": True, "name": name}


def hours(n: float) -> datetime:
    return NOW + timedelta(hours=n)


def resources() -> list[Resource]:
    """Everything and everyone. Kari has visits in every state; Vilde's address is protected; Ola represents Kari and Per."""
    at = datetime(2026, 11, 23, 13, 15, tzinfo=UTC)
    day = timedelta(days=1)
    return [
        department("hjemmesykepleie", "Hjemmesykepleien Solbakken nord"), department("praktisk-bistand", "Praktisk bistand"),
        patient("kari", "Kari", "Lindemann-Bjørnstad", "12814512329", "1945-01-12"), patient("per", "Per", "Haugen", "03865054342", "1950-06-03"),
        patient("vilde", "Vilde", "Skjermet", "05916011158", "1960-11-05", "strengtFortrolig"), patient("alene", "Astrid", "Tom", "01814000008", "1940-01-01"),
        *(patient(f"more{n}", f"Øyvind {n}", "Ås", numbered(f"0{n}8240020"), "1940-02-01") for n in range(1, 9)),
        related("ola-kari", "kari", "Ola", "Hansen", "15897522222"), related("ola-per", "per", "Ola", "Hansen", "15897522222"),
        related("eva-kari", "kari", "Eva", "Lie", "20887033332"), related("ola-vilde", "vilde", "Ola", "Hansen", "15897522222"),
        consent("m-kari", "kari", "ola-kari"), consent("m-per", "per", "ola-per", end="2026-11-30"), consent("m-eva", "kari", "eva-kari"),
        consent("m-vilde", "vilde", "ola-vilde"),
        visit("next", "kari", at, who="Anne Berg"), visit("wait", "kari", at + day, "pending", confirmed=None, dept="praktisk-bistand", minutes=120),
        visit("moved", "kari", at + 2 * day, "pending"), visit("off", "kari", at + 3 * day, "cancelled", reason="AAT"),
        visit("mine-off", "kari", at + 4 * day, "cancelled", reason="AAI"), visit("no", "kari", at + 5 * day, "pending", confirmed=None),
        visit("done", "kari", hours(-22), "fulfilled", who="Marius"), encounter("done", "kari", "finished", hours(-21.9), hours(-21.4)),
        visit("missed", "kari", hours(-46), "noshow"), encounter("missed", "kari", "cancelled", hours(-45.9)),
        visit("silent", "kari", hours(-70), "booked"), visit("per1", "per", at + day), visit("vilde1", "vilde", at, who="Anne"),
        *(visit(f"old{n}", "kari", NOW - (n + 4) * day, "fulfilled", who="Marius") for n in range(14)),
        visit("here", "per", hours(-0.1), "arrived", who="Jonas"), encounter("here", "per", "in-progress", hours(-0.05)),
    ]
