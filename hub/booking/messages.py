"""Messages between a person, or whoever represents them, and a department: what a Communication says, its thread, and what may be written. Pure.

A thread is named by its first message; every other one has that in `partOf`, and what it answers in `inResponseTo`. A message to the service is
`in-progress` until the service has it (`completed`, `received`), or `not-done` when it never got it; one from the service is `completed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from hub.booking import attachments
from hub.booking.attachments import Attached
from hub.booking.clock import begin
from hub.booking.conventions import BASE, codes, first, identifier, parts, points_to, url
from hub.message import Resource
from hub.problem import Problem, Refused

CATEGORY = f"{BASE}/CodeSystem/communication-category"
MESSAGE: Resource = {"coding": [{"system": CATEGORY, "code": "message", "display": "Melding mellom innbygger og tjeneste"}]}
"""Communication.category of a message here; any other Communication is somebody else's and is left alone."""
CONVERSATION = f"{BASE}/sid/conversation"
"""Identifier of a thread that the service began: what its system calls it."""
LETTER = f"{BASE}/sid/letter"
"""Identifier of a message that came as a letter: the sender's own message id."""
LONGEST = 2000
"""Characters of a message from a person or a relative."""
LONGEST_ANSWER = 20_000
"""Of one from the service's own system."""
MOST_A_DAY = 10
"""Messages that one reader may send for one person in a day."""
SENDING, RECEIVED, NOT_RECEIVED = "in-progress", "completed", "not-done"
_MILLISECOND = timedelta(milliseconds=1)
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What neither a FHIR string nor XML can hold."""


@dataclass(frozen=True, slots=True)
class Post:
    """What somebody wrote: a kept Communication of the category MESSAGE."""

    id: str
    thread: str
    """Id of the first message; its own when it is that."""
    patient: str
    """`Patient/…`."""
    department: str
    """HealthcareService id."""
    author: str
    """Reference of who wrote it: `Patient/…`, `RelatedPerson/…`, or `HealthcareService/…` for the service."""
    signed: str
    """Who wrote it, by name, where that is told."""
    topic: str
    text: str
    visit: str
    """Appointment id; empty when it is about none."""
    sent: datetime
    received: datetime | None
    """When the service had it."""
    status: str
    read_by: frozenset[str] = frozenset()
    """References of those who have had it before them: the extension `read` (`reader`, `at`), for messages from the service."""
    files: tuple[Attached, ...] = ()

    @classmethod
    def of(cls, communication: Resource) -> Post:
        """Reads a kept message. KeyError or ValueError here is a bug of ours, or of a client that calls something a message that is none."""
        sender, recipients = communication["sender"], communication.get("recipient") or ()
        return cls(
            id=communication["id"], thread=first(points_to(r, "Communication") for r in communication.get("partOf") or ()) or communication["id"],
            patient=communication["subject"]["reference"],
            department=first(points_to(r, "HealthcareService") for r in (sender, *recipients)),
            author=sender["reference"], signed=str(sender.get("display", "")), topic=str((communication.get("topic") or {}).get("text", "")),
            text=text_of(communication),
            visit=first(points_to(r, "Appointment") for r in communication.get("about") or ()), sent=begin(communication["sent"]),
            received=begin(communication["received"]) if "received" in communication else None, status=communication["status"],
            read_by=frozenset(str((part.get("reader") or {}).get("reference", "")) for part in parts(communication, "read")),
            files=attachments.of(communication),
        )

    @property
    def from_service(self) -> bool:
        return self.author.startswith("HealthcareService/")


@dataclass(frozen=True, slots=True)
class Thread:
    """What was written to and fro about one thing; oldest first, at least one."""

    messages: tuple[Post, ...]

    @property
    def id(self) -> str:
        return self.messages[0].thread

    @property
    def topic(self) -> str:
        return self.messages[0].topic

    @property
    def department(self) -> str:
        return self.messages[0].department

    @property
    def newest(self) -> Post:
        return self.messages[-1]

    @property
    def waits(self) -> bool:
        """The service has not answered the last one."""
        return not self.newest.from_service

    def unread(self, reader: str) -> tuple[Post, ...]:
        """The service's messages that this reader has not had before them."""
        return tuple(m for m in self.messages if m.from_service and reader not in m.read_by)


