"""The story end to end: real letters, signed and encrypted, between the hub and an EPJ, on both databases."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hubs import World

from ebxml import certificate, envelope, mime, signature, xml
from hub.access import Ground
from hub.booking.conventions import with_extension
from hub.customer import Customer, Order
from hub.delivery import State
from hub.message import Content, Letter, Parcel, Resources
from hub.problem import Problem, Refused, Unavailable
from hub.replaying import replay
from hub.shop import Shop


def body(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode()


def booked(world: World) -> tuple[str, dict[str, object]]:
    order = world.order()
    message = order.message("OPPRETT")
    answer = world.shop(body(message), str(message["meldingsId"]))
    assert answer.verdict.accepted, answer.verdict
    return order.appointment, message


def status(world: World, id_: str) -> str:
    kept = world.store.get("Appointment", id_)
    assert kept is not None
    return str(kept.resource["status"])


def test_a_booking_travels_to_the_epj_and_back_to_its_end(world: World) -> None:
    id_, _ = booked(world)
    assert status(world, id_) == "pending"
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.DUE and owed.adapter == "visma-profil"
    world.deliver()
    assert world.store.delivery(owed.id).state is State.SENT  # type: ignore[union-attr]
    world.to_epj()
    assert world.store.delivery(owed.id).state is State.ARRIVED  # type: ignore[union-attr]
    world.until_quiet()
    assert world.store.delivery(owed.id).state is State.ACCEPTED  # type: ignore[union-attr]
    assert status(world, id_) in ("fulfilled", "noshow", "cancelled") and status(world, id_) == world.box.records.visit(id_).status  # type: ignore[union-attr]
    kinds = [entry.kind for entry in world.store.timeline(f"Appointment/{id_}")]
    assert kinds.index("owed") < kinds.index("sent") < kinds.index("arrived") and {"version", "accepted", "received"} <= set(kinds)


@pytest.mark.spec("facts/ebxml", "7.3")
def test_the_letter_is_the_same_on_every_try_and_its_receipt_may_come_late(world: World) -> None:
    booked(world)
    world.deliver()
    first = world.carrier.sent.pop()
    world.clock.now += timedelta(hours=13)  # no Acknowledgment in time
    world.deliver()
    again = world.carrier.sent.pop()
    assert first == again
    world.carrier.sent += [first, again]
    world.to_epj()
    assert world.box.records.report()["duplicates_dropped"] == 1


def test_a_repeated_post_gets_the_same_answer_and_books_once(world: World) -> None:
    id_, message = booked(world)
    again = world.shop(body(message), str(message["meldingsId"]))
    assert again.duplicate and again.verdict.about == (f"Appointment/{id_}",)
    assert len(world.store.history("Appointment", id_)) == 1
    assert len(world.store.deliveries_about(f"Appointment/{id_}")) == 1


@pytest.mark.spec("facts/ebxml", "7.4.duplicate")
def test_another_message_under_a_used_id_is_refused_and_shown(world: World) -> None:
    _, message = booked(world)
    altered = world.shop(body({**message, "fra": "2026-12-02T10:00:00+01:00"}), str(message["meldingsId"]))
    assert altered.verdict.problem is Problem.ALTERED_DUPLICATE
    assert world.store.envelopes("tjenesteshop", Problem.ALTERED_DUPLICATE, None, None, 5)


@pytest.mark.spec("facts/ebxml", "7.4.duplicate")
def test_an_epjs_letter_twice_is_one_statement_and_one_answer(world: World) -> None:
    id_, _ = booked(world)
    world.deliver()
    world.to_epj()
    world.epj_says(twice=True)
    versions = len(world.store.history("Appointment", id_))
    assert versions == 2 and any(e.kind == "duplicate" for e in world.store.timeline(f"Appointment/{id_}"))


def test_a_move_before_sending_is_one_letter_with_the_newest_state(world: World) -> None:
    order = world.plan.changes(world.order(), 1.0, 0.0)
    assert order.then == "FLYTT" and order.moved_to is not None
    for action in ("OPPRETT", "FLYTT"):
        assert world.shop(body(order.message(action))).verdict.accepted
    world.deliver()
    assert len(world.carrier.sent) == 1
    world.to_epj()
    visit = world.box.records.visit(order.appointment)
    assert visit is not None and visit.start == order.moved_to[0].astimezone().astimezone(tz=world.clock.now.tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_shop_that_is_refused_is_told_the_nearest_free_times(world: World) -> None:
    order = world.order()
    wrong = {**order.message("OPPRETT"), "fra": "2026-11-20T10:00:00", "til": None}
    answer = world.shop(body(wrong))
    told = json.loads(answer.parcel.body)
    assert (told["status"], told["problem"]["nummer"], told["problem"]["tekst"]) == ("AVVIST", "BB-321", Problem.PAST.text)
    assert len(told["ledigeTider"]) == 3 and all(t["fra"] > "2026-11-26" and t["fra"].endswith("+01:00") for t in told["ledigeTider"])
    first = {**order.message("OPPRETT"), "meldingsId": "next", "fra": told["ledigeTider"][0]["fra"], "til": told["ledigeTider"][0]["til"]}
    assert world.shop(body(first)).verdict.accepted
    again = world.shop(body(wrong))
    assert again.parcel is not None and json.loads(again.parcel.body) == told, "the same message is answered the same"


def test_other_times_are_looked_for_while_nobody_waits_for_the_transaction(world: World) -> None:
    """Looked for within it, they kept every other write waiting for each order that was refused."""
    looked: list[str] = []

    def looks(trouble: Exception) -> Exception:
        looked.append(threading.current_thread().name)
        return world.flow.elsewhen(trouble)

    wrong = {**world.order().message("OPPRETT"), "fra": "2026-11-20T10:00:00", "til": None}
    parcel = Parcel({"content-type": "application/json"}, body(wrong))
    answer = replace(world.flow, elsewhen=looks).receive(world.adapters["tjenesteshop"], parcel)
    assert len(json.loads(answer.parcel.body)["ledigeTider"]) == 3 and looked == [threading.current_thread().name]


def test_a_shop_says_who_ordered_and_the_department_who_may(world: World) -> None:
    order = world.order()
    kept = world.store.get("HealthcareService", order.department)
    assert kept is not None
    only = with_extension(kept.resource, "who-may-book", "String", "relative")
    world.store.write(lambda tx: tx.keep(only, origin="test"))
    message = order.message("OPPRETT")
    assert world.shop(body(message)).verdict.problem is Problem.NOT_ALLOWED
    assert world.shop(body({**message, "meldingsId": "b", "bestiltAv": "NABO"})).verdict.problem is Problem.UNKNOWN_CODE
    assert world.shop(body({**message, "meldingsId": "c", "bestiltAv": "PARORENDE"})).verdict.accepted
    assert world.shop(body(order.message("AVBESTILL"))).verdict.problem is Problem.NOT_ALLOWED
    by_relative = {**order.message("AVBESTILL"), "meldingsId": "d", "avbestiltAv": "PARORENDE"}
    assert world.shop(body(by_relative)).verdict.accepted and status(world, order.appointment) == "cancelled"


def test_a_cancelled_booking_gives_back_its_place(world: World) -> None:
    order = world.order()
    world.shop(body(order.message("OPPRETT")))
    slot = world.store.get("Appointment", order.appointment).resource["slot"][0]["reference"].partition("/")[2]  # type: ignore[union-attr]
    assert world.store.write(lambda tx: tx.seats_taken(slot)) == 1
    assert world.shop(body(order.message("AVBESTILL"))).verdict.accepted
    assert world.store.write(lambda tx: tx.seats_taken(slot)) == 0 and status(world, order.appointment) == "cancelled"


def test_a_partner_that_is_down_keeps_its_letter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    id_, _ = booked(world)

    def down(parcel: Parcel) -> None:
        raise Unavailable("ConnectError from the partner's address")

    monkeypatch.setattr(world.carrier, "send", down)
    world.deliver()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.DUE and owed.tries == 1 and owed.due_at > world.clock.now and owed.note.startswith("BB-901")
    monkeypatch.undo()
    world.clock.now += timedelta(minutes=2)
    world.until_quiet()
    assert world.store.delivery(owed.id).state is State.ACCEPTED  # type: ignore[union-attr]


@pytest.mark.spec("facts/ebxml", "7.3")
def test_a_letter_nobody_takes_expires_and_can_be_sent_again_by_hand(world: World) -> None:
    id_, _ = booked(world)
    world.clock.now += timedelta(hours=73)
    world.deliver()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.EXPIRED and not world.carrier.sent
    world.flow.settling.resend(owed.id, "operator:test", "partner was down")
    world.deliver()
    assert world.carrier.sent
    with pytest.raises(Refused):
        world.flow.settling.resend("unknown", "operator:test", "x")


def test_a_rejected_booking_is_shown_with_the_epjs_code(world: World) -> None:
    id_, _ = booked(world)
    world.box.settings = type(world.box.settings)(**{
        **{f: getattr(world.box.settings, f) for f in world.box.settings.__slots__},
        "faults": type(world.box.settings.faults)(rejected=1.0),
    })
    world.until_quiet()
    owed, told = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.REJECTED and "E35" in owed.note
    assert (told.adapter, told.state) == ("tjenesteshop", State.ACCEPTED), "and the shop that booked it hears"


def test_the_shop_hears_where_its_own_bookings_stand_and_nothing_of_others(world: World) -> None:
    id_, message = booked(world)
    shop = Shop(world.store, world.keeping)
    person = next(p for p in world.town.bookable if "hjemmesykepleie" in p.departments)
    customer = Customer(person.reference, person.reference, Ground.SELF)
    times = [t.start for day in shop.free(customer, "hjemmesykepleie", world.clock.now) for t in day.times]
    shop.book(customer, Order("own", "hjemmesykepleie", times[-1], 15))
    world.until_quiet()
    told = [json.loads(parcel.body) for parcel in world.told.sent]
    assert {t["bestillingsId"] for t in told} == {message["bestillingsId"]}
    assert told[0]["status"] == "BEKREFTET" and told[-1]["status"] in ("UTFORT", "IKKE_HJEMME", "AVBESTILT")
    assert told[0]["fra"].endswith("+01:00") and len({t["meldingsId"] for t in told}) == len(told)
    letters = [d for d in world.store.deliveries_about(f"Appointment/{id_}") if d.adapter == "tjenesteshop"]
    assert {d.state for d in letters} <= {State.ACCEPTED, State.SUPERSEDED} and all(d.tries <= 1 for d in letters)


def statement(world: World) -> Parcel:
    """A letter of the EPJ's that is ready to be sent."""
    booked(world)
    world.deliver()
    world.to_epj()
    world.box._tell()
    letter = next(o for o in world.box.records.due(10**12) if o.kind == "visit")
    return Parcel(letter.headers, letter.parcel)


