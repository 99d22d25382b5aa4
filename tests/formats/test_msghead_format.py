"""MsgHead letters: valid by the official schemas, read back as they were meant, and answered by an AppRec that the sender can use."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dev_keys import dev_pki
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapters.formats.appointments import Statuses, stated
from adapters.formats.msghead import APPREC, KINDS, TEXTS, MsgheadFormat, msghead_format
from adapters.registries import pki
from adapters.registries.certificates import own_keys
from ebxml import apprec, container, dialog, enveloped, msghead, xcal
from ebxml.kith import HER, Coded, Ident, Party
from hub.adapter import Surroundings
from hub.booking.conventions import BY_CITIZEN, DNR, FNR, SERVICE_TYPE, extension, with_extension
from hub.message import Content, Envelope, Letter, Question, Receipt, ReceiptKind, Resource, Resources, Verdict
from hub.problem import Problem, Refused

ROOT = Path(__file__).parents[2]
FUNCTIONS = tomllib.loads((ROOT / "mappings" / "functions.toml").read_text(encoding="utf-8"))
TABLE = tomllib.loads((ROOT / "mappings" / "visit-status.toml").read_text(encoding="utf-8"))
WORDS = [word for word in TABLE if word != "write"]
WRITES: dict[str, str] = TABLE["write"]
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
LETTER = Letter("11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555", "booking", AT)
NASTY = "<b>&\"'\x00\x0b]]>\ufffe Åse"
CALENDAR = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{xcal.NAMESPACE}">
<xs:element name="icalendar" type="xs:anyType"/></xs:schema>"""
SCHEMAS = {
    msghead.NAMESPACE: "MsgHead-v1_2", dialog.NAMESPACES["1.0"]: "dialogmelding-v1.0", dialog.NAMESPACES["1.1"]: "dialogmelding-v1.1",
    apprec.NAMESPACES["1.0"]: "apprec-v1.0", apprec.NAMESPACES["1.1"]: "apprec-v1.1",
}


