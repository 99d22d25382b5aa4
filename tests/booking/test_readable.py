"""What a system outside writes of departments, decisions and series is refused where the rules could not read it: it would stop everybody."""

from __future__ import annotations

from typing import Any

import pytest
from booking_world import World, book, decision, patient, service, tomorrow

from hub.booking import Decision, readable
from hub.booking.conventions import url
from hub.problem import Problem, Refused


def part(name: str, **parts: Any) -> dict[str, Any]:
    return {"url": url(name), "extension": [{"url": key, "valueString": value} for key, value in parts.items()]}


UNREADABLE = [
    {**service(), "extension": [part("staffing", days="mon")]},
    {**service(), "extension": [part("staffing", days="xyz", capacity="1")]},
    {**service(), "extension": [{"url": url("staffing"), "extension": [{"url": "capacity", "valueInteger": 1}, {"url": "from", "valueString": "kl. 9"}]}]},
    {**service(), "extension": [{"url": url("visit-lengths"), "valueString": "30 abc"}]},
    {**service(), "extension": [{"url": url("slot-minutes"), "valueString": "abc"}]},
    {**service(), "extension": [{"url": url("horizon-days"), "valueInteger": 1_000_000}]},
    {**service(), "extension": [part("extra-opening", **{"from": "09:00:00"})]},
    decision(occurrenceTiming={"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk", "boundsDuration": {"value": 3, "unit": "wk"}}}),
    {"resourceType": "CarePlan", "id": "s", "status": "active", "extension": [{"url": url("tried-until"), "valueDate": "2026-11-01"}]},
    {"resourceType": "Appointment", "id": "w", "status": "waitlist", "extension": [{"url": url("asked-by"), "valueCode": "person"}]},
]


@pytest.mark.parametrize("resource", UNREADABLE)
def test_what_cannot_be_read_is_refused(resource: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        readable.demand(resource)
    assert refused.value.problem is Problem.INVALID and refused.value.where.startswith(resource["resourceType"])


def test_what_is_as_it_should_be_and_what_is_none_of_ours_passes() -> None:
    for resource in (service(), decision(), patient(), {"resourceType": "CarePlan", "id": "p", "status": "active"}):
        readable.demand(resource)


@pytest.mark.parametrize("period", [0, 0.0, 1e10, 123456789012])
def test_so_much_in_no_time_or_in_a_million_years_grants_nothing_and_stops_nobody(period: float) -> None:
    odd = decision(occurrenceTiming={"repeat": {"frequency": 1, "period": period, "periodUnit": "wk"}})
    assert Decision.of(odd).grant.amount == 0
    world = World.of(service(), patient(), odd, decision("d2"))
    world.states(book("b", tomorrow(9)))
    assert len([r for (t, _), r in world.resources.items() if t == "Appointment"]) == 1
