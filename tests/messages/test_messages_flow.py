"""A message's whole way: portal, ebXML, an EPJ in a box, its receipt, its answer, and back; and each way it can go wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hubs import EPJ, HUB, World
from starlette.testclient import TestClient
from visiting import text
from writing import HELLO, NURSING, as_relative, log_in, mandates, messages, nursed, send, somebody

from adapters.formats.msghead import MsgheadFormat
from ebxml import container, dialog, msghead, relation
from ebxml.kith import FNR, Coded, Ident, Party, Person
from hub.access import Scope
from hub.booking.conventions import FNR as FNR_SYSTEM
from hub.booking.messages import CONVERSATION, LETTER, NOT_RECEIVED, RECEIVED, SENDING
from hub.delivery import State
from hub.keeping import Speaker
from hub.message import Content, Envelope, Letter, Resource, Resources
from hub.problem import Problem, Refused


def stated(national_id: str, letter: str, said: str = "Hei, Anne her. Det går bra.", **more: object) -> Resource:
    """What an EPJ's message is read as."""
    return {
        "resourceType": "Communication", "status": "completed", "identifier": [{"system": LETTER, "value": letter}],
        "subject": {"type": "Patient", "identifier": {"system": FNR_SYSTEM, "value": national_id}}, "topic": {"text": "Om torsdag"},
        "payload": [{"contentString": said}], "sender": {"display": "Anne Berg"}, **more,
    }


def hear(world: World, item: Resource, **changes: object) -> tuple[str, ...]:
    speaker = replace(Speaker.of(world.adapters["visma-profil"]), **changes)  # type: ignore[arg-type]
    return world.store.write(lambda tx: world.keeping.keep(tx, speaker, Resources((item,))))


def refused(world: World, item: Resource, **changes: object) -> Problem:
    with pytest.raises(Refused) as why:
        hear(world, item, **changes)
    return why.value.problem


def test_a_question_goes_to_the_epj_and_its_answer_comes_back_into_the_thread(world: World, client: TestClient) -> None:
    """The promise: the person asks, sees that the service has it, and reads the answer where they asked."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    first = messages(world, kari.reference)[0]
    page = text(client.get(thread).text)
    assert first.status == SENDING and "Sendt Vi venter på at hjemmetjenesten bekrefter" in page and HELLO in page
    world.deliver()
    world.to_epj()
    world.epj_says()
    asked, answer = messages(world, kari.reference)
    assert asked.status == RECEIVED and asked.received is not None and answer.from_service and answer.thread == asked.id
    assert "Du har én ny melding" in text(client.get("/").text) and "Nytt svar" in text(client.get("/meldinger").text)
    page = text(client.get(thread).text)
    assert "Mottatt av hjemmetjenesten" in page and answer.text in page and f"{answer.signed}, Hjemmesykepleie Ny" in page
    assert "ny melding" not in text(client.get("/").text) and "Besvart" in text(client.get("/meldinger").text)
    kept = world.store.version("Communication", answer.id, 1)
    assert kept is not None and kept.resource["inResponseTo"] == [{"reference": f"Communication/{asked.id}"}]
    assert kept.resource["recipient"] == [{"reference": kari.reference}] and kept.origin == "visma-profil"


def test_a_reply_goes_in_the_same_conversation_and_names_the_letter_it_answers(world: World, client: TestClient) -> None:
    """The EPJ must find its own thread again: RefToConversation stays, RefToParent is the id of its own letter."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    world.until_quiet()
    send(client, "Tusen takk!", thread)
    world.deliver()
    read = [msghead.read(world.box.seal.open(parcel, world.clock.now).content.body) for parcel in world.carrier.sent]
    (reply,) = [message for message in read if message.type.v == "DIALOG_INNBYGGER_EKONTAKT"]
    asked, answer, last = messages(world, kari.reference)
    kept = world.store.get("Communication", answer.id)
    assert kept is not None and reply.id == last.id and reply.conversation == asked.id == thread.rpartition("/")[2]
    assert reply.parent == next(i["value"] for i in kept.resource["identifier"] if i["system"] == LETTER)
    entry = dialog.read(reply.documents[0].content).entries[0]
    assert (entry.kind, entry.body, entry.subject) == ("Foresporsel", "Tusen takk!", asked.topic)
    assert reply.patient is not None and reply.patient.idents == (Ident(kari.national_id, FNR),) and reply.ack == "J"


