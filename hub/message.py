"""What crosses the border, from bytes to meaning: Parcel, Envelope, Content, Message, Verdict. All frozen, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from hub.problem import Problem, Refused

Resource = dict[str, Any]
"""A FHIR R4 resource as JSON values. Treated as immutable: change a copy."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes and headers as they travel. Header names are lower case. `status` is the HTTP status where one applies."""

    headers: Mapping[str, str]
    body: bytes
    status: int = 200
    trouble: Refused | None = None
    """Set when the carrier knows that this is no letter (a bounce, an automatic reply, one too large): kept and shown, never opened."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is inside an envelope: one document (MsgHead, JSON …) with its media type."""

    body: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """SHA-256 in hex; two deliveries of one message have the same."""
        return hashlib.sha256(self.body).hexdigest()


class ReceiptKind(StrEnum):
    """How far a message came, by the partner's own words."""

    ARRIVED = "arrived"    # transport receipt: ebMS Acknowledgment, HTTP 2xx, AMQP accepted
    ACCEPTED = "accepted"  # application receipt, positive: AppRec 1 or 3
    REJECTED = "rejected"  # application receipt, negative: AppRec 2
    FAILED = "failed"      # transport error: ebMS MessageError with severity Error


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a partner says of a letter of ours."""

    kind: ReceiptKind
    refers_to: str
    """The id of our letter (`Letter.id`), as the partner repeats it."""
    codes: tuple[str, ...] = ()
    """The partner's own codes, e.g. `E35`, `SecurityFailure`."""
    detail: str = ""
    """The partner's text; shown to operators only."""
    repeats: tuple[str, ...] = ()
    """The digests of what was signed in our letter, as a signed receipt repeats them (ebMS ds:Reference). Empty: only the id is proof."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Facts, as the sender states them: partial FHIR resources that `hub.booking` weighs against what is stored.

    How an Appointment is stated is told in docs/flow.md ("Stated appointments").
    """

    items: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody waits for an answer (free times, planned visits). `name` is a row in mappings/functions.toml."""

    name: str
    about: Resource


Message = Resources | Receipt | Question


@dataclass(frozen=True, slots=True)
class Enquiry:
    """One message handler asks another, or answers (ebMS Ping, StatusRequest). The seal answers it; nothing inside is read or filed."""

    about: str = ""
    """The asker's own message id whose fate it asks; empty: only whether we are there."""
    received: datetime | None = None
    """When that message was filed; None: the asker has none of that id here."""
    accepted: bool = False
    """It was handed on without a problem."""


LONGEST_ID = 400
"""Characters of an id in an envelope: no partner needs more, and no database can look up much more."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An opened parcel: who says it, under which id, and what was tolerated while opening it."""

    id: str
    """The sender's own message id: unique per sender. For ebXML the eb:MessageId."""
    sender: str
    """The partner's party id, e.g. a HER-id."""
    receiver: str
    conversation: str
    content: Content
    """Empty body for a signal (Acknowledgment, MessageError)."""
    sent_at: datetime | None = None
    expires: datetime | None = None
    refers_to: str | None = None
    function: str = ""
    """What the transport calls it, e.g. `service/action`; for logs and the timeline."""
    receipt: Receipt | None = None
    """Set when the envelope itself is a transport receipt; then there is nothing to read inside."""
    carried: Receipt | None = None
    """A transport receipt that rode along with a letter (ebMS: an Acknowledgment on a business answer)."""
    enquiry: Enquiry | None = None
    attachments: tuple[Content, ...] = ()
    """Every payload after the first, in the order its sender lists them."""
    answered_by: str = "receipt"
    """The function (a row in mappings/functions.toml) by which an application receipt for it goes."""
    wants_receipt: bool = False
    """The sender asked for a transport receipt."""
    wants_reply: bool = False
    """The receipt goes straight back on the same connection; else it is owed as a letter."""
    transport: Mapping[str, str] = field(default_factory=dict)
    """What the seal needs later to answer (ids, references, digests); opaque to everyone else."""
    remarks: tuple[str, ...] = ()
    """Each deviation that was tolerated, in English."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all that it carries, or of which letter it says what; two deliveries of one message have the same."""
        if self.receipt is not None:
            return hashlib.sha256(f"{self.receipt.kind} {self.receipt.refers_to}".encode()).hexdigest()
        if not self.attachments:
            return self.content.digest
        return hashlib.sha256("".join(c.digest for c in (self.content, *self.attachments)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Letter:
    """What an outgoing content is sent under. The id is the same on every try."""

    id: str
    conversation: str
    function: str
    """A row in mappings/functions.toml, e.g. `booking`, `receipt`."""
    made_at: datetime
    expires: datetime | None = None
    refers_to: str | None = None
    """The message id that this letter answers."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Our answer to one envelope: a problem or none, and what went straight back."""

    problem: Problem | None = None
    detail: str = ""
    where: str = ""
    about: tuple[str, ...] = ()
    """References of the resources it became, e.g. `Appointment/…`."""
    instead: tuple[tuple[datetime, datetime], ...] = ()
    """Free times nearest to one that could not be had; told in the answer, and not kept."""

    @property
    def accepted(self) -> bool:
        return self.problem is None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes straight back for one parcel, and what we thought of it."""

    verdict: Verdict
    parcel: Parcel | None
    duplicate: bool = False
    """It came before: this is the stored answer."""
    later: bool = False
    """The sender does not wait for it on this connection: it goes to the sender's own address (ebMS 2.0 without SyncReply)."""


def answer_parcel(content: Content | None, verdict: Verdict) -> Parcel | None:
    """An application receipt that goes straight back over HTTP: 200, or 422 when something must be changed."""
    return None if content is None else Parcel({"content-type": content.media_type}, content.body, 200 if verdict.accepted else 422)
