"""Transport receipts that do not go straight back: for what was collected, and for a sender who did not ask for them on its connection."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hubs import EPJ, FUNCTIONS, HUB, World
from starlette.testclient import TestClient
from test_flow import booked, statement, told

from adapters.carriers.memory import MemoryCarrier
from adapters.demo.processes import wait_for
from adapters.seals.ebms import ebms
from ebxml import apprec, certificate, envelope, msghead, signature
from ebxml.kith import HER, Coded, Ident, Party
from hub.adapter import Surroundings
from hub.delivery import Patience, State
from hub.faces.inbox import Inbox
from hub.message import Content, Letter, Parcel
from hub.problem import Problem, Refused, Unavailable
from hub.worker import Worker


def collected(world: World, *parcels: Parcel) -> MemoryCarrier:
    """What lies waiting at the EPJ's carrier is taken by a real worker, until nothing does or it stays."""
    carrier = MemoryCarrier()
    carrier.waiting += parcels
    world.adapters["visma-profil"] = replace(world.adapters["visma-profil"], carrier=carrier, pause=timedelta(milliseconds=20))
    return carrier


def test_a_collected_letter_is_kept_its_receipt_sent_and_only_then_let_go(world: World) -> None:
    good = statement(world)
    world.deliver()
    carrier = collected(world, good)
    worker = Worker(world.flow, 1)
    worker.start()
    wait_for(lambda: not carrier.waiting, "the letter taken", 20)
    worker.stop()
    receipts = [told(parcel) for parcel in carrier.sent]
    assert [r.action for r in receipts if r.service.endswith("service")] == ["Acknowledgment"]


def test_a_receipt_that_cannot_leave_keeps_the_letter_where_it_lies(world: World) -> None:
    """The process may die between: the letter comes again, is a duplicate, and its stored receipt leaves then."""
    good, tries = statement(world), list[Parcel]()
    carrier = collected(world, good)

    def down(parcel: Parcel) -> None:
        tries.append(parcel)
        if len(tries) == 1:
            raise Unavailable("nobody answers")

    carrier.send = down  # type: ignore[method-assign,assignment]
    worker = Worker(replace(world.flow, adapters={"visma-profil": world.adapters["visma-profil"]}), 1)
    worker._visit(world.adapters["visma-profil"])
    assert carrier.waiting == [good]
    worker._visit(world.adapters["visma-profil"])
    assert carrier.waiting == [] and tries[0] == tries[1], "the same receipt to the byte"


def test_a_receipt_that_cannot_leave_does_not_hold_up_the_next_letter_and_two_in_a_row_end_the_visit(world: World) -> None:
    letters = [statement(world), *(letter(world, sync=False, id_=f"letter-{n}") for n in range(4))]
    carrier, tries = collected(world, *letters), list[Parcel]()
    fails = {0, 2, 3}

    def flaky(parcel: Parcel) -> None:
        tries.append(parcel)
        if len(tries) - 1 in fails:
            raise Unavailable("the connection broke")

    carrier.send = flaky  # type: ignore[method-assign,assignment]
    worker = Worker(world.flow, 1)
    with pytest.raises(Unavailable):
        worker._visit(world.adapters["visma-profil"])
    assert carrier.waiting == [letters[0], *letters[2:]] and len(tries) == 4, "the fifth waits for a better time"
    worker._visit(world.adapters["visma-profil"])
    assert carrier.waiting == []


def test_one_parcel_that_hits_a_bug_does_not_block_the_next(world: World) -> None:
    good = statement(world)
    strange = Parcel({"content-type": "text/xml"}, b"<x/>")
    carrier = collected(world, strange, good)
    visma = world.adapters["visma-profil"]
    taken: list[Parcel] = []

    class Broken:
        """The flow, with a bug for one parcel."""

        adapters = world.adapters

        def receive(self, adapter: object, parcel: Parcel) -> object:
            if parcel is strange:
                raise ZeroDivisionError
            taken.append(parcel)
            return world.flow.receive(visma, parcel)

        clock = staticmethod(world.clock)

    worker = Worker(Broken(), 1)  # type: ignore[arg-type]
    for parcel, done in carrier.collect():
        worker._take(visma, parcel, done)
    assert carrier.waiting == [strange] and taken == [good]


