"""A client of one department cannot tell anything of another's, on both databases: what it is answered is the same whatever happens there, and a
resource of theirs is as one that never was. The questions are made from the definitions, so that a new type or parameter is asked about by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from hub.access import Ground, Reader
from hub.fhir import definitions
from hub.fhir.limits import limit
from hub.problem import Refused

OURS, THEIRS = "dagsenter", "hjemmesykepleie"
PERSON = TOWN.persons[0].reference
ASYNC = {"prefer": "respond-async"}
DEFINITIONS = definitions.load()
Question = tuple[str, dict[str, str]]


def _seen() -> list[str]:
    """Types of which a client with a department sees something."""
    reader, found = Reader("vendor:a", Ground.VENDOR, departments=frozenset({OURS})), []
    for type_ in DEFINITIONS.served:
        try:
            limit(reader, type_, DEFINITIONS)
        except Refused:
            continue
        found.append(type_)
    return found


SEEN = _seen()


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    vendor = f'[[vendors]]\nname = "a"\ntoken_digest = "{hashlib.sha256(b"a-token").hexdigest()}"\ndepartments = ["{OURS}"]\n'
    with hub_on(tmp_path / "home", town_url, per_minute=1_000_000, more=vendor) as made:
        yield made


@pytest.fixture
def api(hub: Machines) -> Iterator[httpx.Client]:
    """The client of one department."""
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer a-token"}, trust_env=False, timeout=60) as client:
        yield client


def appointment(id_: str, department: str, day: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Appointment", "id": id_, "status": "booked", "start": f"2026-12-0{day}T09:00:00Z", "end": f"2026-12-0{day}T09:30:00Z",
        "participant": [{"actor": {"reference": PERSON, "type": "Patient"}, "status": "accepted"},
                        {"actor": {"reference": f"HealthcareService/{department}"}, "status": "accepted"}], **more,
    }


def role(id_: str, department: str) -> dict[str, Any]:
    return {"resourceType": "PractitionerRole", "id": id_, "healthcareService": [{"reference": f"HealthcareService/{department}"}]}


def keep(hub: Machines, *resources: dict[str, Any]) -> None:
    hub.parts.store.write(lambda tx: [tx.keep(r, origin="test") for r in resources])


def elsewhere(hub: Machines) -> dict[str, str]:
    """What happens in the other department; type → id of something that is now there."""
    keep(
        hub, appointment("b1", THEIRS), appointment("b2", THEIRS, 2), role("pr1", THEIRS), role("pr2", THEIRS),
        {"resourceType": "Encounter", "id": "e1", "status": "planned", "subject": {"reference": PERSON},
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HH"}, "appointment": [{"reference": "Appointment/b1"}]},
        {"resourceType": "Communication", "id": "c1", "status": "completed", "subject": {"reference": PERSON}, "sender": {"reference": PERSON},
         "recipient": [{"reference": f"HealthcareService/{THEIRS}"}], "payload": [{"contentString": "secret"}]},
        {"resourceType": "Flag", "id": "f1", "status": "active", "code": {"text": "x"}, "subject": {"reference": PERSON}},
        {"resourceType": "Basic", "id": "ba1", "code": {"text": "x"}},
        {"resourceType": "AppointmentResponse", "id": "ar1", "appointment": {"reference": "Appointment/b1"}, "participantStatus": "accepted",
         "actor": {"reference": PERSON}},
        appointment("b2", THEIRS, 3),
    )
    slots: list[str] = []

    def change(tx: Any) -> None:
        tx.keep({**tx.get("HealthcareService", THEIRS).resource, "comment": "new"}, origin="test")
        slot = next(s for s in tx.find("Slot") if s.id.startswith(f"{THEIRS}-"))
        slots.append(slot.id)
        tx.keep({**slot.resource, "status": "busy"}, origin="test")
        for type_, id_ in (("PractitionerRole", "pr1"), ("Basic", "ba1")):
            tx.remove(tx.get(type_, id_), origin="test")

    hub.parts.store.write(change)
    return {"Appointment": "b1", "Slot": slots[0], "Schedule": THEIRS, "HealthcareService": THEIRS, "PractitionerRole": "pr2", "Communication": "c1",
            "Basic": "ba1", "Encounter": "e1", "AppointmentResponse": "ar1", "Flag": "f1", "Patient": PERSON.partition("/")[2]}


def questions() -> Iterator[Question]:
    counted = {"_summary": "count"}
    for type_ in SEEN:
        for more in ({}, counted, {"_total": "accurate", "_count": "1"}, {"_include": "*"}, {"_revinclude": "*"}):
            yield f"/{type_}", more
        yield from ((f"/{type_}/_history", more) for more in ({}, {"_count": "1"}, {"_count": "3"}))
        for name in DEFINITIONS.parameters.get(type_, {}):
            yield f"/{type_}", {f"{name}:missing": "true", **counted}
            yield f"/{type_}", {f"{name}:missing": "false", **counted}
            yield f"/{type_}", {"_sort": name, "_count": "2"}
            yield f"/{type_}", {"_sort": f"-{name}", "_count": "2"}
            yield f"/{type_}", {"_include": f"{type_}:{name}", "_include:iterate": f"{type_}:{name}"}
    for type_, parameters in DEFINITIONS.parameters.items():
        for name in (n for n, p in parameters.items() if p.type == "reference"):
            for other in SEEN:
                yield f"/{other}", {"_revinclude": f"{type_}:{name}"}
                yield f"/{other}", {f"_has:{type_}:{name}:_lastUpdated": "gt2020", **counted}
                if type_ in SEEN:
                    yield f"/{type_}", {f"{name}:{other}._lastUpdated": "gt2020", **counted}
    for path in ("/_history", "/Slot/$publish", f"/{PERSON}/$everything", f"/{PERSON}/Appointment", f"/{PERSON}/_history", "/Subscription/$status"):
        yield path, {}
    yield "/_history", {"_count": "1"}
    yield "/_history", {"_count": "2", "_since": "2026-11-26T00:00:00Z"}
    for department in (OURS, THEIRS):
        yield "/Appointment/$find", {"healthcare-service": department, "start": "2026-12-01", "end": "2026-12-03"}
    for kind in ("/$export", "/Patient/$export"):
        yield kind, {}
        yield kind, {"_since": "2020-01-01T00:00:00Z"}
        yield kind, {"_type": "Appointment,Slot,Communication,PractitionerRole"}
        yield kind, {"_type": "Appointment", "_typeFilter": "Appointment?patient.active=true"}


def told(api: httpx.Client, question: Question) -> list[str]:
    """All that an answer tells: status, headers, body; of an export its files, too. Not when an export was asked for: while the clock stands still
    that is a millisecond later for each commit, where it goes it is the clock's time."""
    path, params = question
    answer = api.get(path, params=params, headers=ASYNC if "$export" in path else {})
    assert answer.status_code < 500, question
    if answer.status_code != 202:
        return [str(answer.status_code), str({k: v for k, v in answer.headers.items() if k not in ("date", "server")}), answer.text]
    place = answer.headers["content-location"]
    manifest = api.get(place).json()
    files = [api.get(file["url"]).text for file in manifest["output"] + manifest.get("deleted", [])]
    return [json.dumps({**manifest, "transactionTime": ""}).replace(place.rpartition("/")[2], "ID"), *files]


