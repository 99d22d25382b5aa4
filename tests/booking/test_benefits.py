"""The figures of self-booking: what is counted where, and that nobody can be recognised in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from booking_world import decision, later, oslo, service
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Booking, Decision, Department, What
from hub.booking.benefits import SMALL, Said, figures, period, share, shown, week_name
from hub.booking.clock import write

MONDAY = oslo(2026, 11, 23, 8)
DEPARTMENTS = {"hjelp": Department.of(service())}


def visit(id_: str, days: int = 0, status: str = "fulfilled", **more: Any) -> Booking:
    start = MONDAY + timedelta(days=days)
    return Booking.of({
        "resourceType": "Appointment", "id": id_, "status": status, "start": write(start), "end": write(later(start, 30)),
        "participant": [{"actor": {"reference": "Patient/p1"}}, {"actor": {"reference": "HealthcareService/hjelp"}}], **more,
    })


def said(id_: str, what: What, hours_before: float, customer: bool = True, days: int = 0) -> Said:
    return Said(MONDAY + timedelta(days=days) - timedelta(hours=hours_before), id_, what, customer)


def test_each_thing_is_counted_where_it_belongs() -> None:
    bookings = [visit("a"), visit("b", 1, "noshow"), visit("c", 2, "cancelled"), visit("d", 3, "cancelled"), visit("e", 7)]
    told = [
        said("a", What.BOOK, 50), said("a", What.MOVE, 40), said("a", What.CONFIRM, 30, customer=False),
        said("b", What.BOOK, 50, customer=False, days=1), said("b", What.MOVE, 9, customer=False, days=1),
        said("c", What.BOOK, 80, days=2), said("c", What.CANCEL, 10, days=2), said("d", What.CANCEL, 10, customer=False, days=3),
        said("other", What.BOOK, 1),
    ]
    this, following = figures(bookings, told, [Decision.of(decision(visits=4)), Decision.of(decision("d2", "p2", 3))], DEPARTMENTS)
    assert (this.week, following.week) == ((2026, 48), (2026, 49)) and week_name(this.week) == "2026 uke 48"
    assert (this.granted, this.ordered, following.ordered) == (7.0, 2, 1)
    assert {k: v for k, v in this.counts.items() if v} == {
        "fulfilled": 1, "noshow": 1, "cancelled": 2, "booked": 3, "self-booked": 2, "moved-customer": 1, "moved-service": 1,
        "cancelled-customer": 1, "cancelled-late": 1, "cancelled-service": 1,
    }
    assert this.answers == [timedelta(hours=20)] and this.answer is None, "too few to tell a median"
    assert this.calls_avoided == 4


def test_a_median_answer_is_told_when_enough_were_answered() -> None:
    bookings = [visit(str(n)) for n in range(SMALL)]
    told = [s for n in range(SMALL) for s in (said(str(n), What.BOOK, 50), said(str(n), What.ASSIGN, 50 - n, customer=False))]
    (figure,) = figures(bookings, told, [], DEPARTMENTS)
    assert figure.answer == timedelta(hours=2)


@pytest.mark.parametrize(("part", "whole", "said_"), [(0, 20, "0 %"), (20, 20, "100 %"), (10, 20, "50 %"), (3, 20, "–"), (17, 20, "–"), (2, 4, "–")])
def test_a_share_that_could_be_reckoned_back_is_not_told(part: int, whole: int, said_: str) -> None:
    assert share(part, whole) == said_


@given(st.integers(0, 300))
def test_no_small_count_is_told(count: int) -> None:
    assert (shown(count) == str(count)) is (count == 0 or count >= SMALL)


@given(st.integers(0, 400), st.integers(0, 52))
def test_the_period_is_whole_weeks_that_hold_now(day: int, weeks: int) -> None:
    now = MONDAY + timedelta(days=day)
    first, until = period(now, weeks)
    assert first <= now < until and abs((until - first) - timedelta(weeks=weeks + 1)) <= timedelta(hours=1)
