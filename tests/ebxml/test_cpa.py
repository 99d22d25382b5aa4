"""CPA and CPP: real ones are read whole, decide every message, are told in words and checked; what we draft is valid by the official schema."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from ebms_made import AT, pair
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from typer.testing import CliRunner

from ebxml import agreed, cpa, draft, terms
from ebxml.draft import Draft, Exchange, Side
from ebxml.duration import Duration, duration
from ebxml.errors import ErrorCode, Fault, Violation
from hub.__main__ import main_command

SERVICE = "HelsefagligDialog"
DRAFT = Draft(
    "cpa:1",
    (
        Side("Solbakken & co", "8094866", "https://hub.example/inbox", pair("a").certificate, pair("b").certificate),
        Side("EPJ <AS>", "8141705", "mailto:epj@edi.example", pair("c").certificate, pair("d").certificate),
    ),
    (
        Exchange(SERVICE, "Bestilling", "Bestiller", "Tjenesteyter", 0), Exchange(SERVICE, "Kvittering", "Tjenesteyter", "Bestiller", 1),
        Exchange("PLO", "Innlagt", "Sykehus", "Kommune", 1),
    ),
    AT, AT + timedelta(days=300),
)
NAV, HELSENORGE, CPP = "nav-qass-35065.xml", "helsenorge-CPA_v2.xml", "helsenorge-CPP_93238.xml"


@pytest.fixture
def samples(shared: Path) -> Path:
    return shared / "standards" / "samples" / "cpa"


def agreement(**changes: object) -> cpa.Agreement:
    return cpa.read(draft.make(replace(DRAFT, **changes)))  # type: ignore[arg-type]


def booking(read: cpa.Agreement) -> terms.Terms:
    return terms.of(read, "8094866", "8141705", "Bestiller", SERVICE, "Bestilling")


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize("changes", [{}, {"packed": True}, {"sync": False, "retries": 0, "persist": "P1M"}])
def test_a_draft_is_valid_by_the_official_schema(shared: Path, changes: dict[str, object]) -> None:
    place = f'namespace="{cpa.NAMESPACE}" schemaLocation="cpp-cpa-2_0.xsd"'
    driver = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import {place}/></xs:schema>'
    base = (shared / "standards" / "ebms" / "driver.xsd").as_uri()
    schema = etree.XMLSchema(etree.fromstring(driver, etree.XMLParser(no_network=True), base_url=base))
    schema.assertValid(etree.fromstring(draft.make(replace(DRAFT, **changes))))  # type: ignore[arg-type]


@pytest.mark.spec("facts/ebxml", "7.2")
@pytest.mark.spec("facts/ebxml", "8")
def test_an_agreement_decides_everything_about_a_message_from_the_receivers_channel_and_the_senders_promises() -> None:
    t = booking(agreement(packed=True))
    assert (t.endpoint, t.protocol, t.sync) == ("mailto:epj@edi.example", "SMTP", False)
    assert (t.sign, t.encrypt, t.pack, t.ack, t.duplicate_elimination) == (True, True, True, "signed", True)
    assert (t.signing, t.encryption) == ((pair("a").certificate,), (pair("d").certificate,))
    assert (t.retries, t.retry_interval, t.persist) == (5, Duration(rest=timedelta(hours=12)), Duration(rest=timedelta(days=3)))
    assert t.signature.endswith("rsa-sha256")
    back = terms.of(agreement(), "8141705", "8094866", "Tjenesteyter", SERVICE, "Kvittering")
    assert (back.endpoint, back.protocol, back.sync, back.pack) == ("https://hub.example/inbox", "HTTP", True, False)
    assert (back.signing, back.encryption) == ((pair("c").certificate,), (pair("b").certificate,))


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize(
    "asked",
    [
        ("8094866", "8141705", "Tjenesteyter", SERVICE, "Bestilling"), ("8094866", "8141705", "Bestiller", "PLO", "Bestilling"),
        ("8094866", "8141705", "Bestiller", SERVICE, "Innlagt"), ("8141705", "8094866", "Bestiller", SERVICE, "Bestilling"),
        ("1", "8141705", "Bestiller", SERVICE, "Bestilling"), ("8094866", "2", "Bestiller", SERVICE, "Bestilling"),
    ],
)
def test_role_service_action_and_direction_must_all_match(asked: tuple[str, str, str, str, str]) -> None:
    with pytest.raises(Violation) as wrong:
        terms.of(agreement(), *asked)
    assert (wrong.value.code, wrong.value.fault) == (ErrorCode.VALUE_NOT_RECOGNIZED, Fault.UNKNOWN_AGREEMENT)


CHANNEL = 'tp:ackRequested="always" tp:ackSignatureRequested="always" tp:duplicateElimination="always"'


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize(
    ("channel", "ack", "duplicates"),
    [
        (CHANNEL.replace("always", "perMessage"), "signed", True), ("", "signed", True), (CHANNEL.replace("always", "never"), "", False),
        (CHANNEL.replace('Signature'+'Requested="always"', 'SignatureRequested="never"'), "signed", True),
    ],
)
def test_never_on_either_side_is_never_and_what_is_left_open_is_done(channel: str, ack: str, duplicates: bool) -> None:
    text = draft.make(DRAFT).decode()
    for both in (text.replace(CHANNEL, channel), text.replace(CHANNEL, channel, 1)):
        t = booking(cpa.read(both.encode()))
        assert (t.ack, t.duplicate_elimination) == (ack, duplicates)


@pytest.mark.spec("facts/ebxml", "8")
def test_an_unsigned_receipt_needs_no_promise_of_a_signed_one() -> None:
    text = draft.make(DRAFT).decode().replace('ackSignatureRequested="always"', 'ackSignatureRequested="never"')
    assert booking(cpa.read(text.replace('isNonRepudiationReceiptRequired="true"', 'isNonRepudiationReceiptRequired="0"').encode())).ack == "unsigned"


@pytest.mark.spec("facts/ebxml", "3")
@pytest.mark.spec("facts/ebxml", "7.2")
@pytest.mark.spec("facts/ebxml", "8")
def test_without_a_cpa_the_national_defaults_are_the_same_kind_of_value() -> None:
    assert isinstance(terms.REGISTER, terms.Terms)
    assert terms.REGISTER.time_to_live(AT) == AT + timedelta(hours=72)
    assert [terms.REGISTER.next_try(AT, tries) for tries in (1, 5, 6)] == [AT + timedelta(hours=12)] * 2 + [None]


@pytest.mark.spec("facts/ebxml", "8")
def test_a_signal_goes_to_its_own_channel_else_to_the_default_one() -> None:
    party = replace(agreement().parties[0], overrides=(("Acknowledgment", "other"),))
    party = replace(party, channels=(*party.channels, replace(party.channels[0], id="other")))
    found = [party.for_signal(action) for action in ("Acknowledgment", "MessageError")]
    assert [c.id for c in found if c] == ["other", "A_channel"]


@pytest.mark.spec("facts/ebxml", "11")
@pytest.mark.parametrize(("name", "sends"), [(NAV, 34), (HELSENORGE, 138), ("cpa-cv-http.xml", 12), ("hermes-ebIOT-CPAT5-1-4.CECID.I3T.xml", 2)])
def test_every_action_of_a_real_agreement_is_decided(samples: Path, name: str, sends: int) -> None:
    read = cpa.read((samples / name).read_bytes())
    found = [t for party in read.parties for _, t in agreed.sent_by(read, party)]
    assert len(found) == sends
    assert all(t is not None and t.endpoint for t in found)


@pytest.mark.spec("facts/ebxml", "11")
def test_every_real_cpa_and_cpp_is_told_and_checked(samples: Path) -> None:
    files = sorted(samples.iterdir())
    assert len(files) == 14
    for file in files:
        data = file.read_bytes()
        read = cpa.read(data)
        text = agreed.show(data)
        assert read.id in text and all(p.name in text for p in read.parties)
        assert agreed.check(data, AT)  # none of them is faultless: test agreements, expired ones, addresses without TLS


@pytest.mark.spec("facts/ebxml", "8.lenient")
@pytest.mark.spec("facts/ebxml", "8.p180m")
@pytest.mark.spec("facts/ebxml", "8")
def test_what_is_odd_in_the_real_ones_is_told_and_not_acted_upon(samples: Path) -> None:
    nav, helsenorge = ((samples / name).read_bytes() for name in (NAV, HELSENORGE))
    assert any("P180M: 180 months" in p for p in agreed.check(nav, AT))
    assert any("skal skrives mailto:" in p for p in agreed.check(nav, AT))
    assert {"a UTF-8 byte order mark", "ids that stand twice: resolved inside their own PartyInfo"} <= set(cpa.read(helsenorge).remarks)
    read = cpa.read(nav)
    packed = {b.action: t.pack for party in read.parties for b, t in agreed.sent_by(read, party) if t}
    assert packed["OppgjorsMelding"] and not packed["Henvendelse"]
    assert {t.signature for party in read.parties for _, t in agreed.sent_by(read, party) if t} == {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"}


@pytest.mark.spec("facts/ebxml", "8")
def test_a_faultless_agreement_has_no_problems() -> None:
    assert agreed.check(draft.make(DRAFT).replace(b'"proposed"', b'"agreed"'), AT) == []


@pytest.mark.spec("facts/ebxml", "8")
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"agreed"', '"proposed"', "Status er «proposed»"), ("2027-09-27T08:00:00Z", "2026-11-01T00:00:00Z", "Avtalen gikk ut"),
        ("<tp:Start>2026-12-01", "<tp:Start>2027-01-01", "gjelder ikke før"), ("<tp:Start>2026-12-01T08:00:00Z", "<tp:Start>i morgen", "ikke et tidspunkt"),
        ("<ds:X509Certificate>MII", "<ds:X509Certificate>!", "kan ikke leses"), ('defaultMshChannelId="A_channel"', 'defaultMshChannelId="X"', "«X» finnes ikke"),
        ("<tp:ChannelId>A_channel", "<tp:ChannelId>Y", "kanalen «Y», som ikke finnes"), ('tp:packageId="letter"', 'tp:packageId="Z"', "pakken «Z»"),
        ('tp:id="A_0" tp:action="Bestilling"', 'tp:id="A_0" tp:action="Annet"', "motparten tar den ikke imot"), ("mailto:epj", "mailto://epj", "skal skrives mailto:epj"),
        ("https://", "http://", "uten TLS"), ('tp:type="HER"', 'tp:type="ENH"', "ingen HER-id"), ('certId="A_sign"/>', 'certId="Q"/>', "mangler signeringssertifikat"),
        ('ApplicationCertificateRef tp:certId="B_enc"', 'ApplicationCertificateRef tp:certId="Q"', "mangler krypteringssertifikat"),
        ("PT12H", "PT12X", "RetryInterval is no duration"), (">5<", ">five<", "Retries is no number"), ("PT12H", "PT24H", "lenger enn mottakeren husker"),
        ("P3D", "P180M", "PersistDuration is P180M"), ("mailto:epj@edi.example", "", "mangler adresse"),
    ],
)
def test_each_thing_that_is_wrong_is_named(old: str, new: str, problem: str) -> None:
    text = draft.make(DRAFT).decode().replace('"proposed"', '"agreed"')
    assert old in text
    assert any(problem in told for told in agreed.check(text.replace(old, new).encode(), AT))


def test_a_certificate_is_named_when_it_has_run_out_and_when_it_soon_will() -> None:
    data = draft.make(replace(DRAFT, end=AT + timedelta(days=4000)))
    assert any("går ut" in p for p in agreed.check(data, AT + timedelta(days=350)))
    assert any("er ikke gyldig" in p for p in agreed.check(data, AT + timedelta(days=366)))


def test_what_is_no_cpa_is_said_to_be_none() -> None:
    assert agreed.check(b"<a/>", AT)[0].startswith("Kan ikke leses")


@pytest.mark.spec("facts/ebxml", "12.time")
@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize(
    ("written", "at", "then"),
    [
        ("PT12H", AT, AT + timedelta(hours=12)), ("P1M", datetime(2027, 1, 31, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)),
        ("P1M", datetime(2028, 1, 31, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)), ("P1Y1M1DT1M", datetime(2026, 12, 31, tzinfo=UTC), datetime(2028, 2, 1, 0, 1, tzinfo=UTC)),
        ("P180M", AT, AT.replace(year=2041)), ("PT180M", AT, AT + timedelta(hours=3)), ("PT0.5S", AT, AT + timedelta(milliseconds=500)),
    ],
)
def test_durations_follow_the_calendar(written: str, at: datetime, then: datetime) -> None:
    read = duration(written)
    assert read is not None
    assert read.after(at) == then


@pytest.mark.spec("facts/ebxml", "12")
@pytest.mark.parametrize("written", ["", "P", "PT", "P1", "1D", "-P1D", "P1H", "P1DT", "PT1.S", "P1S", "P٣D", "P9999999D", "P1M1Y", " "])
def test_what_is_no_duration_is_none(written: str) -> None:
    assert duration(written) is None


@given(st.integers(0, 20), st.integers(0, 11), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_months_added_one_way_are_months_apart(years: int, months: int, at: datetime) -> None:
    then = Duration(years * 12 + months).after(at)
    assert (then.year - at.year) * 12 + then.month - at.month == years * 12 + months
    assert then.day == at.day or (then.day < at.day and (then + timedelta(days=1)).day == 1)


FACTS = """id = "cpa:1"
start = 2026-12-01T00:00:00Z
end = 2027-10-01T00:00:00Z
[[party]]
name = "Solbakken"
her = "8094866"
endpoint = "https://hub.example/inbox"
signing = "a.pem"
encryption = "b.pem"
[[party]]
name = "EPJ"
her = "8141705"
endpoint = "mailto:epj@edi.example"
signing = "c.pem"
encryption = "d.pem"
[[exchange]]
service = "HelsefagligDialog"
action = "Bestilling"
from_role = "Bestiller"
to_role = "Tjenesteyter"
sender = "8094866"
"""


def facts(folder: Path, text: str = FACTS) -> Path:
    for name in "abcd":
        (folder / f"{name}.pem").write_bytes(pair(name).certificate.public_bytes(Encoding.PEM))
    (folder / "facts.toml").write_text(text, encoding="utf-8")
    return folder / "facts.toml"


def test_the_commands_make_show_and_check(tmp_path: Path) -> None:
    run, made = CliRunner(), str(tmp_path / "cpa.xml")
    assert run.invoke(main_command, ["cpa", "make", str(facts(tmp_path)), "--to", made]).exit_code == 0
    shown = run.invoke(main_command, ["cpa", "show", made])
    assert shown.exit_code == 0
    assert "sender HelsefagligDialog/Bestilling som Bestiller" in shown.output
    checked = run.invoke(main_command, ["cpa", "check", made, "--at", "2026-12-02"])
    assert (checked.exit_code, checked.output.strip()) == (1, "Status er «proposed», ikke «agreed» eller «signed»")
    text = Path(made).read_text(encoding="utf-8").replace('"proposed"', '"agreed"')
    Path(made).write_text(text, encoding="utf-8")
    assert run.invoke(main_command, ["cpa", "check", made, "--at", "2026-12-02"]).output.strip() == "Ingen feil funnet."


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('her = "8141705"\n', "", "mangler her"), ("[[exchange]]", "[[other]]", "mangler exchange"), ('sender = "8094866"', 'sender = "1"', "not in"),
        ("start = 2026-12-01T00:00:00Z", "start = 2026-12-01", "tidspunkter med sone"), ('"a.pem"', '"x.pem"', "kan ikke leses"), ("id =", "id ==", "facts.toml"),
    ],
)
def test_what_is_wrong_with_the_facts_is_said(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in FACTS
    result = CliRunner().invoke(main_command, ["cpa", "make", str(facts(tmp_path, FACTS.replace(old, new))), "--to", str(tmp_path / "x")])
    assert result.exit_code == 1
    assert told in result.output
    assert not (tmp_path / "x").exists()