def test_what_happens_in_another_department_changes_no_answer(hub: Machines, api: httpx.Client) -> None:
    keep(hub, appointment("a1", OURS), appointment("a2", OURS, 2), role("ours", OURS))
    asked = list(questions())
    before = [told(api, question) for question in asked]
    assert len({question[0] for question, answer in zip(asked, before, strict=True) if answer[0] == "200"}) > 15, "there is something to see"
    elsewhere(hub)
    for question, answer in zip(asked, before, strict=True):
        assert told(api, question) == answer, question


JSON_PATCH = {"content-type": "application/json-patch+json"}
STATUS = '[{"op":"replace","path":"/status","value":"x"}]'
ONE, TWO = {"if-match": 'W/"1"'}, {"if-match": 'W/"2"'}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/{type}/{id}", {}), ("HEAD", "/{type}/{id}", {}), ("GET", "/{type}/{id}/_history", {}), ("GET", "/{type}/{id}/_history/1", {}),
    ("GET", "/{type}/{id}", {"headers": {"if-none-match": 'W/"1"'}}), ("GET", "/{type}?_id={id}", {}),
    ("DELETE", "/{type}/{id}", {}), ("DELETE", "/{type}/{id}", {"headers": ONE}), ("DELETE", "/{type}?_id={id}", {}),
    ("PATCH", "/{type}/{id}", {"headers": JSON_PATCH, "content": STATUS}), ("PATCH", "/{type}/{id}", {"headers": JSON_PATCH | ONE, "content": STATUS}),
    ("PATCH", "/{type}?_id={id}", {"headers": JSON_PATCH, "content": "[]"}),
    ("PUT", "/{type}/{id}", {"json": {}}), ("PUT", "/{type}/{id}", {"json": {}, "headers": ONE}), ("PUT", "/{type}/{id}", {"json": {}, "headers": TWO}),
    ("PUT", "/{type}/{id}", {"json": {}, "headers": {"if-none-match": "*"}}), ("PUT", "/{type}?_id={id}", {"json": {}}),
    ("POST", "/{type}", {"json": {}, "headers": {"if-none-exist": "_id={id}"}}),
    ("POST", "/Appointment/{id}/$cancel", {}), ("GET", "/Patient/{id}/$everything", {}), ("GET", "/Appointment?slot=Slot/{id}", {}),
    ("POST", "/Appointment/$cancel", {"json": {"resourceType": "Parameters", "parameter": [{"name": "appt-reference", "valueString": "{id}"}]}}),
    ("POST", "/AppointmentResponse", {"json": {"resourceType": "AppointmentResponse", "appointment": {"reference": "Appointment/{id}"},
                                               "participantStatus": "declined", "actor": {"reference": f"HealthcareService/{OURS}"}}}),
    ("POST", "/", {"json": {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "{type}/{id}"}}, {"request": {"method": "DELETE", "url": "{type}/{id}"}}]}}),
    ("POST", "/", {"json": {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "DELETE", "url": "{type}/{id}"}}]}}),
]
OWN_ID = {"PractitionerRole", "Communication", "Basic"}
"""Of these a client may make one under an id of its own: that the id is taken can only be told, and nothing is told beside it."""


