"""Messages by the FHIR API: a vendor reads those of its departments, and writes as the service only where its word is a message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from hub.access import Ground, Reader
from hub.booking.conventions import extension
from hub.booking.messages import MESSAGE
from hub.dialogue import Draft

CLIENT = """
[[clients]]
id = "{id}"
issuer = "own"
departments = ["{department}"]
scopes = "system/Communication.crus"
jwks_file = "visma.jwks"
may = ["{may}"]
"""
CLIENTS = (("epj-fhir", "hjemmesykepleie", "message"), ("leser", "hjemmesykepleie", "confirm"), ("andre", "dagsenter", "message"))
KARI = next(p for p in TOWN.bookable if p.departments == ("hjemmesykepleie",))


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    more = "".join(CLIENT.format(id=id_, department=department, may=may) for id_, department, may in CLIENTS)
    with hub_on(tmp_path / "home", town_url, per_minute=100_000, more=more) as made:
        yield made


def api(hub: Machines, name: str) -> httpx.Client:
    answer = hub.ask(hub.assertion(iss=name, sub=name), scope="system/Communication.crus")
    assert answer.status_code == 200, answer.text
    return httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": f"Bearer {answer.json()['access_token']}"}, trust_env=False, timeout=30)


def asked(hub: Machines) -> str:
    return hub.parts.messaging.write(Reader(KARI.reference, Ground.SELF), KARI.reference, Draft("k", "Hei!", "", "hjemmesykepleie", "Noe annet"))


def answer(first: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Communication", "status": "completed", "category": [MESSAGE], "partOf": [{"reference": f"Communication/{first}"}],
        "inResponseTo": [{"reference": f"Communication/{first}"}], "subject": {"reference": KARI.reference}, "sent": "2026-11-26T10:00:00Z",
        "sender": {"reference": "HealthcareService/hjemmesykepleie", "display": "Anne"}, "recipient": [{"reference": KARI.reference}],
        "payload": [{"contentString": "Hei! Det går bra."}], **more,
    }


def test_a_vendor_reads_its_departments_messages_answers_in_the_thread_and_the_person_sees_it(hub: Machines) -> None:
    first = asked(hub)
    with api(hub, "epj-fhir") as epj:
        found = epj.get("/Communication", params={"recipient": "HealthcareService/hjemmesykepleie", "status": "in-progress"}).json()
        assert [e["resource"]["payload"] for e in found["entry"]] == [[{"contentString": "Hei!"}]]
        made = epj.post("/Communication", json=answer(first))
        assert made.status_code == 201, made.text
        assert epj.get(f"/Communication/{made.json()['id']}").status_code == 200
    (thread,) = hub.parts.messaging.of(KARI.reference)
    assert [m.from_service for m in thread.messages] == [False, True] and thread.unread(KARI.reference)
    lines = hub.parts.store.audit_of(KARI.reference, 20)
    assert "create Communication" in {line.kind for line in lines if line.reader == "vendor:epj-fhir"}


def test_another_departments_vendor_sees_and_writes_none_of_it(hub: Machines) -> None:
    first = asked(hub)
    with api(hub, "andre") as other:
        assert other.get("/Communication").json().get("entry", []) == []
        assert other.get(f"/Communication/{first}").status_code in (403, 404)
        assert other.post("/Communication", json=answer(first)).status_code == 403
    assert len(hub.parts.messaging.of(KARI.reference)[0].messages) == 1


def test_a_message_is_nobodys_to_forge_or_to_change(hub: Machines) -> None:
    """Not in the person's name, not by a client whose word is no message, and not what somebody wrote before."""
    first = asked(hub)
    forged = answer(first, sender={"reference": KARI.reference}, recipient=[{"reference": "HealthcareService/hjemmesykepleie"}])
    with api(hub, "epj-fhir") as epj, api(hub, "leser") as reader:
        assert epj.post("/Communication", json=forged).status_code == 403
        assert reader.post("/Communication", json=answer(first)).status_code == 403
        kept = epj.get(f"/Communication/{first}").json()
        assert epj.put(f"/Communication/{first}", json={**kept, "payload": [{"contentString": "noe annet"}]}).status_code == 403
        assert epj.put(f"/Communication/{first}", json={**kept, "category": []} | {"note": [{"text": "x"}]}).status_code >= 400
    (thread,) = hub.parts.messaging.of(KARI.reference)
    assert [m.text for m in thread.messages] == ["Hei!"]


def test_any_other_communication_is_kept_as_it_is_sent(hub: Machines) -> None:
    """What is no message of ours obeys the same rules as before, and is shown to no person."""
    with httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token"}, trust_env=False, timeout=30) as vendor:
        other = {"resourceType": "Communication", "status": "completed", "subject": {"reference": KARI.reference}}
        made = vendor.post("/Communication", json=other)
        assert made.status_code == 201 and extension(made.json(), "read") is None
    assert hub.parts.messaging.of(KARI.reference) == []
