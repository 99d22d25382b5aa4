"""Base64Container: a file of any kind as a document of a MsgHead (RefDoc/Content), the way attachments travel (facts/ebxml.md 9.1)."""

from __future__ import annotations

import base64
import binascii

from ebxml.errors import ErrorCode, Fault, Violation
from ebxml.xml import parse

NAMESPACE = "http://www.kith.no/xmlstds/base64container"


def write(data: bytes) -> bytes:
    """The element without an XML declaration, to stand in MsgHead's Content."""
    return f'<Base64Container xmlns="{NAMESPACE}">{base64.b64encode(data).decode()}</Base64Container>'.encode()


def read(data: bytes) -> bytes:
    """The file's bytes. Lenient on blanks, strict on everything else.

    Raises:
        Violation: OtherXml, when it is no Base64Container; MimeProblem, when what is inside is no base64.
    """
    root = parse(data)
    if root.tag != f"{{{NAMESPACE}}}Base64Container":
        raise Violation(ErrorCode.OTHER_XML, "the root element is no Base64Container", "/")
    packed = "".join("".join(map(str, root.itertext())).split())
    try:
        return binascii.a2b_base64(packed.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as wrong:
        raise Violation(ErrorCode.MIME_PROBLEM, "not base64, or of the wrong length", "/Base64Container", Fault.UNREADABLE) from wrong
