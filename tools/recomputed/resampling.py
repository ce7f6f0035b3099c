"""Bootstrap intervals of energy for accuracy, and probabilities on the efficient frontier.

The draws are those that docs/explanation/statistics.md and the docstrings of
codewatt.analysis.bca_bootstrap and frontier_probability define; all that is done with them is
written anew.
"""

import math

import numpy as np
from scipy import stats

DRAWS, SEED = 4000, 1
#: Half tasks that are added to a benchmark: whether the first and the second cell solve them.
ADDED = ((1, 1), (1, 0), (0, 1), (0, 0))


def drawn_halves(tasks):
    """Numbers of the half tasks of each draw, shape (DRAWS, tasks + 2)."""
    return np.random.default_rng(SEED).integers(0, 2 * tasks + 4, (DRAWS, tasks + 2))


class Ratio:
    """ln(energy / solved share) of one cell: its deviation in each draw, and its influence.

    Args:
        energy, solved: task -> mean of its completions, both with the same tasks in order.
        side: 0 for the cell, 1 for the cell that it is compared with.
    """

    def __init__(self, energy, solved, side):
        energy, solved = np.asarray(energy, dtype=float), np.asarray(solved, dtype=float)
        each_j = np.concatenate([np.repeat(energy, 2), np.full(len(ADDED), energy.mean())])
        each_solved = np.concatenate([np.repeat(solved, 2), [pair[side] for pair in ADDED]])
        drawn = drawn_halves(len(energy))
        mean_j, share = each_j.mean(), each_solved.mean()
        with np.errstate(divide="ignore"):
            self.deviation = np.log(each_j[drawn].mean(axis=1) / mean_j) - np.log(
                each_solved[drawn].mean(axis=1) / share
            )
        self.influence = each_j / mean_j - each_solved / share
        self.units = len(energy) + 2


def bca_ends(ours, theirs, error, freedom):
    """The 95 % BCa interval of the deviation of a ratio, or of two; None for an unbounded end."""
    deviation, influence = ours.deviation, ours.influence
    if theirs is not None:
        with np.errstate(invalid="ignore"):
            deviation = deviation - theirs.deviation
        influence = influence - theirs.influence
    if error:
        place = np.random.default_rng([SEED, 1]).permutation(DRAWS)
        deviation = deviation + error * stats.t.ppf((place + 0.5) / DRAWS, freedom)
    deviation = np.sort(deviation[~np.isnan(deviation)])
    equal = np.abs(deviation) <= 1e-11
    below = ((deviation < 0) & ~equal).mean() + equal.mean() / 2
    if not 0 < below < 1:
        return None, None
    variance = (influence**2).mean() / ours.units + error**2
    skewness = (influence**3).mean() / ours.units**2 / variance**1.5 if variance else 0.0
    bias, accelerated = stats.norm.ppf(below), skewness / 6
    found = []
    for tail in (0.025, 0.975):
        z = bias + stats.norm.ppf(tail)
        level = stats.norm.cdf(bias + z / (1 - accelerated * z))
        found.append(_at(deviation, level))
    return tuple(found)


def _at(ordered, level):
    """The quantile between the two nearest values; None if it is infinite."""
    place = level * (len(ordered) - 1)
    left = min(math.floor(place), len(ordered) - 2)
    low, high = ordered[left], ordered[left + 1]
    share = place - left
    if not math.isfinite(low) or (share and not math.isfinite(high)):
        return None
    return float(low if not share else low + share * (high - low))


def frontier_probabilities(logs, shares):
    """Share of draws in which each cell is efficient.

    Args:
        logs: cell -> session -> ln energy of its repeats; all cells have the same sessions.
        shares: cell -> solved share of each task, the same tasks in the same order.
    """
    draw = np.random.default_rng([SEED, 2])
    sessions, tasks = len(logs[0]), len(shares[0])
    if sessions == 1:
        energy = np.stack(
            [
                np.mean(own) + stats.sem(own) * draw.standard_t(len(own) - 1, DRAWS)
                for (own,) in logs
            ]
        )
    else:
        means = np.array([[np.mean(own) for own in cell] for cell in logs])
        normal = draw.standard_normal((DRAWS, sessions))
        root = np.sqrt(sessions * draw.chisquare(sessions - 1, DRAWS))
        centre = means.mean(axis=1, keepdims=True)
        energy = centre + (means - centre) @ normal.T / root
    halves = drawn_halves(tasks)
    added = (halves >= 2 * tasks).sum(axis=1)
    chance = np.random.default_rng([SEED, 3]).binomial(added[:, None], 0.5, (DRAWS, len(shares)))
    solved = []
    for cell, own in enumerate(shares):
        of_halves = np.concatenate([np.repeat(np.asarray(own, dtype=float), 2), np.zeros(4)])
        solved.append((of_halves[halves].sum(axis=1) + chance[:, cell]) / (tasks + 2))
    solved = np.round(solved, 12)
    found = []
    for cell in range(len(logs)):
        beaten = np.zeros(DRAWS, dtype=bool)
        for other in range(len(logs)):
            no_worse = (energy[other] <= energy[cell]) & (solved[other] >= solved[cell])
            better = (energy[other] < energy[cell]) | (solved[other] > solved[cell])
            beaten |= no_worse & better
        found.append(float(1 - beaten.mean()))
    return found
