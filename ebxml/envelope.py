"""The SOAP envelope of ebMS 2.0: typed values, a tolerant reader that lists what it tolerated, a strict writer (facts/ebxml.md 2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.kith import attribute, instant, moment, text

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
EB = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
XLINK = "http://www.w3.org/1999/xlink"
DS = "http://www.w3.org/2000/09/xmldsig#"
SIGNAL_SERVICE = "urn:oasis:names:tc:ebxml-msg:service"
TO_PARTY = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
NEXT_MSH = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"
NEXT = "http://schemas.xmlsoap.org/soap/actor/next"
ACKNOWLEDGMENT, MESSAGE_ERROR, PING, PONG = "Acknowledgment", "MessageError", "Ping", "Pong"


@dataclass(frozen=True, slots=True)
class PartyId:
    """`eb:PartyId`."""

    id: str
    type: str = "HER"


@dataclass(frozen=True, slots=True)
class EbParty:
    """`eb:From` or `eb:To`."""

    ids: tuple[PartyId, ...]
    role: str = ""

    @property
    def her(self) -> str:
        """The HER-id, the only one that decides; else an organisation number."""
        for wanted in ("HER", "ENH", "orgnummer"):
            for party in self.ids:
                if party.type == wanted:
                    return party.id
        return self.ids[0].id if self.ids else ""


@dataclass(frozen=True, slots=True)
class EbError:
    """`eb:Error`."""

    code: str
    severity: str
    description: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """`eb:MessageHeader` and the elements beside it."""

    sender: EbParty
    receiver: EbParty
    cpa_id: str
    conversation_id: str
    service: str
    action: str
    message_id: str
    timestamp: datetime | None
    service_type: str = ""
    ref_to_message_id: str = ""
    time_to_live: datetime | None = None
    duplicate_elimination: bool = False
    description: str = ""
    ack_requested: str = ""
    """`signed`, `unsigned`, or empty: no receipt is asked for."""
    sync_reply: bool = False
    message_order: bool = False
    acknowledges: str = ""
    """Acknowledgment/RefToMessageId."""
    references: tuple[tuple[str, bytes], ...] = ()
    """The ds:Reference elements an Acknowledgment repeats: (URI, the element as bytes)."""
    errors: tuple[EbError, ...] = ()
    highest_severity: str = ""
    manifest: tuple[str, ...] = ()
    """`cid:` URIs."""
    signed: bool = False
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @property
    def signal(self) -> bool:
        """An Acknowledgment or an error: what is never answered with an error. A letter that one came along with is still a letter."""
        named = self.service == SIGNAL_SERVICE and self.action in (ACKNOWLEDGMENT, MESSAGE_ERROR)
        return named or (not self.manifest and bool(self.acknowledges or self.errors))


def write(header: Header) -> bytes:
    """The unsigned envelope, valid by msg-header-2_0.xsd. The signature goes before `</SOAP:Header>`."""
    if header.timestamp is None:
        raise ValueError("a message needs a time")
    body = _manifest(header.manifest) if header.manifest else ""
    return (
        f'<SOAP:Envelope xmlns:SOAP="{SOAP}" xmlns:eb="{EB}" xmlns:xlink="{XLINK}"><SOAP:Header>{_message_header(header)}'
        f"{_ack_requested(header)}{_sync_reply(header)}{_acknowledgment(header)}{_error_list(header)}</SOAP:Header>"
        f"<SOAP:Body>{body}</SOAP:Body></SOAP:Envelope>"
    ).encode()


def _message_header(h: Header) -> str:
    kind = f" eb:type={attribute(h.service_type)}" if h.service_type else ""
    refers = f"<eb:RefToMessageId>{text(h.ref_to_message_id)}</eb:RefToMessageId>" if h.ref_to_message_id else ""
    lives = f"<eb:TimeToLive>{instant(h.time_to_live)}</eb:TimeToLive>" if h.time_to_live else ""
    told = f'<eb:Description xml:lang="NO">{text(h.description)}</eb:Description>' if h.description else ""
    assert h.timestamp is not None
    return (
        '<eb:MessageHeader eb:version="2.0" SOAP:mustUnderstand="1">'
        f"<eb:From>{_party(h.sender)}</eb:From><eb:To>{_party(h.receiver)}</eb:To><eb:CPAId>{text(h.cpa_id)}</eb:CPAId>"
        f"<eb:ConversationId>{text(h.conversation_id)}</eb:ConversationId><eb:Service{kind}>{text(h.service)}</eb:Service>"
        f"<eb:Action>{text(h.action)}</eb:Action><eb:MessageData><eb:MessageId>{text(h.message_id)}</eb:MessageId>"
        f"<eb:Timestamp>{instant(h.timestamp)}</eb:Timestamp>{refers}{lives}</eb:MessageData>"
        f"{'<eb:DuplicateElimination/>' if h.duplicate_elimination else ''}{told}</eb:MessageHeader>"
    )


def _party(party: EbParty) -> str:
    ids = "".join(f"<eb:PartyId eb:type={attribute(p.type)}>{text(p.id)}</eb:PartyId>" for p in party.ids)
    return ids + (f"<eb:Role>{text(party.role)}</eb:Role>" if party.role else "")


def _ack_requested(h: Header) -> str:
    if not h.ack_requested:
        return ""
    signed = "true" if h.ack_requested == "signed" else "false"
    return f'<eb:AckRequested eb:version="2.0" SOAP:mustUnderstand="1" SOAP:actor="{TO_PARTY}" eb:signed="{signed}"/>'


def _sync_reply(h: Header) -> str:
    return f'<eb:SyncReply eb:version="2.0" SOAP:mustUnderstand="1" SOAP:actor="{NEXT}"/>' if h.sync_reply else ""


def _acknowledgment(h: Header) -> str:
    if not h.acknowledges:
        return ""
    assert h.timestamp is not None
    repeated = "".join(element.decode() for _, element in h.references)
    return (
        f'<eb:Acknowledgment eb:version="2.0" SOAP:mustUnderstand="1" SOAP:actor="{TO_PARTY}">'
        f"<eb:Timestamp>{instant(h.timestamp)}</eb:Timestamp><eb:RefToMessageId>{text(h.acknowledges)}</eb:RefToMessageId>"
        f"<eb:From>{_party(EbParty(h.sender.ids))}</eb:From>{repeated}</eb:Acknowledgment>"
    )


def _error_list(h: Header) -> str:
    if not h.errors:
        return ""
    rows = "".join(
        f'<eb:Error eb:codeContext="{SIGNAL_SERVICE}:errors" eb:errorCode={attribute(e.code)} eb:severity={attribute(e.severity)}'
        f"{f' eb:location={attribute(e.location)}' if e.location else ''}>"
        f'<eb:Description xml:lang="en">{text(e.description)}</eb:Description></eb:Error>'
        for e in h.errors
    )
    return (
        f'<eb:ErrorList eb:version="2.0" SOAP:mustUnderstand="1" eb:highestSeverity={attribute(h.highest_severity or "Error")}>'
        f"{rows}</eb:ErrorList>"
    )


def _manifest(hrefs: tuple[str, ...]) -> str:
    rows = "".join(f'<eb:Reference xlink:type="simple" xlink:href={attribute(href)}/>' for href in hrefs)
    return f'<eb:Manifest eb:version="2.0">{rows}</eb:Manifest>'


def read(root: etree._Element) -> Header:
    """Reads a parsed envelope.

    Raises:
        Violation: OtherXml, Inconsistent, when it is no ebMS envelope or lacks what nobody can answer without.
    """
    if root.tag != f"{{{SOAP}}}Envelope":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no SOAP 1.1 Envelope", "/")
    head, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    heads = head.findall(f"{{{EB}}}MessageHeader") if head is not None else []
    if head is None or len(heads) != 1:
        raise Violation(ErrorCode.OTHER_XML, "not exactly one MessageHeader", "//Header/MessageHeader")
    main, remarks = heads[0], list[str]()
    sender, receiver = _read_party(main.find(f"{{{EB}}}From")), _read_party(main.find(f"{{{EB}}}To"))
    data = main.find(f"{{{EB}}}MessageData")
    message_id = _text(data, "MessageId")
    if not sender.ids or not receiver.ids or not message_id:
        raise Violation(ErrorCode.OTHER_XML, "MessageHeader lacks From, To or MessageId", "//Header/MessageHeader")
    service = main.find(f"{{{EB}}}Service")
    ack, acknowledgment, errors = (head.find(f"{{{EB}}}{name}") for name in ("AckRequested", "Acknowledgment", "ErrorList"))
    _look_at(head, main, service, remarks)
    manifest = body.find(f"{{{EB}}}Manifest") if body is not None else None
    return Header(
        sender=sender, receiver=receiver, cpa_id=_text(main, "CPAId"), conversation_id=_text(main, "ConversationId"),
        service=_text(main, "Service"), service_type=service.get(f"{{{EB}}}type", "") if service is not None else "",
        action=_text(main, "Action"), message_id=message_id, timestamp=moment(_text(data, "Timestamp"), remarks, "Timestamp"),
        ref_to_message_id=_text(data, "RefToMessageId"), time_to_live=_time_to_live(data, remarks),
        duplicate_elimination=main.find(f"{{{EB}}}DuplicateElimination") is not None, description=_text(main, "Description"),
        ack_requested=_asked(ack), sync_reply=head.find(f"{{{EB}}}SyncReply") is not None,
        message_order=head.find(f"{{{EB}}}MessageOrder") is not None, acknowledges=_text(acknowledgment, "RefToMessageId"),
        references=_references(acknowledgment), errors=_read_errors(errors),
        highest_severity=errors.get(f"{{{EB}}}highestSeverity", "") if errors is not None else "",
        manifest=tuple(r.get(f"{{{XLINK}}}href", "") for r in _all(manifest, "Reference")),
        signed=head.find(f"{{{DS}}}Signature") is not None, remarks=tuple(remarks),
    )


def _text(element: etree._Element | None, name: str) -> str:
    """All the text of a child, stripped; empty when it is missing."""
    found = element.find(f"{{{EB}}}{name}") if element is not None else None
    if found is None:
        return ""
    return ("".join(map(str, found.itertext())) if len(found) else found.text or "").strip()


def _all(element: etree._Element | None, name: str) -> list[etree._Element]:
    return element.findall(f"{{{EB}}}{name}") if element is not None else []


def _time_to_live(data: etree._Element | None, remarks: list[str]) -> datetime | None:
    value = _text(data, "TimeToLive")
    return moment(value, remarks, "TimeToLive") if value else None


def _look_at(head: etree._Element, main: etree._Element, service: etree._Element | None, remarks: list[str]) -> None:
    """Deviations that are seen and harmless. What must be understood and is not stops the reading (SOAP 1.1, 4.2.3)."""
    for element in head:
        if isinstance(element.tag, str) and etree.QName(element).namespace not in (EB, DS, SOAP):
            if element.get(f"{{{SOAP}}}mustUnderstand") in ("1", "true"):
                raise Violation(ErrorCode.NOT_SUPPORTED, "a header that must be understood and is not", "//Header", Fault.NOT_SUPPORTED)
            remarks.append("a header that is not ebMS 2.0's")
        if isinstance(element.tag, str) and element.get(f"{{{SOAP}}}mustUnderstand") not in (None, "0", "1"):
            remarks.append(f"mustUnderstand of {etree.QName(element).localname} is neither 0 nor 1")
    if main.get(f"{{{EB}}}version") != "2.0":
        remarks.append("MessageHeader/@version is not 2.0")
    if service is not None and not service.get(f"{{{EB}}}type") and ":" not in (service.text or ""):
        remarks.append("Service is no URI and has no type")


def _asked(ack: etree._Element | None) -> str:
    if ack is None:
        return ""
    return "signed" if ack.get(f"{{{EB}}}signed") in ("true", "1") else "unsigned"


def _read_party(element: etree._Element | None) -> EbParty:
    ids = tuple(PartyId((p.text or "").strip(), p.get(f"{{{EB}}}type", "")) for p in _all(element, "PartyId"))
    return EbParty(tuple(p for p in ids if p.id), _text(element, "Role"))


def _references(acknowledgment: etree._Element | None) -> tuple[tuple[str, bytes], ...]:
    if acknowledgment is None:
        return ()
    found = acknowledgment.findall(f"{{{DS}}}Reference")
    return tuple((r.get("URI", ""), etree.tostring(r, with_tail=False)) for r in found)


def _read_errors(errors: etree._Element | None) -> tuple[EbError, ...]:
    return tuple(
        EbError(e.get(f"{{{EB}}}errorCode", ""), e.get(f"{{{EB}}}severity", ""), _text(e, "Description"), e.get(f"{{{EB}}}location", ""))
        for e in _all(errors, "Error")
    )
