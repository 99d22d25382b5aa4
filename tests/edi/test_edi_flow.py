"""The whole way by EDI 2.0: booking, document, AppRec and the EPJ's own statements, through a real hub and a Meldingstjener in a box."""

from __future__ import annotations

import json
import logging
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from edi_world import EPJ, HUB, NAME, STRANGER, EdiWorld, once
from openapi import Api
from test_flow import status

from adapters.epj import script
from adapters.epj.meldingstjener import DROPPED, LOST, Fault, Kept
from adapters.epj.settings import Faults
from ebxml import apprec
from hub.delivery import State
from hub.message import Letter, Resources
from hub.problem import Problem


def says(world: EdiWorld, uid: str, step: str = script.CONFIRM) -> str:
    """A statement of the EPJ's about a visit lies with the service; its MsgId."""
    now = world.clock.now
    made = script.statement(step, 1, uid, now + timedelta(days=3), now + timedelta(days=3, hours=1), None)
    letter = Letter(str(uuid.uuid4()), uid, "visit", now)
    world.box._carrier.send(world.box.seal.close(world.box.format.write(Resources(made), letter), letter, now))  # type: ignore[union-attr]
    return letter.id


def lies(world: EdiWorld, body: bytes, sender: str = EPJ, receiver: str = HUB, document_id: str = "") -> Kept:
    """Whatever somebody sent, with the service."""
    kept = Kept(str(uuid.uuid4()), int(sender), int(receiver), document_id or str(uuid.uuid4()), world.clock.now.isoformat(), body)
    world.service.messages.append(kept)
    return kept


def receipts(world: EdiWorld, said: str) -> int:
    """How many AppRecs came back to the EPJ for one MsgId."""
    return sum(apprec.read(kept.body).original_id == said for kept in world.service.to(EPJ, receipts=True))


def duplicates(world: EdiWorld, id_: str) -> int:
    return sum(entry.kind == "duplicate" for entry in world.store.timeline(f"Appointment/{id_}"))


@pytest.mark.spec("facts/helsenorge", "15.6")
@pytest.mark.spec("facts/helsenorge", "15.6.status")
@pytest.mark.spec("facts/helsenorge", "15.6.apprec")
def test_a_booking_travels_by_the_message_service_to_its_end(world: EdiWorld, api: Api) -> None:
    id_, owed = world.booked()
    world.deliver()
    assert world.state(owed) is State.SENT, "the service has it; whether it arrived is its receiver's to say"
    world.hub_looks()
    assert world.state(owed) is State.ARRIVED
    world.goes_on()
    assert world.state(owed) is State.ACCEPTED
    assert status(world, id_) in ("fulfilled", "noshow", "cancelled") and status(world, id_) == world.box.records.visit(id_).status  # type: ignore[union-attr]
    assert all(kept.read for kept in world.service.messages), "nothing is left unread"
    statements = world.service.to(HUB)
    assert len(statements) > 2 and all(kept.receipt == {"appRecStatus": "Ok", "appRecErrorList": []} for kept in statements)
    done = {api.check(request, answer) for request, answer in world.service.seen if request.path.startswith("/Messages")}
    assert done == {"GetMessages", "PostMessage", "GetBusinessDocument", "GetStatus", "PostAppRec", "MarkMessageAsRead"}
    assert world.service.to(EPJ)[0].document_id == owed.id
    assert not list((world.home / "hub" / "edi" / NAME).iterdir()), "nothing is under way any more"


