"""Tests on ranks: Kruskal-Wallis, Dunn and Friedman, with their effect sizes."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc, ndtr
from scipy.stats import rankdata

from codewatt.analysis.statistical_tests.outcomes import (
    SMALLEST_GROUP,
    Outcome,
    WithheldError,
)

Values = Sequence[float]


def check_groups(groups: Sequence[Values]) -> None:
    """Check that groups can be compared.

    Raises:
        WithheldError: there are fewer than two groups, a group is too small, or all values of all
            groups are equal.
    """
    if len(groups) < 2:
        raise WithheldError("fewer than two cells can be compared")
    smallest = min(len(values) for values in groups)
    if smallest < SMALLEST_GROUP:
        raise WithheldError(
            f"a cell has {smallest} values; this test needs at least {SMALLEST_GROUP} in each cell"
        )
    if len({value for values in groups for value in values}) == 1:
        raise WithheldError("all values are equal")


def kruskal_wallis(groups: Sequence[Values]) -> Outcome:
    """The Kruskal-Wallis test, corrected for ties; chi-squared with k - 1 degrees of freedom.

    H = [12 / (N (N + 1)) · Σ R_i² / n_i - 3 (N + 1)] / [1 - Σ (t³ - t) / (N³ - N)], with R_i the
    sum of ranks of group i and t the numbers of tied values (Kruskal and Wallis 1952, JASA
    47:583-621). The effect size is epsilon squared, H / (N - 1): the share of the variance of
    ranks that lies between the groups (Tomczak and Tomczak 2014, Trends in Sport Sciences
    21(1):19-25).

    Raises:
        WithheldError: `check_groups`.
    """
    check_groups(groups)
    ranks, total = _joint_ranks(groups)
    scaled = sum(r.sum() ** 2 / len(r) for r in ranks)
    raw = 12 / (total * (total + 1)) * scaled - 3 * (total + 1)
    statistic = float(raw / (1 - _ties(groups) / (total**3 - total)))
    df = len(groups) - 1
    p = float(chdtrc(df, max(statistic, 0.0)))
    return Outcome(statistic, p, df, None, statistic / (total - 1), total)


def dunn(groups: Sequence[Values]) -> dict[tuple[int, int], Outcome]:
    """Dunn's test of each pair of groups, corrected for ties; two-sided, not adjusted.

    z = (mean rank i - mean rank j) / √[(N (N + 1) / 12 - Σ (t³ - t) / (12 (N - 1))) · (1 / n_i +
    1 / n_j)], with ranks over all groups (Dunn 1964, Technometrics 6:241-252). The effect size is
    Cliff's delta of the pair.

    Returns:
        (i, j) with i < j -> outcome; z and delta are positive if group i has the larger values.

    Raises:
        WithheldError: `check_groups`.
    """
    check_groups(groups)
    ranks, total = _joint_ranks(groups)
    variance = total * (total + 1) / 12 - _ties(groups) / (12 * (total - 1))
    found = {}
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            error = math.sqrt(variance * (1 / len(groups[i]) + 1 / len(groups[j])))
            z = float((ranks[i].mean() - ranks[j].mean()) / error)
            p = min(1.0, 2 * float(ndtr(-abs(z))))
            delta = cliffs_delta(groups[i], groups[j])
            found[i, j] = Outcome(z, p, None, None, delta, len(groups[i]) + len(groups[j]))
    return found


def friedman(groups: Sequence[Values]) -> Outcome:
    """Friedman's test of groups whose values belong to the same blocks, corrected for ties.

    Q = (k - 1) Σ_j (R_j - n (k + 1) / 2)² / [Σ r_ij² - n k (k + 1)² / 4], with r_ij the rank of
    group j in block i and R_j its sum; chi-squared with k - 1 degrees of freedom (Conover 1999,
    Practical Nonparametric Statistics, eq. 5.8.5). The effect size is Kendall's W, Q / (n (k - 1)).

    Args:
        groups: values of each group, block by block in the same order.

    Raises:
        WithheldError: `check_groups`; fewer than three groups; all values of each block are equal.
    """
    check_groups(groups)
    k, blocks = len(groups), len(groups[0])
    if k < 3:
        raise WithheldError("Friedman's test needs at least three cells")
    ranks = rankdata(np.column_stack([np.asarray(values, float) for values in groups]), axis=1)
    spread = float((ranks**2).sum()) - blocks * k * (k + 1) ** 2 / 4
    if spread <= 0:
        raise WithheldError("in each task all cells have the same value")
    apart = float(((ranks.sum(axis=0) - blocks * (k + 1) / 2) ** 2).sum())
    statistic = (k - 1) * apart / spread
    effect = statistic / (blocks * (k - 1))
    return Outcome(statistic, float(chdtrc(k - 1, statistic)), k - 1, None, effect, blocks)


def cliffs_delta(first: Values, second: Values) -> float:
    """Cliff's delta, P(first > second) - P(first < second), over all pairs of values.

    Computed from ranks: 2 U / (n m) - 1 with U the Mann-Whitney statistic (Cliff 1993,
    Psychological Bulletin 114:494-509).
    """
    ranks = rankdata(np.concatenate([np.asarray(first, float), np.asarray(second, float)]))
    n, m = len(first), len(second)
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    return 2 * u / (n * m) - 1


def _joint_ranks(groups: Sequence[Values]) -> tuple[list[np.ndarray], int]:
    """Average ranks over all groups, by group, and the number of values."""
    ends = np.cumsum([len(values) for values in groups])
    ranks = rankdata(np.concatenate([np.asarray(values, float) for values in groups]))
    return np.split(ranks, ends[:-1]), int(ends[-1])


def _ties(groups: Sequence[Values]) -> float:
    """Σ (t³ - t) over the numbers t of equal values."""
    pooled = np.concatenate([np.asarray(values, float) for values in groups])
    counts = np.unique(pooled, return_counts=True)[1].astype(float)
    return float((counts**3 - counts).sum())
