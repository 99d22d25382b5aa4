"""MsgHead 1.2 (HIS 80601:2006): the Norwegian business envelope, both directions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from lxml import etree

from ebxml import container, people, xml
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import Coded, Ident, Party, Person, attribute, child, children, coded, content, instant, local, moment, read_coded, text
from ebxml.people import element, some
from ebxml.xml import parse

NAMESPACE = "http://www.kith.no/xmlstds/msghead/2006-05-24"
VERSION = "v1.2 2006-05-24"
XML_DOCUMENT, ATTACHMENT, REFERENCE = "XML", "A", "REF"
_PROCESSING, _ACK = {"P": "Production", "D": "Debugging"}, {"J": "Ja", "N": "Nei", "F": "Kun ved feil"}
_KINDS = {XML_DOCUMENT: "XML-instans", ATTACHMENT: "Vedlegg", REFERENCE: "Referanse"}


@dataclass(frozen=True, slots=True)
class Document:
    """One Document with its RefDoc: its content as the bytes of one XML element, or a reference to a file."""

    content: bytes
    kind: str = XML_DOCUMENT
    """Volven 8114."""
    issued: str = ""
    mime_type: str = ""
    description: str = ""
    file_reference: str = ""
    id: str = ""
    compression: Coded = Coded("")
    more_content: tuple[bytes, ...] = ()
    """Further elements in the same Content; hardly anybody has any."""
    connection: Coded = Coded("")
    """DocumentConnection."""
    content_type: Coded = Coded("")
    content_description: str = ""
    category: Coded = Coded("")
    consent: Coded = Coded("")
    annotation: str = ""
    from_date: str = ""
    to_date: str = ""
    oid: str = ""
    """OidRef."""
    enquiry: str = ""
    """EnquiryRefId."""
    left_out: bool = False
    """It has a Base64Container, which was not read."""

    @property
    def namespace(self) -> str:
        """The namespace of the content's root element; empty when there is no content."""
        return xml.root_name(self.content).namespace


@dataclass(frozen=True, slots=True)
class OtherReceiver:
    """Somebody else who gets it: an organisation, the patient, another person or a professional; exactly one of them."""

    role: Coded
    method: Coded = Coded("")
    """ComMethod."""
    organisation: Party | None = None
    patient: Person | None = None
    person: Person | None = None
    professional: Person | None = None


@dataclass(frozen=True, slots=True)
class PatientReport:
    """One patient's documents in a message about several."""

    case: str
    """CaseNo."""
    documents: tuple[Document, ...]
    patient: Person | None = None
    connection: Coded = Coded("")


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
    other_receivers: tuple[OtherReceiver, ...] = ()
    priority: Coded = Coded("")
    """RequestedPriority."""
    sender_method: Coded = Coded("")
    """ComMethod of the sender, and of the receiver."""
    receiver_method: Coded = Coded("")
    reports: tuple[PatientReport, ...] = ()
    """Instead of `documents`: a message about several patients."""
    signed: bool = False
    """Carries an enveloped ds:Signature; whether it holds is `ebxml.signature`'s to say."""
    remarks: tuple[str, ...] = field(default=(), compare=False)


def write(message: MsgHead) -> bytes:
    """The message as UTF-8 XML, valid by MsgHead-v1_2.xsd when its documents are by theirs."""
    if message.generated is None:
        raise ValueError("a message needs a time")
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<MsgHead xmlns="{NAMESPACE}"><MsgInfo>{coded("Type", message.type)}'
        f"<MIGversion>{VERSION}</MIGversion><GenDate>{instant(message.generated)}</GenDate><MsgId>{text(message.id)}</MsgId>",
        some("ProcessingStatus", Coded(message.processing, _PROCESSING.get(message.processing, ""))), some("RequestedPriority", message.priority),
        some("Ack", Coded(message.ack, _ACK.get(message.ack, ""))),
        f"<ConversationRef><RefToParent>{text(message.parent or message.conversation)}</RefToParent>"
        f"<RefToConversation>{text(message.conversation)}</RefToConversation></ConversationRef>" if message.conversation else "",
        f"<Sender>{some('ComMethod', message.sender_method)}{people.organisation(message.sender)}</Sender>",
        f"<Receiver>{some('ComMethod', message.receiver_method)}{people.organisation(message.receiver)}</Receiver>",
        "".join(map(_other, message.other_receivers)), _person("Patient", message.patient), "</MsgInfo>",
    ]
    return "".join(parts).encode() + b"".join(map(_document, message.documents)) + b"".join(map(_report, message.reports)) + b"</MsgHead>"


def _person(tag: str, who: Person | None) -> str:
    return f"<{tag}>{people.person(who, professional=tag == 'HealthcareProfessional')}</{tag}>" if who is not None else ""


def _other(receiver: OtherReceiver) -> str:
    who = people.organisation(receiver.organisation) if receiver.organisation is not None else (
        _person("Patient", receiver.patient) or _person("Person", receiver.person) or _person("HealthcareProfessional", receiver.professional)
    )
    return f"<OtherReceiver>{some('ComMethod', receiver.method)}{coded('RoleReceiver', receiver.role)}{who}</OtherReceiver>"


def _report(report: PatientReport) -> bytes:
    start = f"<PatientReport>{some('DocumentConnection', report.connection)}<CaseNo>{text(report.case)}</CaseNo>"
    return start.encode() + b"".join(map(_document, report.documents)) + f"{_person('Patient', report.patient)}</PatientReport>".encode()


def _time(tag: str, value: str) -> str:
    return f"<{tag} V={attribute(value)}/>" if value else ""


