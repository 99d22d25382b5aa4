"""«Du har fått en ny melding»: told once, in the hours people are awake, to those who may read it, and of nothing that it says."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hubs import World
from starlette.testclient import TestClient
from test_messages_flow import hear, stated
from writing import HELLO, HELP, NURSING, log_in, mandates, nursed, send, somebody

from adapters.carriers.memory import MemoryCarrier
from adapters.formats.notice import NoticeFormat
from adapters.seals.plain import plain
from hub.access import ALL_DEPARTMENTS, Ground, Reader, Scope
from hub.adapter import Adapter, Surroundings
from hub.booking.conventions import url
from hub.booking.messages import CONVERSATION, from_service
from hub.booking.notices import Kind, text
from hub.dialogue import Draft

OWN, RELATIVES = "+4700012345", "+4700054321"
NEWS = text(Kind.MESSAGE, "Solbakken kommune", "55 00 00 00")


@pytest.fixture
def sms(world: World) -> MemoryCarrier:
    """The hub sends SMS."""
    carrier = MemoryCarrier()
    around = Surroundings(world.home / "hub", "sms", "sms", "1", "Solbakken kommune")
    world.adapters["sms"] = Adapter("sms", "sms", carrier, plain(around), NoticeFormat(), frozenset({"notice-sms"}), answer_due=False)
    return carrier


def reached(world: World, reference: str, number: str, **more: Any) -> None:
    """Somebody's telephone is this one."""
    kept = world.store.get(*reference.split("/"))
    assert kept is not None
    changed = {**kept.resource, "telecom": [{"system": "phone", "use": "mobile", "value": number}], **more}
    world.store.write(lambda tx: tx.keep(changed, origin="test"))


def sent(world: World, sms: MemoryCarrier, after: timedelta = timedelta(minutes=3)) -> list[dict[str, str]]:
    """What has left within so long from now."""
    world.clock.now += after
    while world.deliver():
        pass
    found = [json.loads(parcel.body) for parcel in sms.sent]
    sms.sent.clear()
    return found


def test_an_answer_is_told_once_without_a_word_of_it(world: World, client: TestClient, sms: MemoryCarrier) -> None:
    kari = somebody(world, NURSING)
    reached(world, kari.reference, OWN)
    log_in(client, kari.reference)
    asked = send(client).rpartition("/")[2]
    assert sent(world, sms) == [], "nobody is told of what they wrote themselves"
    where = [{"identifier": {"system": CONVERSATION, "value": asked}}]
    for letter in ("e1", "e2"):
        hear(world, stated(kari.national_id, letter, "Legen ringer om insulinen.", partOf=where))
    assert sent(world, sms) == [{"to": OWN, "text": NEWS}], "two within two minutes are one"
    for secret in ("insulin", "torsdag", "Anne", HELLO, kari.name, "Hjemmesykepleie", "http", asked):
        assert secret not in NEWS
    hear(world, stated(kari.national_id, "e3", partOf=where))
    assert len(sent(world, sms)) == 1, "later is news again"


def test_nobody_is_woken(world: World, sms: MemoryCarrier) -> None:
    kari = somebody(world, NURSING)
    reached(world, kari.reference, OWN)
    world.clock.now = world.clock.now.replace(hour=22)
    hear(world, stated(kari.national_id, "e1"))
    assert sent(world, sms) == [] and len(sent(world, sms, timedelta(hours=8))) == 1


def test_an_employees_answer_in_the_console_is_told_too(world: World, client: TestClient, sms: MemoryCarrier) -> None:
    kari = somebody(world, HELP)
    reached(world, kari.reference, OWN)
    log_in(client, kari.reference)
    thread = send(client).rpartition("/")[2]
    staff = Reader("staff:anne", Ground.SERVICE, departments=ALL_DEPARTMENTS)
    world.messaging.answer(staff, thread, Draft("k", "Det ordner vi."))
    assert sent(world, sms) == [{"to": OWN, "text": NEWS}]


@pytest.mark.parametrize("level", ["ingen", "begrenset", "normal"])
def test_whoever_wants_no_notices_gets_none_and_an_answer_is_no_trifle(world: World, sms: MemoryCarrier, level: str) -> None:
    kari = somebody(world, NURSING)
    reached(world, kari.reference, OWN, extension=[{"url": url("notice-level"), "valueCode": level}])
    hear(world, stated(kari.national_id, "e1"))
    assert len(sent(world, sms)) == (level != "ingen")


@pytest.mark.parametrize("scopes", [
    {Scope.SEE, Scope.NOTICES, Scope.READ_MESSAGES}, {Scope.SEE, Scope.NOTICES}, {Scope.SEE, Scope.READ_MESSAGES, Scope.WRITE_MESSAGES},
])
def test_a_relative_is_told_who_may_hear_and_may_read(world: World, sms: MemoryCarrier, scopes: set[Scope]) -> None:
    """That somebody got a message is itself something that only whoever may read them should know."""
    mandate = next(m for m in mandates(world) if m.holds(world.clock.now) and nursed(world, m.person))
    consent = world.store.get("Consent", mandate.id)
    assert consent is not None
    provision = consent.resource["provision"]
    system = provision["code"][0]["coding"][0]["system"]
    codes = [{"coding": [{"system": system, "code": scope.value}]} for scope in scopes]
    world.store.write(lambda tx: tx.keep({**consent.resource, "provision": {**provision, "code": codes}}, origin="test"))
    reached(world, mandate.person, OWN)
    for holder in mandate.holders:
        reached(world, holder, RELATIVES)
    national_id = next(p.national_id for p in world.town.persons if p.reference == mandate.person)
    hear(world, stated(national_id, "e1"))
    told = {notice["to"] for notice in sent(world, sms)}
    assert (RELATIVES in told) is (scopes >= {Scope.NOTICES, Scope.READ_MESSAGES}) and OWN in told


def test_what_a_client_of_the_fhir_api_writes_is_told_and_what_is_moved_in_is_not(world: World, sms: MemoryCarrier) -> None:
    """A municipality that moves in years of messages must not wake everybody."""
    kari = somebody(world, NURSING)
    reached(world, kari.reference, OWN)
    world.store.on_changed(world.messaging.follow)
    for origin, told in (("import", 0), ("vendor:epj", 1)):
        made = from_service(f"m-{told}", kari.reference, NURSING, None, "Emne", "Hei!", world.clock.now)
        world.store.write(lambda tx, made=made, origin=origin: tx.keep(made, origin=origin))  # type: ignore[misc]
        assert len(sent(world, sms)) == told
