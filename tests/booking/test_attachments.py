"""What a file is, what it is called, and how a message tells of it."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "messages"))

from files import HOSTILE, JPEG, PDF, PNG, POLYGLOT

from hub.booking import attachments
from hub.booking.attachments import KINDS, LONGEST_NAME, File, Limits, called, files_of, kind_of, of, proper, stated, told
from hub.problem import Problem, Refused

PDFS, JPEGS, PNGS = KINDS


def refused(files: list[File], limits: Limits = Limits()) -> tuple[Problem, str]:
    with pytest.raises(Refused) as why:
        proper(files, limits)
    assert why.value.where == "Communication.payload"
    return why.value.problem, why.value.detail[:6]


@pytest.mark.parametrize(("body", "kind"), [(PDF, PDFS), (JPEG, JPEGS), (PNG, PNGS), (POLYGLOT, PDFS)])
def test_a_file_is_what_its_first_bytes_say(body: bytes, kind: object) -> None:
    assert kind_of(body) is kind


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_none_of_the_three_kinds_is_refused_whatever_it_is_called(body: bytes) -> None:
    assert refused([File("bilde.png", PNG), File("brev.pdf", body)]) == (Problem.ATTACHMENT_KIND, "file 2")


def test_too_many_and_too_large_are_refused_and_the_limit_itself_is_not() -> None:
    limits = Limits(2, len(PDF) + len(PNG))
    proper([File("a", PDF), File("b", PNG)], limits)
    assert refused([File("a", PDF), File("b", PNG + b"x")], limits)[0] is Problem.ATTACHMENTS_TOO_LARGE
    assert refused([File("a", PNG)] * 3, limits)[0] is Problem.ATTACHMENTS_TOO_LARGE
    assert refused([File("a", PNG)], Limits(0))[0] is Problem.ATTACHMENTS_TOO_LARGE


@pytest.mark.parametrize(("sent", "kept"), [
    ("Timeavtale.pdf", "Timeavtale.pdf"), ("ØRE og hals.PDF", "ØRE og hals.PDF"), ("/etc/passwd", "passwd.pdf"), ("..\\..\\C:\\Windows\\brev.pdf", "brev.pdf"),
    ("../../", "vedlegg.pdf"), ("", "vedlegg.pdf"), (".pdf", "vedlegg.pdf"), ("..pdf", "vedlegg.pdf"), ("bilde.exe", "bilde.exe.pdf"), ("a.pdf.exe", "a.pdf.exe.pdf"),
    ("brev\r\nSet-Cookie: x=y.pdf", "brev Set-Cookie x=y.pdf"), ("regning\u202efdp.exe", "regningfdp.exe.pdf"), ("a\0b\u200d\ufeff.pdf", "a b.pdf"),
    ('"><img src=x onerror=alert(1)>.pdf', "img src=x onerror=alert(1).pdf"), ("100 %20.pdf", "100 20.pdf"), ("a" * 500 + ".pdf", "a" * 96 + ".pdf"),
    ("æ" * 500, "æ" * 96 + ".pdf"), ("\ud800.pdf", "vedlegg.pdf"), ("e\u0301.pdf", "é.pdf"), ("   hei   .pdf", "hei.pdf"),
])
def test_a_name_is_what_can_be_seen_of_its_last_part_with_the_kinds_ending(sent: str, kept: str) -> None:
    assert called(sent, PDFS) == kept


@given(st.text(max_size=300))
def test_no_name_gets_past_the_rules(name: str) -> None:
    kept = called(name, JPEGS)
    assert kept.lower().endswith((".jpg", ".jpeg")) and len(kept) <= LONGEST_NAME and kept.isprintable() and not kept.startswith(".")
    assert not set(kept) & set('/\\<>:"|?*;%') and called(kept, JPEGS) == kept


def test_a_message_tells_of_its_files_as_r4_says_and_never_has_their_bytes() -> None:
    payload = told("m1", [File("brev.pdf", PDF), File("bilde", PNG)])
    first = payload[0]["contentAttachment"]
    assert first == {
        "contentType": "application/pdf", "url": first["url"], "size": len(PDF), "title": "brev.pdf",
        "hash": base64.b64encode(hashlib.sha1(PDF).digest()).decode(),
    }
    assert [(a.media_type, a.title, a.size, a.word) for a in of({"payload": payload})] == [
        ("application/pdf", "brev.pdf", len(PDF), "PDF"), ("image/png", "bilde.png", len(PNG), "PNG-bilde")]
    assert len({a.id for a in of({"payload": [*payload, *told("m2", [File("brev.pdf", PDF)])]})}) == 3


def test_a_stated_message_has_its_files_with_it() -> None:
    message = {"payload": [{"contentString": "Hei"}, stated(File("brev.pdf", PDF), "application/pdf"), stated(File("b.png", PNG))]}
    assert files_of(message) == (File("brev.pdf", PDF), File("b.png", PNG))
    assert attachments.without(message)["payload"] == [{"contentString": "Hei"}]


@pytest.mark.parametrize("attachment", [
    {"data": "%%%"}, {"data": "YQ="}, {"data": "æ"}, {"url": "https://example.org/x.pdf"}, {"url": "Binary/another"}, {"title": "bare et navn"},
    {"data": "YQ==", "size": 2}, {"data": "YQ==", "hash": "AAAA"},
])
def test_a_file_that_is_broken_or_elsewhere_is_refused(attachment: dict[str, object]) -> None:
    with pytest.raises(Refused) as why:
        files_of({"payload": [{"contentString": "Hei"}, {"contentAttachment": attachment}]})
    assert (why.value.problem, why.value.where) == (Problem.INVALID, "Communication.payload[1]")
