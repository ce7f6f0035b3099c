"""Joules from readings: exact where they must be, absent where readings allow none."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from codewatt.energy.integration import Series

_KINDS = [Series.counter, Series.power]


@st.composite
def readings(draw: st.DrawFn) -> tuple[Any, Any]:
    """(times, powers): irregular times over 10 s and more, powers up to 1 kW."""
    count = draw(st.integers(20, 60))
    gaps = draw(arrays(np.float64, count, elements=st.floats(0.5, 1.5)))
    watts = draw(arrays(np.float64, count, elements=st.floats(0, 1000)))
    return 100 + np.cumsum(gaps), watts


def as_series(kind: Any, t_s: Any, watts: Any) -> Series:
    """Power samples, or the counter of a machine that drew them stepwise."""
    if kind == Series.power:
        return Series.power(t_s, watts)
    return Series.counter(t_s, np.concatenate(([0.0], np.cumsum(watts[1:] * np.diff(t_s)))))


@pytest.mark.parametrize("kind", _KINDS)
@settings(max_examples=50)
@given(data=readings(), cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_adjacent_windows_add_up(kind: Any, data: Any, cuts: list[float]) -> None:
    t_s, watts = data
    series = as_series(kind, t_s, watts)
    a, b, c = sorted(t_s[0] + cut * (t_s[-1] - t_s[0]) for cut in cuts)
    whole, first, second = (series.window(*edge).energy_j for edge in ((a, c), (a, b), (b, c)))
    if None not in (whole, first, second):
        assert first + second == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("kind", _KINDS)
@settings(max_examples=50)
@given(
    data=readings(),
    power=st.floats(0.1, 1000),
    cuts=st.tuples(st.floats(0, 0.4), st.floats(0.6, 1)),
)
def test_constant_power_is_power_times_time(kind: Any, data: Any, power: float, cuts: Any) -> None:
    t_s = data[0]
    series = as_series(kind, t_s, np.full(len(t_s), power))
    start_s, end_s = (t_s[0] + cut * (t_s[-1] - t_s[0]) for cut in cuts)
    assert series.window(start_s, end_s).energy_j == pytest.approx(power * (end_s - start_s))


@pytest.mark.parametrize("kind", _KINDS)
@settings(max_examples=50)
@given(data=readings(), cuts=st.tuples(st.floats(0, 0.3), st.floats(0.5, 0.7), st.floats(0.7, 1)))
def test_a_longer_window_never_holds_less(kind: Any, data: Any, cuts: Any) -> None:
    t_s, watts = data
    series = as_series(kind, t_s, watts)
    start_s, shorter_s, longer_s = (t_s[0] + cut * (t_s[-1] - t_s[0]) for cut in cuts)
    short, long = (series.window(start_s, end_s).energy_j for end_s in (shorter_s, longer_s))
    assert 0 <= short <= long + 1e-9


def test_a_counter_is_linear_between_its_readings() -> None:
    series = Series.counter(np.array([0.0, 1.0, 2.0]), np.array([0.0, 100.0, 400.0]))
    assert series.window(0.5, 1.5).energy_j == pytest.approx(200.0)


def test_samples_are_interpolated_at_the_edges() -> None:
    series = Series.power(np.array([0.0, 1.0, 2.0]), np.array([0.0, 100.0, 100.0]))
    # 0.5 s rising from 50 W to 100 W, then 0.5 s at 100 W
    assert series.window(0.5, 1.5).energy_j == pytest.approx(37.5 + 50.0)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize(
    ("start_s", "end_s", "reason"),
    [
        (-0.5, 1.5, "do not cover"),
        (0.5, 10.5, "do not cover"),
        (20.0, 30.0, "do not cover"),
        (0.5, 1.2, "0.700 s is shorter than the time between readings, 1.000 s"),
    ],
)
def test_no_figure_without_readings_for_it(
    kind: Any, start_s: float, end_s: float, reason: str
) -> None:
    series = kind(np.arange(10.0), np.arange(10.0))
    found = series.window(start_s, end_s)
    assert found.energy_j is None
    assert reason in (found.reason or "")


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("count", [0, 1])
def test_one_reading_is_none(kind: Any, count: int) -> None:
    series = kind(np.arange(float(count)), np.ones(count))
    assert series.window(0.0, 0.0).reason == "fewer than two readings"


def test_a_counter_that_goes_back_has_no_figure_there_and_has_one_elsewhere() -> None:
    series = Series.counter(np.arange(8.0), np.array([0, 10, 20, 30, 5, 15, 25, 35.0]))
    assert series.window(0.0, 3.0).energy_j == pytest.approx(30.0)
    assert series.window(4.0, 7.0).energy_j == pytest.approx(30.0)
    for edges in ((0.0, 7.0), (3.2, 4.2), (2.5, 3.6)):
        assert "went backwards" in (series.window(*edges).reason or "")


def test_a_gap_is_told_even_where_it_reaches_over_an_edge() -> None:
    series = Series.power(np.array([0.0, 1.0, 2.0, 7.0, 8.0, 9.0]), np.ones(6))
    assert series.window(0.0, 2.0).max_gap_s == 1.0
    assert series.window(0.0, 4.0).max_gap_s == 5.0
    assert series.window(3.0, 5.0).readings == 0


@settings(max_examples=100)
@given(data=readings(), cuts=st.tuples(st.floats(0, 0.3), st.floats(0.6, 1)), draw=st.data())
def test_a_counters_bound_holds_whatever_happened_between_its_readings(
    data: Any, cuts: Any, draw: st.DataObject
) -> None:
    """The true energy is any function that never falls and meets the counter at its readings."""
    t_s, watts = data
    series = as_series(Series.counter, t_s, watts)
    start_s, end_s = (t_s[0] + cut * (t_s[-1] - t_s[0]) for cut in cuts)
    found = series.window(start_s, end_s)
    true_j = 0.0
    for sign, at in ((-1, start_s), (1, end_s)):
        left = max(int(np.searchsorted(t_s, at, side="right")) - 1, 0)
        right = min(left + 1, len(t_s) - 1)
        low, high = series.cumulative_j[left], series.cumulative_j[right]
        if at == t_s[left]:
            high = low
        elif at == t_s[right]:
            low = high
        true_j += sign * (low + draw.draw(st.floats(0, 1)) * (high - low))
    assert abs(found.energy_j - true_j) <= found.uncertainty_j + 1e-6


def test_the_edges_of_samples_are_bounded_by_the_jump_between_them() -> None:
    series = Series.power(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 100.0, 100.0, 100.0]))
    assert series.window(0.25, 2.5).uncertainty_j == pytest.approx(25.0)
    assert series.window(1.0, 2.5).uncertainty_j == 0.0


def test_a_reading_whose_time_is_uncertain_widens_the_bound() -> None:
    t_s, joules = np.arange(5.0), np.arange(5.0) * 300
    sharp = Series.counter(t_s, joules).window(1.0, 3.0)
    blurred = Series.counter(t_s, joules, jitter_s=0.01).window(1.0, 3.0)
    # 0.01 s at 300 J in as little as 0.98 s, at each edge
    assert (sharp.uncertainty_j, blurred.uncertainty_j) == (0.0, pytest.approx(6.0 / 0.98))
