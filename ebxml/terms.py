"""What an agreement decides for one message: where to, signed, encrypted, answered, repeated, remembered (facts/ebxml.md 7.2, 8).

A CPA decides by role, service, action and direction. Where there is none, the national defaults hold, with the certificates and the address
of the register (section 3): `REGISTER`. Both are the same value, so nobody has to know which of them it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from ebxml.cpa import ALWAYS, NEVER, Agreement, Binding, Channel, Party
from ebxml.duration import Duration, duration
from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.header import Header

_ACTION = "//Header/MessageHeader/Action"
_PLACES = {
    "ack_requested": "//Header/AckRequested", "ack_signed": "//Header/AckRequested/@signed",
    "duplicates": "//Header/MessageHeader/DuplicateElimination",
}
_LONG = timedelta(days=366)
_TIMES = ("timeToAcknowledgeReceipt", "timeToAcknowledgeAcceptance", "timeToPerform")


@dataclass(frozen=True, slots=True)
class Terms:
    """The decisions for one role, service and action in one direction."""

    endpoint: str = ""
    protocol: str = ""
    sign: bool = True
    encrypt: bool = True
    pack: bool = False
    """gzip before encryption."""
    ack: str = "signed"
    """The receipt that is asked for: `signed`, `unsigned`, or empty."""
    duplicate_elimination: bool = True
    sync: bool = True
    """The answer comes on the same connection."""
    retries: int = 5
    """Resends after the first send."""
    retry_interval: Duration = Duration(rest=timedelta(hours=12))
    persist: Duration = Duration(rest=timedelta(hours=72))
    """How long the receiver remembers an id, and after which it may not be sent again."""
    signing: tuple[x509.Certificate, ...] = ()
    """What the sender signs with."""
    signature: str = ""
    """The algorithm's URI; empty: the profile's."""
    encryption: tuple[x509.Certificate, ...] = ()
    """What is encrypted to the receiver."""
    firm: tuple[tuple[str, bool], ...] = ()
    """Of `ack_requested`, `ack_signed` and `duplicates` those that both sides say `always` or both say `never` to, and which it is."""
    taken_as: frozenset[str] = frozenset()
    """The roles in which the receiver takes it; empty: that is not told."""
    remarks: tuple[str, ...] = ()

    def must_be_kept(self, header: Header) -> None:
        """Raises Violation (Inconsistent) when a message does not do what both sides always do, does what both never do, or is to a role that does
        not take it (section 6). That SyncReply is missing says nothing: whoever carries a message may take it away."""
        asked = header.ack_requested
        done = {"ack_requested": bool(asked), "ack_signed": asked == "signed", "duplicates": header.duplicate_elimination}
        for what, always in self.firm:
            if what == "ack_signed" and not header.ack_requested:
                continue  # whether a receipt is asked for at all is the first question's
            if done[what] != always:
                text = "lacks what the agreement always has" if always else "has what the agreement never has"
                raise Violation(ErrorCode.INCONSISTENT, f"the message {text}", _PLACES[what], Fault.NOT_AS_AGREED)
        if header.sync_reply and not self.sync:
            raise Violation(ErrorCode.INCONSISTENT, "no answer on the same connection is agreed", "//Header/SyncReply", Fault.NOT_AS_AGREED)
        if header.receiver.role and self.taken_as and header.receiver.role not in self.taken_as:
            where = "//Header/MessageHeader/To/Role"
            raise Violation(ErrorCode.INCONSISTENT, "to a role that does not take it", where, Fault.NOT_AS_AGREED)

    def time_to_live(self, sent: datetime) -> datetime:
        """Timestamp + RetryInterval × (Retries + 1), by the calendar, but never beyond what the receiver remembers."""
        return min(self.retry_interval.after(self.last_try(sent)), self.persist.after(sent))

    def last_try(self, sent: datetime) -> datetime:
        """When the last resend is due, if every one before it is made on time. Raises OverflowError beyond year 9999."""
        for _ in range(min(self.retries, 1000)):
            sent = self.retry_interval.after(sent)
        return sent

    def next_try(self, sent: datetime, tries: int) -> datetime | None:
        """When a message sent `tries` times, last at `sent`, is sent again; None: not again."""
        return self.retry_interval.after(sent) if tries <= self.retries else None


REGISTER = Terms()
"""Without a CPA: everything signed and encrypted, a signed receipt, duplicates out; 12 hours between tries, at most 5, given up after 72 hours."""


def of(agreement: Agreement, sender: str, receiver: str, role: str, service: str, action: str) -> Terms:
    """What was agreed for what `sender` (a party id) sends to `receiver` in a role.

    Raises:
        Violation: ValueNotRecognized, UNKNOWN_AGREEMENT: a party, or role, service, action and direction together, are not in it.
    """
    here, there = _party(agreement, sender), _party(agreement, receiver)
    sends = next((b for b in here.bindings if b.sends and (b.role, b.service, b.action) == (role, service, action)), None)
    taking = [b for b in there.bindings if not b.sends and (b.service, b.action) == (service, action)]
    takes = next(iter(taking), None)
    if sends is None or takes is None:
        raise Violation(ErrorCode.VALUE_NOT_RECOGNIZED, "not agreed: role, service, action", _ACTION, Fault.UNKNOWN_AGREEMENT)
    ours, theirs = _usable(here, sends), _usable(there, takes)
    packaging = agreement.packaging(sends.package)
    remarks: list[str] = []
    for name in _TIMES:
        _look_at(name, sends.says(name), remarks)
    asked = _either("ack_requested", ours, theirs)
    signed = _either("ack_signed", ours, theirs) or _true(sends.says("isNonRepudiationReceiptRequired"))
    return Terms(
        endpoint=address(theirs.endpoint), protocol=theirs.protocol, sign=_true(sends.says("isNonRepudiationRequired")) or ours.signs,
        encrypt=packaging is not None and packaging.encrypted, pack=packaging is not None and packaging.packed,
        ack="" if not asked else "signed" if signed else "unsigned",
        duplicate_elimination=_either("duplicates", ours, theirs), sync=theirs.sync_reply not in ("", "none"),
        retries=_count(ours.retries, remarks), retry_interval=_long("RetryInterval", ours.retry_interval, REGISTER.retry_interval, remarks),
        persist=_long("PersistDuration", theirs.persist or ours.persist, REGISTER.persist, remarks), signing=ours.signing or here.signing,
        signature=ours.signature if ours.signature.startswith("http") else "", encryption=takes.encryption or theirs.envelope or there.encryption,
        firm=tuple(
            (what, getattr(ours, what) == ALWAYS) for what in _PLACES
            if getattr(ours, what) == getattr(theirs, what) and getattr(ours, what) in (ALWAYS, NEVER)
        ),
        taken_as=frozenset(b.role for b in taking) - {""}, remarks=tuple(remarks),
    )


def _party(agreement: Agreement, id_: str) -> Party:
    found = next((p for p in agreement.parties if any(value == id_ for _, value in p.ids)), None)
    if found is None:
        raise Violation(ErrorCode.VALUE_NOT_RECOGNIZED, "a party that is not in the agreement", "//Header/MessageHeader", Fault.UNKNOWN_AGREEMENT)
    return found


def _usable(party: Party, binding: Binding) -> Channel:
    """The first channel of the binding's that exists, else the party's default."""
    names = (binding.channel, *binding.more_channels, party.default_channel)
    found = next((c for name in names if (c := party.channel(name)) is not None), None)
    if found is None:
        raise Violation(ErrorCode.VALUE_NOT_RECOGNIZED, "an action without a delivery channel", _ACTION, Fault.UNKNOWN_AGREEMENT)
    return found


def _either(what: str, ours: Channel, theirs: Channel) -> bool:
    """`always`, `never` or left to each message: what is left open is done, since a receiver that needs no receipt loses nothing by giving one."""
    return NEVER not in (getattr(ours, what), getattr(theirs, what))


def _true(value: str) -> bool:
    return value.strip() in ("true", "1")


def _count(value: str, remarks: list[str]) -> int:
    if not value:
        return REGISTER.retries
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        remarks.append("Retries is no number: the national default holds")
        return REGISTER.retries
    return int(value)


def _long(name: str, value: str, default: Duration, remarks: list[str]) -> Duration:
    read = duration(value) if value else default
    if read is None:
        remarks.append(f"{name} is no duration: the national default holds")
        return default
    _look_at(name, value, remarks)
    return read


def _look_at(name: str, value: str, remarks: list[str]) -> None:
    """`P180M` is fifteen years, and hardly meant: told, never acted upon."""
    read = duration(value) if value else None
    if read is not None and read.months and read.longer_than(_LONG):
        remarks.append(f"{name} is {value}: {read.months} months. PT{value.removeprefix('P')} was probably meant")


def address(uri: str) -> str:
    """An endpoint as it must be: `mailto://x@y` is seen, `mailto:x@y` is meant."""
    return "mailto:" + uri[len("mailto://"):] if uri.lower().startswith("mailto://") else uri
