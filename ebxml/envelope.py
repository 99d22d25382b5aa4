"""The SOAP envelope of ebMS 2.0, read: tolerant, and every tolerance is a remark (facts/ebxml.md 2.2, 12). Also the door to its values and writer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lxml import etree

from ebxml import xml
from ebxml.compose import write
from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.header import (
    ACKNOWLEDGMENT,
    DS,
    EB,
    ENQUIRIES,
    ERRORS,
    MESSAGE_ERROR,
    NEXT,
    NEXT_MSH,
    PING,
    PONG,
    SIGNAL_SERVICE,
    SOAP,
    STATUS_REQUEST,
    STATUS_RESPONSE,
    TO_PARTY,
    XLINK,
    EbError,
    EbParty,
    Header,
    MessageStatus,
    Order,
    PartyId,
    Reference,
    Status,
)
from ebxml.kith import moment

_ONCE = ("MessageHeader", "AckRequested", "Acknowledgment", "ErrorList", "MessageOrder")
_UNDERSTOOD = {*_ONCE, "SyncReply"}
"""The headers of ebMS 2.0; what else claims to be one of its is a stranger's."""
_ONCE_INSIDE = ("Manifest", "StatusRequest", "StatusResponse")
"""What may stand once in the header, and in the body: of two, a reader and a signer could each mean another."""
_EB, _SOAP = f"{{{EB}}}", f"{{{SOAP}}}"
_MUST, _SIGNATURE = f"{_SOAP}mustUnderstand", f"{{{DS}}}Signature"
_ACTOR = f"{_SOAP}actor"
_FOR_US = (NEXT, NEXT_MSH, TO_PARTY, "")
"""Whom a header may be addressed to and bind us: an element for another actor binds that one (SOAP 1.1, 4.2.2)."""
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
Inside = dict[str, etree._Element]
"""Children by name, the first of each."""


class Unheeded(Violation):
    """The envelope says who sent it and under which id, and something that it may not: `header` is what could be read, so that its sender can be
    told."""

    def __init__(self, wrong: Violation, header: Header) -> None:
        super().__init__(wrong.code, wrong.description, wrong.location, wrong.fault)
        self.header = header


def read(root: etree._Element) -> Header:
    """Reads a parsed envelope.

    Raises:
        Violation: OtherXml, NotSupported: it is no ebMS envelope, lacks what nobody can answer without, or demands what is not understood.
        Unheeded: it says a thing twice, lacks what it is about, or asks for what nobody does.
    """
    if root.tag != f"{_SOAP}Envelope":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no SOAP 1.1 Envelope", "/")
    whole, remarks, wrong = xml.inside(root, SOAP), list[str](), list[Violation]()
    head, body = whole.get("Header"), whole.get("Body")
    beside = _beside(head, remarks, wrong)
    if "MessageHeader" not in beside:
        raise Violation(ErrorCode.OTHER_XML, "not exactly one MessageHeader", "//Header/MessageHeader")
    main = xml.inside(beside["MessageHeader"], EB)
    sender, receiver = (_read_party(main.get(name), remarks) for name in ("From", "To"))
    service, data = main.get("Service"), xml.inside(main.get("MessageData"), EB)
    said = {name: _said(main, name) for name in ("CPAId", "ConversationId", "Service", "Action")}
    message_id = _said(data, "MessageId")
    if not sender.ids or not receiver.ids or not message_id:
        raise Violation(ErrorCode.OTHER_XML, "MessageHeader lacks From, To or MessageId", "//Header/MessageHeader")
    if not said["Service"] or not said["Action"]:
        wrong.append(Violation(ErrorCode.OTHER_XML, "MessageHeader lacks Service or Action", "//Header/MessageHeader"))
    _look_at(beside["MessageHeader"], said, service, remarks)
    header = Header(
        sender=sender, receiver=receiver, cpa_id=said["CPAId"], conversation_id=said["ConversationId"],
        service=said["Service"], service_type=_attribute(service, "type", remarks),
        action=said["Action"], message_id=message_id, timestamp=moment(_said(data, "Timestamp"), remarks, "Timestamp"),
        ref_to_message_id=_said(data, "RefToMessageId"), time_to_live=_moment(_said(data, "TimeToLive"), remarks, "TimeToLive"),
        duplicate_elimination="DuplicateElimination" in main, **_descriptions(beside["MessageHeader"]),
        ack_requested=_asked(beside.get("AckRequested"), remarks), sync_reply="SyncReply" in beside,
        order=_order(beside.get("MessageOrder"), remarks), **_acknowledged(beside.get("Acknowledgment"), data, remarks),
        **_read_errors(beside.get("ErrorList"), remarks), **_read_body(body, remarks, wrong),
        signed=_SIGNATURE in beside, version=_attribute(beside["MessageHeader"], "version", remarks) or "2.0", remarks=tuple(remarks),
    )
    if wrong:
        raise Unheeded(wrong[0], header)
    return header


