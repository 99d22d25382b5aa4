"""XML from strangers: no DTD, no entities, no network, bounded size and depth."""

from __future__ import annotations

import re
from typing import NamedTuple

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


def parse(data: bytes, largest: int = LARGEST) -> etree._Element:
    """The root element.

    Raises:
        Violation: OtherXml.
    """
    if len(data) > largest:
        raise Violation(ErrorCode.OTHER_XML, f"larger than {largest} bytes", fault=Fault.TOO_LARGE)
    if b"<!DOCTYPE" in data:
        raise Violation(ErrorCode.OTHER_XML, "a document type declaration is not allowed")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=len(data) > HUGE, remove_blank_text=False,
        remove_comments=True,  # no signature covers them, so no value may hold any
    )
    if len(data) > HUGE and not _EIGHT_BITS.match(data):
        raise Violation(ErrorCode.OTHER_XML, "a large document in an encoding that could hide a document type declaration")
    try:
        root = etree.fromstring(data.strip(), parser)
    except (etree.XMLSyntaxError, ValueError) as wrong:
        line = getattr(wrong, "lineno", 0)
        raise Violation(ErrorCode.OTHER_XML, f"no well-formed XML (line {line})") from wrong
    if root.getroottree().docinfo.internalDTD is not None:  # also in an encoding that hid it from the look above
        raise Violation(ErrorCode.OTHER_XML, "a document type declaration is not allowed")
    if len(data) > HUGE and _depth(root) > DEEPEST:
        raise Violation(ErrorCode.OTHER_XML, f"nested deeper than {DEEPEST} levels")
    return root


class Name(NamedTuple):
    """An element's or attribute's name. (lxml's own QName refuses namespaces that hold a brace, which a stranger may send.)"""

    namespace: str
    localname: str


def name(tag: str | bytes | bytearray | QName) -> Name:
    """Of `element.tag` or an attribute's key."""
    namespace, _, local = str(tag).rpartition("}")
    return Name(namespace.removeprefix("{"), local)


def inside(element: etree._Element | None, namespace: str) -> dict[str, etree._Element]:
    """The children in a namespace by local name, the first of each: one walk instead of a search for every name."""
    found: dict[str, etree._Element] = {}
    start = f"{{{namespace}}}"
    for child in element if element is not None else ():
        if isinstance(child.tag, str) and child.tag.startswith(start):
            found.setdefault(child.tag[len(start):], child)
    return found


def _depth(root: etree._Element) -> int:
    deepest = depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest
