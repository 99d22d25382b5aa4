"""MsgHead 1.2 with Dialogmelding for people and xCal for machines; AppRec for receipts. The same class serves an EPJ's side."""

from __future__ import annotations

from typing import Any

from adapters.formats import appointments, enclosed, messages
from adapters.formats.appointments import Statuses
from adapters.formats.heads import TEST, Heads, hers
from ebxml import apprec, dialog, msghead, plo, xcal, xml
from ebxml.errors import Violation
from ebxml.kith import DNR, ENH, FNR, HER, Coded, Ident, Party, Person
from hub.adapter import Surroundings
from hub.booking import clock
from hub.booking.conventions import DNR as DNR_SYSTEM
from hub.booking.conventions import FNR as FNR_SYSTEM
from hub.booking.conventions import identifier
from hub.message import Content, Envelope, Letter, Message, Receipt, ReceiptKind, Resource, Resources, Verdict
from hub.problem import Problem, Refused

XML = "application/xml"
PRODID = "-//Besøksbro//NO"
SUBJECT = Coded("6", "Henvendelse om pasient", "2.16.578.1.12.4.1.1.7322")

APPREC: dict[Problem, str] = {
    Problem.UNREADABLE: "T01", Problem.TOO_LARGE: "T99", Problem.UNKNOWN_PARTNER: "E21", Problem.WRONG_PARTY: "E21",
    Problem.BAD_SIGNATURE: "S01", Problem.NOT_COVERED: "S01", Problem.UNSIGNED: "S01", Problem.WRONG_SIGNER: "S02",
    Problem.CERTIFICATE_UNTRUSTED: "S02", Problem.CERTIFICATE_REVOKED: "S03",
    Problem.CERTIFICATE_EXPIRED: "S02", Problem.NOT_DECRYPTABLE: "S99", Problem.ALTERED_DUPLICATE: "E10", Problem.EXPIRED: "X99",
    Problem.NOT_AS_AGREED: "X99", Problem.TEST_MESSAGE: "X99", Problem.RECEIPT_DIFFERS: "X99",
    Problem.UNKNOWN_AGREEMENT: "T10", Problem.MISSING_PART: "T99", Problem.NOT_SUPPORTED: "T10", Problem.NOT_AUTHENTICATED: "S99",
    Problem.INVALID: "T02", Problem.UNKNOWN_CODE: "T99", Problem.UNKNOWN_FUNCTION: "T10", Problem.UNKNOWN_PERSON: "E35",
    Problem.UNKNOWN_SERVICE: "E21", Problem.UNKNOWN_BOOKING: "X99", Problem.OUT_OF_DATE: "X99", Problem.NOT_ALLOWED: "X99",
    Problem.UNKNOWN_REFERENCE: "X99", Problem.OUTSIDE_OPENING_HOURS: "X99", Problem.FULL: "X99", Problem.BEYOND_HORIZON: "X99",
    Problem.TOO_LATE: "X99", Problem.NO_DECISION: "X99", Problem.DECISION_USED_UP: "X99", Problem.IMPOSSIBLE_CHANGE: "X99",
    Problem.OVERLAPS_OWN: "X99", Problem.NO_SUCH_TIME: "X99", Problem.HOLD_EXPIRED: "X99",
    Problem.PAUSED: "X99", Problem.ALREADY_WAITING: "X99", Problem.TIME_IS_FREE: "X99", Problem.OFFER_EXPIRED: "X99",
    Problem.REASON_MISSING: "X99", Problem.LENGTH_NOT_OFFERED: "X99", Problem.PAST: "X99", Problem.OFF_GRID: "X99", Problem.MESSAGE_LENGTH: "X99",
    Problem.MESSAGES_TODAY: "X99", Problem.NO_MESSAGES: "X99", Problem.UNKNOWN_THREAD: "X99", Problem.UNKNOWN_RESOURCE: "X99", Problem.DELETED: "X99",
    Problem.BAD_SEARCH: "X99", Problem.NOT_ACCEPTABLE: "T10", Problem.UNAVAILABLE: "X99", Problem.NOT_DELIVERED: "X99",
    Problem.BAD_TOKEN: "S99", Problem.BAD_PROOF: "S99", Problem.DPOP_NONCE: "S99", Problem.SCOPE_MISSING: "X99", Problem.TOO_MANY: "X99",
    Problem.BAD_CLIENT: "S99", Problem.BAD_GRANT: "X99", Problem.BAD_SUBSCRIPTION: "X99", Problem.BAD_EXPORT: "X99", Problem.MANY_MATCHES: "X99",
    Problem.IN_USE: "X99", Problem.WRONG_MEDIA_TYPE: "T10", Problem.NO_SUCH_INTERACTION: "X99", Problem.BAD_PATCH: "X99",
    Problem.RECEIVER_GONE: "X99", Problem.NOT_SYNTHETIC: "E35", Problem.LOGIN_REFUSED: "S99", Problem.LOGIN_TOO_WEAK: "S99",
    Problem.OTHER_RESOURCE: "X99", Problem.MANDATE_EXISTS: "X99", Problem.MANDATES_ENOUGH: "X99", Problem.MANDATE_TO_SELF: "X99",
    Problem.ATTACHMENT_KIND: "T10", Problem.ATTACHMENTS_TOO_LARGE: "T99",
}
"""Problem → Volven 8221. Our own number stands in OT, so that X99 («annen feil») says more than itself."""
TEXTS = {
    "E10": "Ugyldig meldingsidentifikator", "E21": "Mottaker finnes ikke", "E35": "Pasienten finnes ikke i mottakersystemet",
    "S01": "Ugyldig signatur", "S02": "Ugyldig sertifikat", "S03": "Tilbaketrukket sertifikat",
    "S99": "Annen sikkerhetsfeil", "T01": "Ikke XML eller uleselig",
    "T02": "XML validerer ikke", "T10": "Støtter ikke meldingsformatet", "T99": "Annen formatfeil", "X99": "Annen feil",
}
_DOCUMENTS = {msghead.NAMESPACE, *apprec.NAMESPACES.values()}
"""What is a letter of its own, and no attachment."""
KINDS = {apprec.OK: ReceiptKind.ACCEPTED, apprec.PARTLY: ReceiptKind.ACCEPTED, apprec.REJECTED: ReceiptKind.REJECTED}