def test_a_partner_that_was_down_for_a_minute_gets_the_letters_behind_the_one_that_waits_twelve_hours(world: World) -> None:
    """A CPA's RetryInterval binds the letter that was tried, not the partner's other letters."""
    booked(world)
    (owed,) = world.store.deliveries((State.DUE,), "visma-profil", None, 9)
    world.store.write(lambda tx: [tx.owe(replace(owed, id=str(uuid.uuid4()), key=f"{owed.key}-{n}")) for n in range(3)])
    visma = replace(world.adapters["visma-profil"], patience=Patience(pauses=(timedelta(hours=12),)), concurrency=1)
    carrier, tries, began = MemoryCarrier(), list[Parcel](), world.clock.now

    def send(parcel: Parcel) -> None:
        tries.append(parcel)
        if world.clock.now == began:
            raise Unavailable("the connection was refused")

    carrier.send = send  # type: ignore[method-assign,assignment]
    adapters = {"visma-profil": replace(visma, carrier=carrier)}
    worker = Worker(replace(world.flow, adapters=adapters, settling=replace(world.flow.settling, adapters=adapters)), 1)
    worker.start()
    try:
        wait_for(lambda: len(tries) == 1 and not any(worker._begun.values()), "one try, and those behind it let go of", 20)
        world.clock.now += timedelta(minutes=1, seconds=1)
        wait_for(lambda: len(tries) == 4, "the letters behind them", 20)
    finally:
        worker.stop()
    assert len(world.store.deliveries((State.DUE,), "visma-profil", None, 9)) == 1, "the one that was tried waits as the CPA says"


def test_a_partner_that_refuses_our_receipt_is_not_asked_again(world: World) -> None:
    good = statement(world)
    carrier = collected(world, good)

    def never(_: Parcel) -> None:
        raise Refused(Problem.NOT_DELIVERED, "HTTP 404")

    carrier.send = never  # type: ignore[method-assign,assignment]
    for parcel, done in carrier.collect():
        Worker(world.flow, 1)._take(world.adapters["visma-profil"], parcel, done)
    assert carrier.waiting == []


def letter(world: World, *, sync: bool, id_: str = "", body: bytes = b"", function: str = "visit") -> Parcel:
    """A letter of the EPJ's that asks for its receipt on the same connection, or not. It states nothing that is understood."""
    around = Surroundings(world.home / "epj", "epj", HUB, EPJ, "Visma Profil", {"functions": FUNCTIONS, "sync": sync})
    content = Content(body or of_no_use(world), "application/xml")
    return ebms(around).close(content, Letter(id_ or f"letter-{sync}", "talk", function, world.clock.now), world.clock.now)


def of_no_use(world: World) -> bytes:
    epj, hub = (Party(name, (Ident(her, HER),)) for name, her in (("EPJ", EPJ), ("Kommune", HUB)))
    return msghead.write(msghead.MsgHead(Coded("EPIKRISE"), "head-1", world.clock.now, epj, hub, (msghead.Document(b"<a/>"),), ack="J"))


@pytest.mark.spec("facts/ebxml", "7.4.fault")
@pytest.mark.parametrize("sync", [True, False])
def test_a_letter_whose_document_cannot_be_read_is_told_so_and_not_that_it_has_arrived(world: World, sync: bool) -> None:
    answer = world.flow.receive(world.adapters["visma-profil"], letter(world, sync=sync, body=b"<NoMsgHead/>"))
    assert answer.verdict.problem is Problem.UNREADABLE and answer.later is not sync
    (error,) = told(answer.parcel).errors
    assert (error.code, error.severity, error.description[:6]) == ("OtherXml", "Error", "BB-101")
    again = world.flow.receive(world.adapters["visma-profil"], letter(world, sync=sync, body=b"<NoMsgHead/>"))
    assert again.duplicate and again.parcel == answer.parcel
    assert not world.store.deliveries((State.DUE,), "visma-profil", None, 9)