def _document(d: Document) -> bytes:
    about = (
        some("DocumentConnection", d.connection) + some("ContentType", d.content_type) + element("ContentDescription", d.content_description)
        + some("ContentCategory", d.category) + some("Consent", d.consent) + element("Annotation", d.annotation) + _time("FromDate", d.from_date)
        + _time("ToDate", d.to_date) + element("OidRef", d.oid) + element("EnquiryRefId", d.enquiry)
    )
    reference = (
        _time("IssueDate", d.issued) + coded("MsgType", Coded(d.kind, _KINDS.get(d.kind, ""))) + element("Id", d.id)
        + element("MimeType", d.mime_type) + element("Description", d.description) + some("Compression", d.compression)
    )
    body = element("FileReference", d.file_reference).encode() or b"<Content>" + b"".join((d.content, *d.more_content)) + b"</Content>"
    return f"<Document>{about}<RefDoc>{reference}".encode() + body + b"</RefDoc></Document>"


def read(data: bytes, *, files: bool = True) -> MsgHead:
    """Reads a MsgHead; tolerates the order of ConversationRef, times without a zone and wrong code list OIDs.

    Args:
        files: what is inside each Base64Container as well. Without, its Document has no content, and a file of 30 MB is not copied.

    Raises:
        Violation: OtherXml, when it is no XML, no MsgHead, or lacks what nobody can answer without (MsgInfo, Type, MsgId, parties).
    """
    root = parse(data)
    if root.tag != f"{{{NAMESPACE}}}MsgHead":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no MsgHead 1.2", "/")
    return replace(
        _read_info(child(root, "MsgInfo")), documents=tuple(_read_document(d, files) for d in children(root, "Document")),
        reports=tuple(_read_report(r, files) for r in children(root, "PatientReport")), signed=child(root, "Signature") is not None,
    )


def read_info(data: bytes) -> MsgHead:
    """Reads no further than MsgInfo, so that also a message whose documents are broken can be answered; it has no documents.

    Raises:
        Violation: as `read`.
    """
    xml.no_dtd(data)
    found = xml.first(data, f"{{{NAMESPACE}}}MsgInfo")
    if found is None or found.getparent() is None or found.getroottree().getroot().tag != f"{{{NAMESPACE}}}MsgHead":
        raise Violation(ErrorCode.OTHER_XML, "no MsgHead 1.2 with a MsgInfo", "/")
    return _read_info(found)


def _read_info(info: etree._Element | None) -> MsgHead:
    remarks: list[str] = []
    type_, id_ = read_coded(child(info, "Type")), content(info, "MsgId")
    sender, receiver = (people.read_organisation(child(info, who, "Organisation")) for who in ("Sender", "Receiver"))
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
        documents=(), patient=people.read_person(child(info, "Patient")),
        ack=read_coded(child(info, "Ack")).v, processing=read_coded(child(info, "ProcessingStatus")).v, parent=content(reference, "RefToParent"),
        conversation=content(reference, "RefToConversation"), other_receivers=tuple(map(_read_other, children(info, "OtherReceiver"))),
        priority=read_coded(child(info, "RequestedPriority")), sender_method=read_coded(child(info, "Sender", "ComMethod")),
        receiver_method=read_coded(child(info, "Receiver", "ComMethod")), remarks=tuple(remarks),
    )


def _read_other(found: etree._Element) -> OtherReceiver:
    return OtherReceiver(
        read_coded(child(found, "RoleReceiver")), read_coded(child(found, "ComMethod")), people.read_organisation(child(found, "Organisation")),
        *(people.read_person(child(found, tag)) for tag in ("Patient", "Person", "HealthcareProfessional")),
    )


def _read_report(found: etree._Element, files: bool) -> PatientReport:
    return PatientReport(
        content(found, "CaseNo"), tuple(_read_document(d, files) for d in children(found, "Document")), people.read_person(child(found, "Patient")),
        read_coded(child(found, "DocumentConnection")),
    )


def _read_document(found: etree._Element, files: bool) -> Document:
    doc = child(found, "RefDoc")
    body = child(doc, "Content")
    kept = [e for e in body if isinstance(e.tag, str) and (files or xml.name(e.tag).namespace != container.NAMESPACE)] if body is not None else []
    inside = [etree.tostring(e, with_tail=False, encoding="utf-8") for e in kept]
    return Document(
        content=inside[0] if inside else b"", more_content=tuple(inside[1:]), kind=read_coded(child(doc, "MsgType")).v,
        issued=read_coded(child(doc, "IssueDate")).v, mime_type=content(doc, "MimeType"), description=content(doc, "Description"),
        file_reference=content(doc, "FileReference"), id=content(doc, "Id"), compression=read_coded(child(doc, "Compression")),
        connection=read_coded(child(found, "DocumentConnection")), content_type=read_coded(child(found, "ContentType")),
        content_description=content(found, "ContentDescription"), category=read_coded(child(found, "ContentCategory")),
        consent=read_coded(child(found, "Consent")), annotation=content(found, "Annotation"), from_date=read_coded(child(found, "FromDate")).v,
        to_date=read_coded(child(found, "ToDate")).v, oid=content(found, "OidRef"), enquiry=content(found, "EnquiryRefId"),
        left_out=body is not None and len(kept) < sum(isinstance(e.tag, str) for e in body),
    )


__all__ = ["ATTACHMENT", "NAMESPACE", "REFERENCE", "VERSION", "XML_DOCUMENT", "Coded", "Document", "Ident", "MsgHead", "OtherReceiver", "Party",
           "PatientReport", "Person", "read", "write"]
