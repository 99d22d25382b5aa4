"""Visits that the service planned itself and nobody booked (daily care): signed letters of the EPJ's, to what a person sees, moves and cancels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hubs import EPJ, FUNCTIONS, HUB, World

from adapters.seals.ebms import ebms
from ebxml import msghead, xcal
from ebxml.kith import FNR, HER, Coded, Ident, Party, Person
from hub.access import Ground, Protection, Reader
from hub.access import Person as Known
from hub.adapter import Surroundings
from hub.booking import Booking, Status
from hub.booking.clock import at, local
from hub.booking.conventions import FNR as FNR_SYSTEM
from hub.booking.conventions import extension, identifier
from hub.customer import Customer, Order
from hub.faces.portal import visits as visits_page
from hub.faces.portal.viewer import Viewer
from hub.message import Content, Letter, Verdict
from hub.problem import Problem, Refused
from hub.rolling import roll_slots
from hub.shop import Shop

CODE, UID = "hjemmesykepleie", "plan/2026 #17"
"""A uid as EPJs write them: it can be no id of FHIR's."""
START = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


def tell(world: World, number: str, word: str, start: datetime = START, uid: str = UID, **more: str) -> Verdict:
    """A letter of the EPJ's about one of its visits, through seal, flow and rules."""
    id_ = f"plan-{word}-{world.clock.now:%d%H%M%S}"
    epj, municipality = (Party(name, (Ident(her, HER),), Party(name, (Ident(her, HER),))) for name, her in (("EPJ", EPJ), ("Kommune", HUB)))
    extra = (("x-visit-status", word), *((f"x-{name.replace('_', '-')}", value) for name, value in more.items() if name != "department"))
    event = xcal.Event(uid=uid, start=start, end=start + timedelta(minutes=30), contact=EPJ, status="CONFIRMED", summary="Besøk",
                       categories=more.get("department", CODE), extra=extra)
    calendar = xcal.write(xcal.Calendar("-//EPJ//NO", (event,), world.clock.now))
    head = msghead.MsgHead(
        type=Coded("DIALOG_HELSEFAGLIG", "Helsefaglig dialog"), id=id_, generated=world.clock.now, sender=epj, receiver=municipality,
        documents=(msghead.Document(calendar),), patient=Person(family="Test", given="Test", idents=(Ident(number, FNR),)), ack="J",
    )
    seal = ebms(Surroundings(world.home / "epj", "epj", HUB, EPJ, "EPJ", {"functions": FUNCTIONS}))
    letter = Letter(id_, id_, "visit", world.clock.now)
    parcel = seal.close(Content(msghead.write(head), "application/xml"), letter, world.clock.now)
    world.clock.now += timedelta(seconds=1)
    return world.flow.receive(world.adapters["visma-profil"], parcel).verdict


@pytest.fixture
def planner(world: World) -> World:
    visma = world.adapters["visma-profil"]
    world.adapters["visma-profil"] = replace(visma, may_state=visma.may_state | {"plan"})
    return world


def somebody(world: World, nth: int = 0) -> tuple[Customer, str]:
    person = [p for p in world.town.bookable if CODE in p.departments][nth]
    kept = world.store.get("Patient", person.reference.partition("/")[2])
    assert kept is not None
    return Customer(person.reference, person.reference, Ground.SELF), identifier(kept.resource, FNR_SYSTEM)


def visits(world: World, customer: Customer) -> list[Booking]:
    found = Shop(world.store, world.keeping).booked(customer.person, START - timedelta(days=1), START + timedelta(days=14))
    return [Booking.of(s.resource) for s in found]


def test_a_planned_visit_stands_takes_a_seat_and_draws_on_nothing(planner: World) -> None:
    roll_slots(planner.store)
    kari, number = somebody(planner)
    shop = Shop(planner.store, planner.keeping)
    before = [(b.used, b.granted) for s in shop.services(kari.person, planner.clock.now) for b in s.balances]
    assert tell(planner, number, "confirmed").accepted
    (visit,) = visits(planner, kari)
    assert (visit.status, visit.start, visit.planned, visit.department) == (Status.BOOKED, START, True, CODE) and len(visit.slots) == 2
    slot = planner.store.get("Slot", visit.slots[0])
    assert slot is not None and extension(slot.resource, "taken") == 1
    assert before == [(b.used, b.granted) for s in shop.services(kari.person, planner.clock.now) for b in s.balances]
    with pytest.raises(Refused) as overlapping:
        shop.book(kari, Order("k", CODE, START, 15))
    assert overlapping.value.problem is Problem.OVERLAPS_OWN
    assert tell(planner, number, "confirmed").accepted and len(visits(planner, kari)) == 1, "said again it is the same visit"
    owed = {d.function for d in planner.store.deliveries_about(f"Appointment/{visit.id}")}
    assert owed == {"visit-receipt"}, "nobody is told what they said themselves"


