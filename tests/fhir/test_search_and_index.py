"""Index entries and searches: what R4's parameters find, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settled import TOWN, settle

from hub.fhir import definitions, index, search, times
from hub.fhir.meeting import meets
from hub.fhir.query import Query
from hub.problem import Problem, Refused
from hub.store import Secrets, Store

D = definitions.load()
AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"


@pytest.fixture
def town(town_url: str, tmp_path: Path) -> Iterator[tuple[Store, Secrets]]:
    settle(town_url, tmp_path, AT)
    secrets = Secrets.open(tmp_path)
    store = Store.open(town_url, secrets, clock=lambda: AT, entries=index.indexer(D, secrets.hash_id))
    yield store, secrets
    store.close()


def find(town: tuple[Store, Secrets], type_: str, text: str) -> list[str]:
    store, secrets = town
    pairs = [tuple(part.split("=", 1)) for part in text.split("&") if part]
    parsed = search.parse(type_, pairs, True, D, secrets.hash_id)  # type: ignore[arg-type]
    return [e.id for e in store.search(parsed.query).entries]


@pytest.mark.spec("facts/fhir", "1.3")
def test_searches_find_what_r4_says(town: tuple[Store, Secrets]) -> None:
    patient = next(r for r in TOWN.resources if r["resourceType"] == "Patient")
    family, number = patient["name"][0]["family"], patient["identifier"][0]["value"]
    assert patient["id"] in find(town, "Patient", f"identifier={FNR}|{number}")
    assert patient["id"] in find(town, "Patient", f"family={family.lower()[:3]}")
    assert patient["id"] in find(town, "Patient", f"name:contains={family[1:4].upper()}")
    assert patient["id"] not in find(town, "Patient", f"gender:not={patient['gender']}&_count=500")
    decisions = [r["id"] for r in TOWN.resources if r["resourceType"] == "ServiceRequest" and r["subject"]["reference"] == f"Patient/{patient['id']}"]
    assert sorted(find(town, "ServiceRequest", f"patient={patient['id']}")) == sorted(decisions)
    assert sorted(find(town, "ServiceRequest", f"patient:Patient={patient['id']}&status=active")) == sorted(decisions)
    assert find(town, "ServiceRequest", "patient:missing=true") == []
    assert find(town, "Patient", "_id=unknown") == []


@pytest.mark.spec("facts/fhir", "1.3.dates")
@pytest.mark.spec("facts/fhir", "5.3")
def test_a_day_is_norwegian_and_prefixes_hold(town: tuple[Store, Secrets]) -> None:
    slots = {r["id"]: r["start"] for r in TOWN.resources if r["resourceType"] == "Slot" and r["schedule"]["reference"] == "Schedule/hjemmesykepleie"}
    low, high = times.span("2026-11-30")
    day = sorted(id_ for id_, start in slots.items() if low <= times.span(start)[0] < high)
    assert day and sorted(find(town, "Slot", "schedule=hjemmesykepleie&start=2026-11-30&_count=500")) == day
    assert sorted(find(town, "Slot", "schedule=Schedule/hjemmesykepleie&start=ge2026-11-30&start=lt2026-12-01&_count=500")) == day
    after = find(town, "Slot", "schedule=hjemmesykepleie&start=gt2026-11-30&_count=1000")
    assert not set(after) & set(day) and len(after) + len(find(town, "Slot", "schedule=hjemmesykepleie&start=le2026-11-30&_count=1000")) == len(slots)


@pytest.mark.spec("facts/fhir", "1.4.pages")
def test_pages_neither_lose_nor_repeat_while_data_changes(town: tuple[Store, Secrets]) -> None:
    store, secrets = town
    parsed = search.parse("Slot", [("schedule", "dagsenter"), ("_count", "7")], True, D, secrets.hash_id)
    seen, query = list[str](), parsed.query
    for number in range(100):
        page = store.search(query)
        seen += [e.id for e in page.entries]
        store.write(lambda tx, n=number: tx.keep({**tx.get("Slot", seen[0]).resource, "comment": f"changed {n}"}, origin="x"))  # type: ignore[misc,union-attr]
        if page.next is None:
            break
        query = Query(**{**{f: getattr(parsed.query, f) for f in Query.__slots__}, "cursor": page.next})
    assert sorted(seen) == sorted(r["id"] for r in TOWN.resources if r["resourceType"] == "Slot" and r["schedule"]["reference"] == "Schedule/dagsenter")


@pytest.mark.spec("facts/fhir", "1.4.entries")
def test_includes_bring_what_is_referred_to_both_ways(town: tuple[Store, Secrets]) -> None:
    store, secrets = town
    query = search.parse("Schedule", [("_include", "Schedule:actor"), ("_revinclude", "Slot:schedule")], True, D, secrets.hash_id).query
    included = store.search(query).included
    assert {e.type for e in included} == {"HealthcareService", "Slot"}


@pytest.mark.parametrize(("asked", "same"), [
    ("status=http://hl7.org/fhir/slotstatus|free", "status=free"), ("status=http://hl7.org/fhir/slotstatus|", "status=free,busy"),
    ("status=http://hl7.org/fhir/appointmentstatus|free", "_id=none"), ("status:not=http://hl7.org/fhir/slotstatus|free", "status:not=free"),
])
def test_a_code_is_of_the_system_that_its_binding_names(town: tuple[Store, Secrets], asked: str, same: str) -> None:
    """A Slot says `free` and no system; a client that names the system (HAPI's does) means the same."""
    assert find(town, "Slot", f"{asked}&_count=1000") == find(town, "Slot", f"{same}&_count=1000")


@pytest.mark.spec("facts/fhir", "1.4.privacy")
def test_a_national_id_is_nowhere_in_the_index(town: tuple[Store, Secrets]) -> None:
    numbers = {i["value"] for r in TOWN.resources for i in r.get("identifier", ()) if i["system"] == FNR}
    assert len(numbers) > 200
    entries = index.indexer(D, lambda system, value: "HASH")
    for resource in TOWN.resources:
        assert not any(token.value in numbers for token in entries(resource).tokens)


BAD = ["_count=-1", "_count=x", "start=tomorrow", "start=2026-13-01", "status:bogus=free", "_sort=bogus", "_sort=status,-bogus", "_sort=a,b,c,d,e,f", "_include=Slot", "_total=maybe", "_cursor=x",
       "bogus=1", "schedule:missing=maybe"]


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        search.parse("Slot", [tuple(text.split("=", 1))], True, D, lambda s, v: v)  # type: ignore[list-item]
    assert refused.value.problem is Problem.BAD_SEARCH


@pytest.mark.spec("facts/fhir", "1.4.unknown")
@pytest.mark.spec("facts/fhir", "5.1")
def test_an_unknown_parameter_is_ignored_and_said_so_when_lenient() -> None:
    parsed = search.parse("Slot", [("bogus", "1"), ("status", "free")], False, D, lambda s, v: v)
    assert parsed.ignored == ("bogus",) and parsed.used == (("status", "free"),)


@given(st.text(max_size=40), st.text(max_size=60))
def test_no_search_is_a_bug(name: str, value: str) -> None:
    try:
        search.parse("Appointment", [(name, value), ("date", value), ("patient", value), ("identifier", value)], False, D, lambda s, v: "h")
    except Refused as refused:
        assert refused.problem is Problem.BAD_SEARCH


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)))
@pytest.mark.spec("facts/fhir", "1.3.dates")
def test_a_span_holds_its_own_instant(moment: datetime) -> None:
    utc = moment.replace(tzinfo=UTC, microsecond=0)
    low, high = times.span(utc.isoformat())
    assert low <= times.micros(utc) < high
    year_low, year_high = times.span(f"{utc.year:04d}-07")
    assert year_low < year_high


