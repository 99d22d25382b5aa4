"""CPP and CPA 2.0: what two parties agreed. Read leniently, since real ones break the schema; ids are resolved inside their own PartyInfo.

What follows from it for one message is `ebxml.terms`; in words for people it is `ebxml.agreed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from lxml import etree

from ebxml import certificate, xml
from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.xml import parse

NAMESPACE = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"
XLINK = "http://www.w3.org/1999/xlink"
DS = "http://www.w3.org/2000/09/xmldsig#"
ALWAYS, NEVER, PER_MESSAGE = "always", "never", "perMessage"


@dataclass(frozen=True, slots=True)
class Binding:
    """One action a party may send or receive, in one role and service."""

    role: str
    service: str
    action: str
    sends: bool
    channel: str
    """The first ChannelId: the one that is used."""
    process: str = ""
    service_type: str = ""
    id: str = ""
    package: str = ""
    more_channels: tuple[str, ...] = ()
    mirrored_by: str = ""
    characteristics: tuple[tuple[str, str], ...] = ()
    encryption: tuple[x509.Certificate, ...] = ()
    """The role's ApplicationCertificateRef: what is encrypted to it, in Norway."""

    def says(self, characteristic: str) -> str:
        """A BusinessTransactionCharacteristics attribute; empty when it is missing."""
        return dict(self.characteristics).get(characteristic, "")


@dataclass(frozen=True, slots=True)
class Channel:
    """A DeliveryChannel with its Transport and DocExchange: where, and with which promises."""

    id: str
    endpoint: str
    """Where messages are taken: the allPurpose or request endpoint."""
    protocol: str
    sync_reply: str
    ack_requested: str
    ack_signed: str
    duplicates: str
    retries: str
    retry_interval: str
    endpoints: tuple[tuple[str, str], ...] = ()
    """(type, uri) of each; types are allPurpose, request, response, error, login."""
    actor: str = ""
    persist: str = ""
    order: str = ""
    """MessageOrderSemantics."""
    tls: str = ""
    hash: str = ""
    signature: str = ""
    """The algorithm's URI (`w3c`, else the text; `oid` is wrong in real CPAs)."""
    signing: tuple[x509.Certificate, ...] = ()
    """SenderNonRepudiation: what this party signs with here."""
    signs: bool = False
    envelope: tuple[x509.Certificate, ...] = ()
    """ReceiverDigitalEnvelope: what is encrypted to this party here, in ebXML's generic sense."""


@dataclass(frozen=True, slots=True)
class Packaging:
    """How a message is put together."""

    id: str
    encrypted: bool
    """Some part is enveloped CMS."""
    packed: bool
    """Some part is gzip inside of that."""
    parts: tuple[str, ...]
    """Media types in the order of the Composite, the header's first."""


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
    default_channel: str = ""
    default_package: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    """(signal action, channel id): OverrideMshActionBinding."""
    anchors: tuple[x509.Certificate, ...] = ()
    dates: tuple[tuple[str, x509.Certificate], ...] = field(default=(), repr=False)
    """(certId, certificate) of those that can be read."""

    def channel(self, id_: str) -> Channel | None:
        return next((c for c in self.channels if id_ and c.id == id_), None)

    def for_signal(self, action: str) -> Channel | None:
        """Where it takes an Acknowledgment, MessageError, Ping …: by its override, else the default channel."""
        return self.channel(dict(self.overrides).get(action, self.default_channel))


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
    packagings: tuple[Packaging, ...] = ()
    version: str = ""
    constraints: tuple[tuple[str, str], ...] = ()
    """ConversationConstraints, by attribute."""

    def packaging(self, id_: str) -> Packaging | None:
        return next((p for p in self.packagings if p.id == id_), None)


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _attribute(element: etree._Element | None, local: str) -> str:
    return element.get(_name(local), element.get(local, "")) if element is not None else ""


def _text(element: etree._Element | None, path: str) -> str:
    found = element.find("/".join(_name(p) for p in path.split("/"))) if element is not None else None
    return (found.text or "").strip() if found is not None else ""


def _first(element: etree._Element | None, tag: str) -> etree._Element | None:
    return next(iter(element.iter(_name(tag))), None) if element is not None else None


