"""Printed numbers of a publication as exact intervals: what a rounded number can stand for.

A number that is printed as 0.08 stands for any value from 0.075 to 0.085. Figures that follow from
printed numbers are computed with these intervals, so that rounding is never taken for an error.
Both ends belong to an interval, because the publication's rule for halves is unknown.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

_NUMBER = re.compile(
    r"(?P<below>< ?)?(?P<digits>-?\d*\.?\d+)(?P<exponent>e[+-]?\d+)?(?P<unit>[%B])?"
)
#: Meaning of a unit that is printed with the number; a per cent sign is the table's unit.
_FACTORS = {"%": 1, "B": 10**9}


@dataclass(frozen=True)
class Interval:
    """Exact interval of real numbers, with both ends.

    Operators give the interval of all results. They treat the operands as independent.

    Attributes:
        low, high: the ends; low <= high.
    """

    low: Fraction
    high: Fraction

    @classmethod
    def exactly(cls, value: int | Fraction) -> "Interval":
        """The interval of a single number."""
        return cls(Fraction(value), Fraction(value))

    def __add__(self, other: "Interval | int") -> "Interval":
        right = _interval(other)
        return Interval(self.low + right.low, self.high + right.high)

    def __sub__(self, other: "Interval | int") -> "Interval":
        right = _interval(other)
        return Interval(self.low - right.high, self.high - right.low)

    def __mul__(self, other: "Interval | int | Fraction") -> "Interval":
        right = _interval(other)
        ends = [left * end for left in (self.low, self.high) for end in (right.low, right.high)]
        return Interval(min(ends), max(ends))

    def __truediv__(self, other: "Interval | int") -> "Interval":
        """Quotient.

        Raises:
            ZeroDivisionError: the divisor contains 0.
        """
        right = _interval(other)
        if right.low <= 0 <= right.high:
            raise ZeroDivisionError("the divisor contains 0")
        return self * Interval(1 / right.high, 1 / right.low)

    @property
    def middle(self) -> Fraction:
        """The mean of both ends."""
        return (self.low + self.high) / 2

    def overlaps(self, other: "Interval") -> bool:
        """Whether a number lies in both intervals."""
        return self.low <= other.high and other.low <= self.high

    def contains(self, value: float | Fraction) -> bool:
        """Whether a number lies in the interval."""
        return self.low <= value <= self.high

    def mapped(self, function: Callable[[float], float]) -> "Interval":
        """The image under a monotone function, computed in floating point."""
        ends = [Fraction(function(float(end))) for end in (self.low, self.high)]
        return Interval(min(ends), max(ends))


@dataclass(frozen=True)
class PrintedNumber:
    """A number as it is printed.

    Attributes:
        text: the printed text, such as "0.08", "< 0.001", "3,584", "64.8%", "2.71e-05" or "7B".
        value: the printed number itself; of "< 0.001" the limit.
        rounded: the values that it can stand for, rounded to its last digit; of "< 0.001" all
            values from 0 to the limit.
    """

    text: str
    value: Fraction
    rounded: Interval

    @classmethod
    def parse(cls, text: str) -> "PrintedNumber":
        """Read a printed number.

        Raises:
            ValueError: the text is none.
        """
        match = _NUMBER.fullmatch(text.replace(",", ""))
        if match is None:
            raise ValueError(f"expected a printed number, found {text!r}")
        scale = Fraction(_FACTORS.get(match["unit"], 1)) * Fraction(f"1{match['exponent'] or ''}")
        value = Fraction(match["digits"]) * scale
        if match["below"]:
            return cls(text, value, Interval(Fraction(0), value))
        decimals = len(match["digits"].partition(".")[2])
        half = scale / (2 * 10**decimals)
        return cls(text, value, Interval(value - half, value + half))

    def __float__(self) -> float:
        return float(self.value)


def _interval(value: "Interval | int | Fraction") -> Interval:
    return value if isinstance(value, Interval) else Interval.exactly(value)
