"""MsgHead, Dialogmelding, AppRec: each element of the official schemas is written by somebody here, valid, and read back the same. PLO by names."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ebms_made import AT, pair
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ebxml import apprec, container, dialog, msghead, plo, relation, xcal
from ebxml.enveloped import sign_enveloped, verify_enveloped
from ebxml.errors import ErrorCode, Violation
from ebxml.kith import Address, Coded, Ident, Party, Person, TeleCom
from ebxml.msghead import Document, MsgHead, OtherReceiver, PatientReport

XS = "{http://www.w3.org/2001/XMLSchema}"
HOME = Address(Coded("H", "Bostedsadresse"), "Gata 1", "0001", "Oslo", "12", Coded("0301", "Oslo"), Coded("NO", "Norge"))
PHONES = (TeleCom("tel:12345678", Coded("HP", "Hovedtelefon")), TeleCom("mailto:x@example.no"))
IDS = (Ident("21814012345", "FNR"), Ident("1", "DUF"))
SOMEBODY = Person("Etternavn", "Fornavn", "Mellom", "1940-01-01", IDS, Coded("2", "Kvinne"), Coded("NO"), HOME, PHONES)
PROFESSIONAL = replace(SOMEBODY, type=Coded("SP", "Sykepleier"), role_to_patient=Coded("7", "x", "2.16.578.1.12.4.1.1.9034"), idents=(Ident("9", "HPR"),))
LEVEL_TWO = Party("Fornavn Etternavn", PROFESSIONAL.idents, None, True, who=PROFESSIONAL)
SERVICE = Party("Hjemmetjenesten", (Ident("2", "HER"),), type=Coded("11", "x", "2.16.578.1.12.4.1.1.9040"), address=HOME, telecoms=PHONES)
HERE = Party("Solbakken", (Ident("8094866", "HER"), Ident("999999999", "ENH")), SERVICE, type=Coded("1", "", "1.2.3"), address=HOME, telecoms=PHONES)
THERE = Party("EPJ", (Ident("8141705", "HER"),), replace(SERVICE, inner=LEVEL_TWO), beside=(LEVEL_TWO,))
CODE = Coded("1", "navn", "2.16.578.1.12.4.1.1.8127", "egen tekst")


def note(version: str) -> dialog.Entry:
    newer = version == "1.1"
    unit = dialog.Unit(replace(HERE, inner=replace(SERVICE, inner=None)), "m", replace(SOMEBODY, type=Coded("")), False) if newer else None
    roles = (
        dialog.Role(CODE, PROFESSIONAL, True, CODE, unit), dialog.Role(CODE, SOMEBODY, False), dialog.Role(Coded(""), PROFESSIONAL),
    )
    ask = dialog.Entry(
        "Foresporsel", CODE, "emne" if newer else "", "spørsmål", document_id="d-1", date="2026-12-01", until="2026-12-24", roles=roles,
        purpose=CODE, reason="begrunnelse", urgency=Coded("1", "x"), journal=(CODE, CODE) if newer else (CODE,), information=CODE if newer else Coded(""),
    )
    return dialog.Entry("Notat", CODE, "tema", "tekst", "merknad", "d-2", "2026-12-01", roles=roles, request=ask)


def talk(version: str) -> dialog.Dialog:
    return dialog.Dialog((note(version),), version, CODE, "sakstype")


def full(version: str = "1.1") -> MsgHead:
    document = Document(
        dialog.write(talk(version)), issued="2026-12-01", mime_type="text/xml", description="d", id="i", compression=Coded("C", "x"), connection=Coded("H"),
        content_type=CODE, content_description="c", category=CODE, consent=CODE, annotation="a", from_date="2026-12-01", to_date="2026-12-02",
        oid="1.2.3", enquiry="e",
    )
    others = (
        OtherReceiver(Coded("1"), Coded("EDI"), organisation=HERE), OtherReceiver(Coded("2"), patient=SOMEBODY),
        OtherReceiver(Coded("3"), person=SOMEBODY), OtherReceiver(Coded("4"), professional=PROFESSIONAL),
    )
    return MsgHead(
        Coded("DIALOG_NOTAT", "Notat"), "m-1", AT, HERE, THERE, (document, Document(container.write(b"\x00%PDF"), "A"), Document(b"", "REF", file_reference="http://x/y")),
        "2026-12-01T08:00:00Z", SOMEBODY, "J", "P", "p-1", "c-1", others, Coded("1", "x"), Coded("EDI"), Coded("EDI"),
    )


def several() -> MsgHead:
    """One message about two patients."""
    document = Document(container.write(b"x"), "A")
    reports = (PatientReport("sak 1", (document, document), SOMEBODY, Coded("V")), PatientReport("sak 2", (document,)))
    return replace(full(), documents=(), reports=reports)


@functools.cache
def schema(shared: Path, *names: tuple[str, str]) -> etree.XMLSchema:
    imports = "".join(f'<xs:import namespace="{space}" schemaLocation="{name}"/>' for space, name in names)
    base = (shared / "standards" / "kith" / "driver.xsd").as_uri()
    driver = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    return etree.XMLSchema(etree.fromstring(driver, etree.XMLParser(no_network=True), base_url=base))


HEAD = ((msghead.NAMESPACE, "MsgHead-v1_2.xsd"), (container.NAMESPACE, "kith-base64.xsd"))
TALK = {version: (space, f"dialogmelding-v{version}.xsd") for version, space in dialog.NAMESPACES.items()}


def declared(shared: Path, name: str) -> set[str]:
    """Every element that an official schema declares."""
    root = etree.parse(shared / "standards" / "kith" / name, etree.XMLParser(no_network=True, load_dtd=False)).getroot()
    return {e.get("name") or e.get("ref", "").rpartition(":")[2] for e in root.iter(f"{XS}element")}


def names(document: bytes) -> set[str]:
    return {etree.QName(e).localname for e in etree.fromstring(document).iter() if isinstance(e.tag, str)}


@pytest.mark.spec("facts/ebxml", "9.1")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_full_msghead_with_either_dialogmelding_is_valid_and_read_back_the_same(shared: Path, version: str) -> None:
    want = full(version)
    data = msghead.write(want)
    schema(shared, *HEAD, TALK[version]).assertValid(etree.fromstring(data))
    read = msghead.read(data)
    assert replace(read, documents=()) == replace(want, documents=())
    assert [replace(d, content=b"") for d in read.documents] == [replace(d, content=b"") for d in want.documents]
    assert dialog.read(read.documents[0].content) == talk(version)
    assert container.read(read.documents[1].content) == b"\x00%PDF"


@pytest.mark.spec("facts/ebxml", "9.1")
def test_a_message_about_several_patients_keeps_their_documents_apart(shared: Path) -> None:
    data = msghead.write(several())
    schema(shared, *HEAD).assertValid(etree.fromstring(data))
    read = msghead.read(data)
    assert read.documents == ()
    assert [(r.case, len(r.documents), r.patient) for r in read.reports] == [("sak 1", 2, SOMEBODY), ("sak 2", 1, None)]


@pytest.mark.spec("facts/ebxml", "9.1")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_element_of_the_schemas_is_out_of_reach(shared: Path, version: str) -> None:
    own = pair("partner")
    written = names(sign_enveloped(msghead.write(full(version)), own.key, own.certificate)) | names(msghead.write(several()))
    assert declared(shared, "MsgHead-v1_2.xsd") <= written
    assert declared(shared, f"dialogmelding-v{version}.xsd") <= written


@pytest.mark.spec("facts/ebxml", "4.3")
def test_a_full_msghead_is_signed_as_its_last_child_and_verified(shared: Path) -> None:
    own = pair("partner")
    data = sign_enveloped(msghead.write(full()), own.key, own.certificate)
    schema(shared, *HEAD, TALK["1.1"]).assertValid(etree.fromstring(data))
    assert verify_enveloped(data, [own.certificate]).holds
    assert msghead.read(data).signed


@pytest.mark.spec("facts/ebxml", "9.3")
def test_markup_in_a_body_is_kept_beside_its_text() -> None:
    entry = replace(note("1.1"), markup=b'<p xmlns="http://www.w3.org/1999/xhtml">Kari <b>kommer</b></p>', body="")
    (read,) = dialog.read(dialog.write(dialog.Dialog((entry,)))).entries
    assert read.body == "Kari kommer"
    assert [e.tag for e in etree.fromstring(read.markup).iter()] == [e.tag for e in etree.fromstring(entry.markup).iter()]


HOUSE = replace(HOME, postbox="", district=Coded("1", "Bydel"), telecoms=("tel:1", "mailto:x@example.no"))
DEPARTMENT, WORKER = Party("Avd", (Ident("2", "HER"),), type=Coded("A", "x")), Party("Siri", (Ident("3", "HPR"),), None, True)


def receipt(version: str, sender: Party) -> apprec.AppRec:
    return apprec.AppRec(
        "i", AT, sender, Party("Lege", (Ident("4", "HPR"), Ident("5", "HER")), None, True, Coded("LE", "Lege")), apprec.REJECTED, Coded("T", "t"),
        "2026-12-01T08:00:00", "o", (Coded("E10", "x", apprec.ERRORS, "ot"), Coded("T99")), version, "prog", "1.2", Coded("1", "s"), Coded("2", "m"),
    )


@pytest.mark.spec("facts/ebxml", "9.2")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_full_apprec_is_valid_read_back_the_same_and_reaches_every_element(shared: Path, version: str) -> None:
    sender = Party("Inst", (Ident("1", "HER"), Ident("9", "ENH")), DEPARTMENT, address=HOUSE, beside=(DEPARTMENT, WORKER, WORKER), speciality=CODE)
    want = receipt(version, sender)
    want = replace(want, receiver=replace(want.receiver, idents=want.receiver.idents[::-1]))  # the HER-id stands first
    data = apprec.write(want)
    schema(shared, (apprec.NAMESPACES[version], f"apprec-v{version}.xsd")).assertValid(etree.fromstring(data))
    assert apprec.read(data) == want
    assert declared(shared, f"apprec-v{version}.xsd") <= names(data)


@given(st.binary(max_size=500))
def test_any_file_travels_in_a_container(data: bytes) -> None:
    assert container.read(container.write(data)) == data


@pytest.mark.spec("facts/ebxml", "9.1")
@pytest.mark.parametrize("spoiled", [b"AAA", b"A A=A", b"\xc3\xa5AAA", b"AA==AA==", b"<a/>AA=="])
def test_what_is_no_base64_in_a_container_is_a_mime_problem(spoiled: bytes) -> None:
    whole = f'<Base64Container xmlns="{container.NAMESPACE}">'.encode() + spoiled + b"</Base64Container>"
    if spoiled == b"<a/>AA==":
        assert container.read(whole) == b"\x00"
        return
    with pytest.raises(Violation) as wrong:
        container.read(whole)
    assert wrong.value.code is ErrorCode.MIME_PROBLEM
    with pytest.raises(Violation, match="no Base64Container"):
        container.read(b"<Base64Container/>")


def log(inner: str, name: str = "Pasientlogistikk", date: str = "2012-04-01") -> bytes:
    return f'<p:{name} xmlns:p="{plo.NAMESPACE}{name}/{date}" xmlns:k="{plo.NAMESPACE}poKomponent/{date}">{inner}</p:{name}>'.encode()


HAPPENED = (
    '<k:TidsfestetHendelse><k:Hendelsekode V="1" DN="Innlagt"/><k:TidspunktForHendelse V="2026-12-01T09:00:00"/><k:Anslag V="1"/>'
    "<k:StedForHendelse>Sykehus</k:StedForHendelse><k:BeskrivelseAvHendelse>b</k:BeskrivelseAvHendelse><k:Merknad>m</k:Merknad></k:TidsfestetHendelse>"
)
ENDED = HAPPENED.replace("2026-12-01T09:00:00", "2026-12-08")
SERVICES = (
    '<k:EksisterendeTjeneste><k:IPLOStjenestetype V="4"/><k:BetegnelseTjeneste>Hjemmesykepleie</k:BetegnelseTjeneste><k:TjenestenLevertAv>x'
    '</k:TjenestenLevertAv><k:AntallEnheter>3</k:AntallEnheter><k:Enhet V="t"/><k:Startdato>2026-01-01</k:Startdato></k:EksisterendeTjeneste>'
    "<k:TjenesteBehov><k:AntallEnheterOnsket>5</k:AntallEnheterOnsket><k:BeskrivelseAvTjeneste>y</k:BeskrivelseAvTjeneste></k:TjenesteBehov>"
)


@pytest.mark.spec("facts/ebxml", "9.5")
@pytest.mark.parametrize("date", ["2008-02-20", "2009-06-30", "2012-04-01", "2015-01-01"])
@pytest.mark.parametrize(
    ("type_", "event", "pauses"),
    [
        ("LOG_INNLAGT", plo.Event.ADMITTED, True), ("LOG_UTSKRIVNINGSKLAR", plo.Event.READY, True), ("LOG_AVMELDING", plo.Event.WITHDRAWN, True),
        ("LOG_UTSKREVET", plo.Event.DISCHARGED, False), ("LOG_DOD", plo.Event.DEAD, True), ("FRAVARSMELDING", plo.Event.ABSENT, True),
        ("ORIENTERING_TJENESTETILBUD", plo.Event.NONE, False), ("SOMETHING_NEW", plo.Event.NONE, False),
    ],
)
def test_a_plo_message_says_whether_visits_pause(type_: str, event: plo.Event, pauses: bool, date: str) -> None:
    stay = plo.read(log(f"<p:Inne>{HAPPENED}</p:Inne>{SERVICES}", date=date), type_)
    assert (stay.event, stay.pauses, stay.version, stay.kind) == (event, pauses, date, "Pasientlogistikk")
    assert stay.at == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert stay.events[0].code == Coded("1", "Innlagt")
    assert (stay.events[0].place, stay.events[0].description, stay.events[0].remark, stay.events[0].estimate) == ("Sykehus", "b", "m", "1")
    assert [(s.needed, s.name, s.amount, s.unit, s.starts, s.description) for s in stay.services] == [
        (False, "Hjemmesykepleie", "3", "t", "2026-01-01", ""), (True, "", "5", "", "", "y"),
    ]
    assert any("none of PLO's" in r for r in stay.remarks) == (type_ == "SOMETHING_NEW")


@pytest.mark.spec("facts/ebxml", "9.5")
def test_an_absence_has_a_beginning_and_an_end_whatever_their_order() -> None:
    for inner in (HAPPENED + ENDED, ENDED + HAPPENED):
        assert plo.read(log(inner, "MeldingFravar"), "FRAVARSMELDING").until == datetime(2026, 12, 7, 23, tzinfo=UTC)
    assert plo.read(log(HAPPENED, "MeldingFravar"), "FRAVARSMELDING").until is None


@pytest.mark.spec("facts/ebxml", "9.5")
def test_a_field_that_nobody_knows_is_kept_under_its_path() -> None:
    stay = plo.read(log('<p:Ukjent><p:Felt>verdi</p:Felt><p:Kode V="7"/></p:Ukjent>'), "LOG_INNLAGT")
    assert stay.fields == (("Pasientlogistikk/Ukjent/Felt", "verdi"), ("Pasientlogistikk/Ukjent/Kode", "7"))
    assert (stay.at, stay.events) == (None, ())
    assert len(plo.read(log("<p:F>x</p:F>" * 2500), "LOG_DOD").fields) == 2000
    sent = '<p:InformasjonOmForsendelsen><p:Forsendelsesstatus V="1" DN="Ny"/><p:SvarPaaForesporsel>q</p:SvarPaaForesporsel></p:InformasjonOmForsendelsen>'
    told = plo.read(log(sent), "LOG_DOD")
    assert (told.status, told.answers) == (Coded("1", "Ny"), "q")


@pytest.mark.spec("facts/ebxml", "9.5")
def test_what_is_not_plo_is_other_xml() -> None:
    for data in (b"<Pasientlogistikk/>", xcal.write(xcal.Calendar("p", ()))):
        with pytest.raises(Violation) as wrong:
            plo.read(data, "LOG_INNLAGT")
        assert wrong.value.code is ErrorCode.OTHER_XML


@pytest.mark.spec("facts/ebxml", "9.4")
def test_a_calendar_without_what_is_mandatory_is_read_and_told() -> None:
    assert "vcalendar has no version" in xcal.read(f'<icalendar xmlns="{xcal.NAMESPACE}"><vcalendar/></icalendar>'.encode()).remarks
    inner = "<vcalendar><components><vevent><properties/></vevent></components></vcalendar>"
    told = xcal.read(f'<icalendar xmlns="{xcal.NAMESPACE}">{inner}</icalendar>'.encode()).remarks
    assert {"vcalendar has no prodid", *(f"a vevent has no {name}" for name in ("uid", "contact", "dtstart", "dtend"))} <= set(told)


@pytest.mark.spec("facts/ebxml", "9.3")
@pytest.mark.parametrize("tag", ["TekstNotatInnhold", "Sporsmal"])
@pytest.mark.parametrize(("body", "plain"), [
    ("<div xmlns='http://www.w3.org/1999/xhtml'>\n <p>Kl <b>10</b></p><p>30 minutter<br/>Hilsen\n  oss</p><script>x()</script></div>", "Kl 10\n30 minutter\nHilsen oss"),
    ("<ul><li>melk</li><li>brød</li></ul><table><tr><td>1</td><td>2</td></tr></table>", "melk\nbrød\n1 2"),
    ("  To\n linjer  ", "To\n linjer"), ("", ""), ("<x>a<?pi b?>c</x>d", "acd"),
])
def test_what_stands_apart_in_xhtml_stands_apart_in_the_plain_text(tag: str, body: str, plain: str) -> None:
    """Else «10» and «30 minutter» in two paragraphs would be read as «1030 minutter»."""
    kind = "Notat" if tag == "TekstNotatInnhold" else "Foresporsel"
    data = f'<Dialogmelding xmlns="{dialog.NAMESPACES["1.1"]}"><{kind}><{tag}>{body}</{tag}></{kind}></Dialogmelding>'
    (entry,) = dialog.read(data.encode()).entries
    assert entry.body == plain


def event(properties: str) -> xcal.Event:
    inner = f"<vcalendar><components><vevent><properties>{properties}</properties></vevent></components></vcalendar>"
    return xcal.read(f'<icalendar xmlns="{xcal.NAMESPACE}">{inner}</icalendar>'.encode()).events[0]


@pytest.mark.spec("facts/ebxml", "9.4")
@pytest.mark.parametrize("told", ["<date>2026-12-01</date>", "<date-time>2026-12-01</date-time>", "<date>20261201</date>"])
def test_a_whole_day_is_no_time_and_never_midnight(told: str) -> None:
    found = event(f"<uid><text>u</text></uid><dtstart>{told}</dtstart><dtend>{told}</dtend>")
    assert (found.start, found.end) == (None, None)


@pytest.mark.spec("facts/ebxml", "9.4")
@pytest.mark.parametrize(
    ("zone", "told", "read"),
    [
        ("Europe/Oslo", "2026-07-01T10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)), ("", "2026-07-01T10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("Europe/London", "2026-07-01T09:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)), ("Nowhere/Atall", "2026-07-01T10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("Europe/London", "2026-07-01T08:00:00Z", datetime(2026, 7, 1, 8, tzinfo=UTC)), ("../../etc/passwd", "2026-07-01T10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
    ],
)
def test_a_time_zone_in_the_parameters_counts_and_is_no_part_of_the_time(zone: str, told: str, read: datetime) -> None:
    parameters = f"<parameters><tzid><text>{zone}</text></tzid></parameters>" if zone else ""
    found = event(f"<dtstart>{parameters}<date-time>{told}</date-time></dtstart><duration><duration>PT45M</duration></duration>")
    assert (found.start, found.end) == (read, read.replace(minute=45))


@pytest.mark.spec("facts/ebxml", "9.4")
def test_properties_that_stand_several_times_are_joined_and_none_is_lost() -> None:
    found = event("<categories><text>a</text><text>b</text></categories><categories><text>c</text></categories><x-servicetype><text>s:1</text></x-servicetype>")
    assert (found.categories, found.x("x-servicetype")) == ("a,b,c", "s:1")


@pytest.mark.spec("facts/ebxml", "9.4.relation")
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1).map(str.strip).filter(bool))
def test_who_acts_for_the_patient_is_written_and_read_back(name: str) -> None:
    parent = Person(name, "Fornavn", "", "", (Ident("21814012345", "FNR"),), telecoms=PHONES)
    made = relation.Relation(Coded("FO", "Foreldreansvar", relation.RELATIONS), parent)
    assert relation.read(relation.write(made)) == made
    assert relation.read(relation.write(made)).remarks == ()


@pytest.mark.spec("facts/ebxml", "9.4.relation")
def test_a_relation_is_read_in_any_prefix_and_date_and_refused_without_a_person() -> None:
    text = relation.write(relation.Relation(Coded("FO"), SOMEBODY)).decode()
    other = text.replace("2014-03-28", "2015-05-04").replace("fk1:", "x:").replace("xmlns:fk1", "xmlns:x")
    read = relation.read(other.encode())
    assert (read.person, read.remarks) == (SOMEBODY, ("Pasientrelasjon of another date than 2014-03-28",))
    assert relation.read(text.replace('<Relasjon V="FO"/>', "").encode()).remarks == ("Pasientrelasjon does not say of which kind",)
    for bad in (f'<Pasientrelasjon xmlns="{relation.NAMESPACE}"/>', f'<Pasientrelasjon xmlns="{relation.NAMESPACE}"><Person/></Pasientrelasjon>',
                '<Pasientrelasjon xmlns="urn:x"/>', f'<Relasjon xmlns="{relation.NAMESPACE}"/>'):
        with pytest.raises(Violation) as wrong:
            relation.read(bad.encode())
        assert wrong.value.code == ErrorCode.OTHER_XML
