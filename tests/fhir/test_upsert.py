"""What an EPJ does every night: it says all of its bookings again, by PUT with its own identifier as the condition. On both databases."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines

from adapters.demo.shop import planner
from hub.scheduling import said

BODY = {"content-type": "application/fhir+json"}
OWN = {"system": "urn:example:epj", "value": "nightly-1"}
OTHERS = {"url": "http://epj.example/fhir/StructureDefinition/route", "valueString": "7"}


def booking(hub: Machines, later: int = 0, **more: Any) -> dict[str, Any]:
    order = next(planner(TOWN, "upsert", hub.clock.now).orders("R"))
    start = order.start + timedelta(minutes=later)
    return {
        "resourceType": "Appointment", "status": "proposed", "identifier": [OWN], "start": start.isoformat(timespec="seconds"),
        "end": (start + timedelta(minutes=30)).isoformat(timespec="seconds"), "comment": "Ring på", "created": "2026-01-01T00:00:00Z",
        "participant": [
            {"actor": {"reference": order.person.reference, "display": "as the EPJ writes it"}, "status": "accepted", "required": "required"},
            {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action", "type": [{"text": "utfører"}]},
        ], **more,
    }


def put(api: httpx.Client, resource: dict[str, Any]) -> httpx.Response:
    return api.put("/Appointment", params={"identifier": f"{OWN['system']}|{OWN['value']}"}, json=resource, headers=BODY)


@pytest.mark.spec("facts/fhir", "1.4.update")
def test_the_same_said_again_changes_nothing_and_other_times_move(api: httpx.Client, hub: Machines) -> None:
    """The hub had filled in a status, an identifier and types of its own, and refused the very same PUT for them (BB-307)."""
    first = put(api, booking(hub))
    assert (first.status_code, first.json()["status"]) == (201, "pending"), first.text
    again = put(api, booking(hub))
    assert again.status_code == 200 and again.json() == first.json(), again.text
    moved = put(api, booking(hub, later=60))
    assert moved.status_code == 200 and moved.json()["start"] != first.json()["start"], moved.text
    assert put(api, booking(hub, later=60)).json()["meta"] == moved.json()["meta"]
    for wrong in ({"comment": "Ny"}, {"status": "booked"}, {"identifier": [OWN, {**OWN, "value": "2"}]}, {"priority": 1}):
        answer = put(api, booking(hub, later=60, **wrong))
        assert answer.status_code == 422 and answer.json()["issue"][0]["expression"] == [f"Appointment.{next(iter(wrong))}"], answer.text
    assert put(api, booking(hub, later=60, status="cancelled")).json()["status"] == "cancelled"
    assert put(api, booking(hub, later=60)).status_code == 422, "what is cancelled does not rise again"


@pytest.mark.spec("facts/fhir", "1.4.create")
def test_a_new_booking_holds_what_was_said_of_it_or_is_refused(api: httpx.Client, hub: Machines) -> None:
    """All that no rule reads was dropped in silence: the answer was 201, and the reason and the instruction were gone."""
    more: dict[str, Any] = {
        "reasonCode": [{"text": "Sårstell"}], "priority": 3, "patientInstruction": "Ha bandasjen klar", "language": "nb", "specialty": [{"text": "s"}],
        "supportingInformation": [{"reference": "Device/1", "display": "alarm"}], "extension": [OTHERS],
    }
    for name, value in {"requestedPeriod": [{"start": "2026-12-01"}], "serviceType": [{"text": "own"}], "minutesDuration": 5}.items():
        refused = api.post("/Appointment", json=booking(hub, **{name: value}), headers=BODY)
        assert refused.status_code == 422 and refused.json()["issue"][0]["expression"] == [f"Appointment.{name}"], refused.text
    for actor in ({"reference": "Location/1"}, {"type": "Practitioner", "display": "Kari"}, {"reference": "HealthcareService/dagsenter"}):
        people = booking(hub)["participant"]
        refused = api.post("/Appointment", json=booking(hub, participant=[*people, {"actor": actor, "status": "accepted"}]), headers=BODY)
        assert refused.status_code == 422 and refused.json()["issue"][0]["expression"] == ["Appointment.participant"], refused.text
    assert api.get("/Appointment", params={"identifier": f"{OWN['system']}|"}).json().get("entry") is None, "nothing of it was kept"
    kept = put(api, booking(hub, **more)).json()
    assert {name: kept[name] for name in more if name != "extension"} == {name: more[name] for name in more if name != "extension"}
    assert OTHERS in kept["extension"] and [p.get("required") for p in kept["participant"]] == ["required", None]
    assert put(api, booking(hub, **more)).json() == kept
    moved = put(api, booking(hub, later=60, **more)).json()
    stale = api.put(f"/Appointment/{kept['id']}", json={**kept, "start": moved["start"], "end": moved["end"], "slot": moved["slot"]}, headers=BODY)
    assert (stale.status_code, stale.json()) == (200, moved), "how a booking stood when it was read is the hub's to say"
    assert moved["reasonCode"] == more["reasonCode"] and OTHERS in moved["extension"]


@pytest.mark.parametrize(("sent", "kept", "lost"), [
    ({"actor": {"type": "Practitioner", "display": "Kari"}, "status": "accepted"}, {"actor": {"type": "Practitioner", "display": "Per"}, "status": "accepted"}, True),
    ({"actor": {"reference": "Patient/1"}, "status": "declined"}, {"actor": {"reference": "Patient/1"}, "status": "accepted"}, True),
    ({"actor": {"reference": "Patient/1"}, "status": "needs-action"}, {"actor": {"reference": "Patient/1"}, "status": "accepted"}, False),
    ({"actor": {"reference": "Patient/2"}, "status": "accepted"}, {"actor": {"reference": "Patient/1"}, "status": "accepted"}, True),
    ({"actor": {"type": "Patient", "identifier": {"value": "x"}}, "status": "accepted"}, {"actor": {"reference": "Patient/1", "type": "Patient"}, "status": "accepted"}, False),
    ({"type": [{"text": "x"}], "status": "accepted"}, {"actor": {"reference": "Patient/1"}, "status": "accepted"}, True),
])
def test_what_is_said_of_who_takes_part_is_so_or_is_told(sent: dict[str, Any], kept: dict[str, Any], lost: bool) -> None:
    assert said.lost_of({"participant": [sent]}, {}, {"participant": [kept]}) == (["participant"] if lost else [])
