"""XML from strangers: no DTD, no entities, no network, bounded size and depth."""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

from lxml import etree
from lxml.etree import QName

from ebxml.errors import ErrorCode, Fault, Violation

LARGEST = 64 * 1024 * 1024
"""Bytes: more than the 51 200 000 that NHN lets through, so that a large attachment can be read."""
DEEPEST = 200
HUGE = 9_000_000
"""Bytes: above this libxml2's own limits (text of 10 MB, 256 levels, growth by entities) must be lifted: depth and encoding are looked at here."""
_EIGHT_BITS = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*<(?:[^?]|\?xml\s(?![^>]{0,100}encoding)|\?xml[^>]{0,100}encoding=["'](?i:utf-8|iso-8859-1|us-ascii|windows-1252)["'])""",
)
_UNDECLARED = re.compile(rb"""\s*<(?:[^?]|\?xml\s(?![^>]{0,200}encoding))""")
_DTD = re.compile(rb"(?:\xef\xbb\xbf)?(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
"""Where alone one may stand: before the root element (XML 1.0, 2.8)."""
_LATIN = ("iso-8859-1", "iso-8859-15", "windows-1252")
"""What else than UTF-8 a Norwegian sender may mean without saying so in the document."""


def parse(data: bytes, largest: int = LARGEST, charset: str = "") -> etree._Element:
    """The root element.

    Args:
        charset: what the transport says (RFC 3023, 3.1). It counts where the document declares nothing and is no UTF-8: web servers say
            ISO-8859-1 of everything.

    Raises:
        Violation: OtherXml.
    """
    if len(data) > largest:
        raise Violation(ErrorCode.OTHER_XML, f"larger than {largest} bytes", fault=Fault.TOO_LARGE)
    no_dtd(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=len(data) > HUGE, remove_blank_text=False,
        remove_comments=True,  # no signature covers them, so no value may hold any
        encoding=charset if charset in _LATIN and _UNDECLARED.match(data) and not _is_utf8(data) else None,
    )
    if len(data) > HUGE and not _EIGHT_BITS.match(data):
        raise Violation(ErrorCode.OTHER_XML, "a large document in an encoding that could hide a document type declaration")
    try:
        root = etree.fromstring(data.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError) as wrong:
        line = getattr(wrong, "lineno", 0)
        raise Violation(ErrorCode.OTHER_XML, f"no well-formed XML (line {line})") from wrong
    if root.getroottree().docinfo.internalDTD is not None:  # also in an encoding that hid it from the look above
        raise Violation(ErrorCode.OTHER_XML, "a document type declaration is not allowed")
    if len(data) > HUGE and _depth(root) > DEEPEST:
        raise Violation(ErrorCode.OTHER_XML, f"nested deeper than {DEEPEST} levels")
    return root


def no_dtd(data: bytes) -> None:
    """Before anything is parsed. Raises Violation (OtherXml) for a document type declaration; a text may speak of one."""
    if _DTD.match(data):
        raise Violation(ErrorCode.OTHER_XML, "a document type declaration is not allowed")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Name(NamedTuple):
    """An element's or attribute's name. (lxml's own QName refuses namespaces that hold a brace, which a stranger may send.)"""

    namespace: str
    localname: str


def name(tag: str | bytes | bytearray | QName) -> Name:
    """Of `element.tag` or an attribute's key."""
    namespace, _, local = str(tag).rpartition("}")
    return Name(namespace.removeprefix("{"), local)


def root_name(data: bytes) -> Name:
    """Of the root element, and nothing of what stands inside it is read; empty where there is none."""
    found = first(data)
    return name(found.tag) if found is not None else Name("", "")


def first(data: bytes, tag: str = "") -> etree._Element | None:
    """The first element with this tag, read no further than its end; without a tag the root element, as soon as it begins. None: there is none
    before the document ends or breaks."""
    safely: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True}
    try:
        reader = etree.iterparse(io.BytesIO(data.lstrip()), ("end",) if tag else ("start",), tag=tag or None, **safely)
        return next((element for _, element in reader), None)
    except etree.XMLSyntaxError:
        return None


def inside(element: etree._Element | None, namespace: str) -> dict[str, etree._Element]:
    """The children in a namespace by local name, the first of each: one walk instead of a search for every name."""
    found: dict[str, etree._Element] = {}
    if element is not None:
        start = len(namespace) + 2
        for child in element.iterchildren(f"{{{namespace}}}*"):
            found.setdefault(child.tag[start:], child)
    return found


def canonical_part(element: etree._Element, exclusive: bool, comments: bool, prefixes: list[str] | None = None) -> bytes:
    """A part of a document in canonical form, with the namespaces that are in scope there. Raises etree.C14NError.

    Where a default namespace is declared, lxml may write an `xmlns=""` too many: such a part is taken out of its document first.
    """
    octets = etree.tostring(
        element, method="c14n", exclusive=exclusive, with_comments=comments, with_tail=False, inclusive_ns_prefixes=prefixes,
    )
    if b'xmlns="' not in octets:
        return octets
    alone = parse(etree.tostring(element, with_tail=False))
    return etree.tostring(alone, method="c14n", exclusive=exclusive, with_comments=comments, inclusive_ns_prefixes=prefixes)


def _depth(root: etree._Element) -> int:
    deepest = depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest
