"""The probability of each cell to be on the efficient frontier of energy and pass@1.

Energy and accuracy are drawn again and again from what the measurements say of them, and each draw
has its own frontier (`efficient_frontier.efficient_mask`). The probability of a cell is the share
of draws in which it is on the frontier. A draw

- takes tasks with replacement, the same ones for all cells, for pass@1 (`accuracy_draws`);
- draws the logarithms of energy. With several sessions: from the multivariate t distribution with
  sessions - 1 degrees of freedom around the cells' means, with the covariance of the sessions'
  effects (Gelman et al. 2013, Bayesian Data Analysis, section 3.6), so that the difference of any
  two cells has the t distribution of their interval and what is common to a session cancels. With
  one session: from Student's t distribution of each cell's repeats.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codewatt.analysis.bca_bootstrap import DRAWS, SEED, task_draws

Matrix = NDArray[np.float64]

#: Pairs of cells and draws that are compared at once: they take some bytes each.
_MOST_PAIRS = 20_000_000


def energy_draws(
    logs: Sequence[Sequence[Sequence[float]]], draws: int = DRAWS, seed: int = SEED
) -> Matrix:
    """Draws of the logarithm of energy.

    Args:
        logs: cell -> session -> ln energy of its repeats. All cells have the same sessions, each
            with at least one value; with one session each cell has at least two.

    Returns:
        An array (draws, cells).
    """
    generator = np.random.default_rng([seed, 2])
    sessions = len(logs[0])
    if sessions == 1:
        return np.column_stack([_repeat_draws(cell[0], draws, generator) for cell in logs])
    means = np.array([[math.fsum(values) / len(values) for values in cell] for cell in logs])
    centre = means.mean(axis=1)
    effects = means - centre[:, None]
    weights = generator.standard_normal((draws, sessions))
    # Divided by the root of a chi-squared draw, normal draws become those of Student's t.
    scale = np.sqrt(sessions * generator.chisquare(sessions - 1, draws))[:, None]
    drawn: Matrix = centre + weights @ effects.T / scale
    return drawn


def _repeat_draws(values: Sequence[float], draws: int, generator: np.random.Generator) -> Matrix:
    """Draws of the mean of one cell's repeats."""
    n = len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    drawn: Matrix = np.mean(values) + error * generator.standard_t(n - 1, draws)
    return drawn


def accuracy_draws(shares: Matrix, draws: int = DRAWS, seed: int = SEED) -> Matrix:
    """Draws of pass@1: means over tasks that are drawn with replacement.

    Two tasks are added to those of the benchmark, as in `bca_bootstrap`; each cell solves them by
    chance, with probability 1/2. Without them, cells that solve the same tasks of a benchmark
    would be equal in every draw.

    Args:
        shares: an array (cells, tasks): share of a task's completions that solve it.

    Returns:
        An array (draws, cells).
    """
    cells, tasks = shares.shape
    counts = task_draws(tasks, draws, seed)
    added = counts[:, tasks:].sum(axis=1).astype(int)
    by_chance = np.random.default_rng([seed, 3]).binomial(added[:, None], 0.5, (draws, cells))
    drawn: Matrix = (counts[:, :tasks] @ shares.T + by_chance) / (tasks + 2)
    # Sums differ in their last bits; cells that solve as much are equal.
    return np.round(drawn, 12)


@dataclass(frozen=True)
class FrontierDraws:
    """Draws of ln energy and of pass@1: arrays (draws, cells)."""

    energy: Matrix
    accuracy: Matrix

    def probabilities(self) -> list[float]:
        """Share of the draws in which each cell is on the efficient frontier."""
        draws, cells = self.energy.shape
        at_once = max(1, _MOST_PAIRS // cells**2)
        dominated = np.zeros(cells)
        for first in range(0, draws, at_once):
            energy, accuracy = (side[first : first + at_once] for side in vars(self).values())
            cheaper = energy[:, :, None] < energy[:, None, :]
            better = accuracy[:, :, None] > accuracy[:, None, :]
            dominates = (cheaper & ~_transposed(better)) | (better & ~_transposed(cheaper))
            dominated += dominates.any(axis=1).sum(axis=0)
        return [float(share) for share in 1 - dominated / draws]


def _transposed(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The relation of (second, first) for each draw."""
    return pairs.transpose(0, 2, 1)
