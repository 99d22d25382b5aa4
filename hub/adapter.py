"""The ports: what a Carrier, a Seal and a Format are, and the Adapter that joins one of each to one partner.

`message → write → content → seal → parcel → send` going out; `receive → open → read` coming in. Formats and seals are pure
(clock and randomness are arguments or injected keys); carriers do the I/O. All are plain synchronous functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from hub.delivery import Patience
from hub.message import LONGEST_ID, Content, Envelope, Letter, Message, Parcel, Receipt, Verdict
from hub.problem import Problem, Refused


class Carrier(Protocol):
    """Moves bytes. The only part that does I/O."""

    def send(self, parcel: Parcel) -> Parcel | None:
        """Hands the parcel over; the partner's immediate answer, if any, comes back.

        Raises:
            Unavailable: not handed over, or nobody can know whether it was.
            Refused: the partner will never take it like this (HTTP 4xx, SMTP 5xx).
        """
        ...

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        """Parcels that lie waiting (folder, mailbox, queue), each with what to call once it is stored."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a partner and we have agreed of trying again (a CPA's Retries, RetryInterval, PersistDuration)."""

    interval: timedelta
    """Between two tries, and as long a transport receipt may take."""
    lives_for: timedelta
    """From when the letter is made until it may not be sent again."""


class Seal(Protocol):
    """Protects and opens. Pure but for its keys."""

    @property
    def acknowledges(self) -> bool:
        """The partner's transport receipt is a message of its own. If not, a hand-over that worked is the receipt (HTTP 2xx)."""
        ...

    @property
    def proves(self) -> bool:
        """A parcel itself shows who sent it. Where it does not, the inbox takes none without the partner's token (`token_digest`)."""
        ...

    @property
    def asks_first(self) -> bool:
        """Before a letter is sent again, the partner is asked what became of it (`enquire`)."""
        ...

    def agreed(self, function: str, at: datetime) -> Agreed | None:
        """What a formal agreement says of trying again, for a letter made at `at`; None: the adapter's own patience decides."""
        ...

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        """The envelope, checked: who, which id, unchanged, and nothing that failed a check inside.

        Raises:
            Unopened: with the Problem, and the header as far as it could be read, so that the sender can be told.
            Unavailable: nobody can say now whether the sender is to be believed; nothing is kept, and its own retry brings the parcel again.
        """
        ...

    def close(self, content: Content, letter: Letter, at: datetime) -> Parcel:
        """The parcel to send. `at` is the time of signing.

        Raises:
            Refused: it may not be sent like this, such as to a certificate that is expired or revoked.
            Unavailable: whether it may cannot be known now.
        """
        ...

    def receipt(self, envelope: Envelope, refused: Refused | None, at: datetime) -> Parcel | None:
        """The transport receipt (or transport error) for an envelope; None when the sender asked for none."""
        ...

    def enquire(self, at: datetime, of: str = "") -> Parcel:
        """A question to the partner's message handler: what became of our letter `of`; without one, whether it is there."""
        ...

    def confirms(self, receipt: Receipt, sent: Parcel) -> bool:
        """Whether a receipt that repeats what was signed means these bytes of ours. A receipt that repeats nothing means whatever it names."""
        ...

    def refusal(self, unopened: Unopened, at: datetime) -> Parcel | None:
        """What the transport says of a parcel that could not be opened; None when it must say nothing."""
        ...


class Unopened(Refused):
    """A parcel that a seal refused, with as much of its header as could be read (None: nothing)."""

    def __init__(self, refused: Refused, header: Envelope | None = None) -> None:
        super().__init__(refused.problem, refused.detail, refused.where)
        self.header = header


