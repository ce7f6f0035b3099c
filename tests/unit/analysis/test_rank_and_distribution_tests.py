"""Each statistic equals an independent computation to 1e-8, or published figures."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.stattools import durbin_watson as durbin_watson_of_statsmodels

from codewatt.analysis.statistical_tests.distribution_tests import (
    brown_forsythe,
    durbin_watson,
    durbin_watson_raw,
    levene,
    shapiro_wilk,
)
from codewatt.analysis.statistical_tests.outcomes import WithheldError
from codewatt.analysis.statistical_tests.rank_tests import (
    cliffs_delta,
    dunn,
    friedman,
    kruskal_wallis,
)

CLOSE = {"rel": 1e-8, "abs": 1e-12}


def drawn(seed, sizes=(14, 9, 23, 11), ties=False, shift=0.3):
    """Groups of skewed values; with ties, rounded so that many are equal."""
    draw = np.random.default_rng(seed)
    groups = [draw.lognormal(shift * i, 0.6, size) * 50 for i, size in enumerate(sizes)]
    return [(np.round(group, -1) if ties else group).tolist() for group in groups]


CASES = [drawn(seed, ties=ties) for seed in range(4) for ties in (False, True)]


@pytest.mark.parametrize("groups", CASES)
def test_kruskal_wallis_is_that_of_scipy(groups):
    ours, theirs = kruskal_wallis(groups), stats.kruskal(*groups)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), **CLOSE)
    assert (ours.df, ours.n) == (3, 57)


@pytest.mark.parametrize("groups", CASES)
def test_epsilon_squared_is_the_share_of_rank_variance_between_groups(groups):
    ranks = stats.rankdata(np.concatenate(groups))
    parts = np.split(ranks, np.cumsum([len(group) for group in groups])[:-1])
    between = sum(len(part) * (part.mean() - ranks.mean()) ** 2 for part in parts)
    share = between / ((ranks - ranks.mean()) ** 2).sum()
    assert kruskal_wallis(groups).effect == pytest.approx(share, **CLOSE)


@pytest.mark.parametrize("groups", CASES)
def test_dunns_p_values_are_those_of_scikit_posthocs(groups):
    ours, theirs = dunn(groups), scikit_posthocs.posthoc_dunn(groups, p_adjust=None)
    assert len(ours) == 6
    for (i, j), outcome in ours.items():
        assert outcome.p == pytest.approx(theirs.iloc[i, j], **CLOSE)
        assert outcome.p == pytest.approx(2 * stats.norm.sf(abs(outcome.statistic)), **CLOSE)


def test_dunn_of_two_groups_is_kruskal_wallis():
    groups = drawn(1, sizes=(12, 17), ties=True)
    assert dunn(groups)[0, 1].statistic ** 2 == pytest.approx(kruskal_wallis(groups).statistic)


def test_dunns_statistic_is_positive_if_the_first_group_is_larger():
    high, low = [5.0, 6.0, 7.0, 8.0, 9.0], [1.0, 2.0, 3.0, 4.0, 4.5]
    (outcome,) = dunn([high, low]).values()
    assert outcome.statistic > 0
    assert outcome.effect == 1.0


@pytest.mark.parametrize("groups", CASES)
def test_cliffs_delta_is_that_of_all_pairs(groups):
    pairs = [(x > y) - (x < y) for x, y in itertools.product(groups[0], groups[2])]
    assert cliffs_delta(groups[0], groups[2]) == pytest.approx(np.mean(pairs), **CLOSE)


@pytest.mark.parametrize("ties", [False, True])
def test_friedman_is_that_of_scipy(ties):
    groups = drawn(5, sizes=(30, 30, 30, 30), ties=ties)
    ours, theirs = friedman(groups), stats.friedmanchisquare(*groups)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), **CLOSE)
    assert ours.effect == pytest.approx(ours.statistic / (30 * 3), **CLOSE)


def test_friedman_sees_a_small_difference_that_kruskal_wallis_does_not():
    """Tasks differ far more than cells: only the test within tasks shows the cells' difference."""
    draw = np.random.default_rng(2)
    tasks = draw.lognormal(5, 1, 100)
    groups = [list(tasks * factor * draw.lognormal(0, 0.02, 100)) for factor in (1, 1.03, 1.06)]
    assert kruskal_wallis(groups).p > 0.5
    assert friedman(groups).p < 1e-6


@pytest.mark.parametrize("groups", CASES)
@pytest.mark.parametrize(("test", "centre"), [(levene, "mean"), (brown_forsythe, "median")])
def test_levene_and_brown_forsythe_are_those_of_scipy(groups, test, centre):
    ours, theirs = test(groups), stats.levene(*groups, center=centre)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), **CLOSE)
    assert (ours.df, ours.df_residual) == (3, 53)
    spreads = [np.std(group, ddof=1) for group in groups]
    assert ours.effect == pytest.approx(max(spreads) / min(spreads), **CLOSE)


def test_shapiro_wilk_of_the_example_of_its_authors():
    """Weights of eleven men (Shapiro and Wilk 1965, table 4; Royston's p as R prints it)."""
    weights = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    outcome = shapiro_wilk(weights)
    assert outcome.statistic == pytest.approx(0.79, abs=0.005)
    assert outcome.p == pytest.approx(0.006704, abs=5e-6)
    assert outcome.effect == pytest.approx(stats.skew(weights), **CLOSE)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_shapiro_wilk_does_not_depend_on_the_unit(unit):
    values = np.asarray(drawn(7)[2])
    theirs = stats.shapiro(values)
    ours = shapiro_wilk(list(values * unit))
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), **CLOSE)


