"""`besoksbro import`: every line validated, nothing overwritten, run again it goes on; on both databases."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from settled import TOWN

from hub import importing
from hub.booking.clock import at, local, write
from hub.booking.conventions import url
from hub.booking.messages import MESSAGE
from hub.fhir import definitions, index
from hub.fhir.query import Query, ReferenceIs
from hub.importing import Report, Wrong
from hub.problem import Problem
from hub.rolling import roll_slots
from hub.store import Secrets, Store

D = definitions.load()
BASE = "https://hub.example/fhir"
HOME = """
[hub]
municipality = "Solbakken kommune"
environment = "test"
her_id = "8100000"
base_url = "http://127.0.0.1:1"
phone = "00 00 00 00"
opening_hours = "Hver dag"
database = "{database}"
"""


@pytest.fixture
def opened(store_url: str, tmp_path: Path) -> Iterator[tuple[Store, Secrets]]:
    secrets = Secrets.open(tmp_path)
    store = Store.open(store_url, secrets, clock=lambda: datetime.now(UTC), entries=index.indexer(D, secrets.hash_id))
    store.migrate()
    yield store, secrets
    store.close()


def visit(n: int, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Appointment", "id": f"v{n}", "status": "fulfilled", "start": "2025-03-01T09:00:00+01:00", "end": "2025-03-01T09:30:00+01:00",
        "participant": [{"actor": {"reference": f"Patient/p{n % 3}"}, "status": "accepted"}], **more,
    }


def ndjson(*resources: dict[str, Any] | bytes) -> bytes:
    return b"\n".join(r if isinstance(r, bytes) else orjson.dumps(r) for r in resources)


def take_in(opened: tuple[Store, Secrets], text: bytes) -> tuple[Report, list[Wrong]]:
    store, secrets = opened
    wrong: list[Wrong] = []
    way = importing.Way(partial(importing.ready, known=D, entries=index.indexer(D, secrets.hash_id), base=BASE))
    with ThreadPoolExecutor(2) as pool:
        return importing.take_in(store, io.BytesIO(text), "kari", pool, way, 3, wrong.append), wrong


def test_each_line_is_kept_or_told_by_its_number(opened: tuple[Store, Secrets]) -> None:
    store, _ = opened
    seat = visit(9, slot=[{"reference": "Slot/s1"}])
    nameless = {k: v for k, v in visit(8).items() if k != "id"}
    report, wrong = take_in(opened, ndjson(
        visit(1), b"", visit(2, status="bogus"), visit(3), b'{"resourceType":"Appointment","id":"x","id":"y"}', seat, nameless,
        {"resourceType": "Slot", "id": "s", "schedule": {"reference": "Schedule/a"}, "status": "free", "start": "2026-12-01T09:00:00Z",
         "end": "2026-12-01T09:30:00Z"}, {**visit(4), "comment": "x" * importing.LONGEST}, visit(1), visit(3, comment="another"), visit(5),
    ))
    assert (report.kept, report.same, report.refused) == (3, 1, 7)
    assert [(w.line, w.problem, w.where) for w in wrong] == [
        (3, Problem.UNKNOWN_CODE, "Appointment.status"), (5, Problem.UNREADABLE, ""), (6, Problem.NOT_SUPPORTED, "Appointment.slot"),
        (7, Problem.INVALID, "Appointment.id"), (8, Problem.NOT_SUPPORTED, "resourceType"), (9, Problem.TOO_LARGE, ""),
        (11, Problem.OUT_OF_DATE, ""),
    ]
    assert sorted(e.id for e in store.search(Query("Appointment")).entries) == ["v1", "v3", "v5"]


def test_run_again_it_goes_on_and_overwrites_nothing(opened: tuple[Store, Secrets], monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of seven, so that a stop between commits leaves some of them."""
    monkeypatch.setattr(importing, "BATCH", 7)
    store, _ = opened
    every = [visit(n) for n in range(40)]
    assert take_in(opened, ndjson(*every[:18]))[0].kept == 18
    store.write(lambda tx: tx.keep(visit(4, comment="changed since"), origin="epj"))
    report, wrong = take_in(opened, ndjson(*every))
    assert (report.kept, report.same, wrong) == (22, 18, [])
    changed = store.get("Appointment", "v4")
    assert changed is not None and changed.version == 2 and changed.resource["comment"] == "changed since"
    assert len(store.changes(0, 100)) == 41 and store.search(Query("Appointment", count=100)).next is None


def test_the_access_log_tells_each_person_once(opened: tuple[Store, Secrets]) -> None:
    store, _ = opened
    take_in(opened, ndjson(*[visit(n) for n in range(30)]))
    lines = store.audit_of("Patient/p1", 10)
    assert [(line.reader, line.kind) for line in lines] == [("operator:kari", "import")]


