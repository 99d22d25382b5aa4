"""Messages as they are kept: every one in one thread, in order, and nothing that cannot be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.booking.messages import (
    LONGEST,
    MESSAGE,
    Post,
    begun,
    from_service,
    is_message,
    not_taken,
    proper,
    read,
    taken,
    threads,
)
from hub.fhir import definitions, validate
from hub.message import Resource
from hub.problem import Problem, Refused

NOON = datetime(2026, 11, 26, 11, tzinfo=UTC)
PERSON, RELATIVE = "Patient/p", "RelatedPerson/r"
check = partial(validate.require, definitions=definitions.load())


def written(id_: str, first: str, service: bool, minutes: int) -> Resource:
    """A message of a thread, or its first one."""
    now = NOON + timedelta(minutes=minutes)
    if service:
        made = from_service(id_, PERSON, "a", None, "Emne", "Svar", now)
    else:
        made = {**begun(id_, "in-progress", PERSON, None, "Emne", "Spørsmål", now), "sender": {"reference": PERSON},
                "recipient": [{"reference": "HealthcareService/a"}]}
    return made if id_ == first else {**made, "partOf": [{"reference": f"Communication/{first}"}]}


def several(drawn: list[tuple[int, bool, int]]) -> list[Resource]:
    """The first of each number begins a thread, the others belong to it."""
    firsts = {number: f"m{n}" for n, (number, _, _) in reversed(list(enumerate(drawn)))}
    return [written(f"m{n}", firsts[number], service, at) for n, (number, service, at) in enumerate(drawn)]


any_messages = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 60)), max_size=25).map(several)


@given(any_messages, st.randoms())
def test_every_message_is_in_one_thread_in_its_order_whatever_order_they_are_found_in(drawn: list[Resource], rng: object) -> None:
    """A person who looks for an answer finds it once, below what it answers; the newest thread comes first."""
    shuffled = list(drawn)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    found = threads(shuffled)
    assert found == threads(drawn)
    assert sorted(m.id for t in found for m in t.messages) == sorted(r["id"] for r in drawn)
    for thread in found:
        assert {m.thread for m in thread.messages} == {thread.id}
        later = [m.sent for m in thread.messages if m.id != thread.id]
        assert later == sorted(later) and thread.messages[0].id == thread.id
        assert thread.waits != thread.newest.from_service
    assert [t.newest.sent for t in found] == sorted((t.newest.sent for t in found), reverse=True)


@given(any_messages, st.lists(st.integers(0, 24)))
def test_unread_are_the_services_messages_that_this_reader_has_not_had_before_them(drawn: list[Resource], opened: list[int]) -> None:
    """What one reader opens is still new to another."""
    kept = [read(r, PERSON, "2026-11-26T12:00:00Z") if n in opened else r for n, r in enumerate(drawn)]
    unread = {m.id for t in threads(kept) for m in t.unread(PERSON)}
    assert unread == {r["id"] for n, r in enumerate(drawn) if Post.of(r).from_service and n not in opened}
    assert {m.id for t in threads(kept) for m in t.unread(RELATIVE)} == {r["id"] for r in drawn if Post.of(r).from_service}


@given(st.text(max_size=60))
def test_whatever_is_written_is_kept_as_valid_r4_or_refused(said: str) -> None:
    try:
        text = proper(said)
    except Refused as refused:
        assert refused.problem is Problem.MESSAGE_LENGTH
        return
    made = from_service("m1", PERSON, "a", None, "Emne", text, NOON)
    check(made)
    assert Post.of(made).text == text == proper(text) and "\r" not in text


@pytest.mark.parametrize("said", ["", "  \r\n\t ", "\x00\x01", "x" * (LONGEST + 1)])
def test_an_empty_and_a_too_long_text_are_refused(said: str) -> None:
    with pytest.raises(Refused) as refused:
        proper(said)
    assert refused.value.problem is Problem.MESSAGE_LENGTH


def test_line_ends_and_blank_ends_do_not_count_against_the_limit() -> None:
    assert proper("\r\n" + "x" * LONGEST + "  ") == "x" * LONGEST and proper("a\r\nb\rc") == "a\nb\nc"


def test_how_far_it_came_is_told_by_status_and_received_and_a_late_receipt_takes_back_that_it_was_lost() -> None:
    asked = written("m1", "m1", False, 0)
    lost = not_taken(asked)
    there = taken(lost, "2026-11-26T12:00:00Z")
    for each in (asked, lost, there):
        check(each)
    assert (lost["status"], "statusReason" in lost) == ("not-done", True)
    assert (there["status"], there["received"], "statusReason" in there) == ("completed", "2026-11-26T12:00:00Z", False)


@pytest.mark.parametrize("changed", [
    {"category": []}, {"status": "entered-in-error"}, {"sender": {"display": "uten adresse"}}, {"subject": {"display": "x"}},
])
def test_what_is_no_message_of_ours_is_left_alone(changed: Resource) -> None:
    """A vendor may keep Communications of other kinds; they must not break the person's page, nor be shown on it."""
    other = {**written("m1", "m1", True, 0), **changed}
    assert not is_message(other) and threads([other]) == []
    assert is_message({**other, "category": [MESSAGE], "status": "completed", "sender": {"reference": PERSON}, "subject": {"reference": PERSON}})
