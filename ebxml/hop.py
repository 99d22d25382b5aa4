"""What ebMS 2.0 leaves unsigned: elements addressed to the next hop (facts/ebxml.md 4.2). They are taken out before anything is digested.

Whoever carries a message may put such elements in without breaking its signature, so nothing that a receiver reads may stand in one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import cast

from lxml import etree

from ebxml.envelope import DS, EB, NEXT, NEXT_MSH, SOAP
from ebxml.errors import ErrorCode, Fault, Violation

_XPATH = f"{{{DS}}}XPath"
LONGEST = 2000
"""Characters of an XPath: far above what anybody signs with."""
_FILTER = re.compile(
    r"""not\(ancestor-or-self::node\(\)\[@([\w.-]+):actor=["'](.+?)["']\]\|ancestor-or-self::node\(\)\[@\1:actor=["'](.+?)["']\]\)""",
)

_ADDRESSED = etree.XPath(  # whether there is an actor at all comes first: three times quicker than to compare two for every element
    f'/descendant::*[@s:actor][@s:actor="{NEXT_MSH}" or @s:actor="{NEXT}"]', namespaces={"s": SOAP}, smart_strings=False,
)


def _fail(text: str, fault: Fault = Fault.BAD_SIGNATURE) -> Violation:
    return Violation(ErrorCode.SECURITY_FAILURE, text, "//Header/Signature", fault)


def strip(root: etree._Element) -> None:
    """Takes them out of an envelope. Raises Violation (NOT_COVERED) when one is something else than SyncReply or a stranger's header."""
    for element in cast(list[etree._Element], _ADDRESSED(root)):
        _nobody_reads(element)
        take_out(element)


def _nobody_reads(element: etree._Element) -> None:
    """What the filter leaves unsigned may be put in by anybody underway: nothing that a receiver reads may stand there."""
    parent = element.getparent()
    ours = element.tag.startswith((f"{{{EB}}}", f"{{{DS}}}", f"{{{SOAP}}}"))
    if parent is None or parent.tag != f"{{{SOAP}}}Header" or (ours and (element.tag != f"{{{EB}}}SyncReply" or len(element))):
        raise _fail("something other than SyncReply is addressed to the next hop, so that it is unsigned", Fault.NOT_COVERED)


def is_the_filter(transform: etree._Element) -> bool:
    """Whether this XPath transform is the one that ebMS 2.0 prescribes, whatever its prefix and spacing."""
    xpath = next(transform.iterchildren(_XPATH), None)
    text = (xpath.text or "") if xpath is not None else ""
    prefix = _prefix(text) if len(text) <= LONGEST else None
    return xpath is not None and prefix is not None and xpath.nsmap.get(prefix) == SOAP


@lru_cache(maxsize=256)
def _prefix(xpath: str) -> str | None:
    """The prefix that the prescribed filter is written with; None: it is another expression. Every letter of a partner's has the same text."""
    match = _FILTER.fullmatch("".join(xpath.split()))
    return match[1] if match is not None and {match[2], match[3]} == {NEXT_MSH, NEXT} else None


def take_out(element: etree._Element) -> None:
    """Removes an element; the text behind it stays, as it does for a node set."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)