def is_message(communication: Resource) -> bool:
    """It is one, whole, and not entered in error."""
    known = "message" in codes(communication.get("category"), CATEGORY) and communication.get("status") != "entered-in-error"
    return known and "sent" in communication and all("reference" in (communication.get(who) or {}) for who in ("subject", "sender"))


def text_of(communication: Resource) -> str:
    """What is written in it; its files say nothing here."""
    return "\n".join(str(p["contentString"]) for p in communication.get("payload") or () if "contentString" in p)


def threads(communications: Iterable[Resource]) -> list[Thread]:
    """Every message among these in its thread, the thread with the newest message first."""
    found = sorted((Post.of(c) for c in communications if is_message(c)), key=lambda m: (m.thread, m.id != m.thread, m.sent, m.id))
    made = [Thread(tuple(group)) for _, group in groupby(found, key=lambda m: m.thread)]
    return sorted(made, key=lambda t: (t.newest.sent, t.id), reverse=True)


def proper(text: str, longest: int = LONGEST) -> str:
    """The text as it is kept: one kind of line end, nothing that cannot be said in FHIR or XML, no empty ends.

    Raises:
        Refused: MESSAGE_LENGTH.
    """
    kept = _UNSPEAKABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not kept or len(kept) > longest:
        raise Refused(Problem.MESSAGE_LENGTH, f"a message has from 1 to {longest} characters", "Communication.payload")
    return kept


def conversation(first: Resource) -> str:
    """What a thread is called in letters: as its first message's sender called it, else by that message's id."""
    return identifier(first, CONVERSATION) or str(first["id"])


def letter_id(communication: Resource) -> str:
    """What a message is called in letters: as its sender called it, else by its id."""
    return identifier(communication, LETTER) or str(communication["id"])


def taken(communication: Resource, at: str) -> Resource:
    """The same, now that the service has it."""
    made = {key: value for key, value in communication.items() if key != "statusReason"}
    return {**made, "status": RECEIVED, "received": at}


def not_taken(communication: Resource) -> Resource:
    """The same, since the service will not get it by itself."""
    return {**communication, "status": NOT_RECEIVED, "statusReason": {"text": "Kom ikke fram til tjenesten"}}


def read(communication: Resource, reader: str, at: str) -> Resource:
    """The same, now that `reader` has had it before them."""
    mark = {"url": url("read"), "extension": [{"url": "reader", "valueReference": {"reference": reader}}, {"url": "at", "valueInstant": at}]}
    return {**communication, "extension": [*(communication.get("extension") or ()), mark]}


def begun(id_: str, status: str, person: str, thread: Thread | None, topic: str, text: str, now: datetime) -> Resource:
    """A Communication with all that every message says: all but who writes to whom."""
    made: Resource = {
        "resourceType": "Communication", "id": id_, "status": status, "category": [MESSAGE], "subject": {"reference": person},
        "topic": {"text": topic}, "sent": instant(following(thread, now)), "payload": [{"contentString": text}],
    }
    if thread is not None:
        made["partOf"] = [{"reference": f"Communication/{thread.id}"}]
        made["inResponseTo"] = [{"reference": f"Communication/{thread.newest.id}"}]
    return made


def following(thread: Thread | None, moment: datetime) -> datetime:
    """The moment, or the first after the thread's newest message: no clock, and no hurry, puts an answer above its question."""
    return moment if thread is None else max(moment, thread.newest.sent + _MILLISECOND)


def from_service(id_: str, person: str, department: str, thread: Thread | None, topic: str, text: str, now: datetime) -> Resource:
    """A message of a department to a person."""
    return {
        **begun(id_, RECEIVED, person, thread, topic, text, now), "sender": {"reference": f"HealthcareService/{department}"},
        "recipient": [{"reference": person}],
    }


def instant(moment: datetime) -> str:
    """To the millisecond: messages are told in the order they were written."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
