"""A parcel as an RFC 5322 message, and a message as a parcel. Pure: bytes, values, no I/O, no clock.

ebXML by mail (facts/ebxml.md 2.1, 7.3, 12): `SOAPAction: "ebXML"` is a mail header too; what a relay could change travels as base64; the mail's
own Message-ID is new on every try, since a mail service may drop one it has seen, and then no duplicate would ever be answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import format_datetime, getaddresses

from ebxml import mime
from ebxml.errors import Violation
from hub.message import Parcel
from hub.problem import Problem, Refused

CARRIED = ("content-type", "content-transfer-encoding", "content-id", "soapaction", "x-message-id", "x-function")
"""The headers of a parcel that are part of the letter; a mail's others tell of its way."""
NAMES = {"content-type": "Content-Type", "content-transfer-encoding": "Content-Transfer-Encoding", "soapaction": "SOAPAction"}
LETTERS = {"multipart/related", "text/xml", "application/xml", "application/soap+xml", "application/json"}
"""What may be a letter whatever else the mail's headers say: message handlers call themselves automatic too."""
REPORT = "multipart/report"
_OURS = re.compile(rb"<(?:\w+:)?MessageId>\s*([\w.-]{1,80})@")
_MESSAGE_ID = re.compile(r"(?im)^message-id:\s*<([\w-]{1,80})\.[0-9a-f]{32}@")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_ACTIONS = {"failed", "delayed", "delivered", "relayed", "expanded"}
_MACHINES = ("mailer-daemon@", "postmaster@")


def name_of(parcel: Parcel) -> str:
    """The letter's own id where it can be seen, to stand in the mail's Message-ID: a bounce then says which letter it is about."""
    found = _OURS.search(parcel.body[:20_000])
    return re.sub(r"[^\w-]", "", found[1].decode() if found else parcel.headers.get("x-message-id", ""), flags=re.ASCII)[:80] or "letter"


def compose(parcel: Parcel, sender: str, to: str, subject: str, message_id: str, at: datetime) -> bytes:
    """The whole message, with CRLF.

    Raises:
        Refused: a multipart that has no parts, or one that cannot be decoded.
    """
    try:
        headers, body = mime.for_mail({name: parcel.headers[name] for name in CARRIED if parcel.headers.get(name)}, parcel.body)
    except Violation as wrong:
        raise Refused(Problem.UNREADABLE, wrong.description, wrong.location) from wrong
    head = EmailMessage(policy.SMTP)
    head["From"], head["To"], head["Subject"], head["Date"], head["Message-ID"] = sender, to, subject, format_datetime(at), message_id
    head["MIME-Version"] = "1.0"
    own = "".join(f"{NAMES.get(name, name.title())}: {_one_line(value)}\r\n" for name, value in headers.items())
    return head.as_bytes().rstrip(b"\r\n") + b"\r\n" + own.encode("ascii", "replace") + b"\r\n" + body


def _one_line(value: str) -> str:
    """Folded between its parameters where it is long (RFC 5322 2.2.3); a line break in a value would begin a header of its own."""
    flat = re.sub(r"[\x00-\x20\x7f]+", " ", value).strip()
    return flat if len(flat) < 60 else flat.replace('; ', ';\r\n\t')


def headers_of(raw: bytes) -> Message:
    """A message's headers alone. Lenient: what makes no sense is left as it is."""
    return BytesHeaderParser(policy=policy.compat32).parsebytes(raw[:_body_at(raw)])


def read(raw: bytes) -> Parcel:
    """The letter inside a message: the body's exact bytes, whatever the mail encoded for its own journey decoded again."""
    head, body = headers_of(raw), raw[_body_at(raw):]
    headers = {name: value for name in CARRIED if (value := _header(head, name))}
    try:
        encoding = headers.get("content-transfer-encoding", "")
        whole = not _media_type(head).startswith("multipart/") or encoding.lower() in ("base64", "quoted-printable")
        body = mime.decode(encoding, body) if whole else body
        headers.pop("content-transfer-encoding", None)
    except Violation:
        pass  # the opener will say what is wrong with it
    return Parcel(headers, body, trouble=_no_letter(head, raw))


def concerns(raw: bytes) -> frozenset[str]:
    """Whom a message is from or, where it reports of a delivery, about: addresses in lower case."""
    head = headers_of(raw)
    reported = _report(raw) if _media_type(head) == REPORT else []
    about = [_header(block, name).rpartition(";")[2] for block in reported for name in ("final-recipient", "original-recipient")]
    named = [text for text in (_header(head, "from"), *about) if text.strip()]  # newer Pythons take one empty text for a trick, and give nothing
    return frozenset(address.strip().lower() for _, address in getaddresses(named) if address)


def _body_at(raw: bytes) -> int:
    found = re.search(rb"\r?\n\r?\n", raw)
    return found.end() if found else len(raw)


def _header(head: Message, name: str) -> str:
    return re.sub(r"\r?\n[ \t]+", " ", str(head.get(name, ""))).strip()


def _media_type(head: Message) -> str:
    return mime.content_type(_header(head, "content-type"))[0]


def _no_letter(head: Message, raw: bytes) -> Refused | None:
    """Mail that speaks of mail: reports of delivery (RFC 3464), read receipts (RFC 8098), automatic replies (RFC 3834)."""
    kind = _media_type(head)
    if kind == REPORT:
        return _reported(mime.content_type(_header(head, "content-type"))[1], raw)
    if kind in LETTERS:
        return None
    if _header(head, "return-path") == "<>" or any(machine in _header(head, "from").lower() for machine in _MACHINES):
        return Refused(Problem.NOT_DELIVERED, f"a mail server's own message, in no standard form{_which(raw)}")
    automatic = _header(head, "auto-submitted").partition(";")[0].strip().lower() not in ("", "no")
    if automatic or head.get("x-autoreply") or head.get("x-autorespond") or _header(head, "precedence").lower() in ("auto_reply", "bulk", "junk"):
        return Refused(Problem.UNREADABLE, "an automatic reply (out of office), not a letter")
    return None


def _reported(parameters: Mapping[str, str], raw: bytes) -> Refused:
    if parameters.get("report-type", "").lower() != "delivery-status":
        return Refused(Problem.UNREADABLE, "a report that is not about delivery (a read receipt)")
    blocks = _report(raw)
    actions = [a for block in blocks if (a := _header(block, "action").lower()) in _ACTIONS]
    codes = [found[0] for block in blocks if (found := _STATUS.search(_header(block, "status")))]
    action, code = actions[0] if actions else "says nothing of what became of it", codes[0] if codes else ""
    return Refused(Problem.NOT_DELIVERED, f"the mail system's report: {action} {code}".rstrip() + _which(raw))


def _which(raw: bytes) -> str:
    """Which letter a bounce is about, by the Message-ID it returns; its own comes first and is not in our form."""
    found = _MESSAGE_ID.search(raw[:200_000].decode("latin-1"))
    return f", of letter {found[1]}" if found else ""


def _report(raw: bytes) -> list[Message]:
    """The fields of a delivery report: one block for the message, one for each recipient."""
    message = BytesParser(policy=policy.compat32).parsebytes(raw)
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            payload = part.get_payload()
            return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []
    return []
