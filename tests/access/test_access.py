"""Who may see: every ground, every scope, every end of a mandate, and protected addresses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access import (
    ALL_DEPARTMENTS,
    CONFIDENTIALITY,
    Ground,
    Information,
    Mandate,
    Person,
    Protection,
    Reader,
    Scope,
    may_see,
    moment,
    protection,
    shows,
)

NOW = datetime(2026, 11, 23, 11, 3, tzinfo=UTC)
KARI = Person("Patient/kari", Protection.OPEN)


def consent(**changes: Any) -> dict[str, Any]:
    provision = {
        "type": "permit",
        "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-12-31T23:00:00Z"},
        "actor": [{"role": {"coding": [{"code": "DELEGATEE"}]}, "reference": {"reference": "RelatedPerson/ola"}}],
        "code": [{"coding": [{"system": "https://besoksbro.example/fhir/CodeSystem/mandate-scope", "code": "se-besok"}]}],
    }
    provision.update(changes.pop("provision", {}))
    return {"resourceType": "Consent", "id": "m", "status": "active", "patient": {"reference": "Patient/kari"}, "provision": provision} | changes


def relative(mandate: Mandate | None = None, **changes: Any) -> Reader:
    mandate = mandate or Mandate.of(consent())
    return replace(Reader("RelatedPerson/ola", mandate.ground, mandate, Protection.OPEN), **changes)


def test_a_person_sees_their_own_and_nobody_elses() -> None:
    kari = Reader("Patient/kari", Ground.SELF)
    assert may_see(kari, KARI, Scope.SEE, NOW)
    assert not may_see(kari, Person("Patient/per", Protection.OPEN), Scope.SEE, NOW)


def test_a_mandate_gives_its_scopes_and_no_more() -> None:
    assert may_see(relative(), KARI, Scope.SEE, NOW)
    for scope in set(Scope) - {Scope.SEE}:
        assert not may_see(relative(), KARI, scope, NOW)


@pytest.mark.parametrize("period", [
    {"start": "0001-01-01", "end": "9999-12-31"}, {"start": "2026", "end": "9999"}, {"end": "9999-12-31T23:59:59+01:00"},
    {"start": "2025-12-31T23:59:60Z"},
])
def test_for_ever_is_written_in_many_ways(period: dict[str, str]) -> None:
    assert Mandate.of(consent(provision={"period": period})).holds(NOW)


def test_a_mandate_that_ended_one_second_ago_gives_nothing() -> None:
    ends = datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert may_see(relative(), KARI, Scope.SEE, ends - timedelta(seconds=1))
    assert not may_see(relative(), KARI, Scope.SEE, ends)
    assert not may_see(relative(), KARI, Scope.SEE, ends + timedelta(seconds=1))


def test_a_mandate_that_has_not_begun_gives_nothing() -> None:
    assert not may_see(relative(), KARI, Scope.SEE, datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize("status", ["draft", "proposed", "inactive", "rejected", "entered-in-error", "", None])
def test_only_an_active_consent_is_a_mandate(status: str | None) -> None:
    assert not may_see(relative(Mandate.of(consent(status=status))), KARI, Scope.SEE, NOW)


def test_a_consent_that_denies_gives_nothing() -> None:
    assert not may_see(relative(Mandate.of(consent(provision={"type": "deny"}))), KARI, Scope.SEE, NOW)


def test_an_end_that_is_a_day_lasts_to_midnight_in_norway() -> None:
    mandate = Mandate.of(consent(provision={"period": {"end": "2026-11-23"}}))
    assert mandate.holds(datetime(2026, 11, 23, 22, 59, 59, tzinfo=UTC))
    assert not mandate.holds(datetime(2026, 11, 23, 23, 0, tzinfo=UTC))


def test_days_months_and_years_end_at_norwegian_midnights_also_when_clocks_change() -> None:
    assert moment("2026-10-25", end=True) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert moment("2026-10-25") == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert moment("2026-12", end=True) == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert moment("2026-03", end=True) == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert moment("2026", end=True) == datetime(2026, 12, 31, 23, tzinfo=UTC)


def test_somebody_elses_mandate_gives_nothing() -> None:
    assert not may_see(relative(reference="RelatedPerson/eva"), KARI, Scope.SEE, NOW)
    assert not may_see(relative(), Person("Patient/per", Protection.OPEN), Scope.SEE, NOW)


def test_a_reader_cannot_claim_another_ground_than_the_mandates() -> None:
    assert not may_see(relative(ground=Ground.GUARDIAN), KARI, Scope.SEE, NOW)


def test_a_parent_sees_a_child_until_the_sixteenth_birthday() -> None:
    mandate = Mandate.of(consent(provision={"actor": [
        {"role": {"coding": [{"code": "PRN"}]}, "reference": {"reference": "RelatedPerson/ola"}}]}))
    assert mandate.ground is Ground.PARENT
    sixteen_tomorrow = replace(KARI, born=datetime(2010, 11, 24).date())
    sixteen_today = replace(KARI, born=datetime(2010, 11, 23).date())
    assert may_see(relative(mandate), sixteen_tomorrow, Scope.SEE, NOW)
    assert not may_see(relative(mandate), sixteen_today, Scope.SEE, NOW)
    assert not may_see(relative(mandate), KARI, Scope.SEE, NOW), "an unknown birth date is no child's"


@pytest.mark.parametrize(("label", "level"), [
    ({"system": CONFIDENTIALITY, "code": "fortrolig"}, Protection.CONFIDENTIAL),
    ({"system": CONFIDENTIALITY, "code": "strengtFortrolig"}, Protection.STRICTLY_CONFIDENTIAL),
    ({"system": CONFIDENTIALITY, "code": "ugradert"}, Protection.OPEN),
    ({"system": CONFIDENTIALITY, "code": "nytt-trinn"}, Protection.UNKNOWN),
    ({"system": CONFIDENTIALITY}, Protection.UNKNOWN),
    ({"code": "strengtFortrolig"}, Protection.STRICTLY_CONFIDENTIAL),
    ({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}, Protection.OPEN),
])
def test_a_label_says_how_a_person_is_protected(label: dict[str, str], level: Protection) -> None:
    assert protection({"meta": {"security": [label]}}) is level


def test_the_strictest_of_several_labels_counts_and_no_resource_is_unknown() -> None:
    labels = [{"system": CONFIDENTIALITY, "code": c} for c in ("ugradert", "fortrolig", "strengtFortrolig")]
    assert protection({"meta": {"security": labels}}) is Protection.STRICTLY_CONFIDENTIAL
    assert protection(None) is Protection.UNKNOWN
    assert protection({}) is Protection.OPEN


@pytest.mark.parametrize("level", [Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL, Protection.UNKNOWN])
def test_a_protected_person_is_never_represented_and_represents_nobody(level: Protection) -> None:
    assert not may_see(relative(), replace(KARI, protection=level), Scope.SEE, NOW)
    assert not may_see(relative(protection=level), KARI, Scope.SEE, NOW)


@pytest.mark.parametrize("level", [Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL, Protection.UNKNOWN])
def test_a_protected_persons_own_page_tells_no_place(level: Protection) -> None:
    own, person = Reader("Patient/kari", Ground.SELF), replace(KARI, protection=level)
    assert shows(own, person, Information.VISIT, NOW)
    for told in (Information.DEPARTMENT, Information.PERFORMER, Information.ADDRESS):
        assert not shows(own, person, told, NOW)


def test_what_a_relative_may_see_is_the_table_of_the_fact_sheet() -> None:
    everything = relative(Mandate.of(consent(provision={"code": [{"coding": [{"code": s.value} for s in Scope]}]})))
    seen = {i for i in Information if shows(everything, KARI, i, NOW)}
    assert seen == {Information.VISIT, Information.DEPARTMENT, Information.PERFORMER, Information.MESSAGES}


def test_nobody_sees_address_or_notes_in_a_page() -> None:
    for reader in (Reader("Patient/kari", Ground.SELF), relative()):
        assert not shows(reader, KARI, Information.ADDRESS, NOW)
        assert not shows(reader, KARI, Information.NOTES, NOW)


def test_an_operator_sees_no_person_without_a_purpose_and_never_a_protected_one() -> None:
    operator = Reader("operator:drift", Ground.OPERATOR)
    assert not may_see(operator, KARI, Scope.SEE, NOW)
    assert may_see(replace(operator, purpose="feilsøking"), KARI, Scope.SEE, NOW)
    assert not may_see(replace(operator, purpose="feilsøking"), KARI, Scope.BOOK, NOW)
    assert not may_see(replace(operator, purpose="feilsøking"), replace(KARI, protection=Protection.UNKNOWN), Scope.SEE, NOW)


def test_a_vendor_sees_only_what_concerns_its_departments() -> None:
    vendor = Reader("adapter:visma-profil", Ground.VENDOR, departments=frozenset({"hjemmesykepleie"}))
    assert may_see(vendor, replace(KARI, departments=frozenset({"hjemmesykepleie", "dagsenter"})), Scope.SEE, NOW)
    assert not may_see(vendor, replace(KARI, departments=frozenset({"dagsenter"})), Scope.SEE, NOW)
    assert not may_see(vendor, KARI, Scope.SEE, NOW)
    assert not may_see(replace(vendor, departments=frozenset()), replace(KARI, departments=frozenset({"dagsenter"})), Scope.SEE, NOW)
    assert may_see(replace(vendor, departments=ALL_DEPARTMENTS), KARI, Scope.SEE, NOW)


def test_an_employee_books_for_a_person_with_a_purpose_and_never_for_a_protected_one() -> None:
    employee = Reader("staff:vakt", Ground.STAFF, purpose="bestille på vegne av")
    assert may_see(employee, KARI, Scope.BOOK, NOW) and not may_see(replace(employee, purpose=""), KARI, Scope.BOOK, NOW)
    assert not may_see(employee, KARI, Scope.READ_MESSAGES, NOW)
    for protection_ in set(Protection) - {Protection.OPEN}:
        assert not may_see(employee, replace(KARI, protection=protection_), Scope.BOOK, NOW)


persons = st.builds(Person, st.sampled_from(["Patient/kari", "Patient/per"]), st.sampled_from(Protection), st.none() | st.dates(),
                    st.frozensets(st.sampled_from(["a", "b"])))
times = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2050, 1, 1), timezones=st.just(UTC))
mandates = st.builds(Mandate, st.just("m"), st.sampled_from(["Patient/kari", "Patient/per", ""]),
                     st.frozensets(st.sampled_from(["RelatedPerson/ola", "RelatedPerson/eva"])), st.sampled_from(Ground),
                     st.frozensets(st.sampled_from(Scope)), st.none() | times, st.none() | times, st.booleans())
readers = st.builds(Reader, st.sampled_from(["Patient/kari", "RelatedPerson/ola", "operator:x", "adapter:x"]), st.sampled_from(Ground),
                    st.none() | mandates, st.sampled_from(Protection), st.frozensets(st.sampled_from(["a", "b"])), st.sampled_from(["", "p"]))


@given(readers, persons, st.sampled_from(Scope), times)
def test_nobody_without_ground_sees_anything(reader: Reader, person: Person, scope: Scope, now: datetime) -> None:
    if not may_see(reader, person, scope, now):
        assert not (scope is Scope.SEE and shows(reader, person, Information.VISIT, now))
        return
    mandate = reader.mandate
    own = reader.ground is Ground.SELF and reader.reference == person.reference
    represents = (
        mandate is not None and mandate.active and mandate.person == person.reference and reader.reference in mandate.holders
        and scope in mandate.scopes and (mandate.ends is None or now < mandate.ends) and (mandate.starts is None or mandate.starts <= now)
    )
    works = (reader.ground in (Ground.OPERATOR, Ground.STAFF) and reader.purpose != "") or (reader.ground is Ground.VENDOR and reader.departments != frozenset())
    answers = (
        reader.ground is Ground.SERVICE and scope in (Scope.READ_MESSAGES, Scope.WRITE_MESSAGES) and person.protection is Protection.OPEN
        and bool(reader.departments & person.departments or reader.departments == ALL_DEPARTMENTS)
    )
    assert own or represents or works or answers


def test_an_employee_reads_messages_of_their_own_departments_and_nothing_else_of_nobody_protected() -> None:
    """The right to answer messages opens no visit, and neither another department's messages nor a protected person's."""
    one = Person("Patient/1", Protection.OPEN, departments=frozenset({"a"}))
    staff = Reader("staff:x", Ground.SERVICE, departments=frozenset({"a"}))
    assert [scope for scope in Scope if may_see(staff, one, scope, NOW)] == [Scope.READ_MESSAGES, Scope.WRITE_MESSAGES]
    for other in (replace(one, departments=frozenset({"b"})), replace(one, protection=Protection.UNKNOWN), replace(one, departments=frozenset())):
        assert not any(may_see(staff, other, scope, NOW) for scope in Scope)


@given(readers, persons, st.sampled_from(Scope), times)
def test_protected_persons_are_never_represented(reader: Reader, person: Person, scope: Scope, now: datetime) -> None:
    if may_see(reader, person, scope, now) and reader.ground in (Ground.MANDATE, Ground.PARENT, Ground.GUARDIAN):
        assert person.protection is reader.protection is Protection.OPEN


@given(mandates, times, times)
def test_a_mandate_never_comes_back_once_it_has_ended(mandate: Mandate, first: datetime, second: datetime) -> None:
    early, late = sorted((first, second))
    if mandate.ends is not None and not early < mandate.ends:
        assert not mandate.holds(late)
