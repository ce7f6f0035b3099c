"""Tests of one distribution (Shapiro-Wilk), of variances (Levene) and of order (Durbin-Watson)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import fdtrc, ndtr
from scipy.stats import shapiro

from codewatt.analysis.statistical_tests.outcomes import Outcome, WithheldError
from codewatt.analysis.statistical_tests.rank_tests import check_groups

Values = Sequence[float]
#: Royston's p value is calibrated for 3 to 5000 values.
SHAPIRO_RANGE = (3, 5000)
#: Fewer values than this have no Durbin-Watson test: its normal approximation is poor.
SMALLEST_SERIES = 10


def shapiro_wilk(values: Values) -> Outcome:
    """The Shapiro-Wilk test of normality; the effect size is the skewness.

    W after Royston (1995, Applied Statistics 44:547-551, algorithm AS R94), by scipy. The skewness
    is m₃ / m₂^1.5 with central moments m₂ and m₃.

    Raises:
        WithheldError: fewer than three or more than 5000 values, or all values are equal.
    """
    least, most = SHAPIRO_RANGE
    if not least <= len(values) <= most:
        raise WithheldError(f"{len(values)} values; this test needs {least} to {most}")
    if min(values) == max(values):
        raise WithheldError("all values are equal")
    x = np.asarray(values, float)
    # The statistic is computed of standardised values: it does not depend on the unit, and small
    # energies would lose digits.
    centred = (x - x.mean()) / x.std()
    found = shapiro(centred)
    return Outcome(
        float(found.statistic), float(found.pvalue), None, None, float((centred**3).mean()), len(x)
    )


def levene(groups: Sequence[Values]) -> Outcome:
    """Levene's test of equal variances with absolute deviations from the means (Levene 1960)."""
    return _deviations_test(groups, np.mean)


def brown_forsythe(groups: Sequence[Values]) -> Outcome:
    """Levene's test with deviations from the medians (Brown and Forsythe 1974, JASA 69:364-367).

    It keeps its level for skewed distributions, where Levene's original test does not.
    """
    return _deviations_test(groups, np.median)


def _deviations_test(groups: Sequence[Values], centre: Callable[..., np.floating]) -> Outcome:
    """One-way analysis of variance of |x - centre|; F with k - 1 and N - k degrees of freedom.

    The effect size is the largest standard deviation of a group over the smallest.

    Raises:
        WithheldError: `check_groups`; the deviations do not vary within any group.
    """
    check_groups(groups)
    arrays = [np.asarray(values, float) for values in groups]
    z = [np.abs(x - centre(x)) for x in arrays]
    total, k = sum(map(len, z)), len(z)
    grand = np.concatenate(z).mean()
    between = sum(len(d) * (d.mean() - grand) ** 2 for d in z) / (k - 1)
    within = sum(((d - d.mean()) ** 2).sum() for d in z) / (total - k)
    if within <= np.finfo(float).eps ** 2 * grand**2 or within == 0:
        raise WithheldError("the deviations from the centre do not vary within the cells")
    statistic = float(between / within)
    spreads = [float(x.std(ddof=1)) for x in arrays]
    effect = max(spreads) / min(spreads) if min(spreads) > 0 else None
    p = float(fdtrc(k - 1, total - k, statistic))
    return Outcome(statistic, p, k - 1, total - k, effect, total)


def durbin_watson(values: Values) -> Outcome:
    """The Durbin-Watson test of autocorrelation of values about their mean, in their order.

    d = Σ (e_t - e_{t-1})² / Σ e_t² with e_t = x_t - x̄. For independent normal values the ratio has
    mean Σλ / m and variance 2 [m Σλ² - (Σλ)²] / [m² (m + 2)], with m = n - 1 and eigenvalues
    λ_j = 2 - 2 cos(π j / n) (Durbin and Watson 1950, Biometrika 37:409-428). p is two-sided, by
    the normal distribution with these moments. The effect size is the autocorrelation at lag 1,
    Σ e_t e_{t-1} / Σ e_t².

    Raises:
        WithheldError: fewer than ten values, or all values are equal.
    """
    e = _series(values)
    e = e - e.mean()
    n, squares = len(e), float((e**2).sum())
    d = float((np.diff(e) ** 2).sum()) / squares
    eigenvalues = 2 - 2 * np.cos(np.pi * np.arange(1, n) / n)
    m, first, second = n - 1, float(eigenvalues.sum()), float((eigenvalues**2).sum())
    variance = 2 * (m * second - first**2) / (m**2 * (m + 2))
    p = min(1.0, 2 * float(ndtr(-abs(d - first / m) / math.sqrt(variance))))
    return Outcome(d, p, None, None, float((e[1:] * e[:-1]).sum()) / squares, n)


def durbin_watson_raw(values: Values) -> Outcome:
    """The Durbin-Watson statistic of values that are not centred: Σ (x_t - x_{t-1})² / Σ x_t².

    It measures no autocorrelation: for independent values it is near 2 c² / (1 + c²), with c the
    coefficient of variation, and thus near 0 wherever the values vary little about their mean.
    There is no p value. The effect size is c (population standard deviation over mean).

    Raises:
        WithheldError: fewer than ten values, or all values are equal.
    """
    x = _series(values)
    d = float((np.diff(x) ** 2).sum() / (x**2).sum())
    return Outcome(d, None, None, None, float(x.std() / x.mean()) if x.mean() else None, len(x))


def _series(values: Values) -> np.ndarray:
    if len(values) < SMALLEST_SERIES:
        raise WithheldError(f"{len(values)} values; this test needs at least {SMALLEST_SERIES}")
    x = np.asarray(values, float)
    if x.min() == x.max():
        raise WithheldError("all values are equal")
    return x