def answered(api: httpx.Client, call: tuple[str, str, dict[str, Any]], type_: str, id_: str, body: dict[str, Any]) -> tuple[int, str, Any, Any]:
    method, path, given = call
    made = json.loads(json.dumps(given).replace("{id}", id_).replace("{type}", type_))
    if made.get("json") == {}:
        made["json"] = {**body, "id": id_}
    answer = api.request(method, path.format(type=type_, id=id_), **made)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", answer.text.replace(id_, "ID"))
    return answer.status_code, text, answer.headers.get("etag"), answer.headers.get("allow")


def test_what_is_another_departments_is_as_what_never_was(hub: Machines, api: httpx.Client) -> None:
    there, store = elsewhere(hub), hub.parts.store
    for type_, id_ in there.items():
        kept = store.get(type_, id_)
        body = {name: value for name, value in (kept.resource if kept and not kept.deleted else {"resourceType": type_, "code": {"text": "x"}}).items() if name != "meta"}
        for call in CALLS:
            unknown, foreign = (answered(api, call, type_, each, body) for each in ("x" * len(id_), id_))
            assert unknown[0] < 500
            if call[0] == "PUT" and type_ in OWN_ID and "?" not in call[1] and unknown != foreign:
                assert foreign[0] == 403 and unknown[0] in (201, 403), (call, type_)
                assert f"this token does not give this {type_}" in foreign[1]
                continue
            assert unknown == foreign, (call, type_)
        after = store.get(type_, id_)
        assert after is not None and kept is not None and after.version == kept.version, "nothing was done to it either"


def test_a_version_of_when_it_was_another_departments_is_not_shown(hub: Machines, api: httpx.Client) -> None:
    keep(hub, appointment("moved", THEIRS))
    keep(hub, appointment("moved", OURS))
    hub.clock.forward(hours=1)
    started = api.get("/$export", params={"_type": "Appointment"}, headers=ASYNC).headers["content-location"]
    assert api.get("/Appointment/moved").status_code == 200 and api.get("/Appointment/moved/_history/2").status_code == 200
    assert api.get("/Appointment/moved/_history/1").status_code == 404
    for path in ("/Appointment/moved/_history", "/Appointment/_history", "/_history"):
        found = api.get(path, params={"_count": "50"}).json()
        assert [e["resource"]["meta"]["versionId"] for e in found["entry"] if e["resource"]["id"] == "moved"] == ["2"], path
    keep(hub, appointment("moved", THEIRS))
    assert api.get("/Appointment/moved").status_code == 404 and "entry" not in api.get("/Appointment/_history").json()
    keep(hub, appointment("late", THEIRS))
    between = api.get("/$export", params={"_type": "Appointment"}, headers=ASYNC).headers["content-location"]
    keep(hub, appointment("late", OURS))
    for place in (started, between):
        files = [api.get(file["url"]).text for file in api.get(place).json()["output"]]
        assert not any(files), "neither now another's, nor another's then"