@pytest.fixture(scope="module")
def schema(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    """MsgHead's Content is a strict wildcard: a driver imports every payload, and declares the calendar, which has no public schema."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "icalendar.xsd").write_text(CALENDAR, encoding="utf-8")
    files = {space: (shared / "standards" / "kith" / f"{name}.xsd").as_uri() for space, name in SCHEMAS.items()}
    files[xcal.NAMESPACE] = (folder / "icalendar.xsd").as_uri()
    imports = "".join(f'<xs:import namespace="{space}" schemaLocation="{uri}"/>' for space, uri in files.items())
    driver = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    return etree.XMLSchema(etree.fromstring(driver, etree.XMLParser(no_network=True)))


def made(**settings: Any) -> MsgheadFormat:
    around = {"functions": FUNCTIONS, "own_sub": "8094866", "party_sub": "8141705", **settings}
    return msghead_format(Surroundings(ROOT / "nowhere", "Visma <Profil>", "8100101", "8100000", "Solbakken & omegn", around))


def theirs(**settings: Any) -> MsgheadFormat:
    """The other side of `made`: who reads what it writes, and writes what it reads."""
    around = {"functions": FUNCTIONS, "own_sub": "8141705", "party_sub": "8094866", **settings}
    return msghead_format(Surroundings(ROOT / "nowhere", "Solbakken & omegn", "8100000", "8100101", "Visma <Profil>", around))


def appointment(status: str = "pending", performer: str = "", sequence: int = 1) -> Resource:
    participants = [{"actor": {"type": "Practitioner", "display": performer}, "status": "accepted"}] if performer else []
    booked: Resource = {
        "resourceType": "Appointment", "id": "b-1", "status": status, "start": "2026-12-03T09:00:00+01:00", "end": "2026-12-03T08:30:00Z",
        "serviceType": [{"coding": [{"system": SERVICE_TYPE, "code": "8"}]}], "participant": participants,
    }
    return with_extension(booked, "sequence", "Integer", sequence)


def patient(name: str = "Nordmann") -> Resource:
    identifiers = [{"system": FNR, "value": "01815512345"}]
    return {"resourceType": "Patient", "name": [{"family": name, "given": ["Kari", name]}], "birthDate": "1955-01-01", "identifier": identifiers}


def items(booked: Resource, name: str = "Nordmann") -> Resources:
    service = {"resourceType": "HealthcareService", "id": "hjemmesykepleie", "name": f"Hjemmesykepleie {name}"}
    period = {"start": "2026-12-03T08:05:00Z", "end": "2026-12-03T08:20:00Z"}
    return Resources((booked, patient(name), service, {"resourceType": "Encounter", "status": "finished", "period": period}))


def envelope(content: Content) -> Envelope:
    return Envelope("id-1", "8100101", "8100000", "c", content)


def stated_back(format_: MsgheadFormat, content: Content) -> tuple[Resource, ...]:
    message = format_.read(envelope(content))
    assert isinstance(message, Resources)
    return message.items


def from_write(key: str) -> Resource:
    """An Appointment that the row of [write] is for."""
    status, _, what = key.partition("-")
    return appointment(status, "Siri" if what == "performer" else "", 2 if what == "again" else 1)


@pytest.mark.spec("facts/ebxml", "9.1")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("key", list(WRITES))
def test_every_letter_is_valid_by_the_official_schemas(schema: etree.XMLSchema, key: str, version: str) -> None:
    content = made(dialog=version).write(items(from_write(key)), LETTER)
    schema.assertValid(etree.fromstring(content.body))


@pytest.mark.spec("facts/ebxml", "9.3")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("function", ["message", "answer"])
def test_a_message_both_ways_is_valid_and_read_back_as_it_was_written(schema: etree.XMLSchema, function: str, version: str) -> None:
    """Also what people write that XML would take for markup, and what it cannot hold. (Pasientrelasjon has no public schema.)"""
    said = "<b>Hei</b> & \"ha det\"\n]]> 😀 æøå"
    communication: dict[str, Any] = {
        "resourceType": "Communication", "id": "m1", "topic": {"text": "Tidspunkt & sted"}, "payload": [{"contentString": said}],
        "sender": {"reference": "HealthcareService/a", "display": "Anne"}, "inResponseTo": [{"identifier": {"value": "m0"}}],
    }
    written = made(dialog=version).write(Resources((communication, patient())), replace(LETTER, function=function))
    schema.assertValid(etree.fromstring(written.body))
    (read,) = stated_back(theirs(), written)
    assert read["payload"] == [{"contentString": f"Emne: Tidspunkt & sted\n\n{said}" if (version, function) == ("1.0", "message") else said}]
    assert read["sender"] == {"display": "Anne"} and read["inResponseTo"][0]["identifier"]["value"] == "m0"


@pytest.mark.spec("facts/ebxml", "9.1")
def test_a_letter_with_as_little_as_possible_is_valid(schema: etree.XMLSchema) -> None:
    bare: Resource = {"resourceType": "Appointment", "id": "b-1", "status": "cancelled"}
    schema.assertValid(etree.fromstring(made(own_sub="", party_sub="").write(Resources((bare,)), LETTER).body))


@pytest.mark.spec("facts/ebxml", "9.4")
@pytest.mark.parametrize("key", list(WRITES))
def test_every_state_is_written_with_its_word_and_read_back_as_what_the_word_states(key: str) -> None:
    content = made().write(items(from_write(key)), LETTER)
    text, calendar = msghead.read(content.body).documents
    (event,) = xcal.read(calendar.content).events
    word = WRITES[key]
    row = TABLE[word]
    assert (event.x("x-visit-status"), event.status, event.uid) == (word, row["ical"], "b-1")
    (note,) = dialog.read(text.content).entries
    assert note.subject == row["subject"]
    read = stated_back(theirs(), content)
    assert (read[0]["id"], read[0]["status"]) == ("b-1", row["appointment"])
    assert extension(read[0], "sequence") == (2 if key.endswith("again") else 1)
    assert [r["status"] for r in read[1:]] == ([row["encounter"]] if "encounter" in row else [])


@pytest.mark.spec("facts/ebxml", "9.4")
@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_table_is_read(word: str) -> None:
    row = TABLE[word]
    event = xcal.Event("b-1", AT, None, status=row["ical"], sequence=3, extra=(("x-visit-status", word), ("x-performer", "Siri")))
    first, *more = stated(event, Statuses.load(ROOT), None, "")
    assert (first["status"], extension(first, "sequence")) == (row["appointment"], 3)
    assert first["participant"][0]["actor"]["display"] == "Siri"
    assert ("start" in first) == (row["appointment"] in ("proposed", "booked", "cancelled"))
    assert [m["status"] for m in more] == ([row["encounter"]] if "encounter" in row else [])


def test_every_word_that_is_written_is_in_the_table_and_every_row_is_complete() -> None:
    assert set(WRITES.values()) <= set(WORDS)
    for word in WORDS:
        assert {"appointment", "ical", "subject", "text"} <= set(TABLE[word])
        TABLE[word]["text"].format(service="", when="", performer="")


def test_a_letter_is_read_back_with_times_person_and_who_they_are() -> None:
    content = made().write(items(appointment("proposed")), LETTER)
    (read,) = stated_back(theirs(), content)
    assert (read["start"], read["end"]) == ("2026-12-03T08:00:00Z", "2026-12-03T08:30:00Z")
    assert [a["actor"]["identifier"]["value"] for a in read["participant"]] == ["01815512345", "hjemmesykepleie"]
    head = msghead.read(content.body)
    assert (head.id, head.conversation, head.ack, head.type.v) == (LETTER.id, LETTER.conversation, "J", "DIALOG_HELSEFAGLIG")
    assert (head.sender.ident(HER), head.receiver.ident(HER)) == ("8100000", "8100101")
    assert head.sender.inner is not None
    assert head.receiver.inner is not None
    assert (head.sender.inner.ident(HER), head.receiver.inner.ident(HER)) == ("8094866", "8141705")
    assert head.remarks == ()


def test_people_read_norwegian_wall_time() -> None:
    (note,) = dialog.read(msghead.read(made().write(items(appointment()), LETTER).body).documents[0].content).entries
    assert "torsdag 3.12.2026 kl. 09:00–09:30" in note.body


def test_when_the_citizen_cancels_it_says_so() -> None:
    (read,) = stated_back(theirs(), made().write(items(appointment("cancelled")), LETTER))
    assert read["cancelationReason"] == BY_CITIZEN


def test_the_times_that_an_encounter_really_had_come_along() -> None:
    _, encounter = stated_back(theirs(), made().write(items(appointment("fulfilled")), LETTER))
    assert encounter["period"] == {"start": "2026-12-03T08:05:00Z", "end": "2026-12-03T08:20:00Z"}


@pytest.mark.spec("facts/ebxml", "9.1")
def test_markup_and_control_characters_are_only_text(schema: etree.XMLSchema) -> None:
    content = made().write(items(appointment("booked", NASTY), NASTY), LETTER)
    root = etree.fromstring(content.body)
    schema.assertValid(root)
    assert not root.findall(".//{*}b")
    head = msghead.read(content.body)
    assert head.patient is not None
    assert head.patient.family == "<b>&\"']]> Åse"
    assert (head.sender.name, head.receiver.name) == ("Solbakken & omegn", "Visma <Profil>")


@given(st.text(st.characters(), max_size=30))
def test_any_text_at_all_gives_a_letter_that_is_read_back(text: str) -> None:
    content = made().write(items(appointment("booked", text), text), LETTER)
    assert stated_back(theirs(), content)[0]["status"] == "booked"


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (Question("planned", {"resourceType": "Patient"}), Problem.NOT_SUPPORTED), (Resources((patient(),)), Problem.NOT_SUPPORTED),
        (Resources((appointment("waitlist"),)), Problem.UNKNOWN_CODE),
    ],
)
def test_what_cannot_be_said_is_refused(message: Any, problem: Problem) -> None:
    with pytest.raises(Refused) as wrong:
        made().write(message, LETTER)
    assert wrong.value.problem == problem


def calendar_letter(calendar: bytes, type_: str = "DIALOG_HELSEFAGLIG", ack: str = "J") -> Content:
    parties = (Party("Et sted", (Ident(her, HER),)) for her in ("8100000", "8100101"))
    documents = (msghead.Document(calendar),) if calendar else ()
    return Content(msghead.write(msghead.MsgHead(Coded(type_), "m-1", AT, *parties, documents, ack=ack)), "application/xml")


def event_letter(**event: Any) -> Content:
    return calendar_letter(xcal.write(xcal.Calendar("x", (xcal.Event(**{"uid": "b-1", "start": AT, "end": None, **event}),))))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (Content(b"", ""), Problem.UNREADABLE), (Content(b"<a/>", ""), Problem.UNREADABLE),
        (Content(b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", ""), Problem.UNREADABLE),
        (calendar_letter(b""), Problem.INVALID), (calendar_letter(xcal.write(xcal.Calendar("x", ()))), Problem.INVALID),
        (calendar_letter(b"", "EPIKRISE"), Problem.UNKNOWN_FUNCTION), (event_letter(uid="", status="CONFIRMED"), Problem.INVALID),
        (event_letter(extra=(("x-visit-status", "danced"),)), Problem.UNKNOWN_CODE), (event_letter(), Problem.UNKNOWN_CODE),
        (event_letter(status="CONFIRMED", start=None), Problem.INVALID),
    ],
)
def test_what_cannot_be_understood_is_refused_as_what_it_is(content: Content, problem: Problem) -> None:
    with pytest.raises(Refused) as wrong:
        theirs().read(envelope(content))
    assert wrong.value.problem == problem


@pytest.mark.spec("facts/ebxml", "9.2.2")
@pytest.mark.spec("facts/ebxml", "9.2.3")
@pytest.mark.spec("facts/ebxml", "9.2.5")
@pytest.mark.spec("facts/ebxml", "9.2")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("problem", [None, *Problem])
def test_every_verdict_becomes_a_valid_apprec_with_our_number(schema: etree.XMLSchema, version: str, problem: Problem | None) -> None:
    content = made().write(items(appointment()), LETTER)
    answer = theirs(apprec=version).answer(envelope(content), Verdict(problem), Letter("apprec-1", "", "receipt", AT))
    assert answer is not None
    schema.assertValid(etree.fromstring(answer.body))
    receipt = apprec.read(answer.body)
    assert (receipt.version, receipt.original_id, receipt.original_issued) == (version, LETTER.id, "2026-12-01T08:00:00Z")
    assert (receipt.sender.ident(HER), receipt.receiver.ident(HER)) == ("8100101", "8100000")
    assert receipt.remarks == ()
    codes = () if problem is None else (APPREC[problem],)
    assert tuple(error.v for error in receipt.errors) == codes
    assert all(problem is not None and error.ot.startswith(problem.value) for error in receipt.errors)
    kind = ReceiptKind.ACCEPTED if problem is None else ReceiptKind.REJECTED
    read = made().read(envelope(answer))
    assert isinstance(read, Receipt)
    assert (read.kind, read.refers_to, read.codes) == (kind, LETTER.id, codes)


@pytest.mark.spec("facts/ebxml", "9.2.4")
@pytest.mark.spec("facts/ebxml", "9.2")
def test_an_apprec_is_never_answered() -> None:
    content = made().write(items(appointment()), LETTER)
    for problem in (None, Problem.INVALID):
        answer = made().answer(envelope(content), Verdict(problem), Letter("apprec-1", "", "receipt", AT))
        assert answer is not None
        assert made().answer(envelope(answer), Verdict(Problem.UNKNOWN_REFERENCE), Letter("apprec-2", "", "receipt", AT)) is None


@pytest.mark.spec("facts/ebxml", "9.2.1")
@pytest.mark.spec("facts/ebxml", "9.2")
@pytest.mark.parametrize(("ack", "accepted", "rejected"), [("J", True, True), ("", True, True), ("F", False, True), ("N", False, False)])
def test_an_apprec_is_sent_as_the_sender_asked(ack: str, accepted: bool, rejected: bool) -> None:
    content = calendar_letter(b"", ack=ack)
    for verdict, due in ((Verdict(), accepted), (Verdict(Problem.INVALID), rejected)):
        assert (made().answer(envelope(content), verdict, LETTER) is not None) == due


def test_the_status_of_a_calendar_is_read_in_any_case() -> None:
    (read,) = stated_back(theirs(), event_letter(status="confirmed"))
    assert read["status"] == "booked"


@pytest.mark.parametrize("body", [b"<a/>", b"", b"<MsgInfo/>", f'<a><MsgInfo xmlns="{msghead.NAMESPACE}"/></a>'.encode()])
def test_what_is_no_msghead_gets_no_apprec(body: bytes) -> None:
    assert made().answer(envelope(Content(body, "")), Verdict(Problem.UNREADABLE), LETTER) is None


def test_a_file_that_came_along_is_no_statement_and_is_not_copied(schema: etree.XMLSchema) -> None:
    content = made().write(items(appointment()), LETTER)
    file = container.write(b"%PDF-1.7")
    whole = content.body.replace(b"</MsgHead>", b'<Document><RefDoc><MsgType V="A"/><Content>' + file + b"</Content></RefDoc></Document></MsgHead>")
    assert [bool(d.content) for d in msghead.read(whole).documents] == [True, True, True]
    assert [bool(d.content) for d in msghead.read(whole, files=False).documents] == [True, True, False]
    assert stated_back(theirs(), Content(whole, "")) == stated_back(theirs(), content)


@pytest.mark.spec("facts/ebxml", "9.2")
def test_every_problem_has_an_apprec_row_and_every_code_a_text() -> None:
    assert set(APPREC) == set(Problem)
    assert set(APPREC.values()) == set(TEXTS)
    assert set(KINDS) == {apprec.OK, apprec.REJECTED, apprec.PARTLY}


REAL = made().write(items(appointment("fulfilled", "Siri")), LETTER).body


@given(st.integers(0, len(REAL)), st.integers(0, 120), st.sampled_from([b"", b"<", b"&#x1;", b"<a>", b"<a/>", b"\xc3", b"9", b"<!--c-->", b"<?p i?>"]))
def test_a_letter_with_a_hole_is_read_or_refused_and_answered_or_not_but_never_crashes(at: int, length: int, instead: bytes) -> None:
    content = Content(REAL[:at] + instead + REAL[at + length:], "application/xml")
    try:
        theirs().read(envelope(content))
    except Refused as wrong:
        assert wrong.problem in (Problem.UNREADABLE, Problem.INVALID, Problem.UNKNOWN_CODE, Problem.UNKNOWN_FUNCTION, Problem.WRONG_PARTY)
    made().answer(envelope(content), Verdict(Problem.INVALID), LETTER)


def refused(content: Content, reader: MsgheadFormat) -> Refused:
    with pytest.raises(Refused) as wrong:
        reader.read(envelope(content))
    return wrong.value


def test_a_person_with_a_d_number_is_told_apart_from_one_with_a_national_number() -> None:
    who = patient()
    who["identifier"] = [{"system": DNR, "value": "41815512345"}]
    content = made().write(Resources((appointment("proposed"), who, *items(appointment()).items[2:])), LETTER)
    (read,) = stated_back(theirs(), content)
    assert read["participant"][0]["actor"]["identifier"] == {"system": DNR, "value": "41815512345"}


@pytest.mark.spec("facts/ebxml", "9.1.status")
def test_a_test_message_enters_no_record_but_that_of_a_partner_set_up_for_tests() -> None:
    marked = made(test=True).write(items(appointment()), LETTER)
    assert msghead.read(marked.body).processing == "D"
    assert refused(marked, theirs()).problem is Problem.TEST_MESSAGE
    assert stated_back(theirs(test=True), marked)
    assert msghead.read(made().write(items(appointment()), LETTER).body).processing == ""


@pytest.mark.spec("facts/ebxml", "12.process")
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"own_sub": "8141799"}, "Receiver"),  # a service that has moved: E21
        ({"party_sub": "8094866"}, ""), ({"own_sub": ""}, ""), ({}, ""),
    ],
)
def test_a_letter_to_a_service_that_is_not_ours_is_refused_with_e21(settings: dict[str, str], where: str) -> None:
    content = made().write(items(appointment()), LETTER)
    if not where:
        assert stated_back(theirs(**settings), content)
        return
    wrong = refused(content, theirs(**settings))
    assert (wrong.problem, wrong.where, APPREC[wrong.problem]) == (Problem.WRONG_PARTY, f"/MsgHead/MsgInfo/{where}", "E21")


@pytest.mark.spec("facts/ebxml", "12.process")
def test_a_letter_inside_another_partys_envelope_is_refused_and_one_that_names_no_her_id_is_not() -> None:
    body = made().write(items(appointment()), LETTER).body
    stolen = body.replace(b"<Id>8100000</Id>", b"<Id>8100555</Id>").replace(b"<Id>8094866</Id>", b"<Id>8100556</Id>")
    assert refused(Content(stolen, "application/xml"), theirs()).where == "/MsgHead/MsgInfo/Sender"
    nameless = body.replace(b'V="HER"', b'V="LOK"')
    assert stated_back(theirs(), Content(nameless, "application/xml"))


@pytest.mark.spec("facts/ebxml", "4.3")
def test_a_signature_inside_the_msghead_must_hold_whoever_made_it(tmp_path: Path) -> None:
    dev_pki(tmp_path / "pki", {"8100777": "Lege Hansen"}, AT)
    pki.lay_out(tmp_path / "pki", tmp_path / "certs", "8100777", [])
    own = own_keys(tmp_path / "certs").sign
    signed = enveloped.sign_enveloped(made().write(items(appointment()), LETTER).body, own.key, own.certificate)
    assert stated_back(theirs(), Content(signed, "application/xml"))
    changed = signed.replace(b"2026-12-03T08:00:00Z", b"2026-12-03T09:00:00Z")
    assert changed != signed
    assert refused(Content(changed, "application/xml"), theirs()).problem is Problem.BAD_SIGNATURE


@pytest.mark.spec("facts/ebxml", "12.xml")
@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_a_receipt_is_known_by_its_root_element_in_any_encoding_and_by_our_id_in_any_case(charset: str) -> None:
    letter = replace(LETTER, id="abcdefab-2222-4333-8444-555555555555")
    answer = theirs().answer(envelope(made().write(items(appointment()), letter)), Verdict(), Letter("a", "", "receipt", AT))
    assert answer is not None
    text = answer.body.decode().partition("?>")[2].replace(letter.id, letter.id.upper())
    assert letter.id not in text
    declared = "" if charset == "utf-8-sig" else f'<?xml version="1.0" encoding="{charset}"?>'
    read = made().read(envelope(Content(f"{declared}<!-- {'x' * 3000} -->{text}".encode(charset), "application/xml")))
    assert read == Receipt(ReceiptKind.ACCEPTED, letter.id)


@pytest.mark.spec("facts/ebxml", "9.2.8")
@pytest.mark.parametrize("status", ["0", "4", "OK", ""])
def test_an_unknown_status_of_an_apprec_is_not_guessed(status: str) -> None:
    answer = made().answer(envelope(made().write(items(appointment()), LETTER)), Verdict(), Letter("a", "", "receipt", AT))
    assert answer is not None
    with pytest.raises(Refused) as wrong:
        theirs().read(envelope(Content(answer.body.replace(b'<Status V="1"', f'<Status V="{status}"'.encode()), "application/xml")))
    assert wrong.value.problem in (Problem.UNKNOWN_CODE, Problem.UNREADABLE)