def test_durbin_watson_is_that_of_statsmodels():
    values = np.asarray(drawn(3)[2])
    ours = durbin_watson(list(values))
    assert ours.statistic == pytest.approx(
        durbin_watson_of_statsmodels(values - values.mean()), **CLOSE
    )
    raw = durbin_watson_raw(list(values))
    assert raw.statistic == pytest.approx(durbin_watson_of_statsmodels(values), **CLOSE)
    assert raw.effect == pytest.approx(values.std() / values.mean(), **CLOSE)
    assert raw.p is None


def test_moments_of_durbin_watson_are_those_of_the_quadratic_forms():
    """Mean and variance of e'Ae / e'e from the matrices, not from the closed eigenvalues."""
    n, values = 12, np.asarray(drawn(4)[0])[:12]
    first = np.diff(np.eye(n), axis=0)
    centring = np.eye(n) - 1 / n
    inner = centring @ first.T @ first @ centring
    mean = np.trace(inner) / (n - 1)
    variance = (
        2 * ((n - 1) * np.trace(inner @ inner) - np.trace(inner) ** 2) / ((n - 1) ** 2 * (n + 1))
    )
    outcome = durbin_watson(list(values))
    z = (outcome.statistic - mean) / np.sqrt(variance)
    assert outcome.p == pytest.approx(2 * stats.norm.sf(abs(z)), **CLOSE)


@pytest.mark.parametrize("n", [10, 60])
def test_durbin_watson_keeps_its_level(n):
    """Independent values, normal or as skewed as energies, are rejected in about 5 %."""
    draw = np.random.default_rng(0)
    for values in (draw.normal(5, 1, (2000, n)), draw.lognormal(0, 0.5, (2000, n))):
        rejected = np.mean([durbin_watson(row).p < 0.05 for row in values])
        assert 0.03 < rejected < 0.065


def test_uncentred_durbin_watson_of_independent_values_is_that_of_the_thesis():
    """Energies that vary by 40 % of their mean give 0.27 although they are independent."""
    values = np.random.default_rng(1).gamma(1 / 0.4**2, 0.4**2, 1140)
    assert durbin_watson_raw(list(values)).statistic == pytest.approx(0.27, abs=0.03)
    assert durbin_watson(list(values)).statistic == pytest.approx(2, abs=0.15)


EQUAL = [[3.0] * 6, [3.0] * 6, [3.0] * 6]
SMALL = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]


@pytest.mark.parametrize("test", [kruskal_wallis, dunn, friedman, levene, brown_forsythe])
def test_groups_that_cannot_be_tested_are_withheld(test):
    with pytest.raises(WithheldError, match="all values are equal"):
        test(EQUAL)
    with pytest.raises(WithheldError, match="a cell has 3 values; this test needs at least 5"):
        test(SMALL)
    with pytest.raises(WithheldError, match="fewer than two cells"):
        test(EQUAL[:1])


def test_the_smallest_group_is_where_the_approximation_fails():
    """With three values a side, chi-squared calls significant what has an exact p of 0.1."""
    largest = stats.kruskal([1, 2, 3], [4, 5, 6])
    assert largest.pvalue < 0.05
    orders = list(itertools.combinations(range(6), 3))
    as_large = [
        stats.kruskal(order, [x for x in range(6) if x not in order]).statistic
        >= largest.statistic - 1e-9
        for order in orders
    ]
    assert np.mean(as_large) == pytest.approx(0.1)


@pytest.mark.parametrize("test", [shapiro_wilk, durbin_watson, durbin_watson_raw])
def test_values_that_cannot_be_tested_are_withheld(test):
    with pytest.raises(WithheldError, match="all values are equal"):
        test([2.0] * 20)
    with pytest.raises(WithheldError, match="2 values; this test needs"):
        test([1.0, 2.0])


def test_other_reasons_to_withhold():
    with pytest.raises(WithheldError, match="5001 values"):
        shapiro_wilk(list(range(5001)))
    with pytest.raises(WithheldError, match="at least three cells"):
        friedman(drawn(0, sizes=(8, 8)))
    with pytest.raises(WithheldError, match="in each task all cells have the same value"):
        friedman([[1.0, 2.0, 3.0, 4.0, 5.0]] * 3)
    with pytest.raises(WithheldError, match="do not vary within the cells"):
        levene([[1.0, 3.0] * 3, [2.0, 8.0] * 3])


def test_percentile_bootstrap_of_epsilon_squared_never_contains_zero():
    """The reason why the table has no interval (docs/explanation/statistical-tests.md)."""
    draw = np.random.default_rng(0)
    groups = [draw.normal(size=30) for _ in range(3)]
    resampled = [
        kruskal_wallis([list(draw.choice(group, 30)) for group in groups]).effect
        for _ in range(500)
    ]
    assert np.percentile(resampled, 2.5) > 0
    assert np.mean(resampled) > kruskal_wallis([list(group) for group in groups]).effect


def test_posthoc_dunn_with_holm_is_dunn_with_holm():
    from codewatt.analysis.log_scale_statistics import holm

    groups = drawn(6, ties=True)
    theirs: pd.DataFrame = scikit_posthocs.posthoc_dunn(groups, p_adjust="holm")
    ours = dunn(groups)
    adjusted = holm([outcome.p for outcome in ours.values()])
    for (i, j), p in zip(ours, adjusted, strict=True):
        assert p == pytest.approx(theirs.iloc[i, j], **CLOSE)
