"""What follows from what shop, person and EPJ state."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from booking_world import EPJ, NOW, PERSON, SHOP, World, book, decision, later, numbered, oslo, patient, said, service, tomorrow
from fhir.resources.R4B.appointment import Appointment
from fhir.resources.R4B.encounter import Encounter

from hub.booking import MOVED_FROM, Asker, Seat, Status, What, statements, weigh, which
from hub.booking.clock import write
from hub.booking.conventions import appointment_id, extension, with_extension
from hub.booking.facts import Facts
from hub.message import Resource
from hub.problem import Problem, Refused

ID = appointment_id("shop", "b1")


@pytest.fixture
def world() -> World:
    return World.of(service(), patient(), decision())


@pytest.fixture
def booked(world: World) -> World:
    world.states(book("b1", tomorrow(9)))
    world.states(said("booked", id_=ID), may=EPJ, origin="epj")
    return world


def refused(world: World, *items: dict, **how: object) -> Problem:  # type: ignore[type-arg]
    with pytest.raises(Refused) as caught:
        world.states(*items, **how)  # type: ignore[arg-type]
    assert PERSON not in str(caught.value)
    return caught.value.problem


def test_a_booking_waits_for_the_epj_and_takes_its_seats(world: World) -> None:
    outcome = world.states(book("b1", tomorrow(9), end=write(tomorrow(10))))
    assert outcome.what is What.BOOK
    assert outcome.takes == (Seat("hjelp-20261020T0700Z", 2), Seat("hjelp-20261020T0730Z", 2)) and not outcome.frees
    made = world.booking(ID)
    assert (made.status, made.start, made.end) == (Status.PENDING, tomorrow(9), tomorrow(10))
    assert (made.patient, made.department, made.decision, made.sequence) == ("Patient/p1", "hjelp", "d1", 1)
    kept = world.resources["Appointment", ID]
    assert kept["minutesDuration"] == 60 and kept["start"] == "2026-10-20T07:00:00Z" and kept["created"] == "2026-10-19T06:00:00Z"
    assert PERSON not in str(kept), "the person is known by reference only"
    assert Appointment(**kept).status == "pending"


def test_a_booking_without_an_end_lasts_one_slot(world: World) -> None:
    world.states(book("b1", tomorrow(9)))
    assert world.booking(ID).end == tomorrow(9, 30)


def test_a_stated_duration_makes_the_end(world: World) -> None:
    world.states(book("b1", tomorrow(9), minutesDuration=45))
    assert world.booking(ID).end == tomorrow(9, 45) and len(world.booking(ID).slots) == 2


def test_nothing_that_is_stated_or_kept_is_changed_in_place(booked: World) -> None:
    stored, statement = booked.resources["Appointment", ID], said("cancelled", id_=ID)
    before = copy.deepcopy((stored, statement, booked.resources))
    booked.states(statement, may=EPJ, origin="epj")
    assert (stored, statement) == before[:2]


def test_the_epj_confirms_and_the_freshness_is_kept(booked: World) -> None:
    kept = booked.resources["Appointment", ID]
    assert booked.booking(ID).status is Status.BOOKED
    assert extension(kept, "confirmed-at") == write(NOW)
    assert [p["status"] for p in kept["participant"]] == ["accepted", "accepted"]


def test_an_assigned_employee_confirms_too(world: World) -> None:
    world.states(book("b1", tomorrow(9)))
    outcome = world.states(said("booked", id_=ID, performer="Kari"), may=EPJ, origin="epj")
    assert outcome.what is What.ASSIGN
    assert (world.booking(ID).status, world.booking(ID).performer) == (Status.BOOKED, "Kari")
    world.states(said("booked", id_=ID, performer="Ola"), may=EPJ, origin="epj")
    kept = world.resources["Appointment", ID]
    assert [p["actor"].get("display") for p in kept["participant"]] == [None, None, "Ola"]
    Appointment(**kept)


def test_a_person_moves_and_waits_again(booked: World) -> None:
    booked.states(said("booked", id_=ID, performer="Kari"), may=EPJ, origin="epj")
    outcome = booked.states(said("proposed", shop_id="b1", start=write(tomorrow(13))))
    assert outcome.what is What.MOVE and outcome.frees and outcome.takes == (Seat("hjelp-20261020T1100Z", 2),)
    made = booked.booking(ID)
    assert (made.status, made.start, made.end, made.performer) == (Status.PENDING, tomorrow(13), tomorrow(13, 30), "")
    assert set(booked.seats) == {("hjelp-20261020T0700Z", f"before-move:{ID}"), ("hjelp-20261020T1100Z", ID)}, "the confirmed time stands meanwhile"
    booked.states(said("booked", id_=ID, performer="Ola"), may=EPJ, origin="epj")
    assert set(booked.seats) == {("hjelp-20261020T1100Z", ID)} and extension(booked.resources["Appointment", ID], MOVED_FROM) is None


def test_a_move_back_to_the_confirmed_time_takes_its_own_seat_again() -> None:
    world = World.of(service(capacity=1), patient(), decision())
    world.states(book("b1", tomorrow(9), end=write(tomorrow(10))))
    world.states(said("booked", id_=ID), may=EPJ, origin="epj")
    world.states(said("proposed", shop_id="b1", start=write(tomorrow(9, 30))))
    world.states(said("proposed", shop_id="b1", start=write(tomorrow(13))))
    assert {s for s, _ in world.seats} == {f"hjelp-20261020T{h}Z" for h in ("0700", "0730", "1100", "1130")}
    world.states(said("proposed", shop_id="b1", start=write(tomorrow(9))))
    assert {(s, h) for s, h in world.seats if h == ID} == {("hjelp-20261020T0700Z", ID), ("hjelp-20261020T0730Z", ID)}


def test_the_epj_moves_where_it_will(booked: World) -> None:
    night = oslo(2026, 12, 24, 22)
    outcome = booked.states(said("booked", id_=ID, start=write(night), end=write(later(night, 40))), may=EPJ, origin="epj")
    assert outcome.what is What.MOVE and outcome.frees and outcome.takes == ()
    assert (booked.booking(ID).status, booked.booking(ID).start, booked.booking(ID).slots) == (Status.BOOKED, night, ())
    assert booked.seats == {}
    Appointment(**booked.resources["Appointment", ID])


def test_the_epj_may_overbook_itself_but_the_shop_sees_it_full(world: World) -> None:
    for number in (1, 2, 3):
        world.resources["Patient", f"p{number}"] = patient(f"p{number}", f"1381221234{number}")
        world.resources["ServiceRequest", f"d{number}"] = decision(f"d{number}", f"p{number}")
        world.states(book(f"b{number}", tomorrow(7 + number), f"1381221234{number}"))
    for number in (1, 2, 3):
        moved = said("booked", id_=appointment_id("shop", f"b{number}"), start=write(tomorrow(14)))
        world.states(moved, may=EPJ, origin="epj")
    assert world.seats_taken("hjelp-20261020T1200Z") == 3
    world.resources["Patient", "p4"], world.resources["ServiceRequest", "d4"] = patient("p4", "13812212344"), decision("d4", "p4")
    assert refused(world, book("b4", tomorrow(14), "13812212344")) is Problem.FULL


def test_a_cancelled_booking_gives_back_its_seats_and_says_by_whom(booked: World) -> None:
    outcome = booked.states(said("cancelled", shop_id="b1"))
    kept = booked.resources["Appointment", ID]
    assert outcome.frees and booked.seats == {} and "slot" not in kept
    assert kept["cancelationReason"]["coding"][0]["code"] == "AAI"
    Appointment(**kept)


def test_the_service_declines_a_booking_that_waits(world: World) -> None:
    world.states(book("b1", tomorrow(9)))
    world.states(said("cancelled", id_=ID), may=EPJ, origin="epj")
    kept = world.resources["Appointment", ID]
    assert kept["cancelationReason"]["coding"][0]["code"] == "AAT" and kept["participant"][1]["status"] == "declined"


def test_the_first_cancellation_keeps_its_reason(booked: World) -> None:
    booked.states(said("cancelled", shop_id="b1"))
    outcome = booked.states(said("cancelled", id_=ID), may=EPJ, origin="epj")
    assert outcome.nothing_new
    assert booked.resources["Appointment", ID]["cancelationReason"]["coding"][0]["code"] == "AAI"


def visit(status: str, **period: datetime) -> dict:  # type: ignore[type-arg]
    return {"resourceType": "Encounter", "status": status, "appointment": [{"reference": f"Appointment/{ID}"}],
            "period": {edge: write(at) for edge, at in period.items()}}


def test_a_visit_is_under_way_and_then_done_with_actual_times(booked: World) -> None:
    booked.states(said("booked", id_=ID, performer="Kari"), may=EPJ, origin="epj")
    out = booked.states(said("arrived", id_=ID), visit("in-progress", start=tomorrow(9, 4)), may=EPJ, origin="epj")
    assert out.what is What.ON_THE_WAY and booked.booking(ID).status is Status.ARRIVED
    assert out.encounter is not None and out.encounter["period"] == {"start": write(tomorrow(9, 4))}
    done = booked.states(said("fulfilled", id_=ID), visit("finished", end=tomorrow(9, 41)), may=EPJ, origin="epj")
    made = done.encounter
    assert made is not None and made["status"] == "finished"
    assert made["period"] == {"start": write(tomorrow(9, 4)), "end": write(tomorrow(9, 41))}
    assert made["class"]["code"] == "HH" and made["serviceProvider"] == {"reference": "Organization/o1"}
    assert made["participant"][0]["individual"]["display"] == "Kari"
    Encounter(**made)
    assert booked.booking(ID).status is Status.FULFILLED and not done.frees


def test_nobody_at_home(booked: World) -> None:
    out = booked.states(said("noshow", id_=ID), visit("cancelled", start=tomorrow(9), end=tomorrow(9, 5)), may=EPJ, origin="epj")
    kept = booked.resources["Appointment", ID]
    assert kept["status"] == "noshow" and kept["cancelationReason"]["coding"][0]["code"] == "AIH"
    assert out.encounter is not None and out.encounter["status"] == "cancelled"
    Appointment(**kept)


def test_a_visit_that_took_place_in_spite_of_a_cancellation_is_kept(booked: World) -> None:
    booked.states(said("cancelled", shop_id="b1"))
    booked.states(said("fulfilled", id_=ID), visit("finished", start=tomorrow(9), end=tomorrow(9, 20)), may=EPJ, origin="epj")
    kept = booked.resources["Appointment", ID]
    assert kept["status"] == "fulfilled" and "cancelationReason" not in kept
    Appointment(**kept)


def test_who_had_cancelled_is_not_counted_as_not_at_home(booked: World) -> None:
    booked.states(said("cancelled", shop_id="b1"))
    out = booked.states(said("noshow", id_=ID), visit("cancelled", start=tomorrow(9)), may=EPJ, origin="epj")
    assert booked.booking(ID).status is Status.CANCELLED
    assert out.appointment is None and out.encounter is not None and out.encounter["status"] == "cancelled"


def test_a_late_departure_does_not_undo_a_finished_visit(booked: World) -> None:
    booked.states(said("fulfilled", id_=ID), visit("finished", start=tomorrow(9), end=tomorrow(9, 20)), may=EPJ, origin="epj")
    assert booked.states(said("arrived", id_=ID), visit("in-progress", start=tomorrow(8, 50)), may=EPJ, origin="epj").nothing_new
    assert booked.booking(ID).status is Status.FULFILLED


def test_setting_out_to_a_cancelled_visit_is_refused_so_that_the_epj_hears_it(booked: World) -> None:
    booked.states(said("cancelled", shop_id="b1"))
    assert refused(booked, said("arrived", id_=ID), may=EPJ, origin="epj") is Problem.IMPOSSIBLE_CHANGE
    assert refused(booked, said("booked", id_=ID), may=EPJ, origin="epj") is Problem.IMPOSSIBLE_CHANGE


def test_an_employee_called_back_cancels_the_visit_that_had_begun(booked: World) -> None:
    booked.states(said("arrived", id_=ID), may=EPJ, origin="epj")
    out = booked.states(said("cancelled", id_=ID), may=EPJ, origin="epj")
    assert out.encounter is not None and out.encounter["status"] == "cancelled" and out.frees


def test_a_visit_cannot_end_before_it_starts(booked: World) -> None:
    report = visit("finished", start=tomorrow(9, 30), end=tomorrow(9))
    assert refused(booked, said("fulfilled", id_=ID), report, may=EPJ, origin="epj") is Problem.INVALID


# Who may state what

@pytest.mark.parametrize(("missing", "statement"), [
    ("confirm", said("booked", id_=ID)),
    ("assign", said("booked", id_=ID, performer="Kari")),
    ("complete", said("fulfilled", id_=ID)),
    ("complete", said("arrived", id_=ID)),
    ("complete", said("noshow", id_=ID)),
    ("cancel", said("cancelled", id_=ID)),
    ("move", said("proposed", id_=ID, start=write(tomorrow(12)))),
    ("move", said("booked", id_=ID, start=write(tomorrow(12)))),
])
def test_nobody_states_what_its_word_is_not_good_for(booked: World, missing: str, statement: dict) -> None:  # type: ignore[type-arg]
    before = dict(booked.resources)
    assert refused(booked, statement, may=EPJ - {missing}, origin="epj") is Problem.NOT_ALLOWED
    assert booked.resources == before
    booked.states(statement, may=EPJ, origin="epj")


def test_who_may_not_book_is_told_so(world: World) -> None:
    assert refused(world, book("b1", tomorrow(9)), may=frozenset({"move"})) is Problem.NOT_ALLOWED


def test_an_epj_says_nothing_of_another_epjs_department(booked: World) -> None:
    other = frozenset({"avlastning"})
    assert refused(booked, said("cancelled", id_=ID), may=EPJ, origin="epj", departments=other) is Problem.NOT_ALLOWED
    booked.states(said("cancelled", id_=ID), may=EPJ, origin="epj", departments=frozenset({"hjelp"}))


def test_another_shop_does_not_reach_this_ones_booking(booked: World) -> None:
    assert refused(booked, said("cancelled", shop_id="b1"), origin="another") is Problem.UNKNOWN_BOOKING


# Repetition and order

def test_a_repeated_statement_changes_nothing(booked: World) -> None:
    before = copy.deepcopy((booked.resources, booked.seats))
    assert booked.states(book("b1", tomorrow(9))).nothing_new
    booked.now += timedelta(minutes=5)
    assert booked.states(said("booked", id_=ID), may=EPJ, origin="epj").nothing_new
    assert booked.states(said("proposed", shop_id="b1", start=write(tomorrow(9)))).nothing_new
    assert (booked.resources, booked.seats) == before


def test_a_booking_said_again_for_somebody_else_is_refused(booked: World) -> None:
    booked.resources["Patient", "p2"] = patient("p2", "13812212342")
    assert refused(booked, book("b1", tomorrow(9), "13812212342")) is Problem.IMPOSSIBLE_CHANGE
    assert refused(booked, book("b1", tomorrow(9), department="annen")) is Problem.IMPOSSIBLE_CHANGE


def test_an_older_number_is_out_of_date(booked: World) -> None:
    booked.states(numbered(said("booked", id_=ID, performer="Kari"), 7), may=EPJ, origin="epj")
    assert refused(booked, numbered(said("cancelled", id_=ID), 6), may=EPJ, origin="epj") is Problem.OUT_OF_DATE
    assert booked.states(numbered(said("booked", id_=ID, performer="Kari"), 6), may=EPJ, origin="epj").nothing_new
    assert booked.sequence(ID) == 7


def test_of_two_plans_of_the_services_the_one_told_last_counts_whichever_comes_last(booked: World) -> None:
    def told(at: str, **said_: object) -> Resource:
        return with_extension(said("booked", id_=ID, **said_), "stated-at", "Instant", at)

    booked.states(told("2026-10-01T08:10:00Z", start=write(tomorrow(14)), performer="Kari"), may=EPJ, origin="epj")
    for late in (told("2026-10-01T08:05:00Z", start=write(tomorrow(12))), told("2026-10-01T08:09:59Z", performer="Ola"),
                 with_extension(said("cancelled", id_=ID), "stated-at", "Instant", "2026-10-01T08:00:00Z")):
        assert refused(booked, late, may=EPJ, origin="epj") is Problem.OUT_OF_DATE
    assert booked.booking(ID).start == tomorrow(14)
    booked.states(told("2026-10-01T08:10:00Z", performer="Ola"), may=EPJ, origin="epj")  # in the same second: as they come
    assert booked.booking(ID).performer == "Ola"
    done = with_extension(said("fulfilled", id_=ID), "stated-at", "Instant", "2026-10-01T07:00:00Z")
    booked.states(done, may=EPJ, origin="epj")  # that a visit took place is never refused
    assert booked.booking(ID).status is Status.FULFILLED


def test_a_clock_that_was_an_hour_ahead_and_was_put_right_silences_nobody(booked: World) -> None:
    """Else all that the service says in that hour would be refused, and the sender could do nothing about it."""
    for ahead, done in ((timedelta(hours=1), "Kari"), (timedelta(), "Ola"), (timedelta(seconds=1), "Siri")):
        told = with_extension(said("booked", id_=ID, performer=done), "stated-at", "Instant", write(NOW + ahead))
        booked.states(told, may=EPJ, origin="epj")
        assert booked.booking(ID).performer == done
    late = with_extension(said("booked", id_=ID, performer="Kari"), "stated-at", "Instant", write(NOW))
    assert refused(booked, late, may=EPJ, origin="epj") is Problem.OUT_OF_DATE, "from then on its times count again"


def test_a_confirmation_that_crosses_a_move_does_not_confirm_the_new_time(booked: World) -> None:
    heard = booked.sequence(ID)
    booked.states(said("proposed", shop_id="b1", start=write(tomorrow(13))))
    assert booked.sequence(ID) > heard
    assert refused(booked, numbered(said("booked", id_=ID, performer="Kari"), heard), may=EPJ, origin="epj") is Problem.OUT_OF_DATE
    booked.states(numbered(said("booked", id_=ID), booked.sequence(ID)), may=EPJ, origin="epj")
    assert booked.booking(ID).status is Status.BOOKED


def test_a_change_made_of_an_older_version_is_out_of_date(booked: World) -> None:
    seen = said("cancelled", id_=ID, meta={"versionId": "1"})
    assert refused(booked, seen) is Problem.OUT_OF_DATE
    booked.states({**seen, "meta": {"versionId": "2"}})


def test_an_old_statement_that_is_also_impossible_is_out_of_date(booked: World) -> None:
    booked.states(numbered(said("cancelled", id_=ID), 5), may=EPJ, origin="epj")
    assert refused(booked, numbered(said("arrived", id_=ID), 4), may=EPJ, origin="epj") is Problem.OUT_OF_DATE


# What cannot be read as a statement

def test_a_statement_must_tell_its_booking(world: World) -> None:
    assert refused(world, said("cancelled")) is Problem.INVALID
    assert refused(world, said("cancelled", shop_id="b9")) is Problem.UNKNOWN_BOOKING
    assert refused(world, said("booked", id_="nobody"), may=EPJ) is Problem.UNKNOWN_BOOKING
    assert refused(world, said("proposed", id_="nobody", start=write(tomorrow(9)))) is Problem.UNKNOWN_BOOKING


def test_a_status_that_nobody_may_state_is_an_unknown_code(booked: World) -> None:
    for status in ("waitlist", "entered-in-error", "nonsense"):
        assert refused(booked, said(status, id_=ID), may=EPJ) is Problem.UNKNOWN_CODE


@pytest.mark.parametrize("start", ["", "in the morning", "2026-10-20", "2026-13-40T99:00:00Z", "0001-01-01T00:00:00Z", None, 7])
def test_a_start_that_is_no_time_is_invalid(world: World, start: str) -> None:
    assert refused(world, {**book("b1", tomorrow(9)), "start": start}) is Problem.INVALID


def test_times_must_follow_each_other(world: World) -> None:
    assert refused(world, book("b1", tomorrow(9), end=write(tomorrow(9)))) is Problem.INVALID
    assert refused(world, book("b1", tomorrow(9), end=write(tomorrow(9) + timedelta(hours=25)))) is Problem.INVALID
    without = book("b1", tomorrow(9))
    del without["start"]
    assert refused(world, without) is Problem.INVALID
    assert refused(world, {**without, "end": write(tomorrow(9))}) is Problem.INVALID


def test_only_appointments_and_their_encounters_are_statements() -> None:
    for items in ([], [patient()], [book("b1", tomorrow(9)), patient()], [visit("finished")],
                  [said("fulfilled", id_="another"), said("fulfilled", id_="third"), visit("finished")],
                  [said("fulfilled", id_=ID), visit("finished"), visit("in-progress")]):
        with pytest.raises(Refused) as caught:
            statements(items)
        assert caught.value.problem is Problem.INVALID


def test_several_statements_in_one_message_keep_their_own_encounters() -> None:
    first, second = statements([said("fulfilled", id_=ID), said("fulfilled", id_="x"), visit("finished", start=tomorrow(9))])
    assert first.encounter is not None and second.encounter is None and which(second, "epj") == "x"


def test_what_is_kept_but_no_booking_cannot_be_changed() -> None:
    wish = {"resourceType": "Appointment", "id": ID, "status": "waitlist", "participant": []}
    (statement,) = statements([said("cancelled", id_=ID)])
    with pytest.raises(Refused) as caught:
        weigh(statement, wish, Facts(), may=SHOP, origin="shop", now=datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.problem is Problem.IMPOSSIBLE_CHANGE


@pytest.mark.spec("facts/planning", "5.2")
def test_staff_may_overrule_what_binds_everybody_else(world: World) -> None:
    """A phone call at night, beyond what is granted: the booking is made under the decision and waits for the EPJ. Never a seat too many."""
    night = oslo(2026, 10, 20, 22)
    assert refused(world, book("b1", night)) is Problem.OUTSIDE_OPENING_HOURS
    outcome = world.states(book("b1", night), asker=Asker.STAFF, overrules=True)
    assert outcome.what is What.BOOK and world.booking(ID).status is Status.PENDING and world.booking(ID).decision
    assert outcome.overruled == (Problem.OUTSIDE_OPENING_HOURS,)
    taken = world.states(book("b2", tomorrow(9)), asker=Asker.STAFF, overrules=True)
    assert taken.takes == (Seat("hjelp-20261020T0700Z", 2),) and taken.overruled == ()
    assert world.states(said("cancelled", id_=ID), may=SHOP, asker=Asker.STAFF, overrules=True).overruled == ()
