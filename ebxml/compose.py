"""Writes an ebMS 2.0 envelope, strictly: complete, in the schema's order, valid by msg-header-2_0.xsd (facts/ebxml.md 2.2).

What is written is its own canonical form (Canonical XML 1.0): namespaces once and in order, attributes by namespace and name, no empty-element
tags. So whoever signs it takes the digest of these bytes, and neither parses nor canonicalises what was made a moment ago.
"""

from __future__ import annotations

from typing import NewType

from ebxml.header import ERRORS, NEXT, TO_PARTY, EbError, EbParty, Header, PartyId, Reference
from ebxml.kith import attribute, instant, text
from ebxml.reference import ENVELOPE_END, ENVELOPE_START, repeated

_MUST, _VERSION = 'SOAP:mustUnderstand="1"', 'eb:version="2.0"'
"""What every header element carries."""
SYNC_REPLY = f'<eb:SyncReply SOAP:actor="{NEXT}" {_MUST} {_VERSION}></eb:SyncReply>'
"""The one element for the next hop, so never signed: the last in the header."""
HEADER_END = "</SOAP:Header>"


Canonical = NewType("Canonical", bytes)
"""An envelope that is its own canonical form."""


def write(header: Header) -> Canonical:
    """The unsigned envelope. The signature goes before the last HEADER_END.

    Raises:
        ValueError: something is missing that the schema demands, or a receipt is asked for a message that only is one.
    """
    _complete(header)
    return Canonical((
        f"{ENVELOPE_START}<SOAP:Header>{_message_header(header)}{_order(header)}{_ack_requested(header)}{_acknowledgment(header)}"
        f"{_error_list(header)}{SYNC_REPLY if header.sync_reply else ''}{HEADER_END}<SOAP:Body>{_manifest(header)}{_status(header)}</SOAP:Body>"
        f"{ENVELOPE_END}"
    ).encode())


def _complete(h: Header) -> None:
    if h.timestamp is None:
        raise ValueError("a message needs a time")
    needed = (h.cpa_id, h.conversation_id, h.service, h.action, h.message_id, *(p.id for p in (*h.sender.ids, *h.receiver.ids)))
    if not h.sender.ids or not h.receiver.ids or not all(map(text, needed)):
        raise ValueError("a message needs From, To, CPAId, ConversationId, Service, Action and MessageId")
    if h.signal and h.ack_requested:
        raise ValueError("no receipt is asked for a receipt")
    if h.order is not None and not h.duplicate_elimination:
        raise ValueError("MessageOrder needs DuplicateElimination")


def _message_header(h: Header) -> str:
    kind = f" eb:type={attribute(h.service_type)}" if h.service_type else ""
    lives = f"<eb:TimeToLive>{instant(h.time_to_live)}</eb:TimeToLive>" if h.time_to_live else ""
    assert h.timestamp is not None
    return (
        f"<eb:MessageHeader {_MUST} {_VERSION}>"
        f"<eb:From>{_party(h.sender)}</eb:From><eb:To>{_party(h.receiver)}</eb:To><eb:CPAId>{text(h.cpa_id)}</eb:CPAId>"
        f"<eb:ConversationId>{text(h.conversation_id)}</eb:ConversationId><eb:Service{kind}>{text(h.service)}</eb:Service>"
        f"<eb:Action>{text(h.action)}</eb:Action><eb:MessageData><eb:MessageId>{text(h.message_id)}</eb:MessageId>"
        f"<eb:Timestamp>{instant(h.timestamp)}</eb:Timestamp>{_refers(h.ref_to_message_id)}{lives}</eb:MessageData>"
        f"{'<eb:DuplicateElimination></eb:DuplicateElimination>' if h.duplicate_elimination else ''}"
        f"{''.join(_description(value, lang) for lang, value in ((h.language, h.description), *h.more_descriptions))}</eb:MessageHeader>"
    )


def _description(value: str, language: str) -> str:
    return f"<eb:Description xml:lang={attribute(language)}>{text(value)}</eb:Description>" if text(value) else ""


