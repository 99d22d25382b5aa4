"""Whether a booking holds what a client said of it. Nothing that is said is dropped in silence; what is left out is the hub's to fill in, and
what is said again, as it was when the booking was made, changes nothing."""

from __future__ import annotations

from typing import Any

from hub.booking.clock import read
from hub.booking.conventions import kind_of
from hub.booking.draft import TAKING_PART, theirs
from hub.message import Resource
from hub.problem import Problem, Refused

HUBS = frozenset({"resourceType", "meta", "text", "created"})
"""The hub's to say in any case."""


def whole(asked: Resource, made: Resource, planner: bool = False) -> None:
    """A new booking holds what was asked for; its status, and its participants', say how far it came. `planner`: says itself who comes, by name.

    Raises:
        Refused: IMPOSSIBLE_CHANGE, with the first element that it cannot hold.
    """
    lost = lost_of({k: v for k, v in asked.items() if k not in ("id", "status", "slot", "participant")}, {}, made)
    stated = [each for each in asked.get("participant", ()) if not (planner and kind_of(each.get("actor")).startswith("Practitioner"))]
    if not _taking_part([{**each, "status": "needs-action"} for each in stated], made["participant"]):
        lost.append("participant")
    if lost:
        raise Refused(Problem.IMPOSSIBLE_CHANGE, f"a booking here cannot hold this {', '.join(lost)}", f"Appointment.{lost[0]}")


def lost_of(asked: Resource, before: Resource, after: Resource) -> list[str]:
    """The elements that neither were as they are said to be nor are so now."""
    return [name for name in asked if name not in HUBS and not _heard(name, asked[name], before, after)]


def _heard(name: str, sent: Any, before: Resource, after: Resource) -> bool:
    """Times are compared as instants; `proposed` asks for what may be decided by now."""
    if sent == before.get(name) or sent == after.get(name):
        return True
    match name:
        case "status":
            return bool(sent == "proposed" and after["status"] in ("pending", "booked"))
        case "start" | "end":
            return isinstance(sent, str) and name in after and read(sent, name) == read(after[name], name)
        case "participant":
            return _taking_part(sent, after["participant"])
        case "extension":  # ours are the hub's to say, as meta is
            return all(each in after.get("extension", ()) for each in theirs({"extension": sent}))
    return isinstance(sent, dict | list) and _within(sent, after.get(name))


def _within(sent: Any, kept: Any) -> bool:
    """All that was sent is kept; what was left out stays."""
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(key in kept and _within(value, kept[key]) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(kept, list) and all(any(_within(one, other) for other in kept) for one in sent)
    return bool(sent == kept)


def _taking_part(sent: list[Resource], kept: list[Resource]) -> bool:
    """Each who is said to take part does, as is said; `needs-action` says nothing. (Whom the booking is for was looked up: names and identifiers
    beside its reference are not kept.)"""
    free = list(kept)
    for each in sent:
        kind = kind_of(each.get("actor"))
        match = next((other for other in free if kind_of(other.get("actor")) == kind), None)
        if match is None or not {*TAKING_PART, "actor", "status", "id"} >= each.keys():
            return False
        said = {key: each[key] for key in each if key in TAKING_PART or (key == "status" and each[key] != "needs-action")}
        actor = {key: value for key, value in each["actor"].items() if key == "reference" or not match["actor"].get("reference")}
        if not _within(said, match) or not _within(actor, match["actor"]):
            return False
        free.remove(match)
    return True
