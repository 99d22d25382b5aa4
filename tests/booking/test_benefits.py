"""The figures of self-booking: what is counted where, and that nobody can be recognised in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from booking_world import decision, later, oslo, service
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Booking, Decision, Department, What
from hub.booking.benefits import SMALL, Figures, Said, figures, granted_told, period, published, share, shares, shown, week_name
from hub.booking.clock import write
from hub.booking.conventions import url

MONDAY = oslo(2026, 11, 23, 8)
DEPARTMENTS = {"hjelp": Department.of(service())}


def visit(id_: str, days: int = 0, status: str = "fulfilled", who: str = "", based: bool = True, **more: Any) -> Booking:
    start = MONDAY + timedelta(days=days)
    basis = {"basedOn": [{"reference": "ServiceRequest/d1"}]} if based else {}
    return Booking.of({
        "resourceType": "Appointment", "id": id_, "status": status, "start": write(start), "end": write(later(start, 30)), **basis,
        "participant": [{"actor": {"reference": f"Patient/{who or id_}"}}, {"actor": {"reference": "HealthcareService/hjelp"}}], **more,
    })


def said(id_: str, what: What, hours_before: float, customer: bool = True, days: int = 0) -> Said:
    return Said(MONDAY + timedelta(days=days) - timedelta(hours=hours_before), id_, what, customer)


def test_each_thing_is_counted_where_it_belongs() -> None:
    bookings = [visit("a"), visit("b", 1, "noshow"), visit("c", 2, "cancelled"), visit("d", 3, "cancelled"), visit("e", 7), visit("f", based=False)]
    told = [
        said("a", What.BOOK, 50), said("a", What.MOVE, 40), said("a", What.CONFIRM, 30, customer=False),
        said("b", What.BOOK, 50, customer=False, days=1), said("b", What.MOVE, 9, customer=False, days=1),
        said("c", What.BOOK, 80, days=2), said("c", What.CANCEL, 10, days=2), said("d", What.CANCEL, 10, customer=False, days=3),
        said("other", What.BOOK, 1),
    ]
    this, following = figures(bookings, told, [Decision.of(decision(visits=4)), Decision.of(decision("d2", "p2", 3))], DEPARTMENTS)
    assert (this.week, following.week) == ((2026, 48), (2026, 49)) and week_name(this.week) == "2026 uke 48"
    assert (this.granted, this.granted_to, this.ordered, following.ordered) == (7.0, 2, 2, 1), "what the service planned is not ordered"
    assert {k: v for k, v in this.counts.items() if v} == {
        "fulfilled": 1, "noshow": 1, "cancelled": 2, "booked": 3, "self-booked": 2, "moved-customer": 1, "moved-service": 1,
        "cancelled-customer": 1, "cancelled-late": 1, "cancelled-service": 1, "ordered": 2,
    }
    assert this.answers == [timedelta(hours=20)] and this.answer is None, "too few to tell a median"
    assert this.calls_avoided == 4


def test_what_an_employee_booked_without_a_decision_is_counted_and_what_the_service_planned_is_not() -> None:
    """Left out, it would make the share that people book themselves larger than it is."""
    bookings = [visit("own", 1), visit("staff", 2, based=False), visit("daily", 3, based=False)]
    told = [said("own", What.BOOK, 50, days=1), said("staff", What.BOOK, 50, customer=False, days=2), said("daily", What.PLAN, 50, customer=False, days=3)]
    (figure,) = figures(bookings, told, [], DEPARTMENTS)
    assert (figure.counts["ordered"], figure.counts["booked"], figure.self_booked) == (2, 2, 1)


def test_a_median_answer_is_told_when_enough_were_answered() -> None:
    def told_of(*who: str) -> timedelta | None:
        bookings = [visit(str(n), who=who[n % len(who)]) for n in range(SMALL)]
        told = [s for n in range(SMALL) for s in (said(str(n), What.BOOK, 50), said(str(n), What.ASSIGN, 50 - n, customer=False))]
        (figure,) = figures(bookings, told, [], DEPARTMENTS)
        return figure.answer

    assert told_of(*"abcde") == timedelta(hours=2) and told_of(*"abcd") is None, "of five persons"


def test_what_is_granted_in_a_week_is_what_is_in_force_in_it_ordered_or_not() -> None:
    bounds = {"boundsPeriod": {"start": "2026-11-25", "end": "2026-12-31"}}
    begun = decision("d1", occurrenceTiming={"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk", **bounds}})
    fourth = decision("d2", "p2", occurrenceTiming={"repeat": {"frequency": 2, "period": 4, "periodUnit": "wk"}})
    in_all = decision("d3", "p3", occurrenceTiming={"repeat": {"count": 10, "boundsPeriod": {"start": "2026-11-02", "end": "2026-12-06"}}})
    paused = decision("d4", "p4", 7)
    paused = {**paused, "extension": [*paused["extension"], {"url": url("pause"), "valuePeriod": {"start": "2026-11-01", "end": "2026-11-29"}}]}
    found = figures([], [], map(Decision.of, (begun, fourth, in_all, paused)), DEPARTMENTS, [MONDAY, MONDAY + timedelta(days=7), MONDAY - timedelta(days=364)])
    assert [(f.week, f.granted, f.granted_to) for f in found] == [((2025, 48), 0.5, 1), ((2026, 48), 5.5, 3), ((2026, 49), 12.5, 4)]


def week_of(**counts: int) -> Figures:
    """A week with these counts, each thing of another person."""
    figure = Figures("hjelp", (2026, 48))
    for name, many in counts.items():
        for n in range(many):
            figure.count(name.replace("_", "-"), f"{name}{n}")
    figure.whose["any"] = {str(n) for n in range(40)}
    return figure


def test_a_figure_that_few_make_up_is_not_told_however_large_it_is() -> None:
    often = figures([visit(f"v{n}", n % 7, who=f"p{n % 4}") for n in range(28)], [], [Decision.of(decision())], DEPARTMENTS)
    assert set(published(often[0]).values()) == {None} and granted_told(often[0]) is None and often[0].ordered == 28
    more = figures([visit(f"v{n}", n % 7, who=f"p{n % 5}") for n in range(28)], [], [], DEPARTMENTS)
    assert published(more[0])["ordered"] == 28
    one = week_of(ordered=20, fulfilled=20, moved_customer=6)
    one.whose["moved-customer"] = {"the same"}
    assert published(one)["moved-customer"] is None and published(one)["ordered"] == 20
    assert (shown(None, 28), shown(None, 3), shown(0, 0), shown(28, 28)) == ("skjult", "under 5", "0", "28")


small = st.integers(0, 12)
weeks = st.builds(
    lambda fulfilled, noshow, own, moved, late, in_time, by_service: week_of(
        ordered=fulfilled + noshow, fulfilled=fulfilled, noshow=noshow, self_booked=own, moved_customer=moved, cancelled_customer=late + in_time,
        cancelled_late=late, cancelled_service=by_service, booked=fulfilled + noshow + late + in_time + by_service),
    small, small, small, small, small, small, small,
)


@given(weeks)
def test_nothing_that_is_hidden_comes_back_by_subtraction(figure: Figures) -> None:
    """Somebody who knows how the figures hang together, and that no visit is still to come, reckons."""
    told = published(figure)
    assert all(told[name] == 0 or told[name] >= SMALL for name in told if told[name] is not None)
    ordered, calls = ("ordered", "fulfilled", "noshow"), ("calls-avoided", "self-booked", "moved-customer", "cancelled-customer")
    for sum_ in (ordered, calls):
        assert sum(told[name] is None for name in sum_) != 1, sum_
    if told["cancelled-late"] is not None and told["cancelled-customer"] is not None:
        assert not 0 < told["cancelled-customer"] - told["cancelled-late"] < SMALL
    assert told["cancelled-customer"] is not None or told["cancelled-late"] is None
    own, missed = shares(figure)
    assert own == "–" or None not in (told["self-booked"], told["cancelled-customer"], told["cancelled-service"])
    assert missed == "–" or None not in (told["fulfilled"], told["noshow"])


@pytest.mark.parametrize(("part", "whole", "said_"), [(0, 20, "0 %"), (20, 20, "100 %"), (10, 20, "50 %"), (3, 20, "–"), (17, 20, "–"), (2, 4, "–")])
def test_a_share_that_could_be_reckoned_back_is_not_told(part: int, whole: int, said_: str) -> None:
    assert share(part, whole) == said_


@given(st.integers(0, 400), st.integers(0, 52))
def test_the_period_is_whole_weeks_that_hold_now(day: int, weeks: int) -> None:
    now = MONDAY + timedelta(days=day)
    first, until = period(now, weeks)
    assert first <= now < until and abs((until - first) - timedelta(weeks=weeks + 1)) <= timedelta(hours=1)
