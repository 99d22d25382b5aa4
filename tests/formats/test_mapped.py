"""A partner's own JSON by a mapping: each sample gives what its file says, and what is wrong is named with its field."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats.fhir import fhir_format
from adapters.formats.forms import LONGEST_TEXT
from adapters.formats.mapped import MappedFormat, Mapping_, UnusableMapping, mapped_format
from hub.adapter import Surroundings
from hub.booking.clock import local
from hub.booking.conventions import SHOP_BOOKING, with_extension
from hub.fhir import strict_json
from hub.message import Content, Envelope, Letter, Question, Resource, Resources, Verdict
from hub.problem import Problem, Refused

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(p for p in (ROOT / "mappings" / "samples").glob("*.json") if not p.name.endswith(".gives.json"))
OPPRETT: dict[str, Any] = json.loads((ROOT / "mappings" / "samples" / "tjenesteshop-opprett.json").read_text(encoding="utf-8"))
LETTER = Letter("letter-1", "c", "booking", datetime(2026, 12, 1, tzinfo=UTC))


def shop() -> MappedFormat:
    return mapped_format(Surroundings(ROOT / "nowhere", "tjenesteshop", "tjenesteshop", "8100000", "Solbakken", {"mapping": "tjenesteshop.toml"}))


def envelope(body: bytes) -> Envelope:
    return Envelope("id-1", "tjenesteshop", "8100000", "c", Content(body, "application/json"))


def stated(body: bytes) -> dict[str, Any]:
    message = shop().read(envelope(body))
    assert isinstance(message, Resources)
    (one,) = message.items
    return one


def changed(**fields: Any) -> bytes:
    """OPPRETT with fields changed; None takes one out."""
    return json.dumps({key: value for key, value in {**OPPRETT, **fields}.items() if value is not None}).encode()


def refused(body: bytes, problem: Problem, where: str | None = None) -> Refused:
    with pytest.raises(Refused) as wrong:
        shop().read(envelope(body))
    assert wrong.value.problem == problem
    assert where is None or wrong.value.where == where
    return wrong.value


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.stem)
def test_each_sample_gives_what_its_file_says(sample: Path) -> None:
    wanted = sample.with_name(f"{sample.stem}.gives.json")
    assert stated(sample.read_bytes()) == json.loads(wanted.read_text(encoding="utf-8"))


def test_there_is_a_sample_for_every_action() -> None:
    seen = {json.loads(path.read_text(encoding="utf-8"))["handling"] for path in SAMPLES}
    assert seen == set(Mapping_.load(ROOT, "tjenesteshop.toml").actions)


@pytest.mark.parametrize("field", ["handling", "bestillingsId", "fra", "avdeling", "person"])
@pytest.mark.parametrize("empty", [None, "", {}])
def test_a_required_field_that_is_missing_is_named(field: str, empty: Any) -> None:
    body = changed(**{field: empty}) if empty != {} else json.dumps({**OPPRETT, field: None}).encode()
    refused(body, Problem.INVALID, "/person/id" if field == "person" else f"/{field}")


@pytest.mark.parametrize(
    ("fields", "where"), [({"handling": "DANS"}, "/handling"), ({"handling": 7}, "/handling"), ({"handling": ["OPPRETT"]}, "/handling"),
                          ({"person": {"id": "1", "idType": "PASS"}}, "/person/idType"), ({"person": {"id": "1", "idType": 7}}, "/person/idType")],
)
def test_an_unknown_code_is_refused_and_the_known_ones_are_told(fields: dict[str, Any], where: str) -> None:
    assert "must be one of" in refused(changed(**fields), Problem.UNKNOWN_CODE, where).detail


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"fra": "i morgen"}, "/fra"), ({"fra": "2026-12-01"}, "/fra"), ({"fra": 7}, "/fra"), ({"fra": {}}, "/fra"), ({"til": "25:00"}, "/til"),
        ({"fra": "2026-02-30T09:00:00"}, "/fra"), ({"bestillingsId": 7}, "/bestillingsId"), ({"kommentar": ["x"]}, "/kommentar"),
        ({"kommentar": "x" * (LONGEST_TEXT + 1)}, "/kommentar"), ({"person": {"id": "01815512345x"}}, "/person/id"),
        ({"person": {"id": True}}, "/person/id"), ({"person": {"id": "٠١٢"}}, "/person/id"), ({"person": {"id": "1" * 31}}, "/person/id"),
        ({"person": ["01815512345"]}, "/person/id"), ({"varighetMinutter": "tretti"}, "/varighetMinutter"),
        ({"varighetMinutter": True}, "/varighetMinutter"), ({"varighetMinutter": 0}, "/varighetMinutter"),
        ({"varighetMinutter": 30.5}, "/varighetMinutter"), ({"varighetMinutter": 10**30}, "/varighetMinutter"),
    ],
)
def test_a_malformed_field_is_invalid_and_named_but_never_repeated(fields: dict[str, Any], where: str) -> None:
    wrong = refused(changed(**fields), Problem.INVALID, where)
    assert "i morgen" not in wrong.detail
    assert "01815512345" not in wrong.detail


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"7", b"null", b"{", b"{} {}", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}', b"{'a': 1}", b'{"a": 1,}', b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 1_000_000, b'{"a": "\n"}',
        b"[" * 100 + b"]" * 100, b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_strict_json_object_is_unreadable(body: bytes) -> None:
    refused(body, Problem.UNREADABLE)


def test_depth_is_counted_outside_texts_only() -> None:
    assert strict_json.load(b'{"a": "' + b"[" * 200 + b'\\"{"}') == {"a": "[" * 200 + '"{'}
    assert strict_json.load(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert strict_json.load("\ufeff{}".encode()) == {}


def test_an_unknown_field_is_left_alone() -> None:
    assert stated(changed(nytt={"a": [1]})) == stated(changed())


@given(st.binary(max_size=100) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(OPPRETT)), inner, max_size=4), max_leaves=8,
).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_and_any_json_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        shop().read(envelope(body))


UNPRINTABLE = re.compile(r"\\[bf]|\\u00[01]|\\ud[89a-f]")


@given(st.sampled_from([*OPPRETT, "varighetMinutter", "avbestiltAv"]), st.sampled_from(["OPPRETT", "FLYTT", "AVBESTILL"]), st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["id", "idType"]), st.integers() | st.text(max_size=5)),
    st.sampled_from(["0001-01-01T00:00:00", "2026-12-01T09:00:00+24:00", "9999-12-31T23:59:59", "2026-W01-1T10"]),
))
def test_any_value_in_any_field_is_read_or_refused(field: str, action: str, value: Any) -> None:
    try:
        stated(changed(**{"handling": action, field: value}))
    except Refused as wrong:
        if wrong.problem is Problem.UNREADABLE:
            assert UNPRINTABLE.search(json.dumps([field, value])), "the JSON itself, for a character that no text may hold"
        else:
            assert wrong.problem in (Problem.INVALID, Problem.UNKNOWN_CODE)
            assert wrong.where


@pytest.mark.parametrize("problem", [None, *Problem])
def test_every_verdict_is_told_with_number_text_and_field(problem: Problem | None) -> None:
    answer = shop().answer(envelope(b"{}"), Verdict(problem, "detail", "/fra", ("Appointment/1",)), LETTER)
    assert answer is not None
    told = json.loads(answer.body)
    assert (told["meldingsId"], told["status"]) == ("id-1", "AVVIST" if problem else "GODTATT")
    if problem:
        assert told["problem"] == {"nummer": problem.value, "navn": problem.name, "tekst": problem.text, "detalj": "detail", "felt": "/fra"}


def test_only_appointments_are_written() -> None:
    with pytest.raises(Refused):
        shop().write(Question("planned", {}), LETTER)


def test_where_a_booking_stands_is_told_in_the_shops_words() -> None:
    appointment = {
        "resourceType": "Appointment", "id": "b-1", "status": "cancelled", "start": "2026-12-01T08:00:00Z", "end": "2026-12-01T08:30:00Z",
        "identifier": [{"system": SHOP_BOOKING, "value": "B-17"}], "cancelationReason": {"coding": [{"code": "AAT"}]},
        "participant": [{"actor": {"type": "Practitioner", "display": "Nora"}, "status": "accepted"}],
    }
    assert json.loads(shop().write(Resources((appointment,)), LETTER).body) == {
        "meldingsId": LETTER.id, "hendelse": "STATUS", "sendt": local(LETTER.made_at.replace(microsecond=0)).isoformat(), "bestillingsId": "B-17",
        "status": "AVBESTILT", "fra": "2026-12-01T09:00:00+01:00", "til": "2026-12-01T09:30:00+01:00", "ansatt": "Nora", "arsak": "AAT",
    }


@pytest.mark.parametrize("status", ["pending", "booked", "arrived", "fulfilled", "noshow", "cancelled"])
def test_every_status_has_its_word(status: str) -> None:
    stated = {"resourceType": "Appointment", "id": "b", "status": status, "participant": []}
    assert json.loads(shop().write(Resources((stated,)), LETTER).body)["status"].isupper()


@pytest.mark.parametrize("about", [{"resourceType": "Appointment", "status": "booked"}, {"resourceType": "HealthcareService", "id": "hjelp"}])
def test_a_mapping_that_tells_nothing_refuses_to(about: Resource) -> None:
    made = MappedFormat.__new__(MappedFormat)
    made._mapping = Mapping_(GOOD)
    with pytest.raises(Refused) as caught:
        made.write(Resources((about,)), LETTER)
    assert caught.value.problem is Problem.NOT_SUPPORTED


def slot(start: str, status: str, capacity: int, taken: int) -> Resource:
    kept: Resource = {"resourceType": "Slot", "status": status, "start": start, "end": start}
    return with_extension(with_extension(kept, "capacity", "Integer", capacity), "taken", "Integer", taken)


def test_a_departments_times_are_told_with_the_places_that_are_left() -> None:
    service: Resource = {"resourceType": "HealthcareService", "id": "hjelp", "name": "Praktisk bistand"}
    slots = (
        slot("2026-12-01T08:00:00Z", "free", 3, 1), slot("2026-12-01T09:00:00Z", "busy-tentative", 1, 1),
        slot("2026-12-01T10:00:00Z", "busy", 1, 2), slot("2026-12-01T11:00:00Z", "busy-unavailable", 0, 0),
    )
    told = json.loads(shop().write(Resources((service, *slots)), LETTER).body)
    times = told.pop("tider")
    assert told == {
        "meldingsId": LETTER.id, "hendelse": "LEDIGE_TIDER", "sendt": local(LETTER.made_at.replace(microsecond=0)).isoformat(), "avdeling": "hjelp",
    }
    assert times[0] == {"fra": "2026-12-01T09:00:00+01:00", "til": "2026-12-01T09:00:00+01:00", "status": "LEDIG", "ledigePlasser": 2}
    assert [(t["status"], t["ledigePlasser"]) for t in times[1:]] == [("OPPTATT", 0), ("OPPTATT", 0), ("STENGT", 0)]
    assert json.loads(shop().write(Resources((service,)), LETTER).body)["tider"] == [], "nothing open is told too"


def test_a_shop_that_speaks_fhir_gets_the_slots_in_a_bundle() -> None:
    service: Resource = {"resourceType": "HealthcareService", "id": "hjelp"}
    written = fhir_format(Surroundings(ROOT / "nowhere", "shop", "shop", "8100000", "Solbakken", {}))
    (told,) = json.loads(written.write(Resources((service, slot("2026-12-01T08:00:00Z", "free", 3, 1))), LETTER).body)["entry"]
    assert told["resource"]["resourceType"] == "Slot" and told["resource"]["status"] == "free"


GOOD: dict[str, Any] = {"media_type": "application/json", "action": "a", "actions": {"X": "proposed"}, "rules": []}


@pytest.mark.parametrize(
    "table",
    [
        {}, {**GOOD, "rules": [{"path": "a"}]}, {**GOOD, "rules": [{"to": "a"}]}, {**GOOD, "rules": [{"to": "a", "path": "b", "value": 1}]},
        {**GOOD, "rules": [{"to": "a", "path": "b", "codes": "c"}]}, {**GOOD, "rules": [{"to": "a", "path": "b", "form": "c"}]},
    ],
)
def test_a_mapping_that_cannot_work_is_refused_when_it_is_loaded(table: dict[str, Any]) -> None:
    with pytest.raises(UnusableMapping):
        Mapping_(table)


def test_every_rule_that_gave_something_is_explained() -> None:
    explained = {row.to: row for row in Mapping_.load(ROOT, "tjenesteshop.toml").explain(OPPRETT)}
    assert explained["status"].value == "proposed"
    assert (explained["start"].source, explained["start"].rule) == ("fra", "form")
    assert explained["participant.0.actor.identifier.system"].rule == "codes"


OTHERS = """
media_type = "application/json"
id = "event.uuid"
action = "event.type"
empty = ["-", "0000-00-00 00:00", "n/a"]

