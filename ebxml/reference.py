"""`ds:Reference` as the Norwegian profile has it (facts/ebxml.md 4.2, 5), in canonical form: what we sign, and what a receipt repeats of others'.

A receipt repeats what was signed: the same URI, transforms and digest, not the same prefixes and blanks. So a reference in the profile is
written anew, and only another one is repeated as its sender wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lxml import etree

from ebxml import xml
from ebxml.algorithms import C14N, ENVELOPED, SHA256, XPATH
from ebxml.header import DS, EB, NEXT, NEXT_MSH, SOAP, XLINK
from ebxml.kith import attribute, text

ENVELOPE_START, ENVELOPE_END = f'<SOAP:Envelope xmlns:SOAP="{SOAP}" xmlns:eb="{EB}" xmlns:xlink="{XLINK}">', "</SOAP:Envelope>"
"""The namespaces in scope of whatever stands in an envelope of ours."""
FILTER = f'not(ancestor-or-self::node()[@SOAP:actor="{NEXT_MSH}"] | ancestor-or-self::node()[@SOAP:actor="{NEXT}"])'
_TRANSFORMS = (
    f'<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"></ds:Transform><ds:Transform Algorithm="{XPATH}"><ds:XPath>{FILTER}</ds:XPath>'
    f'</ds:Transform><ds:Transform Algorithm="{C14N}"></ds:Transform></ds:Transforms>'
)
_DECLARED = f' xmlns:ds="{DS}"'
_METHOD = f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue>'
_END = "</ds:DigestValue></ds:Reference>"
_OURS = re.compile(
    f'<ds:Reference{re.escape(_DECLARED)} URI="[\\w.:@%/+=-]*">(?:{re.escape(_TRANSFORMS)})?{re.escape(_METHOD)}[\\w+/=]*{_END}'.encode(), re.ASCII,
)


def write(uri: str, digest: str, *, alone: bool = False) -> str:
    """A reference in the profile by SHA-256: to the envelope, filtered and canonical, or to a `cid:` part as it is.

    Args:
        digest: base64.
        alone: it stands outside a Signature that declares `ds:`.
    """
    return f"<ds:Reference{_DECLARED if alone else ''} URI={attribute(uri)}>{'' if uri else _TRANSFORMS}{_METHOD}{text(digest)}{_END}"


def repeated(elements: Iterable[bytes]) -> str:
    """References in canonical form, as they stand in an envelope of ours: those of `write` alone are, others' are brought into it."""
    whole = list(elements)
    if all(map(_OURS.fullmatch, whole)):
        return b"".join(whole).decode()
    inside = xml.parse(b"".join((ENVELOPE_START.encode(), *whole, ENVELOPE_END.encode())))
    return etree.tostring(inside, method="c14n").decode()[len(ENVELOPE_START):-len(ENVELOPE_END)]
