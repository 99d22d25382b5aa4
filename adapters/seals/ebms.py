"""The Norwegian ebXML seal: CMS around the content, ebMS 2.0 around that, signed over envelope and parts. Receipts and errors as it says."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from datetime import datetime
from typing import Any

import orjson
from lxml import etree

from adapters.registries import agreements
from adapters.seals.codes import EBMS, as_refused
from adapters.seals.payloads import Payloads
from adapters.seals.ring import ring_of
from ebxml import cms, envelope, gzip, kith, mime, signature, xml
from ebxml.envelope import EbError, EbParty, Header, MessageStatus, PartyId, Status
from ebxml.errors import ErrorCode, Fault, Violation
from hub.adapter import Agreed, Surroundings, Unopened
from hub.message import Content, Enquiry, Envelope, Letter, Parcel, Receipt, ReceiptKind
from hub.problem import Problem, Refused

PAYLOAD = "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"
_DIGEST = re.compile(rb"<ds:DigestValue>([^<]+)</ds:DigestValue>")
FAULT_AT = "//Body/Fault"
_NOT_THERE = (MessageStatus.UNAUTHORIZED, MessageStatus.NOT_RECOGNIZED)
SOAP_FAULT = (
    '<SOAP:Envelope xmlns:SOAP="http://schemas.xmlsoap.org/soap/envelope/"><SOAP:Body><SOAP:Fault><faultcode>SOAP:{}</faultcode>'
    "<faultstring>{}</faultstring></SOAP:Fault></SOAP:Body></SOAP:Envelope>"
)


class EbmsSeal:
    """hub.adapter.Seal. Settings: `domain` (right side of our message ids), `agreement` (a CPA's file name) or `cpa_id`, `agreement_status`,
    `sync` (ask for the receipt on the same connection), `status` (the partner answers StatusRequest: it is asked before a letter is sent again;
    only with `sync`, since elsewhere the question takes as long as the letter), `legacy` (SHA-1 and 3DES are accepted from this partner),
    `plain` (unencrypted payloads are accepted; test traffic only), `certificates` (whom we believe: adapters/registries/trust.py)."""

    acknowledges = True
    proves = True

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._own, self._partner = surroundings.own_party, surroundings.party
        self._functions: dict[str, dict[str, Any]] = dict(settings["functions"])
        self._domain = str(settings.get("domain", "besoksbro.example"))
        self.agreement = agreements.agreement(surroundings.home / "certs" / "agreements", self._own, self._partner, settings)
        self._answered_by = self._receipts()
        self.asks_first = bool(settings.get("status", False)) and self.agreement.sync
        self._legacy = bool(settings.get("legacy", False))
        self._ring = ring_of(surroundings, self.agreement, Payloads((), self._legacy, bool(settings.get("plain", False))))
        self._software = json.dumps({"MSH-system": "Besoksbro", "MSH-versjon": "0.1", "fagsystem": "Besoksbro", "fagsystem-versjon": "0.1"})

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        """The steps of facts/ebxml.md 7.4, each stopping the rest. Raises Unopened; Unavailable when nobody can say if a signer is revoked."""
        header: Header | None = None
        try:
            package = mime.read(parcel.headers, parcel.body)
            root = xml.parse(package.root.body, charset=package.root.charset)
            _not_a_fault(root)
            header = envelope.read(root)
            self._parties(header)
            self._agreed(header, at)
            examined, said = self._signature(root, package, header, at)
            contents = self._ring().payloads.read(package, header)
        except (Violation, Refused) as wrong:
            header = wrong.header if isinstance(wrong, envelope.Unheeded) else header
            known = self._envelope(header, (), ()) if header else None
            raise Unopened(as_refused(wrong), known) from wrong
        return self._envelope(header, contents, (*package.remarks, *said), examined)

    def _parties(self, header: Header) -> None:
        for name, said, agreed in (("From", header.sender.her, self._partner), ("To", header.receiver.her, self._own)):
            if said != agreed:
                raise Violation(ErrorCode.INCONSISTENT, f"{name} is not this agreement's", f"//Header/MessageHeader/{name}", Fault.WRONG_PARTY)
        if header.version != "2.0":
            raise Violation(ErrorCode.INCONSISTENT, "another version of ebMS than 2.0", "//Header/MessageHeader/@version", Fault.NOT_AS_AGREED)
        if header.order is not None:
            raise Violation(ErrorCode.NOT_SUPPORTED, "MessageOrder is not used in Norway", "//Header/MessageOrder", Fault.NOT_SUPPORTED)

    def _agreed(self, header: Header, at: datetime) -> None:
        """Service, action, role and direction by the CPA, where there is one; signals that nobody asked for."""
        if header.signal and not (header.acknowledges or header.errors or header.status or header.action == envelope.PONG):
            raise Violation(ErrorCode.OTHER_XML, "a signal that says nothing", "//Header")
        if header.service == envelope.SIGNAL_SERVICE and not header.signal and not header.enquiry:
            where = "//Header/MessageHeader/Action"
            raise Violation(ErrorCode.NOT_SUPPORTED, "no action of the message service's", where, Fault.NOT_SUPPORTED)
        if header.action == envelope.STATUS_REQUEST and header.enquiry and not header.status_of:
            raise Violation(ErrorCode.OTHER_XML, "a StatusRequest that does not say of what", "//Body/StatusRequest")
        if not self.agreement.formal or header.signal:  # what is said of a letter counts past the agreement's end, and names the id that is wrong
            return
        if header.cpa_id != self.agreement.id or not self.agreement.in_force(at):
            where = "//Header/MessageHeader/CPAId"
            raise Violation(ErrorCode.VALUE_NOT_RECOGNIZED, "no agreement in force has this id", where, Fault.UNKNOWN_AGREEMENT)
        if not header.enquiry:
            self.agreement.terms((header.sender.role, header.service, header.action), ours=False).must_be_kept(header)

    def _signature(
        self, root: etree._Element, package: mime.Package, header: Header, at: datetime,
    ) -> tuple[signature.Examined | None, tuple[str, ...]]:
        listed = [package.part(href) for href in header.manifest]
        if None in listed:
            lacking = header.manifest[listed.index(None)][:200]
            raise Violation(ErrorCode.MIME_PROBLEM, "a part of the Manifest is missing", lacking, Fault.MISSING_PART)
        if sorted(map(id, listed)) != sorted(map(id, package.parts)):
            raise Violation(
                ErrorCode.SECURITY_FAILURE, "a part that is not in the Manifest, or stands there twice", "//Body/Manifest", Fault.NOT_COVERED,
            )

        def fetch(uri: str) -> bytes | None:
            part = package.part(uri)
            return part.body if part else None

        if self._agreed_unsigned(header) and not listed:
            return None, ("not signed, as the agreement has it of receipts",)
        ring = self._ring()
        examined = signature.verify(root, fetch, header.manifest, ring.partner.sign, legacy=self._legacy)
        if examined.signer is None:
            raise Violation(ErrorCode.SECURITY_FAILURE, "SignatureValue does not hold", "//Header/Signature", Fault.BAD_SIGNATURE)
        return examined, (*examined.remarks, *ring.trust.demand(examined.signer, "sign", at))

    def _agreed_unsigned(self, header: Header) -> bool:
        """A receipt without a signature counts only where a CPA says that receipts have none. It moves a letter to `arrived` and no further:
        what the application says is a letter, and those are always signed."""
        receipt = header.signal and bool(header.acknowledges) and not header.errors
        return receipt and not header.signed and self.agreement.formal and self.agreement.ack == "unsigned"

    def _envelope(
        self, header: Header, contents: tuple[Content, ...], remarks: tuple[str, ...], examined: signature.Examined | None = None,
    ) -> Envelope:
        receipt = _receipt(header)
        references = [[uri, element.decode()] for uri, element in examined.references] if examined else []
        transport = {
            "role_from": header.sender.role, "role_to": header.receiver.role, "cpa": header.cpa_id, "signal": "1" if header.signal else "",
            "references": orjson.dumps(references).decode() if header.ack_requested == "signed" else "[]",
        }
        return Envelope(
            id=header.message_id, sender=self._partner, receiver=self._own, conversation=header.conversation_id,
            content=contents[0] if contents else Content(b"", ""), attachments=contents[1:],
            sent_at=header.timestamp, expires=header.time_to_live, refers_to=header.ref_to_message_id or header.acknowledges or None,
            function=f"{header.service}/{header.action}", receipt=receipt if header.signal else None,
            carried=None if header.signal else receipt, enquiry=_enquiry(header),
            answered_by=self._answered_by.get((header.service, header.action), "receipt"),
            wants_receipt=bool(header.ack_requested), wants_reply=header.sync_reply, transport=transport, remarks=(*header.remarks, *remarks),
        )

    def _receipts(self) -> dict[tuple[str, str], str]:
        """Service and action → the row by which an AppRec for it goes: under the service of what it answers (facts/ebxml.md 9.2, rule 1), where
        the answered row names one that is agreed."""
        found: dict[tuple[str, str], str] = {}
        for answered in self._functions.values():
            named = str(answered.get("receipt", ""))
            row = self._functions.get(named)
            agreed = row is not None and self.agreement.allows((row["from_role"], row["service"], row["action"]), ours=True)
            found.setdefault((answered.get("service", ""), answered.get("action", "")), named if agreed else "receipt")
        return found

    def agreed(self, function: str, at: datetime) -> Agreed | None:
        """The CPA's Retries, RetryInterval and PersistDuration, by the calendar from `at` (facts/ebxml.md 7.2); None without a CPA."""
        row = self._functions.get(function)
        if row is None or not self.agreement.formal:
            return None
        try:
            terms = self.agreement.terms((row["from_role"], row["service"], row["action"]), ours=True)
            return Agreed(terms.retry_interval.after(at) - at, terms.time_to_live(at) - at)
        except (Violation, OverflowError):  # not agreed: closing the letter refuses it in so many words
            return None

    def close(self, content: Content, letter: Letter, at: datetime) -> Parcel:
        """One letter, sealed. Its MessageId is the letter's id at our domain, the same at every sealing. Raises Refused, Unavailable."""
        row = self._functions.get(letter.function)
        if row is None or not self.agreement.allows((row["from_role"], row["service"], row["action"]), ours=True):
            raise Refused(Problem.UNKNOWN_AGREEMENT, f"{letter.function} is not agreed with this partner")
        try:
            terms = self.agreement.terms((row["from_role"], row["service"], row["action"]), ours=True)
        except Violation as unusable:
            raise Refused(Problem.UNKNOWN_AGREEMENT, f"{letter.function}: {unusable.description}") from unusable
        ring = self._ring()
        ring.trust.demand(ring.partner.encrypt, "encrypt", at)
        part_id = f"{letter.id}.payload@{self._domain}"
        sealed = cms.envelop(gzip.pack(content.body) if terms.pack else content.body, ring.partner.encrypt)
        header = Header(
            sender=EbParty((PartyId(self._own),), row["from_role"]), receiver=EbParty((PartyId(self._partner),), row["to_role"]),
            cpa_id=self.agreement.id, conversation_id=letter.conversation or letter.id, service=row["service"], service_type="string",
            action=row["action"], message_id=f"{letter.id}@{self._domain}", timestamp=at, ref_to_message_id=letter.refers_to or "",
            time_to_live=letter.expires, duplicate_elimination=terms.duplicate_elimination, description=self._software,
            ack_requested=terms.ack, sync_reply=terms.sync, manifest=(f"cid:{part_id}",),
        )
        return self._sealed(header, [(part_id, PAYLOAD, sealed)])

    def _sealed(self, header: Header, parts: list[tuple[str, str, bytes]], status: int = 200) -> Parcel:
        ring = self._ring()
        soap = signature.sign(envelope.write(header), [(f"cid:{cid}", body) for cid, _, body in parts], ring.keys.sign.key, ring.shown)
        boundary = f"=_{secrets.token_hex(16)}" if parts else ""
        headers, body = mime.write(soap, parts, boundary, f"{secrets.token_hex(16)}@{self._domain}")
        return Parcel({**headers, "soapaction": '"ebXML"'}, body, status)

    def receipt(self, envelope_: Envelope, refused: Refused | None, at: datetime) -> Parcel | None:
        """A signed Acknowledgment that repeats what was signed, or a signed MessageError. None where none is asked for, and for signals."""
        if envelope_.transport.get("signal"):
            return None
        if refused is not None:
            return self._error(envelope_, refused, at)
        if envelope_.enquiry is not None:
            return self._sealed(self._signal(envelope_, at=at, **_told(envelope_.enquiry)), [])
        if not envelope_.wants_receipt:
            return None
        references = tuple((uri, element.encode()) for uri, element in orjson.loads(envelope_.transport.get("references", "[]")))
        return self._sealed(
            self._signal(envelope_, envelope.ACKNOWLEDGMENT, at, acknowledges=envelope_.id, references=references), [],
        )

    def confirms(self, receipt: Receipt, sent: Parcel) -> bool:
        """Digests are compared, not URIs: those the other side may write differently. A receipt may repeat fewer than we signed, even only the
        envelope's, and none of them may be another."""
        return {digest.encode() for digest in receipt.repeats} <= set(_DIGEST.findall(sent.body))

    def enquire(self, at: datetime, of: str = "") -> Parcel:
        """A question to the partner's message handler: what became of our letter `of` (StatusRequest); without one, whether it is there (Ping)."""
        header = Header(
            sender=EbParty((PartyId(self._own),)), receiver=EbParty((PartyId(self._partner),)), cpa_id=self.agreement.id,
            conversation_id=of or str(uuid.uuid4()), service=envelope.SIGNAL_SERVICE, message_id=f"{uuid.uuid4()}@{self._domain}", timestamp=at,
            action=envelope.STATUS_REQUEST if of else envelope.PING, status_of=f"{of}@{self._domain}" if of else "", sync_reply=self.agreement.sync,
        )
        return self._sealed(header, [])

    def _signal(self, to: Envelope, action: str, at: datetime, **said: Any) -> Header:
        """A signal back: parties and roles swapped, the same agreement and conversation, and what it says."""
        return Header(
            sender=EbParty((PartyId(self._own),), to.transport.get("role_to", "")),
            receiver=EbParty((PartyId(self._partner),), to.transport.get("role_from", "")), cpa_id=to.transport.get("cpa") or self.agreement.id,
            conversation_id=to.conversation or to.id, service=envelope.SIGNAL_SERVICE, action=action,
            message_id=f"{uuid.uuid4()}@{self._domain}", timestamp=at, ref_to_message_id=to.id, **said,
        )

    def _error(self, to: Envelope, refused: Refused, at: datetime) -> Parcel:
        told = EbError(EBMS[refused.problem].value, "Error", f"{refused.problem.value} {refused.detail}", refused.where)
        return self._sealed(self._signal(to, envelope.MESSAGE_ERROR, at, errors=(told,), highest_severity="Error"), [])

    def refusal(self, unopened: Unopened, at: datetime) -> Parcel | None:
        """A MessageError where there is somebody to tell; a SOAP Fault where nothing could be read; nothing to a broken signal or a Fault."""
        if unopened.where == FAULT_AT:
            return None
        if unopened.header is None:
            code = "MustUnderstand" if unopened.problem is Problem.NOT_SUPPORTED else "Client"
            fault = SOAP_FAULT.format(code, kith.text(f"{unopened.problem.value} {unopened.detail}"))
            return Parcel({"content-type": "text/xml; charset=UTF-8"}, fault.encode(), 500)
        return self.receipt(unopened.header, unopened, at)


def _not_a_fault(root: etree._Element) -> None:
    body = xml.inside(root, envelope.SOAP).get("Body")
    if root.tag == f"{{{envelope.SOAP}}}Envelope" and "Fault" in xml.inside(body, envelope.SOAP):
        raise Violation(ErrorCode.DELIVERY_FAILURE, "a SOAP Fault: the partner could not read what we sent", FAULT_AT)


def _enquiry(header: Header) -> Enquiry | None:
    """A question to us as a message handler, or an answer to ours that settles nothing (Pong, a status that only says «unknown»)."""
    answer = header.signal and not header.acknowledges and _receipt(header) is None
    return Enquiry(header.status_of) if header.enquiry or answer else None


def _told(enquiry: Enquiry) -> dict[str, Any]:
    """Pong, or the status of a message of the asker's own. An unknown id and somebody else's are told alike: ids cannot be probed."""
    if not enquiry.about:
        return {"action": envelope.PONG}
    known = MessageStatus.PROCESSED if enquiry.accepted else MessageStatus.RECEIVED
    status = Status(known if enquiry.received else MessageStatus.UNAUTHORIZED, enquiry.about, enquiry.received)
    return {"action": envelope.STATUS_RESPONSE, "status": status}


def _receipt(header: Header) -> Receipt | None:
    """What a signal says; of two contradicting words the worse one. Our ids are `<letter id>@<domain>`; the partner repeats them whole.

    None also for a DeliveryFailure that is a Warning: who sent it on does not know if it came through, so that the letter is sent again.
    """
    codes = tuple(e.code for e in header.errors)
    failed = bool(codes) and (header.highest_severity != "Warning" or any(e.severity == "Error" for e in header.errors))
    if header.status is not None and header.signal and header.status.status not in _NOT_THERE:
        return Receipt(ReceiptKind.ARRIVED, _bare(header.status.of), (header.status.status.value,))
    if header.acknowledges and not failed:
        return Receipt(ReceiptKind.ARRIVED, _bare(header.acknowledges), repeats=envelope.repeated(header))
    if failed or (codes and ErrorCode.DELIVERY_FAILURE not in codes):
        detail = "; ".join(e.description for e in header.errors)[:500]
        return Receipt(ReceiptKind.FAILED if failed else ReceiptKind.ARRIVED, _bare(header.ref_to_message_id or header.acknowledges), codes, detail)
    return None


def _bare(message_id: str) -> str:
    """The letter's id. Ours are UUIDs in small letters; systems that keep them as numbers write them back in capitals."""
    return message_id.partition("@")[0].strip("<> ").lower()


def ebms(surroundings: Surroundings) -> EbmsSeal:
    """The entry point `ebms`. Raises MissingCertificate."""
    return EbmsSeal(surroundings)
