"""The statistics equal known values, scipy's own, and their defining properties."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from codewatt.analysis.stats import (
    Difference,
    holm,
    mcnemar_p,
    overlap,
    paired_interval,
    relative_change,
    summarise,
    t_interval,
    welch,
    wilson_interval,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


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
    summary = summarise([10.0, 12.0, 14.0])
    assert (summary.n, summary.mean, summary.sd) == (3, 12.0, 2.0)
    half = 4.302652729911275 * 2 / math.sqrt(3)  # t(2; 0.975), from the printed tables 4.303
    assert summary.ci95 == pytest.approx((12 - half, 12 + half))
    assert summary.sd196 == pytest.approx((12 - 3.92, 12 + 3.92))


def test_absent_values_are_left_out_and_not_taken_for_zero() -> None:
    assert summarise([None, 4.0, None, 6.0]).mean == 5.0
    assert summarise([None, None]) == summarise([])
    assert summarise([]).mean is None


def test_one_run_has_a_mean_and_no_interval() -> None:
    summary = summarise([7.0])
    assert (summary.n, summary.mean) == (1, 7.0)
    assert summary.sd is summary.ci95 is summary.sd196 is None


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        summarise([1.0, float("nan")])


def test_wilson_equals_the_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilson_equals_scipys(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    want = scipy_stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((want.low, want.high), abs=1e-9)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_lies_in_the_unit_interval_around_the_share(trials: int, share: float) -> None:
    low, high = wilson_interval(share * trials, trials)
    assert 0 <= low <= share * trials / trials <= high <= 1
    assert high > low


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson_interval(successes, trials)


def test_a_change_is_a_fraction_of_the_baseline() -> None:
    assert relative_change(75.0, 100.0) == -0.25
    assert relative_change(None, 100.0) is None
    assert relative_change(75.0, None) is None
    assert relative_change(75.0, 0.0) is None


def test_intervals_that_touch_overlap() -> None:
    assert overlap((0.0, 1.0), (1.0, 2.0)) is True
    assert overlap((0.0, 1.0), (1.1, 2.0)) is False
    assert overlap(None, (1.0, 2.0)) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    if lost + gained == 0:
        assert mcnemar_p(lost, gained) == 1.0
        return
    want = scipy_stats.binomtest(lost, lost + gained).pvalue
    assert mcnemar_p(lost, gained) == pytest.approx(want, rel=1e-9)


#: Newcombe 1998, Statistics in Medicine 17:2635-2650, table III, method 10: (both, first, second,
#: neither), and the limits of the difference as printed.
TABLE_III = [
    ((36, 12, 2, 0), (0.0569, 0.3404)),
    ((20, 12, 2, 16), (0.0562, 0.3292)),
    ((18, 12, 2, 18), (0.0562, 0.3290)),
    ((36, 14, 0, 0), (0.1528, 0.4167)),
    ((35, 14, 0, 1), (0.1461, 0.4175)),
    ((18, 14, 0, 18), (0.1441, 0.3963)),
    ((2, 97, 1, 0), (0.8721, 0.9854)),
    ((1, 97, 1, 1), (0.8736, 0.9850)),
    ((0, 29, 1, 0), (0.6666, 0.9882)),
    ((2, 98, 0, 0), (0.9178, 0.9945)),
    ((1, 98, 0, 1), (0.9171, 0.9916)),
    ((0, 30, 0, 0), (0.8395, 1.0)),
    ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ((53, 0, 0, 1), (-0.0729, 0.0729)),
    ((30, 0, 0, 24), (-0.0358, 0.0358)),
    ((29, 0, 0, 25), (-0.0354, 0.0354)),
    ((28, 0, 0, 26), (-0.0352, 0.0352)),
    ((27, 0, 0, 27), (-0.0351, 0.0351)),
    # Fagerland, Lydersen and Laake 2017, "Statistical Analysis of Contingency Tables", chapter 8,
    # complete response before and after consolidation therapy.
    ((59, 6, 16, 80), (-0.1186, -0.0046)),
]


@pytest.mark.parametrize(("counts", "limits"), TABLE_III)
def test_the_paired_interval_is_the_published_one(
    counts: tuple[int, int, int, int], limits: tuple[float, float]
) -> None:
    # To a unit of the last digit printed: one of these limits, 0.8736, is 0.87367 when computed.
    assert paired_interval(*counts) == pytest.approx(limits, abs=1e-4)


def test_outcomes_that_go_against_each_other_are_not_corrected() -> None:
    # By hand: 5 · 5 - 20 · 20 = -375 stays, phi = -375 / 625 = -0.6; both shares are 1/2, so
    # p - l = u - p = d and the half-width is d · sqrt(2 + 1.2).
    low, high = wilson_interval(25, 50)
    half = (high - low) / 2 * math.sqrt(3.2)
    assert paired_interval(5, 20, 20, 5) == pytest.approx((-half, half))


counts = st.tuples(*[st.integers(0, 80)] * 4).filter(any)


@given(counts)
def test_the_paired_interval_holds_the_difference(counts: tuple[int, int, int, int]) -> None:
    _, first, second, _ = counts
    low, high = paired_interval(*counts)
    assert -1 <= low <= (first - second) / sum(counts) <= high <= 1
    assert high > low


@given(counts)
def test_the_paired_interval_turns_with_its_sides(counts: tuple[int, int, int, int]) -> None:
    both, first, second, neither = counts
    low, high = paired_interval(both, first, second, neither)
    assert paired_interval(both, second, first, neither) == pytest.approx((-high, -low))
    assert paired_interval(neither, second, first, both) == pytest.approx((-high, -low))


@given(counts)
def test_a_paired_interval_that_leaves_out_zero_has_more_on_one_side(
    counts: tuple[int, int, int, int],
) -> None:
    _, first, second, _ = counts
    low, high = paired_interval(*counts)
    assert low <= 0 or first > second
    assert high >= 0 or second > first


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (3, -1, 0, 0)])
def test_the_paired_interval_refuses_what_are_no_counts(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no counts of paired trials"):
        paired_interval(*counts)


@given(
    st.lists(st.floats(0, 1000), min_size=2, max_size=8),
    st.lists(st.floats(0, 1000), min_size=2, max_size=8),
)
def test_welchs_test_is_scipys(first: list[float], second: list[float]) -> None:
    assume(min(np.std(first), np.std(second)) > 1e-3)
    ours = welch(first, second)
    theirs = scipy_stats.ttest_ind(second, first, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert ours is not None
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert ours.ci95 == (pytest.approx(low), pytest.approx(high))


def test_constants_are_equal_or_they_are_not() -> None:
    assert welch([1.0, 1.0], [1.0, 1.0]) == Difference(0.0, (0.0, 0.0), 1.0)
    assert welch([1.0, 1.0], [2.0, 2.0]) == Difference(1.0, (1.0, 1.0), 0.0)
    assert welch([1.0], [1.0, 2.0]) is None


def test_holms_adjustment_is_the_published_example() -> None:
    # Holm 1979, by hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
