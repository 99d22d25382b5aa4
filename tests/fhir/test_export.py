"""`$export`: kick-off, manifest, files, their limits, on both databases. The files are what was there when it was asked for."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from hub import app
from hub.faces import export

ASYNC = {"prefer": "respond-async", "accept": "application/fhir+json"}
VENDOR = f"""
[[vendors]]
name = "one"
token_digest = "{hashlib.sha256(b"one-department").hexdigest()}"
departments = ["hjemmesykepleie"]
"""
PATIENT = TOWN.persons[0].reference


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, per_minute=100_000, more=VENDOR) as made:
        yield made


@pytest.fixture
def api(hub: Machines) -> Iterator[httpx.Client]:
    with _client(hub) as client:
        yield client


def _client(hub: Machines, token: str = "simple-token") -> httpx.Client:
    return httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def appointment(n: int, department: str = "hjemmesykepleie", status: str = "booked") -> dict[str, Any]:
    return {
        "resourceType": "Appointment", "id": f"a{n:04d}", "status": status, "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z",
        "participant": [{"actor": {"reference": PATIENT, "type": "Patient"}, "status": "accepted"},
                        {"actor": {"reference": f"HealthcareService/{department}"}, "status": "accepted"}],
    }


def keep(hub: Machines, *resources: dict[str, Any]) -> None:
    hub.parts.store.write(lambda tx: [tx.keep(r, origin="test") for r in resources])


def manifest(api: httpx.Client, path: str, **params: str) -> dict[str, Any]:
    asked = api.get(path, params=params, headers=ASYNC)
    assert asked.status_code == 202, asked.text
    answer = api.get(asked.headers["content-location"])
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json" and answer.headers["expires"].endswith("GMT")
    found: dict[str, Any] = answer.json()
    assert found["requiresAccessToken"] is True and found["error"] == [] and path in found["request"]
    return found


def fetched(api: httpx.Client, found: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for file in found["output"]:
        answer = api.get(file["url"])
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/fhir+ndjson"
        rows = [json.loads(line) for line in answer.content.splitlines()]
        assert all(row["resourceType"] == file["type"] for row in rows)
        lines += rows
    return lines


@pytest.mark.spec("facts/fhir", "1.4.export")
def test_everything_comes_as_it_was_when_it_was_asked_for(hub: Machines, api: httpx.Client) -> None:
    keep(hub, *(appointment(n) for n in range(450)))
    found = manifest(api, "/$export")
    keep(hub, appointment(3, status="fulfilled"), appointment(999))
    rows = fetched(api, found)
    ours = [r for r in rows if r["resourceType"] == "Appointment"]
    assert [r["id"] for r in ours] == [f"a{n:04d}" for n in range(450)]
    assert {r["status"] for r in ours} == {"booked"} and ours[3]["meta"]["versionId"] == "1"
    assert {"Patient", "HealthcareService", "Schedule", "Slot"} <= {r["resourceType"] for r in rows}
    assert len({(r["resourceType"], r["id"]) for r in rows}) == len(rows)


def test_files_are_cut_and_lose_nothing(hub: Machines, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "A_FILE", 100)
    monkeypatch.setattr(export, "A_PAGE", 30)
    keep(hub, *(appointment(n) for n in range(250)))
    found = manifest(api, "/$export", _type="Appointment")
    assert len(found["output"]) == 3
    assert [r["id"] for r in fetched(api, found)] == [f"a{n:04d}" for n in range(250)]


def test_what_changed_since_and_what_is_about_a_person(hub: Machines, api: httpx.Client) -> None:
    keep(hub, *(appointment(n) for n in range(5)))
    hub.clock.forward(hours=1)
    since = hub.clock.now.isoformat()
    keep(hub, appointment(2, status="fulfilled"), {"resourceType": "Device", "id": "no-person"})
    assert [r["id"] for r in fetched(api, manifest(api, "/$export", _type="Appointment", _since=since))] == ["a0002"]
    of_patients = fetched(api, manifest(api, "/Patient/$export", _type="Appointment,Patient,Device"))
    assert {r["resourceType"] for r in of_patients} == {"Appointment", "Patient"}
    assert fetched(api, manifest(api, "/$export", _type="Device"))[0]["id"] == "no-person"


def test_filters_hold_for_the_version_of_then(hub: Machines, api: httpx.Client) -> None:
    """Whatever became of it since; several of one type are alternatives, and a type without one comes whole."""
    keep(hub, *(appointment(n, status="cancelled" if n % 2 else "booked") for n in range(8)), appointment(8, "dagsenter"))
    keep(hub, {"resourceType": "Device", "id": "d", "status": "active"})

    def asked(*filters: str, **more: str) -> dict[str, Any]:
        return manifest(api, "/$export", _type="Appointment,Device", _typeFilter=",".join(filters), **more)

    booked = asked("Appointment?status=booked&date=ge2026-12-01T00:00:00+01:00")
    either = asked("Appointment?_id=a0001,a0002", "Appointment?actor=HealthcareService/dagsenter")
    chained = asked("Appointment?status=booked&actor:HealthcareService._id=dagsenter")
    none, new = asked("Appointment?date=lt2026-12-01&status=booked"), asked("Appointment?_lastUpdated=ge2026-11-26T09:30:00Z")
    hub.clock.forward(hours=1)
    keep(hub, appointment(0, status="cancelled"), appointment(1, status="booked"), appointment(2, "dagsenter"), appointment(5, "dagsenter"))
    for found, wanted in ((booked, "0 2 4 6 8"), (either, "1 2 8"), (chained, "8"), (none, ""), (new, "")):
        ours = [r["id"] for r in fetched(api, found)]
        assert ours == [*(f"a000{n}" for n in wanted.split()), "d"], found["request"]
    by_post = {"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Appointment"}, {"name": "_typeFilter", "valueString": "Appointment?status=booked&_id=a0004"},
        {"name": "_typeFilter", "valueString": "Appointment?status=cancelled&_id=a0003"}, {"name": "_elements", "valueString": "status,Appointment.end"}]}
    place = api.post("/$export", json=by_post, headers=ASYNC).headers["content-location"]
    rows = fetched(api, api.get(place).json())
    assert [(r["id"], r["status"]) for r in rows] == [("a0003", "cancelled"), ("a0004", "booked")]
    assert all(set(r) == {"resourceType", "id", "meta", "status", "end", "participant"} for r in rows), "and what is mandatory"
    assert all(r["meta"]["tag"][0]["code"] == "SUBSETTED" for r in rows)


def test_a_filter_asks_no_more_than_its_reader_sees(hub: Machines) -> None:
    """A chain in it would tell of another department's bookings which of them meet it."""
    keep(hub, appointment(0, "hjemmesykepleie"), appointment(1, "dagsenter"))
    with _client(hub, "one-department") as one:
        for criteria, ids in (("status=booked", ["a0000"]), ("actor:HealthcareService._id=dagsenter", []), ("actor:HealthcareService._id=hjemmesykepleie", ["a0000"])):
            assert [r["id"] for r in fetched(one, manifest(one, "/$export", _type="Appointment", _typeFilter=f"Appointment?{criteria}"))] == ids