class MsgheadFormat:
    """hub.adapter.Format. Settings: `dialog` (1.1 or 1.0), `apprec` (1.1 or 1.0), `own_sub`, `party_sub` (HER-ids of level 2), `test` (messages
    are marked as tests, and such are read)."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._settings = surroundings.settings
        self._functions: dict[str, dict[str, Any]] = dict(surroundings.settings["functions"])
        self._statuses, self._dialog = Statuses.load(surroundings.home), str(surroundings.settings.get("dialog", "1.1"))
        self._own = self._party(surroundings.own_name, surroundings.own_party, self._settings.get("own_sub", ""))
        self._partner = self._party(surroundings.name, surroundings.party, self._settings.get("party_sub", ""))
        self._heads = Heads(hers(self._own), hers(self._partner), self._settings.get("own_sub", ""), bool(self._settings.get("test", False)))

    def _party(self, name: str, her: str, sub: str) -> Party:
        """Two levels, as the message functions for the home services demand; without a level 2 of its own the same HER-id stands in both."""
        return Party(name, (Ident(her, HER),), Party(name, (Ident(sub or her, HER),)))

    def read(self, envelope: Envelope) -> Message:
        """An AppRec is a Receipt; any other function is read as its row says.

        Raises:
            Refused: UNREADABLE, INVALID, UNKNOWN_FUNCTION, UNKNOWN_CODE, NOT_SUPPORTED, and what `Heads.admit` says.
        """
        if any(xml.root_name(also.body).namespace in _DOCUMENTS for also in envelope.attachments):
            raise Refused(Problem.NOT_SUPPORTED, "more than one document in an envelope: nothing of it was kept", "//Body/Manifest")
        try:
            if xml.root_name(envelope.content.body).namespace in apprec.NAMESPACES.values():
                return self._receipt(apprec.read(envelope.content.body))
            message = msghead.read(envelope.content.body, files=False)
        except Violation as wrong:
            raise Refused(Problem.UNREADABLE, wrong.description, wrong.location) from wrong
        self._heads.admit(message, envelope.content.body)
        ways = {row["reads_as"] for row in self._functions.values() if message.type.v in (row["msg_type"], *row.get("also", ()))}
        if "stay" in ways:
            return Resources(self._away(message))
        if "message" in ways and not ("appointment" in ways and _calendars(message)):
            return Resources((messages.stated(message, _whom(message), envelope.content.body, attached=bool(envelope.attachments)),))
        if "appointment" not in ways:
            raise Refused(Problem.UNKNOWN_FUNCTION, "no row of functions.toml reads this MsgInfo/Type", "/MsgHead/MsgInfo/Type")
        return Resources(self._stated(message))

    def _stated(self, message: msghead.MsgHead) -> tuple[Resource, ...]:
        calendars = _calendars(message)
        if not calendars:
            raise Refused(Problem.INVALID, "no calendar document (RFC 6321)", "/MsgHead/Document")
        try:
            events = [event for d in calendars for event in xcal.read(d.content).events]
        except Violation as wrong:
            raise Refused(Problem.INVALID, wrong.description, wrong.location) from wrong
        if not events:
            raise Refused(Problem.INVALID, "a calendar without a vevent", "icalendar/vcalendar/components")
        at = clock.write(message.generated) if message.generated else ""
        return tuple(r for event in events for r in appointments.stated(event, self._statuses, _whom(message), event.categories, at))

    def _away(self, message: msghead.MsgHead) -> tuple[Resource, ...]:
        """A PLO document as a stated Flag: away from when, or home from when. What else it tells is not taken over."""
        documents = [d for d in message.documents if d.content and d.namespace.startswith(plo.NAMESPACE)]
        whom = _whom(message)
        if not documents or whom is None:
            raise Refused(Problem.INVALID, "no PLO document, or nobody whom it is about", "/MsgHead/Document")
        try:
            stay = plo.read(documents[0].content, message.type.v)
        except Violation as wrong:
            raise Refused(Problem.INVALID, wrong.description, wrong.location) from wrong
        happened = stay.at or message.generated
        if happened is None:
            raise Refused(Problem.INVALID, "it does not say when", "/MsgHead/MsgInfo/GenDate")
        at = clock.write(happened)
        period = {"start": at, **({"end": clock.write(stay.until)} if stay.until else {})} if stay.pauses else {"end": at}
        subject = {"type": "Patient", "identifier": whom}
        return ({"resourceType": "Flag", "status": "active" if stay.pauses else "inactive", "subject": subject, "period": period},)

    def _receipt(self, receipt: apprec.AppRec) -> Receipt:
        kind = KINDS.get(receipt.status)
        if kind is None:
            raise Refused(Problem.UNKNOWN_CODE, "AppRec Status is not 1, 2 or 3", "/AppRec/Status")
        codes = tuple(error.v for error in receipt.errors)
        return Receipt(kind, receipt.original_id.lower(), codes, "; ".join(TEXTS.get(code, "") for code in codes).strip("; "))

    def write(self, message: Message, letter: Letter) -> Content:
        """A letter about one Appointment: items are the Appointment, then whom it is for (Patient), the HealthcareService and an Encounter. Or
        one message: the Communication, with its files, then whom it is from or to, the HealthcareService, the Communication it answers and the visit;
        and the RelatedPerson who wrote it.

        Raises:
            Refused: NOT_SUPPORTED, when it is something else; UNKNOWN_CODE, when visit-status.toml has no word for it.
        """
        if not isinstance(message, Resources):
            raise Refused(Problem.NOT_SUPPORTED, "this format writes appointments and messages")
        items = {item["resourceType"]: item for item in message.items}
        row, parent = self._functions[letter.function], letter.refers_to or letter.conversation
        if "Communication" in items and "entry" in row:
            documents: tuple[msghead.Document, ...] = (messages.written(row, message.items, self._dialog, letter.made_at),)
            parent = messages.parent(message.items) or letter.conversation
            if "relation" in row["documents"] and (relative := items.get("RelatedPerson")) is not None:
                documents += (messages.acting(_person(relative), letter.made_at),)
            documents += enclosed.written(message.items, clock.write(letter.made_at))
        elif (appointment := items.get("Appointment")) is not None:
            documents = self._documents(appointment, items.get("Encounter"), items.get("HealthcareService"), letter)
        else:
            raise Refused(Problem.NOT_SUPPORTED, "this format writes appointments and messages")
        patient = items.get("Patient")
        head = msghead.MsgHead(
            type=Coded(row["msg_type"], row["msg_type_dn"]), id=letter.id, generated=letter.made_at, sender=self._own,
            receiver=self._partner, patient=_person(patient) if patient else None, ack="J" if row["answer_due"] else "N",
            processing=TEST if self._heads.test else "", conversation=letter.conversation, parent=parent, documents=documents,
        )
        return Content(msghead.write(head), XML)

    def _documents(
        self, appointment: Resource, encounter: Resource | None, service: Resource | None, letter: Letter,
    ) -> tuple[msghead.Document, ...]:
        word = self._statuses.word(appointment)
        row = self._statuses.words[word]
        name = str((service or {}).get("name", "")) or "hjemmetjeneste"
        issued = clock.write(letter.made_at)
        performer = appointments.performer(appointment)
        roles = (dialog.Role(messages.PERFORMER_ROLE, Person(given=performer)),) if performer else ()
        note = dialog.Entry("Notat", SUBJECT, row["subject"], appointments.sentence(row, name, appointment), roles=roles)
        text = dialog.write(dialog.Dialog((note,), self._dialog))
        event = appointments.event(
            appointment, encounter, word, row, self._own.inner.ident(HER) if self._own.inner else "", name,
            str((service or {}).get("id", "")),
        )
        calendar = xcal.write(xcal.Calendar(PRODID, (event,), letter.made_at))
        return (
            msghead.Document(text, issued=issued, mime_type="text/xml"),
            msghead.Document(calendar, issued=issued, mime_type="application/calendar+xml"),
        )

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        """The AppRec. None for an AppRec (never answered), for what is no MsgHead, and where its row or sender wants none."""
        try:
            message = msghead.read_info(envelope.content.body)
        except Violation:
            return None
        rows = [row for row in self._functions.values() if row["msg_type"] == message.type.v]
        if message.ack == "N" or (rows and not any(row["answer_due"] for row in rows)):
            return None
        if message.ack == "F" and verdict.accepted:
            return None
        status = apprec.OK if verdict.accepted else apprec.REJECTED
        receipt = apprec.AppRec(
            id=letter.id, generated=letter.made_at, sender=message.receiver, receiver=message.sender, status=status,
            original_type=message.type, original_issued=message.generated_text, original_id=message.id,
            errors=(_error(verdict.problem),) if verdict.problem else (), version=str(self._settings.get("apprec", "1.1")),
        )
        return Content(apprec.write(receipt), XML)


def _calendars(message: msghead.MsgHead) -> list[msghead.Document]:
    return [d for d in message.documents if d.content and d.namespace == xcal.NAMESPACE]


def _error(problem: Problem) -> Coded:
    code = APPREC[problem]
    return Coded(code, TEXTS[code], apprec.ERRORS, f"{problem.value} {problem.text}")


def _whom(message: msghead.MsgHead) -> Resource | None:
    """The patient's national number as a FHIR identifier; None where none is told."""
    systems = {FNR: FNR_SYSTEM, DNR: DNR_SYSTEM}
    told = message.patient.idents if message.patient else ()
    return next(({"system": systems[i.type], "value": i.id} for i in told if i.type in systems), None)


def _person(patient: Resource) -> Person:
    name: dict[str, Any] = next(iter(patient.get("name") or ()), {})
    numbers = ((FNR, identifier(patient, FNR_SYSTEM)), (DNR, identifier(patient, DNR_SYSTEM)))
    return Person(
        family=str(name.get("family", "")), given=" ".join(name.get("given") or ()), born=str(patient.get("birthDate", "")),
        idents=tuple(Ident(value, kind) for kind, value in numbers if value),
    )


def msghead_format(surroundings: Surroundings) -> MsgheadFormat:
    """The entry point `msghead`."""
    return MsgheadFormat(surroundings)


__all__ = ["APPREC", "ENH", "MsgheadFormat", "msghead_format"]
