"""What we and a partner have agreed: from a CPA in the home's `certs/agreements/`, else the national defaults (facts/ebxml.md 3 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509

from ebxml import cpa
from ebxml import terms as cpa_terms
from ebxml.errors import Violation
from ebxml.kith import moment
from ebxml.terms import REGISTER, Terms
from hub.adapter import Surroundings
from hub.config import Misconfigured

Action = tuple[str, str, str]
"""Role of the sender, service, action."""
ACCEPTED_STATUS = ("agreed", "signed")


class BadAgreement(ValueError):
    """The CPA cannot be used: the operator must change it. Raised at start, never for a message."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One agreement between us and one partner, CPA or not."""

    id: str
    """CPAId in what we send."""
    formal: bool = False
    """There is a CPA: what it does not list is not allowed."""
    start: datetime | None = None
    end: datetime | None = None
    we_send: frozenset[Action] = frozenset()
    they_send: frozenset[Action] = frozenset()
    endpoint: str = ""
    """Where the partner takes messages; for the operator's comparison with the carrier's setting."""
    ack: str = "signed"
    """What we ask for: `signed`, `unsigned`, or empty."""
    sync: bool = True
    duplicate_elimination: bool = True
    signing: tuple[x509.Certificate, ...] = ()
    encryption: tuple[x509.Certificate, ...] = ()
    decides: Callable[[Action, bool], Terms] | None = field(default=None, compare=False, repr=False)
    """The CPA's word on one action; None where there is no CPA."""

    def terms(self, action: Action, *, ours: bool) -> Terms:
        """How a message of this action goes: as the CPA says, else by the national defaults. The same value either way.

        Raises:
            Violation: UNKNOWN_AGREEMENT: the CPA does not have this action.
        """
        if self.decides is not None:
            return self.decides(action, ours)
        return _without_cpa(self.sync, self.ack, self.duplicate_elimination, self.endpoint)

    def in_force(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at <= self.end)

    def allows(self, action: Action, *, ours: bool) -> bool:
        """All of role, service, action and direction must be agreed; without a CPA the letter's type decides, not its envelope."""
        return not self.formal or action in (self.we_send if ours else self.they_send)


@cache
def _without_cpa(sync: bool, ack: str, duplicate_elimination: bool, endpoint: str) -> Terms:
    """The national defaults, but for what the settings say: the same for every letter."""
    return replace(REGISTER, sync=sync, ack=ack, duplicate_elimination=duplicate_elimination, endpoint=endpoint)


def agreement(folder: Path, own: str, partner: str, settings: Mapping[str, Any]) -> Agreement:
    """The agreement that a seal's settings name.

    Args:
        folder: the home's `certs/agreements/`.
        settings: `agreement` (file name), else `cpa_id`; `sync`; `agreement_status`: which CPA/Status values are accepted.

    Raises:
        BadAgreement: the file is missing, unreadable, not agreed, or between others.
    """
    name = settings.get("agreement")
    if name is None:
        return Agreement(str(settings.get("cpa_id", f"{own}:{partner}")), sync=bool(settings.get("sync", True)))
    try:
        read = cpa.read((folder / str(name)).read_bytes())
    except (OSError, Violation) as wrong:
        raise BadAgreement(f"{folder / str(name)}: {wrong}") from wrong
    return of_cpa(read, own, partner, settings.get("agreement_status", ACCEPTED_STATUS))


def endpoint(surroundings: Surroundings) -> str:
    """Where the partner takes messages by the CPA that a carrier's settings name (`agreement`); empty without one. Raises Misconfigured."""
    if "agreement" not in surroundings.settings:
        return ""
    folder = surroundings.home / "certs" / "agreements"
    try:
        return agreement(folder, surroundings.own_party, surroundings.party, surroundings.settings).endpoint
    except BadAgreement as wrong:
        raise Misconfigured(f"adapters/{surroundings.name}.toml carrier agreement: {wrong}") from wrong


def of_cpa(read: cpa.Agreement, own: str, partner: str, statuses: Iterable[str] = ACCEPTED_STATUS) -> Agreement:
    """What a CPA says, seen from one side. Raises BadAgreement."""
    if read.kind != "CPA" or read.status not in statuses:
        raise BadAgreement(f"{read.kind} {read.id} har status {read.status or 'ingen'}: legg den til i agreement_status for å bruke den likevel")
    ours, theirs = _party(read, own), _party(read, partner)
    we_send, they_send = _both(ours, theirs), _both(theirs, ours)
    if not we_send and not they_send:
        raise BadAgreement(f"CPA {read.id}: ingen handling som den ene siden kan sende og den andre motta")
    used = {b.channel for b in theirs.bindings if not b.sends}
    channel = next((c for c in theirs.channels if c.id in used), theirs.channels[0] if theirs.channels else None)
    asked = channel.ack_requested if channel else "perMessage"
    signed = channel.ack_signed if channel else "perMessage"
    return Agreement(
        id=read.id, formal=True, start=moment(read.start, [], "Start"), end=moment(read.end, [], "End"), we_send=we_send, they_send=they_send,
        endpoint=channel.endpoint if channel else "", ack="" if asked == "never" else "unsigned" if signed == "never" else "signed",
        sync=channel is not None and channel.sync_reply not in ("", "none"),
        duplicate_elimination=channel is None or channel.duplicates != "never", signing=theirs.signing, encryption=theirs.encryption,
        decides=_deciding(read, own, partner),
    )


def _deciding(read: cpa.Agreement, own: str, partner: str) -> Callable[[Action, bool], Terms]:
    """A CPA does not change while it is used: each action is decided once."""

    @cache
    def decides(action: Action, us: bool) -> Terms:
        return cpa_terms.of(read, *((own, partner) if us else (partner, own)), *action)

    return decides


def _party(read: cpa.Agreement, id_: str) -> cpa.Party:
    found = next((p for p in read.parties if any(value == id_ for _, value in p.ids)), None)
    if found is None:
        raise BadAgreement(f"CPA {read.id} har ingen part {id_}")
    return found


def _both(sender: cpa.Party, receiver: cpa.Party) -> frozenset[Action]:
    """What the sender can send and the receiver can receive."""
    takes = {(b.service, b.action) for b in receiver.bindings if not b.sends}
    return frozenset((b.role, b.service, b.action) for b in sender.bindings if b.sends and (b.service, b.action) in takes)