def told(parcel: Parcel | None) -> envelope.Header:
    assert parcel is not None
    return envelope.read(xml.parse(mime.read(parcel.headers, parcel.body).root.body))


def wrong_value(body: bytes) -> bytes:
    at = body.index(b"<ds:SignatureValue>") + 30
    return body[:at] + (b"A" if body[at:at + 1] != b"A" else b"B") + body[at + 1:]


BROKEN = {
    "another signature value": (wrong_value, Problem.BAD_SIGNATURE),
    "another header": (lambda b: b.replace(b"<eb:Action>Besok", b"<eb:Action>Besok2"), Problem.BAD_SIGNATURE),
    "another payload": (lambda b: b.replace(b"\r\n\r\nMII", b"\r\n\r\nMIJ"), Problem.BAD_SIGNATURE),
    "the payload gone": (lambda b: b[:b.rindex(b"\r\n--=_", 0, b.rindex(b"\r\n--=_"))] + b[b.rindex(b"\r\n--=_"):], Problem.MISSING_PART),
    "another sender": (lambda b: b.replace(b'eb:type="HER">8100101', b'eb:type="HER">8100201'), Problem.WRONG_PARTY),
    "no XML": (lambda b: b.replace(b"<SOAP:Envelope", b"<SOAP:Envelop", 1), Problem.UNREADABLE),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_letter_is_answered_in_its_own_protocol_and_harms_nothing(world: World, name: str) -> None:
    good = statement(world)
    breaking, problem = BROKEN[name]
    answer = world.flow.receive(world.adapters["visma-profil"], Parcel(good.headers, breaking(good.body)))
    assert answer.verdict.problem is problem
    assert answer.parcel is not None
    if problem is Problem.UNREADABLE:
        assert answer.parcel.status == 500 and b"Fault" in answer.parcel.body and problem.value.encode() in answer.parcel.body
    else:
        header = told(answer.parcel)
        assert header.action == "MessageError" and header.signed and problem.value in header.errors[0].description
    assert world.store.envelopes("visma-profil", problem, True, None, 5)
    assert world.flow.receive(world.adapters["visma-profil"], good).verdict.accepted  # the next letter is untouched


@pytest.mark.spec("facts/ebxml", "6.never")
def test_errors_never_answer_errors(world: World) -> None:
    good = statement(world)
    error = world.flow.receive(world.adapters["visma-profil"], Parcel(good.headers, wrong_value(good.body))).parcel
    assert error is not None
    assert world.box.receive(error) is None
    assert world.box.receive(Parcel(error.headers, wrong_value(error.body))) is None


def test_an_expired_certificate_is_refused_and_the_partner_told(world: World) -> None:
    good = statement(world)
    world.clock.now += timedelta(days=4 * 365)
    answer = world.flow.receive(world.adapters["visma-profil"], good)
    assert answer.verdict.problem is Problem.CERTIFICATE_EXPIRED and told(answer.parcel).errors[0].code == "SecurityFailure"


def test_what_could_not_be_opened_is_received_once_more_when_it_is_put_right(world: World) -> None:
    """A fault on our own side (here: a clock years ahead) loses no letter; what was opened keeps its answer."""
    good, visma = statement(world), world.adapters["visma-profil"]
    ahead = timedelta(days=4 * 365)
    world.clock.now += ahead
    world.flow.receive(visma, good)
    (refused,) = world.store.envelopes("visma-profil", Problem.CERTIFICATE_EXPIRED, True, None, 5)
    assert replay(world.flow, refused.key, "operator:test", "still wrong").problem is Problem.CERTIFICATE_EXPIRED
    world.clock.now -= ahead
    verdict = replay(world.flow, refused.key, "operator:test", "the clock is right again")
    assert verdict.accepted and verdict.about
    assert [line.kind for line in world.store.audit_of(f"Envelope/{refused.id}", 5)] == ["replay", "replay"]
    assert world.flow.receive(visma, good).duplicate  # the partner's own retry is the same message
    (taken,) = [e for e in world.store.envelopes("visma-profil", None, False, None, 50) if e.verdict.about == verdict.about and e.function == refused.function]
    for key, problem in ((taken.key, Problem.IMPOSSIBLE_CHANGE), (10**9, Problem.UNKNOWN_REFERENCE)):
        with pytest.raises(Refused) as why:
            replay(world.flow, key, "operator:test", "x")
        assert why.value.problem is problem


def test_a_statement_the_rules_refuse_gets_a_receipt_and_a_negative_apprec(world: World) -> None:
    """Arrived is not accepted: the Acknowledgment is positive, the AppRec is not."""
    good = statement(world)
    id_ = next(iter(world.box.records.report()["visits"]))
    world.store.write(lambda tx: tx.keep({**tx.get("Appointment", id_).resource, "status": "fulfilled"}, origin="x"))  # type: ignore[union-attr]
    late = world.flow.receive(world.adapters["visma-profil"], good)
    assert told(late.parcel).action == "Acknowledgment"
    world.deliver()
    world.to_epj()
    answers = [o["answer"] for o in world.box.records.report()["outbox"] if o["kind"] == "visit"]
    assert answers and answers[0].startswith(("accepted", "rejected"))


@pytest.mark.spec("facts/ebxml", "5.unknown")
def test_a_receipt_for_a_letter_never_sent_changes_nothing_and_is_kept(world: World) -> None:
    good = statement(world)
    answer = world.flow.receive(world.adapters["visma-profil"], good)
    foreign = world.box.receive(answer.parcel)  # type: ignore[arg-type]
    assert foreign is None
    before = world.store.standing()
    world.flow.store.write(lambda tx: None)
    assert world.store.standing() == before
    with pytest.raises(Refused):
        world.store.write(lambda tx: world.flow.settling.receipt(tx, world.adapters["visma-profil"], _unknown()))


def _unknown() -> object:
    from hub.message import Receipt, ReceiptKind

    return Receipt(ReceiptKind.ACCEPTED, "00000000-0000-0000-0000-000000000000")


def test_every_write_has_its_line_in_the_access_log(world: World) -> None:
    id_, _ = booked(world)
    person = next(p["actor"]["reference"] for p in world.store.get("Appointment", id_).resource["participant"]  # type: ignore[union-attr]
                  if p["actor"]["type"] == "Patient")
    lines = world.store.audit_of(person, 10)
    assert [(line.reader, line.kind) for line in lines] == [("adapter:tjenesteshop", "book")]
    assert lines[0].channel == "inbox"


@pytest.mark.spec("facts/ebxml", "6.TimeToLiveExpired")
@pytest.mark.spec("facts/ebxml", "7.4.duplicate")
@pytest.mark.spec("facts/ebxml", "7.4")
def test_what_comes_too_late_is_told_so_and_changes_nothing_but_a_late_duplicate_gets_its_stored_answer(world: World) -> None:
    good, epj = statement(world), world.adapters["visma-profil"]
    expires = told(good).time_to_live
    assert expires is not None
    before, world.clock.now = world.clock.now, expires + timedelta(seconds=1)
    late = world.flow.receive(epj, good)
    assert late.verdict.problem is Problem.EXPIRED
    assert told(late.parcel).errors[0].code == "TimeToLiveExpired"
    assert world.store.envelopes("visma-profil", Problem.EXPIRED, True, None, 5)
    world.clock.now = before
    first = world.flow.receive(epj, good)  # nothing that was refused blocks the id
    assert first.verdict.accepted
    world.clock.now = expires + timedelta(seconds=1)
    again = world.flow.receive(epj, good)
    assert again.duplicate
    assert again.parcel is not None and first.parcel is not None
    assert again.parcel.body == first.parcel.body


@pytest.mark.spec("facts/ebxml", "7.1")
def test_ping_is_answered_and_a_status_request_tells_of_the_askers_own_letters_alone(world: World) -> None:
    good, epj = statement(world), world.adapters["visma-profil"]
    assert told(world.flow.receive(epj, world.box.seal.enquire(world.clock.now)).parcel).action == "Pong"
    letter = told(good).message_id.partition("@")[0]

    def fate(of: str) -> envelope.Status | None:
        return told(world.flow.receive(epj, world.box.seal.enquire(world.clock.now, of)).parcel).status

    unknown, other = fate(letter), fate("some-other-id")
    assert unknown is not None and unknown.status is envelope.MessageStatus.UNAUTHORIZED and unknown.at is None
    assert other is not None and other.status is unknown.status
    filed = len(world.store.envelopes("visma-profil", None, None, None, 50))
    world.flow.receive(epj, good)
    known = fate(letter)
    assert known is not None and known.status is envelope.MessageStatus.PROCESSED and known.at == world.clock.now
    assert len(world.store.envelopes("visma-profil", None, None, None, 50)) == filed + 1  # enquiries are not filed


@pytest.mark.spec("facts/ebxml", "5.along")
@pytest.mark.spec("facts/ebxml", "5")
@pytest.mark.parametrize("known", [True, False])
def test_an_acknowledgment_that_rides_on_a_letter_counts_as_well_as_the_letter(world: World, known: bool) -> None:
    id_, _ = booked(world)
    world.deliver()
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    assert owed.state is State.SENT
    sent = told(world.carrier.sent[0]).message_id
    good = statement(world)
    package = mime.read(good.headers, good.body)
    header = replace(envelope.read(xml.parse(package.root.body)), acknowledges=sent if known else "nothing@x", message_id="rides@epj")
    keys = world.box.seal._ring().keys.sign
    parts = [(p.content_id, "application/pkcs7-mime", p.body) for p in package.parts]
    soap = signature.sign(envelope.write(header), [(f"cid:{c}", b) for c, _, b in parts], keys.key, certificate.b64(keys.certificate))
    answer = world.flow.receive(world.adapters["visma-profil"], Parcel(*mime.write(soap, parts, "b", "r@epj")))
    assert answer.verdict.accepted
    assert told(answer.parcel).acknowledges == "rides@epj"
    if not known:
        assert any(e.kind == "odd-receipt" for e in world.store.timeline("Envelope/rides@epj"))


@pytest.mark.spec("facts/ebxml", "12.early")
def test_an_apprec_may_come_before_the_acknowledgment_of_the_letter_it_answers(world: World) -> None:
    id_, _ = booked(world)
    (owed,) = world.store.deliveries_about(f"Appointment/{id_}")
    world.deliver()
    acknowledgment = world.box.receive(world.carrier.sent.pop(0))
    assert acknowledgment is not None
    world.epj_says()
    assert world.store.delivery(owed.id).state is State.ACCEPTED  # type: ignore[union-attr]
    world.flow.receive(world.adapters["visma-profil"], acknowledgment)
    assert world.store.delivery(owed.id).state is State.ACCEPTED  # type: ignore[union-attr]


@pytest.mark.parametrize("which", ["id", "conversation"])
def test_an_id_that_no_database_could_look_up_is_refused_and_the_next_letter_goes_on(world: World, which: str) -> None:
    id_, _ = booked(world)
    letter = Letter("a-letter", "a-conversation", "visit", world.clock.now, world.clock.now + timedelta(days=1))
    parcel = world.box.seal.close(Content(b"<a/>", "application/xml"), replace(letter, **{which: random.Random(1).randbytes(2000).hex()}), world.clock.now)
    said = world.flow.receive(world.adapters["visma-profil"], parcel)
    assert said.verdict.problem is Problem.INVALID and said.parcel is not None and b"Error" in said.parcel.body
    (filed,) = world.store.envelopes("visma-profil", Problem.INVALID, True, None, 9)
    assert filed.verdict.where in ("MessageId", "ConversationId"), "an operator sees it"
    world.until_quiet()
    assert status(world, id_) in ("fulfilled", "noshow", "cancelled")


def test_an_epj_that_writes_our_id_in_capitals_speaks_of_the_same_booking(world: World) -> None:
    """Systems that keep UUIDs as numbers write them back so; of AppRecs and receipts that was known."""
    id_, _ = booked(world)
    kept = world.store.get("Appointment", id_)
    assert kept is not None
    at = {name: kept.resource[name] for name in ("start", "end")}
    letter = Letter("from-the-epj", id_, "visit", world.clock.now)
    content = world.box.format.write(Resources(({"resourceType": "Appointment", "id": id_.upper(), "status": "booked", **at},)), letter)
    assert world.flow.receive(world.adapters["visma-profil"], world.box.seal.close(content, letter, world.clock.now)).verdict.about == (f"Appointment/{id_}",)
    assert status(world, id_) == "booked"
