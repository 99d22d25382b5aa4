"""A parcel as a mail and back: which bytes a relay may see, and which mail is no letter. No network."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters_by_mail import letter

from adapters.carriers import mail
from ebxml import mime
from hub.message import Parcel
from hub.problem import Problem, Refused

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
XML = {"content-type": "text/xml; charset=UTF-8", "soapaction": '"ebXML"'}


def composed(parcel: Parcel) -> bytes:
    return mail.compose(parcel, "hub@edi.example", "epj@edi.example", "ebXML", "<letter.1@edi.example>", AT)


def bodies(parcel: Parcel) -> list[bytes]:
    package = mime.read(parcel.headers, parcel.body)
    return [package.root.body, *(part.body for part in package.parts)]


@pytest.mark.spec("facts/ebxml", "12.relay")
@pytest.mark.parametrize("soap", [b"<a/>", "<a>blåbær</a>".encode(), b"a\nb", b"a\rb", b"x" * 5000, b"From me", b"blank \r\n", b".", b"", b"\x00\xff"])
def test_every_part_comes_through_with_its_bytes_whatever_they_are(soap: bytes) -> None:
    raw = composed(letter(soap))
    assert mime.travels(raw.partition(b"\r\n\r\n")[2])
    assert bodies(mail.read(raw)) == bodies(letter(soap)) == [soap, b"Payload"]


def test_what_travels_as_it_is_is_not_touched() -> None:
    safe = letter(b"<a/>")
    assert composed(safe).endswith(b"\r\n\r\n" + safe.body) and mail.read(composed(safe)) == safe


@given(st.binary(max_size=3000))
def test_a_body_of_one_part_comes_back_byte_for_byte(body: bytes) -> None:
    assert mail.read(composed(Parcel(XML, body))) == Parcel(XML, body)


@given(st.binary(max_size=600))
def test_any_part_comes_back_byte_for_byte(soap: bytes) -> None:
    assert bodies(mail.read(composed(letter(soap)))) == [soap, b"Payload"]


def test_a_mail_is_read_by_other_peoples_parser_too() -> None:
    parsed = message_from_bytes(composed(letter()))
    root, payload = parsed.get_payload()  # type: ignore[misc]
    assert parsed["SOAPAction"] == '"ebXML"' and parsed.get_content_type() == "multipart/related" and parsed.get_param("start") == "<soap@hub.example>"
    assert root.get_payload(decode=True) == letter().body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]  # type: ignore[union-attr]
    assert payload.get_payload(decode=True) == b"Payload"  # type: ignore[union-attr]


def test_a_header_with_a_line_break_begins_no_header_of_its_own() -> None:
    raw = composed(Parcel({**XML, "soapaction": '"ebXML"\r\nBcc: somebody@example.org'}, b"<a/>\r\n"))
    assert message_from_bytes(raw)["bcc"] is None
    with pytest.raises(Refused):
        composed(Parcel({"content-type": "multipart/related"}, b"\xff"))


def test_headers_are_read_in_any_case_folded_and_encoded() -> None:
    raw = (
        b"SOAPACTION: \"ebxml\"\nCONTENT-TYPE: multipart/related;\n\tboundary=\"b\"; type=\"text/xml\"\nSubject: =?utf-8?q?bl=C3=A5?=\nX: \xe5\n\n"
        b"--b\nContent-Type: text/xml\n\n<a/>\n--b--\n"
    )
    assert bodies(mail.read(raw)) == [b"<a/>"] and mail.read(raw).headers["soapaction"] == '"ebxml"'
    assert mail.read(b"").body == b"" and mail.read(b"no header at all").trouble is None
    broken = mail.read(b"Content-Type: text/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!")
    assert broken.headers["content-transfer-encoding"] == "base64" and broken.body == b"!!!!"


BOUNCE = (
    "From: MAILER-DAEMON@edi.example\r\nTo: hub@edi.example\r\nSubject: Undelivered\r\nMessage-ID: <77@edi.example>\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="r"\r\n\r\n--r\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n'
    "--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; edi.example\r\n\r\nFinal-Recipient: rfc822; EPJ@edi.example\r\n"
    "Action: {action}\r\nStatus: {status}\r\n\r\n--r\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    "Message-ID: <11111111-2222-4333-8444-555555555555.0123456789abcdef0123456789abcdef@edi.example>\r\nSubject: ebXML\r\n\r\n--r--\r\n"
)


@pytest.mark.parametrize("action, status", [("failed", "5.1.1"), ("delayed", "4.4.1")])
def test_a_bounce_says_what_became_of_which_letter_and_to_whom_never_in_the_text(action: str, status: str) -> None:
    raw = BOUNCE.format(action=action, status=status).encode()
    trouble = mail.read(raw).trouble
    assert trouble is not None and trouble.problem is Problem.NOT_DELIVERED
    assert trouble.detail == f"the mail system's report: {action} {status}, of letter 11111111-2222-4333-8444-555555555555"
    assert mail.concerns(raw) == {"mailer-daemon@edi.example", "epj@edi.example"}


@pytest.mark.parametrize("head, problem", [
    ("Auto-Submitted: auto-replied\r\nContent-Type: text/plain", Problem.UNREADABLE),
    ("X-Autoreply: yes\r\nContent-Type: multipart/alternative; boundary=x", Problem.UNREADABLE),
    ("Return-Path: <>\r\nContent-Type: text/plain", Problem.NOT_DELIVERED),
    ("From: Postmaster@x.example\r\nContent-Type: text/html", Problem.NOT_DELIVERED),
    ("Content-Type: multipart/report; report-type=disposition-notification; boundary=x", Problem.UNREADABLE),
    ("Content-Type: multipart/report; report-type=delivery-status", Problem.NOT_DELIVERED),
    ("Content-Type: text/plain", None),
    ("Auto-Submitted: auto-generated\r\nReturn-Path: <>\r\nContent-Type: text/xml", None),
])
def test_mail_that_speaks_of_mail_is_no_letter_and_a_letter_is_one_whatever_its_headers_say(head: str, problem: Problem | None) -> None:
    trouble = mail.read(f"{head}\r\n\r\nJeg er på ferie.\r\n".encode()).trouble
    assert (trouble.problem if trouble else None) is problem
    assert trouble is None or "ferie" not in str(trouble)


@given(st.binary(max_size=400))
def test_no_mail_is_so_odd_that_reading_it_raises(raw: bytes) -> None:
    for prefix in (b"", b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n", b"From: \xff\r\nContent-Transfer-Encoding: base64\r\n"):
        mail.read(prefix + raw)
        mail.concerns(prefix + raw)


def test_the_real_mails_are_read(shared: object) -> None:
    from pathlib import Path

    for path in sorted((Path(str(shared)) / "standards" / "samples" / "ebms-no").glob("*.eml")):
        parcel = mail.read(path.read_bytes())
        assert parcel.trouble is None and mime.read(parcel.headers, parcel.body).root.body.strip()