def test_a_history_reaches_over_any_number_of_versions_that_are_not_shown(hub: Machines, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.faces.sight.A_PAGE", 4)
    keep(hub, *(r for n in range(9) for r in (appointment(f"a{n}", OURS), *(appointment(f"b{n}{m}", THEIRS) for m in range(n)))))
    found, address = [], "/Appointment/_history?_count=2"
    while address:
        page = api.get(address).json()
        assert 1 <= len(page["entry"]) <= 2
        found += [e["resource"]["id"] for e in page["entry"]]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert found == [f"a{n}" for n in reversed(range(9))]


def test_a_deletion_is_told_to_who_saw_it_and_to_nobody_else(hub: Machines, api: httpx.Client) -> None:
    keep(hub, role("ours", OURS), role("theirs", THEIRS))
    since = hub.clock.now.isoformat()
    hub.clock.forward(minutes=1)
    hub.parts.store.write(lambda tx: [tx.remove(tx.get("PractitionerRole", id_), origin="test") for id_ in ("ours", "theirs")])
    assert (api.get("/PractitionerRole/ours").status_code, api.get("/PractitionerRole/theirs").status_code) == (410, 404)
    history = api.get("/PractitionerRole/_history").json()["entry"]
    assert [(e["request"]["method"], e["request"]["url"].rpartition("/")[2]) for e in history] == [("DELETE", "ours"), ("POST", "PractitionerRole")]
    place = api.get("/$export", params={"_type": "PractitionerRole", "_since": since}, headers=ASYNC).headers["content-location"]
    (file,) = api.get(place).json()["deleted"]
    assert [e["request"]["url"] for e in json.loads(api.get(file["url"]).text)["entry"]] == ["PractitionerRole/ours"]


def test_a_filter_that_asks_about_what_is_not_seen_is_refused_when_it_is_asked(api: httpx.Client) -> None:
    """It was found out while the file went out, and the connection broke."""
    answer = api.get("/$export", params={"_type": "Appointment", "_typeFilter": "Appointment?patient.active=true"}, headers=ASYNC)
    assert answer.status_code == 403 and "BB-208" in answer.text


def test_nothing_is_moved_out_of_a_department_or_into_it(hub: Machines, api: httpx.Client) -> None:
    keep(hub, role("ours", OURS), role("theirs", THEIRS))
    assert api.put("/PractitionerRole/ours", json=role("ours", THEIRS)).status_code == 403
    assert api.put("/PractitionerRole/theirs", json=role("theirs", OURS)).status_code == 403
    patch = [{"op": "replace", "path": "/healthcareService/0/reference", "value": f"HealthcareService/{THEIRS}"}]
    assert api.patch("/PractitionerRole/ours", json=patch, headers=JSON_PATCH).status_code == 403
    for id_ in ("ours", "theirs"):
        assert hub.parts.store.get("PractitionerRole", id_).version == 1  # type: ignore[union-attr]
    keep(hub, appointment("a1", OURS), appointment("b1", THEIRS))
    for id_, department in (("a1", THEIRS), ("b1", OURS)):
        answer = api.put(f"/Appointment/{id_}", json=appointment(id_, department))
        assert answer.status_code in (403, 405, 409, 422), answer.text
        assert hub.parts.store.get("Appointment", id_).version == 1  # type: ignore[union-attr]


def test_nobody_speaks_for_another_department(hub: Machines, api: httpx.Client) -> None:
    def said(sender: str, recipient: str) -> dict[str, Any]:
        return {"resourceType": "Communication", "status": "completed", "payload": [{"contentString": "x"}],
                "sender": {"reference": f"HealthcareService/{sender}"}, "recipient": [{"reference": f"HealthcareService/{recipient}"}]}

    assert api.post("/Communication", json=said(OURS, THEIRS)).status_code == 201
    assert api.post("/Communication", json=said(THEIRS, OURS)).status_code == 403
    keep(hub, {**said(THEIRS, OURS), "id": "to-us"})
    changed = {**said(THEIRS, OURS), "id": "to-us", "payload": [{"contentString": "something else"}]}
    assert api.get("/Communication/to-us").status_code == 200 and api.put("/Communication/to-us", json=changed).status_code == 403
    both = {**role("both", OURS), "healthcareService": [{"reference": f"HealthcareService/{d}"} for d in (OURS, THEIRS)]}
    assert api.put("/PractitionerRole/both", json=both).status_code == 403
    keep(hub, both)
    assert api.put("/PractitionerRole/both", json=role("both", OURS)).status_code == 403, "nor is it removed"
    assert api.put("/PractitionerRole/both", json={**both, "active": False}).status_code == 200
    assert api.put("/PractitionerRole/mine", json=role("mine", OURS)).status_code == 201
