"""The sandbox: fails as it is asked to, is set back whole, and is nowhere where real persons could be."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from adapters.demo.least import least
from adapters.demo.shop import planner
from hub import app, commands, sandbox
from hub.config import Misconfigured, read_hub
from hub.fhir import definitions
from hub.fhir.query import Query

ON = "[sandbox]\non = true\n"
SHOP = f"""
title = "Tjenesteshop"
party = "tjenesteshop"
carrier = {{ kind = "memory" }}
seal = {{ kind = "plain" }}
format = {{ kind = "mapped", mapping = "tjenesteshop.toml" }}
may = ["book", "move", "cancel"]
answers = "reply"
token_digest = "{hashlib.sha256(b"simple-token").hexdigest()}"
"""
DEVICE = {"resourceType": "Device", "status": "active", "identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    with hub_on(tmp_path / "home", town_url, more=ON, per_minute=100_000) as made:
        yield made


def api(hub: Machines, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=f"{hub.url}/fhir", headers={"authorization": "Bearer simple-token", **headers}, trust_env=False, timeout=60)


def state(hub: Machines) -> dict[str, object]:
    """What is there, but for what each version is called, and the access log, which only grows."""
    types = [type_ for type_ in definitions.load().served if type_ not in sandbox.KEPT_APART]
    everything = [e for type_ in types for e in hub.parts.store.search(Query(type_, count=100_000)).entries]
    return {e.reference: {k: v for k, v in e.resource.items() if k != "meta"} for e in everything}


def test_it_is_set_back_to_its_first_day(hub: Machines) -> None:
    with api(hub) as client:
        assert client.post("/$reset").status_code == 200
        first = state(hub)
        order = next(planner(TOWN, "sandbox", hub.clock.now).orders("S"))
        booking = {
            "resourceType": "Appointment", "status": "proposed", "start": order.start.isoformat(timespec="seconds"),
            "end": (order.start + timedelta(minutes=30)).isoformat(timespec="seconds"),
            "participant": [{"actor": {"reference": order.person.reference}, "status": "accepted"},
                            {"actor": {"reference": f"HealthcareService/{order.department}"}, "status": "needs-action"}],
        }
        booked = client.post("/Appointment", json=booking)
        assert booked.status_code == 201 and client.post("/Device", json=DEVICE).status_code == 201
        patient = client.get(f"/{order.person.reference}").json()
        assert client.put(f"/{order.person.reference}", json={**patient, "active": False}).status_code == 200
        assert state(hub) != first
        told = client.post("/$reset")
        assert told.status_code == 200 and told.headers["x-sandbox"] == "invented persons only"
        assert state(hub) == first
        assert client.get(f"/Appointment/{booked.json()['id']}").status_code == 410, "its history stays"
        assert client.post("/Appointment", json=booking).status_code == 201, "its seat and its decision are free again"
        assert hub.parts.store.verify_audit().holds
    with hub.http(authorization="Bearer nobody") as client:
        assert client.post("/fhir/$reset").status_code == 401
    token = hub.ask().json()["access_token"]
    with hub.http(authorization=f"Bearer {token}") as client:
        assert client.post("/fhir/$reset").status_code == 403, "one department's vendor does not sweep away the others' work"


@pytest.mark.parametrize(("wanted", "status", "number"), [
    ("409", 409, "BB-302"), ("412", 412, "BB-207"), ("422", 422, "BB-305"), ("429", 429, "BB-424"), ("503", 503, "BB-901"), ("teapot", 422, "BB-201"),
])
def test_it_fails_as_it_is_asked_and_does_nothing(tmp_path: Path, wanted: str, status: int, number: str) -> None:
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}", more=ON) as hub, api(hub) as client:
        answer = client.post("/Device", json=DEVICE, headers={"x-sandbox-fail": wanted})
        assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (status, number)
        assert ("retry-after" in answer.headers) is (status in (429, 503))
        assert client.get("/Device", params={"_summary": "count"}).json()["total"] == 0


def test_a_lost_or_slow_answer_was_done_and_the_same_again_is_kept_once(tmp_path: Path) -> None:
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}", more=ON) as hub, api(hub) as client:
        condition = {"if-none-exist": "identifier=urn:x|1"}
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/Device", json=DEVICE, headers={**condition, "x-sandbox-fail": "lost-answer"})
        assert client.post("/Device", json=DEVICE, headers=condition).status_code == 200
        assert client.get("/Device", params={"_summary": "count"}).json()["total"] == 1
        with pytest.raises(httpx.ReadTimeout):
            client.get("/Device", headers={"x-sandbox-fail": "slow"}, timeout=0.5)


def test_another_hub_knows_nothing_of_it(tmp_path: Path) -> None:
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}") as hub, api(hub, **{"x-sandbox-fail": "503"}) as client:
        assert client.get("/Device").status_code == 200 and client.post("/$reset", json={"resourceType": "Parameters"}).status_code == 404
        assert "x-sandbox" not in client.get("/Device").headers
        with pytest.raises(Misconfigured):
            app.reset_sandbox(hub.parts)


def test_it_is_refused_in_production_and_where_a_real_person_could_be(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured), hub_on(tmp_path / "production", f"sqlite:///{tmp_path / 'p.db'}", "production", more=ON):
        pass
    with pytest.raises(Misconfigured):
        sandbox.switched_on(read_hub_with(tmp_path, 'on = "yes"'))
    number = "12" + "01" + "50" + "00000"
    patient = {"resourceType": "Patient", "id": "real", "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": number}]}
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}") as before:
        before.parts.store.write(lambda tx: tx.keep(patient, origin="hub"))
    with hub_on(tmp_path / "home", f"sqlite:///{tmp_path / 'hub.db'}", more=ON, fresh=False) as hub:
        for guarded in (app.guard_sandbox, app.reset_sandbox):
            with pytest.raises(Misconfigured) as told:
                guarded(hub.parts)
            assert number not in str(told.value)
        with pytest.raises(Misconfigured):
            commands.run(hub.home, work=False)
        with api(hub) as client:
            assert client.post("/$reset").status_code == 403


def test_a_real_national_id_is_refused_on_every_road(tmp_path: Path, town_url: str) -> None:
    home, number, system = tmp_path / "home", "12" + "01" + "50" + "00000", "urn:oid:2.16.578.1.12.4.1.4.1"
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "tjenesteshop.toml").write_text(SHOP)
    named = {"identifier": [{"system": system, "value": number}]}
    with hub_on(home, town_url, more=ON, per_minute=100_000) as hub, api(hub) as client:
        person = client.get("/Patient?_count=1").json()["entry"][0]["resource"]
        patch = {"headers": {"content-type": "application/json-patch+json"}, "json": [{"op": "replace", "path": "/identifier", "value": named["identifier"]}]}
        entry = {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Patient", **named}}
        basic = {"resourceType": "Basic", "code": {"text": "x"}, "extension": [{"url": "urn:x", "valueIdentifier": named["identifier"][0]}]}
        before = state(hub)
        answers = [
            client.post("/Patient", json={"resourceType": "Patient", **named}), client.put(f"/Patient/{person['id']}", json={**person, **named}),
            client.patch(f"/Patient/{person['id']}", **patch), client.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
            client.post("/Basic", json=basic), client.post("/Patient/_search", data={"identifier": f"{system}|{number}"}),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (422, "BB-430"), answer.text
        batch = client.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]}).json()
        assert batch["entry"][0]["response"]["status"].startswith("422")
        with hub.http(authorization="Bearer simple-token") as shop:
            asked = shop.post("/booking/v1/services", json={"person": {"value": number}})
            assert (asked.status_code, asked.json()["code"]) == (422, "BB-430")
            order = next(planner(TOWN, "real", hub.clock.now).orders("R"))
            letter = json.dumps(order.message("OPPRETT")).replace(order.person.national_id, number)
            told = shop.post("/inbox/tjenesteshop", content=letter, headers={"content-type": "application/json"})
            assert "BB-430" in told.text
            answers += [asked, told]
        assert state(hub) == before and all(number not in answer.text for answer in answers)


def read_hub_with(folder: Path, line: str) -> object:
    text = folder / "other" / "hub.toml"
    text.parent.mkdir()
    text.write_text(f"{least()}[sandbox]\n{line}\n")
    return read_hub(text.parent)
