"""Confidence intervals and tests of proportions: of one variant, and of two on the same tasks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

CONFIDENCE = 0.95

Interval = tuple[float, float]

#: Bisection steps of the search for an interval's end: its error is 2^-60 of the start interval.
_BISECTIONS = 60


def wilson_interval(
    successes: float, trials: float, confidence: float = CONFIDENCE, z: float | None = None
) -> Interval:
    """Score interval of a proportion (Wilson 1927, JASA 22(158):209-212), within [0, 1].

    With p = successes/trials and z = Φ⁻¹(1-alpha/2):
    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: 0 ≤ successes ≤ trials; not an integer if tasks are solved in some samples only.
        trials: the number of tasks, at least 1.
        z: the quantile to use instead of the one of `confidence`.

    Raises:
        ValueError: trials < 1, or successes outside [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes in {trials} trials: need at least 1 trial and "
            "0 to as many successes as trials"
        )
    z = float(ndtri(0.5 + confidence / 2)) if z is None else z
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding errors of 1e-17 are cut: the interval is within [0, 1] and contains the share.
    low = min(max((centre - half) / scale, 0.0), share)
    high = max(min((centre + half) / scale, 1.0), share)
    return low, high


@dataclass(frozen=True)
class PairedCounts:
    """Numbers of tasks by the verdicts of a variant and its baseline.

    Attributes:
        both: tasks solved by both.
        gained: tasks solved by the variant only.
        lost: tasks solved by the baseline only.
        neither: tasks solved by none of the two.
    """

    both: int
    gained: int
    lost: int
    neither: int

    def __post_init__(self) -> None:
        counts = (self.both, self.gained, self.lost, self.neither)
        if min(counts) < 0 or sum(counts) < 1:
            raise ValueError(f"{counts}: counts of tasks must be 0 or more, and not all 0")

    @property
    def tasks(self) -> int:
        """Number of all tasks."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def difference(self) -> float:
        """Paired difference: the variant's share of solved tasks minus the baseline's."""
        return (self.gained - self.lost) / self.tasks


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p value of McNemar's test (1947, Psychometrika 12(2):153-157).

    Under the null hypothesis, a task with different verdicts is lost or gained with probability
    1/2: p = min(1, 2 * P(X <= min(lost, gained))) with X ~ Binomial(lost + gained, 1/2). It is 1
    if no verdict differs.
    """
    differing = lost + gained
    tail = sum(math.comb(differing, k) for k in range(min(lost, gained) + 1))
    # Division of integers: 2**n may exceed the range of a float.
    return min(1.0, float((2 * tail) / (2**differing)))


def tango_statistic(counts: PairedCounts, difference: float) -> float:
    """Score statistic of the hypothesis that the paired difference is `difference`.

    Tango 1998, Statistics in Medicine 17(8):891-908, eq. 4 to 7. It is asymptotically standard
    normal under the hypothesis and positive if the observed difference is larger. With
    b = gained and c = lost: (b - c - n·d) / sqrt(n·(2q + d(1 - d))), where q is the maximum
    likelihood estimate of the probability of losing a task if the difference is d.

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
    """Score interval of the difference of two paired proportions (Tango 1998), within [-1, 1].

    It contains the differences whose `tango_statistic` lies between the normal quantiles. Its
    width is positive even if no verdict differs.
    """
    z = float(ndtri(0.5 + confidence / 2))
    observed = counts.difference
    low = _acceptance_limit(lambda d: tango_statistic(counts, d) > z, -1.0, observed)
    high = _acceptance_limit(lambda d: tango_statistic(counts, d) < -z, 1.0, observed)
    return low, high


def _acceptance_limit(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """The hypothesis between `outside` and `inside` at which rejection ends, by bisection."""
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
    """One-sided p of the hypothesis that the loss of pass@1 is at least `margin` (Tango 1998).

    Args:
        margin: the non-inferiority margin, a positive fraction of the tasks.
    """
    return float(ndtr(-tango_statistic(counts, -margin)))


def paired_ratio_interval(counts: PairedCounts, confidence: float = CONFIDENCE) -> Interval | None:
    """Interval of the ratio of two paired proportions, the variant's / the baseline's.

    The hybrid Wilson interval of Bonett and Price (2006, Statistics in Medicine 25(17):3039-3047),
    from the tasks that at least one of the two solves.

    Returns:
        (low, high); None if the baseline solves no task.
    """
    ours, base = counts.both + counts.gained, counts.both + counts.lost
    if base == 0:
        return None
    solved = counts.both + counts.gained + counts.lost

    def log_error(successes: int) -> float:
        return math.sqrt((1 - (successes + 1) / (solved + 2)) / (successes + 1))

    joint = math.sqrt((counts.gained + counts.lost + 2) / ((ours + 1) * (base + 1)))
    z = float(ndtri(0.5 + confidence / 2)) * joint / (log_error(ours) + log_error(base))
    low, high = wilson_interval(ours, solved, z=z)
    base_low, base_high = wilson_interval(base, solved, z=z)
    return low / base_high, high / base_low


@dataclass(frozen=True)
class SharesDifference:
    """Mean difference of two variants' shares of solved samples, over the tasks.

    Attributes:
        difference: the mean difference.
        adjusted: Agresti and Min's adjusted mean.
        error: standard error of `adjusted`.
    """

    difference: float
    adjusted: float
    error: float

    @property
    def ci95(self) -> Interval:
        """The 95 % interval, within [-1, 1]."""
        half = float(ndtri(0.5 + CONFIDENCE / 2)) * self.error
        return max(self.adjusted - half, -1.0), min(self.adjusted + half, 1.0)

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that the difference is 0."""
        return 2 * float(ndtr(-abs(self.adjusted) / self.error))

    def noninferiority_p(self, margin: float) -> float:
        """One-sided p of the hypothesis that the loss is at least `margin`."""
        return float(ndtr(-(self.adjusted + margin) / self.error))


def shares_difference(differences: Sequence[float]) -> SharesDifference:
    """The mean over tasks of differences of shares, for tasks with several samples.

    Agresti and Min's adjusted Wald interval for paired proportions (2005, Statistics in Medicine
    24(5):729-740): two tasks are added, of which half a task is gained and half a task is lost,
    so that the width is positive even if no task differs. For shares between 0 and 1 the sample
    variance of the differences is used.

    Args:
        differences: for each task, the variant's share minus the baseline's; at least one.
    """
    n = len(differences)
    mean = math.fsum(differences) / n
    adjusted = math.fsum(differences) / (n + 2)
    variance = (math.fsum(d * d for d in differences) + 1) / (n + 2) - adjusted**2
    return SharesDifference(mean, adjusted, math.sqrt(variance / (n + 2)))


def fewest_tasks(margin: float, confidence: float = CONFIDENCE) -> int:
    """Smallest number of tasks with which non-inferiority can be shown for equal verdicts.

    If no verdict differs, the lower end of Tango's interval is -z²/(n + z²).

    Args:
        margin: the non-inferiority margin, a positive fraction of the tasks.
        confidence: confidence level of the two-sided interval.
    """
    z = float(ndtri(0.5 + confidence / 2))
    return math.ceil(z * z * (1 / margin - 1))
