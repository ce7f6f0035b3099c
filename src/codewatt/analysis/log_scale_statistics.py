"""Statistics of positive metrics over repeats: summaries on a log scale, t tests, Holm's method.

docs/explanation/statistics.md defines them. Quantiles come from scipy.special, because importing
scipy.stats takes longer.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from codewatt.analysis.detectable_effect import minimum_detectable_effect
from codewatt.analysis.proportions import CONFIDENCE, Interval

#: Half width, in SD, of the band of single repeats that published studies draw as error bars.
SD_BAND = 1.96


@dataclass(frozen=True)
class Summary:
    """A metric over a cell's repeats, in the metric's own unit.

    Attributes:
        n: number of repeats with a value.
        mean: arithmetic mean; None if n = 0.
        sd: sample standard deviation (n - 1); None if n < 2.
        geomean: geometric mean; None if a value is not positive.
        ci95: 95 % interval of the geometric mean, Student's t on the logarithms; None if n < 2 or
            a value is not positive.
        sd_band: exp(mean of ln x ± 1.96 SD of ln x); None where ci95 is None.
    """

    n: int
    mean: float | None
    sd: float | None
    geomean: float | None
    ci95: Interval | None
    sd_band: Interval | None


def summarise(values: Iterable[float | None]) -> Summary:
    """Summarise a positive metric over repeats; absent values (None) are not counted.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    present = finite(values)
    if not present:
        return Summary(0, None, None, None, None, None)
    mean, sd = mean_of(present), sample_sd(present)
    logs = logarithms(present)
    if logs is None:
        return Summary(len(present), mean, sd, None, None, None)
    centre, spread, interval = mean_of(logs), sample_sd(logs), t_interval(logs)
    band = None if spread is None else (centre - SD_BAND * spread, centre + SD_BAND * spread)
    return Summary(
        len(present), mean, sd, math.exp(centre), exponentials(interval), exponentials(band)
    )


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that are not None.

    Raises:
        ValueError: one of them is NaN or infinite.
    """
    present = [float(value) for value in values if value is not None]
    if not all(math.isfinite(value) for value in present):
        raise ValueError(f"not a finite number among {present}")
    return present


def logarithms(values: Sequence[float]) -> list[float] | None:
    """Natural logarithms; None if there is no value or if a value is not positive."""
    if not values or min(values) <= 0:
        return None
    return [math.log(value) for value in values]


def exponentials(interval: Interval | None) -> Interval | None:
    """An interval of logarithms in the metric's unit."""
    return None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def change_of_log(log_ratio: float) -> float | None:
    """exp(x) - 1; None where no float is that large: the data do not bound the change.

    With one degree of freedom and many comparisons, the simultaneous interval of a logarithm is
    thousands of standard errors wide.
    """
    try:
        return math.expm1(log_ratio)
    except OverflowError:
        return None


def mean_of(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)


def sample_sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation sqrt(Σ(x - x̄)² / (n - 1)); None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = mean_of(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1))


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of the mean, x̄ ± t(n-1; 1-alpha/2) · s/√n, after Student (1908).

    It assumes independent, approximately normal values. None for fewer than two values.
    """
    sd = sample_sd(values)
    if sd is None:
        return None
    half = t_quantile(0.5 + confidence / 2, len(values) - 1) * sd / math.sqrt(len(values))
    mean = mean_of(values)
    return mean - half, mean + half


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution with `freedom` degrees of freedom."""
    return float(stdtrit(freedom, probability))


def ratio(value: float | None, by: float | None) -> float | None:
    """value / by; None when either is absent or `by` is 0."""
    return None if value is None or not by else value / by


def relative_change(value: float | None, baseline: float | None) -> float | None:
    """(value - baseline) / baseline, a fraction: -0.25 is a quarter less than the baseline.

    For values without repeats (bytes, pass@1). None if either is absent or the baseline is not
    positive.
    """
    if value is None or baseline is None or baseline <= 0:
        return None
    return (value - baseline) / baseline


@dataclass(frozen=True)
class Difference:
    """The difference of two means, second - first, with its tests and intervals.

    Attributes:
        value: the difference.
        error: its standard error.
        freedom: degrees of freedom of Student's t.
        allowance: absolute difference that may have another cause than the compared variants and
            that the repeats do not show (two GPUs of one model).
    """

    value: float
    error: float
    freedom: float
    allowance: float = 0.0

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Confidence interval: value ± (t · error + allowance)."""
        half = self.allowance
        if self.error:
            half += t_quantile(0.5 + confidence / 2, self.freedom) * self.error
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that |difference| ≤ allowance; dual to `interval`."""
        beyond = abs(self.value) - self.allowance
        if beyond <= 0:
            return 1.0
        if not self.error:
            return 0.0
        return min(1.0, 2 * float(stdtr(self.freedom, -beyond / self.error)))

    def equivalence_p(self, low: float, high: float) -> float:
        """p of the equivalence test: two one-sided tests of the difference against low and high.

        The larger of the two one-sided p values (Schuirmann 1987, Journal of Pharmacokinetics and
        Biopharmaceutics 15(6):657-680). The allowance narrows the limits.
        """
        low, high = low + self.allowance, high - self.allowance
        if not self.error:
            return 0.0 if low < self.value < high else 1.0
        above = float(stdtr(self.freedom, -(self.value - low) / self.error))
        below = float(stdtr(self.freedom, (self.value - high) / self.error))
        return max(above, below)

    def minimum_detectable(self) -> float:
        """Minimum detectable difference at 80 % power (`minimum_detectable_effect`) + allowance."""
        return minimum_detectable_effect(self.error, self.freedom) + self.allowance


def welch(
    first: Sequence[float], second: Sequence[float], allowance: float = 0.0
) -> Difference | None:
    """The difference of two means whose variances may differ (Welch 1947, Biometrika 34:28-35).

    error² = s₁²/n₁ + s₂²/n₂, with the degrees of freedom of Welch and Satterthwaite.

    Returns:
        None for fewer than two values on either side.
    """
    sds = sample_sd(first), sample_sd(second)
    if sds[0] is None or sds[1] is None:
        return None
    return welch_from_moments(
        (mean_of(first), sds[0], len(first)), (mean_of(second), sds[1], len(second)), allowance
    )


def welch_from_moments(
    first: tuple[float, float, int], second: tuple[float, float, int], allowance: float = 0.0
) -> Difference:
    """As `welch`, from (mean, sample SD, number of values) of each side; at least two values."""
    value = second[0] - first[0]
    parts = [(sd * sd / n, n) for _, sd, n in (first, second)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Difference(value, 0.0, math.inf, allowance)
    freedom = variance**2 / sum(part**2 / (n - 1) for part, n in parts)
    return Difference(value, math.sqrt(variance), freedom, allowance)


def pooled_variance(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """The difference of two means with a common variance (Student's two-sample t).

    One side may have a single value; the other side's variance then holds for both.

    Returns:
        None if a side is empty or both have a single value.
    """
    freedom = len(first) + len(second) - 2
    if not first or not second or freedom < 1:
        return None
    squares = math.fsum((value - mean_of(side)) ** 2 for side in (first, second) for value in side)
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(second)))
    return Difference(mean_of(second) - mean_of(first), error, freedom)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm-adjusted p values (Holm 1979, Scandinavian Journal of Statistics 6(2):65-70).

    The k-th smallest of m p values becomes max over j ≤ k of (m - j + 1) p_j, at most 1.
    """
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted
