"""MsgHead 1.2 (HIS 80601:2006): the Norwegian business envelope, both directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from ebxml.errors import ErrorCode, Violation
from ebxml.kith import (
    ORGANISATION_IDS,
    PERSON_IDS,
    Coded,
    Ident,
    Party,
    Person,
    attribute,
    child,
    children,
    coded,
    content,
    ident,
    idents,
    instant,
    local,
    moment,
    read_coded,
    text,
)
from ebxml.xml import parse

NAMESPACE = "http://www.kith.no/xmlstds/msghead/2006-05-24"
VERSION = "v1.2 2006-05-24"
XML_DOCUMENT, ATTACHMENT, REFERENCE = "XML", "A", "REF"
_KINDS = {XML_DOCUMENT: "XML-instans", ATTACHMENT: "Vedlegg", REFERENCE: "Referanse"}


@dataclass(frozen=True, slots=True)
class Document:
    """One RefDoc: its content as the bytes of one XML element, or a reference to a file."""

    content: bytes
    kind: str = XML_DOCUMENT
    """Volven 8114."""
    issued: str = ""
    mime_type: str = ""
    description: str = ""
    file_reference: str = ""

    @property
    def namespace(self) -> str:
        """The namespace of the content's root element; empty when there is no content."""
        return etree.QName(parse(self.content)).namespace or "" if self.content else ""


@dataclass(frozen=True, slots=True)
class MsgHead:
    """One message. `generated_text` is GenDate as received, since some senders compare it in the AppRec."""

    type: Coded
    id: str
    generated: datetime | None
    sender: Party
    receiver: Party
    documents: tuple[Document, ...]
    generated_text: str = ""
    patient: Person | None = None
    ack: str = ""
    """Volven 7304: J yes, N no, F only on error; empty when not told."""
    processing: str = ""
    """P production, D test; empty when not told."""
    parent: str = ""
    conversation: str = ""
    other_receivers: int = 0
    signed: bool = False
    """Carries an enveloped ds:Signature; whether it holds is `ebxml.signature`'s to say."""
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(message: MsgHead) -> bytes:
    """The message as UTF-8 XML, valid by MsgHead-v1_2.xsd when its documents are by theirs."""
    if message.generated is None:
        raise ValueError("a message needs a time")
    names = {"J": "Ja", "N": "Nei", "F": "Kun ved feil"}
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead xmlns="{NAMESPACE}"><MsgInfo>{coded("Type", message.type)}'
        f"<MIGversion>{VERSION}</MIGversion><GenDate>{instant(message.generated)}</GenDate><MsgId>{text(message.id)}</MsgId>",
        coded("ProcessingStatus", Coded(message.processing, {"P": "Production", "D": "Debugging"}[message.processing]))
        if message.processing else "",
        coded("Ack", Coded(message.ack, names.get(message.ack, ""))) if message.ack else "",
        f"<ConversationRef><RefToParent>{text(message.parent or message.conversation)}</RefToParent>"
        f"<RefToConversation>{text(message.conversation)}</RefToConversation></ConversationRef>" if message.conversation else "",
        f"<Sender>{_party(message.sender)}</Sender><Receiver>{_party(message.receiver)}</Receiver>",
        _patient(message.patient) if message.patient else "",
        "</MsgInfo>",
    ]
    head = "".join(parts).encode()
    return head + b"".join(_document(document) for document in message.documents) + b"</MsgHead>"


def _party(party: Party) -> str:
    if party.person:
        inner = "".join(ident(i, PERSON_IDS) for i in party.idents)
        return f"<HealthcareProfessional><FamilyName>{text(party.name)}</FamilyName>{inner}</HealthcareProfessional>"
    inner = "".join(ident(i, ORGANISATION_IDS) for i in party.idents)
    below = _party(party.inner) if party.inner else ""
    return f"<Organisation><OrganisationName>{text(party.name)}</OrganisationName>{inner}{below}</Organisation>"


def _patient(person: Person) -> str:
    parts = (("FamilyName", person.family), ("MiddleName", person.middle), ("GivenName", person.given), ("DateOfBirth", person.born))
    names = "".join(f"<{tag}>{text(value)}</{tag}>" for tag, value in parts if value)
    return f"<Patient>{names}{''.join(ident(i, PERSON_IDS) for i in person.idents)}</Patient>"


