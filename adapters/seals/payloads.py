"""The payloads of an opened ebMS package: decrypted, unpacked, and nothing that failed on the way (facts/ebxml.md 4.1, 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ebxml import cms, gzip, mime, xml
from ebxml.envelope import Header
from ebxml.errors import ErrorCode, Fault, Violation
from hub.message import Content

_SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_UTF16 = (b"\xff\xfe<\x00", b"\xfe\xff\x00<")
"""How XML in UTF-16 begins, which every reader of XML takes (XML 1.0, 4.3.3)."""
_XML = ("application/xml", "text/xml", *_SEALED)


@dataclass(frozen=True, slots=True)
class Payloads:
    """What may be read of a partner: with which keys, 3DES only when `legacy`, unencrypted only when `plain`."""

    own: Sequence[cms.Own]
    legacy: bool
    plain: bool

    def read(self, package: mime.Package, header: Header) -> tuple[Content, ...]:
        """Every part, in the Manifest's order; the first is the document, the rest are its attachments. None for what carries nothing.

        Raises:
            Violation: MimeProblem or SecurityFailure; of a letter whose one part fails, no part is read.
        """
        if not header.manifest and (header.signal or header.enquiry):
            return ()
        if not header.manifest:
            raise Violation(ErrorCode.MIME_PROBLEM, "a letter without a payload", "//Body/Manifest", Fault.MISSING_PART)
        document, *attachments = (self._plain(package.part(href), first=number == 0) for number, href in enumerate(header.manifest))
        packed = document.startswith(gzip.MAGIC)  # the packaging is one for all parts; else an attachment may itself be a .gz file
        contents = [_content(gzip.unpack(body, xml.LARGEST) if packed else body) for body in (document, *attachments)]
        if contents[0].media_type != "application/xml":  # what a wrong session key leaves, once in some hundred times
            raise Violation(ErrorCode.SECURITY_FAILURE, cms.FAILED, "", Fault.NOT_DECRYPTABLE)
        return tuple(contents)

    def _plain(self, part: mime.Part | None, *, first: bool) -> bytes:
        if part is None:
            raise Violation(ErrorCode.MIME_PROBLEM, "a part of the Manifest is missing", "//Body/Manifest", Fault.MISSING_PART)
        if part.media_type in _SEALED and not (self.plain and part.body.lstrip()[:1] == b"<"):
            return cms.open_(part.body, self.own, triple_des=self.legacy)
        if self.plain and (part.media_type in _XML or not first):
            return part.body
        raise Violation(ErrorCode.SECURITY_FAILURE, "the payload is not encrypted", f"cid:{part.content_id}"[:200], Fault.NOT_DECRYPTABLE)


def _content(body: bytes) -> Content:
    is_xml = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", *_UTF16))
    return Content(body, "application/xml" if is_xml else "application/octet-stream")