@pytest.mark.spec("facts/ebxml", "7.4.fault")
def test_a_letter_whose_msginfo_can_be_read_gets_an_acknowledgment_and_a_negative_apprec(world: World) -> None:
    broken = of_no_use(world).replace(b"<a/>", b"<a>")
    answer = world.flow.receive(world.adapters["visma-profil"], letter(world, sync=True, body=broken))
    assert answer.verdict.problem is Problem.UNREADABLE and told(answer.parcel).action == "Acknowledgment"
    world.deliver()
    receipt = apprec.read(world.box.seal.open(world.carrier.sent[-1], world.clock.now).content.body)
    assert (receipt.status, receipt.original_id, [e.v for e in receipt.errors]) == (apprec.REJECTED, "head-1", ["T01"])


@pytest.mark.spec("facts/ebxml", "9.2.service")
@pytest.mark.parametrize(
    ("function", "roles", "service"),
    [
        ("visit", ("Bestiller", "Tjenesteyter"), "HelsefagligDialog"), ("stay", ("KommunalHelsetjeneste", "Sykehus"), "Pasientlogistikk"),
        ("answer", ("DIALOG_INNBYGGER_EKONTAKTreceiver", "DIALOG_INNBYGGER_EKONTAKTsender"), "S-DIALOG_INNBYGGER_EKONTAKT"),
    ],
)
def test_an_apprec_has_the_service_of_what_it_answers_and_the_roles_turned_round(
    world: World, function: str, roles: tuple[str, str], service: str,
) -> None:
    letter_ = letter(world, sync=True, function=function)
    world.flow.receive(world.adapters["visma-profil"], letter_)
    world.deliver()
    asked, sent = told(letter_), told(world.carrier.sent[-1])
    assert (sent.sender.role, sent.receiver.role, sent.service) == (*roles, service) == (asked.receiver.role, asked.sender.role, asked.service)
    assert apprec.read(world.box.seal.open(world.carrier.sent[-1], world.clock.now).content.body).original_id == "head-1"


def test_a_home_whose_functions_name_no_receipt_sends_it_as_before(world: World) -> None:
    rows = {name: {k: v for k, v in row.items() if k != "receipt"} for name, row in FUNCTIONS.items() if not name.endswith("-receipt")}
    around = Surroundings(world.home / "hub", "visma-profil", EPJ, HUB, "Kommune", {"functions": rows})
    assert ebms(around).open(letter(world, sync=True), world.clock.now).answered_by == "receipt"


def test_without_sync_reply_the_receipt_goes_to_the_partners_own_address(world: World) -> None:
    with ThreadPoolExecutor(2) as pool:
        client = TestClient(Inbox(world.flow, world.adapters, pool))
        for sync, status, sent in ((True, 200, 0), (False, 202, 1)):
            parcel = letter(world, sync=sync)
            answer = client.post("/inbox/visma-profil", content=parcel.body, headers=dict(parcel.headers))
            wait_for(lambda sent=sent: len(world.carrier.sent) == sent, "the receipt on its own", 10)  # type: ignore[misc]
            assert answer.status_code == status and bool(answer.content) is sync
    assert told(world.carrier.sent[0]).action == "Acknowledgment"
    again = world.flow.receive(world.adapters["visma-profil"], letter(world, sync=False))
    assert again.duplicate and again.later and again.parcel is not None, "a repeated letter gets the stored receipt the same way"


