"""CPP and CPA 2.0: what two parties agreed. Read leniently, since real ones break the schema; ids are resolved inside their own PartyInfo."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from cryptography import x509
from lxml import etree

from ebxml import certificate
from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.xml import parse

NAMESPACE = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"
XLINK = "http://www.w3.org/1999/xlink"
DS = "http://www.w3.org/2000/09/xmldsig#"


@dataclass(frozen=True, slots=True)
class Binding:
    """One action a party may send or receive, in one role and service."""

    role: str
    service: str
    action: str
    sends: bool
    channel: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A DeliveryChannel: where, and with which promises."""

    id: str
    endpoint: str
    protocol: str
    sync_reply: str
    ack_requested: str
    ack_signed: str
    duplicates: str
    retries: str
    retry_interval: str


@dataclass(frozen=True, slots=True)
class Party:
    """A PartyInfo."""

    name: str
    ids: tuple[tuple[str, str], ...]
    """(type, id)."""
    bindings: tuple[Binding, ...]
    channels: tuple[Channel, ...]
    certificates: tuple[tuple[str, str], ...]
    """(certId, whose: holder and organisation number)."""
    signing: tuple[x509.Certificate, ...] = ()
    """What its messages are signed with: SenderNonRepudiation of any of its DocExchanges."""
    encryption: tuple[x509.Certificate, ...] = ()
    """What is encrypted to it: ApplicationCertificateRef, as in Norway, else ReceiverDigitalEnvelope."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A CPA; or a CPP, which has one party."""

    id: str
    kind: str
    """`CPA` or `CPP`."""
    status: str
    start: str
    end: str
    parties: tuple[Party, ...]
    encrypted: bool
    """Some packaging is enveloped CMS."""
    remarks: tuple[str, ...] = field(default=(), compare=False)


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _attribute(element: etree._Element | None, local: str) -> str:
    return element.get(_name(local), element.get(local, "")) if element is not None else ""


def _text(element: etree._Element | None, path: str) -> str:
    found = element.find("/".join(_name(p) for p in path.split("/"))) if element is not None else None
    return (found.text or "").strip() if found is not None else ""


def read(data: bytes) -> Agreement:
    """Reads a CPA or CPP.

    Raises:
        Violation: it is none.
    """
    root = parse(data)
    kind = {"CollaborationProtocolAgreement": "CPA", "CollaborationProtocolProfile": "CPP"}.get(etree.QName(root).localname)
    if kind is None or etree.QName(root).namespace != NAMESPACE:
        raise Violation(ErrorCode.OTHER_XML, "neither a CPA nor a CPP 2.0", "/", Fault.UNKNOWN_AGREEMENT)
    remarks = ["a UTF-8 byte order mark"] if data.startswith(b"\xef\xbb\xbf") else []
    ids = [_attribute(e, "certId") for e in root.iter(_name("Certificate"))]
    ids += [_attribute(e, "channelId") for e in root.iter(_name("DeliveryChannel"))]
    if len(set(ids)) != len(ids):
        remarks.append("ids that stand twice: resolved inside their own PartyInfo")
    mime_types = {str(value) for e in root.iter(_name("Encapsulation")) for value in e.attrib.values()}
    return Agreement(
        id=_attribute(root, "cpaid") or _attribute(root, "cppid"), kind=kind, status=_attribute(root.find(_name("Status")), "value"),
        start=_text(root, "Start"), end=_text(root, "End"), parties=tuple(_party(p) for p in root.findall(_name("PartyInfo"))),
        encrypted=any("pkcs7-mime" in m for m in mime_types), remarks=tuple(remarks),
    )


def _party(element: etree._Element) -> Party:
    return Party(
        name=_attribute(element, "partyName"),
        ids=tuple((_attribute(p, "type").rpartition(":")[2], (p.text or "").strip()) for p in element.findall(_name("PartyId"))),
        bindings=tuple(b for role in element.findall(_name("CollaborationRole")) for b in _bindings(role)),
        channels=tuple(_channel(element, c) for c in element.findall(_name("DeliveryChannel"))),
        certificates=tuple((_attribute(c, "certId"), _whose(c)) for c in element.findall(_name("Certificate"))),
        signing=_referred(element, "SigningCertificateRef"),
        encryption=_referred(element, "ApplicationCertificateRef") or _referred(element, "EncryptionCertificateRef"),
    )


def _bindings(role: etree._Element) -> list[Binding]:
    name = _attribute(role.find(_name("Role")), "name")
    found = []
    for service in role.findall(_name("ServiceBinding")):
        for word, sends in (("CanSend", True), ("CanReceive", False)):
            for can in service.iter(_name(word)):
                action = can.find(_name("ThisPartyActionBinding"))
                if action is not None:
                    channel = _text(action, "ChannelId")
                    found.append(Binding(name, _text(service, "Service"), _attribute(action, "action"), sends, channel))
    return found


def _channel(party: etree._Element, channel: etree._Element) -> Channel:
    """Transport and DocExchange by id, looked for in the same PartyInfo only."""
    transport = _by_id(party, "Transport", "transportId", _attribute(channel, "transportId"))
    exchange = _by_id(party, "DocExchange", "docExchangeId", _attribute(channel, "docExchangeId"))
    messaging = channel.find(_name("MessagingCharacteristics"))
    endpoint = next(iter(transport.iter(_name("Endpoint"))), None) if transport is not None else None
    protocol = next(iter(transport.iter(_name("TransportProtocol"))), None) if transport is not None else None
    reliable = next(iter(exchange.iter(_name("ReliableMessaging"))), None) if exchange is not None else None
    return Channel(
        _attribute(channel, "channelId"), _attribute(endpoint, "uri"), (protocol.text or "").strip() if protocol is not None else "",
        _attribute(messaging, "syncReplyMode"), _attribute(messaging, "ackRequested"), _attribute(messaging, "ackSignatureRequested"),
        _attribute(messaging, "duplicateElimination"), _text(reliable, "Retries"), _text(reliable, "RetryInterval"),
    )


def _by_id(party: etree._Element, tag: str, attribute: str, value: str) -> etree._Element | None:
    return next((e for e in party.findall(_name(tag)) if _attribute(e, attribute) == value), None)


def _referred(party: etree._Element, tag: str) -> tuple[x509.Certificate, ...]:
    """The certificates that elements of this name refer to, each once, in document order."""
    wanted = dict.fromkeys(_attribute(e, "certId") for e in party.iter(_name(tag)))
    found = (_certificate(e) for id_ in wanted for e in party.findall(_name("Certificate")) if _attribute(e, "certId") == id_)
    return tuple(c for c in found if c is not None)


def _certificate(element: etree._Element) -> x509.Certificate | None:
    text = next((e.text for e in element.iter(f"{{{DS}}}X509Certificate") if e.text), "")
    try:
        return certificate.load(base64.b64decode("".join(text.split())))
    except ValueError:
        return None


def _whose(element: etree._Element) -> str:
    found = _certificate(element)
    if found is None:
        return "no certificate that can be read"
    return f"{certificate.holder(found)} {certificate.organisation(found)} until {found.not_valid_after_utc:%Y-%m-%d}".strip()
