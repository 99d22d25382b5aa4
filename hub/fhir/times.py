"""Dates and times as half-open ranges of microseconds: `2026-11-22` is that whole day, an instant is one microsecond wide.

A time without a zone, and a bare date, is Norwegian: the CapabilityStatement says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hub.fhir.query import FOREVER, NEVER

OSLO = ZoneInfo("Europe/Oslo")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_SHAPE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII,
)


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICRO


@lru_cache(maxsize=4096)
def span(text: str) -> tuple[int, int]:
    """[low, high) of a FHIR date, dateTime or instant.

    Raises:
        ValueError: it is none.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("no date or time")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if zone and second is not None:
        low = datetime.fromisoformat(text.replace(":60", ":59", 1) if second == "60" else text)
        return micros(low), micros(low) + (1 if fraction else 1_000_000)
    base = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))
    try:
        after = _after(base, month, day, hour, second)
    except (OverflowError, ValueError):  # «9999-12-31» is how people write for ever, and no calendar goes on
        after = datetime.max
    if zone:
        shift = datetime.fromisoformat(f"2000-01-01T00:00:00{zone}").tzinfo
        return micros(base.replace(tzinfo=shift)), micros(after.replace(tzinfo=shift))
    return micros(base.replace(tzinfo=OSLO)), micros(after.replace(tzinfo=OSLO))


def _after(base: datetime, month: str | None, day: str | None, hour: str | None, second: str | None) -> datetime:
    """The first moment after what is told so precisely."""
    if hour is not None:
        return base + timedelta(seconds=1 if second is not None else 60)
    if day is not None:
        return base + timedelta(days=1)
    if month is not None:
        return (base.replace(day=1) + timedelta(days=32)).replace(day=1)
    return base.replace(year=base.year + 1)


def periods(value: Any) -> Iterator[tuple[int, int]]:
    """The ranges of a date, a Period (a missing bound is open) or a Timing, of which the outer limits count (R4 3.1.1.5.2)."""
    try:
        if isinstance(value, str):
            yield span(value)
        elif isinstance(value, dict) and ("start" in value or "end" in value):
            yield (span(value["start"])[0] if "start" in value else NEVER, span(value["end"])[1] if "end" in value else FOREVER)
        elif isinstance(value, dict):
            bounds = (value.get("repeat") or {}).get("boundsPeriod")
            limits = [*map(span, value.get("event", ())), *(periods(bounds) if bounds else ())]
            if limits:
                yield min(low for low, _ in limits), max(high for _, high in limits)
    except ValueError:
        return