def _own(element: etree._Element | None) -> tuple[tuple[str, str], ...]:
    """All attributes, by local name."""
    return tuple((xml.name(str(key)).localname, str(value)) for key, value in element.attrib.items()) if element is not None else ()


def read(data: bytes) -> Agreement:
    """Reads a CPA or CPP.

    Raises:
        Violation: it is none.
    """
    root = parse(data)
    kind = {"CollaborationProtocolAgreement": "CPA", "CollaborationProtocolProfile": "CPP"}.get(xml.name(root.tag).localname)
    if kind is None or xml.name(root.tag).namespace != NAMESPACE:
        raise Violation(ErrorCode.OTHER_XML, "neither a CPA nor a CPP 2.0", "/", Fault.UNKNOWN_AGREEMENT)
    remarks = ["a UTF-8 byte order mark"] if data.startswith(b"\xef\xbb\xbf") else []
    ids = [_attribute(e, "certId") for e in root.iter(_name("Certificate"))]
    ids += [_attribute(e, "channelId") for e in root.iter(_name("DeliveryChannel"))]
    if len(set(ids)) != len(ids):
        remarks.append("ids that stand twice: resolved inside their own PartyInfo")
    packagings = _packagings(root)
    return Agreement(
        id=_attribute(root, "cpaid") or _attribute(root, "cppid"), kind=kind, status=_attribute(root.find(_name("Status")), "value"),
        start=_text(root, "Start"), end=_text(root, "End"), parties=tuple(_party(p) for p in root.findall(_name("PartyInfo"))),
        encrypted=any(p.encrypted for p in packagings), remarks=tuple(remarks), packagings=packagings, version=_attribute(root, "version"),
        constraints=_own(root.find(_name("ConversationConstraints"))),
    )


def _packagings(root: etree._Element) -> tuple[Packaging, ...]:
    parts = {_attribute(p, "id"): p for tag in ("SimplePart", "Encapsulation") for p in root.iter(_name(tag))}

    def types(id_: str, depth: int = 0) -> list[str]:
        """The media types of a part from the outside in."""
        part = parts.get(id_)
        if part is None or depth > 8:
            return []
        inner = [t for c in part.iter(_name("Constituent")) for t in types(_attribute(c, "idref"), depth + 1)]
        return [_attribute(part, "mimetype").lower(), *inner]

    found = []
    for packaging in root.findall(_name("Packaging")):
        composite = [types(_attribute(c, "idref")) for c in packaging.iterfind(f".//{_name('Composite')}/{_name('Constituent')}")]
        loose = [_attribute(e, "mimetype").lower() for e in packaging.iter(_name("Encapsulation"))]
        every = {t for part in composite for t in part} | set(loose)
        found.append(Packaging(
            _attribute(packaging, "id"), "application/pkcs7-mime" in every, bool(every & {"application/x-gzip", "application/gzip"}),
            tuple(part[0] for part in composite if part),
        ))
    return tuple(found)


def _party(element: etree._Element) -> Party:
    return Party(
        name=_attribute(element, "partyName"),
        ids=tuple((_attribute(p, "type").rpartition(":")[2], (p.text or "").strip()) for p in element.findall(_name("PartyId"))),
        bindings=tuple(b for role in element.findall(_name("CollaborationRole")) for b in _bindings(element, role)),
        channels=tuple(_channel(element, c) for c in element.findall(_name("DeliveryChannel"))),
        certificates=tuple((_attribute(c, "certId"), _whose(c)) for c in element.findall(_name("Certificate"))),
        signing=_referred(element, element, "SigningCertificateRef"),
        encryption=_referred(element, element, "ApplicationCertificateRef") or _referred(element, element, "EncryptionCertificateRef"),
        default_channel=_attribute(element, "defaultMshChannelId"), default_package=_attribute(element, "defaultMshPackageId"),
        overrides=tuple((_attribute(e, "action"), _attribute(e, "channelId")) for e in element.findall(_name("OverrideMshActionBinding"))),
        anchors=_referred(element, element, "AnchorCertificateRef"),
        dates=tuple((_attribute(c, "certId"), x) for c in element.findall(_name("Certificate")) if (x := _certificate(c)) is not None),
    )


