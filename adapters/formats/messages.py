"""A message between a person and the service as a Dialogmelding, both directions: one Foresporsel or one Notat of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from adapters.formats import appointments, enclosed
from ebxml import dialog, relation, xml
from ebxml.errors import Violation
from ebxml.kith import Coded, Person
from ebxml.msghead import Document, MsgHead
from hub.booking import clock
from hub.booking.messages import CONVERSATION, LETTER, letter_id, text_of
from hub.message import Resource
from hub.problem import Problem, Refused

PERFORMER_ROLE = Coded("7", "Ansatt i hjemmetjenesten", "2.16.578.1.12.4.1.1.9034")


def stated(message: MsgHead, whom: Resource | None, body: bytes, *, attached: bool = False) -> Resource:
    """A stated Communication (hub.dialogue.Hearing): to whom (an Identifier), in which conversation, the text, and the files.

    Args:
        body: the MsgHead itself.
        attached: something came beside the MsgHead.

    Raises:
        Refused: INVALID: no dialogue, nobody whom it is to, no text; NOT_SUPPORTED: something came that would be lost; and as `enclosed.stated`.
    """
    if attached:
        raise Refused(Problem.NOT_SUPPORTED, "a file beside the MsgHead, and not in it, is not taken: nothing of it was kept", "//Body/Manifest")
    entries = [entry for entry in _entries(message.documents) if entry.body.strip()]
    if not entries or whom is None:
        raise Refused(Problem.INVALID, "no Dialogmelding with a text, or nobody whom it is to", "/MsgHead/Document")
    made: Resource = {
        "resourceType": "Communication", "status": "completed", "identifier": [{"system": LETTER, "value": message.id}],
        "subject": {"type": "Patient", "identifier": whom}, "topic": {"text": entries[0].subject},
        "payload": [{"contentString": "\n\n".join(entry.body for entry in entries)}, *enclosed.stated(message, body)],
        "sender": {"display": _author(entries[0])},
    }
    for element, system, value in (("partOf", CONVERSATION, message.conversation), ("inResponseTo", LETTER, message.parent)):
        if value:
            made[element] = [{"type": "Communication", "identifier": {"system": system, "value": value}}]
    return {**made, "sent": clock.write(message.generated)} if message.generated else made


def written(row: Mapping[str, Any], items: Iterable[Resource], version: str, made_at: datetime) -> Document:
    """The document: the message itself is the first Communication of the items. `version` is the Dialogmelding's."""
    found = list(items)
    communication = next(item for item in found if item["resourceType"] == "Communication")
    service = next((str(item.get("name", "")) for item in found if item["resourceType"] == "HealthcareService"), "")
    visit = next((item for item in found if item["resourceType"] == "Appointment"), None)
    topic, author = str((communication.get("topic") or {}).get("text", "")), communication.get("sender") or {}
    name = str(author.get("display", ""))
    ours = str(author.get("reference", "")).startswith(("Patient/", "RelatedPerson/"))
    notes = [
        f"Emne: {topic}" if version == "1.0" and row["entry"] == "Foresporsel" and topic else "",
        f"Skrevet av {name}, på vegne av pasienten." if ours and name else "",
        f"Gjelder besøket {appointments.when(visit)}{f', {service}' if service else ''}." if visit else "",
    ]
    text = text_of(communication)
    body = "\n".join([*filter(None, notes), "", text] if any(notes) else [text])
    roles = (dialog.Role(PERFORMER_ROLE, Person(given=name)),) if name and not ours else ()
    entry = dialog.Entry(row["entry"], Coded(*row["code"]), topic, body, roles=roles)
    return Document(dialog.write(dialog.Dialog((entry,), version)), issued=clock.write(made_at), mime_type="text/xml")


def acting(relative: Person, made_at: datetime) -> Document:
    """The relative who wrote it. As what is not told: of the code list (Volven 7611) only parental responsibility is public."""
    told = relation.write(relation.Relation(Coded(""), relative))
    return Document(told, issued=clock.write(made_at), mime_type="text/xml")


def parent(items: Iterable[Resource]) -> str:
    """What the letter that is answered is called; empty when none is."""
    first, *others = [item for item in items if item["resourceType"] == "Communication"]
    named = ((r.get("identifier") or {}).get("value", "") for r in first.get("inResponseTo") or ())
    return letter_id(others[0]) if others else next((str(value) for value in named if value), "")


def _entries(documents: Iterable[Document]) -> list[dialog.Entry]:
    try:
        contents = [content for d in documents for content in (d.content, *d.more_content) if content]
        found = [dialog.read(content) for content in contents if xml.root_name(content).namespace in dialog.NAMESPACES.values()]
    except Violation as wrong:
        raise Refused(Problem.INVALID, wrong.description, wrong.location) from wrong
    return [entry for each in found for entry in each.entries]


def _author(entry: dialog.Entry) -> str:
    """Who wrote it, where that is told: the first professional."""
    persons = (role.person for role in entry.roles if role.person is not None and role.professional)
    return next((name for person in persons if (name := f"{person.given} {person.family}".strip())), "")
