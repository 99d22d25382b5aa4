"""What a MsgHead must be before anything inside it counts: from this partner, to us, meant in earnest, and true to its own signature."""

from __future__ import annotations

from dataclasses import dataclass

from ebxml import signature, xml
from ebxml.errors import Violation
from ebxml.kith import HER, Party
from ebxml.msghead import MsgHead
from hub.problem import Problem, Refused

TEST = "D"
"""ProcessingStatus of what must not enter a record (facts/ebxml.md 9.1)."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Whom a MsgHead may come from and be for, by HER-id of level 1 or 2; and whether it may be a test."""

    ours: frozenset[str]
    theirs: frozenset[str]
    service: str = ""
    """Our level 2, where it is told apart; empty: any service of ours."""
    test: bool = False

    def admit(self, message: MsgHead, body: bytes) -> None:
        """Nothing, of a message that may be read.

        Raises:
            Refused: WRONG_PARTY, TEST_MESSAGE, BAD_SIGNATURE.
        """
        if _strange(message.sender, self.theirs):
            raise Refused(Problem.WRONG_PARTY, "MsgHead is from somebody else than the envelope", "/MsgHead/MsgInfo/Sender")
        inner = message.receiver.inner.ident(HER) if message.receiver.inner else ""
        if _strange(message.receiver, self.ours) or (self.service and inner and inner not in self.ours):
            raise Refused(Problem.WRONG_PARTY, "MsgHead is to somebody else, or to a service that is not ours", "/MsgHead/MsgInfo/Receiver")
        if message.processing == TEST and not self.test:
            raise Refused(Problem.TEST_MESSAGE, "ProcessingStatus is D", "/MsgHead/MsgInfo/ProcessingStatus")
        if message.signed and not _holds(body):
            raise Refused(Problem.BAD_SIGNATURE, "the signature inside the MsgHead does not hold", "/MsgHead/Signature")


def hers(party: Party) -> frozenset[str]:
    """The HER-ids that a party names, at both levels."""
    levels = [party, *(level for level in (party.inner, *party.beside) if level is not None)]
    return frozenset(level.ident(HER) for level in levels) - {""}


def _strange(party: Party, known: frozenset[str]) -> bool:
    """It names HER-ids, and none of them is known. What names none says nothing: the envelope has said who it is."""
    named = hers(party)
    return bool(named) and not named & known


def _holds(body: bytes) -> bool:
    """Its digests and its value are right. Whose it is proves nothing more than the envelope did, so that is not asked; and what the profile does
    not have (several signatures, XAdES) cannot be said to be wrong."""
    try:
        return signature.examine(xml.parse(body), lambda uri: None).holds
    except Violation:
        return True