@pytest.mark.spec("facts/planning", "4.5")
@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59", "9999-12-31T23:59:59"])
@pytest.mark.spec("facts/fhir", "1.5")
def test_for_ever_is_a_day_too(text: str) -> None:
    """«9999-12-31» is how people write for ever: a mandate, or a decision, that bears it is kept and found."""
    low, high = times.span(text)
    assert low < high and low <= times.span("9999-12-31T23:59:59Z")[0] + 24 * 3_600_000_000


@pytest.mark.spec("facts/fhir", "1.5")
def test_days_of_the_clock_change_are_23_and_25_hours_long() -> None:
    hour = 3_600_000_000
    assert [(lambda s: (s[1] - s[0]) // hour)(times.span(day)) for day in ("2027-03-28", "2026-10-25", "2026-11-26")] == [23, 25, 24]


_PERSONS = [
    {}, {"birthDate": "1980"}, {"birthDate": "1980-05", "gender": "male", "name": [{"family": "Ås", "given": ["Per"]}]},
    {"birthDate": "1980-05-06", "gender": "female", "name": [{"text": "Per Ås"}], "identifier": [{"system": "urn:x", "value": "1"}]},
    {"deceasedDateTime": "2020-01-01", "generalPractitioner": [{"reference": "Practitioner/a"}, {"reference": "http://x.example/Practitioner/a"}]},
    {"deceasedBoolean": False, "generalPractitioner": [{"reference": "Organization/a"}], "active": True, "identifier": [{"value": "1"}]},
    {"communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "nb", "display": "Bokmål"}]}}], "meta": {"source": "http://x.example/a"},
     "identifier": [{"type": {"coding": [{"system": "urn:t", "code": "T"}], "text": "Nummer"}, "value": "1"}]},
    {"generalPractitioner": [{"reference": "Practitioner/a", "display": "Per Ås"}], "meta": {"source": "http://x.example/a/b"}, "gender": "other"},
]
_BOOKED = [{"status": "proposed"}] + [
    {"status": "booked", "start": f"2026-12-0{day}T0{hour}:00:00+01:00", "end": f"2026-12-0{day}T0{hour}:30:00+01:00"} for day in (1, 2) for hour in (8, 9)
]
_DATES = ("2026", "2026-12", "2026-12-01", "2026-12-01T08:00:00+01:00", "2026-12-01T08:10", "1980", "1980-05", "1980-05-06", "2020-01-01")
_ASKED = [
    *((name, f"{prefix}{date}") for name in ("date", "period", "birthdate", "death-date", "_lastUpdated")
      for prefix in ("", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap") for date in _DATES),
    *((name, value) for name in ("identifier", "identifier:not") for value in ("1", "urn:x|1", "|1", "urn:x|", "urn:x|2,|1")),
    *((name, value) for name in ("name", "family", "name:exact", "name:contains") for value in ("ås", "Per", "s,er", "per ås")),
    *((name, value) for name in ("general-practitioner", "general-practitioner:Practitioner") for value in (
        "a", "Practitioner/a", "http://x.example/Practitioner/a", "Organization/a,x")),
    *((f"{name}:missing", value) for name in ("language", "birthdate", "date", "name", "gender", "general-practitioner", "identifier") for value in ("true", "false")),
    *(("general-practitioner:text", value) for value in ("per", "ås", "x")), *(("language:text", value) for value in ("bok", "mål")),
    *((f"gender:{modifier}", f"http://hl7.org/fhir/ValueSet/{name}") for modifier in ("in", "not-in") for name in ("administrative-gender", "slotstatus")),
    *((f"language:{modifier}", "http://hl7.org/fhir/ValueSet/languages") for modifier in ("in", "not-in")),
    *(("identifier:of-type", value) for value in ("urn:t|T|1", "urn:t|T|2", "urn:u|T|1")), ("identifier:text", "num"),
    *((f"_source:{modifier}", value) for modifier in ("above", "below") for value in ("http://x.example/a", "http://x.example/", "http://x.example/a/b/c")),
    *(("deceased", value) for value in ("true", "false", "true,false")), ("gender:not", "male"), ("status", "booked"), ("_id", "v1,v2"), ("active", "true"),
]


def test_one_version_is_judged_as_a_search_judges_it(town: tuple[Store, Secrets]) -> None:
    """What no index holds (a version of before, of a subscription or an export) is judged by hub.fhir.meeting, else by SQL: they say the same."""
    store, secrets = town
    of = {
        "Patient": [{"resourceType": "Patient", "id": f"v{n}", **more} for n, more in enumerate(_PERSONS)],
        "Appointment": [{"resourceType": "Appointment", "id": f"v{n}", "participant": [], **more} for n, more in enumerate(_BOOKED)],
    }
    store.write(lambda tx: [tx.keep(each, origin="test") for every in of.values() for each in every])
    entries, asked = index.indexer(D, secrets.hash_id), 0
    for type_, every in of.items():
        kept = [version for each in every if (version := store.get(type_, each["id"]))]
        for name, value in _ASKED:
            if name.partition(":")[0] not in {*D.parameters[type_], "_id"}:
                continue
            query = search.parse(type_, [("_id", ",".join(v.id for v in kept)), (name, value), ("_count", "50")], True, D, secrets.hash_id).query
            by_search = {each.id for each in store.search(query).entries}
            assert {v.id for v in kept if meets(v, entries(v.resource), query.conditions)} == by_search, f"{type_}?{name}={value}"
            asked += 1
    assert asked > 300


_PERIODS: dict[str, dict[str, str]] = {
    "closed": {"start": "2026-11-26T08:00:00+01:00", "end": "2026-11-26T10:00:00+01:00"}, "begun": {"start": "2026-11-01"}, "ended": {"end": "2026-11-20"},
    "long": {"start": "2026-10-01", "end": "2026-12-31"}, "old": {"start": "1965-01-01", "end": "1965-12-31"},
}
_WITHIN = [
    ("2026-11-26", {"closed"}), ("ge2026-11-26", {"closed", "begun", "long"}), ("gt2026-11-26", {"begun", "long"}), ("lt2026-11-26", {"begun", "ended", "long", "old"}),
    ("le2026-11-26", {"closed", "begun", "ended", "long", "old"}), ("sa2026-11-25", {"closed"}), ("eb2026-11-26", {"ended", "old"}), ("ne2026", {"begun", "ended", "old"}),
    ("eq2026", {"closed", "long"}), ("gt2026-11-26T09:00:00+01:00", {"closed", "begun", "long"}), ("1965", {"old"}), ("lt1970", {"ended", "old"}), ("sa1964", {"closed", "begun", "long", "old"}),
    ("eq2026-11-26,1965", {"closed", "old"}), ("ge2027", {"begun"}), ("eb1967", {"old"}), ("ap2026-11-26", {"closed", "begun", "long"}),
]


def test_a_main_time_that_is_a_period_is_met_as_a_period(town: tuple[Store, Secrets]) -> None:
    """R4 3.1.1.5.2, with open ends, and with times before 1970: a Flag's date is all of its period, and not its start alone."""
    store, secrets = town
    kept = [{"resourceType": "Flag", "id": id_, "status": "active", "code": {"text": "x"}, "period": period, "subject": {"reference": "Patient/x"}}
            for id_, period in _PERIODS.items()]
    store.write(lambda tx: [tx.keep(each, origin="test") for each in [*kept, {k: v for k, v in kept[0].items() if k != "period"} | {"id": "none"}]])
    entries = index.indexer(D, secrets.hash_id)
    for asked, wanted in _WITHIN:
        for driver in ("", "&patient=x", f"&_id={','.join(_PERIODS)}", "&_sort=-date"):
            assert set(find(town, "Flag", f"date={asked}{driver}")) & set(_PERIODS) == wanted, asked + driver
        conditions = search.parse("Flag", [("date", asked)], True, D, secrets.hash_id).query.conditions
        versions = [version for each in kept if (version := store.get("Flag", str(each["id"])))]
        assert {v.id for v in versions if meets(v, entries(v.resource), conditions)} == wanted, asked
