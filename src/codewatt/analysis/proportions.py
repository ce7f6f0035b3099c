"""Intervals and tests of proportions: one sample of tasks, and two variants on the same tasks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

CONFIDENCE = 0.95

Interval = tuple[float, float]

#: Halvings of the search for a score limit: 2^-60 of the interval is left.
_BISECTIONS = 60


def wilson_interval(
    successes: float, trials: float, confidence: float = CONFIDENCE, z: float | None = None
) -> Interval:
    """Score interval of a proportion (Wilson 1927, JASA 22(158):209-212), a part of [0, 1].

    With p = successes/trials and z = Φ⁻¹(1-alpha/2):
    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: 0 ≤ successes ≤ trials; a fraction when a task was solved in some of its samples.
        trials: the number of tasks, at least 1.
        z: the quantile to use instead of the one of `confidence`.

    Raises:
        ValueError: trials < 1, or successes outside [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials is not a proportion")
    z = float(ndtri(0.5 + confidence / 2)) if z is None else z
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding may leave 1e-17 outside; the interval lies within [0, 1] and holds the share.
    low = min(max((centre - half) / scale, 0.0), share)
    high = max(min((centre + half) / scale, 1.0), share)
    return low, high


@dataclass(frozen=True)
class PairedCounts:
    """Verdicts of two variants on the same tasks, in numbers of tasks.

    both: solved by both variants. gained: by this variant only. lost: by the baseline only.
    neither: by none of the two.
    """

    both: int
    gained: int
    lost: int
    neither: int

    def __post_init__(self) -> None:
        counts = (self.both, self.gained, self.lost, self.neither)
        if min(counts) < 0 or sum(counts) < 1:
            raise ValueError(f"{counts}: expected four counts of tasks, not all of them 0")

    @property
    def tasks(self) -> int:
        """All tasks."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def difference(self) -> float:
        """Share of tasks that this variant solves minus the baseline's share."""
        return (self.gained - self.lost) / self.tasks


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p of McNemar's test (1947, Psychometrika 12(2):153-157).

    Under the null hypothesis each of the n = lost + gained tasks whose verdict differs is as
    likely lost as gained: p = min(1, 2 * P(X <= min(lost, gained))) with X ~ Binomial(n, 1/2).
    1.0 when no verdict differs.
    """
    differing = lost + gained
    tail = sum(math.comb(differing, k) for k in range(min(lost, gained) + 1))
    # Integers: their quotient is right where 2**n is far beyond a float.
    return min(1.0, float((2 * tail) / (2**differing)))


def tango_statistic(counts: PairedCounts, difference: float) -> float:
    """Score statistic of "the paired difference is `difference`" (Tango 1998, eq. 4 to 7).

    Tango 1998, Statistics in Medicine 17(8):891-908. Standard normal under that hypothesis for
    many tasks; positive when the observed difference is larger. With b = gained, c = lost:
    (b - c - n·d) / sqrt(n·(2q + d(1 - d))), where q is the maximum likelihood estimate of the
    probability of losing a task when the difference is d.

    Args:
        difference: the hypothesis, in [-1, 1].
    """
    n, gained, lost = counts.tasks, counts.gained, counts.lost
    linear = -gained - lost + (2 * n - gained + lost) * difference
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * n * constant, 0.0))
    losing = max((root - linear) / (4 * n), 0.0)
    variance = n * (2 * losing + difference * (1 - difference))
    excess = gained - lost - n * difference
    if variance <= 1e-12 * n:
        return 0.0 if abs(excess) < 1e-9 * n else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def tango_interval(counts: PairedCounts, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of the difference of two paired proportions, a part of [-1, 1].

    All differences whose `tango_statistic` is within the normal quantiles (Tango 1998). It has a
    width where no verdict differs, as few tasks cannot show that two variants are the same.
    """
    z = float(ndtri(0.5 + confidence / 2))
    observed = counts.difference
    low = _border(lambda d: tango_statistic(counts, d) > z, -1.0, observed)
    high = _border(lambda d: tango_statistic(counts, d) < -z, 1.0, observed)
    return low, high


def _border(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where a hypothesis between `outside` and `inside` stops being rejected, by bisection."""
    if not rejected(outside):
        return outside
    for _ in range(_BISECTIONS):
        middle = (outside + inside) / 2
        if rejected(middle):
            outside = middle
        else:
            inside = middle
    return inside


def noninferiority_p(counts: PairedCounts, margin: float) -> float:
    """One-sided p of the hypothesis that the loss in pass@1 is `margin` or more (Tango 1998).

    Args:
        margin: the largest loss that is still acceptable, a positive fraction of the tasks.
    """
    return float(ndtr(-tango_statistic(counts, -margin)))


def paired_ratio_interval(counts: PairedCounts, confidence: float = CONFIDENCE) -> Interval | None:
    """Interval of the ratio of two paired proportions, this variant's over the baseline's.

    The hybrid Wilson interval of Bonett and Price (2006, Statistics in Medicine 25(17):3039-3047),
    from the tasks that at least one of the two solves.

    Returns:
        None when the baseline solves no task.
    """
    ours, base = counts.both + counts.gained, counts.both + counts.lost
    if base == 0:
        return None
    solved = counts.both + counts.gained + counts.lost

    def spread(successes: int) -> float:
        return math.sqrt((1 - (successes + 1) / (solved + 2)) / (successes + 1))

    joint = math.sqrt((counts.gained + counts.lost + 2) / ((ours + 1) * (base + 1)))
    z = float(ndtri(0.5 + confidence / 2)) * joint / (spread(ours) + spread(base))
    low, high = wilson_interval(ours, solved, z=z)
    base_low, base_high = wilson_interval(base, solved, z=z)
    return low / base_high, high / base_low


@dataclass(frozen=True)
class SharesDifference:
    """Mean difference of tasks' shares; adjusted, error: Agresti and Min's mean and its error."""

    difference: float
    adjusted: float
    error: float

    @property
    def ci95(self) -> Interval:
        """The 95 % interval, a part of [-1, 1]."""
        half = float(ndtri(0.5 + CONFIDENCE / 2)) * self.error
        return max(self.adjusted - half, -1.0), min(self.adjusted + half, 1.0)

    def noninferiority_p(self, margin: float) -> float:
        """One-sided p of the hypothesis that the loss is `margin` or more."""
        return float(ndtr(-(self.adjusted + margin) / self.error))


def shares_difference(differences: Sequence[float]) -> SharesDifference:
    """The mean of per-task differences of shares, where a task has several samples.

    Agresti and Min's adjusted Wald interval for paired proportions (2005, Statistics in Medicine
    24(5):729-740): two tasks are added, half of one gained and half of one lost, so that the
    interval has a width where no task differs. It is theirs for differences of -1, 0 and 1; for
    shares in between the variance is the sample's.

    Args:
        differences: this variant's share minus the baseline's, one for each task; at least one.
    """
    n = len(differences)
    mean = math.fsum(differences) / n
    adjusted = math.fsum(differences) / (n + 2)
    variance = (math.fsum(d * d for d in differences) + 1) / (n + 2) - adjusted**2
    return SharesDifference(mean, adjusted, math.sqrt(variance / (n + 2)))


def fewest_tasks(margin: float, confidence: float = CONFIDENCE) -> int:
    """Tasks below which no variant can be shown to stay within `margin`, even with equal verdicts.

    With no differing verdict Tango's interval ends at -z²/(n + z²).
    """
    z = float(ndtri(0.5 + confidence / 2))
    return math.ceil(z * z * (1 / margin - 1))