[actions]
1 = "proposed"
2 = "cancelled"
true = "proposed"

[codes.idType]
7 = "urn:oid:2.16.578.1.12.4.1.4.1"
"""
RULES: list[dict[str, Any]] = [
    {"to": "identifier.0.system", "value": SHOP_BOOKING}, {"to": "identifier.0.value", "path": "event.orders.0.no", "form": "text", "required": True},
    {"to": "start", "path": "event.orders.0.slots.1.begin", "form": "instant", "reads": "%d.%m.%Y kl. %H.%M"},
    {"to": "end", "join": ["event.end.d", "event.end.t"], "with": " ", "form": "instant", "reads": "%Y%m%d %H%M", "zone": "UTC"},
    {"to": "minutesDuration", "path": "event.minutes", "form": "number", "default": 30},
    {"to": "comment", "join": ["event.note.a", "event.note.b"], "with": "; "},
    {"to": "created", "path": "event.at", "form": "epoch"},
    {"to": "participant.0.actor.identifier.system", "path": "event.who.kind", "codes": "idType"},
    {"to": "participant.0.actor.identifier.value", "path": "event.who.no", "form": "digits"},
]


def others(*more: dict[str, Any], **table: Any) -> Mapping_:
    return Mapping_({**tomllib.loads(OTHERS), "rules": [*RULES, *more], **table})


def event(**fields: Any) -> dict[str, Any]:
    base = {
        "type": 1, "uuid": "u-1", "orders": [{"no": "N-1", "slots": [{}, {"begin": "01.12.2026 kl. 09.15"}]}], "end": {"d": "20261201", "t": "0900"},
        "minutes": "-", "note": {"a": "Ring på", "b": "n/a"}, "at": 1795950000123, "who": {"kind": 7, "no": "018155 12345"},
    }
    return {"event": {**base, **fields}}


def test_another_shops_words_lists_dates_and_ways_to_say_nothing() -> None:
    told = others().stated(event())
    assert (told["start"], told["end"]) == ("2026-12-01T09:15:00", "2026-12-01T09:00:00+00:00"), "wall time, and UTC where the rule says so"
    assert (told["minutesDuration"], told["comment"], told["identifier"][0]["value"]) == (30, "Ring på", "N-1")
    assert told["created"].startswith("2026-11-29T")
    assert told["participant"][0]["actor"]["identifier"] == {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "01815512345"}
    assert others().stated(event(type=True, at="1795950000", minutes="45"))["minutesDuration"] == 45
    assert "end" not in others().stated(event(end={"d": "20261201", "t": "-"})), "half of a date is no date"
    assert "start" not in others().stated(event(orders=[{"no": "N-1", "slots": [{}, {"begin": "0000-00-00 00:00"}]}]))


@pytest.mark.parametrize(("fields", "problem", "where"), [
    ({"orders": [{"no": "N-1", "slots": [{}, {"begin": "2026-12-01T09:15"}]}]}, Problem.INVALID, "/event/orders/0/slots/1/begin"),
    ({"orders": [{"no": "N-1", "slots": [{}, {"begin": "31.02.2026 kl. 09.15"}]}]}, Problem.INVALID, "/event/orders/0/slots/1/begin"),
    ({"orders": [{"no": "-", "slots": []}]}, Problem.INVALID, "/event/orders/0/no"), ({"orders": []}, Problem.INVALID, "/event/orders/0/no"),
    ({"end": {"d": "2026-12-01", "t": "0900"}}, Problem.INVALID, "/event/end/d"), ({"at": -1}, Problem.INVALID, "/event/at"),
    ({"at": "1e9"}, Problem.INVALID, "/event/at"), ({"at": True}, Problem.INVALID, "/event/at"), ({"type": 3}, Problem.UNKNOWN_CODE, "/event/type"),
    ({"type": [1]}, Problem.UNKNOWN_CODE, "/event/type"), ({"who": {"kind": 8, "no": "1"}}, Problem.UNKNOWN_CODE, "/event/who/kind"),
])
def test_what_another_shop_gets_wrong_is_named_by_its_own_field(fields: dict[str, Any], problem: Problem, where: str) -> None:
    with pytest.raises(Refused) as wrong:
        others().stated(event(**fields))
    assert (wrong.value.problem, wrong.value.where) == (problem, where)


def test_times_leave_as_the_shop_wants_them() -> None:
    rules = [{"to": "dato", "path": "appointment.start", "form": "local", "writes": "%d.%m.%Y"}, {"to": "kl", "path": "appointment.start", "form": "local"}]
    told = others(out=rules).told({"appointment": {"start": "2026-10-25T01:30:00Z"}})
    assert told == {"dato": "25.10.2026", "kl": "2026-10-25T02:30:00+01:00"}


@pytest.mark.parametrize("rule", [
    {"to": "x", "path": "a", "deafult": 1}, {"to": "x", "path": "a", "form": "text", "reads": "%d"}, {"to": "x", "path": "a", "form": "instant", "reads": "%Q"},
    {"to": "x", "path": "a", "form": "instant", "zone": "Norge"}, {"to": "x", "path": "a", "when": ["9"]}, {"to": "status.code", "path": "a"},
    {"to": "comment.text", "path": "a"}, {"to": "identifier.value", "path": "a"},
])
def test_a_mapping_that_could_not_work_is_told_when_it_is_loaded(rule: dict[str, Any]) -> None:
    with pytest.raises(UnusableMapping):
        others(rule)