def _document(document: Document) -> bytes:
    issued = f"<IssueDate V={attribute(document.issued)}/>" if document.issued else ""
    mime = f"<MimeType>{text(document.mime_type)}</MimeType>" if document.mime_type else ""
    told = f"<Description>{text(document.description)}</Description>" if document.description else ""
    kind = coded("MsgType", Coded(document.kind, _KINDS.get(document.kind, "")))
    if document.file_reference:
        body = f"<FileReference>{text(document.file_reference)}</FileReference>".encode()
    else:
        body = b"<Content>" + document.content + b"</Content>"
    return f"<Document><RefDoc>{issued}{kind}{mime}{told}".encode() + body + b"</RefDoc></Document>"


def read(data: bytes) -> MsgHead:
    """Reads a MsgHead; tolerates the order of ConversationRef, times without a zone and wrong code list OIDs.

    Raises:
        Violation: OtherXml, when it is no XML, no MsgHead, or lacks what nobody can answer without (MsgInfo, Type, MsgId, parties).
    """
    root = parse(data)
    if root.tag != f"{{{NAMESPACE}}}MsgHead":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no MsgHead 1.2", "/")
    remarks: list[str] = []
    info = child(root, "MsgInfo")
    type_, id_ = read_coded(child(info, "Type")), content(info, "MsgId")
    sender, receiver = _read_party(child(info, "Sender", "Organisation")), _read_party(child(info, "Receiver", "Organisation"))
    if not type_.v or not id_ or sender is None or receiver is None:
        raise Violation(ErrorCode.OTHER_XML, "MsgInfo lacks Type, MsgId, Sender or Receiver", "/MsgHead/MsgInfo")
    if content(info, "MIGversion") != VERSION:
        remarks.append("MIGversion is not that of MsgHead 1.2")
    reference = child(info, "ConversationRef")
    if reference is not None and [local(e) for e in reference if local(e)] == ["RefToConversation", "RefToParent"]:
        remarks.append("ConversationRef is in the wrong order")
    generated = content(info, "GenDate")
    return MsgHead(
        type=type_, id=id_, generated=moment(generated, remarks, "GenDate"), generated_text=generated, sender=sender, receiver=receiver,
        documents=_read_documents(root), patient=_read_person(child(info, "Patient")), ack=read_coded(child(info, "Ack")).v,
        processing=read_coded(child(info, "ProcessingStatus")).v, parent=content(reference, "RefToParent"),
        conversation=content(reference, "RefToConversation"), other_receivers=len(children(info, "OtherReceiver")),
        signed=child(root, "Signature") is not None, remarks=tuple(remarks),
    )


def _read_documents(root: etree._Element) -> tuple[Document, ...]:
    found = children(root, "Document") + [d for report in children(root, "PatientReport") for d in children(report, "Document")]
    return tuple(_read_document(d) for d in found)


def _read_document(element: etree._Element) -> Document:
    doc = child(element, "RefDoc")
    body = child(doc, "Content")
    inner = next((e for e in body if isinstance(e.tag, str)), None) if body is not None else None
    issued = child(doc, "IssueDate")
    return Document(
        content=etree.tostring(inner, with_tail=False, encoding="utf-8") if inner is not None else b"",
        kind=read_coded(child(doc, "MsgType")).v, issued=issued.get("V", "") if issued is not None else "",
        mime_type=content(doc, "MimeType"), description=content(doc, "Description"), file_reference=content(doc, "FileReference"),
    )


def _read_party(element: etree._Element | None) -> Party | None:
    if element is None:
        return None
    inner = _read_party(child(element, "Organisation"))
    professional = child(element, "HealthcareProfessional")
    if inner is None and professional is not None:
        inner = Party(f"{content(professional, 'GivenName')} {content(professional, 'FamilyName')}".strip(), idents(professional), None, True)
    return Party(content(element, "OrganisationName"), idents(element), inner)


def _read_person(element: etree._Element | None) -> Person | None:
    if element is None:
        return None
    return Person(
        content(element, "FamilyName"), content(element, "GivenName"), content(element, "MiddleName"), content(element, "DateOfBirth"),
        idents(element),
    )


__all__ = ["ATTACHMENT", "NAMESPACE", "REFERENCE", "VERSION", "XML_DOCUMENT", "Coded", "Document", "Ident", "MsgHead", "Party", "Person", "read",
           "write"]