def told_of(world: World, sent: Parcel, change: Callable[[list[list[str]]], list[list[str]]]) -> Parcel:
    """The EPJ's signed receipt for a letter, with what it repeats of our signature changed."""
    opened = world.box.seal.open(sent, world.clock.now)
    references = change(json.loads(opened.transport["references"]))
    receipt = world.box.seal.receipt(replace(opened, transport={**opened.transport, "references": json.dumps(references)}), None, world.clock.now)
    assert receipt is not None
    return receipt


def other_digest(references: list[list[str]]) -> list[list[str]]:
    """The part's digest is of something else."""
    return [references[0], [references[1][0], re.sub(r"DigestValue>.{43}=", f"DigestValue>{'A' * 43}=", references[1][1])]]


def other_names(references: list[list[str]]) -> list[list[str]]:
    """The same digests under other URIs, in another order."""
    return [[f"cid:{n}", re.sub(r'URI="[^"]*"', f'URI="cid:{n}"', element)] for n, (_, element) in enumerate(reversed(references))]


@pytest.mark.spec("facts/ebxml", "5.compare")
def test_a_receipt_that_repeats_other_digests_settles_nothing_and_is_shown(world: World) -> None:
    id_, _ = booked(world)
    world.deliver()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    sent, visma = world.carrier.sent[0], world.adapters["visma-profil"]
    answer = world.flow.receive(visma, told_of(world, sent, other_digest))
    assert answer.verdict.problem is Problem.RECEIPT_DIFFERS and answer.parcel is None, "a receipt is never answered"
    assert world.store.delivery(owed.id).state is State.SENT  # type: ignore[union-attr]
    assert [filed.verdict.problem for filed in world.store.envelopes("visma-profil", None, True, None, 5)] == [Problem.RECEIPT_DIFFERS]
    assert any(e.kind == "odd-receipt" and "BB-119" in e.text for e in world.store.timeline(f"Appointment/{id_}"))
    assert world.flow.receive(visma, told_of(world, sent, lambda same: same)).verdict.accepted
    assert world.store.delivery(owed.id).state is State.ARRIVED  # type: ignore[union-attr]


@pytest.mark.spec("facts/ebxml", "5.compare")
@pytest.mark.parametrize("change", [other_names, lambda references: references[:1], lambda references: []], ids=["other URIs", "envelope alone", "none"])
def test_a_receipt_that_names_the_parts_differently_or_repeats_fewer_settles(
    world: World, change: Callable[[list[list[str]]], list[list[str]]],
) -> None:
    id_, _ = booked(world)
    world.deliver()
    assert world.flow.receive(world.adapters["visma-profil"], told_of(world, world.carrier.sent[0], change)).verdict.accepted
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.ARRIVED


@pytest.mark.spec("facts/ebxml", "9.2.9")
@pytest.mark.parametrize("own, hours", [({}, 72), ({"booking": Patience(answer_within=timedelta(hours=24))}, 24)], ids=["the partner's", "the function's"])
def test_no_apprec_by_the_deadline_is_told_to_a_person_and_a_late_one_still_counts(world: World, own: dict[str, Patience], hours: int) -> None:
    visma = world.adapters["visma-profil"]
    world.adapters["visma-profil"] = replace(visma, patience_of=own)
    id_, _ = booked(world)
    world.deliver()
    world.to_epj()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.ARRIVED
    world.clock.now += timedelta(hours=hours, minutes=-1)
    assert world.deliver() == 0 and world.store.delivery(owed.id).state is State.ARRIVED  # type: ignore[union-attr]
    world.clock.now += timedelta(minutes=2)
    world.deliver()
    assert world.store.delivery(owed.id).state is State.EXPIRED  # type: ignore[union-attr]
    assert world.carrier.sent == [], "it arrived: nothing is sent again"
    assert "expired" in [entry.kind for entry in world.store.timeline(f"Appointment/{id_}")]
    assert [d.id for d in world.store.deliveries((State.EXPIRED,), "visma-profil", None, 5)] == [owed.id], "the console's list of what a person must do"


