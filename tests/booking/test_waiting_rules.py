"""The waiting list's rules: what fits the wanted hours, whose turn it is, and how long they have to answer."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import partial

import pytest
from booking_world import oslo, service
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Asker, Department
from hub.booking.clock import local
from hub.booking.conventions import BY_CITIZEN
from hub.booking.free import Day, Time
from hub.booking.notices import QUIET_FROM, QUIET_UNTIL, loud
from hub.booking.waiting import (
    LEAST_TO_ANSWER,
    MOST_UNANSWERED,
    Offer,
    Waiting,
    answered_by,
    ended,
    is_waiting,
    made,
    offer_for,
    offered,
    passed,
    queue,
    windows,
)
from hub.fhir import definitions, validate
from hub.problem import Problem, Refused

NOW = oslo(2026, 10, 19, 8)
HJELP = Department.of(service())
CHECK = partial(validate.require, definitions=definitions.load())


def entry(id_: str = "w", since: datetime = NOW, hours: tuple[int, int] = (9, 12), days: tuple[int, ...] = (20,)) -> Waiting:
    wanted = windows([date(2026, 10, d) for d in days], time(hours[0]), time(hours[1]), 30, NOW)
    return Waiting.of(made(id_, f"ref-{id_}", "Patient/p1", HJELP, None, wanted, Asker.PERSON, since))


def free(*starts: datetime) -> list[Day]:
    return [Day(local(s).date(), True, (Time(s, s + timedelta(minutes=30), 1),)) for s in starts]


def test_a_wait_is_a_valid_appointment_in_each_of_its_states_and_reads_back() -> None:
    first = made("w", "ref", "Patient/p1", HJELP, None, windows([date(2026, 10, 20)], time(9), time(12), 30, NOW), Asker.RELATIVE, NOW)
    offer = Offer(oslo(2026, 10, 20, 9), oslo(2026, 10, 19, 10))
    second = offered(first, offer)
    third = passed(second, answered=False)
    fourth = ended(offered(third, offer), BY_CITIZEN)
    for state in (first, second, third, fourth):
        CHECK(state)
    assert is_waiting(first) and not is_waiting(fourth) and not is_waiting({**first, "extension": []})
    assert Waiting.of(second).offer == offer and Waiting.of(second).asker is Asker.RELATIVE and Waiting.of(first).offer is None
    assert Waiting.of(third).passed == {offer.start} and Waiting.of(third).unanswered == 1
    assert Waiting.of(passed(offered(third, offer), answered=True)).unanswered == 0
    assert passed(first, answered=True) is first and "start" not in fourth and Waiting.of(fourth).offer is None


def test_only_a_time_wholly_within_the_wanted_hours_is_offered_and_the_first_of_them() -> None:
    fits = [oslo(2026, 10, 20, 9), oslo(2026, 10, 20, 11, 30)]
    misses = [oslo(2026, 10, 20, 8, 30), oslo(2026, 10, 20, 11, 45), oslo(2026, 10, 21, 9)]
    assert offer_for(entry(), HJELP, free(*misses), NOW) is None
    found = offer_for(entry(), HJELP, free(misses[0], *fits), NOW)
    assert found == Offer(fits[0], NOW + timedelta(hours=2))
    no = passed(offered(made("w", "r", "Patient/p1", HJELP, None, entry().windows, Asker.PERSON, NOW), found), answered=True)
    again = offer_for(Waiting.of(no), HJELP, free(*fits), NOW)
    assert again is not None and again.start == fits[1], "what was said no to is not offered again"


def test_the_longest_waiting_comes_first_and_who_has_an_offer_is_not_in_line() -> None:
    a, b, c = entry("a", NOW), entry("b", NOW - timedelta(milliseconds=1)), entry("c", NOW)
    has = Waiting.of(offered(made("d", "r", "Patient/p1", HJELP, None, a.windows, Asker.PERSON, NOW - timedelta(days=9)), Offer(NOW, NOW)))
    assert [e.id for e in queue([c, a, has, b])] == ["b", "a", "c"]


def test_an_offer_made_at_night_can_be_answered_in_the_morning_and_none_is_made_that_could_not() -> None:
    night, morning = oslo(2026, 10, 19, 23), oslo(2026, 10, 20, 7)
    assert answered_by(HJELP, oslo(2026, 10, 20, 14), night) == morning + timedelta(hours=2)
    assert answered_by(HJELP, oslo(2026, 10, 20, 9, 30), night) == morning + timedelta(minutes=30), "while it can still be booked"
    assert answered_by(HJELP, oslo(2026, 10, 20, 9), night) is None


@given(ahead=st.integers(0, 72 * 60), hour=st.integers(0, 23))
def test_whoever_is_offered_a_time_has_time_to_answer_and_can_then_still_book(ahead: int, hour: int) -> None:
    now = oslo(2026, 10, 23, hour)  # over the night in which clocks change
    start = now + timedelta(minutes=ahead)
    until = answered_by(HJELP, start, now)
    if until is not None:
        assert until - loud(now) >= LEAST_TO_ANSWER and until <= start - timedelta(minutes=HJELP.notice_minutes)
        assert not (local(loud(now)).time() >= QUIET_FROM or local(loud(now)).time() < QUIET_UNTIL)


def test_wanted_hours_are_norwegian_wall_time_and_must_hold_a_visit() -> None:
    wanted = windows([date(2026, 10, 25), date(2026, 10, 24)], time(9), time(12), 30, NOW)
    assert wanted == ((oslo(2026, 10, 24, 9), oslo(2026, 10, 24, 12)), (oslo(2026, 10, 25, 9), oslo(2026, 10, 25, 12)))
    assert windows([date(2026, 10, 20)], time(20), time(0), 30, NOW) == ((oslo(2026, 10, 20, 20), oslo(2026, 10, 21, 0)),)
    for days, first, last in (([], 9, 12), ([20], 12, 9), ([20], 9, 9), ([18], 9, 12)):
        with pytest.raises(Refused) as wrong:
            windows([date(2026, 10, d) for d in days], time(first), time(last), 30, NOW)
        assert wrong.value.problem is Problem.INVALID
    with pytest.raises(Refused):
        windows([date(2027, 3, 1)], time(9), time(12), 30, NOW)


def test_a_wait_is_over_when_its_hours_are_past_or_nobody_answers() -> None:
    assert not entry().over(oslo(2026, 10, 20, 11)) and entry().over(oslo(2026, 10, 20, 12))
    silent = made("w", "r", "Patient/p1", HJELP, None, entry().windows, Asker.PERSON, NOW)
    for n in range(MOST_UNANSWERED):
        assert not Waiting.of(silent).over(NOW)
        silent = passed(offered(silent, Offer(NOW + timedelta(minutes=n), NOW)), answered=False)
    assert Waiting.of(silent).over(NOW)
