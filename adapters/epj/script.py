"""What an EPJ tells of a booking, drawn from its id and a seed: most visits are done, some are moved, cancelled or find nobody home. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hub.booking.attachments import File, elements, stated
from hub.booking.conventions import BY_SERVICE, HOME_HEALTH, with_extension
from hub.message import Resource

CONFIRM, ASSIGN, MOVE, CANCEL, LEAVE, COMPLETE, MISS = "confirm", "assign", "move", "cancel", "on-the-way", "complete", "not-home"
HAPPENED = {COMPLETE: "fulfilled", MISS: "noshow", LEAVE: "arrived"}
STATUS = {CONFIRM: "booked", ASSIGN: "booked", MOVE: "booked", CANCEL: "cancelled", LEAVE: "arrived", COMPLETE: "fulfilled", MISS: "noshow"}
EMPLOYEES = ("Anne", "Bjørn", "Cecilie", "Daniel", "Elin", "Fatima", "Geir", "Hanne", "Ivar", "Jorunn")
ANSWERS = (
    "Hei! Takk for beskjeden. Jeg har sagt fra til den som kommer.", "Hei! Det ordner vi. Du trenger ikke gjøre noe mer.",
    "Hei! Så fint at du sier fra. Vi tar det opp neste gang vi kommer.",
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R/Size 4>>\n%%EOF\n"
)
"""An empty page."""
MOVED, CANCELLED, MISSED = 0.08, 0.05, 0.05
SHIFT = timedelta(minutes=60)
QUARTER = timedelta(minutes=15)


def chance(seed: int, what: str, id_: str) -> float:
    """A number in [0, 1) that is always the same for the same id."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{what}|{id_}".encode()).digest()[:6], "big") / 2**48


def plan(seed: int, uid: str) -> list[str]:
    """The steps of one booking, in order."""
    draw = chance(seed, "plan", uid)
    if draw < CANCELLED:
        return [CONFIRM, CANCEL]
    first = [CONFIRM, ASSIGN] + ([MOVE] if draw < CANCELLED + MOVED else [])
    return [*first, LEAVE, MISS if draw > 1 - MISSED else COMPLETE]


def quarters(
    seed: int, first: datetime, until: datetime, visits: list[tuple[datetime, datetime]], staff: int, busy: float,
) -> list[Resource]:
    """The free quarters of an hour of a calendar: fewer visits than staff, and not drawn to be busy with something else."""
    found = []
    for number in range(int((until - first) / QUARTER)):
        start = first + number * QUARTER
        room = sum(s < start + QUARTER and start < e for s, e in visits) < staff
        if room and chance(seed, "calendar", _text(start)) >= busy:
            found.append({"resourceType": "Slot", "status": "free", "start": _text(start), "end": _text(start + QUARTER)})
    return found


def statement(step: str, seed: int, uid: str, start: datetime, end: datetime, sequence: int | None) -> tuple[Resource, ...]:
    """A step as a stated Appointment, with the Encounter where the visit itself is told of."""
    rng = Random(f"{seed}|{uid}|{step}")
    made: Resource = {"resourceType": "Appointment", "id": uid, "status": STATUS[step], "start": _text(start), "end": _text(end)}
    if step == MOVE:
        made |= {"start": _text(start + SHIFT), "end": _text(end + SHIFT)}
    if step == ASSIGN:
        made["participant"] = [{"actor": {"type": "Practitioner", "display": rng.choice(EMPLOYEES)}, "status": "accepted"}]
    if step == CANCEL:
        made["cancelationReason"] = BY_SERVICE
    if sequence is not None:
        made = with_extension(made, "sequence", "Integer", sequence)
    if step not in HAPPENED:
        return (made,)
    return (made, _encounter(step, uid, start, end, rng))


def answer(seed: int, asked: Resource) -> tuple[Resource, ...]:
    """What an employee answers to a message, and to whom; to one with files, with a file."""
    letter = asked["identifier"][0]
    rng = Random(f"{seed}|{letter['value']}")
    enclosed = [stated(File("Kvittering.pdf", PDF), "application/pdf")] if elements(asked) else []
    made: Resource = {
        "resourceType": "Communication", "status": "completed", "topic": asked.get("topic", {}),
        "payload": [{"contentString": rng.choice(ANSWERS)}, *enclosed],
        "sender": {"display": rng.choice(EMPLOYEES)}, "inResponseTo": [{"identifier": letter}],
    }
    return made, {"resourceType": "Patient", "identifier": [asked["subject"]["identifier"]]}


def _encounter(step: str, uid: str, start: datetime, end: datetime, rng: Random) -> dict[str, Any]:
    """Actual times: a delay of some minutes, a length around the planned one (facts/planning.md 4.3)."""
    arrived = start + timedelta(minutes=max(-10, min(30, round(rng.gauss(5, 8)))))
    left = arrived + timedelta(seconds=max(120, round((end - start).total_seconds() * rng.lognormvariate(0, 0.2))))
    period = {"start": _text(arrived)} | ({} if step == LEAVE else {"end": _text(left)})
    status = {LEAVE: "in-progress", COMPLETE: "finished", MISS: "cancelled"}[step]
    return {
        "resourceType": "Encounter", "status": status, "class": HOME_HEALTH, "period": period,
        "appointment": [{"reference": f"Appointment/{uid}"}],
    }


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
