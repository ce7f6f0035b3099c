"""The BCa bootstrap over tasks, of statistics that also vary between sessions.

BCa is the bias-corrected and accelerated interval of Efron (1987, JASA 82(397):171-185; Efron and
Tibshirani 1993, An Introduction to the Bootstrap, section 14.3). A draw of the bootstrap

- takes tasks with replacement, the same ones for both cells of a comparison. Four half tasks are
  added, in which both cells, only one, only the other, and none solve the task: the prior of
  Agresti and Min (2005, Stat. Med. 24(5):729-740), without which two cells that solve the same
  tasks of a benchmark would have an interval of no width;
- adds error x T, with T drawn from Student's t distribution, for the differences between sessions
  (or repeats, if there is one session). Sessions themselves are not drawn with replacement: two
  sessions would give an interval between their two values, which covers the truth in half of all
  studies (docs/explanation/statistics.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from codewatt.analysis.proportions import CONFIDENCE, Interval

Vector = NDArray[np.float64]

#: Number of draws and seed of every bootstrap of the project.
DRAWS, SEED = 4000, 1
#: Whether the first and the second cell solve each of the added half tasks.
ADDED = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
#: Draws closer to the estimate than this count as equal to it: sums differ in their last bits.
_EQUAL = 1e-11
#: Significant digits of an interval's ends: fewer than the last bits, which differ by processor.
_DIGITS = 10


@dataclass(frozen=True)
class Bootstrap:
    """What a BCa interval is computed from.

    Attributes:
        estimate: the statistic of the data.
        draws: the statistic of each draw; may be infinite, not NaN.
        influence: the statistic's influence values of the drawn units, of mean 0.
        units: number of units in a draw.
        error: standard error of what varies between sessions.
    """

    estimate: float
    draws: Vector
    influence: Vector
    units: int
    error: float = 0.0

    def interval(self, confidence: float = CONFIDENCE) -> Interval | None:
        """The BCa interval; an end may be infinite.

        Returns:
            None if all draws lie on one side of the estimate, so that the bias is unknown.
        """
        apart = self.draws - self.estimate
        below = np.sum(apart < -_EQUAL) + np.sum(np.abs(apart) <= _EQUAL) / 2
        share = float(below) / len(self.draws)
        if not 0 < share < 1:
            return None
        bias, ends = float(ndtri(share)), []
        for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
            z = bias + float(ndtri(tail))
            ends.append(_quantile(self.draws, float(ndtr(bias + z / (1 - self.acceleration * z)))))
        return ends[0], ends[1]

    @property
    def standard_error(self) -> float:
        """Standard error of the estimate: between units and between sessions."""
        return math.sqrt(float(np.mean(self.influence**2)) / self.units + self.error**2)

    @property
    def acceleration(self) -> float:
        """Skewness of the estimate / 6 (Efron 1987, eq. 7.3).

        What varies between sessions is symmetric: it adds to the variance and not to the third
        moment.
        """
        if self.standard_error == 0:
            return 0.0
        third = float(np.mean(self.influence**3)) / self.units**2
        return third / (6 * self.standard_error**3)


@lru_cache(maxsize=8)
def task_draws(tasks: int, draws: int = DRAWS, seed: int = SEED) -> Vector:
    """How often each draw takes each task and each added half task.

    A draw takes tasks + 2 of the 2 · tasks + 4 half tasks: each task is two of them, and the last
    four are ADDED. Row i of numpy.random.default_rng(seed).integers(0, 2 · tasks + 4, (draws,
    tasks + 2)) holds their numbers. All cells of a benchmark use the same draws, so that they stay
    paired.

    Returns:
        An array (draws, tasks + 4); each row adds up to tasks + 2.
    """
    halves = np.random.default_rng(seed).integers(0, 2 * tasks + 4, (draws, tasks + 2))
    chosen = np.where(halves < 2 * tasks, halves // 2, halves - tasks)
    counts = np.zeros((draws, tasks + 4))
    for row, indices in zip(counts, chosen, strict=True):
        row[:] = np.bincount(indices, minlength=tasks + 4)
    counts.setflags(write=False)
    return counts


@lru_cache(maxsize=8)
def student_draws(freedom: float, draws: int = DRAWS, seed: int = SEED) -> Vector:
    """The quantiles (i + 1/2) / draws of Student's t distribution, in random order.

    Quantiles instead of random numbers: with one degree of freedom the ends of the interval of
    4,000 random numbers would vary by ten per cent with the seed. Entry j is the quantile of
    i = numpy.random.default_rng([seed, 1]).permutation(draws)[j]. All cells with as many sessions
    use the same ones.
    """
    order = np.random.default_rng([seed, 1]).permutation(draws)
    quantiles: Vector = np.asarray(stdtrit(freedom, (order + 0.5) / draws), dtype=float)
    quantiles.setflags(write=False)
    return quantiles


@dataclass(frozen=True)
class TaskTotals:
    """A cell's energy and solved share of each task, in the order of the benchmark.

    Attributes:
        energy_j: mean energy (J) of a completion of the task.
        solved: share of the task's completions that solve it.
    """

    energy_j: Sequence[float]
    solved: Sequence[float]


def bootstrap_ratio(
    ours: TaskTotals,
    theirs: TaskTotals | None,
    error: float,
    freedom: float,
    draws: int = DRAWS,
) -> Bootstrap:
    """The bootstrap of ln(joules per correct task), of one cell or of two cells' ratio.

    The statistic is ln(Σ energy / Σ solved) over the tasks, minus that of `theirs`; its estimate
    is 0, so that draws are deviations. pass@1 per kWh is its inverse, up to a constant.

    Args:
        ours, theirs: the cell, and the cell that it is compared with (on the same tasks) or None.
        error, freedom: of ln energy between sessions (or repeats): standard error and degrees of
            freedom of Student's t.
    """
    counts = task_draws(len(ours.solved), draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations, influence = _deviations(ours, 0, counts)
        if theirs is not None:
            subtracted, of_theirs = _deviations(theirs, 1, counts)
            deviations, influence = deviations - subtracted, influence - of_theirs
    if error:
        deviations = deviations + error * student_draws(freedom, draws)
    # A draw in which none of the two cells solves a task says nothing of their ratio.
    known = deviations[~np.isnan(deviations)]
    return Bootstrap(0.0, known, influence, len(ours.solved) + 2, error)


def _deviations(totals: TaskTotals, side: int, counts: Vector) -> tuple[Vector, Vector]:
    """(statistic of each draw minus that of the data, influence of each half task)."""
    energy = np.asarray(totals.energy_j, dtype=float)
    energy = np.concatenate([energy, np.full(len(ADDED), energy.mean())])
    solved = np.concatenate([totals.solved, [pair[side] for pair in ADDED]])
    halves = np.r_[np.full(len(totals.solved), 2), np.ones(len(ADDED), dtype=int)]
    mean_j, share = np.average(energy, weights=halves), np.average(solved, weights=halves)
    units = len(totals.solved) + 2
    deviations = np.log(counts @ energy / (units * mean_j)) - np.log(
        counts @ solved / (units * share)
    )
    return deviations, np.repeat(energy / mean_j - solved / share, halves)


def _quantile(draws: Vector, level: float) -> float:
    """A quantile, interpolated linearly, rounded; infinite where the draws are."""
    with np.errstate(invalid="ignore"):
        value = float(np.quantile(draws, level))
    if math.isnan(value):  # between two infinite draws
        value = math.copysign(math.inf, level - 0.5)
    return float(f"{value:.{_DIGITS}g}")