def test_no_national_id_is_in_an_address_a_header_or_the_log(alone: EdiWorld, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        id_, _ = alone.booked()
        alone.goes_on()
    assert status(alone, id_) != "pending"
    ids = {person.national_id for person in alone.town.persons}
    told = [caplog.text, *(f"{request.target} {request.headers}" for request, _ in alone.service.seen)]
    assert ids and not any(id_ in text for text in told for id_ in ids)
    assert b"PatientId" not in caplog.text.encode() and "eyJ" not in caplog.text, "nor a token"


@pytest.mark.spec("facts/helsenorge", "15.6.apprec")
def test_a_booking_that_the_epj_rejects_is_rejected_with_its_code(town_url: str, tmp_path: object) -> None:
    with EdiWorld.opened(town_url, tmp_path, Faults(rejected=1.0)) as world:  # type: ignore[arg-type]
        id_, owed = world.booked()
        world.goes_on()
        assert world.state(owed) is State.REJECTED and world.store.delivery(owed.id).note == "E35"  # type: ignore[union-attr]
        assert status(world, id_) != "booked"


@pytest.mark.spec("facts/helsenorge", "15.6.apprec")
def test_a_statement_that_the_rules_refuse_is_rejected_with_our_number(world: EdiWorld, api: Api) -> None:
    said = says(world, str(uuid.uuid4()))
    world.hub_looks()
    world.goes_on()
    (kept,) = world.service.to(HUB)
    assert kept.document_id == said and kept.read and kept.receipt is not None
    (error,) = kept.receipt["appRecErrorList"]
    assert kept.receipt["appRecStatus"] == "Rejected" and error["errorCode"] == "X99" and Problem.UNKNOWN_BOOKING.value in error["details"]
    assert {api.check(*seen) for seen in world.service.seen if "/apprec/" in seen[0].path} == {"PostAppRec"}
    (told,) = world.service.to(EPJ, receipts=True)
    assert said.encode() in told.body, "the service wrote the AppRec, of the sender's own MsgId"


@pytest.mark.spec("facts/helsenorge", "15.6.read")
@pytest.mark.parametrize("kind", [DROPPED, 500], ids=["the hub dies before it marks it", "the service cannot mark it"])
def test_what_was_stored_and_not_marked_as_read_comes_again_and_is_taken_in_once(world: EdiWorld, kind: str) -> None:
    id_, _ = world.booked()
    said = says(world, id_)
    world.service.fault = once(Fault(kind), "PUT")
    world.hub_looks()
    (kept,) = world.service.to(HUB)
    assert not kept.read and status(world, id_) == "booked" and duplicates(world, id_) == 0
    world.deliver()
    assert world.hub_looks() and kept.read and duplicates(world, id_) == 1
    world.goes_on()
    assert receipts(world, said) == 1


@pytest.mark.spec("facts/helsenorge", "15.6.read")
def test_a_message_that_could_not_be_stored_stays_unread(world: EdiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    id_, _ = world.booked()
    says(world, id_)
    with monkeypatch.context() as broken:
        broken.setattr(type(world.adapters[NAME].format), "read", lambda *_: 1 / 0)
        world.hub_looks()
    (kept,) = world.service.to(HUB)
    assert not kept.read and not world.asked("PUT") and status(world, id_) == "pending"
    world.hub_looks()
    assert kept.read and status(world, id_) == "booked"


def test_the_epj_that_posts_one_document_twice_has_said_it_once(world: EdiWorld) -> None:
    """Its POST was not answered, so it posts again: another number of the service's, the same MsgId."""
    id_, _ = world.booked()
    said = says(world, id_)
    (first,) = world.service.to(HUB)
    lies(world, first.body, document_id=said)
    world.hub_looks()
    world.goes_on()
    assert duplicates(world, id_) == 1 and all(kept.read for kept in world.service.to(HUB))
    assert receipts(world, said) == 1


def test_another_document_under_a_used_msgid_is_rejected_and_changes_nothing(world: EdiWorld) -> None:
    id_, _ = world.booked()
    said = says(world, id_)
    world.hub_looks()
    other = lies(world, world.service.to(HUB)[0].body.replace(b"</MsgHead>", b"<!-- --></MsgHead>"), document_id=said)
    world.hub_looks()
    assert other.read and other.receipt is not None and other.receipt["appRecStatus"] == "Rejected"
    assert other.receipt["appRecErrorList"][0]["errorCode"] == "E10"
    assert world.store.envelopes(NAME, Problem.ALTERED_DUPLICATE, None, None, 5)


def test_a_list_that_names_a_message_twice_is_one_message(world: EdiWorld) -> None:
    id_, _ = world.booked()
    says(world, id_)
    world.service.twice = True
    world.hub_looks()
    (kept,) = world.service.to(HUB)
    assert kept.read and kept.fetched == 1 and duplicates(world, id_) == 0 and status(world, id_) == "booked"


@pytest.mark.spec("facts/helsenorge", "15.6.apprec")
def test_what_nobody_can_read_is_rejected_and_shown(world: EdiWorld, api: Api) -> None:
    kept = lies(world, b"this is no XML")
    world.hub_looks()
    assert kept.read and kept.receipt is not None and kept.receipt["appRecErrorList"][0]["errorCode"] == "T01"
    assert world.store.envelopes(NAME, Problem.UNREADABLE, None, None, 5)
    assert "PostAppRec" in {api.check(*seen) for seen in world.service.seen if seen[0].path.startswith("/Messages")}


def test_an_apprec_is_never_answered_however_odd_it_is(world: EdiWorld) -> None:
    kept = lies(world, b"<AppRec xmlns='http://www.kith.no/xmlstds/apprec/2012-02-15'/>")
    kept.is_receipt = True
    world.hub_looks()
    assert kept.read and not world.asked("POST")
    assert world.store.envelopes(NAME, Problem.UNREADABLE, None, None, 5)


def test_a_document_that_is_not_in_base64_is_kept_as_it_came_and_shown(alone: EdiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = lies(alone, b"x")
    monkeypatch.setattr("adapters.epj.meldingstjener.base64", SimpleNamespace(b64encode=lambda body: b"@not base64@"))
    alone.hub_looks()
    assert kept.read
    (filed,) = alone.store.envelopes(NAME, Problem.UNREADABLE, None, None, 5)
    parcel = alone.store.parcel(filed.content)  # type: ignore[arg-type]
    assert parcel is not None and b"@not base64@" in parcel.body


@pytest.mark.spec("facts/helsenorge", "15.6.read")
def test_what_is_for_or_from_somebody_else_is_left_untouched(world: EdiWorld) -> None:
    id_, _ = world.booked()
    says(world, id_)
    body = world.service.to(HUB)[0].body
    others = [lies(world, body, receiver=STRANGER), lies(world, body, sender=STRANGER)]
    world.hub_looks()
    assert status(world, id_) == "booked"
    assert [(kept.read, kept.fetched, kept.receipt) for kept in others] == [(False, 0, None)] * 2


def test_a_document_from_another_sender_than_the_service_says_is_refused(world: EdiWorld) -> None:
    """The service knows who sent it, the MsgHead says something else: who is told of is not who spoke."""
    id_, _ = world.booked()
    says(world, id_)
    forged = world.service.to(HUB)[0]
    forged.body = forged.body.replace(EPJ.encode(), STRANGER.encode())
    world.hub_looks()
    assert status(world, id_) == "pending" and world.store.envelopes(NAME, Problem.WRONG_PARTY, None, None, 5)


def test_what_comes_from_a_her_id_that_nobody_names_waits_and_is_told_of_until_it_is_named(world: EdiWorld) -> None:
    """The EPJ's service sends under a HER-id of its own."""
    id_, _ = world.booked()
    said = says(world, id_)
    kept = world.service.to(HUB)[0]
    kept.sender = 8100102
    world.hub_looks()
    (filed,) = world.store.envelopes(NAME, Problem.UNKNOWN_PARTNER, None, None, 5)
    assert "1 unread" in filed.verdict.detail and status(world, id_) == "pending" and not kept.read
    world.carrier_.close()
    world.adapters[NAME] = world.made(**{"# her_ids": f'senders = ["{EPJ}", "8100102"]\n# her_ids'})
    world.hub_looks()
    assert status(world, id_) == "booked" and kept.read
    world.deliver()
    assert kept.receipt == {"appRecStatus": "Ok", "appRecErrorList": []} and kept.document_id == said


def test_an_outage_keeps_every_letter_and_each_visits_letters_in_order(world: EdiWorld) -> None:
    ids = []
    world.service.fault = lambda request: Fault(DROPPED)
    for _ in range(3):
        world.clock.now += timedelta(seconds=1)
        order = next(o for o in world.plan.orders(f"U{world.clock.now:%S}") if o.department == "hjemmesykepleie" and o.id not in ids)
        message = order.message("OPPRETT")
        if world.shop(json.dumps(message).encode(), str(message["meldingsId"])).verdict.accepted:
            ids.append(order.appointment)
    assert ids
    for _ in range(3):
        world.deliver()
        assert not world.hub_looks()
        world.clock.now += timedelta(minutes=2)
    assert {d.state for d in world.store.deliveries((), NAME, None, 99)} == {State.DUE} and not world.service.messages
    world.service.fault = lambda request: None
    world.goes_on()
    assert {status(world, id_) for id_ in ids} <= {"fulfilled", "noshow", "cancelled"}
    assert len({kept.document_id for kept in world.service.to(EPJ)}) == len(world.service.to(EPJ)), "nothing went twice"


def test_a_lost_answer_becomes_two_documents_under_one_msgid_where_the_service_does_not_let_us_look(world: EdiWorld) -> None:
    id_, owed = world.booked()
    world.service.fault = once(Fault(LOST), "POST")
    world.deliver()
    assert world.state(owed) is State.DUE and len(world.service.to(EPJ)) == 1
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert [kept.document_id for kept in world.service.to(EPJ)] == [owed.id] * 2
    world.goes_on()
    assert world.state(owed) is State.ACCEPTED and world.box.records.report()["duplicates_dropped"] == 1
    asked = [r for r in world.asked("GET") if ("BusinessDocumentId", owed.id) in r.query]
    assert len(asked) == 1 and status(world, id_) != "pending"


def test_a_lost_answer_is_no_second_document_where_the_service_lets_us_look(world: EdiWorld, api: Api) -> None:
    _, owed = world.booked()
    clients = world.service.sts.clients
    object.__setattr__(clients["hub"], "her_ids", frozenset({int(HUB), int(EPJ)}))
    world.service.fault = once(Fault(LOST), "POST")
    world.deliver()
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert [kept.document_id for kept in world.service.to(EPJ)] == [owed.id]
    assert world.state(owed) is State.ARRIVED, "its status was told at once"
    world.goes_on()
    assert world.state(owed) is State.ACCEPTED and len(world.service.to(EPJ)) == 1
    assert all(api.check(*seen) for seen in world.service.seen if seen[0].path.startswith("/Messages"))


@pytest.mark.spec("facts/helsenorge", "15.6.apprec")
def test_a_lost_answer_to_our_apprec_is_asked_for_and_it_goes_once(world: EdiWorld, api: Api) -> None:
    said = says(world, str(uuid.uuid4()))
    world.hub_looks()
    world.service.fault = once(Fault(LOST), "POST", "/apprec/")
    world.deliver()
    (owed,) = world.store.deliveries((State.DUE,), NAME, None, 9)
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert world.state(owed) is State.ACCEPTED
    assert receipts(world, said) == 1
    assert "GetApprecInfo" in {api.check(*seen) for seen in world.service.seen if seen[0].path.startswith("/Messages")}


def test_a_hub_that_is_killed_after_the_post_does_not_post_again(world: EdiWorld) -> None:
    """What the service answered is on the disk before the hub goes on; another process reads it there."""
    _, owed = world.booked()
    (claimed,) = world.store.claim({NAME: 9}, world.clock.now, timedelta(minutes=2), "dies")
    letter = Letter(claimed.id, claimed.conversation, claimed.function, world.clock.now, claimed.expires)
    visma = world.adapters[NAME]
    content = visma.format.write(world.keeping.stated(world.store, claimed.subject, claimed.version), letter)
    assert visma.carrier.send(visma.seal.close(content, letter, world.clock.now)) is None
    visma.carrier.close()
    world.adapters[NAME] = world.made()
    world.clock.now += timedelta(minutes=3)
    world.deliver()
    assert len(world.service.to(EPJ)) == 1 and world.state(owed) is State.ARRIVED
    world.goes_on()
    assert world.state(owed) is State.ACCEPTED and len(world.service.to(EPJ)) == 1


@pytest.mark.spec("facts/helsenorge", "15.6.status")
def test_a_letter_that_the_receivers_system_rejects_has_failed_and_can_be_sent_again(world: EdiWorld) -> None:
    _, owed = world.booked()
    world.service.accepts = "Rejected"
    world.deliver()
    world.hub_looks()
    kept = world.store.delivery(owed.id)
    assert kept is not None and kept.state is State.FAILED and kept.note == "Rejected"
    world.service.accepts = "Acknowledged"
    world.flow.settling.resend(owed.id, "operator:test", "the receiver's system is up again")
    world.goes_on()
    assert world.state(owed) is State.ACCEPTED and len(world.service.to(EPJ)) == 2


@pytest.mark.spec("facts/helsenorge", "15.6.status")
def test_an_unconfirmed_letter_waits_and_arrives_when_the_service_says_so(world: EdiWorld) -> None:
    _, owed = world.booked()
    world.service.accepts = "Unconfirmed"
    world.deliver()
    for _ in range(3):
        assert world.hub_looks() and world.state(owed) is State.SENT
    world.service.to(EPJ)[0].state = "Acknowledged"
    world.carrier_._asked.clear()  # as if the pause were over
    world.hub_looks()
    assert world.state(owed) is State.ARRIVED and len(world.service.to(EPJ)) == 1


def test_an_unconfirmed_letter_is_posted_again_when_its_time_is_out_and_not_before(world: EdiWorld) -> None:
    _, owed = world.booked()
    world.service.accepts = "Unconfirmed"
    world.deliver()
    world.clock.now += timedelta(hours=13)  # as receipt_within says
    world.deliver()
    assert len(world.service.to(EPJ)) == 1, "by the carrier's clock no time has gone: the service is still trying"
    ahead = world.carrier_._clock() + 13 * 3600
    world.carrier_._clock = lambda: ahead
    world.clock.now += timedelta(hours=13)
    world.deliver()
    assert [kept.document_id for kept in world.service.to(EPJ)] == [owed.id] * 2


def test_a_letter_that_the_service_has_forgotten_is_posted_again_when_it_is_overdue(world: EdiWorld) -> None:
    _, owed = world.booked()
    world.deliver()
    world.service.messages.clear()
    assert world.hub_looks() and world.state(owed) is State.SENT
    world.clock.now += timedelta(hours=13)
    world.deliver()
    assert [kept.document_id for kept in world.service.to(EPJ)] == [owed.id]
