"""Hospital stays and absences: while somebody is away, home visits pause. Kept as one Flag per person, read by the rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from hub.booking.clock import begin
from hub.booking.conventions import BASE
from hub.message import Resource

AWAY: Resource = {"coding": [{"system": f"{BASE}/CodeSystem/flag", "code": "away", "display": "Borte fra hjemmet"}]}
"""Flag.code. Why somebody is away is nobody's business here."""


def stay_id(patient: str) -> str:
    """The id of the one Flag of a person (`Patient/…`)."""
    return str(uuid5(NAMESPACE_URL, f"away|{patient}"))


def after(kept: Resource | None, stated: Resource, patient: str) -> Resource | None:
    """The person's Flag after what was stated; None when it says nothing new, or something older than what is known.

    `stated.status` `active` says that the person is away from `period.start` (to `period.end`, where that is known), `inactive` that they
    are home from `period.end`. A letter that comes late never undoes a later one.
    """
    period = stated.get("period") or {}
    before = (kept or {}).get("period") or {}
    away = (kept or {}).get("status") == "active"
    made: Resource = {
        "resourceType": "Flag", "id": stay_id(patient), "status": stated["status"], "code": AWAY,
        "subject": {"reference": patient, "type": "Patient"},
    }
    if stated["status"] == "active":
        if not away and "end" in before and begin(period["start"]) <= begin(before["end"]):
            return None
        start = min(before["start"], period["start"], key=begin) if away else period["start"]
        made["period"] = {"start": start, **({"end": period["end"]} if "end" in period else {})}
    else:
        if "start" in before and begin(period["end"]) < begin(before["start"]):
            return None
        made["period"] = {**{k: before[k] for k in ("start",) if k in before}, "end": period["end"]}
        if not away and "end" in before and begin(period["end"]) <= begin(before["end"]):
            return None
    plain = {k: v for k, v in (kept or {}).items() if k != "meta"}
    return None if plain == made else made


def paused(flags: Iterable[Resource], start: datetime, until: datetime) -> bool:
    """Somebody is away through some of [start, until)."""
    return any(_overlaps(flag.get("period") or {}, start, until) for flag in flags if flag.get("code") == AWAY)


def _overlaps(period: Resource, start: datetime, until: datetime) -> bool:
    """A period without an end goes on; one without a start is over and only tells since when."""
    if "start" not in period:
        return False
    return begin(period["start"]) < until and ("end" not in period or start < begin(period["end"]))
