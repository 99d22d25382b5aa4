"""The seal of partners that TLS and a token protect: ids, digests, and no words of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from adapters.seals.plain import plain
from hub.adapter import Surroundings, Unopened
from hub.message import Content, Letter, Parcel
from hub.problem import Problem, Refused

AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
SEAL = plain(Surroundings(Path("nowhere"), "shop", "tjenesteshop", "8100000", "Solbakken kommune"))
JSON = {"content-type": "application/json; charset=utf-8"}


def test_the_senders_own_id_is_the_messages_and_the_conversations() -> None:
    opened = SEAL.open(Parcel({**JSON, "x-message-id": "order-1"}, b"{}"), AT)
    assert (opened.id, opened.conversation, opened.sender, opened.receiver) == ("order-1", "order-1", "tjenesteshop", "8100000")
    assert (opened.content, opened.sent_at) == (Content(b"{}", "application/json"), AT)


def test_without_an_id_the_same_content_is_the_same_message_and_another_is_another() -> None:
    first, again, other = (SEAL.open(Parcel(JSON, body), AT).id for body in (b'{"a": 1}', b'{"a": 1}', b'{"a": 2}'))
    assert first == again
    assert first != other
    assert SEAL.open(Parcel({**JSON, "x-message-id": ""}, b'{"a": 1}'), AT).id == first


def test_an_id_without_end_is_cut() -> None:
    assert len(SEAL.open(Parcel({"x-message-id": "x" * 10_000}, b""), AT).id) == 200


def test_what_is_closed_carries_the_letters_id_and_opens_as_itself() -> None:
    content = Content(b'{"status": "booked"}', "application/json")
    parcel = SEAL.close(content, Letter("letter-1", "conversation", "booking", AT), AT)
    opened = SEAL.open(parcel, AT)
    assert (opened.id, opened.content) == ("letter-1", content)


def test_it_has_no_receipts_and_no_refusals() -> None:
    opened = SEAL.open(Parcel(JSON, b"{}"), AT)
    assert not opened.wants_receipt
    assert SEAL.receipt(opened, None, AT) is None
    assert SEAL.refusal(Unopened(Refused(Problem.UNREADABLE, "x")), AT) is None