def repeated(header: Header) -> tuple[str, ...]:
    """The DigestValue of each ds:Reference that an Acknowledgment repeats, without blanks."""
    found = (xml.parse(element).findtext(f"{{{DS}}}DigestValue") or "" for _, element in header.references)
    return tuple("".join(value.split()) for value in found)


def _text(element: etree._Element | None, name: str) -> str:
    """All the text of a child, stripped; empty when it is missing."""
    return _whole(next(element.iterchildren(_EB + name), None) if element is not None else None)


def _said(inside: Inside, name: str) -> str:
    """All the text of a child, stripped; empty when it is missing."""
    return _whole(inside.get(name))


def _whole(found: etree._Element | None) -> str:
    if found is None:
        return ""
    return ("".join(map(str, found.itertext())) if len(found) else found.text or "").strip()


def _all(element: etree._Element | None, name: str) -> list[etree._Element]:
    return list(element.iterchildren(_EB + name)) if element is not None else []


def _attribute(element: etree._Element | None, name: str, remarks: list[str]) -> str:
    """An attribute of the extension's. All are qualified; senders exist that leave the prefix out."""
    if element is None:
        return ""
    found = element.get(_EB + name)
    if found is None and (found := element.get(name)) is not None:
        remarks.append(f"@{name} without its namespace")
    return found or ""


def _when(element: etree._Element | None, name: str, remarks: list[str]) -> datetime | None:
    return _moment(_text(element, name), remarks, name)


def _moment(value: str, remarks: list[str], name: str) -> datetime | None:
    return moment(value, remarks, name) if value else None


def _beside(head: etree._Element | None, remarks: list[str], wrong: list[Violation]) -> Inside:
    """The ebMS headers by name, and the signature by its whole tag. Deviations that are seen and harmless are remarked; what must be understood
    and is not stops the reading (SOAP 1.1, 4.2.3)."""
    found: Inside = {}
    for element in head.iterchildren("*") if head is not None else ():
        tag, must = str(element.tag), element.get(_MUST)
        name = tag[len(_EB):] if tag.startswith(_EB) and tag[len(_EB):] in _UNDERSTOOD else tag
        if name == "AckRequested" and element.get(_ACTOR) == NEXT_MSH:  # may stand beside the one that asks us
            wrong.append(Violation(ErrorCode.NOT_SUPPORTED, "a receipt by the next hop is asked for", "//Header/AckRequested", Fault.NOT_SUPPORTED))
            continue
        if name in found and name in _ONCE:
            wrong.append(Violation(ErrorCode.OTHER_XML, f"more than one {name}", f"//Header/{name}"))
        found.setdefault(name, element)
        if must in ("0", "1") and name is not tag:
            continue
        if name is tag and not tag.startswith((f"{{{DS}}}", _SOAP)):
            if must in ("1", "true") and element.get(_ACTOR, NEXT) in _FOR_US:
                unknown = Violation(ErrorCode.NOT_SUPPORTED, "a header that must be understood and is not", "//Header", Fault.NOT_SUPPORTED)
                if not tag.startswith(_EB):
                    raise unknown
                wrong.append(unknown)
            remarks.append("a header that is not ebMS 2.0's")
        elif must is None and name is not tag:
            remarks.append(f"{name} does not say mustUnderstand")
        if must not in (None, "0", "1"):
            remarks.append(f"mustUnderstand of {xml.name(tag).localname} is neither 0 nor 1")
    return found


def _look_at(header: etree._Element, said: dict[str, str], service: etree._Element | None, remarks: list[str]) -> None:
    """What is odd in the MessageHeader and harmless."""
    if header.get(f"{_EB}version") != "2.0":
        remarks.append("MessageHeader/@version is not 2.0")
    remarks += (f"MessageHeader has no {name}" for name in ("CPAId", "ConversationId") if not said[name])
    if ":" not in said["Service"] and service is not None and not service.get(f"{_EB}type"):
        remarks.append("Service is no URI and has no type")


def _descriptions(main: etree._Element) -> dict[str, Any]:
    found = [(e.get(_XML_LANG, ""), _whole(e)) for e in _all(main, "Description")]
    (language, first), *more = found or [("NO", "")]
    return {"language": language or "NO", "description": first, "more_descriptions": tuple(more)}


def _asked(ack: etree._Element | None, remarks: list[str]) -> str:
    if ack is None:
        return ""
    signed = _attribute(ack, "signed", remarks).strip()
    if signed not in ("true", "1", "false", "0"):
        remarks.append("AckRequested/@signed is no boolean: read as false")
    return "signed" if signed in ("true", "1") else "unsigned"


