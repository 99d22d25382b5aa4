"""The demo's whole day, on both databases, with and without faults: what `besoksbro demo --check` promises."""

from __future__ import annotations

import pytest

from adapters.demo.check import check


@pytest.mark.parametrize("faults", [False, True], ids=["plain", "faults"])
def test_a_whole_day_ends_with_every_booking_in_its_end_exactly_once(store_url: str, faults: bool) -> None:
    report = check(bookings=40, database=None if store_url.startswith("sqlite") else store_url, faults=faults, seed=2)
    assert report.ok, report.text()
    assert report.counts["accepted"] == 40 and report.counts["portal relatives who see"] > 0
    assert report.counts["messages answered"] == 1, "a person asked in the portal, and the EPJ's answer stood there"
    assert not faults or report.counts["sent twice by EPJs"] + report.counts["duplicates dropped by EPJs"] > 0