class Format(Protocol):
    """Writes and reads. Pure."""

    def read(self, envelope: Envelope) -> Message:
        """What the content says.

        Raises:
            Refused: UNREADABLE, INVALID, UNKNOWN_CODE, UNKNOWN_FUNCTION.
        """
        ...

    def write(self, message: Message, letter: Letter) -> Content:
        """The content that says it. Raises Refused when this format cannot say it."""
        ...

    def answer(self, envelope: Envelope, verdict: Verdict, letter: Letter) -> Content | None:
        """The application receipt (AppRec, JSON verdict); None where none is due (an AppRec is never answered)."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a part may know of where it lives. Given to every factory of carriers, seals and formats."""

    home: Path
    """The municipality's folder; relative paths in settings start here."""
    name: str
    """The adapter's name."""
    party: str
    """The partner's party id (HER-id)."""
    own_party: str
    own_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The part's own table in the adapter's TOML, without `kind`."""


class Owner(StrEnum):
    """Who decides over the bookings of a partner's departments."""

    HUB = "hub"
    """The hub: a booking stands at once, and the partner is told."""
    CONFIRM = "confirm"
    """The partner must confirm; until then the booking waits."""
    EPJ = "epj"
    """The partner owns the calendar: it is asked which times are free, and must confirm."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of its own on which a partner is asked while somebody waits (`[ask]` in its TOML)."""

    carrier: Carrier
    seal: Seal
    format: Format
    within: timedelta = timedelta(seconds=4)
    """How long whoever waits is let wait."""
    fresh: timedelta = timedelta(seconds=10)
    """How long an answer, or that there was none, is good for."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One partner's connection."""

    name: str
    party: str
    carrier: Carrier
    seal: Seal
    format: Format
    wants: frozenset[str]
    """Functions it is told about: rows of mappings/functions.toml, e.g. `booking`."""
    departments: frozenset[str] = frozenset()
    """HealthcareService ids it owns; it is told about their appointments. Empty: all."""
    may_state: frozenset[str] = frozenset()
    """What its word is good for: `book`, `move`, `cancel`, `confirm`, `assign`, `complete` (hub/booking)."""
    answers: str = "letter"
    """`reply`: the verdict goes straight back. `letter`: the transport receipt goes back, the verdict is owed."""
    patience: Patience = Patience()
    patience_of: Mapping[str, Patience] = field(default_factory=dict)
    """Function → its own, where it is not the adapter's: a deadline per partner and kind of message."""
    answer_due: bool = True
    concurrency: int = 2
    max_bytes: int = 50 * 1024 * 1024
    token_digest: str = ""
    """SHA-256 (hex) of the bearer token a partner without signatures must show; empty: none is asked for."""
    version: int = 1
    only_own: bool = False
    """It is told only of what it booked itself: a shop has no business with other people's visits."""
    pause: timedelta = timedelta(seconds=1)
    """Between two looks at a carrier that collects."""
    owner: Owner = Owner.CONFIRM
    line: Line | None = None

    def open(self, parcel: Parcel, at: datetime) -> Envelope:
        """What the seal says of a parcel, unless its carrier already knows that it is no letter. Raises Unopened."""
        if parcel.trouble is not None:
            raise Unopened(parcel.trouble)
        envelope = self.seal.open(parcel, at)
        for name, id_ in (("MessageId", envelope.id), ("ConversationId", envelope.conversation), ("RefToMessageId", envelope.refers_to or "")):
            if len(id_) > LONGEST_ID:
                raise Unopened(Refused(Problem.INVALID, f"an id of more than {LONGEST_ID} characters", name), envelope)
        return envelope

    def answers_later(self, envelope: Envelope) -> bool:
        """What the transport answers goes to the sender's own address, unless it waits for it on this connection (ebMS 2.0, SyncReply)."""
        return self.seal.acknowledges and not envelope.wants_reply

    def patience_for(self, function: str, made: datetime) -> Patience:
        """How long to try a letter of this function that was made then: what was agreed formally comes before our own settings."""
        own = self.patience_of.get(function, self.patience)
        agreed = self.seal.agreed(function, made)
        if agreed is None:
            return own
        return replace(own, pauses=(agreed.interval,), receipt_within=agreed.interval, give_up_after=agreed.lives_for)


def owning(adapters: Mapping[str, Adapter], owner: Owner, department: str) -> Adapter | None:
    """The partner by whose row `owner` decides over this department's bookings; None: there is none."""
    found = (a for a in adapters.values() if a.owner is owner and (not a.departments or department in a.departments))
    return next(found, None)
