"""BCa intervals of joules per correct task, by resampling half tasks one by one."""

import functools
import math

import numpy as np
from scipy import stats

DRAWS, SEED = 4000, 1
#: The added half tasks: who of (cell, reference) solves them.
ADDED = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=float)


@functools.lru_cache(maxsize=4)
def half_tasks(tasks):
    """The numbers of the half tasks of each draw, of 2 · tasks and the four added ones."""
    return np.random.default_rng(SEED).integers(0, 2 * tasks + 4, (DRAWS, tasks + 2))


def task_totals(rows, energy, tests):
    """(mean joules, share solved) of each judged task; all joules are 1 where some are unknown.

    Args:
        rows: rows of the task table.
    """
    of_task = {}
    for row in rows:
        if row[f"solved_{tests}"] is not None:
            of_task.setdefault(row["task_id"], []).append((row[energy], row[f"solved_{tests}"]))
    order = sorted(of_task)
    solved = np.array([np.mean([known for _, known in of_task[task]]) for task in order])
    if any(joules is None for task in order for joules, _ in of_task[task]):
        return np.ones(len(order)), solved
    return np.array([np.mean([joules for joules, _ in of_task[task]]) for task in order]), solved


class Ratio:
    """The bootstrap of ln(joules / solved) of a cell, minus that of a reference on its tasks."""

    def __init__(self, ours, theirs, error, freedom):
        tasks = len(ours[1])
        drawn = half_tasks(tasks)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.draws, self.influence = _half(ours, 0, drawn)
            if theirs is not None:
                draws, influence = _half(theirs, 1, drawn)
                self.draws, self.influence = self.draws - draws, self.influence - influence
        if error:
            order = np.random.default_rng([SEED, 1]).permutation(DRAWS)
            self.draws = self.draws + error * stats.t.ppf((order + 0.5) / DRAWS, freedom)
        self.draws = np.sort(self.draws[~np.isnan(self.draws)])
        self.variance = self.influence.var() / (tasks + 2) + error**2
        self.third = float(stats.moment(self.influence, 3)) / (tasks + 2) ** 2

    @property
    def error(self):
        """Standard error of the logarithm."""
        return math.sqrt(self.variance)

    def ends(self, allowance=0.0):
        """The ends of the 95 % interval of the deviation; None where it has none."""
        lower = np.count_nonzero(self.draws < -1e-11)
        ties = np.count_nonzero(abs(self.draws) <= 1e-11)
        share = (lower + ties / 2) / len(self.draws)
        if not 0 < share < 1:
            return None, None
        bias = stats.norm.ppf(share)
        acceleration = self.third / 6 / self.variance**1.5 if self.variance else 0.0
        found = []
        for tail, sign in ((0.025, -1), (0.975, 1)):
            z = bias + stats.norm.ppf(tail)
            end = self._quantile(stats.norm.cdf(bias + z / (1 - acceleration * z)), sign)
            found.append(end + sign * allowance if math.isfinite(end) else None)
        return tuple(found)

    def _quantile(self, level, sign):
        place = level * (len(self.draws) - 1)
        below = int(place)
        low, high = self.draws[below], self.draws[min(below + 1, len(self.draws) - 1)]
        if low == high:
            return float(low)
        part = place - below
        if not math.isfinite(low) or not math.isfinite(high):
            return float(low) if part == 0 else sign * math.inf
        return float(low + part * (high - low))


def _half(totals, side, drawn):
    """(deviation of each draw, influence of each half task)."""
    joules, solved = totals
    joules = np.r_[np.repeat(joules, 2), np.full(4, joules.mean())]
    solved = np.r_[np.repeat(solved, 2), ADDED[:, side]]
    of_draw = np.log(joules[drawn].mean(axis=1)) - np.log(solved[drawn].mean(axis=1))
    of_all = math.log(joules.mean()) - math.log(solved.mean())
    return of_draw - of_all, joules / joules.mean() - solved / solved.mean()


def scaled(point, low, high):
    """point · exp(deviation) at both ends."""
    with np.errstate(over="ignore"):
        scaled = [None if end is None else float(point * np.exp(end)) for end in (low, high)]
    return tuple(None if end is None or math.isinf(end) else end for end in scaled)


def inverse(point, low, high):
    """The interval of a figure that falls where the ratio rises."""
    return scaled(point, *(None if end is None else -end for end in (high, low)))