def test_references_under_our_own_address_are_ours_and_others_are_theirs(opened: tuple[Store, Secrets]) -> None:
    store, _ = opened
    here, there = ([{"actor": {"reference": f"{base}/Patient/p1"}, "status": "accepted"}] for base in (BASE, "https://other.example/fhir"))
    escaped = ndjson(visit(3, participant=here)).replace(BASE.encode(), BASE.replace("/", "\\/").encode())
    assert b":\\/\\/" in escaped
    assert take_in(opened, ndjson(visit(1, participant=here), visit(2, participant=there), escaped))[0].kept == 3
    found = store.search(Query("Appointment", (ReferenceIs("patient", (("Patient", "p1"),)),))).entries
    assert sorted(each.id for each in found) == ["v1", "v3"]


def test_the_command_says_what_it_did_and_leaves_with_1_when_something_is_wrong(store_url: str, tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "old.ndjson"
    home.mkdir()
    (home / "hub.toml").write_text(HOME.format(database=store_url), encoding="utf-8")
    file.write_bytes(ndjson(visit(1), visit(2), visit(3, status="bogus")))
    command = [sys.executable, "-m", "hub", "import", str(file), "--home", str(home), "--processes", "1"]
    subprocess.run([sys.executable, "-m", "hub", "database", "migrate", "--home", str(home)], check=True, capture_output=True)
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 1 and first.stdout.strip() == "2 ressurser lagret, 0 var her fra før, 1 avvist."
    assert first.stderr.startswith("linje 3: BB-2") and "bogus" not in first.stderr
    file.write_bytes(ndjson(visit(1), visit(2)))
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


def test_visits_that_move_in_take_seats_so_that_nobody_books_over_them(opened: tuple[Store, Secrets]) -> None:
    store, _ = opened
    day = local(datetime.now(UTC)).date() + timedelta(days=2)
    start = at(day, time(10))
    code, who = "hjelp", [{"actor": {"reference": f"{ref}"}, "status": "accepted"} for ref in ("Patient/p1", "HealthcareService/hjelp")]
    service = {
        "resourceType": "HealthcareService", "id": code, "active": True, "availableTime": [{"allDay": True}],
        "extension": [{"url": url("capacity"), "valueInteger": 1}],
    }
    coming = visit(1, status="booked", start=write(start), end=write(start + timedelta(hours=1)), participant=who)
    report, wrong = take_in(opened, ndjson(service, coming))
    assert (report.kept, wrong) == (2, [])
    roll_slots(store)
    kept = store.get("Appointment", "v1")
    assert kept is not None and len(kept.resource["slot"]) == 2
    slots = [slot["reference"].partition("/")[2] for slot in kept.resource["slot"]]
    assert store.write(lambda tx: [tx.seats_taken(slot) for slot in slots]) == [1, 1]


def test_a_mandate_that_gives_nothing_by_itself_and_a_decision_that_cannot_be_read_are_told(opened: tuple[Store, Secrets]) -> None:
    mandate = next(r for r in TOWN.resources if r["resourceType"] == "Consent" and r["provision"]["code"])
    codes = [{"coding": [{**mandate["provision"]["code"][0]["coding"][0], "code": code}]} for code in ("lese-meldinger", "varsler")]
    granted = next(r for r in TOWN.resources if r["resourceType"] == "ServiceRequest")
    bounds = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk", "boundsDuration": {"value": 3, "unit": "wk"}}}
    plain = [{key: value for key, value in r.items() if key != "meta"} for r in (mandate, granted)]
    report, wrong = take_in(opened, ndjson(
        {**plain[0], "provision": {**mandate["provision"], "code": codes}}, {**plain[1], "occurrenceTiming": bounds}, *plain,
    ))
    assert [(w.line, w.problem, w.where) for w in wrong] == [
        (1, Problem.INVALID, "Consent.provision.code"), (2, Problem.INVALID, "ServiceRequest.extension")]
    assert "lese-meldinger, varsler: gives nothing without se-besok" in wrong[0].detail and report.kept == 2


def test_a_message_with_files_does_not_move_in_without_them(opened: tuple[Store, Secrets]) -> None:
    """They would lie in the resource, or point to what is not here; any other Communication is as it was."""
    message = {
        "resourceType": "Communication", "id": "m1", "status": "completed", "category": [MESSAGE], "subject": {"reference": "Patient/p1"},
        "sent": "2025-03-01T09:00:00+01:00", "sender": {"reference": "HealthcareService/s"}, "recipient": [{"reference": "Patient/p1"}],
        "payload": [{"contentString": "Hei"}, {"contentAttachment": {"contentType": "application/pdf", "data": "JVBERi0="}}],
    }
    other = {**message, "id": "m2", "category": [{"text": "noe annet"}]}
    plain = {**message, "id": "m3", "payload": message["payload"][:1]}  # type: ignore[index]
    report, wrong = take_in(opened, ndjson(message, other, plain))
    assert (report.kept, [(w.line, w.problem) for w in wrong]) == (2, [(1, Problem.NOT_SUPPORTED)])