def test_what_was_deleted_since_is_told(hub: Machines, api: httpx.Client) -> None:
    device = {"resourceType": "Device", "status": "active"}
    keep(hub, *({**device, "id": f"d{n}"} for n in range(4)))
    api.delete("/Device/d0")
    hub.clock.forward(minutes=1)
    since = hub.clock.now.isoformat()
    for gone in ("d1", "d2", "d3"):
        assert api.delete(f"/Device/{gone}").status_code == 204
    keep(hub, {**device, "id": "d2"})
    found = manifest(api, "/$export", _type="Device,Slot", _since=since)
    api.put("/Device/d3", json={**device, "id": "d3"})
    (file,) = found["deleted"]
    bundle = json.loads(api.get(file["url"]).content)
    assert file["type"] == "Bundle" and bundle["type"] == "transaction"
    assert [e["request"] for e in bundle["entry"]] == [{"method": "DELETE", "url": f"Device/{n}"} for n in ("d1", "d3")], "as it was when it was asked for"
    assert [r["id"] for r in fetched(api, found)] == ["d2"]
    assert "deleted" not in manifest(api, "/$export", _type="Device") and "deleted" not in manifest(api, "/$export", _type="Slot", _since=since)


def test_a_vendor_gets_its_departments_and_nobody_elses_export(hub: Machines, api: httpx.Client) -> None:
    keep(hub, appointment(1), appointment(2, "dagsenter"), appointment(3, "dagsenter"))
    with _client(hub, "one-department") as one:
        found = manifest(one, "/$export")
        rows = fetched(one, found)
        departments = {p["actor"]["reference"].partition("/")[2] for r in rows if r["resourceType"] == "Appointment" for p in r["participant"][1:]}
        assert departments == {"hjemmesykepleie"} and not any(r["resourceType"] == "Patient" for r in rows)
        status = found["output"][0]["url"].replace("$export-file", "$export").rpartition("/")[0]
        assert one.get(status).status_code == 200
        assert [api.get(status).status_code, api.get(found["output"][0]["url"]).status_code, api.delete(status).status_code] == [404, 404, 404]
    with _client(hub, hub.ask(scope="system/Slot.rs").json()["access_token"]) as visma:
        assert visma.get("/$export", headers=ASYNC).status_code == 403
        assert visma.get("/$export?_type=Appointment", headers=ASYNC).status_code == 403
        assert visma.get("/$export?_type=Slot", headers=ASYNC).status_code == 202


