"""AuditEvent: the access log as a view, for who sees every department; searched, read, never written. On both databases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import Machines

from hub.access import AuditLine
from hub.fhir import definitions, validate

ANNE, PER = "Patient/anne", "Patient/per"


@pytest.fixture
def api(hub: Machines) -> Iterator[httpx.Client]:
    lines = [
        AuditLine(hub.clock.now, ANNE, "vendor:visma", "vendor", "search Appointment", "", "fhir"),
        AuditLine(hub.clock.now, PER, ANNE, "mandate", "visits", PER, "portal"),
        AuditLine(hub.clock.now, PER, "operator:kari", "operator", "timeline", "", "console", given=False),
    ]
    for line in lines:
        hub.parts.store.write(lambda tx, line=line: tx.audit(replace(line, at=hub.clock.now)))
        hub.clock.forward(hours=1)
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30) as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [e["resource"]["id"] for e in answer.json().get("entry", ()) if e["search"]["mode"] == "match"]


ASKED = {
    "": ["1", "2", "3"], "patient=anne": ["1", "2"], "patient=Patient/per": ["2", "3"], "entity=Patient/anne": ["1"], "agent=Patient/anne": ["2"],
    "altid=vendor:visma": ["1"], "subtype=visits": ["2"], "subtype=visits,timeline": ["2", "3"], "outcome=0": ["1", "2"], "outcome:not=0": ["3"],
    "site=console": ["3"], "type=110110": ["1", "2", "3"], "type=rest": [], "date=2026-11-26": ["1", "2", "3"],
    "date=ge2026-11-26T10:00:00Z&date=lt2026-11-26T11:00:00Z": ["2"], "_id=2": ["2"], "_id=x": [], "patient=per&outcome=4": ["3"],
    "subtype=urn:other|visits": [], "patient=RelatedPerson/anne": [],
}


@pytest.mark.parametrize("query", ASKED)
def test_it_is_found_by(hub: Machines, api: httpx.Client, query: str) -> None:
    until = "date=lt2026-11-26T11:30:00Z"  # what this test itself reads is logged later
    assert ids(api.get(f"/AuditEvent?{query}&{until}" if query else f"/AuditEvent?{until}")) == ASKED[query]


def test_each_is_a_valid_audit_event_and_is_read_by_its_id(api: httpx.Client) -> None:
    page: dict[str, Any] = api.get("/AuditEvent?date=lt2026-11-26T11:30:00Z").json()
    for entry in page["entry"]:
        assert validate.check(entry["resource"], definitions.load()) == []
        assert api.get(f"/AuditEvent/{entry['resource']['id']}").json() == entry["resource"]
    on_behalf = page["entry"][1]["resource"]
    assert on_behalf["agent"][0]["who"]["reference"] == ANNE and on_behalf["entity"][0]["what"]["reference"] == PER
    assert api.get("/AuditEvent/999").status_code == 404 and api.get("/AuditEvent/x").status_code == 404


def test_pages_forward_and_back_newest_first(api: httpx.Client) -> None:
    first = api.get("/AuditEvent?date=lt2026-11-26T11:30:00Z&_sort=-date&_count=2&_total=accurate")
    assert ids(first) == ["3", "2"] and first.json()["total"] == 3
    links = {link["relation"]: link["url"] for link in first.json()["link"]}
    second = api.get(links["next"])
    assert ids(second) == ["1"]
    assert ids(api.get({link["relation"]: link["url"] for link in second.json()["link"]}["previous"])) == ["3", "2"]


def test_nobody_changes_it_and_nothing_pretends_to_reach_through_it(api: httpx.Client) -> None:
    event = api.get("/AuditEvent/1").json()
    assert [api.put("/AuditEvent/1", json=event).status_code, api.delete("/AuditEvent/1").status_code,
            api.post("/AuditEvent", json=event).status_code] == [405, 405, 405]
    for query in ("/AuditEvent?patient.name=x", "/AuditEvent?patient:missing=true", "/AuditEvent?_include=AuditEvent:patient",
                  "/Patient?_revinclude=AuditEvent:patient", "/Patient?_has:AuditEvent:patient:outcome=0"):
        assert api.get(query).status_code == 400, query
    assert api.get("/AuditEvent?agent-role=x", headers={"prefer": "handling=strict"}).status_code == 400


def test_only_who_sees_every_department_sees_it(hub: Machines, api: httpx.Client) -> None:
    token = hub.ask(scope="system/Appointment.rs").json()["access_token"]
    with hub.http(authorization=f"Bearer {token}") as visma:
        assert visma.get("/fhir/AuditEvent").status_code == 403
        assert visma.get("/fhir/AuditEvent/1").status_code in (403, 404)
