"""Printed numbers stand for the values that round to them; intervals contain all results."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.published.printed_number import Interval, PrintedNumber


@pytest.mark.parametrize(
    ("text", "value", "low", "high"),
    [
        ("0.08", "0.08", "0.075", "0.085"),
        ("253.00", "253", "252.995", "253.005"),
        ("-0.0029", "-0.0029", "-0.00295", "-0.00285"),
        ("64.8%", "64.8", "64.75", "64.85"),
        ("3,584", "3584", "3583.5", "3584.5"),
        ("2.71e-05", "0.0000271", "0.00002705", "0.00002715"),
        ("3.58e12", "3580000000000", "3575000000000", "3585000000000"),
        ("7B", "7000000000", "6500000000", "7500000000"),
        ("< 0.001", "0.001", "0", "0.001"),
        ("< .001", "0.001", "0", "0.001"),
    ],
)
def test_a_printed_number_stands_for_what_rounds_to_it(
    text: str, value: str, low: str, high: str
) -> None:
    number = PrintedNumber.parse(text)
    assert number.value == Fraction(Decimal(value))
    assert (number.rounded.low, number.rounded.high) == (Fraction(low), Fraction(high))


@pytest.mark.parametrize("text", ["", "much", "1.2.3", "> 0.5", "12 min", "nan"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a printed number, found"):
        PrintedNumber.parse(text)


@given(st.decimals(min_value=-1000, max_value=1000, places=6), st.integers(0, 4))
def test_the_interval_contains_every_number_that_rounds_to_the_text(
    exact: Decimal, places: int
) -> None:
    text = str(round(exact, places))
    assert PrintedNumber.parse(text).rounded.contains(Fraction(exact))


_ends = st.tuples(*[st.fractions(-50, 50, max_denominator=100)] * 2).map(sorted)
_share = st.fractions(0, 1, max_denominator=20)


@given(_ends, _ends, _share, _share)
def test_results_of_numbers_inside_are_inside(
    left: list[Fraction], right: list[Fraction], at: Fraction, other: Fraction
) -> None:
    first, second = Interval(*left), Interval(*right)
    x = first.low + at * (first.high - first.low)
    y = second.low + other * (second.high - second.low)
    assert (first + second).contains(x + y)
    assert (first - second).contains(x - y)
    assert (first * second).contains(x * y)
    if not second.contains(Fraction(0)):
        assert (first / second).contains(x / y)
        assert (first / second).low in {a / b for a in left for b in right}


def test_division_by_an_interval_with_zero_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        Interval.exactly(1) / Interval(Fraction(-1), Fraction(1))


def test_intervals_that_touch_overlap() -> None:
    assert PrintedNumber.parse("0.1").rounded.overlaps(PrintedNumber.parse("0.2").rounded)
    assert not PrintedNumber.parse("0.10").rounded.overlaps(PrintedNumber.parse("0.2").rounded)