def test_a_new_message_of_the_epjs_begins_a_thread_and_the_answer_goes_by_its_name(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    called = [{"type": "Communication", "identifier": {"system": CONVERSATION, "value": "epj-samtale-1"}}]
    (reference,) = hear(world, stated(kari.national_id, "epj-1", partOf=called))
    (again,) = hear(world, stated(kari.national_id, "epj-1", partOf=called))
    (second,) = hear(world, stated(kari.national_id, "epj-2", "Og en ting til.", partOf=called))
    assert reference == again and second != reference
    log_in(client, kari.reference)
    thread = f"/meldinger/{reference.partition('/')[2]}"
    assert "Om torsdag" in text(client.get("/meldinger").text) and "Og en ting til." in text(client.get(thread).text)
    send(client, "Takk!", thread)
    world.deliver()
    (parcel,) = world.carrier.sent
    envelope = world.box.seal.open(parcel, world.clock.now)
    head = msghead.read(envelope.content.body)
    assert (head.conversation, head.parent, envelope.conversation) == ("epj-samtale-1", "epj-2", "epj-samtale-1")


def test_the_thread_is_found_by_the_letter_that_is_answered_when_the_conversation_is_not_named(world: World, client: TestClient) -> None:
    """Vendors swap RefToParent and RefToConversation, or leave one out."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    asked = send(client).rpartition("/")[2]
    for letter, element, system in (("e1", "inResponseTo", LETTER), ("e2", "partOf", CONVERSATION), ("e3", "inResponseTo", LETTER)):
        hear(world, stated(kari.national_id, letter, **{element: [{"identifier": {"system": system, "value": "e1" if letter == "e3" else asked}}]}))
    assert {m.thread for m in messages(world, kari.reference)} == {asked} and len(messages(world, kari.reference)) == 4


def test_the_thread_is_found_by_an_id_of_ours_that_comes_back_in_capitals(world: World, client: TestClient) -> None:
    """Systems that keep UUIDs as numbers write them so."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    asked = send(client).rpartition("/")[2]
    hear(world, stated(kari.national_id, "e1", partOf=[{"identifier": {"system": CONVERSATION, "value": asked.upper()}}]))
    assert {m.thread for m in messages(world, kari.reference)} == {asked}


def test_a_clock_that_is_wrong_puts_no_answer_above_its_question(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    asked = send(client).rpartition("/")[2]
    where = [{"identifier": {"system": CONVERSATION, "value": asked}}]
    for letter, sent in (("e1", world.clock.now - timedelta(days=2)), ("e2", world.clock.now + timedelta(days=2))):
        hear(world, stated(kari.national_id, letter, partOf=where, sent=sent.isoformat()))
    (thread,) = world.messaging.of(kari.reference)
    letters = [world.store.get("Communication", m.id) for m in thread.messages]
    assert thread.messages[0].id == asked and [i["value"] for kept in letters if kept for i in kept.resource.get("identifier", ())] == ["e1", "e2"]
    assert all(world.clock.now <= m.sent < world.clock.now + timedelta(seconds=1) for m in thread.messages)


def test_nothing_of_the_epjs_reaches_somebody_it_is_not_about(world: World, client: TestClient) -> None:
    """A reply that names one person's conversation and another's national id would show one what is the other's."""
    kari, other = [p for p in world.town.bookable if p.departments == (NURSING,)][:2]
    log_in(client, kari.reference)
    asked = send(client).rpartition("/")[2]
    where = {"partOf": [{"identifier": {"system": CONVERSATION, "value": asked}}]}
    assert refused(world, stated(other.national_id, "e1", **where)) is Problem.UNKNOWN_PERSON
    assert refused(world, stated("01810000000", "e2")) is Problem.UNKNOWN_PERSON
    assert refused(world, stated(kari.national_id, "e3", **where), departments=frozenset({"dagsenter"})) is Problem.NOT_ALLOWED
    assert refused(world, stated(kari.national_id, "e4", **where), may=frozenset({"confirm"})) is Problem.NOT_ALLOWED
    assert refused(world, stated(kari.national_id, "e5", " ")) is Problem.MESSAGE_LENGTH
    assert len(messages(world, kari.reference)) == 1 and messages(world, other.reference) == []


def test_what_the_epj_refuses_is_told_as_not_arrived_and_a_later_yes_takes_that_back(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    world.box.settings = replace(world.box.settings, faults=replace(world.box.settings.faults, rejected=1.0))
    world.until_quiet()
    page = text(client.get(thread).text)
    (lost,) = messages(world, kari.reference)
    assert lost.status == NOT_RECEIVED and "Kom ikke fram Hjemmetjenesten har ikke fått meldingen. Ring oss" in page
    assert "Kom ikke fram" in text(client.get("/meldinger").text)
    (letter,) = world.store.deliveries_about(f"Communication/{lost.id}")
    assert letter.state is State.REJECTED and letter.id == lost.id
    world.flow.settling.resend(letter.id, "operator:demo", "pasienten er opprettet nå")
    (due,) = world.store.deliveries_about(f"Communication/{lost.id}")
    world.store.write(lambda tx: world.messaging.settled(tx, due, replace(due, state=State.ACCEPTED)))
    assert messages(world, kari.reference)[0].status == RECEIVED


def test_a_letter_that_nobody_took_in_time_is_told_too(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    world.clock.now += timedelta(days=30)
    log_in(client, kari.reference)
    world.deliver()
    assert messages(world, kari.reference)[0].status == NOT_RECEIVED and "Kom ikke fram" in text(client.get(thread).text)


def test_messages_of_one_thread_are_each_sent_and_in_their_order(world: World, client: TestClient) -> None:
    """What is newer replaces no message, as a newer state of a booking does."""
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client, "Først")
    send(client, "Så", thread)
    world.until_quiet()
    states = [d.state for m in messages(world, kari.reference) if not m.from_service for d in world.store.deliveries_about(f"Communication/{m.id}")]
    assert states == [State.ACCEPTED, State.ACCEPTED]
    assert [m.text for m in messages(world, kari.reference) if not m.from_service] == ["Først", "Så"]


def test_a_relative_who_wrote_stands_beside_the_patient_in_the_letter(world: World, client: TestClient) -> None:
    """The EPJ can log who acted, and still answers the patient."""
    mandate = next(m for m in mandates(world) if m.holds(world.clock.now) and Scope.WRITE_MESSAGES in m.scopes and nursed(world, m.person))
    as_relative(world, client, mandate)
    send(client)
    world.deliver()
    (parcel,) = world.carrier.sent
    head = msghead.read(world.box.seal.open(parcel, world.clock.now).content.body)
    (holder,) = mandate.holders
    person = next(p for p in world.town.persons if p.reference == mandate.person)
    acting = relation.read(head.documents[1].content).person
    assert head.patient is not None and head.patient.idents == (Ident(person.national_id, FNR),) and len(head.documents) == 2
    assert acting.idents == (Ident(next(r.national_id for r in world.town.relatives if r.reference == holder), FNR),)
    assert f"Skrevet av {acting.given} {acting.family}, på vegne av pasienten." in dialog.read(head.documents[0].content).entries[0].body
    world.until_quiet()
    assert messages(world, mandate.person)[-1].from_service


def test_the_letter_names_whoever_wrote_on_behalf_and_the_visit(world: World) -> None:
    """The EPJ answers the person; who wrote, and about which visit, stands in the text, also in 1.0, which has no subject."""
    row = world.adapters["visma-profil"].format._functions["message"]  # type: ignore[attr-defined]
    assert row["entry"] == "Foresporsel"
    kari = somebody(world, NURSING)
    patient = world.store.get(*kari.reference.split("/"))
    assert patient is not None
    items: tuple[Resource, ...] = (
        {"resourceType": "Communication", "id": "m1", "topic": {"text": "Tidspunkt"}, "payload": [{"contentString": "Kan vi bytte?"}],
         "sender": {"reference": "RelatedPerson/r", "display": "Ola Hansen"}},
        patient.resource, {"resourceType": "HealthcareService", "id": NURSING, "name": "Hjemmesykepleie"},
        {"resourceType": "Appointment", "id": "a", "start": "2026-11-30T08:15:00Z", "end": "2026-11-30T08:45:00Z"},
    )
    for version in ("1.1", "1.0"):
        written = _format(world, version).write(Resources(items), Letter("m1", "m1", "message", world.clock.now))
        entry = dialog.read(msghead.read(written.body).documents[0].content).entries[0]
        head = ["Emne: Tidspunkt"] if version == "1.0" else []
        assert entry.body.splitlines() == [
            *head, "Skrevet av Ola Hansen, på vegne av pasienten.", "Gjelder besøket mandag 30.11.2026 kl. 09:15–09:45, Hjemmesykepleie.", "", "Kan vi bytte?"]


def _format(world: World, version: str = "1.1") -> MsgheadFormat:
    return MsgheadFormat(world._around("visma-profil", EPJ, dialog=version))


def letter(kind: str, *documents: msghead.Document) -> Envelope:
    """A MsgHead of an EPJ's about somebody."""
    theirs, ours = (Party(name, (Ident(her, "HER"),), Party(name, (Ident(her, "HER"),))) for name, her in (("Visma", EPJ), ("Solbakken", HUB)))
    head = msghead.MsgHead(
        type=Coded(kind, "x"), id="m-1", generated=None, sender=theirs, receiver=ours, documents=documents,
        patient=Person(family="Vind", given="Frisk", idents=(Ident("05916011158", FNR),)), conversation="c-1", parent="p-1",
    )
    body = msghead.write(replace(head, generated=datetime(2026, 11, 26, 7, tzinfo=UTC)))
    return Envelope("m-1", EPJ, HUB, "c-1", Content(body, "application/xml"))


def document(said: str = "Hei", version: str = "1.1") -> msghead.Document:
    roles = (dialog.Role(Coded("7", "Ansatt"), Person(given="Anne")),)
    return msghead.Document(dialog.write(dialog.Dialog((dialog.Entry("Notat", Coded("6"), "Emne", said, roles=roles),), version)))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_ekontakt_is_read_as_a_message_with_its_conversation_and_author(town: World, version: str) -> None:
    read = _format(town, version).read(letter("DIALOG_INNBYGGER_EKONTAKT", document("Hei på deg", version)))
    assert isinstance(read, Resources)
    (item,) = read.items
    assert item["payload"] == [{"contentString": "Hei på deg"}] and item["sender"] == {"display": "Anne"} and item["topic"] == {"text": "Emne"}
    assert item["partOf"][0]["identifier"]["value"] == "c-1" and item["inResponseTo"][0]["identifier"]["value"] == "p-1"


@pytest.mark.parametrize("documents", [
    (document("Første"), document("Andre")), (replace(document("Første"), more_content=(document("Andre").content,)),), (document(" "), document("Første\n\nAndre")),
], ids=["two documents", "two in one", "the first is empty"])
def test_nothing_of_what_the_service_wrote_is_lost_when_it_stands_in_two_places(town: World, documents: tuple[msghead.Document, ...]) -> None:
    read = _format(town).read(letter("DIALOG_INNBYGGER_EKONTAKT", *documents))
    assert isinstance(read, Resources) and read.items[0]["payload"] == [{"contentString": "Første\n\nAndre"}]


@pytest.mark.parametrize("kind", ["DIALOG_INNBYGGER_EKONTAKT", "DIALOG_HELSEFAGLIG"])
@pytest.mark.parametrize("beside", ["a letter", "a file"])
def test_what_comes_beside_a_letter_in_the_same_envelope_is_refused_where_it_would_be_lost(town: World, kind: str, beside: str) -> None:
    """A second MsgHead is a letter of its own, and a file to a message has nowhere to go; a file beside a visit is what it was told with."""
    one = letter(kind, document())
    read = _format(town).read
    other = one.content if beside == "a letter" else Content(b"%PDF-1.7", "application/octet-stream")
    with pytest.raises(Refused) as wrong:
        read(replace(one, attachments=(other,)))
    lost = beside == "a letter" or kind == "DIALOG_INNBYGGER_EKONTAKT"
    assert wrong.value.problem is (Problem.NOT_SUPPORTED if lost else Problem.INVALID)


@pytest.mark.parametrize(("kind", "documents", "problem"), [
    ("DIALOG_NOTAT", (document(),), Problem.UNKNOWN_FUNCTION),
    ("DIALOG_HELSEFAGLIG", (document(),), Problem.INVALID),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(b"<a xmlns='x'/>", kind=msghead.ATTACHMENT)), Problem.NOT_SUPPORTED),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(b"", kind=msghead.ATTACHMENT, file_reference="https://example.org/a.pdf")), Problem.NOT_SUPPORTED),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(b"<a xmlns='x'/>", kind=msghead.REFERENCE)), Problem.NOT_SUPPORTED),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(container.write(b"x"), kind=msghead.ATTACHMENT, compression=Coded("gz"))), Problem.NOT_SUPPORTED),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(container.write(b"x"), more_content=(b"<a xmlns='x'/>",))), Problem.NOT_SUPPORTED),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(container.write(b"abc").replace(b"YWJj", b"YWJ"), kind=msghead.ATTACHMENT)), Problem.INVALID),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(), msghead.Document(container.write(b"abc").replace(b"YWJj", b"~~~~"), kind=msghead.ATTACHMENT)), Problem.INVALID),
    ("DIALOG_INNBYGGER_EKONTAKT", (document(" "),), Problem.INVALID),
    ("DIALOG_INNBYGGER_EKONTAKT", (msghead.Document(b"<a xmlns='x'/>"),), Problem.INVALID),
])
def test_what_is_not_for_the_person_or_would_be_lost_is_refused(
    town: World, kind: str, documents: tuple[msghead.Document, ...], problem: Problem,
) -> None:
    """Dialogue between professionals never becomes a message to the person; an attachment is never dropped in silence."""
    with pytest.raises(Refused) as why:
        _format(town).read(letter(kind, *documents))
    assert why.value.problem is problem


def test_no_address_of_messages_tells_a_department_or_a_person(world: World, client: TestClient) -> None:
    kari = somebody(world, NURSING)
    log_in(client, kari.reference)
    thread = send(client)
    for path in ("/meldinger", "/meldinger/ny", thread):
        links = " ".join(re.findall(r'(?:href|action)="([^"]*)"', client.get(path).text))
        assert NURSING not in links and kari.reference.partition("/")[2] not in links and kari.national_id not in links
