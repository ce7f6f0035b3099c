"""Effect sizes equal published examples and independent computations; intervals cover the truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.integrate import quad

from codewatt.analysis.effect_sizes import (
    EffectSize,
    _delta_interval,
    a12,
    cliffs_delta,
    hedges_g,
    hedges_g_paired,
    noncentrality_interval,
    paired_delta,
    small_sample_factor,
)
from codewatt.analysis.noncentral_t import noncentral_t_cdf

#: The example of calculateCliffd of the R package reproducer (Kitchenham and Madeyski).
X, Y = [1.2, 3, 2.2, 4, 2.5, 3], [3, 4.2, 4, 6, 7, 5.9]


def test_the_small_sample_factor_is_that_of_hedges_table() -> None:
    """Hedges 1981, table 1."""
    published = {2: 0.5642, 3: 0.7236, 4: 0.7979, 5: 0.8408, 10: 0.9228, 50: 0.9849}
    for freedom, factor in published.items():
        assert small_sample_factor(freedom) == pytest.approx(factor, abs=6e-5)
    assert small_sample_factor(1) == 0


def test_hedges_g_is_the_corrected_standardised_difference() -> None:
    found = hedges_g(X, Y)
    assert found is not None
    pooled = math.sqrt((np.var(X, ddof=1) + np.var(Y, ddof=1)) / 2)
    expected = small_sample_factor(10) * (np.mean(Y) - np.mean(X)) / pooled
    assert found.value == pytest.approx(expected, rel=1e-12)
    # At the interval's ends, the observed t is the 97.5 % and 2.5 % quantile.
    statistic = scipy_stats.ttest_ind(Y, X).statistic
    assert found.ci95 is not None
    for end, tail in zip(found.ci95, (0.975, 0.025), strict=True):
        noncentrality = end / small_sample_factor(10) / math.sqrt(1 / 6 + 1 / 6)
        assert scipy_stats.nct.cdf(statistic, 10, noncentrality) == pytest.approx(tail, abs=1e-8)


def test_a_published_noncentral_interval() -> None:
    """Steiger and Fouladi 1997 / MBESS: conf.limits.nct(ncp=2.83, df=126) = [0.8337, 4.8153]."""
    assert noncentrality_interval(2.83, 126) == pytest.approx((0.8337, 4.8153), abs=2e-4)
    low, high = noncentrality_interval(-2.83, 126)  # type: ignore[misc]
    assert (low, high) == pytest.approx((-4.8153, -0.8337), abs=2e-4)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("truth", [0.0, 1.5])
def test_the_interval_of_g_covers_the_truth(paired: bool, truth: float) -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(1500):
        first, second = generator.normal(0, 1, 4), generator.normal(truth, 1, 4)
        found = hedges_g_paired(list(second)) if paired else hedges_g(list(first), list(second))
        assert found is not None
        assert found.ci95 is not None
        # The interval is J times that of the standardised difference.
        factor = small_sample_factor(3 if paired else 6)
        hits += found.ci95[0] <= factor * truth <= found.ci95[1]
    assert hits / 1500 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 1500))


def test_g_of_too_few_values_is_absent() -> None:
    assert hedges_g([1.0], [1.0, 2.0]) is None
    assert hedges_g([1.0, 1.0], [2.0, 2.0]) is None
    assert hedges_g_paired([1.0, 2.0]) is None
    assert hedges_g_paired([1.0, 1.0, 1.0]) is None
    huge = hedges_g([1.0, 1.0001], [2.0, 2.0001])
    assert huge is not None
    assert huge.value > 1000
    assert huge.ci95 is None


def test_cliffs_delta_counts_pairs() -> None:
    """U of Mann and Whitney: delta = 2 U / (m n) - 1."""
    found = cliffs_delta([(X, Y)])
    assert found is not None
    u = scipy_stats.mannwhitneyu(Y, X).statistic
    assert found.value == pytest.approx(2 * u / 36 - 1, abs=1e-12)
    assert a12(found).value == pytest.approx(u / 36, abs=1e-12)  # type: ignore[union-attr]


def test_cliffs_delta_of_the_r_package_effsize() -> None:
    """cliff.delta's example: -0.25; the variance is Cliff's, of the matrix of signs."""
    treatment = [10, 10, 20, 20, 20, 30, 30, 30, 40, 50]
    control = [10, 20, 30, 40, 40, 50]
    found = cliffs_delta([(control, treatment)])
    assert found is not None
    assert found.value == pytest.approx(-0.25)
    signs = np.sign(np.subtract.outer(treatment, control))
    rows = ((signs.mean(axis=1) + 0.25) ** 2).sum()
    columns = ((signs.mean(axis=0) + 0.25) ** 2).sum()
    variance = (100 * rows + 36 * columns - ((signs + 0.25) ** 2).sum()) / (60 * 9 * 5)
    assert found.ci95 == pytest.approx(_delta_interval(-0.25, variance, 6))


def test_the_interval_of_delta_is_the_published_one() -> None:
    """reproducer: calcCliffdConfidenceIntervals(d.value=0.5, d.variance=0.04): 0.0479 to 0.782."""
    assert _delta_interval(0.5, 0.04, 20) == pytest.approx((0.0479, 0.782), abs=5e-4)


def test_complete_separation_has_an_interval() -> None:
    found = cliffs_delta([([1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16])])
    z2 = 1.959963984540054**2
    assert found == EffectSize(1.0, (pytest.approx((6 - z2) / (6 + z2)), 1.0))
    below = cliffs_delta([([11, 12, 13, 14, 15], [1, 2, 3, 4, 5])])
    assert below == EffectSize(-1.0, (-1.0, pytest.approx(-(5 - z2) / (5 + z2))))


def test_the_interval_of_delta_covers_the_truth() -> None:
    generator = np.random.default_rng(6)
    shift = 0.8
    truth = 2 * scipy_stats.norm.cdf(shift / math.sqrt(2)) - 1
    hits = 0
    for _ in range(800):
        found = cliffs_delta([(generator.normal(0, 1, 10), generator.normal(shift, 1, 10))])
        hits += found.ci95[0] <= truth <= found.ci95[1]  # type: ignore[union-attr,index]
    assert hits / 800 == pytest.approx(0.95, abs=0.025)


def test_sessions_are_compared_within_themselves() -> None:
    """A shift common to a session does not hide a difference within it."""
    strata = [([1.0, 2.0], [1.5, 3.0]), ([101.0, 102.0], [101.5, 103.0])]
    within = cliffs_delta(strata)
    assert within is not None
    assert within.value == cliffs_delta(strata[:1]).value == 0.5  # type: ignore[union-attr]
    assert cliffs_delta([]) is None
    assert cliffs_delta([([1.0], [2.0])]) == EffectSize(1.0, None)


def test_paired_delta_is_the_difference_of_shares() -> None:
    """The share of positive minus negative differences; its variance is that of their signs."""
    values = [1.0, 0.0, 0.0, -1.0, 1.0, 1.0]
    found = paired_delta(values)
    assert found is not None
    assert found.value == pytest.approx(1 / 3)
    variance = np.var(np.sign(values), ddof=1) / 6
    assert found.ci95 == pytest.approx(_delta_interval(1 / 3, variance, 6))
    assert paired_delta([]) is None
    assert paired_delta([0.0, 0.0]) == EffectSize(0.0, (0.0, 0.0))


@pytest.mark.parametrize("freedom", [1, 2, 4, 23, 163])
@pytest.mark.parametrize("value", [0.0, 0.5, 5.0, 58.0, 499.0])
def test_the_noncentral_t_distribution_is_its_integral(freedom: int, value: float) -> None:
    """P(T <= t) = the mean of the normal P(Z <= t sqrt(u/df) - nc) over chi squared u."""
    edges = scipy_stats.chi2.ppf([1e-14, 0.01, 0.5, 0.99, 1 - 1e-14], freedom)
    for noncentrality in (-3.0, 0.0, value - 2, value, 1.2 * value + 1, 2 * value + 5, 1000.0):

        def inner(u: float, nc: float = noncentrality) -> float:
            normal = scipy_stats.norm.cdf(value * math.sqrt(u / freedom) - nc)
            return float(normal * scipy_stats.chi2.pdf(u, freedom))

        whole = sum(quad(inner, a, b)[0] for a, b in itertools.pairwise(edges))
        assert noncentral_t_cdf(freedom, noncentrality, value) == pytest.approx(whole, abs=1e-7)