@pytest.mark.spec("facts/fhir", "1.4.export")
def test_it_ends_when_it_is_deleted_or_past_its_time_and_survives_a_restart(hub: Machines, api: httpx.Client) -> None:
    where = [api.get("/$export?_type=Slot", headers=ASYNC).headers["content-location"] for _ in range(2)]
    assert api.delete(where[0]).status_code == 202
    assert [api.get(w).status_code for w in where] == [404, 200]
    again = app.open_store(hub.parts.hub, hub.clock)
    assert again.exports.get(where[1].rpartition("/")[2], "vendor:simple") is not None
    again.close()
    hub.clock.forward(hours=25)
    assert api.get(where[1]).status_code == 404
    assert hub.parts.store.prune(hub.clock.now) == 0


def test_whose_data_left_is_in_the_access_log(hub: Machines, api: httpx.Client) -> None:
    keep(hub, *(appointment(n) for n in range(3)))
    fetched(api, manifest(api, "/$export", _type="Appointment"))
    hub.parts.store.write(lambda tx: None)
    lines = [line for line in hub.parts.store.audit_of(PATIENT, 10) if line.kind == "export Appointment"]
    assert len(lines) == 1 and lines[0].channel == "fhir"
    assert [line.kind for line in hub.parts.store.audit_of("", 10)] == ["export"]


@pytest.mark.parametrize(("path", "headers"), [
    ("/$export", {}), ("/$export?_type=Bogus", ASYNC), ("/$export?_type=AuditEvent", ASYNC), ("/$export?_since=yesterday", ASYNC),
    ("/$export?_outputFormat=csv", ASYNC), ("/$export?_typeFilter=Slot%3Fx", ASYNC), ("/Patient/$export?_type=Slot", ASYNC),
    ("/$export?_typeFilter=Slot", ASYNC), ("/$export?_typeFilter=Bogus%3Fx%3D1", ASYNC), ("/$export?_typeFilter=Slot%3F_sort%3Dstart", ASYNC),
    ("/$export?_type=Slot&_typeFilter=Task%3Fstatus%3Dready", ASYNC), ("/Patient/$export?_typeFilter=Slot%3Fstatus%3Dfree", ASYNC),
    ("/$export?_typeFilter=Patient%3Fidentifier%3Durn:oid:2.16.578.1.12.4.1.4.1%7C1", ASYNC),
    ("/$export?_elements=bogus", ASYNC), ("/$export?_elements=Bogus.status", ASYNC), ("/$export?_type=Slot&_elements=Task.status", ASYNC),
    ("/$export?_elements=Slot.extension.url", ASYNC),
])
@pytest.mark.spec("facts/fhir", "1.4.export")
def test_what_cannot_be_exported_is_told(api: httpx.Client, path: str, headers: dict[str, str]) -> None:
    answer = api.get(path, headers=headers)
    assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (400, "BB-429")
    assert api.put("/$export", headers=ASYNC).status_code == 405
    group = api.get("/Group/x/$export", headers=ASYNC)
    assert group.status_code == 404 and "Group" in group.json()["issue"][0]["diagnostics"]
    assert api.get("/$export/unknown").status_code == 404 and api.get("/$export-file/unknown/Slot").status_code == 404


def test_parameters_by_post_and_leniently(api: httpx.Client) -> None:
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Slot"}, {"name": "_type", "valueString": "Schedule"}, {"name": "_outputFormat", "valueString": "ndjson"}]}
    asked = api.post("/$export", json=body, headers=ASYNC)
    assert {f["type"] for f in api.get(asked.headers["content-location"]).json()["output"]} == {"Slot", "Schedule"}
    lenient = {**ASYNC, "prefer": "respond-async, handling=lenient"}
    told = api.get(f"/$export?_type=Slot,Bogus&patient=1&_typeFilter={quote('x,Slot?bogus=1')}&_elements=id,bogus", headers=lenient)
    assert told.status_code == 202 and told.headers["content-location"]
    assert [(i["severity"], i["diagnostics"]) for i in told.json()["issue"]] == [
        ("warning", "ignored: the parameter patient"), ("warning", "ignored: a type of _type that is not exported here"),
        ("warning", "ignored: a query of _typeFilter, of a type that is not exported"), ("warning", "ignored: bogus of _typeFilter"),
        ("warning", "ignored: an element of _elements that no exported type has")]
    assert api.get("/$export?_type=Slot", headers=lenient).content == b""
    assert api.get("/$export?_type=Slot").status_code == 400


def test_a_body_that_is_too_large_is_refused_not_left_out(api: httpx.Client) -> None:
    """Read as if it were empty, a list of types that is cut off would be an export of everything."""
    body = json.dumps({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient" + " " * 70_000}]})
    answer = api.post("/$export", content=body, headers={"prefer": "respond-async", "content-type": "application/fhir+json"})
    assert answer.status_code == 413 and answer.json()["issue"][0]["code"] == "too-long"
