"""Effect sizes of two samples with 95 % intervals: Hedges' g, Cliff's delta, Vargha-Delaney A12.

A positive g or delta, and an A12 above 1/2, mean that the second sample is larger.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import gammaln, ndtri

from codewatt.analysis.log_scale_statistics import mean_of, sample_sd
from codewatt.analysis.noncentral_t import noncentral_t_cdf
from codewatt.analysis.proportions import CONFIDENCE, Interval

#: The largest noncentrality whose distribution is computed reliably; larger ends are left out.
_LARGEST_NONCENTRALITY = 1000.0


@dataclass(frozen=True)
class EffectSize:
    """An effect size and its interval; the interval is None where it cannot be computed."""

    value: float
    ci95: Interval | None


def small_sample_factor(freedom: float) -> float:
    """The factor J(m) that makes Hedges' g unbiased (Hedges 1981, J. Educ. Stat. 6(2), eq. 6e).

    J(m) = Γ(m/2) / (sqrt(m/2) · Γ((m - 1)/2)); it is 0 for one degree of freedom.
    """
    if freedom <= 1:
        return 0.0
    return math.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def hedges_g(first: Sequence[float], second: Sequence[float]) -> EffectSize | None:
    """Hedges' g of two independent samples, with the exact interval of the noncentral t.

    g = J(m) · (mean₂ - mean₁) / s, where s is the pooled SD and m = n₁ + n₂ - 2 (Hedges 1981). The
    interval comes from the noncentral t distribution of (mean₂ - mean₁) / (s · sqrt(1/n₁ + 1/n₂))
    (Steiger and Fouladi 1997), times J(m). It assumes equal variances.

    Returns:
        None for fewer than two values on a side, three in all, or without any spread.
    """
    sds = sample_sd(first), sample_sd(second)
    if sds[0] is None or sds[1] is None:
        return None
    freedom = len(first) + len(second) - 2
    squares = sds[0] ** 2 * (len(first) - 1) + sds[1] ** 2 * (len(second) - 1)
    scale = math.sqrt(1 / len(first) + 1 / len(second))
    return _standardised(
        mean_of(second) - mean_of(first), math.sqrt(squares / freedom), scale, freedom
    )


def hedges_g_paired(differences: Sequence[float]) -> EffectSize | None:
    """Hedges' g of paired values: J(n - 1) · mean / SD of the differences (Cohen's d_z, corrected).

    The interval comes from the noncentral t distribution of mean · sqrt(n) / SD.

    Returns:
        None for fewer than three differences (J(1) = 0), or without any spread.
    """
    sd = sample_sd(differences)
    if sd is None or len(differences) < 3:
        return None
    n = len(differences)
    return _standardised(mean_of(differences), sd, 1 / math.sqrt(n), n - 1)


def _standardised(difference: float, sd: float, scale: float, freedom: int) -> EffectSize | None:
    """g and its interval; `scale` is the standard error of the difference in units of `sd`."""
    if sd == 0:
        return None
    factor = small_sample_factor(freedom)
    ends = noncentrality_interval(difference / sd / scale, freedom)
    interval = None if ends is None else (factor * scale * ends[0], factor * scale * ends[1])
    return EffectSize(factor * difference / sd, interval)


def noncentrality_interval(
    statistic: float, freedom: int, confidence: float = CONFIDENCE
) -> Interval | None:
    """Confidence interval of the noncentrality of an observed t statistic.

    Its ends are the noncentralities at which the statistic is the (1 ± confidence)/2 quantile.

    Returns:
        None for a statistic beyond 500 or an end beyond 1000, where the distribution is not
        computed reliably.
    """
    if abs(statistic) > _LARGEST_NONCENTRALITY / 2:
        return None
    if statistic < 0:
        mirrored = noncentrality_interval(-statistic, freedom, confidence)
        return None if mirrored is None else (-mirrored[1], -mirrored[0])
    tail = (1 - confidence) / 2

    def excess(probability: float) -> Callable[[float], float]:
        return lambda end: noncentral_t_cdf(freedom, end, statistic) - probability

    # The distribution function decreases in the noncentrality, from 1 to 0.
    low, high = statistic - 5.0, statistic + 5.0
    while excess(1 - tail)(low) < 0:
        low -= 5.0
    if excess(tail)(_LARGEST_NONCENTRALITY) > 0:
        return None
    while excess(tail)(high) > 0:
        high = min(2 * high, _LARGEST_NONCENTRALITY)
    ends = [float(brentq(excess(p), low, high, xtol=1e-12)) for p in (1 - tail, tail)]
    return ends[0], ends[1]


def cliffs_delta(
    strata: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> EffectSize | None:
    """Cliff's delta: P(second > first) - P(second < first), within strata.

    One stratum: d is the mean of the signs of all pairs; its variance is Cliff's unbiased estimate
    (1993, Psychological Bulletin 114(3):494-509, eq. 7), and the interval is the asymmetric one
    of Feng and Cliff (2004, J. Modern Appl. Stat. Methods 3(2):322-332),
    (d - d³ ± z·s·sqrt((1 - d²)² + z²·s²)) / (1 - d² + z²·s²). If every pair has the same sign, the
    inner end is (n - z²)/(n + z²), with n the size of the smaller sample.

    Several strata (sessions): d is the mean over the strata and its variance the mean of their
    variances / number of strata; n is summed over the strata.

    Args:
        strata: (first, second) samples of each stratum, none of them empty.

    Returns:
        None without strata; without an interval if a sample has fewer than two values.
    """
    if not strata:
        return None
    found = [_dominance(first, second) for first, second in strata]
    delta = mean_of([one[0] for one in found])
    variances = [one[1] for one in found if one[1] is not None]
    if len(variances) < len(found):
        return EffectSize(delta, None)
    variance = math.fsum(variances) / len(found) ** 2
    smallest = sum(min(len(first), len(second)) for first, second in strata)
    return EffectSize(delta, _delta_interval(delta, variance, smallest))


def paired_delta(differences: Sequence[float]) -> EffectSize | None:
    """Cliff's delta of paired values: share of positive minus share of negative differences.

    It is Cliff's d_w (1993, eq. 10), of which the variance is (Σ sign² - n·d_w²) / (n·(n - 1)).

    Returns:
        None without differences; without an interval for fewer than two.
    """
    n = len(differences)
    if not n:
        return None
    signs = [_sign(value) for value in differences]
    delta = math.fsum(signs) / n
    if n < 2:
        return EffectSize(delta, None)
    variance = (math.fsum(sign * sign for sign in signs) - n * delta**2) / (n * (n - 1))
    return EffectSize(delta, _delta_interval(delta, max(variance, 0.0), n))


def a12(delta: EffectSize | None) -> EffectSize | None:
    """Vargha and Delaney's A12 = P(second > first) + P(equal)/2 = (delta + 1)/2.

    Vargha and Delaney 2000, J. Educ. Behav. Stat. 25(2):101-132.
    """
    if delta is None:
        return None
    ends = delta.ci95
    return EffectSize(
        (delta.value + 1) / 2, None if ends is None else ((ends[0] + 1) / 2, (ends[1] + 1) / 2)
    )


def _sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def _dominance(first: Sequence[float], second: Sequence[float]) -> tuple[float, float | None]:
    """(delta, Cliff's unbiased variance of it; None for fewer than two values on a side)."""
    m, n = len(second), len(first)
    rows = [math.fsum(_sign(x - y) for y in first) / n for x in second]
    columns = [math.fsum(_sign(x - y) for x in second) / m for y in first]
    delta = math.fsum(rows) / m
    if min(m, n) < 2:
        return delta, None
    of_rows = math.fsum((value - delta) ** 2 for value in rows)
    of_columns = math.fsum((value - delta) ** 2 for value in columns)
    squares = math.fsum((_sign(x - y) - delta) ** 2 for x in second for y in first)
    pairs = m * n
    variance = (m**2 * of_rows + n**2 * of_columns - squares) / (pairs * (m - 1) * (n - 1))
    # Cliff's lower bound keeps the unbiased estimate positive.
    lowest = (1 - delta**2) / (pairs - 1)
    return delta, max(variance, lowest)


def _delta_interval(delta: float, variance: float, smallest: int) -> Interval:
    """Feng and Cliff's interval of delta."""
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    if 1 - abs(delta) < 1e-12:
        inner = (smallest - z * z) / (smallest + z * z)
        return (inner, 1.0) if delta > 0 else (-1.0, -inner)
    spread = z * math.sqrt(variance)
    centre = delta - delta**3
    half = spread * math.sqrt((1 - delta**2) ** 2 + spread**2)
    scale = 1 - delta**2 + spread**2
    return max((centre - half) / scale, -1.0), min((centre + half) / scale, 1.0)