def said_of(world: World, delivery: str, **said: object) -> Parcel:
    """A signal of the EPJ's about a letter of ours."""
    ours = f"{delivery}@besoksbro.example"
    values: dict[str, object] = {
        "sender": envelope.EbParty((envelope.PartyId(EPJ),)), "receiver": envelope.EbParty((envelope.PartyId(HUB),)), "cpa_id": "c",
        "conversation_id": "c", "service": envelope.SIGNAL_SERVICE, "action": envelope.MESSAGE_ERROR, "message_id": f"{uuid.uuid4()}@epj",
        "timestamp": world.clock.now, "ref_to_message_id": ours, **said,
    }
    if values["action"] == envelope.ACKNOWLEDGMENT:
        values["acknowledges"] = ours
    keys = world.box.seal._ring().keys.sign  # type: ignore[attr-defined]
    header = envelope.Header(**values)  # type: ignore[arg-type]
    return Parcel({"content-type": "text/xml"}, signature.sign(envelope.write(header), (), keys.key, certificate.b64(keys.certificate)))


def two_sent(world: World) -> list[str]:
    """Two letters that were sent, and have no receipt yet."""
    id_, _ = booked(world)
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    other = replace(owed, id=str(uuid.uuid4()), key=None)
    world.store.write(lambda tx: tx.owe(other))
    world.deliver()
    return [owed.id, other.id]


@pytest.mark.spec("facts/ebxml", "7.4")
def test_an_error_after_the_receipt_is_told_to_a_person_at_once(world: World) -> None:
    """The partner acknowledges before it decrypts: what goes wrong then comes as a MessageError, since no AppRec can be written."""
    first, _ = two_sent(world)
    visma = world.adapters["visma-profil"]
    world.flow.receive(visma, said_of(world, first, action=envelope.ACKNOWLEDGMENT))
    assert world.store.delivery(first).state is State.ARRIVED  # type: ignore[union-attr]
    error = (envelope.EbError("SecurityFailure", "Error"),)
    world.flow.receive(visma, said_of(world, first, errors=error, highest_severity="Error"))
    assert world.store.delivery(first).state is State.FAILED  # type: ignore[union-attr]


@pytest.mark.spec("facts/ebxml", "7.4.duplicate")
def test_two_receipts_under_one_message_id_are_no_duplicates_and_the_second_is_shown(world: World) -> None:
    first, second = two_sent(world)
    visma = world.adapters["visma-profil"]
    same, other = (said_of(world, of, action=envelope.ACKNOWLEDGMENT, message_id="same@epj") for of in (first, second))
    assert world.flow.receive(visma, same).verdict.accepted and world.flow.receive(visma, same).duplicate
    assert world.flow.receive(visma, other).verdict.problem is Problem.ALTERED_DUPLICATE
    assert [filed.verdict.problem for filed in world.store.envelopes("visma-profil", None, True, None, 5)] == [Problem.ALTERED_DUPLICATE]


@pytest.mark.spec("facts/ebxml", "5")
@pytest.mark.parametrize("sync", [True, False])
def test_what_is_refused_is_told_where_the_sender_waits_for_it(world: World, sync: bool) -> None:
    """A message handler that asked for no answer on this connection reads none there: it would send the same letter for days."""
    good = letter(world, sync=sync)
    broken = Parcel(good.headers, good.body.replace(b"<eb:Action>Besok<", b"<eb:Action>Other<"))
    answer = world.flow.receive(world.adapters["visma-profil"], broken)
    assert answer.verdict.problem is Problem.BAD_SIGNATURE and told(answer.parcel).errors and answer.later is not sync
    asked = said_of(world, "x", action=envelope.PING, ref_to_message_id="", sync_reply=sync)
    assert world.flow.receive(world.adapters["visma-profil"], asked).later is not sync
