"""Real FHIR client libraries against a running hub, on both databases: what their users do works as they expect (facts/fhir.md 4.1)."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from fhirclient import client as fhirclient
from fhirclient.models.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhirclient.models.device import Device
from fhirclient.models.patient import Patient
from fhirclient.models.slot import Slot
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

DEVICE = {"status": "active", "identifier": [{"system": "urn:x", "value": "nr-1"}]}


@pytest.mark.spec("facts/fhir", "4.1")
def test_fhirpy_creates_searches_patches_deletes_and_pages(hub: Machines) -> None:
    client = SyncFHIRClient(f"{hub.url}/fhir", authorization="Bearer simple-token")
    device = client.resource("Device", **DEVICE)
    device.save()
    assert device.id and device["meta"]["versionId"] == "1"
    device["status"] = "inactive"
    device.save(fields=["status"])
    assert client.reference("Device", device.id).to_resource()["status"] == "inactive"
    same, created = client.resources("Device").search(identifier="urn:x|nr-1").get_or_create(client.resource("Device", **DEVICE))
    assert same.id == device.id and not created
    client.resource("Device", **DEVICE).create()
    with pytest.raises(MultipleResourcesFound):
        client.resources("Device").search(identifier="urn:x|nr-1").get()
    assert client.resources("Device").count() == 2
    slots = client.resources("Slot").search(schedule="Schedule/dagsenter").limit(20)
    assert len(slots.fetch()) == 20 and len({slot.id for slot in slots}) == slots.count() > 20, "it follows next links to the end"
    with pytest.raises(OperationOutcome):
        client.resource("Device", status="bogus").save()
    device.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        client.reference("Device", device.id).to_resource()
    bundle = client.resource("Bundle", type="transaction", entry=[
        {"request": {"method": "POST", "url": "Device"}, "resource": {"resourceType": "Device", **DEVICE}}])
    bundle.save()
    assert client.resources("Device").count() == 2


@pytest.mark.spec("facts/fhir", "4.1")
def test_fhirclient_reads_searches_creates_updates_and_posts_a_transaction(hub: Machines) -> None:
    smart = fhirclient.FHIRClient(settings={"app_id": "test", "api_base": f"{hub.url}/fhir"})
    smart.server.session.headers["Authorization"] = "Bearer simple-token"
    person = TOWN.persons[0].reference.partition("/")[2]
    assert Patient.read(person, smart.server).id == person
    slots = list(islice(Slot.where({"schedule": "Schedule/dagsenter", "_count": "5"}).perform_resources_iter(smart.server), 12))
    assert len(slots) == 12 and all(slot.schedule.reference == "Schedule/dagsenter" for slot in slots)
    device = Device({"resourceType": "Device", **DEVICE})
    kept = device.create(smart.server)
    device = Device.read(kept["id"], smart.server)
    device.status = "inactive"
    assert device.update(smart.server)["meta"]["versionId"] == "2"
    entry = BundleEntry({"request": {"method": "POST", "url": "Device"}, "resource": {"resourceType": "Device", **DEVICE}})
    assert isinstance(entry.request, BundleEntryRequest)
    posted = Bundle({"resourceType": "Bundle", "type": "transaction"})
    posted.entry = [entry]
    answer = smart.server.post_json("", posted.as_json())
    assert answer.status_code == 200 and answer.json()["type"] == "transaction-response"
