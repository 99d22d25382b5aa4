"""What the service's own system wrote to a person: its words kept in the thread that they belong to, or as a new one, and the person told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from hub.access import AuditLine
from hub.booking import Decision, attachments
from hub.booking.attachments import Limits
from hub.booking.clock import begin
from hub.booking.conventions import identifier
from hub.booking.messages import CONVERSATION, LETTER, LONGEST_ANSWER, Post, Thread, following, from_service, instant, is_message, proper
from hub.booking.settings import LONGEST_TOPIC
from hub.dialogue.attaching import attach
from hub.dialogue.threads import thread_in
from hub.keeping import Speaker
from hub.message import Resource
from hub.problem import Problem, Refused
from hub.store import Change, Transaction

STATES = "message"
"""What an adapter `may` state when its word is a message."""
UNTITLED, LONGEST_NAME = "Melding fra tjenesten", 80


@dataclass(frozen=True, slots=True)
class Hearing:
    """A stated Communication: `subject` by national id, `partOf` by the conversation's name, `inResponseTo` and `identifier` by letters' ids."""

    check: Callable[[Resource], None]
    """As `Keeping.check`."""
    notify: Callable[[Transaction, Change], None] = lambda *_: None
    """Owes the notices of a message from the service (hub.noticing)."""
    limits: Limits = Limits()

    def state(self, tx: Transaction, speaker: Speaker, stated: Resource) -> tuple[str, ...]:
        """Keeps what the service's system wrote: in the thread it names, else in a new one.

        Raises:
            Refused: NOT_ALLOWED, UNKNOWN_PERSON, UNKNOWN_SERVICE, MESSAGE_LENGTH, INVALID, ATTACHMENTS_TOO_LARGE, ATTACHMENT_KIND.
        """
        if STATES not in speaker.may:
            raise Refused(Problem.NOT_ALLOWED, "the sender may not state: message", "Communication")
        person, thread = _person(tx, stated), _thread(tx, stated)
        if thread is not None and thread.messages[0].patient != person:
            raise Refused(Problem.UNKNOWN_PERSON, "the conversation is about somebody else", "Communication.subject")
        department = thread.department if thread else _owner(tx, person, speaker)
        if speaker.departments and department not in speaker.departments:
            raise Refused(Problem.NOT_ALLOWED, "the conversation is another department's", "Communication.partOf")
        letter = identifier(stated, LETTER)
        id_ = str(uuid5(NAMESPACE_URL, f"message|{speaker.name}|{letter}"))
        if tx.get("Communication", id_) is not None:
            return (f"Communication/{id_}",)
        change = tx.keep(self._made(tx, stated, Whose(id_, person, department, thread), letter), origin=speaker.name)
        tx.audit(AuditLine(tx.now, person, speaker.reader, speaker.ground, "message-sent", speaker.on_behalf_of, speaker.channel))
        self.notify(tx, change)
        return (change.reference,)

    def _made(self, tx: Transaction, stated: Resource, whose: Whose, letter: str) -> Resource:
        """What is kept. Its time is its sender's, but not in the future, and after the message before it."""
        thread, topic = whose.thread, str((stated.get("topic") or {}).get("text", "")).strip()[:LONGEST_TOPIC]
        text = proper("\n".join(str(p.get("contentString", "")) for p in attachments.without(stated)["payload"]), LONGEST_ANSWER)
        made = from_service(whose.id, whose.person, whose.department, thread, thread.topic if thread else topic or UNTITLED, text, tx.now)
        if name := str((stated.get("sender") or {}).get("display", "")):
            made["sender"]["display"] = name[:LONGEST_NAME]
        made["identifier"] = [{"system": LETTER, "value": letter}]
        called = _named(stated, "partOf", CONVERSATION)
        if thread is None and called:
            made["identifier"].append({"system": CONVERSATION, "value": called})
        if "sent" in stated:
            made["sent"] = instant(following(thread, min(begin(stated["sent"]), tx.now)))
        made = attach(tx, made, attachments.files_of(stated), self.limits)
        self.check(made)
        return made


@dataclass(frozen=True, slots=True)
class Whose:
    """Where a stated message belongs."""

    id: str
    person: str
    department: str
    thread: Thread | None


def _person(tx: Transaction, stated: Resource) -> str:
    """`Patient/…` by the national id that the letter has. Raises Refused UNKNOWN_PERSON."""
    named = (stated.get("subject") or {}).get("identifier") or {}
    found = tx.find("Patient", identifier=f"{named.get('system', '')}|{named['value']}") if named.get("value") else []
    if len(found) != 1:
        raise Refused(Problem.UNKNOWN_PERSON, "no such person", "Communication.subject")
    return found[0].reference


def _thread(tx: Transaction, stated: Resource) -> Thread | None:
    """By the conversation's name or by the letter that is answered, ours or theirs: vendors swap the two."""
    for name in (_named(stated, "partOf", CONVERSATION), _named(stated, "inResponseTo", LETTER)):
        known = tx.get("Communication", name.lower()) if name else None  # ours are in small letters; some write them back in capitals
        alike = (tx.find("Communication", identifier=f"{system}|{name}") for system in (CONVERSATION, LETTER) if name and not known)
        named = [known] if known else [kept for found in alike for kept in found]
        for kept in named:
            if is_message(kept.resource) and (thread := thread_in(tx, Post.of(kept.resource).thread)) is not None:
                return thread
    return None


def _owner(tx: Transaction, person: str, speaker: Speaker) -> str:
    """The sender's department that a new message is from: the first that has a decision for the person. Raises Refused UNKNOWN_SERVICE."""
    granted = [d.department for d in (Decision.of(s.resource) for s in tx.find("ServiceRequest", patient=person)) if d.department]
    theirs = [code for code in granted if not speaker.departments or code in speaker.departments] or sorted(speaker.departments)
    if not theirs:
        raise Refused(Problem.UNKNOWN_SERVICE, "the sender has no department for this person", "Communication.sender")
    return theirs[0]


def _named(stated: Resource, element: str, system: str) -> str:
    """What the references of an element call what they point to, by an identifier of this system; empty when none does."""
    return identifier({"identifier": [reference["identifier"] for reference in stated.get(element) or () if "identifier" in reference]}, system)
