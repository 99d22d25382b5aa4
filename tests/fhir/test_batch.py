"""The entries of a batch are what could have been asked for by itself, operations too; a transaction is made of interactions (R4 3.1.0.11)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from machines import TOWN, Machines

from adapters.demo.shop import planner


def executed(api: httpx.Client, *entries: tuple[str, str] | tuple[str, str, dict[str, Any]], kind: str = "batch") -> httpx.Response:
    return api.post("/", json={"resourceType": "Bundle", "type": kind, "entry": [
        {"request": {"method": method, "url": url}, **({"resource": rest[0]} if rest else {})} for method, url, *rest in entries
    ]})


def answered(answer: httpx.Response) -> list[tuple[int, str]]:
    """(status, type of the resource or of the outcome) of each entry."""
    assert answer.status_code == 200, answer.text
    entries = [(e["response"], e.get("resource") or e["response"].get("outcome") or {}) for e in answer.json()["entry"]]
    return [(int(response["status"].partition(" ")[0]), resource.get("resourceType", "")) for response, resource in entries]


@pytest.mark.spec("facts/fhir", "1.4.batch")
def test_operations_are_entries_of_a_batch(api: httpx.Client, hub: Machines) -> None:
    """Find, hold, book, cancel and validate, each with the status and the resource that it has by itself, in one round trip each."""
    order = next(planner(TOWN, "batch", hub.clock.now).orders("B"))
    asked = {"resourceType": "Appointment", "status": "proposed", "start": order.start.isoformat(), "end": order.end.isoformat(), "participant": [
        {"actor": {"reference": order.person.reference}, "status": "accepted"},
        {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action"}]}
    answer = executed(
        api, ("GET", "Appointment/$find?start=2026-11-30&end=2026-12-01&_count=1"), ("POST", "Appointment/$hold", asked),
        ("POST", "Patient/$validate", {"resourceType": "Patient", "gender": "bogus"}), ("GET", f"{order.person.reference}/$validate"),
        ("GET", "Subscription/$status"), ("GET", "metadata"), ("GET", "_history?_count=1"), ("GET", f"{order.person.reference}/$everything"),
    )
    assert answered(answer) == [
        (200, "Bundle"), (200, "Bundle"), (200, "OperationOutcome"), (200, "OperationOutcome"), (200, "Bundle"), (200, "CapabilityStatement"),
        (200, "Bundle"), (200, "Bundle")]
    held = answer.json()["entry"][1]["resource"]["entry"][0]["resource"]
    booked = executed(api, ("POST", "Appointment/$book", held), ("POST", "Appointment/$book", {**held, "id": "hold-none", "start": "2020-01-01T08:00:00Z"}))
    assert answered(booked) == [(200, "Bundle"), (422, "OperationOutcome")]
    kept = booked.json()["entry"][0]["resource"]["entry"][0]["resource"]["id"]
    assert api.get(f"/Appointment/{kept}").json()["status"] == "pending"
    assert answered(executed(api, ("POST", f"Appointment/{kept}/$cancel"))) == [(200, "Bundle")]
    assert api.get(f"/Appointment/{kept}").json()["status"] == "cancelled"


def test_an_entry_needs_the_scope_that_its_operation_needs(hub: Machines) -> None:
    token = hub.ask(scope="system/Appointment.rs").json()["access_token"]
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {token}"}, trust_env=False) as api:
        answer = executed(api, ("POST", "Appointment/$hold", {}), ("POST", "Appointment/x/$cancel"), ("GET", "Appointment/$find?start=2026-11-30&end=2026-12-01"))
    assert [status for status, _ in answered(answer)] == [403, 403, 200]


def test_what_is_no_resource_and_what_goes_on_for_long_is_no_entry(api: httpx.Client) -> None:
    """`$publish` answered NDJSON, which stood in the middle of the Bundle and made it unreadable; a Bundle within one was executed."""
    nested = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "POST", "url": "Device"}, "resource": {"resourceType": "Device"}}]}
    answer = executed(
        api, ("GET", "Slot/$publish"), ("GET", "$export"), ("POST", "$message", {"resourceType": "Parameters"}), ("POST", "/", nested),
        ("PUT", "Appointment/$find", {"resourceType": "Parameters"}), ("HEAD", "Slot?_count=1"), ("HEAD", "metadata"))
    assert answered(answer) == [(405, "OperationOutcome")] * 2 + [(422, "OperationOutcome"), (405, "OperationOutcome"), (405, "OperationOutcome"), (200, ""), (200, "")]
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


def test_an_operation_in_a_transaction_is_refused_with_its_place(api: httpx.Client) -> None:
    for entry in (("POST", "Appointment/$hold", {"resourceType": "Parameters"}), ("GET", "Slot/$publish"), ("POST", "Patient/$validate", {"resourceType": "Patient"})):
        refused = executed(api, ("POST", "Device", {"resourceType": "Device"}), entry, kind="transaction")
        assert refused.status_code == 405 and refused.json()["issue"][0]["expression"] == ["Bundle.entry[1].request.url"], refused.text
    assert api.get("/Device", params={"_summary": "count"}).json()["total"] == 0


def test_profiles_are_found_page_by_page_each_under_its_address(api: httpx.Client) -> None:
    """R4's entry.fullUrl SHALL have a value; `_count` bounds a page."""
    seen, url = [], "/StructureDefinition?_count=3"
    while url:
        page = api.get(url).json()
        assert len(page["entry"]) <= 3
        seen += [entry["fullUrl"] for entry in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == page["total"] > 3
    assert all(api.get(address).json()["id"] == address.rpartition("/")[2] for address in seen)
    count = api.get("/StructureDefinition", params={"_summary": "count"}).json()
    assert count["total"] == len(seen) and "entry" not in count
