"""Summaries and comparisons of repeats equal scipy's, closed forms and their own duality."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from codewatt.analysis.log_scale_statistics import (
    holm,
    pooled_variance,
    relative_change,
    summarise,
    t_interval,
    welch,
    welch_from_moments,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)
positive = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=20)


@given(values)
def test_the_t_interval_is_scipys(sample: list[float]) -> None:
    low, high = t_interval(sample)
    scale = scipy_stats.sem(sample)
    if scale == 0:
        assert (low, high) == pytest.approx((np.mean(sample), np.mean(sample)))
        return
    want = scipy_stats.t.interval(0.95, len(sample) - 1, loc=np.mean(sample), scale=scale)
    assert (low, high) == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_a_summary_holds_the_hand_calculated_numbers() -> None:
    summary = summarise([10.0, 20.0, 40.0])
    assert (summary.n, summary.mean) == (3, pytest.approx(70 / 3))
    assert summary.sd == pytest.approx(math.sqrt(700 / 3))
    assert summary.geomean == pytest.approx(20)
    # The logarithms are ln 20 - ln 2, ln 20, ln 20 + ln 2; t(2; 0.975) is 4.303 in printed tables.
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)
    assert summary.ci95 == pytest.approx((20 * math.exp(-half), 20 * math.exp(half)))
    assert summary.sd_band == pytest.approx((20 / 2**1.96, 20 * 2**1.96))


@given(positive)
def test_a_summary_is_scipys_on_logarithms(sample: list[float]) -> None:
    summary = summarise(sample)
    assert summary.geomean == pytest.approx(scipy_stats.gmean(sample))
    scale = scipy_stats.sem(np.log(sample))
    assume(scale > 1e-9)
    want = scipy_stats.t.interval(0.95, len(sample) - 1, loc=np.mean(np.log(sample)), scale=scale)
    assume(want[1] < 600)
    assert summary.ci95 == pytest.approx(tuple(np.exp(want)), rel=1e-6)


def test_no_spread_between_repeats_gives_an_energy_below_zero() -> None:
    low, high = summarise([87.0, 1277.0, 2245.0]).ci95
    assert 0 < low < 87
    assert high > 2245


@pytest.mark.parametrize("sample", [[0.0, 1.0, 2.0], [-1.0, 1.0, 2.0]])
def test_values_that_are_not_positive_have_no_geometric_mean(sample: list[float]) -> None:
    summary = summarise(sample)
    assert summary.mean is not None
    assert summary.geomean is summary.ci95 is summary.sd_band is None


def test_absent_values_are_left_out_and_not_taken_for_zero() -> None:
    assert summarise([None, 4.0, None, 6.0]).mean == 5.0
    assert summarise([None, None]) == summarise([])
    assert summarise([]).mean is None


def test_one_run_has_a_mean_and_no_interval() -> None:
    summary = summarise([7.0])
    assert (summary.n, summary.mean, summary.geomean) == (1, 7.0, pytest.approx(7.0))
    assert summary.sd is summary.ci95 is summary.sd_band is None


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        summarise([1.0, float("nan")])


def test_a_change_is_a_fraction_of_a_positive_baseline() -> None:
    assert relative_change(75.0, 100.0) == -0.25
    assert relative_change(None, 100.0) is None
    assert relative_change(75.0, None) is None
    assert relative_change(75.0, 0.0) is None
    assert relative_change(75.0, -1.0) is None


samples = st.lists(st.floats(0, 1000), min_size=2, max_size=8)


@given(samples, samples)
def test_welchs_test_is_scipys(first: list[float], second: list[float]) -> None:
    assume(min(np.std(first), np.std(second)) > 1e-3)
    ours = welch(first, second)
    theirs = scipy_stats.ttest_ind(second, first, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert ours is not None
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert ours.interval() == (pytest.approx(low), pytest.approx(high))
    moments = [(float(np.mean(x)), float(np.std(x, ddof=1)), len(x)) for x in (first, second)]
    assert welch_from_moments(*moments).p == pytest.approx(ours.p, rel=1e-6)


@given(st.floats(0, 1000), samples)
def test_a_single_value_takes_the_others_variance(alone: float, others: list[float]) -> None:
    assume(np.std(others) > 1e-3)
    ours = pooled_variance([alone], others)
    theirs = scipy_stats.ttest_ind(others, [alone], equal_var=True)
    low, high = theirs.confidence_interval(0.95)
    assert ours is not None
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert ours.interval() == (pytest.approx(low), pytest.approx(high))


@given(samples, samples, st.floats(0, 10))
def test_an_allowance_widens_the_interval_and_the_test_alike(
    first: list[float], second: list[float], allowance: float
) -> None:
    assume(min(np.std(first), np.std(second)) > 1e-3)
    plain, allowed = welch(first, second), welch(first, second, allowance)
    assert plain is not None
    assert allowed is not None
    low, high = plain.interval()
    assert allowed.interval() == pytest.approx((low - allowance, high + allowance))
    low, high = allowed.interval()
    assume(min(abs(low), abs(high)) > 1e-9)
    assert (allowed.p < 0.05) == (low > 0 or high < 0)


@given(samples, samples, st.floats(0.1, 100))
def test_equivalence_is_the_inclusion_of_the_90_percent_interval(
    first: list[float], second: list[float], margin: float
) -> None:
    assume(min(np.std(first), np.std(second)) > 1e-3)
    apart = welch(first, second)
    assert apart is not None
    low, high = apart.interval(0.9)
    assume(min(abs(low + margin), abs(high - margin)) > 1e-9)
    p = apart.equivalence_p(-margin, margin)
    assert (p < 0.05) == (-margin < low and high < margin)


def test_constants_are_equal_or_they_are_not() -> None:
    same, other = welch([1.0, 1.0], [1.0, 1.0]), welch([1.0, 1.0], [2.0, 2.0])
    assert same is not None
    assert other is not None
    assert (same.value, same.interval(), same.p) == (0.0, (0.0, 0.0), 1.0)
    assert (other.value, other.interval(), other.p) == (1.0, (1.0, 1.0), 0.0)
    assert (same.equivalence_p(-0.1, 0.1), other.equivalence_p(-0.1, 0.1)) == (0.0, 1.0)
    assert welch([1.0], [1.0, 2.0]) is None
    assert pooled_variance([1.0], [1.0]) is pooled_variance([], [1.0, 2.0]) is None


def test_holms_adjustment_is_the_published_example() -> None:
    # Holm 1979, by hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
