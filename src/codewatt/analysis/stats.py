"""Statistics of the tables: means over repeats, their intervals, and intervals of a proportion.

Quantiles come from scipy.special, whose import costs a tenth of scipy.stats'.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import ndtri, stdtr, stdtrit

CONFIDENCE = 0.95
#: The multiple of the SD that the published studies drew as error bars.
SD_BAND = 1.96

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """A metric over a cell's repeats, in the metric's own unit.

    n: repeats with a value. mean: None when n = 0. sd: sample standard deviation (n - 1), None
    when n < 2. ci95: t-interval of the mean, sd196: mean ± 1.96 SD; both None when n < 2.
    """

    n: int
    mean: float | None
    sd: float | None
    ci95: Interval | None
    sd196: Interval | None


def summarise(values: Iterable[float | None]) -> Summary:
    """Summarise one metric over repeats; absent values (None) are left out and not counted.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    present = [float(value) for value in values if value is not None]
    if not all(math.isfinite(value) for value in present):
        raise ValueError(f"not a finite number among {present}")
    if not present:
        return Summary(0, None, None, None, None)
    mean = math.fsum(present) / len(present)
    sd = sample_sd(present)
    if sd is None:
        return Summary(len(present), mean, None, None, None)
    band = SD_BAND * sd
    return Summary(len(present), mean, sd, t_interval(present), (mean - band, mean + band))


def sample_sd(values: list[float]) -> float | None:
    """Sample standard deviation sqrt(Σ(x - x̄)² / (n - 1)); None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1))


def t_interval(values: list[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of the mean, x̄ ± t(n-1; 1-alpha/2) · s/√n, after Student (1908).

    It assumes repeats that are independent and roughly normal. It is not clipped at zero. None
    for fewer than two values.
    """
    sd = sample_sd(values)
    if sd is None:
        return None
    mean = math.fsum(values) / len(values)
    quantile = float(stdtrit(len(values) - 1, 0.5 + confidence / 2))
    half = quantile * sd / math.sqrt(len(values))
    return mean - half, mean + half


def wilson_interval(successes: float, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of a proportion (Wilson 1927, JASA 22(158):209-212), a part of [0, 1].

    With p = successes/trials and z = Φ⁻¹(1-alpha/2):
    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: 0 ≤ successes ≤ trials; a fraction when a task was solved in some of its samples.
        trials: the number of tasks, at least 1.

    Raises:
        ValueError: trials < 1, or successes outside [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials is not a proportion")
    z = float(ndtri(0.5 + confidence / 2))
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding may leave 1e-17 outside; the interval lies within [0, 1] and holds the share.
    low = min(max((centre - half) / scale, 0.0), share)
    high = max(min((centre + half) / scale, 1.0), share)
    return low, high


def ratio(value: float | None, by: float | None) -> float | None:
    """value / by; None when either is absent or `by` is 0."""
    return None if value is None or not by else value / by


def relative_change(value: float | None, baseline: float | None) -> float | None:
    """(value - baseline) / baseline, a fraction: -0.25 is a quarter less than the baseline.

    None when either is absent or the baseline is 0.
    """
    if value is None or baseline is None or baseline == 0:
        return None
    return (value - baseline) / baseline


def overlap(first: Interval | None, second: Interval | None) -> bool | None:
    """Whether two closed intervals share a point; None when either is absent."""
    if first is None or second is None:
        return None
    return first[0] <= second[1] and second[0] <= first[1]


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p of McNemar's test (1947, Psychometrika 12(2):153-157).

    Under the null hypothesis each of the n = lost + gained tasks whose verdict differs is as
    likely lost as gained: p = min(1, 2 * P(X <= min(lost, gained))) with X ~ Binomial(n, 1/2).
    1.0 when no verdict differs.
    """
    differing = lost + gained
    tail = sum(math.comb(differing, k) for k in range(min(lost, gained) + 1))
    return min(1.0, float(2 * tail / 2**differing))


def paired_interval(
    both: int, first: int, second: int, neither: int, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the difference of two proportions of the same trials, a part of [-1, 1].

    Method 10 of Newcombe (1998, Statistics in Medicine 17(22):2635-2650): the Wilson intervals
    (l, u) of p1 = (both + first)/n and p2 = (both + second)/n are put together, with the
    correlation phi of the two outcomes. The limits of p1 - p2 are

    p1 - p2 - sqrt((p1 - l1)² - 2 phi (p1 - l1)(u2 - p2) + (u2 - p2)²)
    p1 - p2 + sqrt((u1 - p1)² - 2 phi (u1 - p1)(p2 - l2) + (p2 - l2)²)

    phi = c / sqrt((both + first)(second + neither)(both + second)(first + neither)), and 0 if a
    factor is 0; c = both · neither - first · second, less n/2 but no further than to 0 where it is
    positive. Unlike Wald's, it has a width where no outcome differs.

    Args:
        both: trials that succeeded in both; first, second: in that one only; neither: in none.

    Raises:
        ValueError: a count is negative, or there is no trial.
    """
    counts = (both, first, second, neither)
    trials = sum(counts)
    if min(counts) < 0 or trials < 1:
        raise ValueError(f"{counts} are no counts of paired trials")
    l1, u1 = wilson_interval(both + first, trials, confidence)
    l2, u2 = wilson_interval(both + second, trials, confidence)
    p1, p2 = (both + first) / trials, (both + second) / trials
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = float(both * neither - first * second)
    if product > 0:
        product = max(product - trials / 2, 0.0)
    phi = product / math.sqrt(margins) if margins else 0.0

    def together(one: float, other: float) -> float:
        return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))

    difference = (first - second) / trials
    low = difference - together(p1 - l1, u2 - p2)
    high = difference + together(u1 - p1, p2 - l2)
    return max(low, -1.0), min(high, 1.0)


@dataclass(frozen=True)
class Difference:
    """Two means apart. difference: second - first; ci95: its 95 % interval; p: two-sided."""

    difference: float
    ci95: Interval
    p: float


def welch(first: list[float], second: list[float]) -> Difference | None:
    """Welch's t-test (1947, Biometrika 34(1-2):28-35) of two means whose variances may differ.

    t = (x̄₂ - x̄₁) / √(s₁²/n₁ + s₂²/n₂), with the degrees of freedom of Welch and Satterthwaite.
    Equal constants have p = 1, different ones p = 0.

    Returns:
        None for fewer than two values on either side.
    """
    sds = sample_sd(first), sample_sd(second)
    if sds[0] is None or sds[1] is None:
        return None
    parts = [sd * sd / len(x) for sd, x in zip((sds[0], sds[1]), (first, second), strict=True)]
    difference = math.fsum(second) / len(second) - math.fsum(first) / len(first)
    variance = sum(parts)
    if variance == 0:
        return Difference(difference, (difference, difference), 1.0 if difference == 0 else 0.0)
    freedom = variance**2 / sum(
        part**2 / (len(x) - 1) for part, x in zip(parts, (first, second), strict=True)
    )
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Difference(difference, (difference - half, difference + half), p)


def holm(ps: list[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979, Scand. J. Statist. 6(2):65-70).

    The k-th smallest of m becomes the largest of (m - j + 1) p_j over j ≤ k, at most 1.
    """
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted
