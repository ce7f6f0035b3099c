"""Where a variant stops saving energy: crossovers between measured points of a scale."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEVEL = 0.05


@dataclass(frozen=True)
class MeasuredChange:
    """A variant's change against the baseline at one point of a scale.

    Attributes:
        at: batch size, number of parameters, or another positive size.
        change: x / baseline - 1.
        low, high: ends of its 95 % confidence interval; None without one.
        p: adjusted p value of the change; None if it was not tested.
    """

    at: float
    change: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def sign(self) -> int:
        """-1 for a significant saving, 1 for a significant increase, else 0.

        Significant: the 95 % interval does not hold 0, and the adjusted p is below 0.05.
        """
        if self.low is None or self.high is None or self.p is None or self.p >= _LEVEL:
            return 0
        return -1 if self.high < 0 else 1 if self.low > 0 else 0


@dataclass(frozen=True)
class Crossover:
    """The size at which the change is 0, with its 95 % interval."""

    at: float
    low: float
    high: float


def find_crossovers(points: Sequence[MeasuredChange]) -> list[Crossover]:
    """The crossovers between neighbouring points with significant changes of opposite sign.

    The logarithm of x / baseline is interpolated linearly on the logarithm of the size. The
    interval holds all places where the interpolated value does not differ from 0, given the 95 %
    intervals of the two independent changes (Fieller 1954, "Some problems in interval
    estimation").

    Args:
        points: changes of one variant, at different sizes.
    """
    ordered = sorted(points, key=lambda point: point.at)
    return [
        _between(left, right)
        for left, right in itertools.pairwise(ordered)
        if left.sign * right.sign < 0
    ]


def _between(left: MeasuredChange, right: MeasuredChange) -> Crossover:
    """The crossover of two points.

    With y(s) = (1 - s) y0 + s y1 and the half-width h(s)² = (1 - s)² h0² + s² h1², the ends are the
    two s where y(s)² = h(s)². Both lie between 0 and 1, as |y0| > h0 and |y1| > h1.
    """
    y0, y1 = math.log1p(left.change), math.log1p(right.change)
    h0, h1 = _half_width(left), _half_width(right)
    # a s² + 2 b s + c = 0
    a = (y1 - y0) ** 2 - h0**2 - h1**2
    b = y0 * (y1 - y0) + h0**2
    c = y0**2 - h0**2
    root = math.sqrt(max(b * b - a * c, 0.0))
    ends = sorted((-b + sign * root) / a for sign in (-1, 1))
    span = math.log(right.at / left.at)
    at, low, high = (left.at * math.exp(share * span) for share in (y0 / (y0 - y1), *ends))
    return Crossover(at, low, high)


def _half_width(point: MeasuredChange) -> float:
    """Half the width of the interval on the log scale, of its wider side."""
    y = math.log1p(point.change)
    assert point.low is not None  # sign is 0 without an interval
    assert point.high is not None
    return max(y - math.log1p(point.low), math.log1p(point.high) - y)
