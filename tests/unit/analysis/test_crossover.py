"""Crossovers are where a known curve crosses, and their intervals hold it as often as they say."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from codewatt.analysis.crossover import MeasuredChange, find_crossovers


def point(at: float, y: float, half: float, p: float = 0.001) -> MeasuredChange:
    """A change with log ratio y and an interval of y +- half."""
    ends = (math.expm1(y - half), math.expm1(y + half))
    return MeasuredChange(at, math.expm1(y), *ends, p)


def test_a_straight_line_is_crossed_where_it_is_zero() -> None:
    # log ratio = 0.1 * log2(batch size / 8), from -0.3 to 0.1
    points = [point(2.0**k, 0.1 * (k - 3), 0.01) for k in (4, 0, 2)]
    (found,) = find_crossovers(points)
    assert found.at == pytest.approx(8.0, rel=1e-12)
    assert 4 < found.low < 8 < found.high < 16


def test_the_ends_are_where_the_interpolated_value_differs_from_zero() -> None:
    left, right, h0, h1 = -0.2, 0.35, 0.11, 0.06
    (found,) = find_crossovers([point(3, left, h0), point(40, right, h1)])

    def excess(size: float) -> float:
        s = math.log(size / 3) / math.log(40 / 3)
        width = math.hypot((1 - s) * h0, s * h1)
        return abs((1 - s) * left + s * right) - width

    assert found.low == pytest.approx(optimize.brentq(excess, 3, found.at), rel=1e-9)
    assert found.high == pytest.approx(optimize.brentq(excess, found.at, 40), rel=1e-9)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    truth = (-0.25, 0.15)
    sd = 0.03
    half = stats.norm.ppf(0.975) * sd
    at = 0.25 / 0.4
    held = made = 0
    for y0, y1 in draw.normal(truth, sd, (4000, 2)):
        found = find_crossovers([point(1, y0, half), point(math.e, y1, half)])
        made += len(found)
        held += sum(math.log(one.low) <= at <= math.log(one.high) for one in found)
    assert made > 3990, "both changes are significant in nearly all draws"
    assert 0.94 < held / made < 0.96


@pytest.mark.parametrize(
    "points",
    [
        [point(1, -0.2, 0.05), point(2, 0.02, 0.05)],  # the second interval holds 0
        [point(1, -0.2, 0.05), point(2, 0.2, 0.05, p=0.2)],  # not after adjustment
        [point(1, -0.2, 0.05), point(2, 0.2, 0.05), point(1.5, 0.0, 0.05)],  # not neighbours
        [point(1, -0.2, 0.05), point(2, -0.1, 0.05)],
        [point(1, -0.2, 0.05), MeasuredChange(2, 0.3, None, None, None)],
        [point(1, -0.2, 0.05)],
        [],
    ],
)
def test_without_significant_changes_of_opposite_sign_there_is_none(
    points: list[MeasuredChange],
) -> None:
    assert find_crossovers(points) == []


def test_a_saving_that_begins_and_ends_has_two() -> None:
    found = find_crossovers([point(1, 0.2, 0.01), point(4, -0.2, 0.01), point(16, 0.2, 0.01)])
    assert [one.at for one in found] == pytest.approx([2.0, 8.0])
