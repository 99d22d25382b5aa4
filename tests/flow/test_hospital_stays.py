"""A hospital stay pauses home visits and ends the pause: PLO letters, signed and encrypted, to what a person can book and sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hubs import EPJ, FUNCTIONS, HUB, World

from adapters.seals.ebms import ebms
from ebxml import msghead, plo
from ebxml.kith import FNR, HER, Coded, Ident, Party, Person
from hub.access import Ground
from hub.adapter import Surroundings
from hub.booking.clock import local
from hub.booking.conventions import FNR as FNR_SYSTEM
from hub.booking.conventions import identifier
from hub.booking.stays import stay_id
from hub.customer import Customer, Order
from hub.message import Content, Letter, Verdict
from hub.problem import Problem, Refused
from hub.shop import Shop

CODE = "hjemmesykepleie"


def event(at: datetime) -> str:
    return f'<k:TidsfestetHendelse><k:Hendelsekode V="1"/><k:TidspunktForHendelse V="{local(at):%Y-%m-%dT%H:%M:%S}"/></k:TidsfestetHendelse>'


def tell(world: World, number: str, type_: str, *times: datetime) -> Verdict:
    """A PLO letter of the EPJ's, through seal, flow and rules."""
    name = "MeldingFravar" if type_ == "FRAVARSMELDING" else "Pasientlogistikk"
    content = (f'<p:{name} xmlns:p="{plo.NAMESPACE}{name}/2012-04-01" xmlns:k="{plo.NAMESPACE}poKomponent/2012-04-01">'
               f"{''.join(map(event, times))}</p:{name}>")
    id_ = f"{type_}-{world.clock.now:%H%M%S}-{len(times)}"
    hospital, municipality = (Party(name, (Ident(her, HER),), Party(name, (Ident(her, HER),))) for name, her in (("Sykehus", EPJ), ("Kommune", HUB)))
    head = msghead.MsgHead(
        type=Coded(type_, "PLO"), id=id_, generated=world.clock.now, sender=hospital, receiver=municipality,
        documents=(msghead.Document(content.encode()),), patient=Person(family="Test", given="Test", idents=(Ident(number, FNR),)), ack="J",
    )
    seal = ebms(Surroundings(world.home / "epj", "epj", HUB, EPJ, "Sykehus", {"functions": FUNCTIONS}))
    letter = Letter(id_, id_, "stay", world.clock.now)
    parcel = seal.close(Content(msghead.write(head), "application/xml"), letter, world.clock.now)
    return world.flow.receive(world.adapters["visma-profil"], parcel).verdict


@pytest.fixture
def hospital(world: World) -> World:
    visma = world.adapters["visma-profil"]
    world.adapters["visma-profil"] = replace(visma, may_state=visma.may_state | {"pause"})
    return world


def somebody(world: World) -> tuple[Customer, str]:
    person = next(p for p in world.town.bookable if CODE in p.departments)
    kept = world.store.get("Patient", person.reference.partition("/")[2])
    assert kept is not None
    return Customer(person.reference, person.reference, Ground.SELF), identifier(kept.resource, FNR_SYSTEM)


def days_with_times(world: World, customer: Customer) -> set[int]:
    days = Shop(world.store, world.keeping).free(customer, CODE, world.clock.now)
    return {n for n, day in enumerate(days) if day.times}


@pytest.mark.spec("facts/ebxml", "9.5")
def test_admitted_pauses_and_discharged_resumes(hospital: World) -> None:
    customer, number = somebody(hospital)
    shop, now = Shop(hospital.store, hospital.keeping), hospital.clock.now
    before = days_with_times(hospital, customer)
    start = shop.free(customer, CODE, now)[4].times[3].start
    verdict = tell(hospital, number, "LOG_INNLAGT", now)
    assert verdict.accepted and verdict.about == (f"Flag/{stay_id(customer.person)}",)
    assert days_with_times(hospital, customer) == set()
    with pytest.raises(Refused) as paused:
        shop.book(customer, Order("k", CODE, start, 15))
    assert paused.value.problem is Problem.PAUSED
    hospital.clock.now += timedelta(hours=3)
    assert tell(hospital, number, "LOG_UTSKRIVNINGSKLAR", now + timedelta(hours=2)).accepted
    assert days_with_times(hospital, customer) == set(), "ready is still in hospital"
    hospital.clock.now += timedelta(hours=3)
    assert tell(hospital, number, "LOG_UTSKREVET", now + timedelta(hours=5)).accepted
    assert days_with_times(hospital, customer) >= before - {0}
    shop.book(customer, Order("k", CODE, start, 15))
    history = [s.resource["status"] for s in hospital.store.history("Flag", stay_id(customer.person))]
    assert history == ["inactive", "active"], "«ready» said nothing new"


def test_an_absence_pauses_its_own_days_only(hospital: World) -> None:
    customer, number = somebody(hospital)
    before = days_with_times(hospital, customer)
    noon = hospital.clock.now.replace(hour=0, minute=0) - timedelta(hours=1)  # midnight in Norway
    tell(hospital, number, "FRAVARSMELDING", noon + timedelta(days=3), noon + timedelta(days=6))
    assert days_with_times(hospital, customer) == before - {3, 4, 5}


def test_a_letter_that_comes_late_undoes_nothing(hospital: World) -> None:
    customer, number = somebody(hospital)
    now = hospital.clock.now
    hospital.clock.now += timedelta(days=1)
    tell(hospital, number, "LOG_UTSKREVET", now + timedelta(hours=20))
    before = days_with_times(hospital, customer)
    hospital.clock.now += timedelta(minutes=1)
    assert tell(hospital, number, "LOG_INNLAGT", now).accepted, "it was true when it was said"
    assert days_with_times(hospital, customer) == before


def test_who_may_not_say_it_and_whom_nobody_knows_are_refused(world: World) -> None:
    customer, number = somebody(world)
    assert tell(world, number, "LOG_INNLAGT", world.clock.now).problem is Problem.NOT_ALLOWED
    assert days_with_times(world, customer)
    visma = world.adapters["visma-profil"]
    world.adapters["visma-profil"] = replace(visma, may_state=visma.may_state | {"pause"})
    world.clock.now += timedelta(minutes=1)
    assert tell(world, "01810112345", "LOG_INNLAGT", world.clock.now).problem is Problem.UNKNOWN_PERSON
    world.clock.now += timedelta(minutes=1)
    assert tell(world, number, "HELSEOPPLYSNINGER_LEGE", world.clock.now).problem is Problem.UNKNOWN_FUNCTION