def _bindings(party: etree._Element, role: etree._Element) -> list[Binding]:
    name, process = _attribute(role.find(_name("Role")), "name"), _attribute(role.find(_name("ProcessSpecification")), "name")
    certificates = _referred(party, role, "ApplicationCertificateRef")
    found = []
    for service in role.findall(_name("ServiceBinding")):
        for word, sends in (("CanSend", True), ("CanReceive", False)):
            for can in service.iter(_name(word)):
                action = can.find(_name("ThisPartyActionBinding"))
                if action is None:
                    continue
                first, *more = [(c.text or "").strip() for c in action.findall(_name("ChannelId"))] or [""]
                found.append(Binding(
                    name, _text(service, "Service"), _attribute(action, "action"), sends, first, process,
                    _attribute(service.find(_name("Service")), "type"), _attribute(action, "id"), _attribute(action, "packageId"), tuple(more),
                    _text(can, "OtherPartyActionBinding"), _own(action.find(_name("BusinessTransactionCharacteristics"))), certificates,
                ))
    return found


def _channel(party: etree._Element, channel: etree._Element) -> Channel:
    """Transport and DocExchange by id, looked for in the same PartyInfo only."""
    transport = _by_id(party, "Transport", "transportId", _attribute(channel, "transportId"))
    exchange = _by_id(party, "DocExchange", "docExchangeId", _attribute(channel, "docExchangeId"))
    messaging, sending = channel.find(_name("MessagingCharacteristics")), _first(exchange, "ebXMLSenderBinding")
    found = transport.iter(_name("Endpoint")) if transport is not None else ()
    endpoints = tuple((_attribute(e, "type") or "allPurpose", _attribute(e, "uri")) for e in found)
    reliable, signing = _first(exchange, "ReliableMessaging"), _first(sending, "SenderNonRepudiation")
    algorithm = _first(signing, "SignatureAlgorithm")
    return Channel(
        _attribute(channel, "channelId"), next((uri for kind, uri in endpoints if kind in ("allPurpose", "request")), ""),
        _said(_first(transport, "TransportProtocol")), _attribute(messaging, "syncReplyMode"), _attribute(messaging, "ackRequested"),
        _attribute(messaging, "ackSignatureRequested"), _attribute(messaging, "duplicateElimination"), _text(reliable, "Retries"),
        _text(reliable, "RetryInterval"), endpoints, _attribute(messaging, "actor"), _said(_first(exchange, "PersistDuration")),
        _text(reliable, "MessageOrderSemantics"), _said(_first(transport, "TransportSecurityProtocol")), _text(signing, "HashFunction"),
        _attribute(algorithm, "w3c") or _said(algorithm), _referred(party, signing, "SigningCertificateRef"), signing is not None,
        _referred(party, _first(exchange, "ReceiverDigitalEnvelope"), "EncryptionCertificateRef"),
    )


def _said(element: etree._Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _by_id(party: etree._Element, tag: str, attribute: str, value: str) -> etree._Element | None:
    return next((e for e in party.findall(_name(tag)) if _attribute(e, attribute) == value), None)


def _referred(party: etree._Element, within: etree._Element | None, tag: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a party's that elements of this name refer to, each once, in document order."""
    wanted = dict.fromkeys(_attribute(e, "certId") for e in within.iter(_name(tag))) if within is not None else {}
    found = (_certificate(e) for id_ in wanted for e in party.findall(_name("Certificate")) if _attribute(e, "certId") == id_)
    return tuple(c for c in found if c is not None)


def _certificate(element: etree._Element) -> x509.Certificate | None:
    text = next((e.text for e in element.iter(f"{{{DS}}}X509Certificate") if e.text), "")
    try:
        return certificate.of_b64("".join(text.split()))
    except ValueError:
        return None


def _whose(element: etree._Element) -> str:
    found = _certificate(element)
    if found is None:
        return "no certificate that can be read"
    return f"{certificate.holder(found)} {certificate.organisation(found)} until {found.not_valid_after_utc:%Y-%m-%d}".strip()
