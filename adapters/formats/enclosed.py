"""Files that go with a message in a MsgHead: each a Document of MsgType A with a Base64Container (facts/ebxml.md 9.1, facts/helsenorge.md 12.1).

What they are and whether they are taken is the hub's to say (hub.booking.attachments); here they are found, and put in their place.
"""

from __future__ import annotations

from collections.abc import Iterable

from ebxml import container, msghead, xml
from ebxml.errors import Violation
from ebxml.msghead import ATTACHMENT, REFERENCE, Document, MsgHead
from hub.booking import attachments
from hub.booking.attachments import MOST_BYTES, MOST_FILES, File
from hub.message import Resource
from hub.problem import Problem, Refused

_WHERE = "/MsgHead/Document"
_LARGEST = 2 * MOST_BYTES
"""Octets of a message whose files can be within what any municipality takes: base64 makes four of three, and breaks lines."""


def written(items: Iterable[Resource], issued: str) -> tuple[Document, ...]:
    """The documents of the files that a stated message, the first Communication of the items, has with it, in their order."""
    communication = next(item for item in items if item["resourceType"] == "Communication")
    return tuple(
        Document(container.write(file.body), ATTACHMENT, issued, str(attachment.get("contentType", "")), file.name)
        for attachment, file in zip(attachments.elements(communication), attachments.files_of(communication), strict=True)
    )


def stated(message: MsgHead, body: bytes) -> tuple[Resource, ...]:
    """The payloads of the files in a message that was read without what is inside them (`msghead.read(body, files=False)`).

    Raises:
        Refused: NOT_SUPPORTED: a file that is somewhere else, packed, or no Base64Container, which would be lost; INVALID: no base64;
            ATTACHMENTS_TOO_LARGE.
    """
    if not any(document.left_out or _is_file(document) for document in message.documents):
        return ()
    if len(body) > _LARGEST or len(message.documents) > MOST_FILES + 10:
        raise Refused(Problem.ATTACHMENTS_TOO_LARGE, f"files of more than {MOST_BYTES} bytes: nothing of it was kept", _WHERE)
    return tuple(_stated(document) for document in msghead.read(body).documents if _is_file(document) or _contained(document))


def _is_file(document: Document) -> bool:
    """It says that it is one, or that it is elsewhere."""
    return document.kind in (ATTACHMENT, REFERENCE) or bool(document.file_reference)


def _contained(document: Document) -> bool:
    return any(xml.root_name(content).namespace == container.NAMESPACE for content in (document.content, *document.more_content) if content)


def _stated(document: Document) -> Resource:
    if document.file_reference or document.more_content or document.compression.v or not _contained(document):
        raise Refused(Problem.NOT_SUPPORTED, "a file that is no Base64Container in the message: nothing of it was kept", _WHERE)
    try:
        return attachments.stated(File(document.description or document.content_description, container.read(document.content)), document.mime_type)
    except Violation as wrong:
        raise Refused(Problem.INVALID, wrong.description, f"{_WHERE}/RefDoc/Content") from wrong
