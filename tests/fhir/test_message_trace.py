"""«What did you do with my message?»: its verdict, what was sent for it and what happened, for whoever's message it is and nobody else."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oauth"))

from machines import TOWN, Machines, hub_on

from adapters.demo.shop import planner
from hub.config import Misconfigured
from hub.faces.tracing import own_adapters


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


ADAPTER = f'''title = "Tjenesteshop"
party = "{{name}}"
carrier = {{{{ kind = "memory" }}}}
seal = {{{{ kind = "plain" }}}}
format = {{{{ kind = "mapped", mapping = "tjenesteshop.toml" }}}}
may = ["book", "move", "cancel"]
wants = ["booking"]
departments = ["dagsenter", "hjemmesykepleie", "avlastning", "oppfolging"]
answers = "reply"
answer_due = false
token_digest = "{digest("shop-token")}"
'''
VENDORS = "".join(
    f'\n[[vendors]]\nname = "{name}"\ntoken_digest = "{digest(name)}"\ndepartments = ["dagsenter"]\nadapters = {adapters}\n'
    for name, adapters in (("mine", '["tjenesteshop"]'), ("theirs", '["annen"]'))
)


@pytest.fixture
def hub(tmp_path: Path, town_url: str) -> Iterator[Machines]:
    for name in ("tjenesteshop", "annen"):
        path = tmp_path / "home" / "adapters" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ADAPTER.format(name=name))
    polled = "".join(line for line in ADAPTER.format(name="polled").splitlines(True) if not line.startswith(("token_digest", "wants")))
    path.with_name("polled.toml").write_text(polled)
    with hub_on(tmp_path / "home", town_url, more=VENDORS, per_minute=100_000) as made:
        yield made


def ask(hub: Machines, who: str, id_: Any) -> httpx.Response:
    with hub.http(authorization=f"Bearer {who}") as client:
        return client.post("/fhir/$message", json={"resourceType": "Parameters", "parameter": [{"name": "id", "valueString": id_}]})


def told(answer: httpx.Response, name: str) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [
        {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in parameter["part"]}
        for parameter in answer.json()["parameter"] if parameter["name"] == name
    ]


def number(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def test_a_vendor_is_told_what_became_of_its_own_message_and_of_no_other(hub: Machines) -> None:
    orders = planner(TOWN, "trace", hub.clock.now).orders("T")
    order = next(orders)
    right, wrong = order.message("OPPRETT"), {**order.message("OPPRETT"), "meldingsId": "wrong-1", "bestillingsId": "B", "avdeling": "finnes-ikke"}
    with hub.http(authorization="Bearer shop-token") as shop:
        for message in (right, wrong):
            shop.post("/inbox/tjenesteshop", json=message, headers={"x-message-id": message["meldingsId"]})
        shop.post("/inbox/tjenesteshop", content=b"{", headers={"content-type": "application/json", "x-message-id": "broken-1"})

    answer = ask(hub, "mine", right["meldingsId"])
    (message,) = told(answer, "message")
    assert message["verdict"] == "accepted" and message["adapter"] == "tjenesteshop" and message["answered"] is True
    assert message["about"]["reference"] == f"Appointment/{order.appointment}"
    assert {"received", "version"} <= {event["kind"] for event in told(answer, "event")}
    assert order.person.national_id not in answer.text
    for delivery in told(answer, "delivery"):
        assert delivery["adapter"] == "tjenesteshop", "the other partner's letters are the other partner's"

    (refused,) = told(ask(hub, "mine", "wrong-1"), "message")
    assert refused["verdict"] == "refused" and refused["problem"]["code"] == "BB-208" and refused["text"]
    (broken,) = told(ask(hub, "mine", "broken-1"), "message")
    assert broken["verdict"] == "refused" and broken["problem"]["code"] == "BB-101"

    for id_ in (right["meldingsId"], "wrong-1"):
        assert number(ask(hub, "theirs", id_)) == number(ask(hub, "theirs", "never-sent")) == (404, "BB-401"), "nor is it told that there is one"
        assert number(ask(hub, "simple-token", id_)) == (403, "BB-208")
        assert ask(hub, "nobody", id_).status_code == 401
    for wrong_id in ("", "x" * 256, 1, None, "%", "_"):
        assert ask(hub, "mine", wrong_id).status_code in (404, 422)
    hub.parts.store.write(lambda tx: None)  # each commit takes in the waiting lines
    (line,) = [line for line in hub.parts.store.audit_of(order.person.reference, 10) if line.kind == "message"]
    assert line.reader == "vendor:mine"


def test_a_delivery_is_found_by_the_id_it_was_sent_under(hub: Machines) -> None:
    order = next(planner(TOWN, "trace", hub.clock.now).orders("T"))
    message = order.message("OPPRETT")
    with hub.http(authorization="Bearer shop-token") as shop:
        shop.post("/inbox/tjenesteshop", json=message, headers={"x-message-id": message["meldingsId"]})
    owed = {d.adapter: d for d in hub.parts.store.deliveries_about(f"Appointment/{order.appointment}")}
    assert owed, "the other partner wants bookings"
    delivery = owed["annen"]
    assert told(ask(hub, "theirs", delivery.id), "delivery")[0]["id"] == delivery.id
    assert number(ask(hub, "mine", delivery.id)) == (404, "BB-401")


def test_an_adapter_that_is_not_there_is_a_mistake_of_the_operators() -> None:
    with pytest.raises(Misconfigured):
        own_adapters({"clients": [{"id": "x", "adapters": ["none"]}]}, ["visma-profil"])


def test_a_partner_that_neither_signs_nor_has_a_token_posts_nothing(hub: Machines) -> None:
    """A shop that is polled has no token of its own: its inbox was open to anybody's bookings."""
    order = next(planner(TOWN, "anonymous", hub.clock.now).orders("X"))
    for shown in ({}, {"authorization": "Bearer shop-token"}):
        answer = httpx.post(f"{hub.url}/inbox/polled", json=order.message("OPPRETT"), headers=shown, trust_env=False)
        assert answer.status_code == 401 and answer.json()["problem"]["nummer"] == "BB-116", answer.text
    assert hub.parts.store.get("Appointment", order.appointment) is None and not hub.parts.store.envelopes("polled", None, None, None, 5)
