"""Drafts a CPA 2.0 from two parties' facts (`besoksbro cpa make`): valid by cpp-cpa-2_0.xsd, status `proposed` until both have agreed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from ebxml import certificate
from ebxml.algorithms import RSA_SHA256, SHA256
from ebxml.cpa import DS, NAMESPACE, XLINK
from ebxml.kith import attribute, instant, text

_SENDS, _TAKES = "CanSend", "CanReceive"
_PROMISES = (
    'tp:isNonRepudiationRequired="true" tp:isNonRepudiationReceiptRequired="true" tp:isConfidential="none" tp:isAuthenticated="persistent" '
    'tp:isTamperProof="persistent" tp:isAuthorizationRequired="true"'
)


@dataclass(frozen=True, slots=True)
class Side:
    """What one party has to tell. Certificates stand for signing and for encryption to it."""

    name: str
    her: str
    endpoint: str
    """`https://…` or `mailto:…`: it decides the transport."""
    signing: x509.Certificate
    encryption: x509.Certificate


@dataclass(frozen=True, slots=True)
class Exchange:
    """One action: which side sends it, from which role to which."""

    service: str
    action: str
    from_role: str
    to_role: str
    sender: int
    """0 or 1: the first or the second side."""


@dataclass(frozen=True, slots=True)
class Draft:
    """All of an agreement. The reliability is the national default (facts/ebxml.md 3)."""

    id: str
    sides: tuple[Side, Side]
    exchanges: Sequence[Exchange]
    start: datetime
    end: datetime
    sync: bool = True
    """HTTP only: receipts come on the same connection."""
    retries: int = 5
    retry_interval: str = "PT12H"
    persist: str = "P3D"
    packed: bool = field(default=False)


def make(draft: Draft) -> bytes:
    """The CPA as UTF-8 XML. Raises ValueError without an exchange."""
    if not draft.exchanges:
        raise ValueError("an agreement needs something to exchange")
    parties = "".join(_party(draft, number) for number in (0, 1))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<tp:CollaborationProtocolAgreement xmlns:tp="{NAMESPACE}" xmlns:xlink="{XLINK}" '
        f'xmlns:ds="{DS}" tp:cpaid={attribute(draft.id)} tp:version="2_0b"><tp:Status tp:value="proposed"/>'
        f"<tp:Start>{instant(draft.start)}</tp:Start><tp:End>{instant(draft.end)}</tp:End>{parties}{_packaging(draft.packed)}"
        "</tp:CollaborationProtocolAgreement>"
    ).encode()


def _party(draft: Draft, number: int) -> str:
    side, at = draft.sides[number], "AB"[number]
    roles = dict.fromkeys((e.service, e.from_role if e.sender == number else e.to_role) for e in draft.exchanges)
    return (
        f'<tp:PartyInfo tp:partyName={attribute(side.name)} tp:defaultMshChannelId="{at}_channel" tp:defaultMshPackageId="signal">'
        f'<tp:PartyId tp:type="HER">{text(side.her)}</tp:PartyId><tp:PartyRef xlink:type="simple" xlink:href="urn:her:{text(side.her)}"/>'
        f"{''.join(_role(draft, number, index, *role) for index, role in enumerate(roles))}"
        f"{_certificate(f'{at}_sign', side.signing)}{_certificate(f'{at}_enc', side.encryption)}"
        f'<tp:DeliveryChannel tp:channelId="{at}_channel" tp:transportId="{at}_transport" tp:docExchangeId="{at}_exchange">'
        f'<tp:MessagingCharacteristics tp:syncReplyMode="{_sync(draft, side)}" tp:ackRequested="always" tp:ackSignatureRequested="always" '
        f'tp:duplicateElimination="always"/></tp:DeliveryChannel>{_transport(side, at)}{_exchange(draft, at)}</tp:PartyInfo>'
    )


def _sync(draft: Draft, side: Side) -> str:
    return "mshSignalsOnly" if draft.sync and not side.endpoint.startswith("mailto:") else "none"


def _role(draft: Draft, number: int, index: int, service: str, role: str) -> str:
    at = "AB"[number]
    rows: dict[str, list[str]] = {_SENDS: [], _TAKES: []}
    for row, e in enumerate(draft.exchanges):
        sends = e.sender == number
        if (e.service, e.from_role if sends else e.to_role) != (service, role):
            continue
        word = _SENDS if sends else _TAKES
        rows[word].append(
            f'<tp:{word}><tp:ThisPartyActionBinding tp:id="{at}_{row}" tp:action={attribute(e.action)} tp:packageId="letter">'
            f"<tp:BusinessTransactionCharacteristics {_PROMISES}/><tp:ChannelId>{at}_channel</tp:ChannelId></tp:ThisPartyActionBinding>"
            f"<tp:OtherPartyActionBinding>{'BA'[number]}_{row}</tp:OtherPartyActionBinding></tp:{word}>",
        )
    href = f"urn:service:{index}"
    return (
        f'<tp:CollaborationRole><tp:ProcessSpecification tp:name={attribute(service)} tp:version="1.0" xlink:type="simple" xlink:href="{href}"/>'
        f'<tp:Role tp:name={attribute(role)} xlink:type="simple" xlink:href="{href}"/><tp:ApplicationCertificateRef tp:certId="{at}_enc"/>'
        f'<tp:ServiceBinding><tp:Service tp:type="string">{text(service)}</tp:Service>{"".join(rows[_SENDS] + rows[_TAKES])}</tp:ServiceBinding>'
        "</tp:CollaborationRole>"
    )


def _certificate(id_: str, each: x509.Certificate) -> str:
    shown = f"<ds:X509Data><ds:X509Certificate>{certificate.b64(each)}</ds:X509Certificate></ds:X509Data>"
    return f'<tp:Certificate tp:certId="{id_}"><ds:KeyInfo>{shown}</ds:KeyInfo></tp:Certificate>'


def _transport(side: Side, at: str) -> str:
    protocol = '<tp:TransportProtocol tp:version="1.1">HTTP</tp:TransportProtocol>'
    if side.endpoint.startswith("mailto:"):
        protocol = "<tp:TransportProtocol>SMTP</tp:TransportProtocol>"
    return (
        f'<tp:Transport tp:transportId="{at}_transport"><tp:TransportSender>{protocol}</tp:TransportSender><tp:TransportReceiver>{protocol}'
        f'<tp:Endpoint tp:uri={attribute(side.endpoint)} tp:type="allPurpose"/></tp:TransportReceiver></tp:Transport>'
    )


def _exchange(draft: Draft, at: str) -> str:
    reliable = (
        f"<tp:ReliableMessaging><tp:Retries>{draft.retries}</tp:Retries><tp:RetryInterval>{text(draft.retry_interval)}</tp:RetryInterval>"
        "<tp:MessageOrderSemantics>NotGuaranteed</tp:MessageOrderSemantics></tp:ReliableMessaging>"
        f"<tp:PersistDuration>{text(draft.persist)}</tp:PersistDuration>"
    )
    how = (
        f'<tp:NonRepudiationProtocol tp:version="1.0">{DS}</tp:NonRepudiationProtocol><tp:HashFunction>{SHA256}</tp:HashFunction>'
        f'<tp:SignatureAlgorithm tp:w3c="{RSA_SHA256}">{RSA_SHA256}</tp:SignatureAlgorithm>'
    )
    return (
        f'<tp:DocExchange tp:docExchangeId="{at}_exchange"><tp:ebXMLSenderBinding tp:version="2.0">{reliable}<tp:SenderNonRepudiation>{how}'
        f'<tp:SigningCertificateRef tp:certId="{at}_sign"/></tp:SenderNonRepudiation></tp:ebXMLSenderBinding>'
        f'<tp:ebXMLReceiverBinding tp:version="2.0">{reliable}<tp:ReceiverNonRepudiation>{how}</tp:ReceiverNonRepudiation>'
        "</tp:ebXMLReceiverBinding></tp:DocExchange>"
    )


def _packaging(packed: bool) -> str:
    able = '<tp:ProcessingCapabilities tp:parse="true" tp:generate="true"/>'
    parts = '<tp:SimplePart tp:id="header" tp:mimetype="text/xml"/><tp:SimplePart tp:id="payload" tp:mimetype="application/xml"/>'
    inner = '<tp:Constituent tp:idref="payload"/>'
    zipped = f'<tp:Encapsulation tp:id="packed" tp:mimetype="application/x-gzip">{inner}</tp:Encapsulation>' if packed else ""
    sealed = (
        '<tp:Encapsulation tp:id="sealed" tp:mimetype="application/pkcs7-mime" tp:mimeparameters="smime-type=&quot;enveloped-data&quot;">'
        f'<tp:Constituent tp:idref="{"packed" if packed else "payload"}"/></tp:Encapsulation>'
    )

    def related(id_: str, *refs: str) -> str:
        rows = "".join(f'<tp:Constituent tp:idref="{ref}"/>' for ref in refs)
        return f'<tp:Composite tp:id="{id_}" tp:mimetype="multipart/related" tp:mimeparameters="type=text/xml">{rows}</tp:Composite>'

    return (
        f'{parts}<tp:Packaging tp:id="signal">{able}<tp:CompositeList>{related("signal_message", "header")}</tp:CompositeList></tp:Packaging>'
        f'<tp:Packaging tp:id="letter">{able}<tp:CompositeList>{zipped}{sealed}{related("letter_message", "header", "sealed")}</tp:CompositeList>'
        "</tp:Packaging>"
    )
