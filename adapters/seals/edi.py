"""The seal of EDI 2.0: NHN's Meldingstjener signs and encrypts, so that a parcel is what its API takes, and what the carrier fetched there.

Who sent a message, and its id, are the service's words (senderHerId, businessDocumentId). AppRecs go by the API's own call, which writes
them; that of an AppRec that came is the document itself, and is read by the format.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from ebxml import apprec, xml
from ebxml.errors import Violation
from hub.adapter import Agreed, Surroundings, Unopened
from hub.config import Misconfigured
from hub.message import Content, Envelope, Letter, Parcel, Receipt, ReceiptKind
from hub.problem import Problem, Refused

XML = "application/xml"
STATUS = {apprec.OK: "Ok", apprec.REJECTED: "Rejected", apprec.PARTLY: "OkErrorInMessagePart"}
REFUSALS = {
    Problem.UNREADABLE: ("T01", "Ikke XML eller uleselig"), Problem.ALTERED_DUPLICATE: ("E10", "Ugyldig meldingsidentifikator"),
    Problem.INVALID: ("T99", "Annen formatfeil"),
}
"""What a sender is told at once, where no application receipt says it (Volven 8221)."""
OVERRIDES = frozenset({
    "cpaId", "conversationId", "service", "serviceType", "action", "senderRole", "useSenderLevel1HerId", "receiverRole", "applicationName",
    "applicationVersion", "middlewareName", "middlewareVersion", "compressPayload",
})
"""EbXmlInfo of the API."""
DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>\n'


class EdiSeal:
    """hub.adapter.Seal. Settings: `receivers` (receiverHerIdsSubset: of those the document names, only these get it), `ebxml` (ebXmlOverrides: what
    the service would else find out for itself). Whose messages are the partner's, the carrier knows (`senders`)."""

    acknowledges = True
    asks_first = False
    proves = False

    def __init__(self, surroundings: Surroundings) -> None:
        """Raises Misconfigured."""
        settings = surroundings.settings
        self._party, self._own = surroundings.party, surroundings.own_party
        if "senders" in settings:
            raise Misconfigured(f"adapters/{surroundings.name}.toml seal: senders hører hjemme i [carrier] alene")
        self._receivers = [int(her) for her in settings.get("receivers", ())]
        self._overrides: Mapping[str, Any] = settings.get("ebxml", {})
        if unknown := set(self._overrides) - OVERRIDES:
            raise Misconfigured(f"adapters/{surroundings.name}.toml seal: ebxml har ikke {min(unknown)!r}; det er {', '.join(sorted(OVERRIDES))}")

    def agreed(self, function: str, at: datetime) -> Agreed | None:
        return None

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        """A message, or what the service says of one of ours.

        The id is the sender's MsgId, so that a document that was posted twice is one; the conversation is what an AppRec for it is posted under.

        Raises:
            Unopened: NOT_AUTHENTICATED, UNREADABLE.
        """
        told = parcel.headers
        if "edi:message" not in told:
            raise Unopened(Refused(Problem.NOT_AUTHENTICATED, "it was not fetched from the message service"))
        if "edi:letter" in told:
            return self._fate(parcel, told["edi:message"], told["edi:letter"])
        content = Content(parcel.body, told.get("content-type", "").partition(";")[0].strip())
        return Envelope(
            told["edi:document"] or told["edi:message"], self._party, self._own, f"{told['edi:message']}/{told['edi:to']}", content,
            function="AppRec" if told["edi:receipt"] else content.media_type, transport=dict(told),
        )

    def _fate(self, parcel: Parcel, number: str, letter: str) -> Envelope:
        """Acknowledged: it has arrived at the receiver's system. Rejected: it never will. A list of receipts says that it has, too."""
        try:
            entries: list[dict[str, Any]] = orjson.loads(parcel.body)
            states = {entry.get("transportDeliveryState", "Acknowledged") for entry in entries}
        except (ValueError, AttributeError, TypeError) as wrong:
            raise Unopened(Refused(Problem.UNREADABLE, "a status that cannot be read")) from wrong
        state = next((s for s in ("Rejected", "Unconfirmed", "Acknowledged") if s in states), "Unconfirmed")
        kinds = {"Rejected": ReceiptKind.FAILED, "Acknowledged": ReceiptKind.ARRIVED}
        if state not in kinds:
            raise Unopened(Refused(Problem.UNREADABLE, "a status that says nothing yet"))
        receipt = Receipt(kinds[state], letter.lower(), (state,) if state == "Rejected" else ())
        id_, nothing = f"{number}:{letter}:{state}", Content(b"", "")
        return Envelope(id_, self._party, self._own, number, nothing, refers_to=letter, function=state, receipt=receipt)

    def close(self, content: Content, letter: Letter, at: datetime) -> Parcel:
        """What the API takes: PostMessageRequest, or PostAppRecRequest for an AppRec.

        Raises:
            Refused: NOT_SUPPORTED, for an AppRec of what did not come through the service.
        """
        if xml.root_name(content.body).namespace in apprec.NAMESPACES.values():
            try:
                return self._receipt(apprec.read(content.body), letter)
            except Violation as wrong:
                raise Refused(Problem.INVALID, wrong.description, wrong.location) from wrong
        declared = content.body if content.body.startswith(b"<?xml") else DECLARED + content.body
        said: dict[str, Any] = {
            "businessDocument": base64.b64encode(declared).decode(), "contentType": XML, "contentTransferEncoding": "base64",
        }
        if self._receivers:
            said["receiverHerIdsSubset"] = self._receivers
        return self._parcel("Messages", said, letter.id)

    def _receipt(self, receipt: apprec.AppRec, letter: Letter) -> Parcel:
        message, slash, her = letter.conversation.partition("/")
        if not slash:
            raise Refused(Problem.NOT_SUPPORTED, "an AppRec of what did not come through the message service")
        errors = [_error(e.v, " ".join(filter(None, (e.dn, e.ot))), e.dn, e.s) for e in receipt.errors]
        return self._parcel(f"Messages/{message}/apprec/{her}", {"appRecStatus": STATUS[receipt.status], "appRecErrorList": errors}, letter.id)

    def _parcel(self, place: str, said: dict[str, Any], letter: str = "") -> Parcel:
        if self._overrides:
            said["ebXmlOverrides"] = dict(self._overrides)
        named = {"x-message-id": letter} if letter else {}
        return Parcel({"content-type": "application/json", "content-location": place, **named}, orjson.dumps(said))

    def receipt(self, envelope: Envelope, refused: Refused | None, at: datetime) -> Parcel | None:
        """The service has acknowledged it long ago. What nobody can read is rejected, by the one call that needs no document."""
        return None if refused is None else self._refused(refused, envelope)

    def _refused(self, refused: Refused, envelope: Envelope) -> Parcel | None:
        message, slash, her = envelope.conversation.partition("/")
        if refused.problem not in REFUSALS or not slash or envelope.transport.get("edi:receipt"):
            return None
        code, text = REFUSALS[refused.problem]
        error = _error(code, f"{text} {refused.problem.value} {refused.problem.text}", text, apprec.ERRORS)
        return self._parcel(f"Messages/{message}/apprec/{her}", {"appRecStatus": "Rejected", "appRecErrorList": [error]})

    def enquire(self, at: datetime, of: str = "") -> Parcel:
        raise Refused(Problem.NOT_SUPPORTED, "the carrier asks the service itself")

    def confirms(self, receipt: Receipt, sent: Parcel) -> bool:
        return True

    def refusal(self, unopened: Unopened, at: datetime) -> Parcel | None:
        return None if unopened.header is None else self._refused(unopened, unopened.header)


def _error(code: str, details: str, description: str, oid: str) -> dict[str, Any]:
    return {"errorCode": code, "details": details, "description": description, "oid": oid or None}


def edi(surroundings: Surroundings) -> EdiSeal:
    """The entry point `edi`."""
    return EdiSeal(surroundings)