def test_its_whole_life_is_told_under_the_name_that_the_epj_gave_it(planner: World) -> None:
    kari, number = somebody(planner)
    assert tell(planner, number, "assigned", performer="Nora").accepted
    assert visits(planner, kari)[0].performer == "Nora"
    later = START + timedelta(hours=3)
    assert tell(planner, number, "confirmed", later).accepted
    assert [(b.start, b.status) for b in visits(planner, kari)] == [(later, Status.BOOKED)]
    planner.clock.now = later
    assert tell(planner, number, "on-the-way", later).accepted and tell(planner, number, "completed", later).accepted
    (visit,) = visits(planner, kari)
    assert visit.status is Status.FULFILLED


def test_the_person_moves_and_cancels_it_and_the_epj_knows_which_it_is(planner: World) -> None:
    roll_slots(planner.store)
    kari, number = somebody(planner)
    tell(planner, number, "confirmed")
    (visit,) = visits(planner, kari)
    shop = Shop(planner.store, planner.keeping)
    wanted = next(t.start for day in shop.free(kari, CODE, planner.clock.now, moves=visit.id) for t in day.times if t.start > START + timedelta(days=1))
    shop.book(kari, Order("m", CODE, wanted, 30, visit.id))
    assert visits(planner, kari)[0].planned and visits(planner, kari)[0].status is Status.PENDING
    planner.deliver()
    seal = ebms(Surroundings(planner.home / "epj", "epj", HUB, EPJ, "EPJ", {"functions": FUNCTIONS}))
    letter = msghead.read(seal.open(planner.carrier.sent[-1], planner.clock.now).content.body, files=False)
    told = [event for d in letter.documents if d.namespace == xcal.NAMESPACE for event in xcal.read(d.content).events]
    assert [event.uid for event in told] == [UID]
    shop.cancel(kari, visit.id)
    assert visits(planner, kari)[0].status is Status.CANCELLED


def test_two_systems_may_call_their_visits_the_same(planner: World) -> None:
    (kari, number), (ola, other) = somebody(planner), somebody(planner, 1)
    visma = planner.adapters["visma-profil"]
    tell(planner, number, "confirmed", uid="1")
    planner.adapters["visma-profil"] = replace(visma, name="gerica")
    assert tell(planner, other, "confirmed", START + timedelta(hours=1), uid="1").accepted
    assert [b.start for b in visits(planner, kari) + visits(planner, ola)] == [START, START + timedelta(hours=1)]


@pytest.mark.parametrize(("word", "department", "known"), [("confirmed", "", True), ("completed", CODE, True), ("confirmed", CODE, False)])
def test_what_names_no_department_reports_what_nobody_planned_or_is_for_a_stranger_is_refused(
    planner: World, word: str, department: str, known: bool,
) -> None:
    kari, number = somebody(planner)
    verdict = tell(planner, number if known else "01815599990", word, department=department)
    assert verdict.problem in (Problem.UNKNOWN_BOOKING, Problem.UNKNOWN_PERSON) and visits(planner, kari) == []


def test_who_may_not_plan_is_told_that_the_booking_is_unknown(world: World) -> None:
    kari, number = somebody(world)
    assert tell(world, number, "confirmed").problem is Problem.UNKNOWN_BOOKING and visits(world, kari) == []


def test_another_departments_visit_is_not_theirs_to_plan(planner: World) -> None:
    kari, number = somebody(planner)
    assert tell(planner, number, "confirmed", department="praktisk-bistand").problem is Problem.NOT_ALLOWED and visits(planner, kari) == []


def test_wall_time_is_the_persons(planner: World) -> None:
    """A visit in the hour that the October night shows twice is the one that was stated."""
    kari, number = somebody(planner)
    planner.clock.now = datetime(2027, 10, 30, 8, tzinfo=UTC)
    second = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    assert tell(planner, number, "confirmed", second).accepted
    shop = Shop(planner.store, planner.keeping)
    (visit,) = [Booking.of(s.resource) for s in shop.booked(kari.person, at(local(second).date(), local(second).time()), second + timedelta(days=1))]
    assert visit.start == second and local(visit.start).fold == 1


def test_more_planned_visits_than_a_page_holds_are_said_to_be_there(planner: World) -> None:
    kari, number = somebody(planner)
    for n in range(visits_page.COMING_MAX + 1):
        assert tell(planner, number, "confirmed", START + n * timedelta(hours=2), uid=f"p{n}").accepted
    viewer = Viewer("self", Reader(kari.person, Ground.SELF), Known(kari.person, Protection.OPEN), "Kari")
    seen = visits_page.overview(planner.store, viewer, planner.clock.now)
    assert seen.further and len(seen.coming) + 1 == visits_page.COMING_MAX
    assert not visits_page.overview(planner.store, viewer, planner.clock.now + timedelta(days=3)).further