def _refers(message_id: str) -> str:
    return f"<eb:RefToMessageId>{text(message_id)}</eb:RefToMessageId>" if message_id else ""


def _party(party: EbParty) -> str:
    return _ids(party.ids) + (f"<eb:Role>{text(party.role)}</eb:Role>" if text(party.role) else "")


def _ids(ids: tuple[PartyId, ...]) -> str:
    return "".join(f"<eb:PartyId{f' eb:type={attribute(p.type)}' if text(p.type) else ''}>{text(p.id)}</eb:PartyId>" for p in ids)


def _order(h: Header) -> str:
    if h.order is None:
        return ""
    number = f"<eb:SequenceNumber eb:status={attribute(h.order.status)}>{h.order.number}</eb:SequenceNumber>"
    return f"<eb:MessageOrder {_MUST} {_VERSION}>{number}</eb:MessageOrder>"


def _ack_requested(h: Header) -> str:
    if not h.ack_requested:
        return ""
    signed = "true" if h.ack_requested == "signed" else "false"
    return f'<eb:AckRequested SOAP:actor="{TO_PARTY}" {_MUST} eb:signed="{signed}" {_VERSION}></eb:AckRequested>'


def _acknowledgment(h: Header) -> str:
    if not h.acknowledges:
        return ""
    at = h.acknowledged_at or h.timestamp
    assert at is not None
    return (
        f'<eb:Acknowledgment SOAP:actor="{TO_PARTY}" {_MUST} {_VERSION}><eb:Timestamp>{instant(at)}</eb:Timestamp>{_refers(h.acknowledges)}'
        f"<eb:From>{_ids(h.acknowledged_by or h.sender.ids)}</eb:From>{repeated(element for _, element in h.references)}</eb:Acknowledgment>"
    )


def _error_list(h: Header) -> str:
    if not h.errors:
        return ""
    severity = attribute(h.highest_severity or ("Error" if any(e.severity == "Error" for e in h.errors) else "Warning"))
    return f"<eb:ErrorList {_MUST} eb:highestSeverity={severity} {_VERSION}>{''.join(map(_error, h.errors))}</eb:ErrorList>"


def _error(e: EbError) -> str:
    pairs = (("codeContext", e.context or ERRORS), ("errorCode", e.code), ("id", e.id), ("location", e.location), ("severity", e.severity))
    attributes = "".join(f" eb:{name}={attribute(value)}" for name, value in pairs if text(value))
    return f"<eb:Error{attributes}>{_description(e.description, 'en')}</eb:Error>"


def _manifest(h: Header) -> str:
    if not h.manifest:
        return ""
    more = {reference.href: reference for reference in h.described}
    rows = "".join(_reference(more.get(href) or Reference(href)) for href in h.manifest)
    return f'<eb:Manifest eb:version="2.0">{rows}</eb:Manifest>'


def _reference(r: Reference) -> str:
    role = f" xlink:role={attribute(r.role)}" if r.role else ""
    id_ = f" eb:id={attribute(r.id)}" if r.id else ""
    schemas = "".join(_schema(*each) for each in r.schemas)
    inner = schemas + _description(r.description, "NO")
    return f'<eb:Reference{id_} xlink:href={attribute(r.href)}{role} xlink:type="simple">{inner}</eb:Reference>'


def _schema(location: str, version: str) -> str:
    return f"<eb:Schema eb:location={attribute(location)}{f' eb:version={attribute(version)}' if version else ''}></eb:Schema>"


def _status(h: Header) -> str:
    if h.status_of:
        return f'<eb:StatusRequest eb:version="2.0">{_refers(h.status_of)}</eb:StatusRequest>'
    if h.status is None:
        return ""
    at = f"<eb:Timestamp>{instant(h.status.at)}</eb:Timestamp>" if h.status.at else ""
    start = f'<eb:StatusResponse eb:messageStatus="{h.status.status}" eb:version="2.0">'
    return f"{start}{_refers(h.status.of)}{at}</eb:StatusResponse>"
