"""A department's settings as plain text and back: what is read is what was written, and what is wrong is named."""

from __future__ import annotations

import pytest
from booking_world import service
from hypothesis import given
from hypothesis import strategies as st

from hub.booking import Asker, Department
from hub.booking.opening import DAYS
from hub.booking.settings import ALL_DAY, NUMBERS, SHORT, changed, form_of
from hub.problem import Problem, Refused

FORM = {
    "capacity": "4", "slot-minutes": "15", "visit-minutes": "30", "buffer-minutes": "10", "horizon-days": "21", "notice-minutes": "60",
    "move-minutes": "1440", "cancel-minutes": "720", "answer-hours": "4", "offer-minutes": "90", "message-days": "3", "aapent.mon": "08:00–12:00, 13:00–15:30", "aapent.tue": "hele dagen",
    "aapent.wed": "", "aapent.thu": "22:00–06:00", "aapent.fri": "08:00-15:30", "aapent.sat": "", "aapent.sun": "",
    "stengt": "2026-12-24 – 2026-12-26 Julestengt\n2027-01-01", "ekstra": "2026-12-27 10:00–14:00",
    "bemanning": "2: man tir 08:00–10:00 2026-12-01 – 2026-12-31\n1: lør", "hvem": "person staff", "aktiv": "ja",
    "emner": "Tidspunkt for besøk\nBeskjed til den som kommer",
}


def test_what_is_written_is_what_the_rules_read() -> None:
    department = Department.of(changed(service(), FORM))
    numbers = {name: str(getattr(department, name.replace("-", "_"))) for name in NUMBERS}
    assert numbers == {name: FORM[name] for name in NUMBERS}
    assert department.askers == {Asker.PERSON, Asker.STAFF} and department.active
    assert [len([o for o in department.openings if o.only is None and n in o.days]) for n in range(7)] == [2, 1, 0, 1, 1, 0, 0]
    assert department.topics == ("Tidspunkt for besøk", "Beskjed til den som kommer") and department.message_days == 3
    assert len(department.closures) == 2 and [s.capacity for s in department.staffing] == [2, 1]


def test_the_form_of_a_change_is_the_change() -> None:
    shown = form_of(changed(service(), FORM))
    assert shown == {**FORM, "lengder": "", "helligdager": "as-usual", "aapent.fri": "08:00–15:30", "stengt": "2026-12-24 – 2026-12-26 Julestengt\n2027-01-01 Stengt"}
    assert form_of(changed(service(), shown)) == shown


hours = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
spans = st.tuples(hours, hours).map("–".join)
dates = st.dates().filter(lambda d: 1900 < d.year < 2200).map(lambda d: d.isoformat())
staffing = st.builds(
    lambda n, days, span, day: " ".join(p for p in (f"{n}:", " ".join(d for d in SHORT if d in days), span, day) if p),
    st.integers(0, 500), st.sets(st.sampled_from(list(SHORT))), st.just("") | spans, st.just("") | dates,
)


@given(
    st.fixed_dictionaries({name: st.integers(*limits).map(str) for name, limits in NUMBERS.items()}),
    st.fixed_dictionaries({f"aapent.{d}": st.just("") | st.just(ALL_DAY) | st.lists(spans, min_size=1, max_size=3).map(", ".join) for d in DAYS}),
    st.lists(staffing, max_size=4).map("\n".join), st.sets(st.sampled_from(list(Asker))).map(lambda s: " ".join(sorted(s))),
)
def test_any_right_form_comes_back_as_it_was(numbers: dict[str, str], openings: dict[str, str], staff: str, who: str) -> None:
    form = {**numbers, **openings, "stengt": "", "ekstra": "", "bemanning": staff, "hvem": who, "aktiv": "ja"}
    once = form_of(changed(service(), form))
    assert {k: once[k] for k in (*numbers, *openings, "hvem")} == {k: form[k] for k in (*numbers, *openings, "hvem")}
    assert form_of(changed(service(), once)) == once


@pytest.mark.parametrize(("field", "text"), [
    ("emner", "x" * 61), ("emner", "\n".join(f"Emne {n}" for n in range(13))),
    ("capacity", "-1"), ("capacity", "501"), ("capacity", ""), ("horizon-days", "fjorten"), ("slot-minutes", "1"), ("aapent.mon", "8-16"),
    ("aapent.mon", "08:00–25:00"), ("stengt", "julaften"), ("stengt", "2026-13-01"), ("stengt", "2026-12-26 – 2026-12-24"),
    ("ekstra", "2026-12-27"), ("ekstra", "2026-12-27 – 2026-12-28 10:00–11:00"), ("bemanning", "fire: man"), ("bemanning", "4: monday"),
    ("bemanning", "9999: man"), ("bemanning", "4: man 08:00–99:00"),
])
def test_what_is_wrong_is_named_with_its_field(field: str, text: str) -> None:
    with pytest.raises(Refused) as caught:
        changed(service(), {**FORM, field: text})
    assert caught.value.problem is Problem.INVALID and caught.value.where == field and caught.value.detail


@given(st.dictionaries(st.sampled_from([*FORM]), st.text(max_size=40)))
def test_no_text_breaks_it(form: dict[str, str]) -> None:
    try:
        form_of(changed(service(), {**FORM, **form}))
    except Refused as refused:
        assert refused.problem is Problem.INVALID
