"""Norwegian national identity numbers by both rules."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.booking.national_id import Rule, check_digits, holds, is_d_number, is_synthetic, synthetic_numbers, valid

born = st.dates(date(1940, 1, 1), date(2039, 12, 31))


@pytest.mark.spec("facts/ebxml", "10")
@pytest.mark.spec("facts/planning", "4.1")
@pytest.mark.parametrize(("number", "today"), [("02013299997", True), ("30108299920", True), ("30108299939", False)])
def test_the_published_numbers_hold_by_the_right_rule(number: str, today: bool) -> None:
    by_today, by_2032 = holds(number, Rule.TODAY), holds(number, Rule.FROM_2032)
    assert by_2032 and valid(number) and by_today is today


@pytest.mark.spec("facts/planning", "4.1")
def test_as_many_numbers_exist_for_one_date_as_were_counted() -> None:
    nines = [f"301082{individual:03}" for individual in range(1000)]
    assert sum(len(check_digits(n)) for n in nines) == 827
    assert sum(len(check_digits(n, Rule.FROM_2032)) for n in nines) == 3306


@given(born)
def test_synthetic_numbers_are_valid_and_bear_no_real_month(day: date) -> None:
    numbers = [number for number, _ in zip(synthetic_numbers(day), range(40), strict=False)]
    assert len(numbers) == 40
    for number in numbers:
        assert holds(number, Rule.TODAY) and is_synthetic(number) and not is_d_number(number)
        assert 81 <= int(number[2:4]) <= 92 and int(number[:2]) == day.day


@given(born, st.integers(0, 9), st.integers(0, 10))
def test_one_wrong_digit_never_passes_todays_rule(day: date, digit: int, place: int) -> None:
    number = next(synthetic_numbers(day))
    wrong = number[:place] + str(digit) + number[place + 1:]
    assert holds(wrong, Rule.TODAY) is (wrong == number)


def test_numbers_of_other_kinds_are_told_apart() -> None:
    assert is_synthetic("19779998080"), "month + 65, a published example of Norsk Helsenett"
    assert not is_synthetic("30108299920")
    d_number = next(n for n in (f"{nine}{k}" for nine in (f"70108{i:04}" for i in range(5000, 5400)) for k in check_digits(nine)))
    assert is_d_number(d_number) and not is_d_number("30108299920")


@given(st.text(max_size=12))
def test_anything_else_is_no_number(text: str) -> None:
    assert not valid(text) or (len(text) == 11 and text.isascii() and text.isdecimal())


@pytest.mark.parametrize("number", ["", "3010829992", "301082999200", "3010829992\u0660", "00000000000", "32818000000", "31828012345"])
def test_impossible_days_and_shapes_are_refused(number: str) -> None:
    assert not valid(number)
