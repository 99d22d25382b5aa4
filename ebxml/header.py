"""The values of an ebMS 2.0 envelope: the names and the typed contents of every header element (facts/ebxml.md 2.2). No XML here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
EB = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
XLINK = "http://www.w3.org/1999/xlink"
DS = "http://www.w3.org/2000/09/xmldsig#"
SIGNAL_SERVICE = "urn:oasis:names:tc:ebxml-msg:service"
ERRORS = f"{SIGNAL_SERVICE}:errors"
TO_PARTY = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
NEXT_MSH = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"
NEXT = "http://schemas.xmlsoap.org/soap/actor/next"
ACKNOWLEDGMENT, MESSAGE_ERROR, PING, PONG = "Acknowledgment", "MessageError", "Ping", "Pong"
STATUS_REQUEST, STATUS_RESPONSE = "StatusRequest", "StatusResponse"
ENQUIRIES = {PING: PONG, STATUS_REQUEST: STATUS_RESPONSE}
"""What asks the other message handler itself, and what answers it (section 7.1)."""
_NEVER_ANSWERED = (ACKNOWLEDGMENT, MESSAGE_ERROR, PONG, STATUS_RESPONSE)


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
        for wanted in ("HER", "ENH", "ORGNUMMER"):
            for party in self.ids:
                if party.type.rpartition(":")[2].upper() == wanted:
                    return party.id
        return self.ids[0].id if self.ids else ""


@dataclass(frozen=True, slots=True)
class EbError:
    """`eb:Error`. `location` is an XPath or a `cid:`."""

    code: str
    severity: str
    description: str = ""
    location: str = ""
    context: str = ERRORS
    """codeContext; another one than the standard's means that `code` is not the standard's word either."""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """What `eb:Manifest` tells of one part beyond where it is."""

    href: str
    role: str = ""
    """xlink:role."""
    id: str = ""
    schemas: tuple[tuple[str, str], ...] = ()
    """(location, version) of each eb:Schema. Nothing is ever fetched from there."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """`eb:MessageOrder`: read so that it can be declined; nobody in Norway uses it."""

    number: int
    status: str = "Continue"
    """`Reset` or `Continue`."""


class MessageStatus(StrEnum):
    """`eb:messageStatus`: how far a message came at the other side (section 7.1)."""

    UNAUTHORIZED = "UnAuthorized"
    NOT_RECOGNIZED = "NotRecognized"
    RECEIVED = "Received"
    PROCESSED = "Processed"
    FORWARDED = "Forwarded"


@dataclass(frozen=True, slots=True)
class Status:
    """`eb:StatusResponse`. `at` is absent for what was not recognised or is not the asker's."""

    status: MessageStatus
    of: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """`eb:MessageHeader`, the elements beside it, and what stands in the SOAP body."""

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
    language: str = "NO"
    """xml:lang of `description`."""
    more_descriptions: tuple[tuple[str, str], ...] = ()
    """(xml:lang, text) of each Description after the first."""
    ack_requested: str = ""
    """`signed`, `unsigned`, or empty: no receipt is asked for."""
    sync_reply: bool = False
    order: Order | None = None
    acknowledges: str = ""
    """Acknowledgment/RefToMessageId."""
    acknowledged_at: datetime | None = None
    """Acknowledgment/Timestamp: when the message acknowledged came. None in what is written: `timestamp`."""
    acknowledged_by: tuple[PartyId, ...] = ()
    """Acknowledgment/From. Empty in what is written: the sender."""
    references: tuple[tuple[str, bytes], ...] = ()
    """The ds:Reference elements an Acknowledgment repeats: (URI, the element as bytes)."""
    errors: tuple[EbError, ...] = ()
    highest_severity: str = ""
    manifest: tuple[str, ...] = ()
    """`cid:` URIs."""
    described: tuple[Reference, ...] = ()
    """What the Manifest tells of the parts that it tells more of than their `cid:`."""
    status_of: str = ""
    """StatusRequest/RefToMessageId."""
    status: Status | None = None
    signed: bool = False
    version: str = "2.0"
    """eb:version; the only one that is written."""
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @property
    def signal(self) -> bool:
        """What is never answered with an error: an Acknowledgment, an error, the answer to an enquiry. A letter that one came along with
        is still a letter."""
        named = self.service == SIGNAL_SERVICE and self.action in _NEVER_ANSWERED
        return named or (not self.manifest and bool(self.acknowledges or self.errors))

    @property
    def enquiry(self) -> bool:
        """Ping or StatusRequest: asked of the message handler, not of who stands behind it."""
        return self.service == SIGNAL_SERVICE and self.action in ENQUIRIES