def _order(element: etree._Element | None, remarks: list[str]) -> Order | None:
    if element is None:
        return None
    number = _text(element, "SequenceNumber")
    right = number.isascii() and number.isdigit() and len(number) < 10
    if not right:
        remarks.append("SequenceNumber is no number")
    status = _attribute(element.find(f"{{{EB}}}SequenceNumber"), "status", remarks)
    return Order(int(number) if right else 0, status or "Continue")


def _read_party(element: etree._Element | None, remarks: list[str]) -> EbParty:
    ids = tuple(PartyId((p.text or "").strip(), _attribute(p, "type", remarks)) for p in _all(element, "PartyId"))
    once = tuple(dict.fromkeys(ids)) if len(ids) > 1 else ids
    if len(once) != len(ids):
        remarks.append("a PartyId is repeated")
    return EbParty(tuple(p for p in once if p.id), _text(element, "Role"))


def _acknowledged(element: etree._Element | None, data: Inside, remarks: list[str]) -> dict[str, Any]:
    """Of what it is the receipt stands in it, and should stand in MessageData too; either is enough (section 5)."""
    if element is None:
        return {}
    refers, outside = _text(element, "RefToMessageId"), _said(data, "RefToMessageId")
    if not refers or (outside and outside != refers):
        remarks.append("Acknowledgment and MessageData do not refer to the same message: the Acknowledgment's own counts, if it has any")
    return {
        "acknowledges": refers or outside, "acknowledged_at": _when(element, "Timestamp", remarks),
        "acknowledged_by": _read_party(element.find(f"{{{EB}}}From"), remarks).ids,
        "references": tuple((r.get("URI", ""), etree.tostring(r, with_tail=False)) for r in element.findall(f"{{{DS}}}Reference")),
    }


def _read_errors(element: etree._Element | None, remarks: list[str]) -> dict[str, Any]:
    if element is None:
        return {}
    errors = tuple(
        EbError(
            _attribute(e, "errorCode", remarks), _attribute(e, "severity", remarks), _text(e, "Description"), _attribute(e, "location", remarks),
            _attribute(e, "codeContext", remarks) or ERRORS, _attribute(e, "id", remarks),
        )
        for e in _all(element, "Error")
    )
    if not errors:
        remarks.append("ErrorList without an Error")
    highest = _attribute(element, "highestSeverity", remarks)
    if highest not in ("Error", "Warning"):
        remarks.append("ErrorList/@highestSeverity is neither Error nor Warning: read as Error")
    return {"errors": errors or (EbError("Unknown", highest or "Error"),), "highest_severity": highest}


def _read_body(body: etree._Element | None, remarks: list[str], wrong: list[Violation]) -> dict[str, Any]:
    said = xml.inside(body, EB)
    for name in said if len(said) != len(_all(body, "*")) else ():
        if name in _ONCE_INSIDE and len(_all(body, name)) > 1:
            wrong.append(Violation(ErrorCode.OTHER_XML, f"more than one {name}", f"//Body/{name}"))
    asked, told = said.get("StatusRequest"), said.get("StatusResponse")
    references = tuple(_reference(e, remarks) for e in _all(said.get("Manifest"), "Reference"))
    status = None
    if told is not None:
        word = _attribute(told, "messageStatus", remarks)
        if word in list(MessageStatus):
            status = Status(MessageStatus(word), _text(told, "RefToMessageId"), _when(told, "Timestamp", remarks))
        else:
            wrong.append(Violation(ErrorCode.VALUE_NOT_RECOGNIZED, "an unknown messageStatus", "//Body/StatusResponse/@messageStatus"))
    described = tuple(r for r in references if r.role or r.id or r.schemas or r.description)
    return {"manifest": tuple(r.href for r in references), "described": described, "status_of": _text(asked, "RefToMessageId"), "status": status}


def _reference(element: etree._Element, remarks: list[str]) -> Reference:
    schemas = tuple((_attribute(s, "location", remarks), _attribute(s, "version", remarks)) for s in _all(element, "Schema"))
    return Reference(
        element.get(f"{{{XLINK}}}href", ""), element.get(f"{{{XLINK}}}role", ""), _attribute(element, "id", remarks), schemas,
        _text(element, "Description"),
    )


__all__ = ["ACKNOWLEDGMENT", "DS", "EB", "ENQUIRIES", "ERRORS", "MESSAGE_ERROR", "NEXT", "NEXT_MSH", "PING", "PONG", "SIGNAL_SERVICE", "SOAP",
           "STATUS_REQUEST", "STATUS_RESPONSE", "TO_PARTY", "XLINK", "EbError", "EbParty", "Header", "MessageStatus", "Order", "PartyId",
           "Reference", "Status", "Unheeded", "read", "repeated", "write"]
